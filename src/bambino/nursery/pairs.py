"""Minimal pairs: one grammatical sentence, one that differs by a single mistake; made by the grammar, not by editing.

Pairs come in doublets. Two meanings are twins: they differ in one thing (a noun of the other gender, the other number,
another person). Each is said well and with a flaw: one place of its template is told the value that would be right for
the twin. So over a doublet every word form stands as often in good sentences as in bad ones:

    good  il gatto vicino ai cani dorme.       bad  il gatto vicino ai cani dormono.
    good  i gatti vicino ai cani dormono.      bad  i gatti vicino ai cani dorme.

Both sentences of a pair have equally many words. Every good sentence holds a combination of words under the held-out
rule (`world.py`), so it is never heard: its log-probability in `Grammar.load(language)` is -inf. A doublet is kept only
if the plain grammar (`held_out=True`) says both good sentences and neither of the bad ones.

"Bad" is meant inside the sentence: in `prende la mela e lo taglia` the clitic has no antecedent there.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bambino.errors import NurseryError
from bambino.nursery.concrete import Flaw
from bambino.nursery.frames import Frame, Shape
from bambino.nursery.grammar import Grammar
from bambino.nursery.phenomena import phenomena as phenomena_of
from bambino.nursery.world import Meaning, World, holds_apart, seeded

PATIENCE = 20_000
"""Draws without a new doublet before giving up."""


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences that differ in grammaticality only."""

    sentence_good: str
    sentence_bad: str
    uid: str
    """Phenomenon with its language, knobs left out: `it_noun_adjective_gender`."""
    condition: str
    """`attractor_matches` or `attractor_differs` where there is an attractor, else empty."""
    doublet: int
    """Pairs of one phenomenon with the same number balance each other."""


def minimal_pairs(language: str, seed: int, doublets: int, phenomena: list[str] | None = None) -> list[MinimalPair]:
    """`doublets` doublets (two pairs each) for every phenomenon of a language, or for those named.

    Raises:
        KeyError: a phenomenon that the language does not have.
        NurseryError: another language, or fewer different doublets than asked for.
    """
    maker = _Maker(Grammar.load(language), Grammar.load(language, held_out=True))
    pairs: list[MinimalPair] = []
    of_language, code = phenomena_of(maker.plain.concrete.language), maker.plain.code
    for name in phenomena or list(of_language):
        uniform = seeded("pairs", code, name, seed)
        frames, seen = of_language[name], set[str]()
        number, idle = 0, 0
        while number < doublets:
            doublet = maker.doublet(frames[number % len(frames)], uniform)
            idle += 1
            if idle > PATIENCE:
                raise NurseryError(f"{code}_{name}: no new doublet after {number}. Ask for fewer.")
            if doublet and not seen & {good for good, _, _ in doublet}:
                seen |= {good for good, _, _ in doublet}
                pairs += [MinimalPair(good, bad, f"{code}_{name}", cond, number) for good, bad, cond in doublet]
                number, idle = number + 1, 0
    return pairs


def write_pairs(path: Path, language: str, doublets: int, seed: int) -> None:
    """Write a language's pairs as JSONL with BLiMP's fields (sentence_good, sentence_bad, UID) and two of ours."""
    pairs = minimal_pairs(language, seed, doublets)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for pair in pairs:
            item = {
                "sentence_good": pair.sentence_good,
                "sentence_bad": pair.sentence_bad,
                "UID": pair.uid,
                "condition": pair.condition,
                "doublet": pair.doublet,
            }
            file.write(json.dumps(item, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class _Maker:
    heard: Grammar
    plain: Grammar

    def doublet(self, frame: Frame, uniform: random.Random) -> list[tuple[str, str, str]] | None:
        """(good, bad, condition) twice, or None where the draw makes no doublet."""
        meaning = _draw(self.heard.world, self.heard.world.start, frame.shape, uniform)
        if meaning is None or not holds_apart(meaning.at(frame.unheard)):
            return None
        twin = self._twin(meaning, frame, uniform)
        if twin is None or not holds_apart(twin.at(frame.unheard)):
            return None
        draw = uniform.random()  # the same choice of words for all four sentences
        goods = [self._say(one, None, draw) for one in (meaning, twin)]
        bads = [
            self._say(one, self._flaw(one, other, frame), draw) for one, other in ((meaning, twin), (twin, meaning))
        ]
        if frame.twin == "elision":  # il gatto / il uccello, l'uccello / l'gatto: the article stays, the noun changes
            bads.reverse()
        if not self._is_sound(goods, bads):
            return None
        conditions = [self._condition(one, frame) for one in (meaning, twin)]
        return list(zip(goods, bads, conditions, strict=True))

    def _say(self, meaning: Meaning, flaw: Flaw | None, draw: float) -> str:
        return self.plain.join(self.plain.concrete.linearise(meaning, seeded("pair", draw), (), flaw))

    def _is_sound(self, goods: list[str], bads: list[str]) -> bool:
        """Balanced, of equal length, good ones grammatical and never heard, bad ones ungrammatical."""
        split = self.plain.split
        balanced = Counter(w for good in goods for w in split(good)) == Counter(w for bad in bads for w in split(bad))
        equal = all(
            len(split(g)) == len(split(b))
            and len(g.split()) == len(b.split())
            and _differences(split(g), split(b)) == 1
            for g, b in zip(goods, bads, strict=True)
        )
        if not (balanced and equal):
            return False
        said = self.plain.parser.probability
        is_grammatical = all(said(split(good)) > 0 for good in goods) and not any(said(split(bad)) > 0 for bad in bads)
        return is_grammatical and all(self.heard.parser.probability(split(good)) == 0 for good in goods)

    def _flaw(self, meaning: Meaning, twin: Meaning, frame: Frame) -> Flaw:
        concrete = self.plain.concrete
        if frame.twin == "form":  # does the dog sleeps; the dog sleep
            is_question = meaning.rule.name == "question"
            return Flaw(meaning.at(frame.at), frame.target, "", ("present", "sg" if is_question else "pl", "3"))
        other = twin.at(frame.twin_at)
        if frame.feature == "onset":
            value = concrete.feature(other, "onset", (self._number(twin, frame),))
        else:
            value = concrete.feature(other, frame.feature)
        return Flaw(meaning.at(frame.at), frame.target, frame.feature, (value,))

    def _number(self, meaning: Meaning, frame: Frame) -> str:
        """Of the noun phrase whose noun is at twin_at: .../number beside .../nom/noun."""
        return self.plain.concrete.feature(meaning.at((*frame.twin_at[:-2], "number")), "number")

    def _twin(self, meaning: Meaning, frame: Frame, uniform: random.Random) -> Meaning | None:
        if frame.twin == "form":
            (other,) = (r for r in self.heard.world.rules("Utterance") if r.name in ("statement", "question")
                        and r.name != meaning.rule.name)  # fmt: skip
            return Meaning(other, meaning.parts)
        old = meaning.at(frame.twin_at)
        candidates = [
            Meaning(rule, tuple(self._part(old, child, uniform) for _, child in rule.children))
            for rule in self.heard.world.rules(old.rule.category)
            if rule.name != old.rule.name
        ]
        fitting = [new for new in candidates if self._is_twin(old, new, meaning, frame)]
        if not fitting:
            return None
        return meaning.with_part(frame.twin_at, fitting[int(uniform.random() * len(fitting))])

    def _part(self, old: Meaning, category: str, uniform: random.Random) -> Meaning:
        """A part for the twin: the old one's where it has one of this category."""
        same = [part for part in old.parts if part.rule.category == category]
        return same[0] if same else self.heard.world.sample(uniform, category, held_out=True)

    def _is_twin(self, old: Meaning, new: Meaning, meaning: Meaning, frame: Frame) -> bool:
        feature = self.plain.concrete.feature
        if frame.twin == "number":
            return True
        if frame.twin == "person":
            return feature(old, "number") == feature(new, "number")
        if frame.twin in ("class", "case"):
            return old.group() == new.group() and feature(old, frame.twin) != feature(new, frame.twin)
        number = (self._number(meaning, frame),)
        onsets = [feature(one, "onset", number) for one in (old, new)]
        same_gender = feature(old, "gender") == feature(new, "gender") if self.plain.code == "it" else True
        if old.group() != new.group():
            return False
        if frame.twin == "gender":
            return not same_gender and onsets[0] == onsets[1] != "vowel"
        is_elision = "vowel" in onsets and number == ("sg",) and self.plain.code == "it"
        return same_gender and onsets[0] != onsets[1] and is_elision == (frame.twin == "elision")

    def _condition(self, meaning: Meaning, frame: Frame) -> str:
        if frame.attractor is None:
            return ""
        feature = self.plain.concrete.feature
        matches = feature(meaning.at(frame.attractor), "number") == feature(meaning.at(frame.twin_at), "number")
        return "attractor_matches" if matches else "attractor_differs"


def _draw(world: World, category: str, wanted: Shape | None, uniform: random.Random) -> Meaning | None:
    """A meaning of a shape, by the world's weights; None where the category has no such construction."""
    if wanted is None:
        return world.sample(uniform, category, held_out=True)
    rules = [rule for rule in world.rules(category) if rule.name in wanted.names]
    weights = [1.0 if wanted.evenly else rule.probability for rule in rules]
    draw = uniform.random() * sum(weights)
    for rule, weight in zip(rules, weights, strict=True):
        draw -= weight
        if draw < 0:
            parts = [_draw(world, child, wanted.parts.get(label), uniform) for label, child in rule.children]
            whole = tuple(part for part in parts if part is not None)
            return Meaning(rule, whole) if len(whole) == len(parts) else None
    return None


def _differences(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))
