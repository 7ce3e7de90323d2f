"""Curves with bands over shaded stretches, several panels to a figure. PNG for talks, SVG for pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatterMathtext

from bambino.printable import printable


@dataclass(frozen=True)
class PlottedCurve:
    """One line with what surrounds it."""

    label: str
    colour: str
    marker: str
    x: Sequence[float]
    runs: Sequence[Sequence[float]]
    """A row of values at `x` per run; the line is their mean, the band reaches from the lowest to the highest."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    curves: Sequence[PlottedCurve]
    level: tuple[float, str] | None = None
    """A dashed horizontal line and what it is called."""
    is_log: bool = False
    """Whether the y axis is logarithmic."""
    reaches: tuple[float, float] | None = None
    """Values that the y axis holds in any case."""


def draw(panels: Sequence[Panel], shaded: Sequence[tuple[float, float]], x_title: str, columns: int = 2) -> Figure:
    """A figure of panels that share their x axis, on which the stretches (begin, end) are shaded."""
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.5 * columns, 3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for number, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
        for begin, end in shaded:
            axes.axvspan(begin, end, color="#000000", alpha=0.06, linewidth=0)
        _draw_panel(axes, panel)
        if number == 0 or panel.level is not None:
            axes.legend(frameon=False, fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel(x_title)
    return figure


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write NAME.png and NAME.svg, the same bytes for the same figure; returns the latter's path.

    Labels are text, whoever wrote it: `$` begins no formula in them, and control characters are escaped (names at ticks
    are escaped by who sets them: an axis writes them anew whenever it is drawn). Powers of ten at an axis are its own
    formulas.
    """
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    numbers = {
        label
        for axis in axes
        if isinstance(axis.get_major_formatter(), LogFormatterMathtext)
        for label in axis.get_ticklabels(which="both")
    }
    for text in set(figure.findobj(Text)) - numbers:
        text.set_parse_math(False)
        text.set_text(printable(text.get_text()))
    with matplotlib.rc_context({"svg.hashsalt": "bambino"}):
        figure.savefig(folder / f"{name}.png", dpi=140)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return folder / f"{name}.svg"


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for curve in panel.curves:
        columns = list(zip(*curve.runs, strict=True))
        axes.plot(
            curve.x, [fmean(c) for c in columns], color=curve.colour, marker=curve.marker, markersize=4,
            label=curve.label,
        )  # fmt: skip
        if len(curve.runs) > 1:
            low, high = [min(c) for c in columns], [max(c) for c in columns]
            axes.fill_between(curve.x, low, high, color=curve.colour, alpha=0.15, linewidth=0)
    if panel.level is not None:
        value, name = panel.level
        axes.axhline(value, color="#555555", linestyle="--", linewidth=1, label=name)
    if panel.is_log:
        axes.set_yscale("log")
    if panel.reaches is not None:
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom=min(bottom, panel.reaches[0]), top=max(top, panel.reaches[1]))
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
