"""Models that read whole texts, for feedback: sequence classifiers and sentence encoders. Safetensors only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import PartialState
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bambino.errors import ModelError, shortened
from bambino.models.loading import is_on_hub
from bambino.models.opening import check_files, check_finite, opening
from bambino.scoring.forward import context_length
from bambino.text.batches import TokenBatch, pad

BATCH = 32
"""Texts read at a time."""


@dataclass(frozen=True)
class TextModel:
    """A model that reads whole texts, with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @torch.no_grad()
    def read(self, texts: list[str]) -> Iterator[tuple[TokenBatch, Any]]:
        """What the model gives for the texts, batch by batch in order; texts beyond its context are cut."""
        config, tokenizer = self.model.config, self.tokenizer
        longest = min(tokenizer.model_max_length, context_length(self.model) or 1 << 30)
        rows = tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
        has_pad = tokenizer.pad_token_id is not None and getattr(config, "pad_token_id", None) is not None
        size = BATCH if has_pad else 1
        for first in range(0, len(rows), size):
            batch = pad(rows[first : first + size], tokenizer.pad_token_id if has_pad else 0).to(self.model.device)
            yield batch, self.model(input_ids=batch.input_ids, attention_mask=batch.is_real.long())


def open_classifier(source: str, section: str, *, trust_remote_code: bool) -> TextModel:
    """Open a sequence classifier, on the device of this process.

    Args:
        section: the settings that name it (`model`, `trust_remote_code`), for messages.
        trust_remote_code: whether Python of its own may run.

    Raises:
        ModelError: it is missing, is no classifier, brings Python of its own that may not run, has no safetensors, or
            lacks weights.
    """
    return _open(AutoModelForSequenceClassification, source, section, "a sequence classifier", trust_remote_code)


def open_encoder(source: str, section: str, *, trust_remote_code: bool) -> TextModel:
    """Open a model of which the last hidden states are wanted, on the device of this process.

    Raises:
        ModelError: as `open_classifier`.
    """
    return _open(AutoModel, source, section, "a model of hidden states", trust_remote_code)


def _open(opener: Any, source: str, section: str, what: str, trust_remote_code: bool) -> TextModel:
    path = os.path.expanduser(source)
    name = f"{section}.model = {source}"
    if not is_on_hub(source) and not os.path.isfile(os.path.join(path, "config.json")):
        raise ModelError(f"{shortened(name)}: there is no folder with a config.json. Give a Hugging Face model.")
    place = source if is_on_hub(source) else path
    way_out = "Give a folder with config.json, tokenizer and safetensors, or a hub name."
    with opening(name, f"cannot be opened as {what}", way_out):
        check_files(place, name, f"{section}.trust_remote_code", trust_remote_code=trust_remote_code)
        model, report = opener.from_pretrained(
            place,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=trust_remote_code)
        tokenizer("")
    if missing := [weight for weight in sorted(report["missing_keys"]) if "pooler" not in weight]:
        problem = f"{name} lacks {len(missing)} weights of {what} ({missing[0]}, ...)"
        raise ModelError(f"{problem}; they would be random. Is it one, saved whole?")
    check_finite(model, name)
    return TextModel(model.eval().requires_grad_(False).to(PartialState().device), tokenizer)
