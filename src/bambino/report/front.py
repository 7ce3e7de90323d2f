"""The front as a table and as a figure: L2 gained against L1 lost."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from bambino.analysis.feedback_meter import Estimate
from bambino.analysis.fronts import ConditionPoint
from bambino.report.documents import signed
from bambino.report.tables import Rows

ON, OFF = "#1f6fb4", "#999999"


def front_rows(points: Sequence[ConditionPoint]) -> Rows:
    """A row a condition, by rising gain; a star marks those on the front."""
    rows = [["condition", "seeds", "L2 gain", "L1 loss", "front"]]
    for point in points:
        star = "*" if point.on_front else ""
        rows.append([point.condition, str(point.seeds), signed(point.l2_gain), signed(point.l1_loss), star])
    return rows


def draw_front(points: Sequence[ConditionPoint], l1: str, l2: str) -> Figure:
    """Every condition by L2 gain and L1 loss with 95 % intervals over seeds; a line along the front."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    best = [point for point in points if point.on_front]
    axes.plot([p.l2_gain.mean for p in best], [p.l1_loss.mean for p in best], color=ON, linewidth=1)
    for point in points:
        colour, gain, loss = ON if point.on_front else OFF, point.l2_gain, point.l1_loss
        axes.plot([gain.mean], [loss.mean], marker="o", markersize=5, color=colour)
        axes.plot(_ends(gain), [loss.mean] * 2, color=colour, linewidth=1)
        axes.plot([gain.mean] * 2, _ends(loss), color=colour, linewidth=1)
        axes.annotate(point.condition, (gain.mean, loss.mean), (4, 4), textcoords="offset points", fontsize=8)
    axes.axhline(0, color="#555555", linestyle="--", linewidth=1)
    axes.set_xlabel(f"gained in {l2}")
    axes.set_ylabel(f"lost in {l1}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _ends(estimate: Estimate) -> list[float]:
    interval = estimate.interval
    return [estimate.mean] * 2 if interval is None else [interval.low, interval.high]
