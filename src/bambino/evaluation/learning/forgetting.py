"""What L2 cost L1: backward transfer, forgetting, trade-off fronts, speed, one bilingual score. Reads no model.

**Two tasks.** L1 is task 1, L2 is task 2. R[i, j] is how good the baby is at task j after task i; "good" is minus the
bits per byte (or log-perplexity), or the accuracy, so that higher is always better. Row 1, after L1, is the evaluation
at step 0 of the run; row 2, after L2, is the last one.

- backward transfer (Lopez-Paz and Ranzato 2017, eq. 3, T = 2): R[2, 1] - R[1, 1]. Negative: L1 got worse.
- average forgetting (Chaudhry et al. 2018, section 3): the best R[k, 1] before the end less R[2, 1]. Positive: L1 got
  worse. Every evaluation before the last is a k, so with more than two evaluations a baby whose L1 first improved and
  then fell has forgotten more than its backward transfer shows; never less.
- L2 gain: R[2, 2] - R[1, 2].

All three in the measure's unit. They are of one run: their spread is over seeds, not over items.

**The bilingual score.** Two monolinguals are the ends of both scales: the baby before L2, who knows L1, and the parent,
who knows L2. L1 retention is the share of the way from the parent's L1 to the first baby's L1 that the baby still
holds; L2 attainment is the share of the way from the first baby's L2 to the parent's L2 that it has come. Both are cut
to [0, 1]. The score is their harmonic mean: both monolinguals score 0, who is as good as each in its language scores 1,
both languages weigh the same, and neither makes up for the other's loss. No constant is chosen by hand, and values are
the same in bits or nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bambino.evaluation.learning.curves import (
    Curve,
    CurveError,
    curve_of,
    interpolated,
    part_of_way,
    reach,
    read_curves,
)
from bambino.evaluation.results import Score, TaskResult

FRONT_LEVELS = 20
"""Equal steps of L2 gain at which two runs' L1 losses are compared."""


@dataclass(frozen=True)
class Forgetting:
    """What happened to both languages from the first evaluation to the last, in the measures' units."""

    backward_transfer: float
    """Negative: L1 got worse."""
    average_forgetting: float
    """Positive: L1 is worse than it has been; at least minus the backward transfer."""
    l2_gain: float
    """Positive: L2 got better."""


def forgetting(l1: Curve, l2: Curve) -> Forgetting:
    """Backward transfer, average forgetting and L2 gain of one run.

    Raises:
        CurveError: fewer than two evaluations, the first not at step 0, or the two curves not of the same steps.
    """
    _check_pair(l1, l2)
    before, after = l1.goodness[:-1], l1.goodness[-1]
    return Forgetting(after - before[0], max(before) - after, l2.goodness[-1] - l2.goodness[0])


def l1_loss_at(l1: Curve, l2: Curve, gain: float) -> float | None:
    """How much worse L1 was than at the start when L2 had first gained so much; None when it never did.

    Both are straight between evaluations. Negative: L1 was better than at the start.
    """
    _check_pair(l1, l2)
    gains = [value - l2.goodness[0] for value in l2.goodness]
    losses = [l1.goodness[0] - value for value in l1.goodness]
    for i, reached in enumerate(gains):
        if reached >= gain:
            return losses[0] if i == 0 else interpolated(losses, i, part_of_way(gains, i, gain))
    return None


@dataclass(frozen=True)
class TradeOff:
    """Two runs' L1 losses at the same L2 gains."""

    gains: tuple[float, ...]
    """From 0 to the largest gain that both runs reach."""
    one: tuple[float, ...]
    """L1 loss of the one run at each gain."""
    other: tuple[float, ...]

    @property
    def mean_gap(self) -> float:
        """The area between the curves over the range of gains: mean L1 loss of one less that of the other.

        Negative: the one pays less L1 for the same L2.
        """
        gaps = np.subtract(self.one, self.other)
        return float(np.trapezoid(gaps, self.gains) / self.gains[-1])


def trade_off(one: tuple[Curve, Curve], other: tuple[Curve, Curve]) -> TradeOff | None:
    """Compare two runs, each (L1 curve, L2 curve), at equal L2 gain; None when they have no positive gain in common.

    Raises:
        CurveError: the runs were not measured by the same measures.
    """
    if [curve.name for curve in one] != [curve.name for curve in other]:
        names = ", ".join(curve.name for curve in (*one, *other))
        raise CurveError(f"Two runs are compared by the same measures of L1 and L2, not by {names}.")
    most = min(max(l2.goodness) - l2.goodness[0] for _, l2 in (one, other))
    if most <= 0:
        return None
    gains = [most * i / FRONT_LEVELS for i in range(FRONT_LEVELS)] + [most]
    losses = [[l1_loss_at(*run, gain) for gain in gains] for run in (one, other)]
    return TradeOff(tuple(gains), *(tuple(loss for loss in those if loss is not None) for those in losses))


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Numbers of the points (L2 gain, L1 loss) that no other point beats in both, by rising gain.

    A point is beaten by one with at least its gain and at most its loss, one of the two strictly; of equal points all
    stay.
    """
    beaten = {
        i
        for i, (gain, loss) in enumerate(points)
        for more, less in points
        if more >= gain and less <= loss and (more, less) != (gain, loss)
    }
    return sorted((i for i in range(len(points)) if i not in beaten), key=lambda i: points[i])


# ----------------------------------------------------------------------------------------------- one bilingual score


@dataclass(frozen=True)
class Scale:
    """A language's two ends on a measure, in either direction."""

    unknown: float
    """The level of the monolingual of the other language."""
    known: float
    """The level of this language's monolingual."""

    def share(self, value: float) -> float:
        """Share of the way from `unknown` to `known`, cut to [0, 1].

        Raises:
            CurveError: the ends are equal, so there is no way between them.
        """
        if self.known == self.unknown:
            raise CurveError(
                f"Both monolinguals are at {self.known}: the measure does not tell who knows the language."
            )
        return min(1.0, max(0.0, (value - self.unknown) / (self.known - self.unknown)))


@dataclass(frozen=True)
class Scales:
    """L1's and L2's scales: for bits per byte (parent's L1, first baby's L1) and (first baby's L2, parent's L2)."""

    l1: Scale
    l2: Scale


def bilingual_score(l1: float, l2: float, scales: Scales) -> float:
    """Harmonic mean of L1 retention and L2 attainment, in [0, 1]; 0 when either is 0. See above for the reason."""
    retention, attainment = scales.l1.share(l1), scales.l2.share(l2)
    together = retention + attainment
    return 2 * retention * attainment / together if together else 0.0


# --------------------------------------------------------------------------------------------------- of a directory


@dataclass(frozen=True)
class ForgettingSettings:
    """Which measures stand for the two languages."""

    l1: str = "bits_per_byte/en"
    l2: str = "bits_per_byte/it"
    levels: tuple[float, ...] = ()
    """L2 levels: words needed to reach each, in the measure's unit."""
    gains: tuple[float, ...] = ()
    """L2 gains: L1 loss at each."""
    scales: Scales | None = None
    """The monolinguals' levels, for the bilingual score; None: it is left out."""


def forgetting_of(run_dir: str | Path, settings: ForgettingSettings | None = None) -> TaskResult:
    """All of the above of one run directory. A level or gain that was never reached is NaN.

    Raises:
        CurveError: the directory lacks evaluations or one of the measures.
    """
    settings = settings or ForgettingSettings()
    curves = read_curves(run_dir)
    l1, l2 = curve_of(curves, settings.l1), curve_of(curves, settings.l2)
    found = forgetting(l1, l2)
    count = len(l1.steps)
    scores = [
        Score("forgetting/backward_transfer", found.backward_transfer, l1.unit, count),
        Score("forgetting/average_forgetting", found.average_forgetting, l1.unit, count),
        Score("forgetting/l2_gain", found.l2_gain, l2.unit, count),
    ]
    for gain in settings.gains:
        loss = l1_loss_at(l1, l2, gain)
        scores.append(Score(f"forgetting/l1_loss_at_gain/{gain:g}", _or_nan(loss), l1.unit, count))
    for level in settings.levels:
        reached = reach(l2, level)
        words = None if reached is None else reached.words
        scores.append(Score(f"forgetting/words_to_reach/{level:g}", _or_nan(words), "words", count))
    if settings.scales is not None:
        for name, i in (("before", 0), ("after", -1)):
            score = bilingual_score(l1.values[i], l2.values[i], settings.scales)
            scores.append(Score(f"forgetting/bilingual/{name}", score, "share", count))
    verdict = f"{_moved('L1', found.backward_transfer, l1.unit)}, {_moved('L2', found.l2_gain, l2.unit)}; one run"
    details = {"l1": settings.l1, "l2": settings.l2, "steps": list(l1.steps), "words": list(l1.words)}
    return TaskResult("forgetting", scores, details, verdict)


def _check_pair(l1: Curve, l2: Curve) -> None:
    if l1.steps != l2.steps:
        raise CurveError(f"{l1.name} and {l2.name} were not measured at the same steps.")
    if len(l1.steps) < 2 or l1.steps[0] != 0:
        raise CurveError(
            f"{l1.name} was measured at steps {', '.join(map(str, l1.steps))}. Forgetting needs an evaluation at "
            "step 0, before L2, and a later one: train with evaluation.eval_steps."
        )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _moved(language: str, by: float, unit: str) -> str:
    return f"{language} {'better' if by > 0 else 'worse' if by < 0 else 'changed'} by {abs(by):.3f} {unit}"
