"""`KINDS`: the kinds of feedback that a recipe may name, and the settings of those that need a model. Nothing heavy is
imported here, so that a recipe is checked before anything is loaded.

A kind is a class of settings whose method `make(parent)` gives the feedback itself, a function by TRL's signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bambino.feedback.controls import ConstantConfig, RandomConfig
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
from bambino.recipe.checks import AtLeastOne, Positive
from bambino.recipe.settings import BabyLMRule, FeedbackConfig

if TYPE_CHECKING:
    from bambino.feedback.acceptability import Acceptability
    from bambino.feedback.exploitation_penalty import ExploitationPenalty
    from bambino.feedback.parent_log_perplexity import ParentLogPerplexity
    from bambino.feedback.parent_perplexity import ParentPerplexity
    from bambino.feedback.parent_spans import ParentSpans
    from bambino.feedback.relatedness import Relatedness
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
class ExploitationPenaltyConfig(FeedbackConfig):
    """Minus what an utterance copies of its prompt, repeats, and is liked by the parent for repeating."""

    needs_parent: ClassVar[bool] = True
    section: ClassVar[str] = "feedback.exploitation_penalty"
    babylm: ClassVar[BabyLMRule] = "allowed"

    ngram: AtLeastOne = 2
    """Words of a phrase that is copied or repeated."""

    def make(self, parent: Speaker | None) -> ExploitationPenalty:
        """The feedback itself."""
        from bambino.feedback.exploitation_penalty import ExploitationPenalty

        return ExploitationPenalty(the_parent(parent, self), self)


@dataclass(frozen=True)
class AcceptabilityConfig(FeedbackConfig):
    """What a sequence classifier gives one label, such as "acceptable", of what was said."""

    section: ClassVar[str] = "feedback.acceptability"
    babylm: ClassVar[BabyLMRule] = "allowed"

    model: str | None = None
    """A classifier: a local folder or a hub name, anything AutoModelForSequenceClassification opens. Safetensors
    only."""
    label: str = "1"
    """The label that is wanted: its name in the model's config, or its number."""
    output: Literal["probability", "logit"] = "probability"
    """The label's probability, from 0 to 1, or its logit."""
    scope: Literal["whole", "utterance"] = "whole"
    """What is classified: prompt and utterance, or the utterance alone."""

    def make(self, parent: object) -> Acceptability:
        """The feedback itself; it needs no parent."""
        from bambino.feedback.acceptability import Acceptability

        return Acceptability(self)


@dataclass(frozen=True)
class RelatednessConfig(FeedbackConfig):
    """The cosine between sentence embeddings of prompt and utterance, from -1 to 1; silence 0."""

    section: ClassVar[str] = "feedback.relatedness"
    babylm: ClassVar[BabyLMRule] = "allowed"

    model: str | None = None
    """A model of sentences: a local folder or a hub name, anything AutoModel opens; the mean of its last hidden states
    is the embedding. Safetensors only."""

    def make(self, parent: object) -> Relatedness:
        """The feedback itself; it needs no parent."""
        from bambino.feedback.relatedness import Relatedness

        return Relatedness(self)


KINDS: dict[str, type[FeedbackConfig]] = {
    "parent_perplexity": ParentPerplexityConfig,
    "parent_log_perplexity": ParentLogPerplexityConfig,
    "parent_spans": ParentSpansConfig,
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
