"""Whatever goes wrong on the command line is one message with the way out; --debug shows the rest."""

from __future__ import annotations

import errno
import os
import pickle
import re
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

import bambino.errors
from bambino import Recipe, RecipeError, TrainingError
from bambino.cli import env
from bambino.cli.main import main
from bambino.stopping import Stopped

Make = Callable[..., Recipe]


def said(words: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that fails says: no traceback."""
    assert main(words) == status
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.startswith("bambino: ")
    return err.removeprefix("bambino: ")


def blocked(tmp_path: Path) -> str:
    """A folder that nobody can make, not even root: a file stands in its way."""
    (tmp_path / "file").write_text("")
    return str(tmp_path / "file" / "out")


# ------------------------------------------------------------------------------------------------- where results go


@pytest.mark.parametrize(
    "words",
    [
        ["demo", "--output_dir"],
        ["nursery", "--lang", "it", "--lines", "3", "--out"],
        ["nursery", "--lang", "it", "--pairs", "1", "--out"],
        ["write", "nowhere", "--lines", "3", "--out"],
        ["lm-eval-tasks", "--data", "nowhere", "--output_dir"],
        ["interpolate", "one", "other", "--output_dir"],
        ["interpolate", "one", "other", "--save", "0.5"],
        ["audit", "--to"],
        ["evaluate", "{baby}", "--data", "{data}", "--output_dir"],
        [
            "train",
            "--output_dir",
            "{out}",
            "--baby.model",
            "{baby}",
            "--parent.model",
            "{baby}",
            "--parent.must_know_l2=false",
            "--text.max_length=20",
            "--text.sources",
        ],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(
    words: list[str], tmp_path: Path, baby_folder: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = blocked(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "it.txt").write_text("il gatto\n")
    (tmp_path / "data" / "t.jsonl").write_text('{"text": "il gatto dorme"}\n')
    places = {"{baby}": str(baby_folder), "{data}": str(tmp_path / "data"), "{out}": out}
    last = f"[{text_file}]" if words[0] == "train" else out
    message = said([*(places.get(word, word) for word in words), last], 2, capsys)
    assert str(tmp_path / "file") in message
    assert re.search(r"Not a directory|File exists", message)
    assert re.search(r"Give another folder|Use another", message)


def test_an_experiment_cannot_be_kept_below_a_file(
    tmp_path: Path, baby_folder: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        f"""
recipe: real-small
question: "?"
hypotheses: ["!"]
primary: bits_per_byte/it
settings: {{baby.model: {baby_folder}, parent.model: {baby_folder}, text.sources: [{text_file}],
  evaluation.eval_steps: 2, evaluation.texts: {{it: [{text_file}]}}}}
conditions: {{one: {{}}}}
seeds: {{test: [1]}}
"""
    )
    assert "cannot be written to" in said(["experiment", str(path), "--out", blocked(tmp_path)], 2, capsys)


def test_a_result_is_whole_or_not_there(tmp_path: Path) -> None:
    """The system allows no file as long as this: as on a full disk."""
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    run = "from bambino.cli.main import main; sys.exit(main())"
    words = ["nursery", "--lang", "it", "--lines", "1000", "--out", str(tmp_path / "it.txt")]
    done = subprocess.run([sys.executable, "-c", limit + run, *words], capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert re.fullmatch(r"bambino: .* cannot be (used|written): File too large\..*\n", done.stderr)
    assert not (tmp_path / "it.txt").exists()


# ------------------------------------------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["train", "x" * 5000 + ".yaml"], "File name too long"),
        (["compare", "x" * 300, "y"], "File name too long"),
        (["meter", "x" * 300], "File name too long"),
        (["train", "/"], "directory"),
        (["train", "--resume", "x" * 300], "File name too long"),
        (["write", "~nobody-of-this-name/model", "--lines", "1", "--out", "/dev/null/x"], "/dev/null"),
    ],
    ids=lambda words: " ".join(words)[:20] if isinstance(words, list) else "",
)
def test_a_path_that_the_system_refuses_is_named(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in said(words, 2, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text("")
    (tmp_path / "r.yaml").chmod(0)
    assert "Permission denied" in said(["train", str(tmp_path / "r.yaml")], 2, capsys)


# ------------------------------------------------------------------------------------------------- what nobody foresaw


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a command that raises it."""

    def run(_: Namespace) -> int:
        raise error

    monkeypatch.setattr("bambino.cli.main.COMMANDS", [type(env.ENV)("env", "", env.ENV.read, run)])
    return ["env"]


def test_a_bug_says_so_and_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = said(raising(TypeError("an \x1b thing"), monkeypatch), 1, capsys)
    found = re.fullmatch(
        r"bambino has a bug: TypeError: an \\x1b thing\. The traceback is in (\S+)\. "
        r"Run again with --debug and report what is shown, with `bambino env`\.\n",
        message,
    )
    assert found
    assert "raise error\nTypeError: an \x1b thing\n" in Path(found[1]).read_text()
    Path(found[1]).unlink()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (TypeError("no"), 1, "bambino has a bug: TypeError: no. Run again"),
        (RecipeError("a", "a is wrong."), 2, "a is wrong.\n"),
        (TrainingError("Stopped.", {}), 1, "Stopped.\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/d/x"),
            1,
            "/d/x cannot be used: No space left on device. Make",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/d/x"), 2, "/d/x cannot be used: Permission denied. Use"),
        (MemoryError("Unable to allocate 8 GiB"), 1, "There is too little memory (MemoryError: Unable"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_debug_shows_the_traceback_before_the_message(
    error: BaseException, status: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = raising(error, monkeypatch)
    for given in (["--debug", *words], [*words, "--debug"]):
        assert main(given) == status
        trace, _, end = capsys.readouterr().err.partition("bambino: ")
        assert trace.startswith("Traceback (most recent call last):\n")
        assert end.startswith(message)


def test_an_error_in_code_of_ones_own_is_told_with_its_line(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tmp_path / "mine.py"
    code.write_text("def one(prompts, completions, **_):\n    return 1 / 0\n\nREWARDS = [one]\n")
    path = tmp_path / "r.yaml"
    from bambino.recipe.file import dump_recipe

    path.write_text(dump_recipe(make_recipe("--parent.model", "null")))
    message = said(["train", str(path), "--code", str(code)], 1, capsys)
    assert message.startswith(f"--code {code}, line 2: ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    "error",
    [e for e in vars(bambino.errors).values() if isinstance(e, type) and issubclass(e, bambino.errors.BambinoError)],
)
def test_an_error_reaches_another_process_as_it_is(error: type[bambino.errors.BambinoError]) -> None:
    of_keys = ("a.b", "a.b is wrong.", "r.yaml, line 3")
    arguments = {"RecipeError": of_keys, "YamlError": of_keys, "TrainingError": ("Stopped.", {"loss": 1.0})}
    raised = error(*arguments.get(error.__name__, ("wrong",)))
    again = pickle.loads(pickle.dumps(raised))
    assert (type(again), str(again), vars(again)) == (type(raised), str(raised), vars(raised))


# -------------------------------------------------------------------------------------------------------------- streams


def shell(command: str) -> tuple[str, str]:
    """stdout, stderr; `bambino` is this one."""
    prelude = f'bambino() {{ "{sys.executable}" -W error -m bambino "$@"; }}; '
    done = subprocess.run(["bash", "-c", prelude + command], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


def test_an_interrupt_has_the_status_of_its_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(raising(Stopped(signal.SIGTERM), monkeypatch)) == 143
    assert main(raising(KeyboardInterrupt(), monkeypatch)) == 130
    assert capsys.readouterr().err == "Interrupted.\n" * 2


def test_standard_output_that_is_closed_full_or_not_read_gives_no_traceback() -> None:
    assert shell("bambino evaluate --help | head -1") == ("usage: bambino evaluate MODEL [--OPTION VALUE ...]\n", "")
    assert shell("bambino recipes >&-; echo $?") == ("0\n", "")
    out, err = shell("bambino recipes > /dev/full; echo $?")
    assert (out, err.splitlines()[1:]) == ("1\n", [])
    assert "No space left on device" in err
    assert shell("PYTHONIOENCODING=ascii bambino recipes best | grep -c .")[1] == ""
