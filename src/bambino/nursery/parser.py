"""Exact probabilities of word sequences under a proper, non-recursive PCFG.

Two tables over (symbol, place), filled from the top as far as they are asked for. N words are given, from word 0:

    ends(X, i)[j]       P(X is said by the words i ... j - 1)                       the inside probability (Baker 1979)
    following(X, i)[w]  P(X is said by the words i ... N - 1, then w, then more)    as in Jelinek and Lafferty (1991)

Both follow a production from left to right, over the places that its first symbols can reach. All derivations are
summed, none enumerated. No symbol comes back inside itself, so neither needs the fixed points that recursion would.
Since every nonterminal's strings sum to 1, `following` of the start gives exact prefix probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from bambino.nursery.pcfg import Pcfg, Production, Symbol

REMEMBERED = 1024
"""Prefixes whose next words are kept, since a text's prefixes that end in one word share them."""


@dataclass
class ChartParser:
    """Reads words; every number is a probability, not a logarithm."""

    grammar: Pcfg
    _first: dict[int, dict[str, float]] = field(default_factory=dict)
    _empty: dict[int, float] = field(default_factory=dict)
    _beginning: dict[tuple[int, str], list[Production]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.next_words = lru_cache(maxsize=REMEMBERED)(self._next_words)
        """Words -> {word: P(the sentence begins with these words and then this one)}."""

    def probability(self, words: tuple[str, ...]) -> float:
        """P(the sentence is exactly these words), summed over all derivations."""
        return _Chart(self, words).ends(self.grammar.start, 0).get(len(words), 0.0)

    def _next_words(self, words: tuple[str, ...]) -> dict[str, float]:
        return _Chart(self, words).following(self.grammar.start, 0)

    def first_words(self, top: Symbol) -> dict[str, float]:
        """Word -> P(what the symbol says begins with it)."""
        if isinstance(top, str):
            return {top: 1.0}
        if top not in self._first:
            found: dict[str, float] = {}
            for probability, symbols in self.grammar.productions[top]:
                for symbol in symbols:
                    _add(found, self.first_words(symbol), probability)
                    probability *= self.emptiness(symbol)
                    if probability == 0:
                        break
            self._first[top] = found
        return self._first[top]

    def emptiness(self, top: Symbol) -> float:
        """P(the symbol is said by no word)."""
        if isinstance(top, str):
            return 0.0
        if top not in self._empty:
            total = 0.0
            for probability, symbols in self.grammar.productions[top]:
                for symbol in symbols:
                    probability *= self.emptiness(symbol)
                total += probability
            self._empty[top] = total
        return self._empty[top]

    def beginning_with(self, top: int, word: str) -> list[Production]:
        """The productions of a nonterminal that can begin with the word or be empty, in the grammar's order."""
        key = (top, word)
        if key not in self._beginning:
            self._beginning[key] = [
                production for production in self.grammar.productions[top] if self._can_begin_with(production[1], word)
            ]
        return self._beginning[key]

    def _can_begin_with(self, symbols: tuple[Symbol, ...], word: str) -> bool:
        for symbol in symbols:
            if word in self.first_words(symbol):
                return True
            if self.emptiness(symbol) == 0:
                return False
        return True


@dataclass
class _Chart:
    """The two tables for given words."""

    parser: ChartParser
    words: tuple[str, ...]
    _ends: dict[tuple[int, int], dict[int, float]] = field(default_factory=dict)
    _following: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)

    def ends(self, top: int, start: int) -> dict[int, float]:
        """End -> P(the nonterminal is said by the words from start to end)."""
        key = (top, start)
        if key not in self._ends:
            self._ends[key] = self._find_ends(top, start)
        return self._ends[key]

    def following(self, top: Symbol, start: int) -> dict[str, float]:
        """Word -> P(the symbol is said by all words from start, then this one, then perhaps more)."""
        if start == len(self.words):
            return self.parser.first_words(top)
        if isinstance(top, str) or self.words[start] not in self.parser.first_words(top):
            return {}
        key = (top, start)
        if key not in self._following:
            found: dict[str, float] = {}
            for probability, symbols in self.parser.beginning_with(top, self.words[start]):
                reached = {start: probability}
                for symbol in symbols:
                    for place, weight in reached.items():
                        _add(found, self.following(symbol, place), weight)
                    reached = self._advance(reached, symbol)
                    if not reached:
                        break
            self._following[key] = found
        return self._following[key]

    def _find_ends(self, top: int, start: int) -> dict[int, float]:
        if start == len(self.words) or self.words[start] not in self.parser.first_words(top):
            emptiness = self.parser.emptiness(top)
            return {start: emptiness} if emptiness > 0 else {}
        found: dict[int, float] = {}
        for probability, symbols in self.parser.beginning_with(top, self.words[start]):
            reached = {start: probability}
            for symbol in symbols:
                reached = self._advance(reached, symbol)
                if not reached:
                    break
            for end, weight in reached.items():
                found[end] = found.get(end, 0.0) + weight
        return found

    def _advance(self, reached: dict[int, float], symbol: Symbol) -> dict[int, float]:
        """The places reached after one more symbol."""
        if isinstance(symbol, str):
            words = self.words
            return {place + 1: w for place, w in reached.items() if place < len(words) and words[place] == symbol}
        new: dict[int, float] = {}
        for place, weight in reached.items():
            for end, share in self.ends(symbol, place).items():
                new[end] = new.get(end, 0.0) + weight * share
        return new


def _add(total: dict[str, float], more: dict[str, float], weight: float) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0.0) + weight * value
