"""One number for both languages: the bilingual score, from bits per byte of the same lines by three models.

Two monolinguals are the ends of both scales: the baby before L2, who knows L1, and the parent, who knows L2. L1
retention is the share of the way from the parent's L1 to the first baby's L1 that the baby still holds; L2 attainment
is the share of the way from the first baby's L2 to the parent's L2 that it has come. Both are cut to [0, 1]. The score
is their harmonic mean: both monolinguals score 0, who is as good as each in its language scores 1, both languages weigh
the same, and neither makes up for the other's loss. No constant is chosen by hand, and values are the same in bits or
nats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bambino.analysis.results import unread
from bambino.analysis.statistics import bootstraps_of
from bambino.errors import CurveError
from bambino.measures import Score, TaskResult

TEXTS = ("bits_per_byte/l1", "bits_per_byte/l2")
"""The results that it takes, in this order."""


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
    """Harmonic mean of L1 retention and L2 attainment, in [0, 1]; 0 when either is 0."""
    retention, attainment = scales.l1.share(l1), scales.l2.share(l2)
    together = retention + attainment
    return 2 * retention * attainment / together if together else 0.0


def bilingual(
    baby: Mapping[str, TaskResult], first: Mapping[str, TaskResult], parent: Mapping[str, TaskResult]
) -> TaskResult:
    """The score with its two parts, with intervals over lines: L1's and L2's resampled, the same for all three models.

    Args:
        baby: its results, of which TEXTS are read; likewise `first`, the baby before L2, and `parent`.

    Raises:
        CurveError: a text is missing, or the models were not measured on the same lines; the monolinguals are equal.
    """
    models = {"the baby": baby, "the first baby": first, "the parent": parent}
    for name, results in models.items():
        for text in TEXTS:
            if text not in results:
                raise CurveError(
                    f"{name} has no {text}. Evaluate it with the same --l1_text and --l2_text, and name its results "
                    "with --untrained."
                )
            if results[text].settings.get("sha256") != baby[text].settings.get("sha256"):
                raise CurveError(f"{name} was measured on other lines of {text} than the baby. Use the same options.")
    for text in TEXTS:
        for one, other in combinations(models.values(), 2):
            if why := unread(one[text], other[text]):
                raise CurveError(f"{text} of baby, first baby and parent do not compare: {why}.")
    bits = [[np.array(results[text].item_scores[text]) for text in TEXTS] for results in models.values()]
    l1_lines, l2_lines = (len(part) for part in bits[0])

    def scores_of(picks: np.ndarray) -> tuple[float, float, float]:
        drawn = (picks[picks < l1_lines], picks[picks >= l1_lines] - l1_lines)
        rows = [
            [part[those].mean() if len(those) else part.mean() for part, those in zip(row, drawn, strict=True)]
            for row in bits
        ]
        (l1, l2), (first_l1, first_l2), (parent_l1, parent_l2) = rows
        scales = Scales(l1=Scale(parent_l1, first_l1), l2=Scale(first_l2, parent_l2))
        return float(bilingual_score(l1, l2, scales)), float(scales.l1.share(l1)), float(scales.l2.share(l2))

    lines = l1_lines + l2_lines
    names, values = ("score", "l1_retention", "l2_attainment"), scores_of(np.arange(lines))
    scores = [
        Score(f"bilingual/{name}", value, "share", lines, interval)
        for name, value, interval in zip(names, values, bootstraps_of(scores_of, lines), strict=True)
    ]
    return TaskResult("bilingual", scores, {"l1_lines": l1_lines, "l2_lines": l2_lines})
