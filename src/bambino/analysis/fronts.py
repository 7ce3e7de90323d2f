"""The front over many runs: what each condition gains of L2 and loses of L1, mean over seeds. Reads files only.

A point is the model that a run left, or a model between the first and the last one of a run (`bambino interpolate`).
Points of one condition with several seeds become one, with t intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bambino.analysis.curves import direction
from bambino.analysis.feedback_meter import Estimate, results_of
from bambino.analysis.interpolation import FILE, load_sweep
from bambino.analysis.statistics import t_interval
from bambino.analysis.trade_offs import front
from bambino.errors import ResultsError
from bambino.recipe.settings import Recipe
from bambino.runs.names import condition_of


@dataclass(frozen=True)
class Point:
    """Where the model that one run left stands, or one between two."""

    condition: str
    """`replay25`; of a model between, `replay25 @ 0.5`."""
    seed: int | None
    l2_gain: float
    """How much better L2 is than the first baby's, in its measure's unit."""
    l1_loss: float
    """How much worse L1 is than the first baby's."""


@dataclass(frozen=True)
class ConditionPoint:
    """All seeds of a condition."""

    condition: str
    seeds: int
    l2_gain: Estimate
    l1_loss: Estimate
    on_front: bool
    """Whether no other condition gains as much for less, or more for as little, by the means."""


def read_points(path: str | Path, l1: str, l2: str) -> list[Point]:
    """The points of a run directory, of its small result file, of a folder of those, or of an interpolation.json.

    Raises:
        ResultsError: it is none of these, or not measured by l1 and l2, or not before its first step.
        CurveError: of a measure more is neither better nor worse.
    """
    if Path(path).name == FILE:
        return _of_sweep(path, l1, l2)
    return [_of_run(found, content, l1, l2) for found, content in results_of(path)]


def _of_run(path: Path, content: Mapping[str, Any], l1: str, l2: str) -> Point:
    try:
        evaluations, name = content["evaluations"], str(content["run"])
        seed = content["settings"].get("seed", Recipe().seed)
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path} is no result file of a run: {error} is missing.") from None
    if len(evaluations) < 2 or evaluations[0]["step"] != 0:
        raise ResultsError(
            f"{path} was not measured before its first step and later: train with evaluation.eval_steps."
        )
    left = next((row for row in evaluations if row["step"] == content.get("model_step")), evaluations[-1])
    gain, loss = (_moved(path, evaluations[0], left, measure) for measure in (l2, l1))
    return Point(condition_of(name, seed), seed, gain, -loss)


def front_of(points: Sequence[Point]) -> list[ConditionPoint]:
    """Each condition's mean over its seeds, by rising L2 gain, and which of them are on the front.

    Raises:
        ResultsError: two points are of one condition and seed.
    """
    by_condition: dict[str, dict[int | None, Point]] = {}
    for point in points:
        if point.seed in by_condition.setdefault(point.condition, {}):
            raise ResultsError(f"Two runs are {point.condition} with seed {point.seed}. Give one of them.")
        by_condition[point.condition][point.seed] = point
    means = [
        (fmean(point.l2_gain for point in those.values()), fmean(point.l1_loss for point in those.values()))
        for those in by_condition.values()
    ]
    best = front(means)
    found = [
        ConditionPoint(
            condition,
            len(those),
            _estimate([point.l2_gain for point in those.values()]),
            _estimate([point.l1_loss for point in those.values()]),
            i in best,
        )
        for i, (condition, those) in enumerate(by_condition.items())
    ]
    return sorted(found, key=lambda point: (point.l2_gain.mean, point.l1_loss.mean))


def _of_sweep(path: str | Path, l1: str, l2: str) -> list[Point]:
    sweep = load_sweep(path)
    if (sweep.l1, sweep.l2) != (l1, l2):
        raise ResultsError(
            f"{path} is of {sweep.l1} and {sweep.l2}, not of {l1} and {l2}: --curves {l1} {l2} there too."
        )
    run = sweep.last if sweep.seed is None else condition_of(sweep.run, sweep.seed)
    return [
        Point(f"{run} @ {blend.share:g}", sweep.seed, blend.l2_gain, blend.l1_loss)
        for blend in sweep.blends
        if 0 < blend.share < 1
    ]


def _moved(path: Path, start: Mapping[str, Any], end: Mapping[str, Any], measure: str) -> float:
    """How much better a measure is of the model that the run left than at the start."""
    sign = direction(measure)
    first, last = (row.get(f"eval/{measure}") for row in (start, end))
    if first is None or last is None:
        there = ", ".join(key.removeprefix("eval/") for key in end if key.startswith("eval/"))
        raise ResultsError(f"{path} has no measure {measure} at its start and end. It has: {there or 'none'}.")
    return sign * (float(last) - float(first))


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(fmean(values), t_interval(values))
