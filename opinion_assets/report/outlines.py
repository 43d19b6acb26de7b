"""Country outlines as SVG paths: static/countries-110m.json (TopoJSON, Natural Earth) in Robinson's projection.

Does not belong here: what the map shows.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pycountry

_FILE = Path(__file__).parent / "static" / "countries-110m.json"
WIDTH = 1000.0
# Robinson 1974: length of the parallel and its distance from the equator at every 5 degrees of latitude.
_LENGTH = [
    1, 0.9986, 0.9954, 0.99, 0.9822, 0.973, 0.96, 0.9427, 0.9216, 0.8962,
    0.8679, 0.835, 0.7986, 0.7597, 0.7186, 0.6732, 0.6213, 0.5722, 0.5322,
]  # fmt: skip
_DISTANCE = [
    0, 0.062, 0.124, 0.186, 0.248, 0.31, 0.372, 0.434, 0.4958, 0.5571,
    0.6176, 0.6769, 0.7346, 0.7903, 0.8435, 0.8936, 0.9394, 0.9761, 1,
]  # fmt: skip
# No ISO number in the file.
_BY_NAME = {"Kosovo": "XKX"}


def project(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees to the map's coordinates, x from 0 to WIDTH, y downwards."""
    degrees = np.arange(0, 91, 5)
    size = np.abs(latitude)
    x = 0.8487 * np.interp(size, degrees, _LENGTH) * np.radians(longitude)
    y = 1.3523 * np.interp(size, degrees, _DISTANCE) * np.sign(latitude)
    scale = WIDTH / (2 * 0.8487 * np.pi)
    return WIDTH / 2 + x * scale, (1.3523 - y) * scale


@cache
def outlines() -> dict[str, str]:
    """SVG path data by ISO 3166-1 alpha-3 code (XKX for Kosovo); Antarctica is left out."""
    world = json.loads(_FILE.read_text(encoding="utf-8"))
    scale, translate = np.array(world["transform"]["scale"]), np.array(world["transform"]["translate"])
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + translate for arc in world["arcs"]]
    numeric = {item.numeric: item.alpha_3 for item in pycountry.countries}

    def ring(indexes: list[int]) -> str:
        parts = [arcs[index] if index >= 0 else arcs[~index][::-1] for index in indexes]
        points = np.concatenate([parts[0], *[part[1:] for part in parts[1:]]])
        # A ring that crosses the 180th meridian goes on beyond the map's edge, and is drawn again at the other edge.
        longitude = np.unwrap(points[:, 0], period=360.0)
        shifts = [0.0] + [360.0] * bool((longitude < -180.01).any()) + [-360.0] * bool((longitude > 180.01).any())
        return "".join(path(longitude + shift, points[:, 1]) for shift in shifts)

    def path(longitude: np.ndarray, latitude: np.ndarray) -> str:
        x, y = project(longitude, latitude)
        return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)) + "Z"

    found = {}
    for shape in world["objects"]["countries"]["geometries"]:
        code = numeric.get(str(shape.get("id", "")).zfill(3)) or _BY_NAME.get(shape["properties"]["name"])
        if code is None or code == "ATA":
            continue
        polygons = [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]
        found[code] = "".join(ring(indexes) for polygon in polygons for indexes in polygon)
    return found
