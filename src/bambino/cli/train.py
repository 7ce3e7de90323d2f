"""`bambino train` and `bambino pretrain`: a recipe and settings in, a run directory out."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bambino
from bambino.cli.code import Code, code_path, load_code
from bambino.cli.console import DONE, Command, Parser, note, quieten_libraries, say
from bambino.cli.settings import HOW_TO_WRITE, add_recipe, parse
from bambino.errors import RecipeError, UsageError
from bambino.feedback.settings import KINDS
from bambino.phases.kinds import PHASES
from bambino.printable import printable
from bambino.recipe.file import shipped
from bambino.recipe.names import Names
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run, read_manifest
from bambino.runs.record import read_run
from bambino.stopping import Stopped, on_stop, status_of

if TYPE_CHECKING:
    from rich.status import Status

ABOUT = {
    "train": """Raise a baby as a recipe says; settings given here win over the recipe's.
A run that was stopped goes on with --resume, and ends as if it had never stopped.""",
    "pretrain": """Raise a model from scratch on text, its tokenizer included: a baby's first language, or a parent.
The shape settings say how large it is, text.sources on what; it learns by hearing alone: schedule.cycle '{clm: 1}'.
A run that was stopped goes on with --resume, and ends as if it had never stopped.""",
}
EXAMPLES = {
    "train": """examples:
  bambino train real-small --baby.model english-baby --parent.model italian-parent \\
      --text.sources '[italian.txt]' --evaluation.texts '{it: [italian.txt], en: [english.txt]}'
  bambino train real-small --schedule.cycle '{clm: 1}' ...       hears only: the same text, no parent
  bambino train real-small --feedback.repetition.weight 0.5 ...  a second kind of feedback
  bambino train my.yaml --code own.py ...                        kinds, phases or rewards of your own
  bambino train --resume runs/first""",
    "pretrain": """examples:
  bambino pretrain pretrain-small --text.sources '[english.txt]' --output_dir runs/english-baby
  bambino pretrain pretrain-small --text.sources '[italian.txt]' --shape.size 14m --output_dir runs/italian-parent
  bambino pretrain --resume runs/english-baby""",
}
EXIT = """

A signal finishes the step, saves a checkpoint and stops; a second one stops at once. --resume goes on after both.

exit status: 0 done, 1 the run failed, 2 something given was wrong, 128 + the signal's number where one stopped it: 130
Ctrl-C, 143 SIGTERM, 129 SIGHUP (a terminal that was closed), 138 SIGUSR1 (SLURM: --signal=USR1@120)"""
BESIDE = ("resume", "resume-if-begun", "code", "help")
NOTHING_TO_RESUME = "No run was begun, so there is none to resume: give the same command again."


def _make_parser(command: str, words: list[str]) -> Parser:
    forms = "[RECIPE] [--SETTING VALUE ...]", "--resume RUN_DIRECTORY", "RECIPE --resume"
    usage = "\n       ".join(f"bambino {command} {form}" for form in forms)
    parser = Parser(f"bambino {command}", f"{ABOUT[command]}\n\n{HOW_TO_WRITE}", EXAMPLES[command] + EXIT, usage)
    names = ", ".join(shipped())
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help=f"a YAML file, or one that is shipped: {names}")
    resume = parser.add_mutually_exclusive_group()
    go_on = "go on with a run from its last checkpoint, by its own recipe; after RECIPE, with the run in its output_dir"
    resume.add_argument("--resume", nargs="?", const=True, metavar="RUN_DIRECTORY", help=go_on)
    either = "go on with the run in the recipe's output_dir, or begin it: one command, however often a queue runs it"
    resume.add_argument("--resume-if-begun", action="store_true", help=either)
    own = (
        "a Python file of yours that defines KINDS (a dict: name -> settings of a kind of feedback), PHASES (a dict: "
        "name -> maker of a phase) or REWARDS (a list of functions, in place of feedback); give it again with --resume"
    )
    if command == "train":
        parser.add_argument("--code", metavar="FILE.py", help=own)
    else:
        parser.set_defaults(code=None)
    add_recipe(parser, KINDS | load_code(code_path(words)).kinds)
    return parser


def _recipe_of(command: str, given: Namespace, code: Code) -> Recipe:
    """The recipe that the words ask for."""
    own: dict[str, Any] = {"kinds": code.kinds, "phases": list(code.phases)}
    if given.resume is None:
        recipe = bambino.load_recipe(given.recipe, given.settings, **own)
        given.resume = True if given.resume_if_begun and holds_run(recipe.output_dir) else None
        return recipe
    if given.resume is True and given.recipe is not None:
        recipe = bambino.load_recipe(given.recipe, given.settings, **own)
        if not holds_run(recipe.output_dir):
            problem = f"{recipe.output_dir} holds no run to resume. Leave --resume out to begin one."
            raise RecipeError("output_dir", problem)
        return recipe
    if not given.resume or given.resume is True:
        raise UsageError("--resume: expected one argument. Write --resume RUN_DIRECTORY")
    if given.recipe is not None:
        raise UsageError(f"--resume goes on by the run's own recipe. Leave {given.recipe} out.")
    path = Path(given.resume) / "recipe.yaml"
    if not path.is_file():
        raise RecipeError("", f"{given.resume} holds no run to resume (no recipe.yaml in it).")
    manifest = read_manifest(path.parent)
    try:
        if code.rewards is None:
            _check_rewards(bambino.load_recipe(path, **own), manifest, given.resume)
        return bambino.load_recipe(path, [*given.settings, f"--output_dir={given.resume}"], **own)
    except RecipeError as error:
        if given.code is None and _is_of_code(error, manifest):
            hint = "If the run was begun with --code FILE.py, give that again."
            raise RecipeError(error.key, f"{error.problem}\n         {hint}", error.where) from None
        raise


def _is_of_code(error: RecipeError, manifest: dict[str, Any]) -> bool:
    """Whether the run's recipe names a kind or a phase that bambino has not."""
    if not error.where:  # a word given now
        return False
    if error.key.startswith("feedback."):
        return error.key.split(".")[1] not in KINDS
    return error.key.startswith("schedule.") and not set(manifest.get("phases", [])) <= set(PHASES)


@contextmanager
def _where_its_paths_lead(given: Namespace) -> Iterator[None]:
    """A run goes on in the folder where it was begun, if its recipe's relative paths lead to something only there."""
    if not isinstance(given.resume, str) or not holds_run(given.resume):
        yield
        return
    settings, began_in = read_run(given.resume).settings, str(read_manifest(Path(given.resume)).get("began_in", "."))
    paths = [word for key, value in settings.items() if key != "output_dir" for word in _words_in(value)]
    if not any(os.path.exists(os.path.join(began_in, path)) and not os.path.exists(path) for path in paths):
        yield
        return
    note(f"bambino: paths in the run's recipe count from {began_in}, where it was begun.")
    given.resume = str(Path(given.resume).absolute())
    given.code = given.code and str(Path(given.code).absolute())
    with chdir(began_in):
        yield


def _words_in(value: Any) -> list[str]:
    """All texts in a setting."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] if isinstance(value, str) else [word for item in inner for word in _words_in(item)]


def _check_rewards(recipe: Recipe, manifest: dict[str, Any], run: str) -> None:
    """Refuse to go on without the rewards that a run was begun with in place of its recipe's."""
    kinds = [kind for kind, settings in recipe.feedback.items() if settings.for_ in recipe.schedule.phases]
    began = manifest.get("rewards", kinds)
    if began != kinds:
        problem = f"The run in {run} was begun with --code or reward_funcs: its rewards are {', '.join(began)}."
        way_out = "Give the same --code FILE.py with these REWARDS, or the same reward_funcs to BambinoTrainer."
        raise UsageError(f"{problem} {way_out}")


@contextmanager
def _said_once() -> Iterator[None]:
    """Of several processes the first alone says how the run goes; what goes wrong is said by each."""
    if os.environ.get("RANK", "0") == "0":
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _run(command: str, given: Namespace) -> int:
    from bambino.cli.display import display_for
    from bambino.report.screen import Screen

    code = load_code(given.code)
    recipe = _recipe_of(command, given, code)
    own = f" --code {given.code}" if given.code else ""
    go_on = f"Go on with: bambino {command} --resume {recipe.output_dir}{own}"
    display = display_for(recipe, Screen())
    try:
        with Screen(stderr=True).status("loading PyTorch") as loading:
            trainer = _trainer_of(command, recipe, code, display, loading)
    except KeyboardInterrupt as interrupt:
        left = f"The run is as it was. {go_on}" if given.resume else NOTHING_TO_RESUME
        note(f"Stopped while loading. {left}")
        return status_of(interrupt)
    stop = _AfterStep(trainer)
    try:
        with on_stop(stop), display:
            trainer.train(resume_from_checkpoint=given.resume is not None)
    except KeyboardInterrupt as interrupt:
        lost = f"What was done since the last checkpoint is lost. {go_on}"
        note(f"Stopped at once. {lost if holds_run(recipe.output_dir) else NOTHING_TO_RESUME}")
        return status_of(interrupt)
    trainer.processes.leave()
    if not trainer.is_over:
        say(f"Stopped after step {trainer.step}. {go_on}")
        return status_of(Stopped(stop.number))
    said = "Finished before" if given.resume and trainer.state.went_on_at == trainer.step else "Done"
    say(f"{said}: {recipe.output_dir}/model opens with AutoModelForCausalLM.from_pretrained.")
    say(f"The run as a page: bambino report {recipe.output_dir}")
    return DONE


def _trainer_of(command: str, recipe: Recipe, code: Code, display: Any, loading: Status) -> Any:
    """The trainer, with its models loaded. Importing what it needs takes seconds, so it comes after the recipe."""
    from rich.text import Text

    from bambino.evaluation.in_training import measures_of
    from bambino.models.loading import is_on_hub, source_of
    from bambino.training.parts import reports_of
    from bambino.training.pretrain import newborn_trainer
    from bambino.training.trainer import BambinoTrainer

    quieten_libraries()
    models = {} if command == "pretrain" else {"baby": source_of(recipe.baby, "baby")}
    if recipe.parent.model is not None:
        models["parent"] = source_of(recipe.parent, "parent")
    for name in models.values():
        if is_on_hub(name):
            note(f"bambino: no folder {name} here; asking the Hugging Face hub and its cache.")
    loading.update("reading what is measured")
    measures = measures_of(recipe, parent=lambda: trainer.tools.parent)  # what is wrong with them is told at once
    opened = "".join(f"the {role} {name}, " for role, name in models.items())
    loading.update(Text(printable(f"opening {opened}the text")))
    if command == "pretrain":
        trainer = newborn_trainer(recipe, on_row=display)
    else:
        trainer = BambinoTrainer(args=recipe, reward_funcs=code.rewards, phases=code.phases, on_row=display)
    if trainer.processes.count > 1:
        say(f"{trainer.processes.count} processes share the rows of every step.")
    for report in reports_of(trainer.tools):
        say(str(report))
    display.progress.max_steps = trainer.args.max_steps
    trainer.measures.extend(measures)
    return trainer


class _AfterStep:
    """The first signal: a checkpoint is saved after this step, and the run stops. The second: it stops at once."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.number: int = signal.SIGINT
        """Of the first signal."""

    def __call__(self, number: int) -> None:
        if self.trainer.stop_requested:
            raise Stopped(number)
        self.trainer.stop_requested, self.number = True, number
        note("bambino: finishing this step, then saving. Again to stop at once.")


def _command(name: str, about: str) -> Command:
    def read(words: list[str]) -> Namespace:
        if name == "pretrain" and any(word.partition("=")[0] == "--code" for word in words):
            raise UsageError("--code: a model from scratch learns by hearing alone. Leave --code out.")
        names = Names.of(Recipe, KINDS | load_code(code_path(words)).kinds, f"bambino {name}", BESIDE)
        return parse(_make_parser(name, words), words, names)

    def run(given: Namespace) -> int:
        if isinstance(given.resume, str):
            given.resume = os.path.expanduser(given.resume)
        with _said_once(), _where_its_paths_lead(given):
            return _run(name, given)

    return Command(name, about, read, run)


TRAIN = _command("train", "raise a baby of yours with a parent of yours, as a recipe says")
PRETRAIN = _command("pretrain", "raise a model from scratch: a baby's first language, or a parent")
