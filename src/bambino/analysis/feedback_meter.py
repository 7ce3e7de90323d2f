"""What feedback gave for what it cost: L2 gained over exposure alone, per word said, per word and FLOP of the parent's.

A condition is set against the run of exposure alone (clm) with the same seed, which heard the same clm batches: what
its model has gained is what feedback added. Divided by what was spent on feedback, kinds compare that cost very
different things. Over seeds: the mean of each seed's own gain or quotient, with t interval. Reads files only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bambino.analysis.curves import direction
from bambino.analysis.statistics import t_interval
from bambino.errors import ResultsError
from bambino.files import json_of
from bambino.measures import Interval
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run
from bambino.runs.names import condition_of
from bambino.runs.record import read_run

TUNING = "tuning"
"""Stage of an experiment's trials, which compare with nothing."""


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
    """The measure of the model that the run left."""
    totals: Mapping[str, float]
    """Costs, without `total/`."""
    batches: str = ""
    """Two letters for each clm batch, the same for the same batch; empty of runs that did not write them down."""


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


def read_measured(paths: Sequence[str | Path], measure: str) -> list[MeasuredRun]:
    """Runs from their directories, from their result files (`bambino.experiments.summary`), or from folders of those.

    Trials of tuning are passed over, and in a folder what is no result of a run. A run's condition stands in its result
    file, or in the run's name (`condition_of`).

    Raises:
        ResultsError: a path is none of these, or a run has no such measure.
    """
    results = [found for path in paths for found in results_of(path)]
    return [_measured(path, content, measure) for path, content in results if content.get("stage") != TUNING]


def _measured(path: Path, content: Mapping[str, Any], measure: str) -> MeasuredRun:
    try:
        by_step = {row["step"]: dict(row) for row in content["evaluations"]}
        totals = {total.removeprefix("total/"): float(amount) for total, amount in content["costs"].items()}
        row = by_step.get(content.get("model_step", next(reversed(by_step), None)), {})
        name, seed = str(content["run"]), int(content["settings"].get("seed", Recipe().seed))
    except KeyError as error:
        raise ResultsError(f"{path} is no result file of a run: {error} is missing.") from None
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ResultsError(f"{path} is no result file of a run: {error}.") from None
    value = row.get(f"eval/{measure}")
    if not isinstance(value, int | float):
        there = ", ".join(key.removeprefix("eval/") for key in row if key.startswith("eval/"))
        raise ResultsError(f"{path} has no measure {measure} of its model. It has: {there or 'none'}.")
    condition = str(content.get("condition") or condition_of(name, seed))
    return MeasuredRun(condition, seed, float(value), totals, str(content.get("batches", "")))


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
        mine, yours = ((run.batches, run.totals.get("clm_tokens")) for run in (after, before))
        if mine[0] != yours[0] if mine[0] and yours[0] else mine[1] != yours[1]:
            return f"with seed {after.seed} it heard other clm batches than {baseline}"
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


def results_of(path: str | Path) -> list[tuple[Path, dict[str, Any]]]:
    """Name, settings, evaluations and costs of a run directory, of the small result file of one, or of all in a folder.

    What else an experiment leaves beside its results (tuning.json, answer.json) is passed over; in a folder, whatever
    is no result of a run.

    Raises:
        ResultsError: it is none of these.
    """
    path = Path(path).expanduser()
    if holds_run(path):
        return [(path, _of_run(path))]
    if os.path.isdir(path):
        found = [(inner, _of_file(inner)) for inner in sorted(path.glob("*.json"))]
        return [(inner, content) for inner, content in found if "evaluations" in content]
    content = _of_file(path)
    return [] if "experiment" in content and "run" not in content else [(path, content)]


def _of_run(path: Path) -> dict[str, Any]:
    run = read_run(path)
    return {
        "run": path.name,
        "settings": run.settings,
        "evaluations": run.evaluations,
        "costs": run.totals,
        "batches": run.batches,
        "model_step": run.model_step,
    }


def _of_file(path: Path) -> dict[str, Any]:
    try:
        content = json_of(path.read_bytes())
    except (OSError, ValueError) as error:
        problem = f"{path} is neither a run directory nor a result file: {error}."
        raise ResultsError(f"{problem} Make one: python -m bambino.experiments.summary --out FOLDER RUN") from None
    if not isinstance(content, dict):
        raise ResultsError(f"{path} is no result file of a run.")
    return content
