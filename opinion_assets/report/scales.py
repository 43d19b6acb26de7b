"""Colours and colour classes that the page and the figures share, and how metrics are named.

Does not belong here: drawing.
"""

import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

# viridis (van der Walt & Smith 2015) and PuOr (ColorBrewer, Brewer 2002) as matplotlib has them: ordered in lightness,
# or lightest in the middle, and told apart with any kind of colour-blindness and in grey print; no class is grey.
SEQUENTIAL = "viridis"
DIVERGING = "PuOr"
_SEQUENTIAL = [
    "#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725",
]  # fmt: skip
_DIVERGING = [
    "#7f3b08", "#b25706", "#e08214", "#fcb761", "#fee0b6", "#f6f6f7", "#d8daeb", "#b1aad1", "#8073ac", "#532687",
    "#2d004b",
]  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Colour classes: n + 1 increasing ``breaks`` bound n classes, whose ``colours`` are hex codes."""

    breaks: tuple[float, ...]
    colours: tuple[str, ...]

    def colour(self, value: float) -> str:
        """Colour of a value; values beyond the outer breaks get the outer classes."""
        place = int(np.searchsorted(self.breaks, value, side="right")) - 1
        return self.colours[min(max(place, 0), len(self.colours) - 1)]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _step(span: float, classes: int) -> float:
    """The round number (1, 2, 2.5 or 5 times a power of ten) next above span / classes."""
    rough = max(span, 0.01) / classes
    power = 10.0 ** math.floor(math.log10(rough))
    return next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * (1 - 1e-9))


def _pick(colours: list[str], n: int) -> tuple[str, ...]:
    """n colours at even steps, between neighbours of the list by linear interpolation."""
    if n == 1:
        return (colours[len(colours) // 2],)
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], dtype=float)
    at = np.linspace(0, len(colours) - 1, n)
    mixed = [np.interp(at, np.arange(len(colours)), rgb[:, channel]) for channel in range(3)]
    return tuple("#" + "".join(f"{round(value):02x}" for value in row) for row in zip(*mixed, strict=True))


def sequential(low: float, high: float) -> Scale:
    """At most eight classes with round bounds over low to high.

    >>> sequential(0.41, 0.72).breaks
    (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
    """
    step = _step(high - low, 7)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    breaks = tuple(round(i * step, 10) for i in range(first, last + 1))
    return Scale(breaks, _pick(_SEQUENTIAL, len(breaks) - 1))


def diverging(largest: float) -> Scale:
    """Eight classes with round bounds, the same on both sides of 0, up to at least ``largest``.

    >>> diverging(0.17).breaks
    (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
    """
    step = _step(abs(largest), 4)
    breaks = tuple(round(i * step, 10) for i in range(-4, 5))
    colours = _pick(_DIVERGING[:5], 4) + _pick(_DIVERGING[6:], 4)
    return Scale(breaks, colours)


@dataclass(frozen=True)
class Metric:
    """How a metric is named; ``closer`` is higher, lower or none."""

    metric: str
    base: str
    label: str
    short: str
    closer: str
    text: str


@cache
def _named() -> dict[tuple[str, str], Metric]:
    entries = yaml.safe_load(Path(__file__).with_name("metrics.yaml").read_text(encoding="utf-8"))
    return {(entry["metric"], entry["base"]): Metric(**entry) for entry in entries}


def metric(name: str, base: str) -> Metric:
    """The metric's names; one that metrics.yaml does not know is called by its column values and has no direction."""
    label = f"{name.replace('_', ' ')}{f', base {base}' if base else ''}"
    return _named().get((name, base)) or Metric(name, base, label, label, "none", "")


def default_base(name: str) -> str:
    """The base of a metric that comes first in metrics.yaml; none for a metric it does not know."""
    return next((base for known, base in _named() if known == name), "")


def in_order(names: set[tuple[str, str]]) -> list[Metric]:
    """Those metrics in the order of metrics.yaml, unknown ones last."""
    known = list(_named())
    return [
        metric(*name)
        for name in sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))
    ]
