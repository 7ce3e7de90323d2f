"""World x language -> a proper probabilistic context-free grammar over words.

A nonterminal is a category, what it is told (asks), and the values of those features of it that somebody uses. A
construction becomes one production for each way to give its parts features such that everything agrees. Weights:

    w(production) = P(construction) P(option) * product of the masses of its parts
    mass(nonterminal) = sum of w over its productions

A part that is not said (a dropped pronoun, a number) only gives its mass. Combinations that the held-out rule forbids
are left out, so masses fall below 1, and w / mass is the probability of a production given that the rule is obeyed
below it: the grammar conditioned on obeying, exactly. Nothing recurs (depth is bounded), so one pass is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from bambino.errors import NurseryError
from bambino.nursery.concrete import Concrete
from bambino.nursery.notation import Asks, NotatedItem, Option, Value
from bambino.nursery.world import Construction, World

Symbol = int | str
"""A nonterminal's number, or a word."""
Production = tuple[float, tuple[Symbol, ...]]


@dataclass(frozen=True)
class Pcfg:
    """A proper grammar: the productions of every nonterminal sum to 1."""

    start: int
    productions: list[list[Production]]
    """By nonterminal. Left-factored: those of one nonterminal begin differently."""
    mass: float
    """Of the start symbol before normalising: P(a meaning of the plain grammar obeys the held-out rule)."""

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that some sentence holds."""
        found = (symbols for those in self.productions for _, symbols in those)
        return frozenset(symbol for symbols in found for symbol in symbols if isinstance(symbol, str))


def compile_pcfg(world: World, concrete: Concrete, held_out: bool = False) -> Pcfg:
    """Compile. With `held_out`, held-out combinations are allowed: the plain grammar, as large as it gets."""
    compiler = _Compiler(world, concrete, held_out)
    found = compiler.expand(world.start, (), (), None)
    if list(found) != [()]:
        raise NurseryError(f"{concrete.language}: {world.start} cannot be said.")
    start = found[()]
    productions = list(compiler.productions)
    for number in range(len(productions)):
        _left_factor(productions, number)
    return Pcfg(start, productions, compiler.masses[start])


Features = tuple[str | int | None, ...]
Environment = dict[tuple[str, str], str | int | None]
"""(part, feature) -> value."""


@dataclass
class _Compiler:
    world: World
    concrete: Concrete
    held_out: bool
    productions: list[list[Production]] = field(default_factory=list)
    masses: list[float] = field(default_factory=list)
    done: dict[tuple[str, Asks, tuple[str, ...], int | None], dict[Features, int]] = field(default_factory=dict)

    def expand(self, category: str, asks: Asks, wanted: tuple[str, ...], avoid: int | None) -> dict[Features, int]:
        """Values of the wanted features -> nonterminal, for all values the category can have.

        `avoid` is a held-out group that a word must not be of. Nonterminals without mass are left out.
        """
        key = (category, asks, wanted, avoid)
        if key not in self.done:
            weighted: dict[Features, dict[tuple[Symbol, ...], float]] = {}
            for rule in self.world.rules(category):
                for values, symbols, weight in self._said(rule, asks, wanted, avoid):
                    of_values = weighted.setdefault(values, {})
                    of_values[symbols] = of_values.get(symbols, 0.0) + weight
            self.done[key] = {values: self._add(found) for values, found in weighted.items()}
        return self.done[key]

    def _add(self, found: dict[tuple[Symbol, ...], float]) -> int:
        mass = sum(found.values())
        self.productions.append([(weight / mass, symbols) for symbols, weight in found.items()])
        self.masses.append(mass)
        return len(self.masses) - 1

    def _said(
        self, rule: Construction, asks: Asks, wanted: tuple[str, ...], avoid: int | None
    ) -> Iterator[tuple[Features, tuple[Symbol, ...], float]]:
        """All (features, symbols, weight) of one construction."""
        if rule.is_word:
            if avoid is None or rule.group != avoid or self.held_out:
                base = rule.base
                word = self.concrete.lexicon.word(base, rule.name, asks)
                lexicon = self.concrete.lexicon
                values = tuple(
                    rule.group if name == "group" else lexicon.feature(base, rule.name, name, asks) for name in wanted
                )
                yield values, word.tokens, rule.probability
            return
        for option in self.concrete.options[rule.name]:
            yield from _OptionCompiler(self, rule, option, asks, wanted).all()


@dataclass
class _OptionCompiler:
    """One option of one construction, told `asks`, with the `wanted` features."""

    compiler: _Compiler
    rule: Construction
    option: Option
    asks: Asks
    wanted: tuple[str, ...]

    def __post_init__(self) -> None:
        self.asked = self.compiler.concrete.asked(self.rule.category)
        self.gives = dict(self.option.gives)
        self.said = {item.name: item for item in self.option.items if item.kind == "part"}
        self.apart = {} if self.compiler.held_out else dict(self.rule.apart)
        self.needed = self._needed()

    def all(self) -> Iterator[tuple[Features, tuple[Symbol, ...], float]]:
        """Every way to give the parts features that agree."""
        for environment, symbols in self._assign({}, {}, [part for part, _ in self.rule.children]):
            weight = self.rule.probability * self.option.probability
            for number in symbols.values():
                weight *= self.compiler.masses[number]
            values = tuple(self._given(name, environment) for name in self.wanted)
            yield values, tuple(self._sequence(environment, symbols)), weight

    def _needed(self) -> dict[str, tuple[str, ...]]:
        """Part -> the features of it that are used here or asked for from above."""
        values = [value for item in self.option.items for value in item.arguments]
        values += [value for value, _ in self.option.when]
        values += [self.gives[name] for name in self.wanted if name in self.gives]
        needed: dict[str, set[str]] = {part: set() for part, _ in self.rule.children}
        for value in values:
            if value.source not in (None, "my"):
                if value.source not in needed:
                    raise NurseryError(f"{self.rule.name} uses {value.source}.{value.name} but has no such part.")
                needed[value.source].add(value.name)
        for noun in self.apart.values():
            needed[noun].add("group")
        if "group" in self.wanted and self.rule.head:
            needed[self.rule.head].add("group")
        return {part: tuple(sorted(names)) for part, names in needed.items()}

    def _assign(
        self, environment: Environment, symbols: dict[str, int], left: list[str]
    ) -> Iterator[tuple[Environment, dict[str, int]]]:
        """Give the parts that are left their features, those first whose askings are known."""
        if any(self._value(v, environment) not in (None, wanted) for v, wanted in self.option.when):
            return
        if not left:
            yield environment, symbols
            return
        ready = [part for part in left if self._told(part, environment) is not None]
        if not ready:
            raise NurseryError(f"{self.rule.name}: the parts {left} wait for each other's features.")
        part, asks = ready[0], self._told(ready[0], environment)
        assert asks is not None
        avoid = environment[self.apart[part], "group"] if part in self.apart else None
        assert avoid is None or isinstance(avoid, int)
        names = self.needed[part]
        for values, number in self.compiler.expand(dict(self.rule.children)[part], asks, names, avoid).items():
            known = environment | {(part, name): value for name, value in zip(names, values, strict=True)}
            yield from self._assign(known, symbols | {part: number}, [other for other in left if other != part])

    def _told(self, part: str, environment: Environment) -> Asks | None:
        """What the part is told; None while that is not known."""
        if part in self.apart and (self.apart[part], "group") not in environment:
            return None
        item = self.said.get(part)
        values = [self._value(value, environment) for value in item.arguments] if item else []
        return None if None in values else tuple(str(value) for value in values)

    def _value(self, value: Value, environment: Environment) -> str | int | None:
        if value.source is None:
            return value.name
        if value.source == "my":
            return self.asks[self.asked.index(value.name)]
        return environment.get((value.source, value.name))

    def _given(self, name: str, environment: Environment) -> str | int | None:
        if name == "group":
            return environment[self.rule.head, "group"] if self.rule.head else None
        if name not in self.gives:
            raise NurseryError(f"construction {self.rule.name} has no feature {name}. Add `{name}: ...` to it.")
        return self._value(self.gives[name], environment)

    def _sequence(self, environment: Environment, symbols: dict[str, int]) -> Iterator[Symbol]:
        for item in self.option.items:
            if item.kind == "word":
                yield item.name
            elif item.kind == "part":
                yield symbols[item.name]
            else:
                yield from self._looked_up(item, environment)

    def _looked_up(self, item: NotatedItem, environment: Environment) -> tuple[str, ...]:
        values = tuple(str(self._value(value, environment)) for value in item.arguments)
        return self.compiler.concrete.tables[item.name].look_up(values)


def _left_factor(productions: list[list[Production]], number: int) -> None:
    """Let productions that begin alike share their beginning: X -> A B | A C becomes X -> A Y, Y -> B | C."""
    by_first: dict[Symbol | None, list[Production]] = {}
    for probability, symbols in productions[number]:
        by_first.setdefault(symbols[0] if symbols else None, []).append((probability, symbols))
    factored: list[Production] = []
    for first, found in by_first.items():
        if len(found) == 1 or first is None:
            factored += found
            continue
        total = sum(probability for probability, _ in found)
        productions.append([(probability / total, symbols[1:]) for probability, symbols in found])
        factored.append((total, (first, len(productions) - 1)))
        _left_factor(productions, len(productions) - 1)
    productions[number] = factored
