"""`bambino interpolate`: models between the first baby and the last, and the front of L2 gained against L1 lost."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bambino.cli.console import DONE, Command, Parser, claim, quieten_libraries, say
from bambino.cli.settings import HOW_TO_WRITE, add_section, parse
from bambino.errors import PlanError, UsageError
from bambino.evaluation.plan import CURVES
from bambino.files import add_files
from bambino.recipe.checks import Settings
from bambino.recipe.file import load_recipe
from bambino.recipe.names import Names
from bambino.recipe.settings import EvaluationConfig, Recipe
from bambino.runs.directory import check_is_free_for_model, holds_run

if TYPE_CHECKING:
    from bambino.speaking.speaker import Speaker

ABOUT = """Measure models on the straight line from a first baby to a last one: what each gains of L2 and loses of L1.
A run directory stands for its trained model; alone, for its first baby and its trained model. Measures are those of the
run's recipe; settings given here win over it. Results go to OUTPUT_DIR/interpolation.json."""
EXAMPLES = """examples:
  bambino interpolate runs/first
  bambino interpolate runs/first --at 0.25,0.5,0.75 --evaluation.split test
  bambino interpolate runs/first --save 0.5 blend
  bambino interpolate english-baby runs/first/model --output_dir results/blends \\
      --evaluation.texts '{it: [italian.txt], en: [english.txt]}'"""
STEPS = tuple(i / 10 for i in range(11))


@dataclass(frozen=True)
class Settable(Settings):
    """What can be set on the command line."""

    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """What is measured."""


NAMES = Names.of(
    Settable, command="bambino interpolate", beside=("at", "save", "curves", "recipe", "output_dir", "help")
)


@dataclass(frozen=True)
class Ends:
    """Between which models."""

    first: str
    last: str
    run: Path | None
    """The run that the last one, or else the first one, comes from."""


def _read(words: list[str]) -> Namespace:
    usage = "bambino interpolate RUN [--OPTION VALUE ...]\n       bambino interpolate FIRST LAST [--OPTION VALUE ...]"
    parser = Parser("bambino interpolate", f"{ABOUT}\n\n{HOW_TO_WRITE}", EXAMPLES, usage)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a run directory; or two: a model or a run each")
    at = "shares of the way from first (0) to last (1), with commas (default: 0,0.1,...,1; none with --save)"
    parser.add_argument("--at", metavar="SHARE,...", help=at)
    save = "write the model at one share to a folder, as AutoModelForCausalLM opens it"
    parser.add_argument("--save", nargs=2, metavar=("SHARE", "FOLDER"), help=save)
    curves = f"the measures of L1 and L2 (default: {' '.join(CURVES)})"
    parser.add_argument("--curves", nargs=2, default=CURVES, metavar=("L1", "L2"), help=curves)
    recipe = "a recipe whose evaluation says what is measured (default: the run's)"
    parser.add_argument("--recipe", metavar="RECIPE", help=recipe)
    output_dir = "where results go (default: of a run directory, RUN/evaluation)"
    parser.add_argument("--output_dir", metavar="FOLDER", help=output_dir)
    add_section(parser.add_argument_group("what is measured"), EvaluationConfig, "evaluation.")
    given = parse(parser, words, NAMES)
    if len(given.models) > 2:
        raise UsageError(f"{given.models[2]!r} is one model too many. Give a run directory, or FIRST and LAST.")
    return given


def _shares(words: str | None, *, saves: bool) -> list[float]:
    """The shares that are measured.

    Raises:
        UsageError: one is no number from 0 to 1.
    """
    if words is None:
        return [] if saves else list(STEPS)
    return [_share(word, "--at") for word in words.split(",")]


def _share(word: str, option: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{option}: {word!r} is no share of the way. Give a number from 0 to 1.")
    return share


def _run(given: Namespace) -> int:
    ends = _ends(given.models)
    share, folder = _save_where(given.save, ends)
    shares = _shares(given.at, saves=folder is not None)
    output_dir = _output_dir(given.output_dir, ends) if shares else None
    recipe = _recipe_of(given, ends)

    from bambino.recipe.model_settings import ModelConfig
    from bambino.speaking.speaker import open_speaker

    quieten_libraries()
    first, last = (open_speaker(ModelConfig(model), "baby") for model in (ends.first, ends.last))
    if output_dir is not None:
        _sweep(first, last, recipe, shares, given.curves, ends.run, output_dir)
    if folder is not None:
        _save(first, last, share, folder)
    return DONE


def _ends(models: list[str]) -> Ends:
    """Which models the words stand for.

    Raises:
        PlanError: a run without a trained model; one model alone; a first baby that is not there any more.
    """
    from bambino.evaluation.subject import first_baby, trained_model

    runs = [model for model in models if holds_run(model)]
    run = Path(runs[-1]).expanduser() if runs else None
    found = [trained_model(model) if model in runs else model for model in models]
    if len(models) == 2:
        return Ends(found[0], found[1], run)
    if run is None:
        raise PlanError(f"{models[0]} is no run directory. Give two models: bambino interpolate FIRST {models[0]}")
    if (first := first_baby(run)) is None:
        way_out = f"Give it: bambino interpolate FIRST {models[0]}"
        raise PlanError(f"The baby that {models[0]} began with is not named in its recipe, or not there. {way_out}")
    return Ends(first, found[0], run)


def _recipe_of(given: Namespace, ends: Ends) -> Recipe:
    """The recipe by which is measured; what the baby says is not."""
    path = given.recipe or (ends.run / "recipe.yaml" if ends.run is not None else None)
    recipe = load_recipe(path, given.settings)
    return replace(recipe, evaluation=replace(recipe.evaluation, utterances=0))


def _output_dir(given: str | None, ends: Ends) -> Path:
    if given is not None:
        return claim(given, "--output_dir")
    if ends.run is None:
        raise PlanError("Say where the results shall go: --output_dir results/NAME")
    return claim(ends.run / "evaluation", "--output_dir")


def _save_where(words: list[str] | None, ends: Ends) -> tuple[float, Path | None]:
    """Which share is saved, and where; no folder: none is."""
    if words is None:
        return 0.0, None
    folder = Path(words[1]).expanduser()
    if ends.run is not None:
        check_is_free_for_model(folder, ends.run)
    if holds_run(folder) or folder.resolve() in (Path(ends.first).resolve(), Path(ends.last).resolve()):
        raise PlanError(f"--save {words[1]} holds a run, or one of the two models. Use another folder.")
    return _share(words[0], "--save"), claim(folder, "--save")


def _sweep(
    first: Speaker,
    last: Speaker,
    recipe: Recipe,
    shares: list[float],
    curves: tuple[str, str],
    run: Path | None,
    output_dir: Path,
) -> None:
    """Measure, show and write."""
    from bambino.evaluation.in_training import measures_of
    from bambino.evaluation.interpolation import sweep
    from bambino.report.screen import Screen
    from bambino.report.tables import sweep_table, table
    from bambino.runs.record import read_run

    console = Screen()

    def show(share: float, name: str, value: float) -> None:
        console.print(f"  {share:g}  {name} {value:.3f}")

    found = sweep(first, last, measures_of(recipe), shares, (curves[0], curves[1]), show)
    if run is not None:
        found = replace(found, run=run.name, seed=read_run(run).settings["seed"])
    console.print(table(sweep_table(found)))
    on_front = ", ".join(f"{share:g}" for share in found.on_front)
    measured = f"(L1: {found.l1}, L2: {found.l2})"
    console.print(f"No other share gains more L2 for less L1 than: {on_front} {measured}")
    console.print(f"All scores: {found.save(output_dir)}", soft_wrap=True)


def _save(first: Speaker, last: Speaker, share: float, folder: Path) -> None:
    from bambino.evaluation.interpolation import between

    speaker = between(first, last, share)

    def write(part: Path) -> None:
        speaker.lm.save_pretrained(part)
        speaker.tokenizer.save_pretrained(part)

    add_files(folder, write)
    say(f"{folder} opens with AutoModelForCausalLM.from_pretrained.")


INTERPOLATE = Command("interpolate", "models between first and last baby: L2 gained against L1 lost", _read, _run)
