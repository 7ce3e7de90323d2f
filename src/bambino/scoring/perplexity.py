"""How natural a model finds what was said: its perplexity per token of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.scoring.surprisal import Word, surprisals
from bambino.scoring.texts import score_tokens, sums


@dataclass(frozen=True)
class Perplexities:
    """A model's perplexities of some utterances."""

    values: list[float]
    """One per utterance; infinite where nothing was said after the prompt, or no token counts."""
    tokens_read: int
    """Tokens that the model read for it."""
    words: list[list[Word]] | None
    """The words of each utterance with the model's surprisal; None where they were not asked for."""

    @property
    def columns(self) -> dict[str, list[Any]]:
        """For utterances.jsonl."""
        return {"parent_perplexity": self.values} | ({} if self.words is None else {"surprisal": self.words})

    def row(self, i: int) -> dict[str, Any]:
        """What the i-th utterance's row of utterances.jsonl holds."""
        return {name: column[i] for name, column in self.columns.items()}


def perplexities(
    lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    texts: list[str],
    has_ended: list[bool],
    *,
    scope: Literal["whole", "utterance"] = "whole",
    until: Literal["cut", "last_word"] = "cut",
    with_words: bool = False,
) -> Perplexities:
    """The perplexity of each text, which begins with its prompt.

    Args:
        has_ended: whether the speaker ended the text, not the token limit.
        scope: which tokens count: those of prompt and utterance, or the utterance's alone, given the prompt.
        until: score to the end of the text, or leave out a last word that the token limit cut.
        with_words: ask for the words' surprisal as well, of the same reading.
    """
    is_silent = [not text[len(prompt) :].strip() for prompt, text in zip(prompts, texts, strict=True)]
    read = texts
    if until == "last_word":
        read = [
            text if ended else without_cut_word(prompt, text)
            for prompt, text, ended in zip(prompts, texts, has_ended, strict=True)
        ]
    count_from = [len(prompt) for prompt in prompts] if scope == "utterance" else None
    tokens = score_tokens(lm, tokenizer, read, count_from=count_from, with_ends=with_words)
    scores = sums(tokens, read)
    values = [math.inf if silent else score.perplexity for silent, score in zip(is_silent, scores, strict=True)]
    words = surprisals(tokens, prompts, texts, read) if with_words else None
    return Perplexities(values, sum(score.tokens_read for score in scores), words)


def mean_log(perplexities: Sequence[float]) -> float:
    """Mean log-perplexity in nats, over the finite ones; NaN where there is none."""
    finite = [math.log(p) for p in perplexities if math.isfinite(p)]
    return fmean(finite) if finite else math.nan


def without_cut_word(prompt: str, text: str) -> str:
    """The text without its last, possibly cut, word; unchanged where nothing of the utterance would be left."""
    end = max((i for i, character in enumerate(text) if character.isspace()), default=0)
    return text[:end] if text[len(prompt) : end].strip() else text
