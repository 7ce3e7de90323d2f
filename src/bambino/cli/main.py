"""The command line: `bambino demo`, `train`, `pretrain`, `evaluate`, `compare`, `nursery`."""

from __future__ import annotations

import argparse
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from bambino.errors import RecipeError
from bambino.recipe.file import build_parser, load_recipe
from bambino.recipe.settings import Recipe

STOPPED = 130
"""Exit status of a run that was stopped before its last step."""


USAGE = """usage: bambino demo [--size NAME] [--seeds N] [--language it|invented]
       bambino train [RECIPE.yaml] [--SETTING VALUE ...]
       bambino train --resume RUN_DIRECTORY
       bambino pretrain [RECIPE.yaml] [--SETTING VALUE ...]
       bambino evaluate MODEL --data FOLDER [--OPTION VALUE ...]
       bambino compare RESULTS RESULTS
       bambino lm-eval-tasks --data FOLDER --output_dir FOLDER
       bambino nursery --lang it --lines 100000 --out it.txt
       bambino COMMAND --help        all settings
       bambino --version

bambino raises bilingual baby language models: a baby pretrained on a first language
learns a second one by hearing it (clm) and by a parent's feedback (ppo).

  demo      the whole idea in four minutes, offline, on a small English-Italian world
  train     a baby and a parent of yours
  pretrain  a model from scratch: a baby's first language, or a parent
  evaluate  what a model can do in both languages, and what it forgot
  compare   two models on the same items, or two conditions over seeds
  lm-eval-tasks   the same tests for lm-evaluation-harness
  nursery   text and minimal pairs of the small world

  bambino train recipes/real-small.yaml --baby.model PATH --parent.model PATH --text.sources '[it.txt]'
"""


TRAIN_USAGE = """usage: bambino train [RECIPE.yaml] [--SETTING VALUE ...]
       bambino train --resume RUN_DIRECTORY

Raise a baby as the recipe says; settings given here win over the recipe's.
A run that was stopped goes on with --resume, and ends as if it had never stopped.
"""


PRETRAIN_USAGE = """usage: bambino pretrain [RECIPE.yaml] [--SETTING VALUE ...]
       bambino pretrain --resume RUN_DIRECTORY

Raise a model from scratch on text, its tokenizer included: a baby's first language, or a parent.
The shape settings say how large; the rest is as in bambino train, with schedule.kind clm.

  bambino pretrain recipes/pretrain-small.yaml --text.sources '[en.txt]' --output_dir runs/english-baby
"""


USAGES = {"train": TRAIN_USAGE, "pretrain": PRETRAIN_USAGE}


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 done, 1 the run failed, 2 something given was wrong, 130 interrupted
        (a run: before it began).
    """
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if words[0] == "--version":
        print(version("bambino-lm"))
        return 0
    command, rest = words[0], words[1:]
    try:
        if command == "nursery":
            return _nursery(rest)
        if command == "demo":
            return _demo(rest)
        if command in ("evaluate", "compare", "lm-eval-tasks"):
            return _evaluate(command, rest)
        if command in USAGES:
            return _raise_model(command, rest)
    except KeyboardInterrupt:
        print("Interrupted before the run began.", file=sys.stderr)
        return 130
    return _complain(f"There is no command {command!r}. Try: bambino --help")


def _raise_model(command: str, words: list[str]) -> int:
    """`train` and `pretrain`."""
    if any(word in ("-h", "--help") for word in words):
        print(USAGES[command])
        print(build_parser().format_help().split("\n\n", 1)[1], end="")
        return 0
    try:
        recipe, resume = _recipe_of(command, words)
    except RecipeError as error:
        return _complain(str(error))

    # These take seconds to import, so a wrong recipe is answered before them.
    from rich.console import Console

    from bambino.cli.display import display_for
    from bambino.errors import CheckpointError, ModelError, RunDirectoryError, TextError, TrainingError
    from bambino.models.loading import is_on_hub
    from bambino.training.pretrain import newborn_trainer
    from bambino.training.trainer import BambinoTrainer

    _quieten_libraries()
    console = Console()
    display = display_for(recipe, console)
    for name in (recipe.baby.model, recipe.parent.model):
        if name is not None and is_on_hub(name):
            print(f"bambino: no folder {name} here; asking the Hugging Face hub and its cache.", file=sys.stderr)
    try:
        is_newborn = command == "pretrain"
        trainer = newborn_trainer(recipe, on_row=display) if is_newborn else BambinoTrainer(args=recipe, on_row=display)
        _stop_on_signals(trainer)
        with display:
            trainer.train(resume_from_checkpoint=resume)
    except (RecipeError, TextError, ModelError, RunDirectoryError, CheckpointError) as error:
        return _complain(str(error))
    except TrainingError as error:
        _complain(str(error))
        return 1
    if trainer.step < recipe.max_steps:
        print(f"Stopped after step {trainer.step}. Go on with: bambino {command} --resume {recipe.output_dir}")
        return STOPPED
    print(f"Done: {recipe.output_dir}/model opens with AutoModelForCausalLM.from_pretrained.")
    return 0


def _nursery(words: list[str]) -> int:
    from bambino.nursery import LANGUAGES, NurseryError, write_pairs, write_text

    parser = argparse.ArgumentParser(
        "bambino nursery",
        description="Write text or minimal pairs of the nursery, a small world told in some languages.",
    )
    parser.add_argument("--lang", required=True, metavar="NAME", help="the language: " + LANGUAGES)
    parser.add_argument("--lines", type=int, help="write so many sentences, one a line")
    parser.add_argument("--pairs", type=int, help="write so many doublets (two minimal pairs each) per phenomenon")
    parser.add_argument("--out", type=Path, required=True, help="the file to write (.txt for lines, .jsonl for pairs)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other sentences (default: 1)")
    try:
        given = parser.parse_args(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    count = given.pairs if given.lines is None else given.lines
    if (given.lines is None) == (given.pairs is None) or count < 1:
        return _complain("Give either --lines N or --pairs N, N at least 1.")

    write = write_pairs if given.lines is None else write_text
    try:
        write(given.out, given.lang, count, given.seed)
    except (NurseryError, OSError) as error:
        return _complain(str(error))
    print(f"Wrote {given.out}")
    return 0


def _demo(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "bambino demo", description="The whole idea on a small world: offline, about four minutes."
    )
    parser.add_argument(
        "--size",
        choices=("small", "medium", "large"),
        help="small takes about a minute; numbers of different sizes do not compare (default: the largest that this "
        "machine does in under four minutes)",
    )
    parser.add_argument(
        "--language",
        default="it",
        help="what the parent speaks and the baby learns: it, invented, or another of the nursery's (default: it)",
    )
    parser.add_argument("--seeds", type=int, default=1, help="run the conditions with so many seeds (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed, and that of the base models (default: 1)")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/demo"), help="(default: runs/demo)")
    try:
        given = parser.parse_args(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    if given.seeds < 1 or given.seed < 0:
        return _complain("--seeds must be at least 1 and --seed at least 0.")

    from bambino.demo import start_demo
    from bambino.errors import DemoError

    try:
        start_demo(given.output_dir, given.size, given.language, given.seed, given.seeds)
    except DemoError as error:
        return _complain(str(error))
    return 0


def _evaluate(command: str, words: list[str]) -> int:
    """`evaluate`, `compare` and `lm-eval-tasks`."""
    from bambino.cli import evaluate as cli_evaluate

    run = {
        "evaluate": cli_evaluate.evaluate_command,
        "compare": cli_evaluate.compare_command,
        "lm-eval-tasks": cli_evaluate.lm_eval_tasks_command,
    }[command]
    if not words or any(word in ("-h", "--help") for word in words):
        return run(["--help"])

    from bambino.errors import EvaluationError, ModelError, TextError

    _quieten_libraries()
    try:
        return run(words)
    except (EvaluationError, ModelError, RecipeError, TextError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _recipe_of(command: str, words: list[str]) -> tuple[Recipe, bool]:
    """The recipe that the words ask for, and whether a run is to be resumed."""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--resume=") else [word])]
    if "--resume" in words:
        at = words.index("--resume")
        if len(words) == at + 1 or not words[at + 1]:
            raise RecipeError("", f"--resume needs the run's directory: bambino {command} --resume runs/bambino")
        directory, rest = words[at + 1], words[:at] + words[at + 2 :]
        recipe_path = Path(directory) / "recipe.yaml"
        if not recipe_path.is_file():
            raise RecipeError("", f"{directory} holds no run to resume (no recipe.yaml in it).")
        return load_recipe(recipe_path, [*rest, "--output_dir", directory]), True
    if words and not words[0].startswith("-"):
        return load_recipe(words[0], words[1:]), False
    return load_recipe(None, words), False


def _quieten_libraries() -> None:
    """No progress bars or notices of other libraries between our lines."""
    import huggingface_hub.utils
    from transformers.utils import logging

    huggingface_hub.utils.logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _stop_on_signals(trainer: object) -> None:
    """First Ctrl-C or SIGTERM: save a checkpoint after this step and stop. Second: stop at once."""

    def stop(number: int, _: FrameType | None) -> None:
        if trainer.stop_requested:  # type: ignore[attr-defined]
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        print("bambino: finishing this step, then saving. Again to stop at once.", file=sys.stderr)
        trainer.stop_requested = True  # type: ignore[attr-defined]

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _complain(problem: str) -> int:
    print(f"bambino: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
