"""Length: minus the distance of an utterance's length from a range that is aimed at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bambino.recipe.checks import AtLeastOne, Count
from bambino.recipe.settings import BabyLMRule, FeedbackConfig


@dataclass(frozen=True)
class LengthConfig(FeedbackConfig):
    """Minus the words (or bytes) that an utterance has too many or too few of; 0 inside the range."""

    section: ClassVar[str] = "feedback.length"
    babylm: ClassVar[BabyLMRule] = "allowed"

    shortest: Count = 3
    """The fewest that earn 0."""
    longest: AtLeastOne = 12
    """The most that earn 0."""
    unit: Literal["words", "bytes"] = "words"
    """Whitespace-separated words, or UTF-8 bytes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.shortest <= self.longest, "shortest", f"is above longest = {self.longest}. Use less.")

    def make(self, parent: object) -> Any:
        """The feedback itself; it needs no parent."""
        shortest, longest = self.shortest, self.longest

        def length(*, completions: list[str], **_: Any) -> list[float]:
            return [-distance(self.measured(completion), shortest, longest) for completion in completions]

        return length

    def measured(self, text: str) -> int:
        """How long a text is, in the unit."""
        return len(text.split()) if self.unit == "words" else len(text.encode("utf-8"))


def distance(length: int, shortest: int, longest: int) -> float:
    """How far a length lies outside a range; 0 inside."""
    return float(max(shortest - length, 0, length - longest))
