"""The command line: `bambino train`."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from bambino.config import Recipe, RecipeError
from bambino.recipe_file import build_parser, load_recipe

STOPPED = 130
"""Exit status of a run that was stopped before its last step."""

USAGE = """usage: bambino train [RECIPE.yaml] [--SETTING VALUE ...]
       bambino train --resume RUN_DIRECTORY
       bambino train --help        all settings
       bambino --version

bambino raises bilingual baby language models: a baby pretrained on a first language
learns a second one by hearing it (clm) and by a parent's feedback (ppo).

  bambino train recipes/real-small.yaml --baby.model PATH --parent.model PATH --text.sources '[it.txt]'
"""
TRAIN_USAGE = """usage: bambino train [RECIPE.yaml] [--SETTING VALUE ...]
       bambino train --resume RUN_DIRECTORY

Raise a baby as the recipe says; settings given here win over the recipe's.
A run that was stopped goes on with --resume, and ends as if it had never stopped.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 done, 1 the run failed, 2 something given was wrong, 130 stopped
        before the run began.
    """
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if words[0] == "--version":
        print(version("bambino-lm"))
        return 0
    if words[0] != "train":
        return _complain(f"There is no command {words[0]!r}. Try: bambino train --help")
    if any(word in ("-h", "--help") for word in words[1:]):
        print(TRAIN_USAGE)
        print(build_parser().format_help().split("\n\n", 1)[1], end="")
        return 0
    try:
        return _train(words[1:])
    except KeyboardInterrupt:
        print("Interrupted before the run began.", file=sys.stderr)
        return 130


def _train(words: list[str]) -> int:
    try:
        recipe, resume = _recipe_of(words)
    except RecipeError as error:
        return _complain(str(error))

    # These take seconds to import, so a wrong recipe is answered before them.
    import huggingface_hub.utils
    from rich.console import Console
    from transformers.utils import logging

    from bambino.checkpoint import CheckpointError
    from bambino.display import display_for
    from bambino.models import ModelError
    from bambino.phases import TrainingError
    from bambino.run_directory import RunDirectoryError
    from bambino.text import TextError
    from bambino.trainer import BambinoTrainer

    huggingface_hub.utils.logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    console = Console()
    display = display_for(recipe, console)
    try:
        trainer = BambinoTrainer(args=recipe, on_row=display)
        _stop_on_signals(trainer)
        with display:
            trainer.train(resume_from_checkpoint=resume)
    except (RecipeError, TextError, ModelError, RunDirectoryError, CheckpointError) as error:
        return _complain(str(error))
    except TrainingError as error:
        _complain(str(error))
        return 1
    if trainer.step < recipe.max_steps:
        print(f"Stopped after step {trainer.step}. Go on with: bambino train --resume {recipe.output_dir}")
        return STOPPED
    print(f"Done: {recipe.output_dir}/model opens with AutoModelForCausalLM.from_pretrained.")
    return 0


def _recipe_of(words: list[str]) -> tuple[Recipe, bool]:
    """The recipe that the words ask for, and whether a run is to be resumed."""
    if "--resume" in words:
        at = words.index("--resume")
        if at + 1 == len(words):
            raise RecipeError("", "--resume needs the run's directory: bambino train --resume runs/bambino")
        directory, rest = words[at + 1], words[:at] + words[at + 2 :]
        recipe_path = Path(directory) / "recipe.yaml"
        if not recipe_path.is_file():
            raise RecipeError("", f"{directory} holds no run to resume (no recipe.yaml in it).")
        return load_recipe(recipe_path, [*rest, "--output_dir", directory]), True
    if words and not words[0].startswith("-"):
        return load_recipe(words[0], words[1:]), False
    return load_recipe(None, words), False


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
