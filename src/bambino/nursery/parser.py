"""Exact probabilities of word sequences under a proper, non-recursive PCFG, left to right.

A state after some words is every stack of symbols that may still follow, with its probability: P(words so far, stack).
Reading a word replaces the top of each stack by its derivatives; equal stacks are merged, so derivations are summed,
not enumerated. Since every nonterminal's strings sum to 1, the state's total is the exact prefix probability, and the
share of stacks that may be empty the probability that the sentence is complete (Stolcke 1995 gets the same two numbers
from an Earley chart; without recursion stacks are enough).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from bambino.nursery.pcfg import Pcfg, Symbol

Stack = tuple["Symbol", "Stack"] | None
"""(top, rest); None is the empty stack."""
State = dict[Stack, float]
REMEMBERED = 1024
"""States kept, so that sentences that begin alike share the work; some 20 kB each."""


@dataclass
class Parser:
    """Reads words; every number is a probability, not a logarithm."""

    grammar: Pcfg
    _derivatives: dict[tuple[int, str], list[tuple[tuple[Symbol, ...], float]]] = field(default_factory=dict)
    _first: dict[int, dict[str, float]] = field(default_factory=dict)
    _empty: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state_after = lru_cache(maxsize=REMEMBERED)(self._state_after)

    def probability(self, words: tuple[str, ...]) -> float:
        """P(the sentence is exactly these words), summed over all derivations."""
        return sum(weight * self._all_empty(stack) for stack, weight in self.state_after(words).items())

    def prefix_probability(self, words: tuple[str, ...]) -> float:
        """P(the sentence begins with these words)."""
        return sum(self.state_after(words).values())

    def next_words(self, words: tuple[str, ...]) -> dict[str, float]:
        """Word -> P(the sentence begins with these words and then this one)."""
        found: dict[str, float] = {}
        for stack, weight in self.state_after(words).items():
            while stack is not None and weight > 0:
                top, stack = stack
                for word, share in self._first_words(top).items():
                    found[word] = found.get(word, 0.0) + weight * share
                weight *= self._emptiness(top)
        return found

    def _state_after(self, words: tuple[str, ...]) -> State:
        if not words:
            return {(self.grammar.start, None): 1.0}
        new: State = {}
        for stack, weight in self.state_after(words[:-1]).items():
            self._read(stack, weight, words[-1], new)
        return new

    def _read(self, stack: Stack, weight: float, word: str, new: State) -> None:
        """Add to `new` what is left of the stack after the word; tops that may be empty are skipped too."""
        while stack is not None and weight > 0:
            top, rest = stack
            for symbols, share in self._derivative(top, word):
                left: Stack = rest
                for symbol in reversed(symbols):
                    left = (symbol, left)
                new[left] = new.get(left, 0.0) + weight * share
            weight *= self._emptiness(top)
            stack = rest

    def _derivative(self, top: Symbol, word: str) -> list[tuple[tuple[Symbol, ...], float]]:
        """What may follow the word where `top` was expected: symbols and P(word, symbols | top)."""
        if isinstance(top, str):
            return [((), 1.0)] if top == word else []
        if word not in self._first_words(top):
            return []
        key = (top, word)
        if key not in self._derivatives:
            found: dict[tuple[Symbol, ...], float] = {}
            for probability, symbols in self.grammar.productions[top]:
                for place, symbol in enumerate(symbols):
                    for left, share in self._derivative(symbol, word):
                        whole = left + symbols[place + 1 :]
                        found[whole] = found.get(whole, 0.0) + probability * share
                    probability *= self._emptiness(symbol)
                    if probability == 0:
                        break
            self._derivatives[key] = list(found.items())
        return self._derivatives[key]

    def _first_words(self, top: Symbol) -> dict[str, float]:
        if isinstance(top, str):
            return {top: 1.0}
        if top not in self._first:
            found: dict[str, float] = {}
            for probability, symbols in self.grammar.productions[top]:
                for symbol in symbols:
                    for word, share in self._first_words(symbol).items():
                        found[word] = found.get(word, 0.0) + probability * share
                    probability *= self._emptiness(symbol)
                    if probability == 0:
                        break
            self._first[top] = found
        return self._first[top]

    def _emptiness(self, top: Symbol) -> float:
        """P(the symbol is said by no word)."""
        if isinstance(top, str):
            return 0.0
        if top not in self._empty:
            total = 0.0
            for probability, symbols in self.grammar.productions[top]:
                for symbol in symbols:
                    probability *= self._emptiness(symbol)
                total += probability
            self._empty[top] = total
        return self._empty[top]

    def _all_empty(self, stack: Stack) -> float:
        probability = 1.0
        while stack is not None and probability > 0:
            probability *= self._emptiness(stack[0])
            stack = stack[1]
        return probability
