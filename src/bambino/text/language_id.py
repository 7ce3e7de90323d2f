"""Which of two languages a word looks like: two character n-gram models, trained on a corpus each; no download.

A word is read as its characters between a start and an end, and

    p(c | last k characters) = (count(k-gram, c) + T * p(c | last k - 1)) / (count(k-gram) + T),

T being the number of different characters seen after that k-gram (Witten and Bell 1991); below the single character
lies the uniform distribution over the alphabet of both corpora. With equal priors, P(L1 | word) = p1 / (p1 + p2).

Words are told apart one by one, without context. Counts are of running words, so a frequent word of one language that
also exists in the other goes to where it is more frequent, and words as common in both (a, in, no) are "unsure".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bambino.text.spelling import count_words

START, END = "\x02", "\x03"
Language = Literal["L1", "L2", "unsure"]


@dataclass(frozen=True)
class LanguageIdSettings:
    """How words are told apart."""

    order: int = 5
    """Longest n-gram of characters, the predicted one included."""
    sure: float = 0.9
    """A word is L1 when P(L1 | word) is at least this, L2 when it is at most 1 - this, else unsure."""

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"order = {self.order}: an n-gram has at least one character. Use 1 or more.")
        if not 0.5 < self.sure <= 1:
            raise ValueError(f"sure = {self.sure} must lie above 0.5 and at most at 1.")


class CharacterModel:
    """How a language spells: p(word) as a product over its characters and its end."""

    def __init__(self, words: Mapping[str, int], alphabet: int, order: int = 5) -> None:
        """
        Args:
            words: word -> how often it counts (1 each: spelling; corpus frequencies: running text).
            alphabet: number of characters a word may hold, the end not counted.
        """
        self.order, self.symbols = order, alphabet + 1
        counts: dict[str, int] = {}
        for word, count in words.items():
            padded = START + word + END
            for end in range(2, len(padded) + 1):
                for first in range(max(0, end - order), end):
                    gram = padded[first:end]
                    counts[gram] = counts.get(gram, 0) + count
        self._counts = counts
        """k-gram with the character after it, as one string."""
        self._totals: dict[str, int] = {}
        """k-gram -> how often any character followed it."""
        self._kinds: dict[str, int] = {}
        """k-gram -> different characters after it."""
        for gram, count in counts.items():
            history = gram[:-1]
            self._totals[history] = self._totals.get(history, 0) + count
            self._kinds[history] = self._kinds.get(history, 0) + 1

    def log_prob(self, word: str) -> float:
        """ln p(word), its end included."""
        padded = START + word + END
        return sum(
            math.log(self._prob(padded[max(0, end - self.order + 1) : end], padded[end]))
            for end in range(1, len(padded))
        )

    def per_character(self, word: str) -> float:
        """ln p(word) over its characters and its end: comparable between words of different lengths, in nats."""
        return self.log_prob(word) / (len(word) + 1)

    def _prob(self, context: str, character: str) -> float:
        prob = 1.0 / self.symbols
        for first in range(len(context), -1, -1):
            history = context[first:]
            kinds = self._kinds.get(history, 0)
            if kinds == 0:
                break  # a longer history was not seen either
            prob = (self._counts.get(history + character, 0) + kinds * prob) / (self._totals[history] + kinds)
        return prob


@dataclass
class LanguageIdentifier:
    """Two corpora's words and how they spell."""

    l1_words: Counter[str]
    l2_words: Counter[str]
    settings: LanguageIdSettings = LanguageIdSettings()
    _known: dict[str, float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, words in (("L1", self.l1_words), ("L2", self.l2_words)):
            if not words:
                raise ValueError(
                    f"there is no word in the {name} lines, so {name} cannot be told from another language."
                )
        alphabet = len({c for word in self.l1_words.keys() | self.l2_words.keys() for c in word})
        self._l1, self._l2 = (
            CharacterModel(words, alphabet, self.settings.order) for words in (self.l1_words, self.l2_words)
        )
        self.l2_spelling = CharacterModel(dict.fromkeys(self.l2_words, 1), alphabet, self.settings.order)
        """How L2 words are spelled, each word form once."""

    @classmethod
    def train(
        cls, l1_lines: Iterable[str], l2_lines: Iterable[str], settings: LanguageIdSettings | None = None
    ) -> LanguageIdentifier:
        """From lines of each language.

        Raises:
            ValueError: lines of a language hold no word.
        """
        return cls(count_words(l1_lines), count_words(l2_lines), settings or LanguageIdSettings())

    def l1_probability(self, word: str) -> float:
        """P(L1 | word) when both languages are equally likely beforehand."""
        if word not in self._known:
            odds = self._l2.log_prob(word) - self._l1.log_prob(word)
            self._known[word] = 1 / (1 + math.exp(odds)) if odds < 700 else 0.0
        return self._known[word]

    def language(self, word: str) -> Language:
        """L1 or L2 where the settings' `sure` is reached."""
        probability = self.l1_probability(word)
        if probability >= self.settings.sure:
            return "L1"
        return "L2" if probability <= 1 - self.settings.sure else "unsure"
