"""Benchmarks are timed by hand; here they only have to begin: what they import is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_says_how_it_is_run(path: Path) -> None:
    ran = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout[:6]) == (0, "usage:"), ran.stderr
