"""Every piece of Python on a how-to page runs, on tiny models and with few steps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import italian_lines

import bambino

PAGES = Path(__file__).parent.parent / "docs" / "how-to"
WITH_PYTHON = sorted(path.name for path in PAGES.glob("*.md") if "```python" in path.read_text(encoding="utf-8"))
SHORTER = (
    "--max_steps 12 --batch_size 4 --text.max_length 40 --text.heldout_every 10 --clm.warmup_updates 1 "
    "--parent.must_know_l2 false --evaluation.eval_steps 6"
)


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baby_folder: Path, parent_folder: Path) -> Path:
    """A folder with what the pages speak of; recipes loaded there are made short."""
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "baby").symlink_to(baby_folder)
    (tmp_path / "path" / "to" / "parent").symlink_to(parent_folder)
    (tmp_path / "italian.txt").write_text("\n".join(italian_lines(200)), encoding="utf-8")
    load = bambino.load_recipe

    def load_short(path: str, overrides: list[str], **more: Any) -> bambino.Recipe:
        return load(path, [*overrides, *SHORTER.split()], **more)

    monkeypatch.setattr(bambino, "load_recipe", load_short)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(page: str) -> dict[str, Any]:
    """Run a page's Python from top to bottom; what it left behind."""
    names: dict[str, Any] = {"__name__": __name__}
    for block in re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL | re.M):
        exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.parametrize("page", [name for name in WITH_PYTHON if name != "read-a-run.md"])
def test_the_python_of_a_page_runs(newcomer: Path, page: str) -> None:
    assert run(page)["trainer"].step == 12


def test_a_run_is_read_as_the_page_says(newcomer: Path) -> None:
    run("own-measure.md")
    (newcomer / "runs" / "sentence").rename(newcomer / "runs" / "first")
    found = run("read-a-run.md")
    assert len(found["steps"]) == 12
    assert [row["step"] for row in found["evaluations"]] == [0, 6, 12]
    assert all(row["eval/sentence/perplexity"] > 1 for row in found["evaluations"])


def test_the_spans_of_the_page_lie_on_long_words(newcomer: Path) -> None:
    given = run("own-reward.md")["every_word"](completions=["è bello qui", "sì"])
    # "è" takes two bytes and the space one, so "bello" lies in bytes 3 to 8; the other words are short.
    assert list(given.per_utterance) == [[(3, 8, 0.1)], []]
