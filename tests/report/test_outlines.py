"""The map's outlines lie on the map."""

import re

from opinion_assets.report.outlines import WIDTH, outlines


def test_countries_are_where_they_belong() -> None:
    def box(code: str) -> tuple[float, float, float, float]:
        points = [tuple(map(float, pair.split(","))) for pair in re.findall(r"-?[\d.]+,-?[\d.]+", outlines()[code])]
        xs, ys = [point[0] for point in points], [point[1] for point in points]
        return min(xs), min(ys), max(xs), max(ys)

    assert {"TUR", "USA", "TWN", "XKX", "PSE"} <= set(outlines())
    assert "ATA" not in outlines()
    france, australia = box("AUS"), box("USA")
    assert france[0] > australia[2] - WIDTH * 0.1
    assert box("SWE")[3] < box("ZAF")[1]
    # No outline runs across the whole map, as one that crosses the date line would if drawn naively.
    for code in ("CAN", "BRA", "AUS", "CHN", "FRA"):
        left, _, right, _ = box(code)
        assert right - left < WIDTH / 2, code
