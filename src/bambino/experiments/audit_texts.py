"""Texts of known quality, for rewards to grade: human continuations, and the same made worse in known ways.

A continuation is the rest of a held-out line after its prompt, as long as an utterance, whole words only. Its words may
be

    shuffled      the same words in another order
    repeated      its first word, as many times as it has words
    other         as many words of a line of another language

The whole rest of a line is corrupted by shares: each word is picked with that probability, and what is picked at 10 %
is also picked at 50 %. Words picked change places among themselves, or give way to words of the other lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.evaluation.pair_files import Pair
from bambino.randomness import permutation, uniforms
from bambino.speaking.utterances import Utterances, decoded

SHARES = (0.0, 0.1, 0.25, 0.5)
"""Shares of words that are corrupted."""
FEWEST = 3
"""Words of a continuation; of fewer, there is little to shuffle."""


@dataclass(frozen=True)
class Continuation:
    """The rest of a line after its prompt."""

    prompt: str
    begun: str
    """The rest of a word that the prompt begins."""
    words: tuple[str, ...]

    def with_words(self, words: Sequence[str]) -> Continuation:
        """The same prompt and other words."""
        return Continuation(self.prompt, self.begun, tuple(words))

    @property
    def text(self) -> str:
        """What follows the prompt."""
        return self.begun + "".join(f" {word}" for word in self.words)


def continuation(tokenizer: PreTrainedTokenizerBase, row: list[int], prompt_tokens: int, tokens: int) -> Continuation:
    """At most so many tokens after a prompt of `prompt_tokens`; a last word that they cut is left out."""
    end = prompt_tokens + tokens
    prompt, whole = decoded(tokenizer, row[:prompt_tokens]), decoded(tokenizer, row[:end])
    rest = whole[len(prompt) :]
    begun = "" if rest[:1].isspace() else "".join(rest.split(maxsplit=1)[:1])
    words = rest[len(begun) :].split()
    is_cut = len(row) > end and not decoded(tokenizer, row[: end + 1])[len(whole) :][:1].isspace()
    return Continuation(prompt, begun, tuple(words[:-1] if is_cut else words))


def said(continuations: Sequence[Continuation]) -> Utterances:
    """As if the baby had said them and ended there."""
    prompts, texts = [one.prompt for one in continuations], [one.text for one in continuations]
    return Utterances(prompts, texts, [p + t for p, t in zip(prompts, texts, strict=True)], [True] * len(texts))


def members(pairs: Sequence[Pair]) -> tuple[Utterances, Utterances]:
    """The good and the bad sentences of minimal pairs; what both begin with, where a pair says it, is the prompt."""

    def utterances(texts: list[tuple[str, int]]) -> Utterances:
        prompts, rest = [text[:begin] for text, begin in texts], [text[begin:] for text, begin in texts]
        return Utterances(prompts, rest, [text for text, _ in texts], [True] * len(texts))

    good, bad = ([(pair.sentences[i], pair.begins[i]) for pair in pairs] for i in (0, 1))
    return utterances(good), utterances(bad)


def made_worse(human: Sequence[Continuation], other_lines: Sequence[str], seed: int) -> dict[str, list[Continuation]]:
    """The human continuations, and worse ones of the same prompts: from the best to the worst.

    Args:
        other_lines: of another language; empty: `other` is left out.

    Raises:
        TextError: no line of the other language has as many words as the longest continuation.
    """
    worse = {
        "human": list(human),
        "shuffled": [one.with_words(shuffled(one.words, seed, i)) for i, one in enumerate(human)],
        "repeated": [one.with_words(one.words[:1] * len(one.words)) for one in human],
    }
    if other_lines:
        longest = max(len(one.words) for one in human)
        rows = [words for words in map(str.split, other_lines) if len(words) >= longest]
        if not rows:
            raise TextError(
                f"No line of the other language has {longest} words, as continuations have. Give more text."
            )
        worse["other"] = [
            Continuation(one.prompt, "", tuple(rows[i % len(rows)][: len(one.words)])) for i, one in enumerate(human)
        ]
    return worse


def shuffled(words: Sequence[str], seed: int, number: int) -> list[str]:
    """The words in another order, by the seed and the text's number."""
    return [words[i] for i in permutation(len(words), seed, "audit/shuffled", number)]


def corrupted(lines: Sequence[Continuation], seed: int) -> dict[str, dict[float, list[Continuation]]]:
    """How -> share of words corrupted -> the lines."""
    pool = [word for line in lines for word in line.words]

    def replaced(words: Sequence[str], numbers: Sequence[float]) -> list[str]:
        return [pool[int(number * len(pool))] for number in numbers]

    def moved(words: Sequence[str], numbers: Sequence[float]) -> list[str]:
        return [*words[1:], *words[:1]]

    ways: dict[str, Callable[[Sequence[str], Sequence[float]], list[str]]] = {"shuffled": moved, "replaced": replaced}
    return {
        how: {share: [_corrupt(line, share, way, seed, i) for i, line in enumerate(lines)] for share in SHARES}
        for how, way in ways.items()
    }


def _corrupt(
    line: Continuation,
    share: float,
    way: Callable[[Sequence[str], Sequence[float]], list[str]],
    seed: int,
    number: int,
) -> Continuation:
    """The words picked, put through `way` together."""
    picks, numbers = uniforms(2, len(line.words), seed=seed, stream="audit/corrupted", step=number).tolist()
    picked = [i for i, pick in enumerate(picks) if pick < share]
    words = list(line.words)
    for i, word in zip(picked, way([words[i] for i in picked], [numbers[i] for i in picked]), strict=True):
        words[i] = word
    return line.with_words(words)
