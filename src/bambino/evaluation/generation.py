"""How varied what the baby says is: distinct n-grams and repetition, over whitespace-separated words."""

from __future__ import annotations

from collections.abc import Sequence


def distinct_n(utterances: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams of all utterances (Li et al. 2016); 0 when there is none."""
    grams = [tuple(words[i : i + n]) for words in map(str.split, utterances) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def longest_repeat(utterance: str) -> int:
    """Words in the longest phrase that occurs at least twice in the utterance; occurrences may overlap."""
    words = utterance.split()
    for length in range(len(words) - 1, 0, -1):
        phrases = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
        if len(set(phrases)) < len(phrases):
            return length
    return 0
