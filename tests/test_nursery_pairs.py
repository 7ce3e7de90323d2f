"""Minimal pairs: balanced, never heard, one mistake each; an n-gram model cannot tell those across a distance."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nursery_checker import check_english, check_italian
from nursery_checker_qelu import check_qelu

from bambino.nursery import Grammar, MinimalPair, NurseryError, minimal_pairs, write_pairs
from bambino.nursery.knobs import read_language
from bambino.nursery.phenomena import phenomena

DOUBLETS = 12
LINES = {"en": 12_000, "it": 12_000, "qel": 25_000}
"""What the 3-gram model reads."""
CHECKS: dict[str, Callable[[str], Any]] = {"it": check_italian, "en": check_english, "qel": check_qelu}
UNSEEN_BY_CHECKER = ("it_subject_verb_person", "it_clitic_gender", "it_clitic_number", "en_pronoun_number")
"""Phenomena that the checker has no rule for."""


class Trigrams:
    """A 3-gram model with absolute discounting (0.75), interpolated down to a uniform distribution."""

    def __init__(self, sentences: list[tuple[str, ...]]) -> None:
        self.counts: list[Counter[tuple[str, ...]]] = [Counter(), Counter(), Counter()]
        self.kinds: list[Counter[tuple[str, ...]]] = [Counter(), Counter(), Counter()]
        self.totals: list[Counter[tuple[str, ...]]] = [Counter(), Counter(), Counter()]
        for words in sentences:
            before, middle = ("<s>", "<s>", *words), ("<s>", *words)
            self.counts[0].update((word,) for word in words)
            self.counts[1].update(zip(middle, words, strict=False))
            self.counts[2].update(zip(before, middle, words, strict=False))
        for n in range(3):
            for gram, count in self.counts[n].items():
                self.kinds[n][gram[:-1]] += 1
                self.totals[n][gram[:-1]] += count
        self.vocabulary = len(self.counts[0]) + 1

    def log_probability(self, words: tuple[str, ...]) -> float:
        padded = ("<s>", "<s>", *words)
        return sum(math.log(self._of(padded[i - 2 : i + 1], 2)) for i in range(2, len(padded)))

    def _of(self, gram: tuple[str, ...], n: int) -> float:
        lower = self._of(gram[1:], n - 1) if n > 0 else 1 / self.vocabulary
        total = self.totals[n][gram[:-1]]
        if total == 0:
            return lower
        discounted = max(self.counts[n][gram] - 0.75, 0) / total
        return discounted + 0.75 * self.kinds[n][gram[:-1]] / total * lower


def accuracy(model: Trigrams, grammar: Grammar, pairs: list[MinimalPair]) -> float:
    scores = [
        tuple(model.log_probability(grammar.split(text)) for text in (p.sentence_good, p.sentence_bad)) for p in pairs
    ]
    return sum(0.5 if good == bad else float(good > bad) for good, bad in scores) / len(scores)


@pytest.fixture(scope="module", params=["en", "it", "qel"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pairs(language: str) -> dict[str, list[MinimalPair]]:
    found: dict[str, list[MinimalPair]] = {}
    for pair in minimal_pairs(language, seed=1, doublets=DOUBLETS):
        found.setdefault(pair.uid.removeprefix(f"{language}_"), []).append(pair)
    return found


def test_every_phenomenon_has_as_many_pairs_as_asked_for(language: str, pairs: dict[str, list[MinimalPair]]) -> None:
    assert {name: len(found) for name, found in pairs.items()} == dict.fromkeys(
        phenomena(read_language(language)), 2 * DOUBLETS
    )


def test_every_word_is_as_often_good_as_bad(language: str, pairs: dict[str, list[MinimalPair]]) -> None:
    split = Grammar.load(language).split
    for name, found in pairs.items():
        good, bad = (Counter(w for p in found for w in split(text(p))) for text in (_good, _bad))
        assert good == bad, name


def test_the_sentences_of_a_pair_have_equal_length_and_differ_in_one_word(
    language: str, pairs: dict[str, list[MinimalPair]]
) -> None:
    split = Grammar.load(language).split
    for pair in (one for found in pairs.values() for one in found):
        good, bad = split(pair.sentence_good), split(pair.sentence_bad)
        assert len(pair.sentence_good.split()) == len(pair.sentence_bad.split())
        assert sum(a != b for a, b in zip(good, bad, strict=True)) == 1


def test_good_sentences_are_grammatical_but_never_heard_and_bad_ones_are_neither(
    language: str, pairs: dict[str, list[MinimalPair]]
) -> None:
    heard, plain = Grammar.load(language), Grammar.load(language, held_out=True)
    for pair in (one for found in pairs.values() for one in found[:8]):
        assert plain.log_probability(pair.sentence_good) > -math.inf
        assert plain.log_probability(pair.sentence_bad) == -math.inf
        assert heard.log_probability(pair.sentence_good) == -math.inf


def test_the_independent_checker_agrees(language: str, pairs: dict[str, list[MinimalPair]]) -> None:
    check = CHECKS[language]
    for name, found in pairs.items():
        assert [p.sentence_good for p in found if check(p.sentence_good).mistakes] == []
        if f"{language}_{name}" not in UNSEEN_BY_CHECKER:
            seen = sum(bool(check(p.sentence_bad).mistakes) for p in found)
            assert seen >= 0.9 * len(found), name


def test_attractors_match_as_often_as_they_differ(pairs: dict[str, list[MinimalPair]]) -> None:
    for name in ("subject_verb_attractor", "subject_verb_relative"):
        conditions = Counter(p.condition for p in pairs[name])
        assert conditions["attractor_matches"] == conditions["attractor_differs"] == DOUBLETS


NEAR = {"en": [], "it": [], "qel": ["classifier_noun", "adposition_case"]}
"""Phenomena between neighbours, beside that of all languages."""


def check_what_three_grams_tell(language: str, pairs: list[MinimalPair], lines: int) -> None:
    """Agreement across a distance they cannot tell; but they are no bad model, they know what is near."""
    grammar = Grammar.load(language)
    model = Trigrams([grammar.split(text) for text in grammar.texts(21, lines)])

    def right(name: str) -> float:
        return accuracy(model, grammar, [pair for pair in pairs if pair.uid == f"{language}_{name}"])

    assert right("subject_verb_attractor") < 0.6
    assert right("subject_verb_relative") < 0.6
    assert all(right(name) > 0.9 for name in ["determiner_noun_number", *NEAR[language]])


def test_three_grams_cannot_tell_agreement_across_a_distance(
    language: str, pairs: dict[str, list[MinimalPair]]
) -> None:
    check_what_three_grams_tell(language, [pair for found in pairs.values() for pair in found], LINES[language])


@pytest.mark.slow
@pytest.mark.parametrize("code", NEAR)
def test_three_grams_that_read_more_cannot_tell_either(code: str) -> None:
    names = ["subject_verb_attractor", "subject_verb_relative", "determiner_noun_number", *NEAR[code]]
    check_what_three_grams_tell(code, minimal_pairs(code, 1, 40, names), 50_000)


def test_pairs_of_a_seed_are_the_same_again() -> None:
    once, again = (minimal_pairs("it", 4, 3, ["elision"]) for _ in range(2))
    assert once == again
    assert once != minimal_pairs("it", 5, 3, ["elision"])


PAIR_CHECKSUMS = {"en": "2e9cf7b9610cc4df", "it": "4e56021d1cd4c0a9", "qel": "dc04d73637c71e7f"}


@pytest.mark.parametrize("code", PAIR_CHECKSUMS)
def test_the_pairs_of_a_seed_never_change(code: str) -> None:
    """As for text: if this fails on purpose, say so in the changelog."""
    text = "\n".join(f"{pair.uid} {pair.sentence_good} {pair.sentence_bad}" for pair in minimal_pairs(code, 0, 2))
    assert hashlib.sha256(text.encode("utf-8")).hexdigest()[:16] == PAIR_CHECKSUMS[code]


def test_pairs_are_written_with_the_fields_of_blimp(tmp_path: Path) -> None:
    write_pairs(tmp_path / "en.jsonl", "en", doublets=1, seed=2)
    items = [json.loads(line) for line in (tmp_path / "en.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(items) == 2 * len(phenomena(read_language("en")))
    assert {"sentence_good", "sentence_bad", "UID"} <= set(items[0])


def test_asking_for_more_doublets_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bambino.nursery.pairs.PATIENCE", 0)
    with pytest.raises(NurseryError, match="Ask for fewer"):
        minimal_pairs("en", 0, 1, ["subject_verb_number"])


def _good(pair: MinimalPair) -> str:
    return pair.sentence_good


def _bad(pair: MinimalPair) -> str:
    return pair.sentence_bad
