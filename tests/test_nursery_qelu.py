"""Qelu: what each knob changes and what it leaves, words found in texts without spaces, sentences glossed by hand."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nursery_checker_qelu import LATIN, OWN, check_qelu, cuts

from bambino.cli.main import main
from bambino.nursery import Grammar, NurseryError, Qelu, languages, minimal_pairs
from bambino.nursery.segmentation import Segmenter

PARTICLES = {"he", "hu", "hi"}
"""What only some settings say: the closer of a relative clause after a place, the object's and the plural's mark."""


def words(language: str, seed: int, n: int) -> list[tuple[str, ...]]:
    grammar = Grammar.load(language)
    return [grammar.split(text) for text in grammar.texts(seed, n)]


# --------------------------------------------------------------------------------------------------------- knobs


def test_there_are_sixteen_settings_and_each_has_its_name() -> None:
    settings_of_qelu = [name for name in languages() if name.startswith("qel")]
    assert len(settings_of_qelu) == len(set(settings_of_qelu)) == 2**4
    for name in settings_of_qelu:
        assert Grammar.load(name).language == name
    assert str(Qelu()) == "qel"
    assert str(Qelu("latin", "yes", "svo", "isolating")) == "qel:near"
    assert str(Qelu(spaces="yes", morphology="isolating")) == "qel:script+order"
    assert Grammar.load("qel:order+script").language == "qel:script+order"
    assert Grammar.load("qel:script+spaces+order+morphology").language == "qel"


@pytest.mark.parametrize("language", languages())
def test_every_setting_says_every_meaning_and_knows_its_probability(language: str) -> None:
    plain = Grammar.load(language, held_out=True)
    assert plain.parser.grammar.mass == pytest.approx(1)
    for text in plain.texts(3, 4):
        assert -math.inf < plain.log_probability(text) < 0
        assert plain.prefix_log_probability(text[: len(text) // 2]) >= plain.log_probability(text)


@pytest.mark.parametrize("others", ["", "order", "morphology", "order+morphology"])
def test_the_script_is_a_change_of_letters_and_spaces_are_all_that_spaces_change(others: str) -> None:
    def texts(*knobs: str) -> list[str]:
        return list(Grammar.load("qel:" + "+".join(k for k in (*knobs, others) if k) if knobs or others else "qel:near")
                    .texts(12, 300))  # fmt: skip

    latin = texts()
    assert texts("script") == [text.translate(str.maketrans(LATIN, OWN)) for text in latin]
    assert texts("spaces") == [text.replace(" ", "") for text in latin]
    assert texts("script", "spaces") == [text.replace(" ", "") for text in texts("script")]


@pytest.mark.parametrize("morphology", ["", "+morphology"])
def test_the_order_changes_the_order_of_the_same_words(morphology: str) -> None:
    near = words("qel:morphology" if morphology else "qel:near", 13, 400)
    far = words("qel:order" + morphology, 13, 400)
    for one, other in zip(near, far, strict=True):
        assert Counter(w for w in one if w not in PARTICLES) == Counter(w for w in other if w not in PARTICLES)
    assert sum(one != other for one, other in zip(near, far, strict=True)) > 300
    verbs = {"sato", "satore", "sapo", "sapore"}
    last = [one for one in far if one[-1] == "." and verbs & set(one)]
    assert all(set(one[-3:]) & verbs or {"gov", "miz", "he"} & set(one) for one in last)


@pytest.mark.parametrize("order", ["", "order"])
def test_without_morphology_a_word_never_changes(order: str) -> None:
    """No form is another with an ending of case, number or person; but they (`lagare`) is a word of its own."""
    isolating = Grammar.load(f"qel:{order}" if order else "qel:near").words
    full = Grammar.load("qel:morphology").words
    endings = [*(n + c for n in ("", "re") for c in "nstmk")]
    stems = {word for word in isolating if any(word + ending in full for ending in endings)}
    stems -= {"laga"}
    assert len(stems) > 200
    assert not {word + ending for word in stems for ending in endings} & isolating
    assert len(full) > 5 * len(isolating)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("qel:tone", "no knob 'tone'"),
        ("qel:", "no knob ''"),
        ("qel:order,script", "no knob 'order,script'"),
        ("it:order", "it has no knobs"),
        ("xx", "no language 'xx'"),
    ],
)
def test_an_unknown_setting_is_refused_with_what_there_is(name: str, complaint: str) -> None:
    with pytest.raises(NurseryError, match=rf"{complaint}.*en, it, qel, qel:near.*script, spaces, order, morphology"):
        Grammar.load(name)


# ---------------------------------------------------------------------------------------------- glossed sentences

GLOSSED = {
    # the girl sees a dog: kiva girl, nozi dog (class i, so vib), sapo sees
    "qel:near": ["kiva sapo gav vib nozi.", "zene nozi hi tapo pur zike dota.", "ho kiva qek sapo laga?"],
    "qel:order": ["kiva gav vib nozi hu sapo.", "zene nozi hi zike dota pur tapo.", "kiva laga hu sapo qek ho?"],
    "qel:morphology": ["kiva sapo gav vib nozin.", "zenire nozire tapore pur zika dotat.", "ho kiva qek sapo lagan?"],
    "qel:order+morphology": [
        "kiva gav vib nozin sapo.",  # girl one CLASSIFIER dog-ACC see-3SG
        "zenire nozire zika dotat pur tapore.",  # small-I-PL dog-PL this-A house-LOC in sleep-3PL
        "kiva lagan sapo qek ho?",  # girl 3-ACC see-3SG not QUESTION
        "nozin sapom.",  # dog-ACC see-1SG: I is left out
        "kivas zilto.",  # girl-DAT look-3SG: look at wants the dative
        "vukan sapo he nozi tapo.",  # mouse-ACC see-3SG REL dog sleep-3SG: the dog that sees the mouse
        "vukare sapore he nozi tapo.",  # mouse-PL see-3PL REL dog sleep-3SG: the dog that the mice see
        "neqat beg he nozi tapo.",  # tree-LOC under REL dog sleep-3SG
        "kivare nozi tapo gov domore.",  # girl-PL dog sleep-3SG that say-3PL
        "nozit dov nik busiva kiva sato.",  # no: the compared comes first
        "kiva nozit dov nik busiva sato.",  # girl dog-LOC than more big-A be-3SG
        "goma, kiva lagan ziso.",  # apple girl 3A-ACC eat-3SG
        "kiva goman bopo miz lagan ziso.",  # girl apple-ACC take-3SG and 3A-ACC eat-3SG
        "kiva nozis goman gampodo.",  # girl dog-DAT apple-ACC give-3SG
        "lis vib nozi neqat beg tapo.",  # two CLASSIFIER dog tree-LOC under sleep-3SG: singular after a numeral
        "kiva qilamas goman gampodo qek ho?",  # girl teacher-DAT apple-ACC give-3SG not QUESTION
        "goman zise qek!",  # apple-ACC eat-IMP.SG not
    ],
}
WRONG = ["nozit dov nik busiva kiva sato."]


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in GLOSSED.items() for text in texts])
def test_glossed_sentences_are_what_the_setting_says(language: str, text: str) -> None:
    """Each in its setting and in no setting of another order or morphology."""
    for name in GLOSSED:
        said = Grammar.load(name, held_out=True).log_probability(text) > -math.inf
        assert said == (name == language and text not in WRONG), name


# ------------------------------------------------------------------------------------------------- without spaces


def test_words_in_a_text_without_spaces_by_hand() -> None:
    """`kivan` may be kivan, or kiva and the n of naqi; what follows tells."""
    qelu = Grammar.load("qel:spaces+order+morphology")
    assert qelu.split("kivanaqinsapo.") == ("kiva", "naqin", "sapo", ".")
    assert qelu.split("kivanaqisapo.") == ("kiva", "naqi", "sapo", ".")
    assert qelu.split("naqikivansapo.") == ("naqi", "kivan", "sapo", ".")
    assert qelu.split("xkivayynaqi") == ("x", "kiva", "yy", "naqi")
    assert qelu.split("") == ()


@settings(max_examples=30)
@given(st.data())
def test_any_words_put_together_are_found_again(data: st.DataObject) -> None:
    """Not only those of good sentences: a minimal pair's bad one must be cut up as surely."""
    for language in ("qel", "qel:spaces"):
        grammar = Grammar.load(language)
        said = data.draw(st.lists(st.sampled_from(sorted(grammar.words)), max_size=12), label=language)
        assert grammar.split(grammar.join(said)) == tuple(said)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_sampled_sentences_are_cut_where_spaces_would_be(seed: int) -> None:
    latin = str.maketrans(OWN, LATIN)
    spaced, unspaced = Grammar.load("qel:order+morphology"), Grammar.load("qel")
    (one,), (other,) = spaced.texts(seed, 1), unspaced.texts(seed, 1)
    assert tuple(word.translate(latin) for word in unspaced.split(other)) == spaced.split(one)
    assert cuts(other.translate(latin)) == [spaced.split(one)]
    assert unspaced.log_probability(other) == pytest.approx(spaced.log_probability(one))


def test_a_prefix_without_spaces_sums_over_all_ways_to_go_on() -> None:
    """`kiva` begins kiva and its longer forms, and kiva before any other word; by sampling."""
    grammar, n = Grammar.load("qel:spaces+order+morphology"), 20_000
    texts = list(grammar.texts(5, n))
    for prefix in ("ki", "kiva", "kivan", "kivana", "kivar", "kivaren", "zikano"):
        p = math.exp(grammar.prefix_log_probability(prefix))
        share = sum(text.startswith(prefix) for text in texts) / n
        assert abs(share - p) < 4.5 * math.sqrt(p * (1 - p) / n) + 1e-12, prefix


def brute_force(lexicon: frozenset[str], longest: int) -> bool:
    """Whether some text of up to so many words can be cut in two ways."""
    texts = ["".join(said) for n in range(1, longest + 1) for said in itertools.product(sorted(lexicon), repeat=n)]
    return len(texts) != len(set(texts))


@settings(max_examples=200)
@given(st.frozensets(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4))
def test_ambiguity_is_found_where_trying_all_texts_finds_it(lexicon: frozenset[str]) -> None:
    """And what trying five words finds, Sardinas and Patterson find; the converse needs longer texts."""
    if brute_force(lexicon, 5):
        assert Segmenter(lexicon).ambiguous() is not None
    if Segmenter(lexicon).ambiguous() is None:
        assert not brute_force(lexicon, 5)


def test_an_ambiguous_lexicon_by_hand() -> None:
    assert Segmenter(frozenset({"a", "ab", "b"})).ambiguous() == "b"  # ab, a b
    assert Segmenter(frozenset({"a", "ab", "bb"})).ambiguous() is None  # but only the end of a bbb... tells
    assert Segmenter(frozenset({"kiva", "kivan", "naqi"})).ambiguous() is None
    assert Segmenter(frozenset({"kiva", "kivan", "naqi", "aqi"})).ambiguous() is not None  # kiva naqi, kivan aqi


# ------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("language", ["qel", "qel:order+morphology"])
def test_the_checker_finds_no_mistake_in_thousands_of_sentences(language: str) -> None:
    n, phrases, subjects = 3000, 0, 0
    for text in Grammar.load(language).texts(77, n):
        report = check_qelu(text)
        assert report.mistakes == [], text
        phrases, subjects = phrases + report.noun_phrases, subjects + report.subjects
    assert phrases > n  # and it did read them
    assert subjects > n / 2


@pytest.mark.parametrize(
    "text",
    ["nozire tapo.", "kiva nozi sapo.", "kiva nozin zilto.", "gav dan nozi tapo.", "zika nozi tapo.",
     "lis vib nozire tapo.", "zeni nozire tapore.", "nozi zena sato.", "vukare sapo he nozi tapo.",
     "vukan sapore he nozi tapo.", "dota pur tapo.",
     "goma, kiva lagun ziso.", "kiva goman bopo miz lagin ziso.", "sapo kiva nozin.", "goman zise.", "nozi tapom.",
     "kiva gomare bopo miz lagan ziso.", "dan nozi tapo.", "tapo he.", "nozikiva."],
)  # fmt: skip
def test_the_checker_sees_mistakes(text: str) -> None:
    assert check_qelu(text).mistakes


def test_settings_without_morphology_have_pairs_too() -> None:
    for language in ("qel:near", "qel:order", "qel:script+spaces"):
        found = minimal_pairs(language, 1, 3)
        assert {pair.uid for pair in found} == {"qel_classifier_noun", "qel_pronoun_number"}


# ------------------------------------------------------------------------------------------------ the command line


def test_the_command_line_writes_qelu_in_any_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "near.txt"
    assert main(["nursery", "--lang", "qel:near", "--lines", "5", "--seed", "3", "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8").splitlines() == list(Grammar.load("qel:near").texts(3, 5))
    pairs = tmp_path / "pairs.jsonl"
    assert main(["nursery", "--lang", "qel:script", "--pairs", "2", "--out", str(pairs)]) == 0
    assert len(pairs.read_text(encoding="utf-8").splitlines()) == 8  # two phenomena of two doublets


def test_the_command_line_answers_an_unknown_language_with_those_there_are_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--lines", "--pairs"):
        out = tmp_path / "new" / "x.txt"
        assert main(["nursery", "--lang", "qel:tone", option, "5", "--out", str(out)]) == 2
        assert "There are: en, it, qel, qel:near, or qel: with some of script, spaces" in capsys.readouterr().err
        assert not out.parent.exists()
