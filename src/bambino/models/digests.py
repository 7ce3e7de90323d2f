"""sha256 of weights and of tokenizers: what a run was made of."""

from __future__ import annotations

import hashlib
import json

import torch
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
)


def weights_sha256(lm: PreTrainedModel) -> str:
    """Of the names and numbers of all weights, wherever they were opened from; about a second per GB."""
    digest = hashlib.sha256()
    for name, parameter in lm.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Of all that decides which ids a text has."""
    content = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else tokenizer.get_vocab()
    for set_by_calls in ("truncation", "padding"):
        content.pop(set_by_calls, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
