"""What feedback gave for what it cost: L2 gained over exposure alone, per word said, per word and FLOP of the parent's.

A condition is set against the run of exposure alone (clm) with the same seed, which heard the same clm batches: what it
has gained at its last evaluation is what feedback added. Divided by what was spent on feedback, kinds compare that cost
very different things. Over seeds: the mean of each seed's own gain or quotient, with t interval. Reads files only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bambino.analysis.curves import direction
from bambino.analysis.statistics import t_interval
from bambino.errors import ResultsError
from bambino.measures import Interval
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run
from bambino.runs.names import condition_of
from bambino.runs.record import read_run

SAME_BATCHES = ("clm_tokens", "words_heard")
"""Totals that are equal where the same clm batches were heard."""


@dataclass(frozen=True)
class Price:
    """Something that is spent on feedback."""

    total: str
    """Its name among a run's totals."""
    unit: float
    """Gains are told per so many of it."""
    name: str
    """So many of it, in words."""


PRICES = (
    Price("words_said", 1e6, "million words said"),
    Price("words_written_by_parent", 1e6, "million words that the parent wrote"),
    Price("parent_tokens", 1e6, "million tokens that the parent read"),
    Price("parent_flops", 1e15, "10¹⁵ FLOPs of the parent"),
)


@dataclass(frozen=True)
class MeasuredRun:
    """What the meter needs of a run."""

    condition: str
    seed: int
    value: float
    """The measure at the last evaluation."""
    totals: Mapping[str, float]
    """Costs, without `total/`."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds."""

    mean: float
    interval: Interval | None
    """None: one seed."""


@dataclass(frozen=True)
class Reading:
    """What a condition gained over exposure alone, and what for."""

    condition: str
    seeds: tuple[int, ...]
    gain: Estimate
    """In the measure's unit; positive is better."""
    spent: Mapping[str, float]
    """Total of a price -> mean over seeds; what was not counted is left out."""
    per: Mapping[str, Estimate]
    """Total of a price -> gained per unit of it; where nothing was spent it is left out."""


@dataclass(frozen=True)
class Meter:
    """All conditions against one."""

    measure: str
    baseline: str
    readings: Sequence[Reading]
    left_out: Mapping[str, str]
    """Condition -> why it does not compare."""


def read_measured(path: str | Path, measure: str) -> MeasuredRun:
    """A run directory, or the small result file of one (`bambino.experiments.summary`).

    A run's condition is its name without `-SEED` at the end (`condition_of`).

    Raises:
        ResultsError: it is neither, or holds no such measure.
    """
    content = result_of(path)
    try:
        evaluations, costs = content["evaluations"], content["costs"]
        seed = content["settings"].get("seed", Recipe().seed)
        name = str(content["run"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path} is no result file of a run: {error} is missing.") from None
    key = f"eval/{measure}"
    if not evaluations or evaluations[-1].get(key) is None:
        there = ", ".join(key.removeprefix("eval/") for key in (evaluations or [{}])[-1] if key.startswith("eval/"))
        raise ResultsError(f"{path} has no measure {measure} at its end. It has: {there or 'none'}.")
    totals = {name.removeprefix("total/"): float(value) for name, value in costs.items()}
    return MeasuredRun(condition_of(name, seed), seed, float(evaluations[-1][key]), totals)


def feedback_meter(runs: Sequence[MeasuredRun], measure: str, baseline: str = "clm") -> Meter:
    """Every condition against the baseline, seed by seed.

    Raises:
        ResultsError: no run is of the baseline, or two are of one condition and seed.
        CurveError: more of the measure is neither better nor worse.
    """
    by_condition: dict[str, dict[int, MeasuredRun]] = {}
    for run in runs:
        if run.seed in by_condition.setdefault(run.condition, {}):
            raise ResultsError(f"Two runs are {run.condition} with seed {run.seed}. Give one of them.")
        by_condition[run.condition][run.seed] = run
    if baseline not in by_condition:
        raise ResultsError(f"No run is of {baseline}. There are: {', '.join(by_condition)}. Name another: --over NAME")
    readings, left_out = [], {}
    before = by_condition.pop(baseline)
    for condition, after in by_condition.items():
        pairs = [(before[seed], after[seed]) for seed in sorted(before.keys() & after.keys())]
        if why := _why_not(pairs, baseline):
            left_out[condition] = why
        else:
            readings.append(_reading(condition, pairs, direction(measure)))
    return Meter(measure, baseline, readings, left_out)


def _why_not(pairs: Sequence[tuple[MeasuredRun, MeasuredRun]], baseline: str) -> str:
    """Why runs do not compare, in words; empty where they do."""
    if not pairs:
        return f"no seed in common with {baseline}"
    for before, after in pairs:
        for total in SAME_BATCHES:
            if total in before.totals and total in after.totals and before.totals[total] != after.totals[total]:
                other = f"{after.totals[total]:,.0f} {total.replace('_', ' ')}, {baseline} {before.totals[total]:,.0f}"
                return f"other clm batches than {baseline} with seed {after.seed}: {other}"
    return ""


def _reading(condition: str, pairs: Sequence[tuple[MeasuredRun, MeasuredRun]], sign: int) -> Reading:
    gains = [sign * (after.value - before.value) for before, after in pairs]
    spent = {
        price: [after.totals[price.total] for _, after in pairs]
        for price in PRICES
        if all(price.total in after.totals for _, after in pairs)
    }
    per = {
        price.total: _estimate([price.unit * gain / amount for gain, amount in zip(gains, amounts, strict=True)])
        for price, amounts in spent.items()
        if all(amounts)
    }
    seeds = tuple(after.seed for _, after in pairs)
    means = {price.total: fmean(amounts) for price, amounts in spent.items()}
    return Reading(condition, seeds, _estimate(gains), means, per)


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(fmean(values), t_interval(values))


def result_of(path: str | Path) -> dict[str, Any]:
    """Name, settings, evaluations and costs of a run directory, or of the small result file of one.

    Raises:
        ResultsError: it is neither.
    """
    path = Path(path).expanduser()
    return _of_run(path) if holds_run(path) else _of_file(path)


def _of_run(path: Path) -> dict[str, Any]:
    run = read_run(path)
    return {"run": path.name, "settings": run.settings, "evaluations": run.evaluations, "costs": run.totals}


def _of_file(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem = f"{path} is neither a run directory nor a result file: {error}."
        raise ResultsError(f"{problem} Make one: python -m bambino.experiments.summary --out FOLDER RUN") from None
    if not isinstance(content, dict):
        raise ResultsError(f"{path} is no result file of a run.")
    return content
