"""Acceptability without a question: does the model find acceptable sentences likelier than unacceptable ones?

AUC: the share of (acceptable, unacceptable) pairs in which the acceptable sentence has the higher log-probability per
UTF-8 byte, ties counting one half. It needs no threshold, and no model that understands a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bambino.analysis.statistics import bootstrap_of
from bambino.evaluation.zero_shot.confusion import TIE
from bambino.evaluation.zero_shot.task_data import Item
from bambino.evaluation.zero_shot.task_definitions import Task
from bambino.measures import Score
from bambino.scoring.texts import score_texts
from bambino.speaking.speaker import Speaker


def auc_of(name: str, baby: Speaker, task: Task, items: Sequence[Item], field: str) -> Score:
    """The AUC of the task's last label against all others, by the probability of the items' field."""
    scores = score_texts(baby.lm, baby.tokenizer, [str(item.fields[field]) for item in items])
    per_byte = np.array([score.log_prob / score.num_bytes for score in scores])
    return ranking(name, per_byte, np.array([item.label == len(task.labels) - 1 for item in items]))


def ranking(name: str, scores: np.ndarray, is_positive: np.ndarray) -> Score:
    """AUC of scores, with an interval over items; a draw without positives or without negatives counts as the whole.

    Raises:
        ValueError: no positive, or no negative item.
    """
    positives, negatives = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    if not len(positives) or not len(negatives):
        raise ValueError(f"{name}: a ranking needs both kinds of items")
    gaps = scores[positives, None] - scores[None, negatives]
    wins = np.where(np.abs(gaps) <= TIE, 0.5, gaps > 0)

    def resampled(picks: np.ndarray) -> float:
        times = np.bincount(picks, minlength=len(scores))
        upper, lower = times[positives], times[negatives]
        pairs = upper.sum() * lower.sum()
        return float(upper @ wins @ lower / pairs) if pairs else float(wins.mean())

    interval = bootstrap_of(resampled, len(scores))
    return Score(name, float(wins.mean()), "share", len(scores), interval, 0.5)
