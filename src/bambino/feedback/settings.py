"""`KINDS`: the kinds of feedback that a recipe may name, and the settings of those that need a model. Nothing heavy is
imported here, so that a recipe is checked before anything is loaded.

A kind is a class of settings whose method `make(parent)` gives the feedback itself, a function by TRL's signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bambino.feedback.controls import ConstantConfig, RandomConfig
from bambino.feedback.grader_settings import AcceptabilityConfig, ExploitationPenaltyConfig, RelatednessConfig
from bambino.feedback.language_identity import LanguageIdentityConfig
from bambino.feedback.length import LengthConfig
from bambino.feedback.missing_eos import MissingEOSConfig
from bambino.feedback.needed_parent import the_parent
from bambino.feedback.repetition import RepetitionConfig
from bambino.feedback.text_settings import (
    BestOfKConfig,
    RecastConfig,
    RecastEditConfig,
    RecastFileConfig,
    RecastOverUtteranceConfig,
)
from bambino.recipe.checks import AtLeastOne, Positive, Share
from bambino.recipe.curricula import PositiveOverTraining
from bambino.recipe.settings import BabyLMRule, FeedbackConfig

if TYPE_CHECKING:
    from bambino.feedback.parent_log_perplexity import ParentLogPerplexity
    from bambino.feedback.parent_perplexity import ParentPerplexity
    from bambino.feedback.parent_spans import ParentSpans
    from bambino.feedback.parent_targets import ParentTargets
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
    tau: PositiveOverTraining | None = 150.0
    """The perplexity that earns alpha / 2; null: calibrated, the median of the last 512 utterances' perplexities. May
    change over training: {0: 1000, 0.5: 150} asks for more as the baby learns."""
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
    babylm: ClassVar[BabyLMRule] = "allowed"

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


@dataclass(frozen=True)
class ParentSpansConfig(FeedbackConfig):
    """Each piece s of an utterance earns -d_s, d_s = log pi_baby(s) - log p_parent(s): what it adds to the KL."""

    needs_parent: ClassVar[bool] = True
    babylm: ClassVar[BabyLMRule] = "parent_words_count"
    section: ClassVar[str] = "feedback.parent_spans"

    for_: str = "reinforce"
    """The phase that learns from it; its baseline should be `batch`. The key is `for` in a recipe."""
    unit: Literal["word", "token"] = "word"
    """word: the baby's tokens from a space to before the next one; a last word that the token limit cut earns nothing.
    token: each of the baby's tokens, for scripts without spaces."""
    clip: Positive = 3.0
    """d_s is held within plus and minus this, in nats per byte."""

    def make(self, parent: Speaker | None) -> ParentSpans:
        """The feedback itself."""
        from bambino.feedback.parent_spans import ParentSpans

        return ParentSpans(the_parent(parent, self), self)


@dataclass(frozen=True)
class ParentTargetsConfig(FeedbackConfig):
    """The parent's distribution over the baby's next token, in place of the one token that the text or the baby had."""

    needs_parent: ClassVar[bool] = True
    babylm: ClassVar[BabyLMRule] = "parent_words_count"
    section: ClassVar[str] = "feedback.parent_targets"

    for_: Literal["clm", "distill"] = "clm"
    """clm: targets of what the baby hears, beside the text's own tokens. distill: of what it says, in steps of their
    own."""
    weight: Positive = 1.0
    """A factor of the divergence from the targets."""
    share: Share = 0.5
    """For clm: weight of that divergence where there are targets; the text's own tokens keep the rest."""
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

        return ParentTargets(the_parent(parent, self), self)


@dataclass(frozen=True)
class SaidTargetsConfig(ParentTargetsConfig):
    """The parent's distributions over what the baby says; by this name a recipe may have them beside parent_targets."""

    section: ClassVar[str] = "feedback.said_targets"

    for_: Literal["clm", "distill"] = "distill"
    """distill: targets of what the baby says, in steps of their own. clm: of what it hears."""


KINDS: dict[str, type[FeedbackConfig]] = {
    "parent_perplexity": ParentPerplexityConfig,
    "parent_log_perplexity": ParentLogPerplexityConfig,
    "parent_spans": ParentSpansConfig,
    "parent_targets": ParentTargetsConfig,
    "said_targets": SaidTargetsConfig,
    "repetition": RepetitionConfig,
    "missing_eos": MissingEOSConfig,
    "length": LengthConfig,
    "language_identity": LanguageIdentityConfig,
    "exploitation_penalty": ExploitationPenaltyConfig,
    "acceptability": AcceptabilityConfig,
    "relatedness": RelatednessConfig,
    "recast": RecastConfig,
    "recast_edit": RecastEditConfig,
    "recast_file": RecastFileConfig,
    "recast_over_utterance": RecastOverUtteranceConfig,
    "best_of_k": BestOfKConfig,
    "constant": ConstantConfig,
    "random": RandomConfig,
}
"""Kinds of feedback that a recipe may name."""
