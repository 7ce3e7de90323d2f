"""Every command and every piece of Python in the README runs, on tiny models and with few steps."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import italian_lines

from bambino.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORTER = shlex.split(
    "--max_steps 6 --passes null --batch_size 4 --text.max_length 40 --text.heldout_every 10 "
    "--parent.must_know_l2 false "
    "--save_steps 2 --evaluation.eval_steps 3 --evaluation.utterances 4 --clm.warmup_updates 1 "
    "--schedule.cycle '{clm: 2, ppo: 1}' --feedback.parent_perplexity.tau null"
)


def code_blocks() -> list[str]:
    """The indented blocks, without their indentation and with continued lines joined."""
    blocks = re.findall(r"(?:^(?: {4}.*|)\n)+", README, flags=re.MULTILINE)
    plain = ["\n".join(line[4:] for line in block.splitlines()).strip() for block in blocks]
    return [block.replace("\\\n", " ") for block in plain if block]


def commands(name: str = "train") -> list[list[str]]:
    lines = [line for block in code_blocks() for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"bambino {name}")]


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baby_folder: Path, parent_folder: Path) -> Path:
    """A folder with the things the README speaks of."""
    (tmp_path / "path" / "to").mkdir(parents=True)
    for name, target in (("english-baby", baby_folder), ("baby", baby_folder), ("italian-parent", parent_folder)):
        (tmp_path / "path" / "to" / name).symlink_to(target)
    (tmp_path / "path" / "to" / "parent").symlink_to(parent_folder)
    for name, seed in (("italian.txt", 1), ("english.txt", 2)):
        (tmp_path / name).write_text("\n".join(italian_lines(200, seed)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_runs_and_the_resumed_run_is_done(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands():
        if {"--resume", "--help"} & set(words):
            assert main(words) == 0
        elif "--ppo.kl_coeff" not in words:
            assert main([*words, *SHORTER]) == 0
    assert (newcomer / "runs" / "first" / "model" / "model.safetensors").is_file()


def test_the_nursery_commands_write_what_pretrain_reads(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands("nursery")) == 3
    for words in commands("nursery"):
        fewer = [{"100000": "2000", "50": "1"}.get(word, word) for word in words]
        assert main(fewer) == 0
    assert len((newcomer / "it.txt").read_text(encoding="utf-8").splitlines()) == 2000
    (words,) = commands("pretrain")
    tiny = "--max_steps 2 --shape.size 1m --clm.warmup_updates 1 --shape.vocab_size 300"
    assert main([*words, *tiny.split()]) == 0
    assert (newcomer / "runs" / "english-baby" / "model" / "model.safetensors").is_file()


def test_the_evaluation_commands_run_on_the_run_of_the_first_page(
    newcomer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = {"sentence_good": "il gatto vede", "sentence_bad": "la gatto vede", "UID": "gender"}
    (newcomer / "tests").mkdir()
    (newcomer / "tests" / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    train = next(words for words in commands() if "runs/first" in words and "--resume" not in words)
    assert main([*train, *SHORTER]) == 0
    assert len(commands("evaluate")) == 2
    for words in commands("evaluate"):
        few = ["--max_lines", "4", "--prompts", "2"] if "--l2_text" in words else []
        assert main([*words, *few]) == 0
    for words in commands("compare"):
        for run in (word for word in words if word.startswith("runs/") and not Path(word).exists()):
            shutil.copytree("runs/first", run)
    for words in [*commands("compare"), *commands("lm-eval-tasks")]:
        assert main(words) == 0
    shown = capsys.readouterr().out
    assert "p corrected for 1 comparisons" in shown
    assert "3 pairs of runs" in shown


def test_the_demo_is_the_first_of_the_two_make_targets() -> None:
    targets = re.findall(r"^    make (\w+)", README, flags=re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE) for target in targets)
    # What it does is tested in test_demo.py; that its words are understood, here.
    assert commands("demo") == [["demo", "#", "--size", "small,", "--seeds", "5,", "--language", "invented"]]


def test_the_wrong_key_is_answered_as_the_readme_says(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "paper", "--ppo.kl_coeff", "0.1"]) == 2
    assert capsys.readouterr().err.strip() in README


@pytest.mark.parametrize("run", ["second", "curious"])
def test_the_python_runs(newcomer: Path, run: str) -> None:
    block = next(block for block in code_blocks() if "BambinoTrainer(" in block and f"runs/{run}" in block)
    short = block.replace(f'"runs/{run}"', f'"runs/{run}", *{SHORTER!r}')
    assert short != block
    exec(short, {"texts": italian_lines(100, seed=5)})
    assert (newcomer / "runs" / run / "model").is_dir()


def test_the_files_a_run_leaves_are_those_the_readme_lists(newcomer: Path) -> None:
    words = next(words for words in commands() if "--output_dir" in words)
    assert main([*words, *SHORTER]) == 0
    listed = re.findall(r"^ {8}(?: {0,})([\w.]+/?) {2,}", README, flags=re.MULTILINE)
    run = newcomer / "runs" / "first"
    assert set(listed) >= {"recipe.yaml", "data.json", "metrics.jsonl", "utterances.jsonl", "checkpoints/", "model/"}
    assert all((run / name).exists() for name in listed)
