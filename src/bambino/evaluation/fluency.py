"""Fluency: bits per byte of held-out text, which does not depend on the tokenizer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.analysis.statistics import ratio_of_sums
from bambino.errors import TextError
from bambino.evaluation.model_description import describe_model
from bambino.measures import Score, TaskResult
from bambino.scoring.texts import score_texts


def fluency(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, lines: Sequence[str], name: str) -> TaskResult:
    """Total bits of the lines over their total UTF-8 bytes, with a bootstrap interval over lines.

    Chance is what a model scores that gives every token the same probability; it depends on the tokenizer.

    Each line is scored by itself after the start token; EOS is not scored. Lines longer than the context are read in
    windows that each begin with the start token (their number is in the settings).

    Args:
        name: of the text, such as `en`; the score is `bits_per_byte/NAME`.

    Raises:
        TextError: there is no line, or an empty one.
    """
    if not lines:
        raise TextError(f"There are no {name} lines to measure bits per byte on.")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise TextError(
                f"The {name} lines for bits per byte: line {number} of {len(lines)} is empty. Leave it out."
            )
    scores = score_texts(lm, tokenizer, list(lines))
    bits = [-score.log_prob / math.log(2) for score in scores]
    num_bytes = [float(score.num_bytes) for score in scores]
    tokens = sum(score.tokens for score in scores)
    value, interval = ratio_of_sums(bits, num_bytes)
    key = f"bits_per_byte/{name}"
    settings = {
        "lines": len(lines),
        "sha256": hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest(),
        "bytes": int(sum(num_bytes)),
        "tokens": tokens,
        "windows": sum(score.tokens_read - score.tokens for score in scores),
        **describe_model(lm, tokenizer),
    }
    items = {key: [line * len(lines) / sum(num_bytes) for line in bits]}  # their mean is the score
    chance = tokens * math.log2(lm.get_output_embeddings().weight.shape[0]) / sum(num_bytes)
    verdict = "worse than guessing tokens" if interval is not None and interval.low > chance else ""
    score = Score(key, value, "bits per byte", len(lines), interval, chance)
    return TaskResult(key, [score], settings, verdict, items)
