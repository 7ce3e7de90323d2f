"""Relatedness: does what was said go with its prompt? The cosine of the two texts' embeddings.

An embedding is the mean of a model's last hidden states over a text's tokens (Reimers and Gurevych 2019, "mean"). Any
model of sentences serves. Silence, and what follows a prompt without text, earns 0. An utterance that copies its prompt
earns most: use it beside `exploitation_penalty`. What the model reads is not among the parent's tokens, nor in the
run's FLOPs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bambino.errors import RecipeError
from bambino.feedback.answers import Scores
from bambino.models.encoders import open_encoder

if TYPE_CHECKING:
    from bambino.feedback.grader_settings import RelatednessConfig


class Relatedness:
    """From -1 to 1: the cosine between the embeddings of prompt and utterance."""

    def __init__(self, config: RelatednessConfig) -> None:
        """
        Raises:
            RecipeError: no model is named.
            ModelError: the model cannot be used.
        """
        if config.model is None:
            problem = "feedback.relatedness needs a model of sentences: --feedback.relatedness.model PATH"
            raise RecipeError("feedback.relatedness.model", problem)
        self.encoder = open_encoder(config.model, config.section, trust_remote_code=config.trust_remote_code)

    def __call__(self, *, prompts: list[str], completions: list[str], **_: Any) -> Scores:
        """The reward of each utterance, by TRL's signature (`feedback/rewards.py`)."""
        pairs = zip(prompts, completions, strict=True)
        spoken = [i for i, (prompt, completion) in enumerate(pairs) if prompt.strip() and completion.strip()]
        if not spoken:
            return Scores([0.0] * len(completions))
        before, after = (self.embed([texts[i].strip() for i in spoken]) for texts in (prompts, completions))
        cosines = torch.nn.functional.cosine_similarity(before, after).tolist()
        values = dict(zip(spoken, cosines, strict=True))
        return Scores([values.get(i, 0.0) for i in range(len(completions))])

    def embed(self, texts: list[str]) -> Float[Tensor, "B D"]:
        """The embedding of each text."""
        found = [mean_pooled(output.last_hidden_state, batch.is_real) for batch, output in self.encoder.read(texts)]
        return torch.cat(found)


def mean_pooled(states: Float[Tensor, "B T D"], is_real: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """The mean of the real tokens' states."""
    counted = is_real[..., None].to(states.dtype)
    return (states * counted).sum(1) / counted.sum(1).clamp(min=1)
