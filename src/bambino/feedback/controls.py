"""Controls: rewards that say nothing of what was said. A kind that teaches must teach more than these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bambino.recipe.settings import BabyLMRule, FeedbackConfig


@dataclass(frozen=True)
class ConstantConfig(FeedbackConfig):
    """A control: the same number for every utterance."""

    section: ClassVar[str] = "feedback.constant"
    babylm: ClassVar[BabyLMRule] = "allowed"

    value: float = 1.0
    """What every utterance earns."""

    def make(self, parent: object) -> Any:
        """The feedback itself; it needs no parent."""
        value = self.value

        def constant(*, completions: list[str], **_: Any) -> list[float]:
            return [value] * len(completions)

        return constant


@dataclass(frozen=True)
class RandomConfig(FeedbackConfig):
    """A control: numbers drawn evenly from 0 to 1, by the run's seed and the step."""

    section: ClassVar[str] = "feedback.random"
    babylm: ClassVar[BabyLMRule] = "allowed"

    def make(self, parent: object) -> Any:
        """The feedback itself; it needs no parent."""
        return drawn


def drawn(*, completions: list[str], seed: int = 0, step: int = 0, **_: Any) -> list[float]:
    """A number in [0, 1) for each utterance, whatever it says."""
    from bambino.randomness import uniforms

    numbers: list[float] = uniforms(1, len(completions), seed=seed, stream="feedback/random", step=step)[0].tolist()
    return numbers
