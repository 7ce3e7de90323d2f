"""L1 loss at equal L2 gain: what runs pay in L1 for the same L2, not where they end. Reads no model.

A run that learns nothing forgets nothing, so end points do not compare. At each L2 gain that two runs both reach, the
L1 loss of each at the moment when it first reached it, and the words it had heard by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bambino.analysis.curves import Curve, check_pair, interpolated, part_of_way
from bambino.errors import CurveError

FRONT_LEVELS = 20
"""Equal steps of L2 gain at which two runs' L1 losses are compared."""


SHOWN = (5, 10, 15, 20)
"""The steps that the table shows: quarters."""


CurvePair = tuple[Curve, Curve]
"""L1 curve, L2 curve."""


@dataclass(frozen=True)
class Paid:
    """What an L2 gain had cost when it was first made; straight between evaluations."""

    l1_loss: float
    """How much worse L1 was than at the start, in its measure's unit. Negative: it was better."""
    words: float
    """L2 words heard."""


def paid_for(l1: Curve, l2: Curve, gain: float) -> Paid | None:
    """None when L2 never gained so much.

    Raises:
        CurveError: as `check_pair`.
    """
    check_pair(l1, l2)
    gains = [value - l2.goodness[0] for value in l2.goodness]
    losses = [l1.goodness[0] - value for value in l1.goodness]
    for i, reached in enumerate(gains):
        if reached >= gain:
            if i == 0:
                return Paid(losses[0], l2.words[0])
            part = part_of_way(gains, i, gain)
            return Paid(interpolated(losses, i, part), interpolated(l2.words, i, part))
    return None


@dataclass(frozen=True)
class TradeOff:
    """What two runs paid for the same L2 gains."""

    gains: tuple[float, ...]
    """FRONT_LEVELS equal steps from 0 to the largest gain that both runs reach."""
    one: tuple[Paid, ...]
    """What the one run paid for each gain."""
    other: tuple[Paid, ...]

    @property
    def mean_gap(self) -> float:
        """The area between the curves over the range of gains: mean L1 loss of one less that of the other.

        Negative: the one pays less L1 for the same L2.
        """
        gaps = [one.l1_loss - other.l1_loss for one, other in zip(self.one, self.other, strict=True)]
        return float(np.trapezoid(gaps, self.gains) / self.gains[-1])


def trade_off(one: CurvePair, other: CurvePair) -> TradeOff | None:
    """Compare two runs at equal L2 gain; None when they have no positive gain in common.

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
    mine, yours = (tuple(p for gain in gains if (p := paid_for(*run, gain)) is not None) for run in (one, other))
    return TradeOff(tuple(gains), mine, yours)


def end_point(l1: Curve, l2: Curve) -> tuple[float, float]:
    """L2 gain and L1 loss at a run's last evaluation."""
    check_pair(l1, l2)
    return l2.goodness[-1] - l2.goodness[0], l1.goodness[0] - l1.goodness[-1]


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
