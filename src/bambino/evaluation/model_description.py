"""What a score depends on besides the data: tokenizer, start token, precision, context."""

from __future__ import annotations

from typing import Any

from bambino.scoring.forward import context_length
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import start_token, tokenizer_sha256


def describe_model(speaker: Speaker) -> dict[str, Any]:
    """For the settings of a `TaskResult`."""
    lm, tokenizer = speaker.lm, speaker.tokenizer
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
            "sha256": tokenizer_sha256(tokenizer),
        },
    }
