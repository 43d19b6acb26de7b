"""Figures for a paper: world map, ranking of countries with intervals, comparison, as SVG and PNG.

Numbers and colours are those of the page. The same tables give the same files: no time, no random ids; in SVG text
stays text. Does not belong here: computing anything that is not stored.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd

from opinion_assets.errors import UnknownNameError
from opinion_assets.paths import path_key
from opinion_assets.report import outlines
from opinion_assets.report.payload import NATIONAL, difference_scales, map_scales, read_sql
from opinion_assets.report.scales import Metric, Scale, metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Tables that the figures are drawn from.
INPUTS = ("question.country", "similarity.country", "similarity.model_comparison")
DPI = 300
FEW_QUESTIONS = 30
# Square units of the map below which a country is drawn as a circle, as on the page.
_TOO_SMALL = 14.0
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "opinion_assets",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.4,
}
_LAND = "#dfe1e6"


def write_figures(
    connection: duckdb.DuckDBPyConnection,
    out: Path,
    *,
    model_version: str,
    condition: str = "default",
    compare_model: str | None = None,
    compare_condition: str | None = None,
    source: str | None = None,
    metric_name: str = "js_similarity",
    base: str = "e",
    formats: Sequence[str] = ("svg", "png"),
) -> list[Path]:
    """Write ``map``, ``ranking`` and, with a second model or condition, ``comparison`` and ``comparison_map``.

    One file a survey source, figure and format. Raises UnknownNameError naming what is stored where the model version,
    condition, source or metric has no country means, or the comparison is not stored.
    """
    means = connection.execute(read_sql("country")).df()
    names = connection.execute(read_sql("country_name")).df().set_index("country")["name"]
    means = means[means["sample_type"].isin(NATIONAL) & (means["group_by"] == "")]
    means = _choose(means, {"metric": metric_name, "base": base})
    if source:
        means = _choose(means, {"source": source})
    scales = map_scales(means)
    chosen = _choose(means, {"model_version": model_version, "condition": condition})
    named = metric(metric_name, base)
    written = []
    with _style():
        for place, rows in chosen.groupby("source"):
            title = f"{model_version}, {condition}; {place}"
            scale = scales[(str(place), metric_name, base)]
            stem = "-".join(map(path_key, (str(place), model_version, condition, f"{metric_name}{base}")))
            written += _save(_map(rows, "mean", scale, named.label, title, few=True), out, f"map-{stem}", formats)
            written += _save(_ranking(rows, names, named, scale, title), out, f"ranking-{stem}", formats)
        if compare_model or compare_condition:
            other = (compare_model or model_version, compare_condition or condition)
            table = connection.execute(read_sql("comparison")).df()
            table = table[table["sample_type"].isin(NATIONAL)]
            table = table[(table["metric"] == metric_name) & (table["base"] == base)]
            if source:
                table = table[table["source"] == source]
            scales = difference_scales(table)
            for place, rows in _pair(table, (model_version, condition), other).groupby("source"):
                title = f"A: {model_version}, {condition}\nB: {other[0]}, {other[1]}; {place}"
                scale = scales[(str(place), metric_name, base)]
                parts = (str(place), model_version, condition, *other, f"{metric_name}{base}")
                stem = "-".join(map(path_key, parts))
                label = f"{named.short}, A − B"
                written += _save(_map(rows, "mean", scale, label, title), out, f"comparison_map-{stem}", formats)
                written += _save(_ranking(rows, names, named, scale, title, label), out, f"comparison-{stem}", formats)
    return written


def small_maps(means: pd.DataFrame, metric_name: str = "js_similarity", base: str = "e") -> dict[str, bytes]:
    """World map of each survey source as a PNG of 500 pixels width, for a place beside text.

    ``means`` are rows of ``similarity.country`` of one model version and condition.
    """
    means = means[means["sample_type"].isin(NATIONAL) & (means["group_by"] == "")]
    means = means[(means["metric"] == metric_name) & (means["base"] == base)]
    images = {}
    with _style():
        for (source, *_), scale in map_scales(means).items():
            file = io.BytesIO()
            rows = means[means["source"] == source]
            _map(rows, "mean", scale, metric(metric_name, base).label, "", few=True).savefig(file, format="png", dpi=70)
            images[source] = file.getvalue()
    return images


def _choose(frame: pd.DataFrame, wanted: dict[str, str]) -> pd.DataFrame:
    """Rows with these values; UnknownNameError listing the stored ones where there are none."""
    for column, value in wanted.items():
        found = frame[frame[column] == value]
        if found.empty:
            stored = ", ".join(sorted(frame[column].unique())) or "none"
            raise UnknownNameError(f"no country means of {column.replace('_', ' ')} {value!r}; there are {stored}")
        frame = found
    return frame


def _pair(table: pd.DataFrame, a: tuple[str, str], b: tuple[str, str]) -> pd.DataFrame:
    """Differences a - b as rows with mean, ci_low and ci_high, whichever way round they are stored."""

    def of(first: tuple[str, str], second: tuple[str, str]) -> pd.DataFrame:
        keys = ("model_version_a", "condition_a", "model_version_b", "condition_b")
        here = (table[list(keys)] == [*first, *second]).all(axis=1)
        return table[here].rename(columns={"difference": "mean"})

    forward, backward = of(a, b), of(b, a)
    if forward.empty and backward.empty:
        raise UnknownNameError(
            f"the comparison of {a[0]}, {a[1]} with {b[0]}, {b[1]} is not stored in similarity.model_comparison"
        )
    if not forward.empty:
        return forward
    ends = -backward[["ci_high", "ci_low"]].to_numpy()
    return backward.assign(mean=-backward["mean"], ci_low=ends[:, 0], ci_high=ends[:, 1])


def _style() -> Any:
    import matplotlib as mpl

    mpl.use("agg")
    return mpl.rc_context(_STYLE)  # type: ignore[arg-type]


def _rings(path: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, pair.split(","))) for pair in ring.split("L")]  # type: ignore[misc]
        for ring in re.findall(r"M([^Z]+)Z", path)
    ]


def _area(path: str) -> float:
    total = 0.0
    for ring in _rings(path):
        total += sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True))
    return abs(total / 2)


def _patch(path: str, **style: Any) -> Any:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    # The last vertex of a closed path is not drawn to.
    closed = (Outline([*ring, ring[0]], closed=True) for ring in _rings(path))
    return PathPatch(Outline.make_compound_path(*closed), **style)


def _map(rows: pd.DataFrame, column: str, scale: Scale, label: str, title: str, *, few: bool = False) -> "Figure":
    """Countries in their class's colour; hatched where few questions are behind it, or the interval includes 0."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Patch

    figure = Figure(figsize=(7.2, 3.9))
    axes = figure.add_axes((0.01, 0.13, 0.98, 0.78))
    axes.set_xlim(0, outlines.WIDTH)
    axes.set_ylim(outlines.height(), 0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    edge = _patch(outlines.edge(), facecolor="#f4f6f9", edgecolor="none")
    axes.add_patch(edge)
    shapes, points = outlines.outlines(), outlines.points()
    values = rows.drop_duplicates("country").set_index("country")
    for code, path in shapes.items():
        if code not in values.index or _area(path) < _TOO_SMALL:
            axes.add_patch(_patch(path, facecolor=_LAND, edgecolor="white", linewidth=0.3)).set_clip_path(edge)
    for code, row in ((str(code), row) for code, row in values.iterrows()):
        style: dict[str, Any] = {"facecolor": scale.colour(row[column]), "edgecolor": "white", "linewidth": 0.3}
        doubtful = row["n_questions"] < FEW_QUESTIONS if few else not (row["ci_low"] > 0 or row["ci_high"] < 0)
        if doubtful:
            # The hatching takes the edge's colour.
            style |= {"hatch": "/////", "edgecolor": (0, 0, 0, 0.55), "linewidth": 0.2}
        path = shapes.get(code, "")
        if path and _area(path) >= _TOO_SMALL:
            axes.add_patch(_patch(path, **style)).set_clip_path(edge)
        elif code in points:
            circle = Circle(points[code], 4, zorder=3, **(style | {"edgecolor": "black", "linewidth": 0.4}))
            axes.add_patch(circle)
    axes.set_title(title, fontsize=8, loc="left")
    _colour_bar(figure.add_axes((0.06, 0.085, 0.45, 0.025)), scale, label)
    meaning = f"fewer than {FEW_QUESTIONS} questions" if few else "interval includes 0"
    keys = [
        Patch(facecolor=_LAND, edgecolor="#8a8d96", linewidth=0.4, label="not surveyed" if few else "not compared"),
        Patch(facecolor=_LAND, edgecolor="#555555", hatch="/////", linewidth=0.4, label=meaning),
    ]
    figure.legend(handles=keys, loc="lower right", ncols=2, frameon=False, bbox_to_anchor=(0.985, 0.04), fontsize=7)
    return figure


def _colour_bar(axes: "Axes", scale: Scale, label: str) -> None:
    for place, colour in enumerate(scale.colours):
        axes.barh(0, 1, left=place, height=1, color=colour, edgecolor="white", linewidth=0.4)
    axes.set_xlim(0, len(scale.colours))
    axes.set_ylim(-0.5, 0.5)
    axes.set_xticks(range(len(scale.breaks)), [f"{value:g}".replace("-", "−") for value in scale.breaks], fontsize=6.5)
    axes.set_yticks([])
    axes.tick_params(length=0, pad=1.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(label, fontsize=7, labelpad=1, loc="left")


def _ranking(
    rows: pd.DataFrame, names: "pd.Series[str]", named: Metric, scale: Scale, title: str, label: str | None = None
) -> "Figure":
    """Countries from the closest down, mean and interval; in columns where there are many."""
    from matplotlib.figure import Figure

    ordered = rows.sort_values(["mean", "country"], ascending=[named.closer == "lower" and label is None, True])
    per_column = 48
    n_columns = -(-len(ordered) // per_column)
    height = 0.6 + 0.135 * min(len(ordered), per_column)
    figure = Figure(figsize=(max(3.6, 2.6 * n_columns), height), layout="constrained")
    grid = figure.subplots(1, n_columns, squeeze=False)[0]
    low = ordered[["mean", "ci_low"]].min().min()
    high = ordered[["mean", "ci_high"]].max().max()
    margin = 0.03 * (high - low or 1)
    for number, axes in enumerate(grid):
        part = ordered.iloc[number * per_column : (number + 1) * per_column]
        for place, row in enumerate(part.to_dict("records")):
            if pd.notna(row["ci_low"]):
                axes.plot([row["ci_low"], row["ci_high"]], [place, place], color="#444444", linewidth=0.9, zorder=1)
            axes.scatter(
                row["mean"], place, s=13, color=scale.colour(row["mean"]), edgecolor="black", linewidth=0.4, zorder=2
            )
        labels = [
            f"{names.get(row['country'], row['country'])}{'†' if row['n_questions'] < FEW_QUESTIONS else ''}"
            for row in part.to_dict("records")
        ]
        axes.set_yticks(range(len(part)), labels, fontsize=6)
        axes.set_ylim(max(len(part), min(len(ordered), per_column)) - 0.4, -0.6)
        axes.set_xlim(low - margin, high + margin)
        axes.tick_params(axis="x", labelsize=6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#dddddd", linewidth=0.4)
        axes.set_axisbelow(True)
        if label is not None:
            axes.axvline(0, color="#777777", linewidth=0.6, linestyle=(0, (2, 2)))
    few = bool((ordered["n_questions"] < FEW_QUESTIONS).any())
    confidence = f"{ordered['confidence'].iloc[0] * 100:g} % intervals"
    note = f"; † fewer than {FEW_QUESTIONS} questions" if few else ""
    figure.suptitle(title, fontsize=7.5, x=0.01, ha="left")
    figure.supxlabel(f"{label or named.label}; {confidence}{note}", fontsize=7)
    return figure


def _save(figure: "Figure", out: Path, stem: str, formats: Sequence[str]) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for form in formats:
        path = out / f"{stem}.{form}"
        metadata = {"Date": None, "Creator": "opinion_assets"} if form == "svg" else {"Software": "opinion_assets"}
        figure.savefig(path, format=form, dpi=DPI, metadata=metadata, facecolor="white")
        written.append(path)
    return written
