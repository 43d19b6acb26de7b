"""Country outlines as SVG paths: static/countries-110m.json (TopoJSON, Natural Earth) in the Equal Earth projection.

Equal areas, so that a colour takes as much of the map as its country takes of the world.

Does not belong here: what the map shows.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pycountry

_FILE = Path(__file__).parent / "static" / "countries-110m.json"
_POINTS = Path(__file__).parent / "static" / "points.json"
WIDTH = 1000.0
#: What is shown lies between these latitudes.
SOUTH, NORTH = -57.0, 84.0
# The polynomial of the projection, highest power first, odd powers only.
_A = np.array([0.003796, 0, 0.000893, 0, 0, 0, -0.081106, 0, 1.340264, 0])
_SCALE = WIDTH / (4 * np.pi / np.sqrt(3) / 1.340264)
_TOP = float(np.polyval(_A, np.arcsin(np.sqrt(3) / 2 * np.sin(np.radians(NORTH)))))
# No ISO number in the file.
_BY_NAME = {"Kosovo": "XKX"}


def project(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees to the map's coordinates, x from 0 to WIDTH, y downwards from the map's upper edge.

    Šavrič, Patterson & Jenny 2018, "The Equal Earth map projection", eqs. 6 to 8.
    """
    theta = np.arcsin(np.sqrt(3) / 2 * np.sin(np.radians(latitude)))
    x = 2 * np.sqrt(3) * np.radians(longitude) * np.cos(theta) / (3 * np.polyval(np.polyder(_A), theta))
    y = np.polyval(_A, theta)
    return WIDTH / 2 + x * _SCALE, (_TOP - y) * _SCALE


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
        return "".join(_svg(*project(longitude + shift, points[:, 1])) for shift in shifts)

    found = {}
    for shape in world["objects"]["countries"]["geometries"]:
        code = numeric.get(str(shape.get("id", "")).zfill(3)) or _BY_NAME.get(shape["properties"]["name"])
        if code is None or code == "ATA":
            continue
        polygons = [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]
        found[code] = "".join(ring(indexes) for polygon in polygons for indexes in polygon)
    return found


def _svg(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)) + "Z"


def height() -> float:
    """Height of the map in its own coordinates."""
    return float(project(np.array(0.0), np.array(SOUTH))[1])


def edge() -> str:
    """SVG path of the map's edge, the 180th meridians and the latitudes where it ends."""
    latitude = np.concatenate([np.linspace(SOUTH, NORTH, 60), np.linspace(NORTH, SOUTH, 60)])
    return _svg(*project(np.repeat([180.0, -180.0], 60), latitude))


@cache
def points() -> dict[str, tuple[float, float]]:
    """Map coordinates of the middle of each country's largest part, by code; also of countries too small to see."""
    found = json.loads(_POINTS.read_text(encoding="utf-8"))
    x, y = project(*np.array(list(found.values()), dtype=float).T)
    return {code: (round(float(a), 1), round(float(b), 1)) for code, a, b in zip(found, x, y, strict=True)}
