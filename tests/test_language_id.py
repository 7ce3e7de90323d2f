"""The language identifier on corpora of one word, its laws, and words judged as a reader would."""

import math
from collections.abc import Sequence

import pytest
from conftest import there
from hypothesis import given, settings
from hypothesis import strategies as st

from bambino.evaluation.speech.generation import Said
from bambino.evaluation.speech.vocabulary import attestation, novel_words, spelling, vocabulary
from bambino.measures import Score
from bambino.text.language_id import END, START, CharacterModel, LanguageIdentifier, LanguageIdSettings
from bambino.text.spelling import count_words


def value(scores: Sequence[Score], name: str) -> float:
    return next(score.value for score in scores if score.name == name)


def test_a_corpus_of_one_word_by_hand() -> None:
    # Characters a, b and the end: 3 symbols. Unigrams of "ab": each seen once of 3, 3 kinds: (1 + 3/3) / (3 + 3) = 1/3.
    # After the start came a, once, 1 kind: p(a) = (1 + 1/3) / 2 = 2/3, p(b) = p(end) = (0 + 1/3) / 2 = 1/6.
    # Likewise p(b | a) = p(end | b) = 2/3 and p(a | b) = p(end | a) = 1/6.
    model = CharacterModel({"ab": 1}, alphabet=2, order=2)
    assert model.log_prob("ab") == pytest.approx(3 * math.log(2 / 3))
    assert model.log_prob("ba") == pytest.approx(3 * math.log(1 / 6))
    assert model.per_character("ab") == pytest.approx(math.log(2 / 3))
    # twice the corpus: unigrams (2 + 3/3) / (6 + 3) = 1/3 as before, p(a | start) = (2 + 1/3) / (2 + 1) = 7/9
    assert CharacterModel({"ab": 2}, alphabet=2, order=2).log_prob("ab") == pytest.approx(3 * math.log(7 / 9))


def test_two_corpora_of_one_word_by_hand() -> None:
    identifier = LanguageIdentifier.train(["ab"], ["ba"], LanguageIdSettings(order=2))
    # p(ab | L1) = (2/3)^3, p(ab | L2) = (1/6)^3: odds 4^3 to 1
    assert identifier.l1_probability("ab") == pytest.approx(64 / 65)
    assert identifier.l1_probability("ba") == pytest.approx(1 / 65)
    assert identifier.l1_probability("c") == pytest.approx(1 / 2)
    assert [identifier.language(word) for word in ("ab", "ba", "c")] == ["L1", "L2", "unsure"]


words = st.text(alphabet="abè'", min_size=1, max_size=8)


@given(st.dictionaries(words, st.integers(1, 5), min_size=1), st.text(alphabet="abè'", max_size=6), st.integers(1, 5))
@settings(max_examples=60)
def test_the_next_character_has_probability_1_in_all(corpus: dict[str, int], before: str, order: int) -> None:
    model = CharacterModel(corpus, alphabet=4, order=order)
    history = (START + before)[-(order - 1) :] if order > 1 else ""
    assert sum(model._prob(history, character) for character in "abè'" + END) == pytest.approx(1)


@given(st.lists(words, min_size=1), st.lists(words, min_size=1), words)
@settings(max_examples=60)
def test_swapping_the_corpora_swaps_the_verdict(one: list[str], other: list[str], word: str) -> None:
    forth = LanguageIdentifier.train(["a", *one], ["b", *other])
    back = LanguageIdentifier.train(["b", *other], ["a", *one])
    assert forth.l1_probability(word) == pytest.approx(1 - back.l1_probability(word))


ENGLISH = [
    "the cat sees the dog",
    "a child with the thing",
    "she thinks that they are there",
    "in the morning, the bath",
]
ITALIAN = ["il gatto vede il cane", "una bambina con la cosa", "pensa che siano della zia", "nella mattina, il bagno"]


def test_new_words_are_judged_by_their_spelling() -> None:
    identifier = LanguageIdentifier.train(ENGLISH, ITALIAN)
    assert [identifier.language(word) for word in ("thinking", "those", "gattino", "cosina")] == [
        "L1",
        "L1",
        "L2",
        "L2",
    ]


def test_a_word_that_both_languages_say_equally_often_is_unsure() -> None:
    identifier = LanguageIdentifier.train([*ENGLISH, "no no no"], [*ITALIAN, "no no no"])
    assert identifier.language("no") == "unsure"


def test_lines_without_words_are_refused() -> None:
    with pytest.raises(ValueError, match="no word in the L2 lines"):
        LanguageIdentifier.train(["word"], ["123 ..."])
    with pytest.raises(ValueError, match=r"sure = 0\.5"):
        LanguageIdSettings(sure=0.5)
    with pytest.raises(ValueError, match="order = 0"):
        LanguageIdSettings(order=0)


# ------------------------------------------------------------------------------------------------------- vocabulary


def test_shares_of_words_by_hand() -> None:
    languages = LanguageIdentifier.train(ENGLISH, ITALIAN)
    said = [Said("", "il gatto thinks", True), Said("", "", True), Said("", "cane bello the the zzz", True)]
    scores = vocabulary(said, "baby", languages)
    # 8 words; in the Italian corpus: il, gatto, cane; only in the English one: thinks, the, the; in neither: bello, zzz
    assert value(scores, "speech/attested/baby") == pytest.approx(3 / 8)
    assert value(scores, "speech/l1_only/baby") == pytest.approx(3 / 8)
    assert value(scores, "speech/novel/baby") == pytest.approx(2 / 8)
    looks = [value(scores, f"speech/{name}_words/baby") for name in ("l1", "l2", "unsure")]
    assert sum(looks) == pytest.approx(1)
    assert looks[0] >= 3 / 8
    assert all(
        there(score.interval).low <= score.value <= there(score.interval).high and score.items == 8 for score in scores
    )


def test_silence_has_no_share_of_words() -> None:
    scores = vocabulary([Said("il", "il", False)], "baby", LanguageIdentifier.train(ENGLISH, ITALIAN))
    assert all(math.isnan(score.value) and score.interval is None for score in scores)


def test_novel_words_and_their_spelling() -> None:
    languages = LanguageIdentifier.train(ENGLISH, ITALIAN)
    assert [attestation(word, languages) for word in ("gatto", "cat", "gattino")] == ["attested", "l1_only", "novel"]
    assert novel_words(["gattino", "cat", "zia", "gattino", "wxyz"], languages) == ["gattino", "wxyz"]
    human = [Said("", "gattino bambino", True)]
    like, unlike = (
        spelling([Said("", text, True)], "baby", human, languages) for text in ("cagnina gattino", "wxyz kjhw")
    )
    assert value(like, "speech/spelling/baby") > value(unlike, "speech/spelling/baby")
    by_hand = (languages.l2_spelling.per_character("gattino") + languages.l2_spelling.per_character("bambino")) / 2
    assert value(like, "speech/spelling/human_lines") == pytest.approx(by_hand)
    assert not any("plausible" in score.name for score in like)  # two human novel words are too few for a quantile
    assert spelling([Said("", "il gatto", True)], "baby", [], languages) == []


def test_a_novel_word_is_plausible_above_the_worst_human_ones() -> None:
    languages = LanguageIdentifier.train(ENGLISH, ITALIAN)
    endings = ("ina", "ino", "ini", "ine", "ella", "ello", "elle", "elli", "etta", "etto")
    human = [Said("", f"gatt{ending} zi{ending}", True) for ending in endings]
    scores = spelling([Said("", "cagnina gattone wkjxq qqqq", True)], "baby", human, languages)
    assert value(scores, "speech/plausible_novel/baby") == pytest.approx(2 / 4)


def test_words_are_counted() -> None:
    assert count_words(["Il gatto, il", "gatto!"]) == {"il": 2, "gatto": 2}
