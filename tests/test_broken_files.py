"""Whatever a file holds, its reader reads it or says what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from broken_files import CASES, Case, faults, pairs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_two_hundred_broken_files_are_read_or_refused(case: Case) -> None:
    outcomes, found = faults(case, 200)
    assert found == {}
    assert min(outcomes["read"], outcomes["refused"]) > 5  # neither all whole nor all hopeless


def test_a_reader_that_trips_is_found_out() -> None:
    def tripping(random: Random, folder: Path) -> None:
        pairs(random, folder)
        _ = (folder / "pairs.jsonl").read_text(encoding="utf-8")  # a byte that is no UTF-8, in a file that was not read

    outcomes, found = faults(tripping, 200)
    assert outcomes["faults"] > 0
    assert any(error.startswith("UnicodeDecodeError") for error in found)
