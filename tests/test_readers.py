"""The evaluation sets of the field, told by their columns: tiny files of our own with the columns of theirs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from known_models import unigram_lm, word_tokenizer

from bambino.analysis.results import load_results
from bambino.cli.main import main
from bambino.errors import TextError
from bambino.evaluation.discovery import discover
from bambino.evaluation.minimal_pairs import Linking, score_pairs
from bambino.evaluation.pair_files import Pair, load_pair_set
from bambino.evaluation.zero_shot.acceptability import LabelledSentences
from bambino.evaluation.zero_shot.school import School, load_school
from bambino.speaking.speaker import Speaker

RUBLIMP = {
    "id": "1",
    "source_sentence": "Кот спит, и он рад.",
    "target_sentence": "Кот спят, и он рад.",
    "level": "Syntax",
    "phenomenon": "Agreement",
    "PID": "noun_agreement_number",
    "subtype": "noun_agreement_number",
}
TURBLIMP = {"good_sentence": "Kedi uyuyor.", "bad_sentence": "Kedi uyuyorum.", "phenomenon": "agreement  "}
JBLIMP = {
    "ID": 0,
    "good_sentence": "猫が寝た。",
    "bad_sentence": "猫を寝た。",
    "type": "acceptability",
    "phenomenon": "case",
    "phenomenon-2": None,
    "paradigm": "nominative",
}
ZHOBLIMP = {
    "UID": "BA_drop",
    "phenomenon": "BA",
    "sentence_good": "你把猫抱了",
    "sentence_bad": "你把抱了",
    "pairID": 0,
}
BLIMP_IT = {"sentence_good": "il gatto dorme", "sentence_bad": "il gatto dormono", "field": "syntax", "UID": "number"}
BLIMP_NL = {"sentence_good": "de kat slaapt", "sentence_bad": "de kat slapen"}
MULTIBLIMP = {"sen": "il gatto dorme", "wrong_sen": "il gatto dormono", "phenomenon": "SV-#"}
SUPPLEMENT = {"sentence_good": "A: Where?\nB: Here.", "sentence_bad": "A: Where?\nB: Red."}
COMPS = {"prefix_acceptable": "a cat", "prefix_unacceptable": "a red car", "property_phrase": "can sleep."}
EWOK = {
    "Domain": "spatial-relations",
    "Context1": "It is near.",
    "Context2": "It is far.",
    "Target1": "I see it.",
    "Target2": "I miss it.",
    "ContextType": "direct",
    "ContextDiff": "near",
    "TargetDiff": "see",
}
EXPECTED: dict[str, tuple[dict[str, Any], Pair]] = {
    "rublimp": (
        RUBLIMP,
        Pair("Кот спит, и он рад.", "Кот спят, и он рад.", "noun_agreement_number", term="Agreement"),
    ),
    "turblimp": (TURBLIMP, Pair("Kedi uyuyor.", "Kedi uyuyorum.", "agreement", term="agreement")),
    "turblimp_subtype": (
        TURBLIMP | {"subtype": "past"},
        Pair("Kedi uyuyor.", "Kedi uyuyorum.", "agreement_past", term="agreement"),
    ),
    "jblimp": (JBLIMP, Pair("猫が寝た。", "猫を寝た。", "nominative", term="case")),
    "zhoblimp": (ZHOBLIMP, Pair("你把猫抱了", "你把抱了", "BA_drop", term="BA")),
    "blimp_it": (BLIMP_IT, Pair("il gatto dorme", "il gatto dormono", "number", field="syntax")),
    "blimp_nl": (BLIMP_NL, Pair("de kat slaapt", "de kat slapen", "")),
    "multiblimp": (MULTIBLIMP, Pair("il gatto dorme", "il gatto dormono", "SV-#", term="SV-#")),
    "supplement": (SUPPLEMENT, Pair("A: Where? B: Here.", "A: Where? B: Red.", "")),
    "comps": (COMPS, Pair("a cat can sleep.", "a red car can sleep.", "", given=6, given_bad=10)),
    "ewok": (EWOK, Pair("It is near. I see it.", "It is near. I miss it.", "spatial-relations", given=11)),
}


def write(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    """In the form that the file's name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(rows), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("name", EXPECTED)
def test_pairs_are_told_by_their_columns(name: str, suffix: str, tmp_path: Path) -> None:
    row, pair = EXPECTED[name]
    path = write(tmp_path / f"{name}.{suffix}", [row])
    assert load_pair_set(path).pairs == [pair]
    assert discover(tmp_path, {}).tests[name].kind == "pairs"


def test_semicolons_are_told_by_the_first_line(tmp_path: Path) -> None:
    cells = TURBLIMP | {"good_sentence": 'Kedi, köpek ve "kuş"; uyuyor.'}
    path = write(tmp_path / "binding.csv", [cells, TURBLIMP], delimiter=";")
    assert path.read_text(encoding="utf-8").startswith("good_sentence;bad_sentence;phenomenon")
    assert [pair.good for pair in load_pair_set(path).pairs] == ['Kedi, köpek ve "kuş"; uyuyor.', "Kedi uyuyor."]


def test_a_folder_is_one_set_whose_files_name_the_paradigms_that_no_row_does(tmp_path: Path) -> None:
    write(tmp_path / "set" / "hypernym.jsonl", [SUPPLEMENT])
    write(tmp_path / "set" / "numbers.jsonl", [BLIMP_NL, BLIMP_IT])
    data = load_pair_set(tmp_path / "set")
    assert [pair.uid for pair in data.pairs] == ["hypernym", "numbers", "number"]
    write(tmp_path / "set" / "hypernym.jsonl", [BLIMP_NL])
    assert load_pair_set(tmp_path / "set").sha256 != data.sha256


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"right": "a", "wrong": "b"}, r"line \d: no pair, by its columns right, wrong\. Pairs have the columns sent"),
        ({"source_sentence": "a", "target_sentence": "b"}, "no PID"),  # a translation has such columns
        (COMPS | {"property_phrase": " "}, "property_phrase = ' ' must be a non-empty string"),
        ({"good_sentence": "a"}, "no bad_sentence"),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_unknown_columns_are_refused_by_name(row: dict[str, str], said: str, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(TextError, match=said):
        load_pair_set(write(tmp_path / f"pairs.{suffix}", [row]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"sen,wrong_sen\na,b\na\n", "line 3: 1 cells, where the first line names 2 columns"),
        (b"sen,wrong_sen\na," + b"b" * (1 << 23), "line 2: no row of a table"),
        (b"sen,wrong_sen\na,\xe8\n", "pairs.csv: not UTF-8"),
        (b"", "holds no pair"),
    ],
)
def test_a_damaged_table_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(TextError, match=said):
        load_pair_set(tmp_path / "pairs.csv")


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(TextError, match=r"pairs\.parquet cannot be read"):
        load_pair_set(tmp_path / "pairs.parquet")


def test_comps_scores_the_phrase_after_either_context_by_hand() -> None:
    # 1 bit each for can and sleep., 3 bits for cat, 2 for car: the contexts differ by a bit that does not count
    lm = unigram_lm([0.125, 0.125, 0.25, 0.25, 0.25])
    tokenizer = word_tokenizer("cat", "car", "can", "sleep.")
    scores = score_pairs(lm, tokenizer, [Pair("cat can sleep.", "car can sleep.", "", given=4, given_bad=4)])
    assert scores.good.tolist() == scores.bad.tolist()
    assert scores.good_bytes.tolist() == [10]


# ------------------------------------------------------------------------------- questions by grade, judged sentences

INVALSI = {
    "Grado": "5",
    "question": "Il gatto è",
    "options": [{"scelta": "A. un animale"}, {"scelta": "B.  un fiore"}],
    "answer": ["A"],
    "context": float("nan"),
    "lang_aspect": "Lessico e semantica",
}


def test_a_schools_questions_by_grade_by_hand(tmp_path: Path) -> None:
    # after it comes a with 1/2 and b with 1/4; c c is 1/8 squared as a sum, 1/8 per token
    tokenizer = word_tokenizer("a", "b", "c", "Chi?", "Leggi.")
    speaker = Speaker(unigram_lm([0.0625, 0.5, 0.25, 0.125, 0.03125, 0.03125]), tokenizer)
    likely = {**INVALSI, "question": "Chi?", "options": [{"scelta": "A. a"}, {"scelta": "B. b"}]}
    rows = [
        likely,  # A, with 1/2: right
        likely | {"answer": ["B"], "Grado": "10"},
        likely | {"options": [{"scelta": "A. b"}, {"scelta": "B. b"}], "context": "Leggi.", "Grado": "10"},  # a tie
        likely | {"options": [], "answer": ["oggi"]},  # an open question
        likely | {"answer": ["A", "B"]},
    ]
    path = write(tmp_path / "invalsi.jsonl", rows)
    assert discover(tmp_path, {}).tests["invalsi"].kind == "school"
    result = School("invalsi", path)(speaker)
    assert [(score.name, score.value, score.items, score.chance) for score in result.scores] == [
        ("school/invalsi", 0.5, 3, 0.5),
        ("school/invalsi/grade:5", 1.0, 1, 0.5),
        ("school/invalsi/grade:10", 0.25, 2, 0.5),
        ("school/invalsi/aspect:Lessico e semantica", 0.5, 3, 0.5),
    ]
    assert result.settings["left_out"].startswith("2 questions")
    assert load_school(path)[0][2].choice.texts == ["Leggi. Chi? b", "Leggi. Chi? b"]


def test_lengths_of_options_count_as_pairs_lengths_do(tmp_path: Path) -> None:
    speaker = Speaker(unigram_lm([0.125, 0.5, 0.25, 0.125]), word_tokenizer("a", "b", "c"))
    options = [{"scelta": "A. a a a"}, {"scelta": "B. b"}]  # 3 bits against 2; per token 1 against 2
    path = write(tmp_path / "invalsi.jsonl", [INVALSI | {"question": "c", "options": options}])
    values = {name: School("it", path, Linking(name))(speaker).main.value for name in ("sum", "token")}
    assert values == {"sum": 0.0, "token": 1.0}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({key: INVALSI[key] for key in ("question", "options", "answer")}, "no question, options, answer and Grado"),
        (INVALSI | {"answer": ["C"]}, "holds no question whose answer is one of its options"),
    ],
)
def test_what_is_no_schools_question_is_named(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(TextError, match=said):
        load_school(write(tmp_path / "invalsi.jsonl", [row]))


def test_judged_sentences_by_phenomenon_by_hand(tmp_path: Path) -> None:
    # bits per byte: a 1, b 2, c 3
    speaker = Speaker(unigram_lm([0.125, 0.5, 0.25, 0.125]), word_tokenizer("a", "b", "c"))
    columns = ("Acceptability", "Sentence", "Cleft_construction", "Simple", "Question", "Split")
    rows = [
        ("1", "a", "1", "0", "1", "test"),
        ("0", "b", "1", "1", "0", "test"),
        ("1", "c", "0", "1", "0", "test"),
        ("1", "c", "1", "1", "0", "train"),
    ]
    path = write(tmp_path / "ItaCoLA.tsv", [dict(zip(columns, row, strict=True)) for row in rows])
    assert discover(tmp_path, {}).tests["ItaCoLA"].kind == "acceptability"
    result = LabelledSentences("itacola", path)(speaker)
    assert [(score.name, score.value, score.items) for score in result.scores] == [
        ("acceptability/itacola", 0.5, 3),  # a before b, c after it
        ("acceptability/itacola/Cleft_construction", 1.0, 2),
        ("acceptability/itacola/Simple", 0.0, 2),  # questions are all of one kind
    ]
    for row, said in (
        ({"Acceptability": "*", "Sentence": "a"}, "Acceptability = '\\*' must be 0 or 1"),
        ({"Acceptability": "1", "Sentence": ""}, "Sentence = '' must be a non-empty string"),
    ):
        with pytest.raises(TextError, match=said):
            LabelledSentences("itacola", write(tmp_path / "other.csv", [row]))
    with pytest.raises(TextError, match="its 1 sentences are not of both kinds"):
        LabelledSentences("itacola", write(tmp_path / "other.csv", [{"Acceptability": "1", "Sentence": "a"}]))


def test_every_kind_of_set_in_one_folder(baby_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "ewok.jsonl", [EWOK])
    write(data / "wug_past.jsonl", [{"sentences": "She ricked.\tShe rock.", "ratio": r} for r in (0.1, 0.9)])
    write(data / "regular.jsonl", [{"input_prefix": "A box has a", "options": [" key.", " hat."], "numops": 0}])
    write(data / "invalsi.jsonl", [INVALSI])
    judged = [{"Acceptability": n, "Sentence": "dorme il gatto"[n:], "Simple": 1} for n in (0, 1)]
    write(data / "itacola.csv", judged)
    write(data / "unknown.csv", [{"right": "a", "wrong": "b"}])
    words = ["--data", str(data), "--normalization", "power", "--alpha", "0.3", "--output_dir", str(tmp_path / "out")]
    assert main(["evaluate", str(baby_folder), *words]) == 0
    results = load_results(tmp_path / "out")
    assert list(results.tasks) == [
        "pairs/ewok",
        "school/invalsi",
        "acceptability/itacola",
        "babylm/regular",
        "babylm/wug_past",
    ]
    assert results.tasks["pairs/ewok"].settings["normalization"] == "power 0.3"
    assert results.left_out[str(data / "unknown.csv")].startswith("no known columns (right, wrong")
