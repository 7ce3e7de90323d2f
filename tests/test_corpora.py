"""Corpora: tables, compressed files and data sets as text; lines and tokens on disk, which change no bit."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import multiprocessing
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import italian_lines, make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import store_slowly

from bambino.errors import RecipeError, StorageError, TextError
from bambino.recipe.settings import Recipe
from bambino.recipe.text_settings import TextConfig
from bambino.text.lines import load_corpus, load_heldout
from bambino.text.reading import number_of
from bambino.text.sources import lines_of
from bambino.text.streams import Streams, build_streams

pa = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("datasets")

LINES = [f"{line} è" for line in italian_lines(120, seed=4)]
TEXT = "\n".join(LINES).encode()
ROWS = [json.dumps({"text": line}) for line in LINES]
TOKENIZER = make_tokenizer()


def write(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def streams_of(text: TextConfig, seed: int = 3) -> Streams:
    return build_streams(text, TOKENIZER, seed=seed, batch_size=4, prompt_tokens=4)


def heard(streams: Streams, batches: int = 12) -> list[Any]:
    """Batches over the end of an epoch, their words, prompts, and all that is said of the sources."""
    found: list[Any] = [streams.manifest, streams.sample, [report.reading for report in streams.reports]]
    for first in range(0, 4 * batches, 4):
        batch = streams.clm.batch(first, 4)
        documents = None if batch.documents is None else batch.documents.tolist()
        found += [batch.input_ids.tolist(), batch.is_real.tolist(), documents, streams.clm.words(first, 4)]
        found.append(streams.prompts("ppo").prompts(first, 4, 5).input_ids.tolist())
    return found


def heard_or_refused(text: TextConfig, seed: int) -> list[Any] | str:
    try:
        return heard(streams_of(text, seed))
    except TextError as error:
        return str(error)


# ------------------------------------------------------------------------------------------------- on disk as in memory


@settings(max_examples=25, deadline=None)
@given(
    lines=st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=30)), min_size=1, max_size=60),
    mode=st.sampled_from(["lines", "packed"]),
    limits=st.fixed_dictionaries(
        {
            "max_length": st.integers(2, 20),
            "heldout_every": st.sampled_from([None, 2, 5]),
            "max_lines": st.sampled_from([None, 9]),
            "max_words": st.sampled_from([None, 40]),
            "append_eos": st.booleans(),
            "prepend_bos": st.booleans(),
            "min_chars": st.sampled_from([0, 26]),
            "order_by": st.sampled_from([None, "n"]),
            "line_breaks": st.sampled_from(["spaces", "ends"]),
        }
    ),
    weights=st.sampled_from([None, [1.0, 2.5]]),
    seed=st.integers(0, 3),
)
def test_what_is_heard_from_disk_is_what_is_heard_from_memory(
    lines: list[str], mode: Any, limits: dict[str, Any], weights: Any, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [str(folder / "a.jsonl"), write(folder / "b.txt", LINES[:50])]
        texts = [line.encode("utf-8", "replace").decode() for line in lines]
        rows = [{"text": line, "n": 20261127 + i * 7 % 5} for i, line in enumerate(texts)]
        write(folder / "a.jsonl", [*map(json.dumps, rows), "no object"])
        text = TextConfig(sources=sources, weights=weights, mode=mode, **limits)
        cached = replace(text, cache=str(folder / "cache"))
        expected = heard_or_refused(text, seed)
        assert heard_or_refused(cached, seed) == expected  # made
        before = {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*.bin")}
        assert heard_or_refused(cached, seed) == expected  # found
        assert {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*.bin")} == before


@given(st.lists(st.sampled_from([b"uno", b"due", b"\n", b"\r", b"\r\n", b"", b"\x0c", "è\u2028".encode()])))
def test_lines_end_where_they_end_whatever_is_read_at_a_time(parts: list[bytes]) -> None:
    content = b"".join(parts)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "it.txt"
        path.write_bytes(content)
        for size in (1, 2, 5):
            patch.setattr("bambino.text.sources.BLOCK", size)
            assert list(lines_of(path)) == content.splitlines()


def test_held_out_lines_are_the_same_from_disk(tmp_path: Path) -> None:
    source, cache = write(tmp_path / "it.txt", LINES), str(tmp_path / "cache")
    for split in ("all", "dev", "test"):
        in_memory, on_disk = (
            load_heldout([source], heldout_every=5, split=split, max_lines=9, cache=where) for where in (None, cache)
        )
        assert in_memory == on_disk
        assert len(in_memory) > 3


# -------------------------------------------------------------------------------------------------------- what it is of


def test_a_changed_file_is_noticed_also_where_its_size_and_time_are_the_same(tmp_path: Path) -> None:
    source = write(tmp_path / "it.txt", LINES)
    text = TextConfig(sources=[source], cache=str(tmp_path / "cache"))
    before, times = heard(streams_of(text)), os.stat(source)
    write(tmp_path / "it.txt", [line.replace("gatto", "vento") for line in LINES])
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert os.stat(source).st_size == times.st_size
    changed = heard(streams_of(text))
    assert changed != before
    assert changed == heard(streams_of(replace(text, cache=None)))


@pytest.mark.parametrize(
    "change",
    [{"max_length": 9}, {"min_chars": 40}, {"heldout_every": 3}, {"append_eos": False}, {"prepend_bos": False}],
)
def test_another_setting_is_another_content(change: dict[str, Any], tmp_path: Path) -> None:
    text = TextConfig(sources=[write(tmp_path / "it.txt", LINES)], max_length=10, cache=str(tmp_path / "cache"))
    heard(streams_of(text))
    other = replace(text, **change)
    assert heard(streams_of(other)) == heard(streams_of(replace(other, cache=None)))


def test_another_tokenizer_is_another_content(tmp_path: Path) -> None:
    text = TextConfig(sources=[write(tmp_path / "it.txt", LINES)], cache=str(tmp_path / "cache"))
    other = make_tokenizer(vocab_size=280)
    found = [build_streams(text, one, seed=0, batch_size=4, prompt_tokens=4) for one in (TOKENIZER, other)]
    expected = build_streams(replace(text, cache=None), other, seed=0, batch_size=4, prompt_tokens=4)
    assert heard(found[1]) == heard(expected) != heard(found[0])


def test_a_file_of_the_same_bytes_and_another_ending_is_another_text(tmp_path: Path) -> None:
    row = json.dumps({"text": LINES[0]})
    cache = str(tmp_path / "cache")
    as_text, as_objects = write(tmp_path / "it.txt", [row]), write(tmp_path / "it.jsonl", [row])
    assert list(load_corpus([as_text], cache=cache).lines) == [row]
    assert list(load_corpus([as_objects], cache=cache).lines) == [LINES[0]]


def test_a_source_that_changes_while_it_is_read_is_refused_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, cache = write(tmp_path / "it.txt", LINES), tmp_path / "cache"

    def read_and_change(path: Path) -> Any:
        yield from lines_of(path)
        write(tmp_path / "it.txt", LINES[:9])

    monkeypatch.setattr("bambino.text.reading.lines_of", read_and_change)
    with pytest.raises(TextError, match=r"it\.txt was changed while it was read"):
        load_corpus([source], cache=str(cache))
    assert not list(cache.glob("[!.]*"))


def test_what_is_shorter_than_it_was_is_made_again(tmp_path: Path) -> None:
    text = TextConfig(sources=[write(tmp_path / "it.txt", LINES)], cache=str(tmp_path / "cache"))
    before = heard(streams_of(text))
    for path in (tmp_path / "cache").rglob("*.bin"):
        path.write_bytes(path.read_bytes()[:-1])
    assert heard(streams_of(text)) == before


# --------------------------------------------------------------------------------------------- collisions, kills, disks


def test_of_processes_that_begin_together_one_makes_it_and_all_have_it(tmp_path: Path) -> None:
    several = [in_a_process(tmp_path) for _ in range(3)]
    for process in several:
        process.join()
    assert [process.exitcode for process in several] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "made\n"
    assert len(list((tmp_path / "cache").glob("[!.]*"))) == 1


def test_a_build_that_is_killed_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    process = in_a_process(tmp_path)
    while not list(tmp_path.glob("cache/.part-*/numbers.bin")):
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not list((tmp_path / "cache").glob("[!.]*"))
    store_slowly(tmp_path)
    assert not list((tmp_path / "cache").glob(".part-*"))


def in_a_process(folder: Path) -> Any:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=store_slowly, args=(folder,))
    process.start()
    return process


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    text = TextConfig(sources=[write(tmp_path / "it.txt", LINES)], cache=str(tmp_path / "cache"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot be written: File too large"):
            streams_of(text)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]
    assert heard(streams_of(text)) == heard(streams_of(replace(text, cache=None)))


# -------------------------------------------------------------------------------------------------------------- formats


def as_csv(path: Path, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["id", "text"], *([i, line] for i, line in enumerate(LINES))])


def as_parquet(path: Path) -> None:
    pa.parquet.write_table(pa.table({"id": range(len(LINES)), "text": LINES}), path)


FORMATS: dict[str, Callable[[Path], None]] = {
    "it.txt.gz": lambda path: write_bytes(path, gzip.compress(TEXT)),
    "it.txt.bz2": lambda path: write_bytes(path, bz2.compress(TEXT[:99]) + bz2.compress(TEXT[99:])),
    "it.txt.zst": lambda path: write_bytes(path, pa.Codec("zstd").compress(TEXT).to_pybytes()),
    "it.jsonl.GZ": lambda path: write_bytes(path, gzip.compress("\n".join(ROWS).encode())),
    "it.csv": lambda path: as_csv(path, ","),
    "it.tsv": lambda path: as_csv(path, "\t"),
    "it.parquet": as_parquet,
}


def write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("is_folder", [False, True])
def test_every_format_gives_the_same_lines(name: str, is_folder: bool, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    FORMATS[name](tmp_path / "corpus" / name)
    corpus = load_corpus([str(tmp_path / "corpus" if is_folder else tmp_path / "corpus" / name)])
    assert corpus.lines == LINES
    assert corpus.reports[0].reading.files == [str(tmp_path / "corpus" / name)]


def test_of_a_folder_of_several_kinds_text_is_read_and_the_rest_said(tmp_path: Path) -> None:
    for name in ("it.txt.gz", "it.csv", "it.parquet"):
        FORMATS[name](tmp_path / name)
    write(tmp_path / "other.txt", ["uno"])
    corpus = load_corpus([str(tmp_path)])
    assert corpus.lines == ["uno"]
    assert sorted(Path(name).name for name in corpus.reports[0].reading.left_out) == [
        "it.csv",
        "it.parquet",
        "it.txt.gz",
    ]


def test_a_cell_may_hold_line_breaks_and_separators(tmp_path: Path) -> None:
    (tmp_path / "it.csv").write_bytes(b'text,n\r\n"uno,\ndue ""tre""",1\r\nquattro\r\n,2\r\ncinqu\xff,3\r\n')
    corpus = load_corpus([str(tmp_path / "it.csv")])
    assert corpus.lines == ['uno, due "tre"', "quattro"]
    assert corpus.reports[0].dropped == {"empty": 1, "not UTF-8": 1}
    assert corpus.reports[0].lines == 4


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("it.csv", b"testo,n\nuno,1\n", r"it\.csv has no column 'text'. It has 'testo', 'n': set text\.jsonl_field"),
        ("it.csv", b"", r"it\.csv has no column 'text'"),
        ("it.tsv", b"text\n", r"it\.tsv is empty"),
        ("it.csv", b'text\n"' + b"a" * (1 << 23), r"it\.csv, line \d: no row of a table \(field larger"),
        ("it.txt.gz", b"uno\n", r"it\.txt\.gz cannot be read: Not a gzipped file"),
        ("it.txt.gz", gzip.compress(b"uno\n" * 999)[:-9], r"it\.txt\.gz cannot be read: Compressed file ended before"),
        ("it.txt.bz2", bz2.compress(b"uno\n" * 999)[:-9], r"it\.txt\.bz2 cannot be read: Compressed file ended before"),
        ("it.txt.zst", b"uno\n", r"it\.txt\.zst cannot be read: "),
        ("it.parquet", b"uno\n", r"it\.parquet is no Parquet file, or a damaged one"),
        ("it.tar.gz", gzip.compress(b"uno\n"), r"it\.tar\.gz is compressed"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says_is_refused(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    write_bytes(tmp_path / name, content)
    with pytest.raises(TextError, match=problem):
        load_corpus([str(tmp_path / name)])


def test_a_text_of_a_table_that_is_not_utf8_is_counted(tmp_path: Path) -> None:
    column = pa.array([b"uno", b"du\xe8", None, "è".encode()], pa.binary()).view(pa.string())
    pa.parquet.write_table(pa.table({"text": column}), tmp_path / "it.parquet")
    corpus = load_corpus([str(tmp_path / "it.parquet")])
    assert (corpus.lines, corpus.reports[0].dropped) == (["uno", "è"], {"not UTF-8": 1, "null": 1})


def test_a_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    as_parquet(tmp_path / "it.parquet")
    with pytest.raises(TextError, match=r"it\.parquet: the column 'id' holds int, no text"):
        load_corpus([str(tmp_path / "it.parquet")], jsonl_field="id")


# ------------------------------------------------------------------------------------------------- data sets of the hub


@pytest.fixture
def babybabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with BabyBabelLM's columns, laid out as on the hub."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    datasets.disable_progress_bars()
    folder = tmp_path / "BabyLM-community" / "babylm-ita"
    folder.mkdir(parents=True)
    ages = ["12-18", "n/a", "3", None]
    rows = {"text": ["dodici\nanni", "nessuno", "tre", None], "doc-id": list("abcd"), "age-estimate": ages}
    pa.parquet.write_table(pa.table(rows), folder / "train.parquet")
    pa.parquet.write_table(
        pa.table({"text": ["prova"], "doc-id": ["e"], "age-estimate": ["7"]}), folder / "test.parquet"
    )
    splits = [{"split": split, "path": f"{split}.parquet"} for split in ("train", "test")]
    configs = [{"config_name": "ita", "data_files": splits}, {"config_name": "few", "data_files": splits[1:]}]
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
    return folder


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_data_set_by_its_name_its_configuration_and_its_split(
    is_cached: bool, streaming: bool, babybabel: Path, tmp_path: Path
) -> None:
    name = "BabyLM-community/babylm-ita"
    load = partial(load_corpus, streaming=streaming, cache=str(tmp_path / "cache") if is_cached else None)
    for _ in range(2):
        corpus = load([f"{name}:ita"])
        assert list(corpus.lines) == ["dodici anni", "nessuno", "tre"]
        assert corpus.reports[0].dropped == {"null": 1}
    assert list(load([f"{name}:ita:test"]).lines) == ["prova"]
    assert list(load([f"{name}:few"]).lines) == ["prova"]  # its only split
    assert list(load([f"{name}:ita"], line_breaks="ends").lines) == ["dodici", "anni", "nessuno", "tre"]
    assert list(tmp_path.rglob("*.arrow")) == [] or not streaming


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("source", "field", "problem"),
    [
        (
            "BabyLM-community/babylm-ita:nld",
            "text",
            r"configuration nld.*BuilderConfig 'nld' not found",
        ),
        (
            "BabyLM-community/babylm-ita:ita:dev",
            "text",
            r"has no split 'dev'; there are train, test\. Name one",
        ),
        (
            "BabyLM-community/babylm-ita:ita",
            "testo",
            r"has no column 'testo'\. It has 'text', 'doc-id'",
        ),
        ("nobody/nothing", "text", r"nobody/nothing is no file or folder here, and could not be read from the hub"),
    ],
)
def test_what_a_data_set_has_not_is_refused(source: str, field: str, problem: str, babybabel: Path) -> None:
    with pytest.raises(TextError, match=problem):
        load_corpus([source], jsonl_field=field)


# ----------------------------------------------------------------------------------------------------------------- ages


def test_the_number_of_a_text_is_the_first_one_in_it() -> None:
    assert [number_of(value) for value in (4, 4.5, "3-5", "6,5 anni", "età 12")] == [4, 4.5, 3, 6.5, 12]
    assert all(np.isnan(number_of(value)) for value in (None, "n/a", "", [3]))


@pytest.mark.parametrize("is_cached", [False, True])
def test_an_epoch_goes_from_the_youngest_text_to_the_oldest(is_cached: bool, tmp_path: Path) -> None:
    # Ages 4, 1, 3, none, 4, 1, ... of 40 lines; every epoch shuffles those of one age anew.
    ages = [("4-5", 1, "3", "n/a")[i % 4] for i in range(40)]
    rows = [json.dumps({"text": line, "age-estimate": age}) for line, age in zip(LINES, ages, strict=False)]
    text = TextConfig(
        sources=[write(tmp_path / "it.jsonl", rows)],
        order_by="age-estimate",
        min_chars=0,
        heldout_every=None,
        cache=str(tmp_path / "cache") if is_cached else None,
    )
    lines = streams_of(text).lines
    orders = [lines.indices(40 * epoch, 40) for epoch in range(2)]
    assert [i % 4 for i in orders[0]] == [1] * 10 + [2] * 10 + [0] * 10 + [3] * 10
    assert [i % 4 for i in orders[1]] == [i % 4 for i in orders[0]]
    assert orders[0] != orders[1]


def test_texts_in_memory_have_no_order() -> None:
    with pytest.raises(RecipeError, match=r"text\.order_by = age: texts in memory have no fields"):
        build_streams(TextConfig(order_by="age"), TOKENIZER, seed=0, batch_size=4, prompt_tokens=4, dataset=LINES)


def test_an_order_without_a_number_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "it.jsonl", ROWS)
    with pytest.raises(TextError, match=r"text\.order_by = age: no line of .*it\.jsonl has a number there"):
        load_corpus([source], order_by="age")


# ------------------------------------------------------------------------------------------------- weights that change


def mixed(
    tmp_path: Path, weights: list[Any], *, steps: int = 100, sizes: tuple[int, int] = (40, 80), **text: Any
) -> Streams:
    """A run of `steps` batches of 4 of two sources: `a` and its number, `b` and its number."""
    for name, size in zip("ab", sizes, strict=True):
        write(tmp_path / f"{name}.txt", [f"{name} {i}" for i in range(size)])
    sources = [str(tmp_path / f"{name}.txt") for name in "ab"]
    config = TextConfig(sources=sources, weights=weights, heldout_every=None, **{"min_chars": 0, **text})
    return build_streams(config, TOKENIZER, seed=1, batch_size=4, prompt_tokens=4, steps=steps)


def test_shares_move_with_the_weights_and_every_stretch_has_them(tmp_path: Path) -> None:
    # 40 lines of weight 1; 80 of weight 0, then 0.5 from half of the run on: as many of each.
    streams = mixed(tmp_path, [1.0, {0.5: 0.0, 0.75: 0.5}])
    is_b = [int(i >= 40) for i in lines_heard(streams.clm, 400)]
    assert sum(is_b[:200]) == 0
    assert abs(sum(is_b[300:]) - 50) <= 1
    assert all(abs(sum(is_b[first : first + 20]) - 10) <= 2 for first in range(300, 380))
    # Prompts: mean weights 1 and 0.25 * 0.25 + 0.25 * 0.5 = 0.1875, of 80 lines 15.
    assert streams.lines.epoch_size == 40 + 15


def lines_heard(stream: Any, count: int) -> list[int]:
    return [i for first in range(0, count, 4) for i in stream.indices(first, 4)]


def test_of_a_source_all_lines_are_heard_before_one_is_heard_again(tmp_path: Path) -> None:
    heard_lines = lines_heard(mixed(tmp_path, [{0: 1.0, 1: 2.0}, 1.0]).clm, 400)
    for first, end in ((0, 40), (40, 120)):
        mine = [i for i in heard_lines if first <= i < end]
        passes = [mine[start : start + end - first] for start in range(0, len(mine), end - first)]
        assert all(len(set(one)) == len(one) for one in passes)
        assert len(passes) > 2


def test_a_mixture_is_a_function_of_the_place_and_does_not_end_with_the_run(tmp_path: Path) -> None:
    weights: list[Any] = [{0: 1.0, 1: 0.0}, 1.0]
    walked, fresh = mixed(tmp_path, weights).clm, mixed(tmp_path, weights).clm
    expected = lines_heard(walked, 800)
    assert lines_heard(fresh, 800)[332:340] == expected[332:340]
    assert lines_heard(mixed(tmp_path, weights).clm, 400) == expected[:400]
    assert min(expected[400:]) >= 40  # the first source has gone


def test_packed_rows_follow_the_weights(tmp_path: Path) -> None:
    # Lines of 6 or 7 tokens; rows of 16 hold about 5 of every 2 rows.
    clm = mixed(tmp_path, [1.0, {0.0: 0.0, 1.0: 1.0}], mode="packed", max_length=16, sizes=(60, 60)).clm
    rows = clm.batch(0, 400).input_ids
    assert clm.epoch_size in range(392, 409)
    first = TOKENIZER.decode(rows[:20].flatten()).count("b "), TOKENIZER.decode(rows[380:].flatten()).count("b ")
    assert first[0] < 3
    assert first[1] > 15


@pytest.mark.parametrize(
    ("weights", "more", "problem"),
    [
        (
            [{0: 0.0, 1: 1.0}, {0: 0.0, 0.5: 1.0}],
            {},
            r"text\.weights = .* leave no source where 0\.0 of the run is done",
        ),
        ([1.0, {0: 1.0}], {"order_by": "age"}, r"change over training, so text\.order_by has no epoch to sort"),
        ([1.0, {0: -1.0}], {}, r"text\.weights\[1\]\[0\] = -1.* is too small\. Use 0 or more"),
        ([1.0, {}], {}, r"text\.weights: expected a list of float"),
        ([1.0, "x"], {}, r"text\.weights: expected a list of float"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(weights: Any, more: dict[str, Any], problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        TextConfig(sources=["a", "b"], weights=weights, **more)


def test_a_cache_without_a_name_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"text\.cache =  +is empty"):
        TextConfig(cache=" ")


def test_passes_of_a_mixture_that_changes_are_refused() -> None:
    text = TextConfig(sources=["a", "b"], weights=[1.0, {0: 0.5, 1: 1.0}])
    with pytest.raises(RecipeError, match=r"text\.weights = .*no pass over the text. Give max_steps"):
        Recipe(text=text, passes=2.0)
