"""`KINDS`: the kinds of feedback that a recipe may name, and the settings of those that need a model. Nothing heavy is
imported here, so that a recipe is checked before anything is loaded.

A kind is a class of settings whose method `make(parent)` gives the feedback itself, a function by TRL's signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bambino.errors import RecipeError
from bambino.feedback.missing_eos import MissingEOSConfig
from bambino.feedback.repetition import RepetitionConfig
from bambino.recipe.checks import AtLeastOne, Positive, Share
from bambino.recipe.settings import FeedbackConfig

if TYPE_CHECKING:
    from bambino.feedback.parent_perplexity import ParentPerplexity
    from bambino.feedback.parent_targets import ParentTargets
    from bambino.speaking.speaker import Speaker


@dataclass(frozen=True)
class ParentPerplexityConfig(FeedbackConfig):
    """R = alpha / (1 + exp(beta * (PPL - tau))), PPL the parent's perplexity per parent token (paper, section 3)."""

    needs_parent: ClassVar[bool] = True
    section: ClassVar[str] = "feedback.parent_perplexity"

    alpha: Positive = 5.0
    """The largest reward."""
    beta: Positive = 0.001
    """Steepness, per unit of perplexity."""
    beta_times_tau: Positive | None = None
    """Gives beta = beta_times_tau / tau, so that steepness follows a calibrated tau (3 worked on toys); null: beta."""
    tau: Positive | None = 150.0
    """The perplexity that earns alpha / 2; null: calibrated, the median of the last 512 utterances' perplexities."""
    scope: Literal["whole", "utterance"] = "whole"
    """Which parent tokens count: prompt and utterance (paper), or the utterance's alone, given the prompt."""
    until: Literal["cut", "last_word"] = "cut"
    """Score to the end of the text, or leave out a last word that was cut by the token limit."""

    def make(self, parent: Speaker | None) -> ParentPerplexity:
        """The feedback itself."""
        from bambino.feedback.parent_perplexity import ParentPerplexity

        if parent is None:
            raise RecipeError("parent.model", "feedback.parent_perplexity needs a parent: --parent.model PATH")
        return ParentPerplexity(parent.lm, parent.tokenizer, self)


@dataclass(frozen=True)
class ParentTargetsConfig(FeedbackConfig):
    """The parent's distribution over the baby's next token, in place of the one token that the text or the baby had."""

    needs_parent: ClassVar[bool] = True
    section: ClassVar[str] = "feedback.parent_targets"

    for_: Literal["clm"] = "clm"
    """What the targets are of: what the baby hears (clm)."""
    share: Share = 0.5
    """Weight of the divergence from the targets where there are some; the text's own tokens keep the rest."""
    divergence: Literal["forward", "reverse", "mixed"] = "forward"
    """KL(parent || baby), KL(baby || parent), or the Jensen-Shannon divergence between them."""
    rule: Literal["covers", "cheap"] = "covers"
    """covers: from all ways in which the parent's tokens can go on after what was said. cheap: from the one that the
    whole text's own tokens are."""
    max_dropped: Share = 0.1
    """Leave out places where more than this share of the parent's probability could not be turned into the baby's
    tokens."""
    top: AtLeastOne = 64
    """Keep the so many likeliest tokens of a target; all others together are one outcome more."""

    def make(self, parent: Speaker | None) -> ParentTargets:
        """The feedback itself."""
        from bambino.feedback.parent_targets import ParentTargets

        if parent is None:
            raise RecipeError("parent.model", "feedback.parent_targets needs a parent: --parent.model PATH")
        return ParentTargets(parent, self)


KINDS: dict[str, type[FeedbackConfig]] = {
    "parent_perplexity": ParentPerplexityConfig,
    "repetition": RepetitionConfig,
    "missing_eos": MissingEOSConfig,
    "parent_targets": ParentTargetsConfig,
}
"""Kinds of feedback that a recipe may name."""
