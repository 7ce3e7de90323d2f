"""What happened in the steps: reward, KL, entropy, clip fraction, update norms; then every other number."""

from __future__ import annotations

from collections.abc import Sequence

from bambino.report.charts import lines
from bambino.report.page import Charts, Figure, Folded, Part, Section, Words
from bambino.report.reported import Reported, numbers
from bambino.report.series import Band, points_each, shaded, step_bands

FIRST = ("reward", "kl", "entropy", "clip_fraction", "update_norm", "loss")
"""What is shown unfolded of each phase, in this order."""
LEFT_OUT = ("kind", "step", "clm/batch")
NOT_PHASES = ("total/", "time/")


def steps(reported: Reported) -> Section | None:
    """A figure for each number of steps."""
    names = dict.fromkeys(name for run in reported.runs for row in run.record.steps for name in numbers(row))
    names = {name: None for name in names if name not in LEFT_OUT and not name.startswith(NOT_PHASES)}
    bands = {name: found for name in names if (found := step_bands(reported, name))}
    if not bands:
        return None
    most = points_each(sum(map(len, bands.values())))
    first = sorted(
        (name for name in bands if _rank(name) < len(FIRST)),
        key=lambda name: (name.split("/")[0] == "clm", _rank(name)),
    )
    others = [name for name in bands if name not in first]
    parts: list[Part] = [Words(_how(bands, most), "small"), _charts(reported, bands, first, most)]
    if others:
        parts.append(Folded(f"All other numbers of steps ({len(others)})", [_charts(reported, bands, others, most)]))
    return Section("Feedback and updates, step by step", parts)


def _charts(reported: Reported, bands: dict[str, list[Band]], names: Sequence[str], most: int) -> Charts:
    figures, (blocks, _) = [], shaded(reported)
    for name in names:
        thin = [one.thinned(most) for one in bands[name]]
        along = {"step": {one.condition: one.step for one in thin}}
        figures.append(Figure(name, lines(thin, reported.conditions, along, blocks=blocks)))
    return Charts(figures, reported.conditions)


def _rank(name: str) -> int:
    what = name.partition("/")[2]
    return FIRST.index(what) if what in FIRST else len(FIRST)


def _how(bands: dict[str, list[Band]], most: int) -> str:
    longest = max(len(one.step) for those in bands.values() for one in those)
    thin = (
        f" Of {longest:,} steps, {most} of each line are drawn, chosen so that it looks alike."
        if longest > most
        else ""
    )
    return f"Names as in metrics.jsonl; docs/metrics.md says what each is, its unit and what is healthy.{thin}"
