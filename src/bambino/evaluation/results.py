"""What an evaluation found: scores with what it takes to believe them, as JSON and as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bambino.evaluation.statistics import Interval


@dataclass(frozen=True)
class Score:
    """One number."""

    name: str
    """`task/what`, with `task/what/part` for parts: `blimp/accuracy`, `blimp/accuracy/adjunct_island`."""
    value: float
    unit: str
    """`share`, `bits per byte`, `nats`, `words`, ..."""
    items: int
    """What it is a mean over."""
    interval: Interval | None = None
    """Over items (bootstrap)."""
    chance: float | None = None
    """What guessing scores."""


@dataclass(frozen=True)
class TaskResult:
    """All scores of one task for one model, and how they were measured."""

    task: str
    scores: list[Score]
    """The first is the task's main score."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the scores depend on: data file and its sha256, normalization, template, tie and BOS policy, ..."""
    verdict: str = ""
    """In words, where there is something to say: `above chance`, `not distinguishable from chance`, `uninformative`."""
    item_scores: dict[str, list[float]] = field(default_factory=dict)
    """Score name -> one number per item, in the file's order: what paired tests between models need."""
