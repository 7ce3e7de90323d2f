"""Which answers were right: expected counts under ties, and accuracy, balanced accuracy and macro-F1 from them.

Options whose scores tie share the answer in equal parts, so every number here is what a fair coin would give on
average. A model that prefers nothing has exactly accuracy 1/k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TIE = 1e-4
"""Options this close to the best count as tied, in nats: four times what the company of other texts changes in a summed
fp32 log-probability on real weights (`benchmarks/rounding.py`)."""


def credits_of(scores: np.ndarray) -> np.ndarray:
    """(..., k) scores of options -> (..., k) parts of the answer: 1 for the best, 1/m for each of m that tie."""
    best = scores >= scores.max(-1, keepdims=True) - TIE
    parts: np.ndarray = best / best.sum(-1, keepdims=True)
    return parts


@dataclass(frozen=True)
class Accuracies:
    """Accuracies; classes that no item has are left out of the means over classes."""

    accuracy: float
    balanced_accuracy: float
    """Mean over classes of the share of the class's items that are right: 1/k for every answer that ignores the item,
    where all k classes occur."""
    macro_f1: float
    """Mean over classes of 2 TP / (answered + true), on expected counts."""


class Confusion:
    """Expected counts of one or several templates, by groups of items that are resampled together."""

    def __init__(self, answers: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> None:
        """
        Args:
            answers: (T, N, k) parts of the answer of each template.
            truth: (N,) index of the right option.
            groups: (N,) group of each item.
        """
        self.templates = len(answers)
        classes = np.unique(truth)
        answers, is_true = answers[..., classes], truth[:, None] == classes
        _, rows = np.unique(groups, return_inverse=True)
        self.groups = int(rows.max()) + 1
        per_item = np.concatenate([is_true[None], answers * is_true, answers])  # (1 + 2 T, N, classes)
        self.counts = np.zeros((self.groups, 1 + 2 * self.templates, len(classes)))
        np.add.at(self.counts, rows, per_item.swapaxes(0, 1))
        self.total = self.counts.sum(0)

    def shares(self, picks: np.ndarray | None = None) -> Accuracies:
        """Mean over templates, of the groups picked (with repetition; None: of each once).

        A class that is not among the picked counts as in all groups: leaving it out would lift everything else.
        """
        counts = self.total
        if picks is not None:
            times = np.bincount(picks, minlength=self.groups)
            counts = (times @ self.counts.reshape(self.groups, -1)).reshape(self.total.shape)
        right = counts[1 : 1 + self.templates].sum() / self.templates
        known = np.where(counts[0] > 0, counts, self.total)
        true, hits, answered = known[0], known[1 : 1 + self.templates], known[1 + self.templates :]
        return Accuracies(
            accuracy=float(right / counts[0].sum()),
            balanced_accuracy=float((hits / true).mean()),
            macro_f1=float((2 * hits / (answered + true)).mean()),
        )


def guessing(truth: np.ndarray, labels: int) -> Accuracies:
    """What a model scores that finds all options equally good."""
    return _of_constant(np.full(labels, 1 / labels), truth)


def always(label: int, truth: np.ndarray, labels: int) -> Accuracies:
    """What a model scores that gives one answer to everything."""
    return _of_constant(np.eye(labels)[label], truth)


def _of_constant(answer: np.ndarray, truth: np.ndarray) -> Accuracies:
    return shares_of(np.broadcast_to(answer, (len(truth), len(answer))), truth)


def shares_of(answers: np.ndarray, truth: np.ndarray) -> Accuracies:
    """Of one template's (N, k) parts of the answer."""
    return Confusion(answers[None], truth, np.zeros(len(truth), dtype=int)).shares()
