"""A penalty for saying one word again and again: minus the share of the utterance's most frequent word.

The authors' release has such a term, switched off.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from bambino.recipe.settings import BabyLMRule, FeedbackConfig


@dataclass(frozen=True)
class RepetitionConfig(FeedbackConfig):
    """Minus the share of an utterance's words that are its most frequent one; `weight` says how much that costs."""

    section: ClassVar[str] = "feedback.repetition"
    babylm: ClassVar[BabyLMRule] = "allowed"

    def make(self, parent: object) -> Any:
        """The feedback itself; it needs no parent."""
        return repetition


def repetition(*, completions: list[str], **_: Any) -> list[float]:
    """From -1 (one word throughout) to 0; an utterance of one word or none repeats nothing."""
    return [-_share_of_commonest(completion.split()) for completion in completions]


def _share_of_commonest(words: list[str]) -> float:
    return Counter(words).most_common(1)[0][1] / len(words) if len(words) > 1 else 0.0
