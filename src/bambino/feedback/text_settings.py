"""Settings of the kinds of feedback that answer with text. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from bambino.feedback.needed_parent import the_parent
from bambino.recipe.checks import AtLeastOne, Positive
from bambino.recipe.settings import BabyLMRule, FeedbackConfig, RolloutConfig

if TYPE_CHECKING:
    from bambino.feedback.recasts import Continuations
    from bambino.speaking.speaker import Speaker


@dataclass(frozen=True)
class RecastsConfig(FeedbackConfig):
    """What all recasts have: text that the baby hears after a prompt, by cross-entropy."""

    for_: Literal["recast", "clm"] = "recast"
    """recast: steps of their own. clm: some recasts beside the lines of each clm step, in the same update."""
    weight: Positive = 1.0
    """For clm: what a token of a recast counts beside a token of a line. For recast: a factor of the loss."""
    share: Positive = 0.25
    """For clm: prompts beside each line of a step: 0.25 adds 8 to 32."""


@dataclass(frozen=True)
class RecastConfig(RecastsConfig):
    """The parent goes on from the prompt's text, as it would have said it."""

    needs_parent: ClassVar[bool] = True
    section: ClassVar[str] = "feedback.recast"
    babylm: ClassVar[BabyLMRule] = "text_counts"

    max_new_tokens: AtLeastOne = 48
    """Longest recast, in parent tokens; a last word that this cuts is left out."""
    temperature: Positive = 1.0
    """Sampling temperature."""
    top_k: AtLeastOne | None = None
    """Sample among the k likeliest tokens; null: among all."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample among the fewest tokens that hold this probability; null: among all."""

    @property
    def rollout(self) -> RolloutConfig:
        """How the parent speaks."""
        return RolloutConfig(
            max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p
        )

    def make(self, parent: Speaker | None) -> Continuations:
        """The feedback itself."""
        from bambino.feedback.recasts import Continuations

        return Continuations(the_parent(parent, self), self.rollout, self.share)
