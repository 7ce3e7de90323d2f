"""Log-probabilities of the ends of sentences as BabyLM's scorer takes them (its backend `causal`).

Sentences begin as the tokenizer begins them: without a start token where it prepends none, and then the first token is
not scored. All else in bambino begins texts with the start token.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bambino.errors import TextError
from bambino.scoring.forward import context_length, eval_mode
from bambino.scoring.texts import row_log_probs
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import encode_with_ends

START = "as the tokenizer begins a text; where it prepends nothing, the first token is not scored"
"""For the settings of results."""


def end_log_probs(baby: Speaker, sentences: Sequence[str], ends: Sequence[str]) -> np.ndarray:
    """For each sentence the summed log-prob, in nats, of its tokens that end after the beginning of its end.

    Raises:
        TextError: a sentence that is longer than the model's context.
    """
    encoded = encode_with_ends(baby.tokenizer, list(sentences), with_start=False)
    begins = [len(sentence) - len(end) for sentence, end in zip(sentences, ends, strict=True)]
    counted = [np.array(places) > begin for (_, places), begin in zip(encoded, begins, strict=True)]
    return row_sums(baby, [row for row, _ in encoded], counted)


def row_sums(baby: Speaker, rows: list[list[int]], counted: list[np.ndarray]) -> np.ndarray:
    """For each row of token ids the summed log-prob of its tokens that count; a first token never does.

    Raises:
        TextError: a row that is longer than the model's context.
    """
    longest, most = max(map(len, rows)), context_length(baby.lm)
    if most is not None and longest > most:
        raise TextError(f"A sentence of {longest:,} tokens is longer than the model's context, {most:,}.")
    for of_row in counted:
        of_row[:1] = False
    with eval_mode(baby.lm):
        scores = row_log_probs(baby.lm, rows, counted)
    is_counted, row_of = np.concatenate(counted), np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    sums: np.ndarray = np.bincount(row_of[is_counted], scores[is_counted], len(rows))
    return sums
