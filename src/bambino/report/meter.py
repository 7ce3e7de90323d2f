"""The feedback meter as a table and as one figure: what feedback gained, and what for."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bambino.analysis.feedback_meter import PRICES, Estimate, Meter
from bambino.report.tables import Rows

COLOUR = "#1f6fb4"


def meter_rows(meter: Meter) -> Rows:
    """A row a condition: seeds, the gain, and the gain per unit of each price; empty where nothing was spent."""
    rows = [["condition", "seeds", "gain", *(f"per {price.name}" for price in PRICES)]]
    for reading in meter.readings:
        per = [reading.per.get(price.total) for price in PRICES]
        rows.append([reading.condition, str(len(reading.seeds)), *map(shown, [reading.gain, *per])])
    return rows


def spent_rows(meter: Meter) -> Rows:
    """A row a condition: what it spent, mean over seeds, in the units of the prices."""
    rows = [["condition", *(price.name for price in PRICES)]]
    for reading in meter.readings:
        spent = [(price, reading.spent.get(price.total)) for price in PRICES]
        amounts = ["" if amount is None else f"{amount / price.unit:.3g}" for price, amount in spent]
        rows.append([reading.condition, *amounts])
    return rows


def shown(estimate: Estimate | None) -> str:
    """A mean with its interval, as far as there are any."""
    if estimate is None:
        return ""
    if estimate.interval is None:
        return f"{estimate.mean:+.3g}"
    return f"{estimate.mean:+.3g} [{estimate.interval.low:+.3g}, {estimate.interval.high:+.3g}]"


def draw_meter(meter: Meter) -> Figure:
    """One figure: the gain, then the gain per unit of each price that some condition spent, side by side."""
    prices = [price for price in PRICES if any(price.total in reading.per for reading in meter.readings)]
    names = [reading.condition for reading in meter.readings]
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
    axes.set_title(title, fontsize=9, loc="left", wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
