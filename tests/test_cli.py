"""The command line as its users meet it: help, complaints without tracebacks, stopping and going on."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import there
from test_trainer import raised_on_l2
from transformers.utils import logging

from bambino import BambinoTrainer, Recipe, stopping
from bambino.cli.main import main
from bambino.evaluation.plan import Plan
from bambino.feedback.settings import KINDS
from bambino.recipe.checks import Settings
from bambino.recipe.docs import field_docs
from bambino.recipe.file import dump_recipe, setting_names, shipped
from bambino.runs import checkpoint
from bambino.runs.directory import RunDirectory

Make = Callable[..., Recipe]
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The command line owns its process; here it gives back the verbosity of libraries."""
    yield
    logging.set_verbosity_error()


def write(recipe: Recipe, tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe), encoding="utf-8")
    return str(path)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", *words], capture_output=True, text=True, check=False)


# ------------------------------------------------------------------------------------------------------------- help


COMMANDS = [
    "demo",
    "train",
    "pretrain",
    "evaluate",
    "audit",
    "compare",
    "table",
    "experiment",
    "meter",
    "interpolate",
    "front",
    "report",
    "write",
    "nursery",
    "lm-eval-tasks",
    "recipes",
    "env",
]


def shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints, on one line."""
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return re.sub(r"\s+", " ", captured.out)


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_names_every_command_how_to_begin_and_what_the_exit_status_means(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    text = shown(words, capsys)
    assert text.startswith("usage: bambino COMMAND ...")
    for command in COMMANDS:
        assert f" {command} " in text
    assert "bambino train --resume runs/first" in text
    assert "0 done 1 the run failed" in text
    assert "2 something that was given is wrong" in text
    assert "130 interrupted" in text
    assert "143, 129, 138 the same by SIGTERM, SIGHUP" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_usage_and_examples_and_says_what_each_option_does(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: bambino {command}")
    if command != "env":
        assert f"  bambino {command}" in text.split("example")[1]
    options = re.split(r"\n  (?=-)", text)[1:]
    for option in options:  # a name and a placeholder, then what it does
        words = re.sub(r"\s+", " ", option).strip()
        assert re.match(r"-\S+(, --\S+)?( \S+)? .*\w", words), words


@pytest.mark.parametrize(
    "words", [["train", "--help"], ["train", "-h"], ["train", "paper", "--help"], ["pretrain", "--help"]]
)
def test_train_help_lists_every_setting_with_what_it_does(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    text = shown(words, capsys)
    sections = {name.rpartition(".")[0] for name in setting_names(KINDS)}
    for name in set(setting_names(KINDS)) - sections:
        assert f"--{name} " in text
    assert "--ppo.epochs INT Passes over the batch of utterances. (default: 4)" in text
    assert "--text.mode lines|packed lines: a line a row." in text
    assert (
        "--feedback.parent_perplexity.tau FLOAT|{SHARE: FLOAT, ...}|null The perplexity that earns alpha / 2; "
        "null: calibrated" in text
    )
    assert "one that is shipped: best, best-legal, clm-tuned, paper, paper-tuned, pretrain-small, real-small" in text


def test_every_setting_has_a_doc_that_can_be_read_alone() -> None:
    for cls in [type(value) for value in vars(Recipe()).values() if isinstance(value, Settings)] + [
        Recipe,
        Plan,
        *KINDS.values(),
    ]:
        for name, doc in field_docs(cls).items():
            assert len(doc.split()) > 1, f"{cls.__name__}.{name}"
            assert doc.endswith("."), f"{cls.__name__}.{name}: {doc}"
            assert not re.match(r"(Likewise|In place of|As above|The same)\b", doc), f"{cls.__name__}.{name}: {doc}"


def test_evaluate_help_lists_every_option_and_the_files_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(["evaluate", "--help"], capsys)
    for name in [field.name for field in dataclasses.fields(Plan)] + ["output_dir"]:
        assert f"--{name} " in text
    assert "--prompts INT Prompts that the baby goes on with; 0: it is not made to speak. (default: 128)" in text
    assert "sentipolc2016.jsonl sentipolc" in text


@pytest.mark.parametrize("words", [["train", "--help"], ["evaluate", "--help"], ["recipes", "paper"]])
def test_a_reader_who_leaves_early_gets_no_traceback(words: list[str]) -> None:
    call = " ".join([sys.executable, "-m", "bambino.cli.main", *words])
    found = subprocess.run(f"{call} | head -n 1", shell=True, capture_output=True, text=True, check=True)
    assert found.stdout.count("\n") == 1
    assert found.stderr == ""


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == version("bambino-lm") + "\n"


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], *([command, "--help"] for command in COMMANDS)], ids=" ".join
)
def test_help_answers_at_once_without_loading_torch(words: list[str]) -> None:
    """Half a second of CPU time, by the best of three: other programs may be running."""
    code = f"""
import sys, time
from bambino.cli.main import main
status = main({words!r})
print(time.process_time(), file=sys.stderr)
sys.exit(status or 'torch' in sys.modules)
"""
    seconds: list[float] = []
    while len(seconds) < 3 and min(seconds, default=1.0) >= 0.5:
        found = python("-c", code)
        assert found.returncode == 0
        seconds.append(float(found.stderr))
    assert min(seconds) < 0.5


def test_the_installed_command_runs_main() -> None:
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


def test_an_unknown_command_is_answered_with_the_known_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(["trian"], capsys) == "There is no command 'trian'. Did you mean train?\n"
    assert complaint(["fly"], capsys) == "There is no command 'fly'. Try: bambino --help\n"


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
        (
            ["--text.weights", "1.0"],
            "text.weights: expected a list of float or null. Got value: 1.0 Write a list: '[1.0]'\n",
        ),
        (["--baby", "/x"], "baby is a section of settings. Give them one by one, such as --baby.model.\n"),
        (
            ["--feedback.parent_perplexity.tau", "low"],
            "feedback.parent_perplexity.tau: expected a float or null, or its values over training like "
            "{0: 4, 0.5: 8}. Got value: low\n",
        ),
        (["--reward.tau", "150"], "There is no setting reward.tau. Write feedback.parent_perplexity.tau.\n"),
        (["--schedule.kind", "clm"], "There is no setting schedule.kind. Write the steps of a cycle: schedule.cycle:"),
        (["--schedule.cycle", "{clm: 1, pppo: 1}"], "schedule.cycle names a phase pppo, which there is not."),
        (["--ppo.epochs"], "--ppo.epochs: expected one argument. Write --ppo.epochs INT\n"),
        (["stray"], "'stray' is no setting. Settings look like --ppo.kl_coef 0.1."),
        (["--evaluation.eval_steps", "x"], "evaluation.eval_steps: expected an int or null. Got value: x\n"),
        (["--resume"], "--resume: expected one argument. Write --resume RUN_DIRECTORY\n"),
        (["--resume="], "--resume: expected one argument. Write --resume RUN_DIRECTORY\n"),
        (["--resume", "/no/run", "paper"], "--resume goes on by the run's own recipe. Leave paper out.\n"),
        (["--resume=/no/run"], "/no/run holds no run to resume (no recipe.yaml in it)."),
        (["--resume", "/no/run"], "/no/run holds no run to resume (no recipe.yaml in it)."),
        (["--output_dir", "/dev/null"], "output_dir = /dev/null cannot be made"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_settings_are_refused_by_name(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: list[str], said: str
) -> None:
    words = ["train", write(make_recipe(), tmp_path), *settings]
    if settings[0].startswith("--resume"):
        words = ["train", *settings]
    assert said in complaint(words, capsys)
    assert not Path(make_recipe().output_dir).exists()


def test_a_misspelt_task_is_told_the_nearest_before_models_are_opened(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")  # opened, it would be what is told
    words = ["train", write(make_recipe(), tmp_path), "--baby.model", str(tmp_path / "broken")]
    said = complaint([*words, "--evaluation.tasks", "[sentipolcc]"], capsys)
    assert said.startswith("evaluation.tasks: There is no task 'sentipolcc'. Did you mean sentipolc?")


def test_a_missing_recipe_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nowhere.yaml"
    assert complaint(["train", str(path)], capsys).startswith(f"There is no recipe at {path}.")


def test_a_wrong_recipe_is_refused_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 1\nppo:\n  epoch: 3\n")
    said = complaint(["train", str(path)], capsys)
    assert said.startswith("There is no setting ppo.epoch. Did you mean ppo.epochs?")
    assert f"({path}, line 3)" in said


def test_a_hub_name_is_announced_because_without_a_network_it_takes_long(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = complaint(["train", write(make_recipe(), tmp_path), "--baby.model", "no/baby"], capsys)
    first, second = said.splitlines()
    assert first == "no folder no/baby here; asking the Hugging Face hub and its cache."
    assert second.startswith("bambino: baby.model = no/baby cannot be opened as a causal LM")


def test_swapped_models_are_refused(make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    italian, plain = raised_on_l2(make_recipe), there(make_recipe().baby.model)
    swapped = ["--baby.model", italian, "--parent.model", plain, "--parent.must_know_l2", "true"]
    said = complaint(["train", write(make_recipe(), tmp_path), *swapped], capsys)
    assert "Are baby.model and parent.model swapped" in said


def test_a_directory_that_is_taken_is_refused(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--max_steps", "1")
    held = RunDirectory(recipe.output_dir)
    assert "is in use by another process" in complaint(["train", write(recipe, tmp_path)], capsys)
    held.close()
    assert main(["train", write(recipe, tmp_path)]) == 0
    capsys.readouterr()
    said = complaint(["train", write(recipe, tmp_path)], capsys)
    assert f"Go on with it: bambino train --resume {recipe.output_dir}" in said


def test_checkpoints_that_are_all_damaged_are_named(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--max_steps", "1")
    assert main(["train", write(recipe, tmp_path)]) == 0
    (path,) = checkpoint.list_checkpoints(Path(recipe.output_dir) / "checkpoints")
    (path / "state.json").write_text("{}")
    capsys.readouterr()
    assert f"{path}/state.json is damaged" in complaint(["train", "--resume", recipe.output_dir], capsys)


def test_a_run_that_fails_has_status_1_and_says_where_and_why(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--clm.learning_rate", "1e17")
    assert main(["train", write(recipe, tmp_path)]) == 1
    said = capsys.readouterr().err
    explained = f"What explains it is in {recipe.output_dir}/failure.json. No checkpoint was saved."
    assert said == f"bambino: Stopped at step 1: clm: the loss is nan. {explained}\n"


# ----------------------------------------------------------------------------------------------- running, stopping


def test_a_run_prints_plain_lines_and_where_the_model_is(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--logging_steps", "3")
    assert main(["train", write(recipe, tmp_path)]) == 0
    shown = capsys.readouterr()
    read, *lines = shown.out.splitlines()
    assert read == f"{recipe.text.sources[0]}: 109 of 120 lines kept; dropped 11 held out."
    assert lines[0].startswith("step 3/6 ppo  clm loss ")
    assert " → " in lines[1]
    assert lines[2].startswith("step 6/6 ppo  clm loss ")
    assert lines[-2] == f"Done: {recipe.output_dir}/model opens with AutoModelForCausalLM.from_pretrained."
    assert lines[-1] == f"The run as a page: bambino report {recipe.output_dir}"
    assert len(lines) == 6
    assert shown.err == ""


def test_a_run_may_be_made_of_settings_alone_or_of_settings_that_win_over_a_recipe(
    make_recipe: Make, tmp_path: Path
) -> None:
    recipe = make_recipe(output_dir="ignored")
    chosen = str(tmp_path / "chosen")
    assert main(["train", write(recipe, tmp_path), "--output_dir", chosen, "--max_steps=1"]) == 0
    models = ["--baby.model", there(recipe.baby.model), "--parent.model", there(recipe.parent.model)]
    settings = [*models, "--batch_size", "4"]
    settings += ["--text.sources", json.dumps(recipe.text.sources), "--text.max_length", "40", "--max_steps", "1"]
    settings += ["--parent.must_know_l2", "false", "--evaluation.utterances", "0"]
    assert main(["train", *settings, "--output_dir", str(tmp_path / "alone")]) == 0
    for name in ("chosen", "alone"):
        assert len((tmp_path / name / "metrics.jsonl").read_text().splitlines()) == 1
    assert not Path(recipe.output_dir).exists()


def test_a_stopped_run_goes_on_from_where_it_stopped(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--logging_steps", "1")

    def stop(row: dict[str, Any]) -> None:
        trainer.stop_requested = row["step"] == 4

    trainer = BambinoTrainer(args=recipe, on_row=stop)
    trainer.train()
    assert main(["train", "--resume", recipe.output_dir]) == 0
    assert re.findall(r"^step (\d)/6", capsys.readouterr().out, re.MULTILINE) == ["5", "6"]


def test_a_resumed_run_keeps_its_settings(make_recipe: Make, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe).train()
    said = complaint(["train", "--resume", recipe.output_dir, "--ppo.gamma", "0.5"], capsys)
    assert said.startswith(f"ppo.gamma is 0.5, but the run in {recipe.output_dir} has 1.0.")
    assert main(["train", "--resume", recipe.output_dir, "--logging_steps", "1"]) == 0


def test_a_run_directory_may_be_moved(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("--max_steps", "3")
    trainer = BambinoTrainer(args=recipe)
    trainer.stop_requested = True
    trainer.train()
    moved = Path(recipe.output_dir).rename(tmp_path / "moved")
    assert main(["train", f"--resume={moved}"]) == 0
    assert (moved / "model" / "model.safetensors").is_file()
    assert not Path(recipe.output_dir).exists()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 138, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_a_checkpoint_and_tells_how_to_go_on(
    make_recipe: Make, tmp_path: Path, number: signal.Signals, status: int
) -> None:
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
    assert process.returncode == status
    assert err == "bambino: finishing this step, then saving. Again to stop at once.\n"
    steps = len(log.read_text().splitlines())
    assert out.splitlines()[-1] == (
        f"Stopped after step {steps}. Go on with: bambino train --resume {recipe.output_dir}"
    )
    found = there(checkpoint.load_latest(Path(recipe.output_dir) / "checkpoints", pytest.fail))
    assert found.state["step"] == steps
    assert not (Path(recipe.output_dir) / "model").exists()


def heard(number: signal.Signals, request: pytest.FixtureRequest) -> None:
    """This test hears the signal, though a shell or nohup may have started it with that ignored."""
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, before))


def interrupting(name: str, monkeypatch: pytest.MonkeyPatch, *numbers: signal.Signals) -> None:
    """Where the trainer's `name` is called, these signals come."""

    def interrupted(*_: object, **__: object) -> None:
        for number in numbers:
            signal.raise_signal(number)
        pytest.fail("the program went on")

    monkeypatch.setattr(BambinoTrainer, name, interrupted)


def test_the_second_signal_stops_at_once(
    make_recipe: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    heard(signal.SIGHUP, request)
    recipe = make_recipe()
    interrupting("_reseed", monkeypatch, signal.SIGHUP, signal.SIGTERM)
    assert main(["train", write(recipe, tmp_path)]) == 143
    finishing, at_once = capsys.readouterr().err.splitlines()
    assert finishing == "bambino: finishing this step, then saving. Again to stop at once."
    assert at_once.endswith(f"is lost. Go on with: bambino train --resume {recipe.output_dir}")
    monkeypatch.undo()
    assert main(["train", "--resume", recipe.output_dir]) == 0


def test_an_interrupt_while_loading_says_what_there_is_to_resume(
    make_recipe: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    heard(signal.SIGINT, request)
    recipe = make_recipe()
    interrupting("__init__", monkeypatch, signal.SIGINT)
    assert main(["train", write(recipe, tmp_path)]) == 130
    assert capsys.readouterr().err.startswith("Stopped while loading. No run was begun, so there is none to resume")
    assert not Path(recipe.output_dir).exists()
    monkeypatch.undo()
    assert main(["train", write(recipe, tmp_path)]) == 0
    interrupting("__init__", monkeypatch, signal.SIGUSR1)
    assert main(["train", "--resume", recipe.output_dir]) == 138
    assert f"Go on with: bambino train --resume {recipe.output_dir}" in capsys.readouterr().err


def test_while_loading_a_terminal_shows_what_is_loaded(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        assert main(["train", write(make_recipe("--max_steps", "1"), tmp_path)]) == 0
    shown = os.read(leader, 1 << 20).decode()
    assert "opening the baby" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor comes back


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_an_ignored_signal_stays_ignored_and_the_others_are_as_before(number: signal.Signals) -> None:
    came: list[int] = []
    before = {each: signal.getsignal(each) for each in stopping.SIGNALS}
    try:
        for each in stopping.SIGNALS:  # a shell may have started us with some ignored
            signal.signal(each, signal.SIG_IGN if each == number else signal.SIG_DFL)
        with stopping.on_stop(came.append):
            for each in stopping.SIGNALS:
                signal.raise_signal(each)
        assert came == [each for each in stopping.SIGNALS if each != number]
        handlers = {each: signal.getsignal(each) for each in stopping.SIGNALS}
        assert handlers.pop(number) == signal.SIG_IGN
        assert set(handlers.values()) == {signal.SIG_DFL}
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_which_ends_of_a_run_were_asked_for() -> None:
    assert all(map(stopping.was_stopped, [130, 143, 129, 138, -2, -15]))
    assert not any(map(stopping.was_stopped, [0, 1, 2, -9, 137]))


def test_a_run_whose_output_is_read_no_more_goes_on_to_its_end(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("--logging_steps", "1")
    for name in ("stdout", "stderr"):
        unread, end = os.pipe()
        os.close(unread)
        monkeypatch.setattr(sys, name, os.fdopen(end, "w"))
    assert main(["train", write(recipe, tmp_path)]) == 0
    assert (Path(recipe.output_dir) / "model" / "model.safetensors").is_file()
    sys.stdout.close()
    sys.stderr.close()


# ---------------------------------------------------------------------------------------------------- code of one's own

OWN = """
from dataclasses import dataclass
from bambino import FeedbackConfig

@dataclass(frozen=True)
class LettersConfig(FeedbackConfig):
    \"""The longer, the better.\"""

    per_word: float = 1.0
    \"""What a word earns.\"""

    def make(self, parent):
        return lambda *, completions, **_: [self.per_word * len(text.split()) for text in completions]

KINDS = {"letters": LettersConfig}
"""
REWARDS = """
def one(prompts, completions, **_):
    return [float(i) for i, _ in enumerate(completions)]

REWARDS = [one]
"""


def own(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.py"
    path.write_text(text)
    return str(path)


def test_kinds_of_feedback_of_ones_own_come_with_code_and_have_options_and_help(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = own(tmp_path, OWN)
    text = shown(["train", "--code", code, "--help"], capsys)
    assert "feedback.letters: The longer, the better." in text
    assert "--feedback.letters.per_word FLOAT What a word earns. (default: 1.0)" in text
    recipe = write(make_recipe(), tmp_path)
    assert "There is no setting feedback.letters.per_word." in complaint(
        ["train", recipe, "--feedback.letters.per_word", "2"], capsys
    )
    settings = ["--feedback.letters.per_word", "2", "--max_steps", "3"]
    assert main(["train", "--code", code, *settings, recipe]) == 0
    run = make_recipe().output_dir
    assert "letters:\n    for: ppo\n    weight: 1.0\n    per_word: 2.0" in (Path(run) / "recipe.yaml").read_text()


def test_a_run_with_code_is_resumed_with_it_and_says_so_without(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, recipe = own(tmp_path, OWN), make_recipe("--max_steps", "3")
    assert main(["train", write(recipe, tmp_path), "--code", code, "--feedback.letters", "{}"]) == 0
    capsys.readouterr()
    said = complaint(["train", "--resume", recipe.output_dir], capsys)
    assert said.startswith("There is no setting feedback.letters.")
    assert "If the run was begun with --code FILE.py, give that again." in said
    assert main(["train", "--resume", recipe.output_dir, f"--code={code}"]) == 0


def test_rewards_of_ones_own_take_the_place_of_feedback(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--max_steps", "3", "--parent.model", "null")
    assert main(["train", write(recipe, tmp_path), "--code", own(tmp_path, REWARDS)]) == 0
    rows = (Path(recipe.output_dir) / "utterances.jsonl").read_text().splitlines()
    assert sorted(json.loads(row)["reward"] for row in rows) == [0.0, 1.0, 2.0, 3.0]
    said = complaint(["train", "--resume", recipe.output_dir], capsys)
    assert "was begun with --code or reward_funcs: its rewards are one." in said


def test_a_word_that_is_wrong_on_resuming_is_not_blamed_on_code(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("--max_steps", "1")
    assert main(["train", write(recipe, tmp_path)]) == 0
    capsys.readouterr()
    wrong = [
        ["--feedback.parent_perplexity.tau", "low"],
        ["--schedule.cycle", "{clmm: 1}"],
        ["--feedback.lenght", "{}"],
    ]
    for words in wrong:
        assert "--code" not in complaint(["train", "--resume", recipe.output_dir, *words], capsys)


def test_a_negative_number_is_a_value_in_any_notation(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write(make_recipe(), tmp_path)
    for word in ("-1", "-1e-3", "-.5", "-1_0.5"):
        said = complaint(["train", recipe, "--feedback.repetition.weight", word, "--ppo.epochs", "-0"], capsys)
        assert said.startswith("ppo.epochs = 0 is too small.")
    assert complaint(["train", recipe, "--ppo.lam", "-1e-3"], capsys).startswith("ppo.lam = -0.001 is too small.")


def test_pretrain_takes_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(["pretrain", "pretrain-small", f"--code={own(tmp_path, REWARDS)}"], capsys)
    assert said == "--code: a model from scratch learns by hearing alone. Leave --code out.\n"
    assert "--code" not in shown(["pretrain", "--help"], capsys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "defines none of KINDS, PHASES, REWARDS."),
        ("x = 1\n1 / 0\n", "cannot be run: line 2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "cannot be run: "),
        ("KINDS = {'a': 3}\n", "KINDS['a'] is 3. Give a frozen dataclass derived from bambino.FeedbackConfig."),
        (OWN.replace('"letters"', '"repetition"'), "KINDS has repetition, a kind that bambino has."),
        ("REWARDS = [3]\n", "3 is no function."),
        ("KINDS = [3]\n", "KINDS is [3]. It must be a dict with a name for each."),
        ("PHASES = [3]\n", "PHASES is [3]. It must be a dict with a name for each."),
        ("REWARDS = 3\n", "REWARDS is 3. It must be a list of functions."),
        ("PHASES = {'ppo': print}\n", "PHASES has ppo, a phase that bambino has. Choose another name."),
        (OWN.replace("def make", "def made"), "LettersConfig has no make(self, parent)."),
        (OWN.replace(": float", ": complex | None"), "a recipe cannot give LettersConfig.per_word."),
        (OWN.replace(": float", ": 'Path'"), "the types of its fields cannot be read: name 'Path' is not defined"),
    ],
)
def test_code_that_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    code = own(tmp_path, text)
    found = complaint(["train", "paper", "--code", code], capsys)
    assert found.startswith(f"--code {code}")
    assert said in found


def test_code_runs_once_a_command(make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = own(tmp_path, OWN + "print('here')\n")
    assert main(["train", write(make_recipe("--max_steps", "1"), tmp_path), "--code", code]) == 0
    assert capsys.readouterr().out.count("here\n") == 1


def test_code_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(["train", "--code", "/no/own.py"], capsys)
    assert said == "--code /no/own.py: there is no such file. Give a Python file.\n"


def test_a_recipe_cannot_name_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("code: own.py\n")
    assert complaint(["train", str(path)], capsys).startswith("There is no setting code.")


# --------------------------------------------------------------------------------------------------------- recipes, env


def test_recipes_lists_names_and_prints_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(shipped())
    assert main(["recipes", "paper"]) == 0
    assert capsys.readouterr().out == shipped()["paper"]
    assert complaint(["recipes", "papr"], capsys) == "No recipe papr is shipped. Did you mean paper?\n"


def test_train_opens_a_recipe_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "baby.model is not given." in complaint(["train", "real-small", "--text.sources", "[a.txt]"], capsys)
    said = complaint(["train", "real-smal"], capsys)
    assert said.startswith("There is no recipe at real-smal. Did you mean real-small?")


def test_env_says_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(["env"], capsys)
    for name in ("bambino", "python", "platform", "device", "threads", "torch", "transformers", "pydantic"):
        assert name in text
    assert re.search(r"[1-9][\d,.]* GFLOP/s", text)


@pytest.mark.slow
def test_the_wheel_holds_the_recipes(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"bambino/recipes/{name}.yaml" for name in shipped()} <= set(names)
    assert "bambino/py.typed" in names

    # somewhere else, with nothing of the source tree but what the wheel holds
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    run = "from bambino.cli.main import main; import bambino, sys; print(bambino.__file__); main(sys.argv[1:])"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    ran = subprocess.run(
        [sys.executable, "-c", run, "recipes", "real-small"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith(str(tmp_path / "installed"))
    assert "max_steps: 324" in ran.stdout
