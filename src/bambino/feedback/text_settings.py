"""Settings of the kinds of feedback that answer with text. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from bambino.errors import RecipeError
from bambino.feedback.needed_parent import the_parent
from bambino.recipe.checks import AtLeastOne, AtLeastTwo, Positive
from bambino.recipe.phase_settings import RolloutConfig
from bambino.recipe.settings import BabyLMRule, FeedbackConfig

if TYPE_CHECKING:
    from bambino.feedback.edits import Edits
    from bambino.feedback.preferences import BestOfK, RecastOverUtterance
    from bambino.feedback.recasts import Continuations
    from bambino.feedback.written_recasts import WrittenByPeople
    from bambino.speaking.speaker import Speaker


@dataclass(frozen=True)
class RecastsConfig(FeedbackConfig):
    """What all recasts have: text that the baby hears after a prompt, by cross-entropy."""

    babylm: ClassVar[BabyLMRule] = "text_counts"

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


@dataclass(frozen=True)
class PreferencesConfig(FeedbackConfig):
    """What all preferences have: a better and a worse text after a prompt, for the phase prefer."""

    needs_parent: ClassVar[bool] = True

    for_: str = "prefer"
    """The phase that learns from this kind of feedback; the key is `for` in a recipe."""
    weight: Positive = 1.0
    """A factor of the loss."""


@dataclass(frozen=True)
class RecastOverUtteranceConfig(PreferencesConfig):
    """What the parent says after a prompt is better than what the baby said."""

    babylm: ClassVar[BabyLMRule] = "text_counts"
    section: ClassVar[str] = "feedback.recast_over_utterance"

    max_new_tokens: AtLeastOne = 16
    """Longest recast, in parent tokens; about as long as utterances, so that length does not tell the two apart."""
    temperature: Positive = 1.0
    """Sampling temperature of the parent."""

    def make(self, parent: Speaker | None) -> RecastOverUtterance:
        """The feedback itself."""
        from bambino.feedback.preferences import RecastOverUtterance

        rollout = RolloutConfig(max_new_tokens=self.max_new_tokens, temperature=self.temperature)
        return RecastOverUtterance(the_parent(parent, self), rollout)


@dataclass(frozen=True)
class BestOfKConfig(PreferencesConfig):
    """Of several utterances after one prompt the one that the parent finds likeliest, per parent token, is better than
    the one that it finds least likely."""

    babylm: ClassVar[BabyLMRule] = "allowed"
    section: ClassVar[str] = "feedback.best_of_k"

    k: AtLeastTwo = 4
    """Utterances after each prompt; batch_size is divided by it, so 32 utterances of 4 have 8 prompts."""

    def make(self, parent: Speaker | None) -> BestOfK:
        """The feedback itself."""
        from bambino.feedback.preferences import BestOfK

        return BestOfK(the_parent(parent, self), self.k)


@dataclass(frozen=True)
class RecastEditConfig(RecastsConfig):
    """The smallest edit of what the baby said: its worst word replaced by one of the parent's, where that makes the
    whole text likelier to the parent."""

    needs_parent: ClassVar[bool] = True
    section: ClassVar[str] = "feedback.recast_edit"

    proposals: AtLeastOne = 4
    """Words that the parent proposes in place of the worst one; the likeliest whole text is kept."""

    def make(self, parent: Speaker | None) -> Edits:
        """The feedback itself."""
        from bambino.feedback.edits import Edits

        return Edits(the_parent(parent, self), self.proposals, self.share)


@dataclass(frozen=True)
class RecastFileConfig(RecastsConfig):
    """Corrections that people wrote, whatever the baby says."""

    section: ClassVar[str] = "feedback.recast_file"

    path: str | None = None
    """A .jsonl file; an object a line: `prompt`, and `recast`, the text that should follow it."""

    def make(self, parent: object) -> WrittenByPeople:
        """The feedback itself; it needs no parent."""
        from bambino.feedback.written_recasts import WrittenByPeople

        if self.path is None:
            way_out = "--feedback.recast_file.path FILE.jsonl"
            raise RecipeError("feedback.recast_file.path", f"feedback.recast_file needs a file: {way_out}")
        return WrittenByPeople.read(self.path, self.share)
