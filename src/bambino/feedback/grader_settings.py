"""Settings of the kinds of feedback that grade texts by a model, but for the parent's perplexity. Nothing heavy is
imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bambino.feedback.needed_parent import the_parent
from bambino.recipe.checks import AtLeastOne
from bambino.recipe.settings import BabyLMRule, FeedbackConfig

if TYPE_CHECKING:
    from bambino.feedback.acceptability import Acceptability
    from bambino.feedback.exploitation_penalty import ExploitationPenalty
    from bambino.feedback.relatedness import Relatedness
    from bambino.speaking.speaker import Speaker


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
    trust_remote_code: bool = False
    """Run the Python that comes with the model (auto_map in its config.json), with all your rights; false: refuse it.
    """
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
    trust_remote_code: bool = False
    """Run the Python that comes with the model (auto_map in its config.json), with all your rights; false: refuse it.
    """

    def make(self, parent: object) -> Relatedness:
        """The feedback itself; it needs no parent."""
        from bambino.feedback.relatedness import Relatedness

        return Relatedness(self)
