"""What a folder of tests is taken for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bambino.errors import TextError
from bambino.evaluation.discovery import discover

PAIR = {"sentence_good": "il gatto", "sentence_bad": "la gatto", "UID": "gender"}
TASKS = {"sentipolc2016.jsonl": "sentipolc"}


def write(path: Path, item: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n" + (item if isinstance(item, str) else json.dumps(item)) + "\n", encoding="utf-8")
    return path


def test_files_are_told_by_name_and_first_line(tmp_path: Path) -> None:
    blimp = write(tmp_path / "en" / "blimp.jsonl", PAIR)
    terms = write(tmp_path / "en" / "terms.jsonl", {"UID": "gender", "term": "agreement", "field": "morphology"})
    forms = write(tmp_path / "it" / "agreement.jsonl", {"prefix": "il", "good_form": "gatto", "bad_form": "gatti"})
    multi = write(tmp_path / "it" / "multiblimp.jsonl", {"sen": "il gatto", "wrong_sen": "la gatto"})
    task = write(tmp_path / "it" / "sentipolc2016.jsonl", {"text": "che bello", "label": "positive"})
    text = write(tmp_path / "it" / "ud.jsonl", {"text": "il gatto dorme", "treebank": "isdt"})
    write(tmp_path / "notes.txt", "hello")
    write(tmp_path / "it" / "labelled.jsonl", {"text": "che bello", "label": 1})
    tsv = write(tmp_path / "it" / "table.tsv", "sen\twrong_sen\nil gatto\tla gatto")
    write(tmp_path / "it" / "renamed.jsonl", {"sentence_bad": "la gatto"})

    found = discover(tmp_path, TASKS)
    assert {name: (test.kind, test.path) for name, test in found.tests.items()} == {
        "blimp": ("pairs", blimp),
        "agreement": ("pairs", forms),
        "multiblimp": ("pairs", multi),
        "sentipolc": ("classification", task),
        "table": ("pairs", tsv),
        "ud": ("text", text),
    }
    assert found.terms == [terms]
    assert {Path(path).name: why for path, why in found.others.items()} == {
        name: f"no known columns ({keys} in line 1), nor named like a task's file (sentipolc2016.jsonl)"
        for name, keys in (("labelled.jsonl", "label, text"), ("renamed.jsonl", "sentence_bad"))
    }


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", r"not JSON"),
        (b"[1]", "no JSON object"),
        ('{"text": "perché"}'.encode("latin-1"), "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"text": ' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_first_line_that_cannot_be_read_stops_with_file_and_line(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    write(tmp_path / "good.jsonl", PAIR)
    (tmp_path / "broken.jsonl").write_bytes(b"\n" + content)
    with pytest.raises(TextError, match=rf"broken\.jsonl, line 2: {problem}"):
        discover(tmp_path, {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(PAIR).encode())
    assert list(discover(tmp_path, {}).tests) == ["pairs"]


def test_a_single_file_will_do(tmp_path: Path) -> None:
    assert list(discover(write(tmp_path / "blimp.jsonl", PAIR), {}).tests) == ["blimp"]


def test_two_tests_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "en" / "pairs.jsonl", PAIR)
    write(tmp_path / "it" / "pairs.jsonl", PAIR)
    with pytest.raises(TextError, match="two tests named pairs"):
        discover(tmp_path, {})


def test_a_folder_without_tests_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "empty.jsonl", "")
    with pytest.raises(TextError, match=r"holds no test\. .*empty\.jsonl: no known columns"):
        discover(tmp_path, {})
    with pytest.raises(TextError, match="There is no text at"):
        discover(tmp_path / "nowhere", {})
