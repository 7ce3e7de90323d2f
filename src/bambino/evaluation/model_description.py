"""What a score depends on besides the data: tokenizer, start token, precision, context."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.scoring import context_length
from bambino.text import start_token


def describe_model(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """For the settings of a `TaskResult`."""
    start = start_token(tokenizer)
    return {
        "start_token": "none: the first token is not scored"
        if start is None
        else tokenizer.convert_ids_to_tokens(start),
        "dtype": f"{str(lm.dtype).removeprefix('torch.')}; log-softmax in float32, sums in float64",
        "context": context_length(lm),
        "tokenizer": {
            "class": type(tokenizer).__name__,
            "vocabulary": len(tokenizer),
            "sha256": tokenizer_hash(tokenizer),
        },
    }


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 of all that decides how text is split: the tokenizer.json without its padding and truncation.

    Of the vocabulary alone for tokenizers without one.
    """
    if tokenizer.is_fast:
        content = json.loads(tokenizer.backend_tokenizer.to_str())
        content = {name: part for name, part in content.items() if name not in ("padding", "truncation")}
    else:
        content = tokenizer.get_vocab()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
