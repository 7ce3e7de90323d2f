"""What an experiment answers: each condition against one, seed by seed. Knows no model, no file and no recipe.

`Outcomes` are what its runs found; `answer` makes the `Answer` of them. All tests are paired t-tests over seeds that
both conditions finished, corrected for the number of conditions (Holm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bambino.analysis.curves import Curve
from bambino.analysis.feedback_meter import Estimate

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
class Outcomes:
    """What an experiment asked, and what its runs on test seeds have found by now."""

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
    """None: not measured by both languages before its first step and later."""
    budget: Mapping[str, float]
    """What its runs cost, mean over seeds: all totals that any run of the experiment counted, 0 where this one did
    not. Empty: no seed is finished."""
    verdict: str
    """One sentence on the primary metric, with the test behind it."""


@dataclass(frozen=True)
class Answer:
    """The whole answer."""

    experiment: str
    question: str
    hypotheses: tuple[str, ...]
    primary: str
    secondary: tuple[str, ...]
    languages: tuple[str, str] | None
    baseline: str
    seeds: tuple[int, ...]
    conditions: Mapping[str, ConditionAnswer]
    """In the experiment's order, the baseline among them."""

    @property
    def verdicts(self) -> Sequence[str]:
        """One sentence a condition, the baseline's left out."""
        return [one.verdict for name, one in self.conditions.items() if name != self.baseline]
