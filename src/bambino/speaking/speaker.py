"""Whoever speaks: a causal LM with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Speaker:
    """A causal LM with its tokenizer."""

    lm: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
