"""Names inside a run directory that several parts know."""

from __future__ import annotations

import re

NEWBORN = "newborn"
"""The folder of a run directory that holds the model `bambino pretrain` began with."""

DREAMS = "dreams.jsonl"
"""The file of a run directory that holds the first baby's own texts."""


def condition_of(run: str, seed: int) -> str:
    """A run's condition: its name without `-SEED`, or `-SEED-` and eight digits of its settings' sha256, at the end."""
    return re.sub(rf"-{seed}(-[0-9a-f]{{8}})?$", "", run)


def is_headline(metric: str) -> bool:
    """Whether a metric is an evaluation's, and not a part of another."""
    return metric.startswith("eval/") and not is_part(metric)


def is_part(metric: str) -> bool:
    """Whether a metric stands for a part of minimal pairs, or beside a task's main score (eval/pairs/FILE/PARADIGM)."""
    return metric.startswith(("eval/pairs/", "eval/tasks/")) and metric.count("/") > 2
