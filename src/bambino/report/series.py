"""Numbers along runs, for charts: mean over a condition's seeds, from the lowest to the highest, few enough to draw."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from bambino.report.reported import Reported, SeedRun
from bambino.runs.record import RunRecord

MOST_POINTS = 200
"""Points that are drawn of a curve."""
LEAST_POINTS = 40
POINTS = 40_000
"""Points of a page, roughly; of many curves each gets fewer."""
MOST_BLOCKS = 60
"""Blocks of a phase that can be told apart when they are shaded."""

Values = Mapping[int, float]
"""Steps done -> a number of one run."""


@dataclass(frozen=True)
class Band:
    """A number of a condition along its runs; all fields of one length."""

    condition: str
    step: tuple[int, ...]
    mean: tuple[float, ...]
    """Over the runs that have a number at that step."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: tuple[int, ...]
    """How many runs that are."""

    def picked(self, places: Sequence[int]) -> Band:
        """The same at fewer places."""
        columns = (self.step, self.mean, self.low, self.high, self.seeds)
        return Band(self.condition, *(tuple(column[i] for i in places) for column in columns))  # type: ignore[arg-type]

    def thinned(self, most: int) -> Band:
        """The same with `most` points at most, as they look most alike (`largest_triangles`)."""
        return self.picked(largest_triangles(self.step, self.mean, most))


def band(condition: str, runs: Sequence[Values]) -> Band | None:
    """The number over the runs of a condition; None where no run has any."""
    runs = _ending_together(runs)
    steps = sorted({step for values in runs for step in values})
    if not steps:
        return None
    there = [[values[step] for values in runs if step in values] for step in steps]
    return Band(
        condition,
        tuple(steps),
        tuple(map(fmean, there)),
        tuple(map(min, there)),
        tuple(map(max, there)),
        tuple(map(len, there)),
    )


def _ending_together(runs: Sequence[Values]) -> Sequence[Values]:
    """Runs with as many numbers have their last at one step, that of the longest.

    A seed that keeps more lines of a text ends some steps later.
    """
    if len({len(values) for values in runs}) > 1 or not all(runs):
        return runs
    end = max(map(max, runs))
    return [{end if step == max(values) else step: number for step, number in values.items()} for values in runs]


def values_of(rows: Iterable[Mapping[str, Any]], metric: str) -> dict[int, float]:
    """The finite numbers of a metric, by steps done."""
    return {
        row["step"]: float(row[metric])
        for row in rows
        if isinstance(row.get(metric), int | float) and math.isfinite(row[metric])
    }


def evaluation_bands(reported: Reported, metric: str) -> list[Band]:
    """A metric of evaluations, a band a condition; those without it are left out."""
    return _bands(reported, lambda run: values_of(run.record.evaluations, metric))


def step_bands(reported: Reported, metric: str) -> list[Band]:
    """A metric of steps, a band a condition; those without it are left out."""
    return _bands(reported, lambda run: values_of(run.record.steps, metric))


def _bands(reported: Reported, values: Callable[[SeedRun], Values]) -> list[Band]:
    found = (band(condition, list(map(values, reported.of(condition)))) for condition in reported.conditions)
    return [one for one in found if one is not None]


def places(reported: Reported, one: Band) -> dict[str, list[float]]:
    """What may stand along x at a band's points: steps done, and mean over runs the L2 words heard and FLOPs spent."""
    runs = [run.record for run in reported.of(one.condition)]
    spent = [_spent(run) for run in runs]
    return {
        "step": [float(step) for step in one.step],
        "words": [fmean(run.words_heard(step) for run in runs) for step in one.step],
        "flops": [fmean(_before(those, step) for those in spent) for step in one.step],
    }


def _spent(run: RunRecord) -> tuple[list[int], list[float]]:
    """Steps done, rising, and the FLOPs spent until then."""
    rows = values_of(run.steps, "total/flops")
    return list(rows), list(rows.values())


def _before(those: tuple[list[int], list[float]], step: int) -> float:
    steps, values = those
    place = bisect_right(steps, step)
    return values[place - 1] if place else 0.0


def points_each(curves: int) -> int:
    """Points of each of so many curves."""
    return max(LEAST_POINTS, min(MOST_POINTS, POINTS // max(1, curves)))


def largest_triangles(x: Sequence[float], y: Sequence[float], most: int) -> list[int]:
    """The places of `most` points at most, the first and the last among them, that look most like all of them.

    Of each of equal stretches the point that makes the largest triangle with the point kept before it and the mean of
    the stretch after it (Largest-Triangle-Three-Buckets, Steinarsson 2013).
    """
    count = len(x)
    if count <= most or most < 3:
        return list(range(count))
    ends = [1 + round(i * (count - 2) / (most - 2)) for i in range(most - 1)]
    kept = [0]
    for i in range(most - 2):
        after = range(ends[i + 1], ends[i + 2] if i + 2 < len(ends) else count)
        there = (fmean(x[j] for j in after), fmean(y[j] for j in after))
        here = (x[kept[-1]], y[kept[-1]])
        kept.append(max(range(ends[i], ends[i + 1]), key=lambda j: _area(here, (x[j], y[j]), there)))
    return [*kept, count - 1]


def _area(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))


@dataclass(frozen=True)
class Block:
    """Steps of one phase on end."""

    begin: float
    """Steps done before it."""
    end: float
    """Steps done after it."""
    phase: str


def blocks(run: SeedRun) -> list[Block]:
    """The stretches of a run in which something else is done than hearing (clm), by the phases of its steps."""
    found = []
    for phase, group in groupby(run.record.steps, lambda row: row["phase"]):
        rows = list(group)
        if phase != "clm":
            found.append(Block(rows[0]["step"] - 1, rows[-1]["step"], phase))
    return found


def shaded(reported: Reported) -> tuple[list[Block], str]:
    """The blocks of one phase that can be shaded, ppo's if they can, and whose they are: all conditions with that phase
    have it at the same steps, in blocks few enough to be told apart. Else none."""
    longest = {name: max(map(blocks, reported.of(name)), key=len) for name in reported.conditions}
    phases = dict.fromkeys(block.phase for those in longest.values() for block in those)
    for phase in sorted(phases, key=lambda phase: phase != "ppo"):
        found = {name: [one for one in those if one.phase == phase] for name, those in longest.items()}
        theirs = {name: those for name, those in found.items() if those}
        first = next(iter(theirs.values()))
        if len(first) <= MOST_BLOCKS and all(those == first for those in theirs.values()):
            return first, f"{phase} of {', '.join(theirs)}" if len(reported.conditions) > 1 else phase
    return [], ""


@dataclass(frozen=True)
class Walk:
    """From one measure to another, over a condition's evaluations."""

    condition: str
    step: tuple[int, ...]
    x: tuple[float, ...]
    """What was gained of L2 since the first evaluation, mean over runs."""
    y: tuple[float, ...]
    """What was lost of L1."""
    ends: Mapping[int, tuple[float, float]]
    """Seed -> where its run stands."""


def walks(reported: Reported) -> list[Walk]:
    """What each condition gained of L2 and lost of L1 over time; those that were not measured by both are left out."""
    if reported.languages is None:
        return []
    found = (_path(reported, condition, *reported.languages) for condition in reported.conditions)
    return [one for one in found if one is not None]


def _path(reported: Reported, condition: str, l1: str, l2: str) -> Walk | None:
    gained, lost, ends = [], [], {}
    for run in reported.of(condition):
        if l1 not in run.curves or l2 not in run.curves or run.curves[l1].steps != run.curves[l2].steps:
            continue
        one, other = run.curves[l1], run.curves[l2]
        gained.append(
            {step: value - other.goodness[0] for step, value in zip(other.steps, other.goodness, strict=True)}
        )
        lost.append({step: one.goodness[0] - value for step, value in zip(one.steps, one.goodness, strict=True)})
        ends[run.seed] = (list(gained[-1].values())[-1], list(lost[-1].values())[-1])
    x, y = band(condition, gained), band(condition, lost)
    return None if x is None or y is None else Walk(condition, x.step, x.mean, y.mean, ends)
