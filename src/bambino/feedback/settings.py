"""`KINDS`: the kinds of feedback that a recipe may name, and the settings of those that need a model. Nothing heavy is
imported here, so that a recipe is checked before anything is loaded.

A kind is a class of settings whose method `make(parent)` gives the feedback itself, a function by TRL's signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bambino.feedback.controls import ConstantConfig, RandomConfig
from bambino.feedback.missing_eos import MissingEOSConfig
from bambino.feedback.needed_parent import the_parent
from bambino.feedback.repetition import RepetitionConfig
from bambino.feedback.text_settings import BestOfKConfig, RecastConfig, RecastOverUtteranceConfig
from bambino.recipe.checks import Positive
from bambino.recipe.settings import BabyLMRule, FeedbackConfig

if TYPE_CHECKING:
    from bambino.feedback.parent_log_perplexity import ParentLogPerplexity
    from bambino.feedback.parent_perplexity import ParentPerplexity
    from bambino.speaking.speaker import Speaker


@dataclass(frozen=True)
class ParentPerplexityConfig(FeedbackConfig):
    """R = alpha / (1 + exp(beta * (PPL - tau))), PPL the parent's perplexity per parent token (paper, section 3)."""

    needs_parent: ClassVar[bool] = True
    section: ClassVar[str] = "feedback.parent_perplexity"
    babylm: ClassVar[BabyLMRule] = "allowed"

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

        speaker = the_parent(parent, self)
        return ParentPerplexity(speaker.lm, speaker.tokenizer, self)


@dataclass(frozen=True)
class ParentLogPerplexityConfig(FeedbackConfig):
    """R = -min(log PPL, ln V), PPL the parent's perplexity per parent token, V its vocabulary; silence earns -ln V."""

    needs_parent: ClassVar[bool] = True
    section: ClassVar[str] = "feedback.parent_log_perplexity"

    relative: bool = False
    """true: against the log-perplexity of what the parent itself says after the same prompt, which it samples."""
    standardised: bool = False
    """true: less the mean of the last 512 utterances' rewards, over their standard deviation."""
    scope: Literal["whole", "utterance"] = "whole"
    """Which parent tokens count: prompt and utterance, or the utterance's alone, given the prompt."""
    until: Literal["cut", "last_word"] = "cut"
    """Score to the end of the text, or leave out a last word that was cut by the token limit."""

    def make(self, parent: Speaker | None) -> ParentLogPerplexity:
        """The feedback itself."""
        from bambino.feedback.parent_log_perplexity import ParentLogPerplexity

        return ParentLogPerplexity(the_parent(parent, self), self)


KINDS: dict[str, type[FeedbackConfig]] = {
    "parent_perplexity": ParentPerplexityConfig,
    "parent_log_perplexity": ParentLogPerplexityConfig,
    "repetition": RepetitionConfig,
    "missing_eos": MissingEOSConfig,
    "recast": RecastConfig,
    "recast_over_utterance": RecastOverUtteranceConfig,
    "best_of_k": BestOfKConfig,
    "constant": ConstantConfig,
    "random": RandomConfig,
}
"""Kinds of feedback that a recipe may name."""
