"""A penalty for what the token limit had to end: -1 for an utterance that did not end by itself, 0 for one that did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bambino.recipe.settings import BabyLMRule, FeedbackConfig


@dataclass(frozen=True)
class MissingEOSConfig(FeedbackConfig):
    """-1 for an utterance that did not end by itself; `weight` says how much that costs."""

    section: ClassVar[str] = "feedback.missing_eos"
    babylm: ClassVar[BabyLMRule] = "allowed"

    def make(self, parent: object) -> Any:
        """The feedback itself; it needs no parent."""
        return missing_eos


def missing_eos(*, has_ended: list[bool], **_: Any) -> list[float]:
    """-1 for an utterance that the token limit ended, 0 for one that ended by itself."""
    return [0.0 if ended else -1.0 for ended in has_ended]
