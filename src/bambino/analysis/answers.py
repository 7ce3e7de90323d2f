"""What an experiment answers: each condition against one, seed by seed. Knows no model, no file and no recipe.

`Outcomes` are what its runs found; `answer` makes the `Answer` of them. All tests are paired t-tests over seeds that
both conditions finished, corrected for the number of conditions (Holm).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

from bambino.analysis.curves import Curve, check_pair
from bambino.analysis.feedback_meter import Estimate
from bambino.analysis.fronts import Point, front_of
from bambino.analysis.sentences import remarks, verdict
from bambino.analysis.statistics import holm, paired_t, t_interval
from bambino.analysis.trade_offs import CurvePair, TradeOff, trade_off
from bambino.analysis.verdicts import ROUNDING
from bambino.errors import CurveError
from bambino.recipe.metrics import direction_of

SAME_START = 0.01
"""Two babies whose languages differ by less before the first step are one, measured on two kinds of device."""

# --------------------------------------------------------------------------------------------------- what was found


@dataclass(frozen=True)
class Outcome:
    """What one run found: one condition with one seed."""

    values: Mapping[str, float]
    """Metric -> its number for the model that the run left; of costs (`total/flops`), at the run's end. What has no
    number is left out."""
    curves: Mapping[str, Curve]
    """Measure -> its curve along the run, without `eval/`: `bits_per_byte/it`. `words` are NaN where they were not
    written down."""
    totals: Mapping[str, float]
    """Costs at the run's end, without `total/`: `words_heard`, `parent_tokens`, `flops`, `seconds`."""


@dataclass(frozen=True)
class Aim:
    """What an experiment wants to know, and what it goes by."""

    experiment: str
    """Its name."""
    question: str
    hypotheses: tuple[str, ...]
    primary: str
    """The metric that the verdict goes by; its better direction is told by its name."""
    secondary: tuple[str, ...]
    """Further metrics, costs (`total/flops`) among them."""
    languages: tuple[str, str] | None
    """The measures that stand for L1 and L2; None: it has no two."""
    baseline: str
    """The condition that the others are compared with."""
    seeds: tuple[int, ...]
    """Those asked for."""


@dataclass(frozen=True)
class Outcomes(Aim):
    """What its runs on test seeds have found by now."""

    runs: Mapping[str, Mapping[int, Outcome]]
    """Condition -> seed -> run, conditions in the experiment's order. Every condition is there; seeds that failed or
    are not finished are not."""


# ---------------------------------------------------------------------------------------------------- what it answers


@dataclass(frozen=True)
class Effect:
    """A condition less the baseline, paired over seeds."""

    seeds: tuple[int, ...]
    """Finished by both."""
    difference: Estimate
    """Condition - baseline, in the metric's unit; the 95 % interval (Student's t) is not corrected."""
    better: int
    """1: the condition is better by the mean, -1: worse; 0: they are equal, or more is neither better nor worse."""
    p_value: float | None
    """Paired t-test, two-sided; None: not tested (fewer than two seeds, or a cost)."""
    corrected_p: float | None
    """Holm over the conditions that were tested on this metric."""
    tests: int
    """How many tests `corrected_p` is corrected for."""


@dataclass(frozen=True)
class MetricAnswer:
    """A metric of one condition."""

    values: Mapping[int, float]
    """Seed -> its number."""
    mean: Estimate | None
    """Over seeds; None: no run has a number."""
    effect: Effect | None
    """None: of the baseline, or no seed in common with it."""


@dataclass(frozen=True)
class EqualGain:
    """What a condition pays in L1 for the same L2 as the baseline (`trade_offs.py`), paired over seeds."""

    seeds: tuple[int, ...]
    """Those with an L2 gain in common."""
    up_to: float
    """The largest L2 gain that both runs of a seed reach, mean over seeds."""
    gap: Effect
    """Mean L1 loss over all gains up to that, condition - baseline; less is better."""


@dataclass(frozen=True)
class End:
    """Where a condition's models stand, against the baby before its first step, mean over seeds."""

    l2_gain: Estimate
    """How much better L2 is."""
    l1_loss: Estimate
    """How much worse L1 is."""
    on_front: bool
    """Whether no other condition gains as much for less, or more for as little, by the means."""


@dataclass(frozen=True)
class ConditionAnswer:
    """All that is told of one condition."""

    seeds: tuple[int, ...]
    """Finished."""
    missing: tuple[int, ...]
    """Asked for, and not finished or failed."""
    metrics: Mapping[str, MetricAnswer]
    """The primary one first, then the secondary ones."""
    equal_gain: EqualGain | None
    """None: of the baseline, or nothing compares."""
    end: End | None
    """None: not measured by both languages before its first step and later, or begun with another baby."""
    budget: Mapping[str, float]
    """What its runs cost, mean over seeds: all totals that any run of the experiment counted, 0 where this one did
    not. Empty: no seed is finished."""
    verdict: str
    """One sentence on the primary metric, with the test behind it."""
    remarks: tuple[str, ...]
    """Sentences on what must be known beside it: L1 at equal L2 gain, what it took, which seeds are missing."""


@dataclass(frozen=True)
class Answer(Aim):
    """The whole answer."""

    conditions: Mapping[str, ConditionAnswer]
    """In the experiment's order, the baseline among them."""

    @property
    def verdicts(self) -> Sequence[str]:
        """A verdict and its remarks for each condition but the baseline."""
        return [" ".join([one.verdict, *one.remarks]) for name, one in self.conditions.items() if name != self.baseline]


def answer(found: Outcomes) -> Answer:
    """What the outcomes say of every condition against the baseline.

    Only seeds that both finished are paired. p values are corrected over the conditions, for each metric on its own.
    """
    metrics = {metric: _metric_answers(found, metric) for metric in (found.primary, *found.secondary)}
    equal_gains, ends, budgets = _equal_gains(found), _ends(found), _budgets(found)
    conditions = {}
    for name, runs in found.runs.items():
        mine = {metric: answers[name] for metric, answers in metrics.items()}
        conditions[name] = ConditionAnswer(
            seeds=tuple(seed for seed in found.seeds if seed in runs),
            missing=tuple(seed for seed in found.seeds if seed not in runs),
            metrics=mine,
            equal_gain=equal_gains.get(name),
            end=ends.get(name),
            budget=budgets[name],
            verdict=verdict(found, name, mine[found.primary].effect),
            remarks=remarks(found, name, mine[found.primary].effect, equal_gains.get(name), budgets),
        )
    return Answer(**{one.name: getattr(found, one.name) for one in fields(Aim)}, conditions=conditions)


def effects(values: Mapping[str, Mapping[int, float]], baseline: str, sign: int | None) -> dict[str, Effect]:
    """Every condition against the baseline, paired over the seeds that both have; those that share none are left out.

    Args:
        values: condition -> seed -> number.
        sign: 1 where more is better, -1 where less is; None: neither, and nothing is tested.
    """
    paired = {
        name: {seed: mine[seed] - values[baseline][seed] for seed in mine if seed in values[baseline]}
        for name, mine in values.items()
        if name != baseline
    }
    paired = {name: gaps for name, gaps in paired.items() if gaps}
    p_values = {name: p for name, gaps in paired.items() if sign and (p := _p_value(list(gaps.values()))) is not None}
    corrected = holm(p_values)
    return {
        name: Effect(
            tuple(gaps),
            estimate := _estimate(list(gaps.values())),
            (sign or 0) * ((estimate.mean > 0) - (estimate.mean < 0)),
            p_values.get(name),
            corrected.get(name),
            len(p_values),
        )
        for name, gaps in paired.items()
    }


def _p_value(gaps: Sequence[float]) -> float | None:
    """Of a t-test; None where none can be made: one seed, or the same difference with each and not 0 (shares of few
    items often are, and say nothing of the spread)."""
    if max(gaps) - min(gaps) <= ROUNDING < abs(gaps[0]):
        return None
    tested = paired_t(gaps, [0.0] * len(gaps))
    return None if tested is None else tested.p_value


def _metric_answers(found: Outcomes, metric: str) -> dict[str, MetricAnswer]:
    """Condition -> what is told of a metric."""
    values = {
        name: {seed: runs[seed].values[metric] for seed in found.seeds if seed in runs and metric in runs[seed].values}
        for name, runs in found.runs.items()
    }
    against = effects(values, found.baseline, direction_of(metric))
    return {
        name: MetricAnswer(mine, _estimate(list(mine.values())) if mine else None, against.get(name))
        for name, mine in values.items()
    }


def _equal_gains(found: Outcomes) -> dict[str, EqualGain]:
    """Condition -> what it pays at equal L2 gain; those that do not compare are left out."""
    pairs = _curve_pairs(found)
    compared: dict[str, dict[int, TradeOff]] = {
        name: {
            seed: both
            for seed, mine in those.items()
            if seed in pairs[found.baseline] and (both := trade_off(mine, pairs[found.baseline][seed])) is not None
        }
        for name, those in pairs.items()
        if name != found.baseline
    }
    gaps = {name: {seed: both.mean_gap for seed, both in those.items()} for name, those in compared.items()}
    nothing = {found.baseline: dict.fromkeys(found.seeds, 0.0)}
    return {
        name: EqualGain(gap.seeds, fmean(both.gains[-1] for both in compared[name].values()), gap)
        for name, gap in effects(gaps | nothing, found.baseline, -1).items()
    }


def _ends(found: Outcomes) -> dict[str, End]:
    """Condition -> where its models stand; what was not measured in both languages is left out."""
    if found.languages is None:
        return {}
    l1, l2 = found.languages
    points = []
    for name, pairs in _curve_pairs(found).items():
        for seed, (l1_curve, l2_curve) in pairs.items():
            values = found.runs[name][seed].values
            if l1 in values and l2 in values:
                gain = l2_curve.sign * (values[l2] - l2_curve.values[0])
                loss = -l1_curve.sign * (values[l1] - l1_curve.values[0])
                points.append(Point(name, seed, gain, loss))
    return {point.condition: End(point.l2_gain, point.l1_loss, point.on_front) for point in front_of(points)}


def _curve_pairs(found: Outcomes) -> dict[str, dict[int, CurvePair]]:
    """Condition -> seed -> L1 and L2 curve, of runs that were measured by both before their first step and later, and
    began with the baseline's baby: gains of another (`baby.random_weights`) count from elsewhere."""
    pairs = {
        name: {
            seed: pair
            for seed in found.seeds
            if seed in runs and (pair := _curve_pair(runs[seed].curves, found.languages)) is not None
        }
        for name, runs in found.runs.items()
    }
    start = next(iter(pairs[found.baseline].values()), None)
    return {
        name: {seed: pair for seed, pair in those.items() if start is None or _begin_alike(pair, start)}
        for name, those in pairs.items()
    }


def _begin_alike(one: CurvePair, other: CurvePair) -> bool:
    return all(math.isclose(a.values[0], b.values[0], rel_tol=SAME_START) for a, b in zip(one, other, strict=True))


def _curve_pair(curves: Mapping[str, Curve], languages: tuple[str, str] | None) -> CurvePair | None:
    if languages is None or not all(name in curves for name in languages):
        return None
    l1, l2 = (curves[name] for name in languages)
    try:
        check_pair(l1, l2)
    except CurveError:
        return None
    return l1, l2


def _budgets(found: Outcomes) -> dict[str, dict[str, float]]:
    """Condition -> each cost, mean over seeds."""
    counted = dict.fromkeys(name for runs in found.runs.values() for run in runs.values() for name in run.totals)
    return {
        condition: {name: fmean(run.totals.get(name, 0.0) for run in runs.values()) for name in counted} if runs else {}
        for condition, runs in found.runs.items()
    }


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(fmean(values), t_interval(values))
