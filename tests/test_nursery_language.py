"""No ungrammatical sentence: an independent checker reads thousands of them, and hand-picked forms are right."""

from __future__ import annotations

import math

import pytest
from nursery_checker import check_english, check_italian

from bambino.nursery import Grammar

CHECKS = {"it": check_italian, "en": check_english}
N = 6000


@pytest.mark.parametrize("language", ["it", "en"])
def test_the_checker_finds_no_mistake_in_thousands_of_sentences(language: str) -> None:
    phrases = subjects = 0
    for text in Grammar.load(language).texts(77, N):
        report = CHECKS[language](text)
        assert report.mistakes == [], text
        phrases, subjects = phrases + report.noun_phrases, subjects + report.subjects
    assert phrases > N / 2  # and it did read them
    assert subjects > N / 3


@pytest.mark.parametrize(
    "text",
    ["il zaino è nero.", "lo cane dorme.", "la gatto dorme.", "i amici dormono.", "il gatto nera dorme.",
     "un scoiattolo corre.",
     "il gatto vicino ai cani dormono.", "i cani che guardano il gatto dorme.", "la mela è rosso.", "l'cane dorme.",
     "il uccello dorme.", "il bello cane dorme.", "nel stadio dorme il gatto."],
)  # fmt: skip
def test_the_checker_sees_italian_mistakes(text: str) -> None:
    assert check_italian(text).mistakes


@pytest.mark.parametrize(
    "text",
    ["a apple falls.", "an dog sleeps.", "these dog sleep.", "the dogs sleeps.", "the dog near the cats sleep.",
     "the dogs that see the cat sleeps.", "do the dog sleep?", "does the dog sleeps?", "the cats is red."],
)  # fmt: skip
def test_the_checker_sees_english_mistakes(text: str) -> None:
    assert check_english(text).mistakes


GOOD = {
    "it": [
        "l'uccello vede uno scoiattolo.", "gli zii aprono gli zaini.", "un'amica cerca quell'albero.",
        "dov'è la palla?",
        "che bel cane!", "che begli uccelli!", "la mela, la mangi?", "Marco prende i biscotti e li mangia.",
        "non correre!", "il cane è nello zoo.", "i gatti sono sugli alberi.", "c'è un gatto sull'albero.",
        "il cane è più grande dell'uccello.", "la bambina pulisce la finestra.", "i bambini giocano.",
        "il gatto vicino ai cani dorme.", "siamo stanche.", "cercano i funghi.", "lo vediamo.",
    ],
    "en": [
        "an old dog sleeps.", "a uniform is new.", "does she see the mice?", "the wolves aren't big.", "don't cry!",
        "the apple, do you eat it?", "Marco takes the cookies and eats them.", "what does the cat eat?",
        "the girl carries some strawberries.", "the cat near the dogs sleeps.", "I am hungry.", "am I big?",
        "the dog is bigger than the cat.", "there is an ice cream on the table.",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("language", "text"), [(language, text) for language, texts in GOOD.items() for text in texts])
def test_what_should_be_said_can_be_said(language: str, text: str, plain: dict[str, Grammar]) -> None:
    assert plain[language].log_probability(text) > -math.inf


@pytest.fixture(scope="module")
def plain() -> dict[str, Grammar]:
    return {language: Grammar.load(language, held_out=True) for language in ("en", "it")}
