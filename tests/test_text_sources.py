"""Which files a source stands for, which are left out and why; text in either Unicode form; lines without an end."""

from __future__ import annotations

import json
import tempfile
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import italian_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from bambino.errors import TextError
from bambino.evaluation.discovery import discover
from bambino.evaluation.pair_files import load_pairs
from bambino.text.heldout import in_split, is_heldout
from bambino.text.json_lines import texts_of
from bambino.text.lines import Corpus, choose_lines, corpus_of, heldout_in, load_corpus, load_heldout
from bambino.text.sources import find, find_files


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_bytes(text: str) -> bytes:
    """A text as it stands in a file, bare or in an object, halves of characters replaced."""
    return (json.dumps({"text": text}) if len(text) % 2 else text).encode("utf-8", "replace")


def loaded(*sources: Path, **settings: Any) -> Corpus:
    return choose_lines(load_corpus(list(map(str, sources)), **settings), seed=0, max_lines=None, max_words=None)


# ------------------------------------------------------------------------------------------------------------ folders


def test_names_that_begin_with_a_dot_are_passed_over_and_said(tmp_path: Path) -> None:
    corpus = tmp_path / ".data" / "corpus"  # named by the user, dot or not
    write(corpus / "it.txt", "uno\n")
    write(corpus / ".ipynb_checkpoints" / "it-checkpoint.txt", "uno\n")
    write(corpus / ".git" / "description.txt", "due\n")
    write(corpus / ".it.txt.swp", "tre\n")
    found = loaded(corpus)
    assert found.lines == ["uno"]
    hidden = dict.fromkeys((".git", ".ipynb_checkpoints", ".it.txt.swp"), "its name begins with a dot")
    assert found.reports[0].reading.left_out == {str(corpus / name): why for name, why in hidden.items()}


def test_endings_are_read_in_small_and_capital_letters(tmp_path: Path) -> None:
    write(tmp_path / "a.TXT", "uno\n")
    write(tmp_path / "b.JSONL", '{"text": "due"}\n')
    assert loaded(tmp_path).lines == ["uno", "due"]
    assert load_heldout([str(tmp_path / "b.JSONL")], heldout_every=None, max_lines=9) == ["due"]
    pairs = write(tmp_path / "tests" / "pairs.TSV", "sentence_good\tsentence_bad\nuno\tdue\n")
    assert list(discover(tmp_path / "tests", {}).tests) == ["pairs"]
    assert [(pair.good, pair.bad) for pair in load_pairs(pairs)] == [("uno", "due")]


def test_links_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    write(corpus / "b" / "it.txt", "uno\n")
    write(elsewhere / "more.txt", "due\n")
    write(tmp_path / "single", "tre\n")
    (corpus / "linked").symlink_to(elsewhere)
    (corpus / "single.txt").symlink_to(tmp_path / "single")
    (corpus / "b" / "up").symlink_to(corpus)
    (elsewhere / "self").symlink_to(elsewhere)
    (corpus / "a").symlink_to(corpus / "b")
    (corpus / "again.txt").symlink_to(corpus / "b" / "it.txt")
    (corpus / "nowhere.txt").symlink_to(tmp_path / "nowhere.txt")
    (corpus / "loop.txt").symlink_to(corpus / "loop.txt")
    found = find(corpus)
    assert [str(path.relative_to(corpus)) for path in found.files] == ["b/it.txt", "linked/more.txt", "single.txt"]
    assert {str(Path(path).relative_to(corpus)): why for path, why in found.left_out.items()} == {
        "a": "a link to a folder that is read already",
        "b/up": "a link to a folder that is read already",
        "linked/self": "a link to a folder that is read already",
        "again.txt": "a link to a file that is read already",
        "nowhere.txt": "no file, or a link to none",
        "loop.txt": "no file, or a link to none",
    }


def test_other_endings_are_left_out_of_a_folder_and_said(tmp_path: Path) -> None:
    write(tmp_path / "it.txt", "uno\n")
    write(tmp_path / "it.csv", "1,due\n")
    write(tmp_path / "c.jsonl.gz", b"\x1f\x8b")
    report = loaded(tmp_path).reports[0]
    assert report.reading.files == [str(tmp_path / "it.txt")]
    assert report.reading.left_out == {
        str(tmp_path / name): "it does not end in .txt or .jsonl" for name in ("it.csv", "c.jsonl.gz")
    }
    assert "1 of 1 lines kept; left out " in str(report)
    assert "it.csv (it does not end in .txt or .jsonl)" in str(report)


def test_a_folder_without_text_names_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path / "it.md", "due\n")
    with pytest.raises(TextError, match=r"holds no \.txt or \.jsonl file\.\n  left out: .*it\.md, it does not end in"):
        find_files(tmp_path)


# -------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("it.xlsx", r"is a table.*Save it as \.csv"),
        ("it.XLSX", r"is a table"),
        ("it.jsonl.xz", r"is compressed\. Unpack it"),
        ("it.pdf", r"is a document.*Save its text as \.txt"),
        ("it.arrow", r"train_dataset=texts"),
        ("model.safetensors", r"is no text"),
    ],
)
def test_a_file_that_is_known_to_be_no_text_is_refused_with_the_way_out(
    name: str, way_out: str, tmp_path: Path
) -> None:
    with pytest.raises(TextError, match=way_out):
        find_files(write(tmp_path / name, "1,uno\n"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"%PDF-1.7\n1 0 obj\n<< /Type /Page >>\nendobj\n", "is a document"),
        (b"\x1f\x8b\x08\x00 uno\n", "is compressed"),
        (b"\xff\xfeu\x00n\x00o\x00\n\x00", "UTF-16"),
        (bytes(range(128, 256)) * 3 + b"\nuno\n" + b"\xe8\n\xe9\n", "3 of its 4 lines are not UTF-8, or hold NUL"),
        ("perché\ncosì\n".encode("latin-1"), "2 of its 2 lines are not UTF-8"),
        (b"MZ\x00\x01\nu\x00no\nuno\n", "2 of its 3 lines are not UTF-8, or hold NUL"),
    ],
)
def test_what_is_no_text_inside_is_refused_by_its_name_also_beside_text(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    write(tmp_path / "a.txt", "uno\ndue\ntre\nquattro\ncinque\n" * 9)
    write(tmp_path / "b.txt", content)
    with pytest.raises(TextError, match=rf"b\.txt .*{problem}"):
        load_corpus([str(tmp_path)])


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_does_not_stand_for_the_whole_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "it.txt", "uno\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TextError, match="name of a text is empty"):
        load_corpus([name])
    assert load_corpus(["."]).lines == ["uno"]


def test_what_the_system_does_not_let_us_read_is_one_message(tmp_path: Path) -> None:
    long = tmp_path / f"{'a' * 300}.txt"
    with pytest.raises(TextError, match=r"a\.txt cannot be read: File name too long"):
        load_corpus([str(long)])
    with pytest.raises(TextError, match="cannot be read: File name too long"):
        texts_of(long)
    folder = tmp_path / "tests.jsonl"
    folder.mkdir()
    with pytest.raises(TextError, match=r"tests\.jsonl cannot be read: Is a directory"):
        texts_of(folder)


@settings(max_examples=200)
@given(
    name=st.sampled_from(["it.txt", "it.jsonl", "it.JSONL", "it.md", ".it", "it"]),
    content=st.one_of(st.binary(), st.lists(st.one_of(st.binary(max_size=9), st.text().map(as_bytes))).map(b"\n".join)),
    normalization=st.sampled_from(["NFC", None]),
)
def test_whatever_a_file_holds_it_is_read_or_refused_and_every_line_is_counted(
    name: str, content: bytes, normalization: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / name, content)
        problem = ""
        try:
            report = loaded(path, normalization=normalization).reports[0]
        except TextError as error:
            problem = str(error)
    if problem:
        assert name in problem
        return
    assert report.lines == report.kept + sum(report.dropped.values())


# ------------------------------------------------------------------------------------------------------ Unicode's forms

TWINS = ["perché così è già città", "la libertà è più"]
NFD = [unicodedata.normalize("NFD", line) for line in TWINS]


def test_an_accented_letter_is_one_character_however_the_file_spells_it(tmp_path: Path) -> None:
    path = write(tmp_path / "it.txt", "\n".join([*NFD, TWINS[0], "senza accenti"]))
    corpus = loaded(path)
    assert corpus.lines == [*TWINS, TWINS[0], "senza accenti"]
    reading = corpus.reports[0].reading
    assert (reading.normalization, reading.normalized, corpus.reports[0].unique) == ("NFC", 2, 3)
    assert "2 brought to NFC" in str(corpus.reports[0])
    as_written = loaded(path, normalization=None)
    assert as_written.lines[:2] == NFD
    assert as_written.reports[0].reading.normalized == 0
    assert corpus_of(NFD, "mine").lines == TWINS
    assert corpus_of(NFD, "mine", normalization=None).lines == NFD


def test_twins_are_held_out_together_and_a_composed_line_as_ever(tmp_path: Path) -> None:
    lines = [f"{line} è" for line in italian_lines(60, seed=2)]
    twins = [unicodedata.normalize("NFD", line) for line in lines]
    held = [line for line in lines if is_heldout(line, 4)]
    assert 5 < len(held) < 30
    assert [is_heldout(twin, 4) for twin in twins] == [is_heldout(line, 4) for line in lines]
    assert [in_split(twin, "dev") for twin in twins] == [in_split(line, "dev") for line in lines]
    path = str(write(tmp_path / "it.txt", "\n".join(twins)))
    assert load_heldout([path], heldout_every=4, max_lines=99) == heldout_in(twins, 4) == held
    assert not set(load_corpus([path], heldout_every=4).lines) & set(held)
    trained = load_corpus([path], heldout_every=4, normalization=None).lines
    assert not {unicodedata.normalize("NFC", line) for line in trained} & set(held)


def test_tests_are_read_composed_also_where_json_escapes_the_accent(tmp_path: Path) -> None:
    row = {"sentence_good": TWINS[0], "sentence_bad": NFD[0]}
    (as_text,) = load_pairs(write(tmp_path / "a.jsonl", json.dumps(row, ensure_ascii=False)))
    (escaped,) = load_pairs(write(tmp_path / "b.jsonl", json.dumps(row)))
    (cells,) = load_pairs(write(tmp_path / "c.tsv", f"sentence_good\tsentence_bad\n{TWINS[0]}\t{NFD[0]}\n"))
    assert {pair.good for pair in (as_text, escaped, cells)} == {TWINS[0]}
    assert {pair.bad for pair in (as_text, escaped, cells)} == {TWINS[0]}
    assert texts_of(write(tmp_path / "d.jsonl", json.dumps({"text": NFD[0]}))) == [TWINS[0]]


@pytest.mark.parametrize("depth", [600, 100_000])
def test_brackets_within_brackets_are_one_message(depth: int, tmp_path: Path) -> None:
    path = write(tmp_path / "deep.jsonl", '{"text": "uno", "more": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(TextError, match="line 1: not JSON"):
        texts_of(path)


def test_a_heap_of_accents_is_read_at_once(tmp_path: Path) -> None:
    heap = "a" + "\u0301\u0323" * 100_000  # to sort these takes minutes
    began = time.process_time()
    assert loaded(write(tmp_path / "it.txt", f"{heap}\n{NFD[0]}\n"), heldout_every=200).lines == [heap, TWINS[0]]
    assert time.process_time() - began < 5


# --------------------------------------------------------------------------------------------------- lines without end


def test_a_line_of_more_than_a_million_characters_is_dropped_and_counted(tmp_path: Path) -> None:
    longest = "è " * 499_999 + "sì"
    path = write(tmp_path / "it.txt", f"{longest}\n{longest}s\nuno\n")
    corpus = loaded(path)
    assert corpus.lines == [longest, "uno"]
    assert corpus.reports[0].dropped == {"longer than 1,000,000 characters": 1}
    with pytest.raises(TextError, match=r"has no usable line: 1 read, dropped .*longer than 1,000,000 characters"):
        loaded(write(tmp_path / "one.txt", "parola " * 200_000))
    with pytest.raises(TextError, match=r"line 1: longer than 4,000,000 bytes"):
        texts_of(write(tmp_path / "one.jsonl", json.dumps({"text": "parola " * 700_000})))
