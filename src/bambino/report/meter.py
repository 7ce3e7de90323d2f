"""The feedback meter as a table and as one figure: what feedback gained, and what for."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bambino.analysis.feedback_meter import PRICES, Estimate, Meter
from bambino.printable import printable
from bambino.report.tables import Rows

COLOUR = "#1f6fb4"


def meter_rows(meter: Meter) -> Rows:
    """Of each condition a row with its gain, then one for each price it paid: how much, and the gain per unit of it."""
    rows = [["condition", "gained", "per", "spent"]]
    for reading in meter.readings:
        seeds = f"{len(reading.seeds)} seed{'s' if len(reading.seeds) > 1 else ''}"
        rows.append([f"{reading.condition} ({seeds})", shown(reading.gain), "", ""])
        paid = [price for price in PRICES if price.total in reading.per]
        rows += [
            ["", shown(reading.per[price.total]), price.name, f"{reading.spent[price.total] / price.unit:.3g}"]
            for price in paid
        ]
    return rows


def shown(estimate: Estimate) -> str:
    """A mean with its interval, where there is one."""
    if estimate.interval is None:
        return f"{estimate.mean:+.3g}"
    return f"{estimate.mean:+.3g} [{estimate.interval.low:+.3g}, {estimate.interval.high:+.3g}]"


def draw_meter(meter: Meter) -> Figure:
    """One figure: the gain, then the gain per unit of each price that some condition spent, side by side."""
    prices = [price for price in PRICES if any(price.total in reading.per for reading in meter.readings)]
    names = [printable(reading.condition) for reading in meter.readings]
    figure = Figure(figsize=(2 + 2.6 * (1 + len(prices)), 1.6 + 0.35 * len(names)), layout="constrained")
    (row,) = figure.subplots(1, 1 + len(prices), sharey=True, squeeze=False)
    _draw(row[0], f"gain over {meter.baseline}", [reading.gain for reading in meter.readings])
    for axes, price in zip(row[1:], prices, strict=True):
        _draw(axes, f"per {price.name}", [reading.per.get(price.total) for reading in meter.readings])
    row[0].set_yticks(range(len(names)), names)
    row[0].invert_yaxis()
    figure.supxlabel(f"{meter.measure}, positive is better; 95 % intervals over seeds", fontsize=9)
    return figure


def _draw(axes: Axes, title: str, estimates: Sequence[Estimate | None]) -> None:
    axes.axvline(0, color="#555555", linestyle="--", linewidth=1)
    for place, estimate in enumerate(estimates):
        if estimate is not None:
            axes.plot([estimate.mean], [place], marker="o", markersize=5, color=COLOUR)
            if estimate.interval is not None:
                axes.plot([estimate.interval.low, estimate.interval.high], [place, place], color=COLOUR)
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(title, fontsize=9, loc="left", wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
