"""A reward audit as a table and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bambino.analysis.reward_audit import KindAudit, Measured
from bambino.printable import in_markdown, printable
from bambino.report.tables import Rows

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
"""Okabe and Ito's, told apart by most who see few colours."""
MARKERS = "os^Dv<>"
"""One fewer than colours, so that as many kinds as 56 look different."""


def audit_rows(audits: Sequence[KindAudit], *, with_intervals: bool) -> Rows:
    """A row a kind; the headings say what each number is."""
    first = audits[0]
    pairs, compared, ways = list(first.pairs), list(first.preferences), list(first.corruption)
    heading = [
        "kind",
        *(f"pairs {name}" for name in pairs),
        *(f"{better} over {worse}" for better, worse in compared),
        "rank correlation with bytes",
        "with words",
        *(f"half {how}" for how in ways),
        "entropy, bits",
        "distinct",
        "batch spread",
        "dead batches",
    ]
    return [heading, *(_row(one, with_intervals) for one in audits)]


def _row(one: KindAudit, with_intervals: bool) -> list[str]:
    preferred = [*one.pairs.values(), *one.preferences.values()]
    half = {how: list(one.lost(how).values())[-1] for how in one.corruption}
    return [
        one.name,
        *(_measured(found, with_intervals) for found in preferred),
        _signed(one.bytes_correlation),
        _signed(one.words_correlation),
        *(f"{_signed(change)}{' falls' if one.falls(how) else ''}" for how, change in half.items()),
        f"{one.entropy:.2f}",
        f"{one.distinct:.2f}",
        f"{one.batch_spread:.3g}",
        f"{one.dead_batches:.2f}",
    ]


def _measured(found: Measured, with_interval: bool) -> str:
    interval = f" [{found.interval.low:.2f}, {found.interval.high:.2f}]" if with_interval else ""
    return f"{found.value:.2f}{interval}"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def turned(rows: Rows) -> Rows:
    """Rows as columns: for a screen, on which few kinds fit beside each other better than many numbers."""
    return [list(column) for column in zip(*rows, strict=True)]


def markdown(rows: Rows) -> str:
    """A table of a document."""
    heading, *others = ([in_markdown(cell) for cell in row] for row in rows)
    lines = [heading, ["---"] * len(heading), *others]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def audit_figure(audits: Sequence[KindAudit]) -> Figure:
    """What each kind prefers, and how far its mean reward falls as words are corrupted."""
    ways = list(audits[0].corruption)
    figure = Figure(figsize=(5.5 * (1 + len(ways)), 4), layout="constrained")
    left, *others = figure.subplots(1, 1 + len(ways), squeeze=False)[0]
    _draw_preferences(left, audits)
    for axes, how in zip(others, ways, strict=True):
        for i, one in enumerate(audits):
            lost = one.lost(how)
            axes.plot([100 * share for share in lost], list(lost.values()), label=one.name, **_look(i))
        axes.set_title(f"Mean reward as words are {how}", fontsize=10, loc="left")
        axes.set_xlabel(f"words {how}, %")
        axes.set_ylabel("change, in standard deviations")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return figure


def _draw_preferences(axes: Axes, audits: Sequence[KindAudit]) -> None:
    """A column of points per comparison, one for each kind, with its interval."""
    first = audits[0]
    names = [f"pairs\n{name}" for name in first.pairs] + [f"{one} over\n{other}" for one, other in first.preferences]
    for i, one in enumerate(audits):
        found = [*one.pairs.values(), *one.preferences.values()]
        places = [place + 0.6 * ((i + 0.5) / len(audits) - 0.5) for place in range(len(found))]
        low = [each.value - each.interval.low for each in found]
        high = [each.interval.high - each.value for each in found]
        axes.errorbar(
            places, [each.value for each in found], yerr=[low, high], linestyle="none", label=one.name,
            elinewidth=1, **_look(i),
        )  # fmt: skip
    axes.axhline(0.5, color="#555555", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(names)), map(printable, names), fontsize=7)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title("The better text earns more: share, chance 0.5", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _look(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4,
    }
