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


@pytest.mark.slow
def test_padding_is_measured_and_changes_no_loss(baby_folder: Path, text_file: Path) -> None:
    words = ["--baby", str(baby_folder), "--text", str(text_file), "--batches", "2"]
    path = next(path for path in BENCHMARKS if path.stem == "clm_padding")
    ran = subprocess.run([sys.executable, str(path), *words], capture_output=True, text=True, check=False)
    assert '"n": 2' in ran.stdout, ran.stderr
