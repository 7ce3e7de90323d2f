"""Every command of the pages that newcomers begin with runs, from the top down, with tiny models and few steps."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from conftest import italian_lines

from bambino.cli.main import main

DOCS = Path(__file__).parent.parent / "docs"
TINY = "--shape.size 1m --shape.vocab_size 300"
SHORT = (
    "--max_steps 6 --passes null --batch_size 4 --text.max_length 40 --text.heldout_every 10 --clm.warmup_updates 1 "
    "--save_steps 3 --evaluation.eval_steps 3 --evaluation.utterances 4"
)
SMALLER = {
    "nursery": "",
    "pretrain": f"{TINY} --max_steps 2 --clm.warmup_updates 1",
    "train": f"{SHORT} --parent.must_know_l2 false",
    "evaluate": "--max_lines 4 --prompts 2",
    "audit": "--lines 4 --utterances 8 --text.heldout_every 10",
}
"""Command -> words that make it small; of two of one setting the later counts."""


def commands(page: str) -> list[list[str]]:
    """The lines of a page that begin with bambino, as words without it; continued lines are joined."""
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in re.findall(r"^ {4}(bambino .*)$", text, flags=re.MULTILINE)]


def run(page: str) -> None:
    for words in commands(page):
        more = [] if "--resume" in words else shlex.split(SMALLER.get(words[0], ""))
        assert main([{"100000": "2000"}.get(word, word) for word in words] + more) == 0, words


@pytest.mark.slow
def test_the_quick_start_goes_from_an_empty_folder_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("quick-start.md")
    assert Path("comparison.html").is_file()


@pytest.mark.slow
def test_the_commands_for_a_language_pair_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("l1", 1), ("l2", 2)):
        Path(f"{name}.txt").write_text("\n".join(italian_lines(400, seed)), encoding="utf-8")
    run("how-to/own-language-pair.md")
    assert (Path("runs") / "pair" / "report.html").is_file()
