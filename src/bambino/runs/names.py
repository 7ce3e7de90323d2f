"""Names inside a run directory that several parts know."""

from __future__ import annotations

NEWBORN = "newborn"
"""The folder of a run directory that holds the model `bambino pretrain` began with."""


def is_headline(metric: str) -> bool:
    """Whether a metric is an evaluation's and not of one paradigm of minimal pairs (eval/pairs/FILE/PARADIGM)."""
    return metric.startswith("eval/") and metric.count("/") <= 2
