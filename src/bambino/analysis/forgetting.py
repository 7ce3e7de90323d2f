"""What L2 cost L1 along a run: backward transfer, forgetting, L1 loss at an L2 gain, speed. Reads no model.

**Two tasks.** L1 is task 1, L2 is task 2. R[i, j] is how good the baby is at task j after task i; "good" is minus the
bits per byte (or log-perplexity), or the accuracy, so that higher is always better. Row 1, after L1, is the evaluation
at step 0 of the run; row 2, after L2, is the last one.

- backward transfer (Lopez-Paz and Ranzato 2017, eq. 3, T = 2): R[2, 1] - R[1, 1]. Negative: L1 got worse.
- average forgetting (Chaudhry et al. 2018, section 3): the best R[k, 1] before the end less R[2, 1]. Positive: L1 got
  worse. Every evaluation before the last is a k, so with more than two evaluations a baby whose L1 first improved and
  then fell has forgotten more than its backward transfer shows; never less.
- L2 gain: R[2, 2] - R[1, 2].

All three in the measure's unit. They are of one run: their spread is over seeds, not over items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from bambino.analysis.curves import Curve, check_pair, curve_of, reach, read_curves
from bambino.analysis.trade_offs import paid_for
from bambino.measures import Score, TaskResult


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
    check_pair(l1, l2)
    before, after = l1.goodness[:-1], l1.goodness[-1]
    return Forgetting(after - before[0], max(before) - after, l2.goodness[-1] - l2.goodness[0])


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
        paid = paid_for(l1, l2, gain)
        scores.append(Score(f"forgetting/l1_loss_at_gain/{gain:g}", paid.l1_loss if paid else math.nan, l1.unit, count))
    for level in settings.levels:
        reached = reach(l2, level)
        words = reached.words if reached else math.nan
        scores.append(Score(f"forgetting/words_to_reach/{level:g}", words, "words", count))
    verdict = f"{_moved('L1', found.backward_transfer, l1.unit)}, {_moved('L2', found.l2_gain, l2.unit)}; one run"
    details = {"l1": settings.l1, "l2": settings.l2, "steps": list(l1.steps), "words": list(l1.words)}
    return TaskResult("forgetting", scores, details, verdict)


def _moved(language: str, by: float, unit: str) -> str:
    return f"{language} {'better' if by > 0 else 'worse' if by < 0 else 'changed'} by {abs(by):.3f} {unit}"
