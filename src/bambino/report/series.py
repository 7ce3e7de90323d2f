"""Numbers along runs, for charts: mean over a condition's seeds, from the lowest to the highest, few enough to draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from bambino.report.reported import Reported, SeedRun

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


def values_of(rows: Iterable[Mapping[str, Any]], metric: str) -> dict[int, float]:
    """The finite numbers of a metric, by steps done."""
    return {
        row["step"]: float(row[metric])
        for row in rows
        if isinstance(row.get(metric), int | float) and math.isfinite(row[metric])
    }


def evaluation_bands(reported: Reported, metric: str) -> list[Band]:
    """A metric of evaluations, a band a condition; those without it are left out."""
    found = (
        band(condition, [values_of(run.record.evaluations, metric) for run in reported.of(condition)])
        for condition in reported.conditions
    )
    return [one for one in found if one is not None]


def step_bands(reported: Reported, metric: str) -> list[Band]:
    """A metric of steps, a band a condition; those without it are left out."""
    found = (
        band(condition, [values_of(run.record.steps, metric) for run in reported.of(condition)])
        for condition in reported.conditions
    )
    return [one for one in found if one is not None]


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

    begin: int
    """Steps done before it."""
    end: int
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


def shaded(reported: Reported) -> list[Block]:
    """The blocks that all conditions with any share, few enough to be told apart; else none."""
    longest = [max(map(blocks, reported.of(condition)), key=len) for condition in reported.conditions]
    answered = [those for those in longest if those]
    same = answered and all(those == answered[0] for those in answered)
    return answered[0] if same and len(answered[0]) <= MOST_BLOCKS else []
