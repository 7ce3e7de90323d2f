"""200 damaged or made-up inputs for everything that bambino reads; `make fuzz` tries many more."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz.laws import LawBrokenError, keeps_the_law
from fuzz.readers import READERS, Files
from hypothesis import HealthCheck, given, settings

from bambino.errors import TextError

IN_SUITE = settings(
    max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
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


# ------------------------------------------------------------------------------------------------ the law finds a fault


def _loops(_: Path) -> None:
    while True:
        pass


PLANTED: dict[str, Callable[[Path], object]] = {
    "KeyError": lambda folder: {}["a"],
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
