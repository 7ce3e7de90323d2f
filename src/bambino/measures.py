"""What a measure of a model gives: scores with what it takes to believe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bambino.errors import EvaluationError

if TYPE_CHECKING:
    from bambino.speaking.speaker import Speaker


@dataclass(frozen=True)
class Score:
    """A measured value and what it takes to believe it."""

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


UNREAD = "unread"
"""A setting of bits per byte: what of the text the tokenizer does not know, in words, where it is too much."""


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
    said: list[dict[str, Any]] = field(default_factory=list)
    """What the model said, a row each, for utterances.jsonl (prompt, utterance, ...); not saved with results."""

    @property
    def main(self) -> Score:
        """The score that stands for the task."""
        return self.scores[0]


LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A confidence interval at level LEVEL."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value lies inside, ends included."""
        return self.low <= value <= self.high


class Measure(Protocol):
    """What a model is measured by; the same object serves in training and in `bambino evaluate`."""

    name: str
    """Such as `bits_per_byte/it`, `pairs/blimp`, `speech`: the scores' names begin with it."""
    depends_on: dict[str, Any]
    """What makes two results comparable: sha256 of the data, split, normalization; goes into data.json."""

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now. Draws no global randomness and leaves the model's mode as it was."""
        ...


def check_names(measures: Sequence[Measure]) -> None:
    """Refuse measures whose scores would have the same names.

    Raises:
        EvaluationError: two of one name, or pairs named as another's paradigm would be.
    """
    names = [measure.name for measure in measures]
    for nth, name in enumerate(names):
        for other in names[:nth]:
            shorter, longer = sorted((f"{name}/", f"{other}/"), key=len)
            if name == other or (shorter.startswith("pairs/") and longer.startswith(shorter)):
                raise EvaluationError(f"{other} and {name}: their scores would have the same names. Rename one.")
