"""The abstract grammar: what can be meant and how often; world.yaml -> constructions -> sampled meanings.

A meaning is a tree of constructions over words-as-concepts (`dog`, `sleep`), the same for every language. Meanings are
drawn top down: a construction of the start category by weight, then each of its parts. One thing is forbidden: a
construction may hold two words **apart**.

The held-out rule. Every noun, verb and adjective concept belongs to one of four groups, sha256(concept) mod 4. Where a
construction says `apart: {verb: subject}`, the verb and the noun at the head of the subject must be of different
groups. So a fixed quarter of all subject-verb and noun-adjective combinations is never heard, though each of the words
is; minimal pairs are made of these. A drawn meaning that breaks the rule is thrown away whole and drawn anew:
P(meaning) is the P of the plain grammar, conditioned on obeying. `Grammar` accounts for that exactly.
"""

from __future__ import annotations

import hashlib
import random
import re
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from bambino.errors import NurseryError

GROUPS = 4


@dataclass(frozen=True)
class Construction:
    """One way to make a meaning of `category`. A word (concept) is a construction without children."""

    name: str
    category: str
    """With its classes: `NP(animal)`."""
    children: tuple[tuple[str, str], ...] = ()
    """(part, category) in the order of the file."""
    probability: float = 1.0
    """Among the constructions of the category, before the held-out rule."""
    head: str | None = None
    """The part whose noun stands for the whole."""
    apart: tuple[tuple[str, str], ...] = ()
    """(word, noun phrase) parts that must be of different groups."""
    group: int | None = None
    """Of nouns, verbs and adjectives: the held-out group."""
    is_word: bool = False
    """Whether it is a concept of the lexicon."""

    @cached_property
    def base(self) -> str:
        """The category without its classes."""
        return split_category(self.category)[0]

    @cached_property
    def places(self) -> dict[str, int]:
        """Part -> its place among the parts."""
        return {label: place for place, (label, _) in enumerate(self.children)}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A tree of constructions; `str()` writes it as `statement(intransitive(positive, ...))`."""

    rule: Construction
    parts: tuple[Meaning, ...] = ()

    def __str__(self) -> str:
        return f"{self.rule.name}({', '.join(map(str, self.parts))})" if self.parts else self.rule.name

    def at(self, path: tuple[str, ...]) -> Meaning:
        """The meaning at the end of a path of parts."""
        return self.part(path[0]).at(path[1:]) if path else self

    def with_part(self, path: tuple[str, ...], new: Meaning) -> Meaning:
        """The same meaning with another one at the end of the path."""
        if not path:
            return new
        changed = self.part(path[0]).with_part(path[1:], new)
        place = self.rule.places[path[0]]
        return Meaning(self.rule, (*self.parts[:place], changed, *self.parts[place + 1 :]))

    def part(self, name: str) -> Meaning:
        """The child called `name`."""
        return self.parts[self.rule.places[name]]

    def group(self) -> int | None:
        """Held-out group of the head noun (of the word itself, for a word); None for names and pronouns."""
        return self.part(self.rule.head).group() if self.rule.head else self.rule.group


@dataclass
class World:
    """All constructions of world.yaml, made for classes when they are asked for."""

    start: str
    raw: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Category -> construction -> its entry."""
    lexicon: Mapping[str, Mapping[str, list[str]]]
    """Base category (`Verb2`) -> classes (`person food`, or '') -> concepts, most frequent first."""
    zipf: tuple[float, float] = (1.0, 0.0)
    """Exponent and shift."""
    grouped: frozenset[str] = frozenset()
    """Base categories of words under the held-out rule."""
    _rules: dict[str, tuple[Construction, ...]] = field(default_factory=dict)
    _choices: dict[str, tuple[list[float], list[Meaning]]] = field(default_factory=dict)

    def rules(self, category: str) -> tuple[Construction, ...]:
        """The constructions of a category, probabilities summing to 1; empty if the world has none.

        Raises:
            NurseryError: a category that world.yaml does not know.
        """
        if category not in self._rules:
            base, classes = split_category(category)
            if base in self.lexicon:
                self._rules[category] = self._words(category, base, classes)
            else:
                self._rules[category] = self._expand(category, base, classes)
        return self._rules[category]

    def is_word(self, category: str) -> bool:
        """Whether the category holds words of the lexicon."""
        return split_category(category)[0] in self.lexicon

    def sample(self, uniform: random.Random, category: str | None = None, held_out: bool = False) -> Meaning:
        """Draw a meaning that obeys the held-out rule (any meaning, with `held_out`). Uses only `uniform.random()`."""
        while True:
            meaning = self._draw(category or self.start, uniform, held_out)
            if meaning is not None:
                return meaning

    def obeys(self, meaning: Meaning) -> bool:
        """Whether no construction of the meaning holds two words apart."""
        return not holds_apart(meaning) and all(self.obeys(part) for part in meaning.parts)

    @cached_property
    def concepts(self) -> dict[str, set[str]]:
        """Base category -> all concepts."""
        return {base: {word for words in lists.values() for word in words} for base, lists in self.lexicon.items()}

    def _draw(self, category: str, uniform: random.Random, held_out: bool) -> Meaning | None:
        """A meaning, or None as soon as it turns out to break the rule."""
        if category not in self._choices:
            self._choices[category] = self._choice(category)
        cumulative, meanings = self._choices[category]
        chosen = meanings[min(bisect(cumulative, uniform.random() * cumulative[-1]), len(meanings) - 1)]
        rule = chosen.rule
        if not rule.children:
            return chosen
        parts = []
        for _, child in rule.children:
            part = self._draw(child, uniform, held_out)
            if part is None:
                return None
            parts.append(part)
        meaning = Meaning(rule, tuple(parts))
        return None if rule.apart and not held_out and holds_apart(meaning) else meaning

    def _choice(self, category: str) -> tuple[list[float], list[Meaning]]:
        """Cumulative probabilities of a category's constructions, and each as a meaning still without parts."""
        rules = self.rules(category)
        return list(accumulate(rule.probability for rule in rules)), [Meaning(rule) for rule in rules]

    def _words(self, category: str, base: str, classes: tuple[str, ...]) -> tuple[Construction, ...]:
        words = self.lexicon[base].get(" ".join(classes), [])
        exponent, shift = self.zipf
        weights = [(rank + shift) ** -exponent for rank in range(1, len(words) + 1)]
        return tuple(
            Construction(word, category, (), weight / sum(weights), None, (), self._group_of(base, word), True)
            for word, weight in zip(words, weights, strict=True)
        )

    def _group_of(self, base: str, word: str) -> int | None:
        return held_out_group(word) if base in self.grouped else None

    def _expand(self, category: str, base: str, classes: tuple[str, ...]) -> tuple[Construction, ...]:
        for pattern, entries in self.raw.items():
            name, variables = split_category(pattern)
            if name == base and len(variables) == len(classes):
                bound = dict(zip(variables, classes, strict=True))
                found = [
                    rule for key, entry in entries.items() for rule in self._instances(category, key, entry, bound)
                ]
                total = sum(rule.probability for rule in found)
                return tuple(_scaled(rule, 1 / total) for rule in found)
        raise NurseryError(f"world: no category {category}. Add it under constructions or to the words.")

    def _instances(
        self, category: str, name: str, entry: Mapping[str, Any], bound: dict[str, str]
    ) -> list[Construction]:
        """The construction once per choice of classes under `each`; none where `only` leaves the class out."""
        if "only" in entry and not set(bound.values()) <= set(entry["only"]):
            return []
        ((variables, choices),) = entry.get("each", {"": {"": 1}}).items()
        made = []
        for classes, weight in choices.items():
            binding = bound | dict(zip(variables.split(), classes.split(), strict=True))
            children = tuple((key, _bind(value, binding)) for key, value in entry.items() if key not in _SETTINGS)
            share = entry["weight"] * weight / sum(choices.values())
            if all(self.rules(child) for _, child in children):  # a combination without a word is left out
                apart = tuple(entry.get("apart", {}).items())
                made.append(Construction(name, category, children, share, entry.get("head"), apart))
        return made


_SETTINGS = ("weight", "each", "only", "head", "apart")


@cache
def load_world() -> World:
    """The package's own world, one for all languages."""
    return read_world(yaml.safe_load(Path(__file__).with_name("world.yaml").read_text(encoding="utf-8")))


def read_world(raw: Mapping[str, Any]) -> World:
    """The world that a YAML document describes."""
    names = {**{name: [name] for name in raw["classes"]}, **raw["groups"]}
    lexicon: dict[str, dict[str, list[str]]] = {"Noun": dict(raw["nouns"])}
    for base, words in raw.items():
        if base[0].isupper():
            lexicon[base] = {"": words} if isinstance(words, list) else _frames(base, words, names)
    zipf = (raw["zipf"]["exponent"], raw["zipf"]["shift"])
    grouped = frozenset(raw["held_out"])
    return World(raw["start"], raw["constructions"], lexicon, zipf, grouped)


def split_category(category: str) -> tuple[str, tuple[str, ...]]:
    """`Verb2(person food)` -> (`Verb2`, (`person`, `food`))."""
    base, _, classes = category.removesuffix(")").partition("(")
    return base, tuple(classes.split())


def held_out_group(concept: str) -> int:
    """0, 1, 2 or 3: words of one group are held apart."""
    return hashlib.sha256(concept.encode()).digest()[0] % GROUPS


def holds_apart(meaning: Meaning) -> bool:
    """Whether the top construction holds two words of one group that must stay apart."""
    pairs = [(meaning.part(word).group(), meaning.part(noun).group()) for word, noun in meaning.rule.apart]
    return any(word is not None and word == noun for word, noun in pairs)


def _frames(base: str, words: Mapping[str, str], names: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """`eat: animate > food` -> {`person food`: [.., eat], `animal food`: [.., eat]}."""
    lists: dict[str, list[str]] = {}
    for word, frame in words.items():
        combinations = [""]
        for side in frame.split(">"):
            unknown = [name for name in side.split() if name not in names]
            if unknown:
                raise NurseryError(f"world: {base}.{word} names {unknown[0]}, which is neither a class nor a group.")
            classes = [one for name in side.split() for one in names[name]]
            combinations = [f"{left} {right}".strip() for left in combinations for right in classes]
        for combination in dict.fromkeys(combinations):
            lists.setdefault(combination, []).append(word)
    return lists


def _bind(category: str, binding: Mapping[str, str]) -> str:
    base, classes = split_category(category)
    return f"{base}({' '.join(binding.get(name, name) for name in classes)})" if classes else base


def _scaled(rule: Construction, factor: float) -> Construction:
    return Construction(
        rule.name, rule.category, rule.children, rule.probability * factor, rule.head, rule.apart, rule.group
    )


def seeded(*parts: object) -> random.Random:
    """A generator whose `random()` is the same on every Python: seeded by sha256 of the parts."""
    text = re.sub(r"\s+", " ", "/".join(map(str, parts)))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
