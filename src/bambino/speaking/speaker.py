"""Whoever speaks: a causal LM with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.models.loading import load_lm, load_tokenizer
from bambino.recipe.model_settings import ModelConfig


@dataclass(frozen=True)
class Speaker:
    """A causal LM with its tokenizer."""

    lm: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def open_speaker(config: ModelConfig, role: Literal["baby", "parent"]) -> Speaker:
    """Open a model with its tokenizer, on the device of this process.

    Raises:
        ModelError: one of them cannot be used.
    """
    lm = load_lm(config, role).to(PartialState().device)
    return Speaker(lm, load_tokenizer(config, role, lm))
