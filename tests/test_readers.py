"""The evaluation sets of the field, told by their columns: tiny files of our own with the columns of theirs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from known_models import unigram_lm, word_tokenizer

from bambino.errors import TextError
from bambino.evaluation.discovery import discover
from bambino.evaluation.minimal_pairs import score_pairs
from bambino.evaluation.pair_files import Pair, load_pair_set

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
        (b"sen,wrong_sen\na," + b"b" * 200_000, "line 2: no row of a table"),
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
