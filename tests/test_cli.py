"""The command line as its users meet it: help, complaints without tracebacks, stopping and going on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from test_trainer import raised_on_l2
from transformers.utils import logging

from bambino import BambinoTrainer, Recipe
from bambino.cli.main import main
from bambino.recipe.file import dump_recipe, setting_names
from bambino.runs import checkpoint
from bambino.runs.directory import RunDirectory

Make = Callable[..., Recipe]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The command line owns its process; here it gives back signal handlers and the verbosity of libraries."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logging.set_verbosity_error()


def write(recipe: Recipe, tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe), encoding="utf-8")
    return str(path)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", *words], capture_output=True, text=True, check=False)


# ------------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_says_how_to_begin_and_how_to_go_on(capsys: pytest.CaptureFixture[str], words: list[str]):
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: bambino demo ")
    assert "bambino train [RECIPE.yaml] [--SETTING VALUE ...]\n" in shown
    assert "bambino train --resume RUN_DIRECTORY" in shown


@pytest.mark.parametrize("words", [["train", "--help"], ["train", "-h"], ["train", "recipes/paper.yaml", "--help"]])
def test_train_help_lists_every_setting_with_what_it_does(capsys: pytest.CaptureFixture[str], words: list[str]):
    assert main(words) == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    sections = {name.rpartition(".")[0] for name in setting_names()}
    for name in set(setting_names()) - sections:
        assert f"--{name} " in shown
    assert "The perplexity that earns alpha / 2; None: calibrated on what the baby says." in shown
    assert "Hold out of training the lines whose sha256 is 0 modulo this number" in shown
    assert "(type: float, default: 0.2)" in shown


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == version("bambino-lm") + "\n"


def test_help_answers_at_once_without_loading_torch():
    code = "import sys; from bambino.cli.main import main; status = main(['train', '--help']); "
    found = python("-c", code + "sys.exit(status or 'torch' in sys.modules)")
    assert (found.returncode, found.stderr) == (0, "")


def test_the_installed_command_runs_main():
    command = Path(sys.executable).with_name("bambino")
    found = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == version("bambino-lm") + "\n"


# -------------------------------------------------------------------------------------------------------- complaints


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command line says to words that are wrong: one complaint, on stderr, with status 2."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("bambino: ")
    assert "Traceback" not in captured.err + captured.out
    return captured.err.removeprefix("bambino: ")


def test_an_unknown_command_is_answered_with_the_known_one(capsys: pytest.CaptureFixture[str]):
    assert complaint(["trian"], capsys) == "There is no command 'trian'. Try: bambino --help\n"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--ppo.kl_coeff", "1"], "There is no setting ppo.kl_coeff. Did you mean ppo.kl_coef?"),
        (["--ppo.epochs", "many"], "ppo.epochs: expected an int. Got value: many"),
        (["--ppo.epochs", "0"], "ppo.epochs = 0 is too small. Use 1 or more."),
        (["--ppo.minibatch_size", "3"], "ppo.minibatch_size = 3 does not divide batch_size = 4. Use one of 1, 2, 4."),
        (["--baby.model", "./nowhere"], "baby.model = ./nowhere: there is no such folder."),
        (["--baby.model", "null"], "baby.model is not given."),
        (["--parent.model", "/no/parent"], "parent.model = /no/parent: there is no such folder."),
        (["--text.sources", "[/no/text.txt]"], "/no/text.txt"),
        (["--text.max_length", "65"], "text.max_length: rows of 65 tokens do not fit the baby's context of 64."),
        (["--evaluation.texts", "{it: [/no/eval.txt]}"], "/no/eval.txt"),
        (["--evaluation.pairs", "{it: /no/pairs.jsonl}"], "/no/pairs.jsonl"),
        (["--text.weights", "1.0"], "text.weights: expected a list or null. Got value: 1.0 Write a list: '[1.0]'\n"),
        (["--baby", "/x"], "baby is a section of settings. Give them one by one, such as --baby.model.\n"),
        (["--reward.tau", "low"], "reward.tau: expected a float or null. Got value: low\n"),
        (["--evaluation.eval_steps", "x"], "evaluation.eval_steps: expected an int or null. Got value: x\n"),
        (["--resume"], "--resume needs the run's directory"),
        (["--resume="], "--resume needs the run's directory"),
        (["--resume=/no/run"], "/no/run holds no run to resume (no recipe.yaml in it)."),
        (["--resume", "/no/run"], "/no/run holds no run to resume (no recipe.yaml in it)."),
        (["--output_dir", "/dev/null"], "output_dir = /dev/null cannot be made"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_settings_are_refused_by_name(make_recipe: Make, tmp_path: Path, capsys, settings: list[str], said: str):
    words = ["train", write(make_recipe(), tmp_path), *settings]
    if settings[0].startswith("--resume"):
        words = ["train", *settings]
    assert said in complaint(words, capsys)
    assert not Path(make_recipe().output_dir).exists()


def test_a_missing_recipe_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "nowhere.yaml"
    assert complaint(["train", str(path)], capsys).startswith(f"There is no recipe at {path}.")


def test_a_wrong_recipe_is_refused_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 1\nppo:\n  epoch: 3\n")
    said = complaint(["train", str(path)], capsys)
    assert said.startswith("There is no setting ppo.epoch. Did you mean ppo.epochs?")
    assert f"({path}, line 3)" in said


def test_a_hub_name_is_announced_because_without_a_network_it_takes_long(make_recipe: Make, tmp_path: Path, capsys):
    said = complaint(["train", write(make_recipe(), tmp_path), "--baby.model", "no/baby"], capsys)
    first, second = said.splitlines()
    assert first == "no folder no/baby here; asking the Hugging Face hub and its cache."
    assert second.startswith("bambino: baby.model = no/baby cannot be opened as a causal LM")


def test_swapped_models_are_refused(make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    italian, plain = raised_on_l2(make_recipe), make_recipe().baby.model
    swapped = ["--baby.model", italian, "--parent.model", plain, "--parent.must_know_l2", "true"]
    said = complaint(["train", write(make_recipe(), tmp_path), *swapped], capsys)
    assert "Are baby.model and parent.model swapped" in said


def test_a_directory_that_is_taken_is_refused(make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recipe = make_recipe("--max_steps", "1")
    held = RunDirectory(recipe.output_dir)
    assert "is in use by another process" in complaint(["train", write(recipe, tmp_path)], capsys)
    held.close()
    assert main(["train", write(recipe, tmp_path)]) == 0
    capsys.readouterr()
    said = complaint(["train", write(recipe, tmp_path)], capsys)
    assert f"Go on with it: bambino train --resume {recipe.output_dir}" in said


def test_checkpoints_that_are_all_damaged_are_named(make_recipe: Make, tmp_path: Path, capsys):
    recipe = make_recipe("--max_steps", "1")
    assert main(["train", write(recipe, tmp_path)]) == 0
    (path,) = checkpoint.list_checkpoints(Path(recipe.output_dir) / "checkpoints")
    (path / "state.json").write_text("{}")
    capsys.readouterr()
    assert f"{path}/state.json is damaged" in complaint(["train", "--resume", recipe.output_dir], capsys)


def test_a_run_that_fails_has_status_1_and_says_where_and_why(make_recipe: Make, tmp_path: Path, capsys):
    recipe = make_recipe("--clm.learning_rate", "1e30")
    assert main(["train", write(recipe, tmp_path)]) == 1
    said = capsys.readouterr().err
    failure = f"{recipe.output_dir}/failure.json"
    assert said == f"bambino: Stopped at step 1 (clm): the clm loss is nan. What explains it is in {failure}.\n"


# ----------------------------------------------------------------------------------------------- running, stopping


def test_a_run_prints_plain_lines_and_where_the_model_is(make_recipe: Make, tmp_path: Path, capsys):
    recipe = make_recipe("--logging_steps", "3")
    assert main(["train", write(recipe, tmp_path)]) == 0
    shown = capsys.readouterr()
    lines = [line for line in shown.out.splitlines() if not line.startswith("warning: dead reward")]
    assert lines[0].startswith("step 3/6 ppo  clm loss ")
    assert " → " in lines[1]
    assert lines[2].startswith("step 6/6 ppo  clm loss ")
    assert lines[-1] == f"Done: {recipe.output_dir}/model opens with AutoModelForCausalLM.from_pretrained."
    assert len(lines) == 5
    assert shown.err == ""


def test_a_run_may_be_made_of_settings_alone_or_of_settings_that_win_over_a_recipe(make_recipe: Make, tmp_path: Path):
    recipe = make_recipe(output_dir="ignored")
    chosen = str(tmp_path / "chosen")
    assert main(["train", write(recipe, tmp_path), "--output_dir", chosen, "--max_steps=1"]) == 0
    settings = ["--baby.model", recipe.baby.model, "--parent.model", recipe.parent.model, "--batch_size", "4"]
    settings += ["--text.sources", json.dumps(recipe.text.sources), "--text.max_length", "40", "--max_steps", "1"]
    settings += ["--parent.must_know_l2", "false", "--evaluation.utterances", "0"]
    assert main(["train", *settings, "--output_dir", str(tmp_path / "alone")]) == 0
    for name in ("chosen", "alone"):
        assert len((tmp_path / name / "metrics.jsonl").read_text().splitlines()) == 1
    assert not Path(recipe.output_dir).exists()


def test_a_stopped_run_goes_on_from_where_it_stopped(make_recipe: Make, tmp_path: Path, capsys):
    recipe = make_recipe("--logging_steps", "1")

    def stop(row: dict) -> None:
        trainer.stop_requested = row["step"] == 4

    trainer = BambinoTrainer(args=recipe, on_row=stop)
    trainer.train()
    assert main(["train", "--resume", recipe.output_dir]) == 0
    assert re.findall(r"^step (\d)/6", capsys.readouterr().out, re.MULTILINE) == ["5", "6"]


def test_a_resumed_run_keeps_its_settings(make_recipe: Make, capsys: pytest.CaptureFixture[str]):
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    said = complaint(["train", "--resume", recipe.output_dir, "--ppo.gamma", "0.5"], capsys)
    assert said.startswith(f"ppo.gamma is 0.5, but the run in {recipe.output_dir} has 1.0.")
    assert main(["train", "--resume", recipe.output_dir, "--logging_steps", "1"]) == 0


def test_a_run_directory_may_be_moved(make_recipe: Make, tmp_path: Path):
    recipe = make_recipe("--max_steps", "3")
    trainer = BambinoTrainer(args=recipe)
    trainer.stop_requested = True
    trainer.train()
    moved = Path(recipe.output_dir).rename(tmp_path / "moved")
    assert main(["train", f"--resume={moved}"]) == 0
    assert (moved / "model" / "model.safetensors").is_file()
    assert not Path(recipe.output_dir).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_a_checkpoint_and_tells_how_to_go_on(make_recipe: Make, tmp_path: Path, number: signal.Signals):
    recipe = make_recipe("--max_steps", "100000")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "bambino.cli.main", "train", write(recipe, tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log, deadline = Path(recipe.output_dir) / "metrics.jsonl", time.monotonic() + 120
    while not (log.exists() and log.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err == "bambino: finishing this step, then saving. Again to stop at once.\n"
    steps = len(log.read_text().splitlines())
    assert out.splitlines()[-1] == (
        f"Stopped after step {steps}. Go on with: bambino train --resume {recipe.output_dir}"
    )
    found = checkpoint.load_latest(Path(recipe.output_dir) / "checkpoints", pytest.fail)
    assert found.state["step"] == steps
    assert not (Path(recipe.output_dir) / "model").exists()


def test_the_second_signal_stops_at_once():
    code = """
import signal, time, types
from bambino.cli.main import _stop_on_signals
trainer = types.SimpleNamespace(stop_requested=False)
_stop_on_signals(trainer)
signal.raise_signal(signal.SIGINT)
print(trainer.stop_requested, flush=True)
signal.raise_signal(signal.SIGTERM)
print("still here")
"""
    found = python("-c", code)
    assert (found.returncode, found.stdout) == (-signal.SIGTERM, "True\n")
    assert found.stderr.count("\n") == 1


def test_an_interrupt_before_the_run_begins_shows_no_traceback(make_recipe: Make, tmp_path: Path, capsys, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BambinoTrainer, "__init__", interrupted)
    assert main(["train", write(make_recipe(), tmp_path)]) == 130
    assert capsys.readouterr().err == "Interrupted before the run began.\n"
