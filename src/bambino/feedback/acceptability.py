"""Acceptability: what a sequence classifier makes of what was said, such as one trained on CoLA's judgements.

The reward is the probability (or the logit) of one label. Silence has a probability of 0, and the lowest logit of its
batch, or 0 if that is lower. What the classifier reads is not among the parent's tokens, nor in the run's FLOPs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from bambino.errors import RecipeError
from bambino.feedback.answers import Scores
from bambino.models.encoders import open_classifier

if TYPE_CHECKING:
    from bambino.feedback.grader_settings import AcceptabilityConfig


class Acceptability:
    """The probability or logit that a classifier gives a label."""

    def __init__(self, config: AcceptabilityConfig) -> None:
        """
        Raises:
            RecipeError: no model is named, or it has no such label.
            ModelError: the model cannot be used.
        """
        if config.model is None:
            problem = "feedback.acceptability needs a classifier: --feedback.acceptability.model PATH"
            raise RecipeError("feedback.acceptability.model", problem)
        self.config = config
        self.classifier = open_classifier(config.model, config.section, trust_remote_code=config.trust_remote_code)
        self.label = label_number(self.classifier.model, config.label)

    def __call__(
        self, *, prompts: list[str], completions: list[str], texts: list[str] | None = None, **_: Any
    ) -> Scores:
        """The reward of each utterance, by TRL's signature (`feedback/rewards.py`)."""
        whole = texts or [p + c for p, c in zip(prompts, completions, strict=True)]
        read = whole if self.config.scope == "whole" else completions
        spoken = [i for i, completion in enumerate(completions) if completion.strip()]
        values = dict(zip(spoken, self._values([read[i] for i in spoken]), strict=True))
        silence = 0.0 if self.config.output == "probability" else min([0.0, *values.values()])
        return Scores([values.get(i, silence) for i in range(len(completions))])

    def _values(self, texts: list[str]) -> list[float]:
        found: list[float] = []
        for _batch, output in self.classifier.read(texts):
            logits = output.logits.float()
            if self.config.output == "probability":
                logits = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(-1)
            found += logits[:, self.label].tolist()
        return found


def label_number(model: PreTrainedModel, label: str) -> int:
    """Which output a label is: its name in the model's config, or its number.

    Raises:
        RecipeError: there is none of that name or number.
    """
    names = {number: str(name) for number, name in model.config.id2label.items()}
    for number, name in names.items():
        if label in (name, str(number)):
            return int(number)
    key = "feedback.acceptability.label"
    raise RecipeError(key, f"{key} = {label}: the classifier's labels are {', '.join(names.values())}.")
