"""100 damaged or made-up inputs for everything that bambino reads; `make fuzz` tries many more."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fuzz.__main__ import campaign
from fuzz.laws import LawBrokenError, keeps_the_law
from fuzz.readers import READERS, Files
from hypothesis import HealthCheck, given, settings

from bambino.errors import TextError
from bambino.recipe.checks import Settings
from bambino.runs import checkpoint
from bambino.text import json_lines, sieve

IN_SUITE = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_a_result_or_a_message_and_writes_nothing(name: str, tmp_path: Path) -> None:
    reader = READERS[name]

    @IN_SUITE
    @given(reader.files)
    def law(files: Files) -> None:
        with reader.laid_out(files, tmp_path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about what they read
            keeps_the_law(lambda: reader.read(tmp_path), tmp_path)

    law()


# ---------------------------------------------------------------------------------------- planted faults are found


class _Anything:
    """Equal to everything: a check that has gone."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def _any_json(path: Path, way_out: str = "") -> Iterator[tuple[str, Any]]:
    for where, line in json_lines.lines_of(path):
        with suppress(ValueError, RecursionError):
            yield where, json.loads(line)


FAULTS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "kinds and bounds are not looked at": ("recipe", lambda m: m.setattr(Settings, "__post_init__", lambda self: None)),
    "NUL and half characters are taken": (
        "texts of tests",
        lambda m: m.setattr(json_lines, "is_broken", lambda text: False),
    ),
    "every line is kept": ("text", lambda m: m.setattr(sieve, "_flaw", lambda *_: None)),
    "lines need not be objects": ("texts of tests", lambda m: m.setattr(json_lines, "objects_of", _any_json)),
    "no digest is compared": ("checkpoints", lambda m: m.setattr(checkpoint, "sha256", lambda path: _Anything())),
}
"""What is taken out -> the reader that must be seen to break, and how it is taken out."""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_check_that_is_taken_out_is_missed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, plant = FAULTS[fault]
    reader = READERS[name]
    reader.beside()  # made while all is well
    plant(monkeypatch)
    counts, faults = campaign(reader, 400)
    assert counts["broken"] == sum(counts.values()) - counts["read"] - counts["refused"] > 0
    assert faults


# ------------------------------------------------------------------------------------------------ the law finds a fault


def _loops(_: Path) -> None:
    while True:
        pass


PLANTED: dict[str, Callable[[Path], object]] = {
    "KeyError": lambda folder: dict[str, str]()["a"],
    "outside bambino": lambda folder: (folder / "a").read_text(encoding="ascii"),
    "a file was written": lambda folder: (folder / "new").write_text("x"),
    "a file was written or changed": lambda folder: (folder / "a").write_text("x"),
    "a message of 0 characters": lambda folder: (_ for _ in ()).throw(TextError("")),
    "still busy": _loops,
}


@pytest.mark.parametrize("fault", PLANTED)
def test_the_law_finds_what_breaks_it(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.laws.SECONDS", 0.05)
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(LawBrokenError, match=fault):
        keeps_the_law(lambda: PLANTED[fault](tmp_path), tmp_path)


def test_the_law_lets_a_result_and_a_refusal_pass(tmp_path: Path) -> None:
    assert keeps_the_law(lambda: 1, tmp_path) == "read"
    assert keeps_the_law(lambda: (_ for _ in ()).throw(TextError("no")), tmp_path) == "refused"
