"""`bambino evaluate`: what a model can do in both languages, and what it forgot."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bambino.cli.console import DONE, Command, Parser, claim, quieten_libraries
from bambino.cli.settings import HOW_TO_WRITE, add_section, parse
from bambino.errors import PlanError
from bambino.evaluation.plan import BABYLM, Plan
from bambino.recipe.file import read_settings
from bambino.recipe.names import Names

if TYPE_CHECKING:
    from rich.console import Console

    from bambino.analysis.results import Results
    from bambino.evaluation.speech.speech import Spoken
    from bambino.evaluation.suite import Evaluation
    from bambino.measures import TaskResult

ABOUT = """Measure a model: a folder, a hub name, or a run directory (then its curves, parent and recipe are used too).
Results go to OUTPUT_DIR/results.json, scores by item to items.json, what the baby said to speech.json; what is there
before the end, to OUTPUT_DIR/unfinished: an evaluation that was interrupted goes on with --resume."""
EXAMPLES = """examples:
  bambino evaluate path/to/model --data tests --output_dir results/baby
  bambino evaluate runs/first --data tests --l1_text '[en.txt]' --l2_text '[it.txt]' --untrained results/baby
  bambino evaluate path/to/model --data tests --output_dir results/baby --resume
  bambino evaluate runs/first --suite babylm --data evaluation_data --revisions all --output_dir results
"""
OUTPUT_DIR = "where results go (default: of a run directory, RUN/evaluation)"
NAMES = Names.of(Plan, command="bambino evaluate", beside=("output_dir", "resume", "help"))
RESUME = "go on with an evaluation that was interrupted: tests that it had measured are not measured again"


def _read(words: list[str]) -> Namespace:
    wants_help = any(word in ("-h", "--help") for word in words)  # the files are read only when they are shown
    usage = "bambino evaluate MODEL [--OPTION VALUE ...]"
    epilog = f"{_task_files()}\n\n{EXAMPLES.rstrip()}" if wants_help else ""
    parser = Parser("bambino evaluate", f"{ABOUT}\n\n{HOW_TO_WRITE}", epilog, usage)
    parser.add_argument("model", metavar="MODEL", help="a causal LM (a folder or a hub name), or a run directory")
    parser.add_argument("--output_dir", metavar="FOLDER", help=OUTPUT_DIR)
    parser.add_argument("--resume", action="store_true", help=RESUME)
    add_section(parser.add_argument_group("what is measured, on what"), Plan)
    return parse(parser, words, NAMES)


def _run(given: Namespace) -> int:
    plan = read_settings(Plan, given.settings, NAMES)
    output_dir = _output_dir(given, plan.revision)

    from bambino.evaluation.suite import Evaluation
    from bambino.report.screen import Screen

    quieten_libraries()
    console = Screen()
    if plan.suite == BABYLM:
        return _submit(given, plan, output_dir, console)
    evaluation = Evaluation(given.model, plan)
    claim(output_dir, "--output_dir")
    (output_dir / "curves.json").unlink(missing_ok=True)  # of an earlier evaluation
    earlier = _evaluate_earlier(evaluation, output_dir, console, given.resume) if plan.checkpoints else {}
    results = _evaluate(evaluation, None, output_dir, console, given.resume)
    if plan.checkpoints:
        _show_curves(given.model, earlier | {evaluation.subject.steps: results}, output_dir, console)
    _show(results, console)
    console.print(f"All scores: {output_dir / 'results.json'}", soft_wrap=True)
    return DONE


def _submit(given: Namespace, plan: Plan, output_dir: Path, console: Console) -> int:
    """The suite `babylm`: files for the collator, at every revision that is wanted."""
    from bambino.evaluation.babylm.submission import Submission

    submission = Submission(given.model, plan)
    claim(output_dir, "--output_dir")

    def say(revision: str, result: TaskResult) -> None:
        console.print(f"  {revision} {result.main.name} {result.main.value:.3f}")

    _show(submission.write(output_dir, given.resume, say), console)
    console.print(f"For the collator: {output_dir / submission.name}", soft_wrap=True)
    return DONE


def _evaluate_earlier(evaluation: Evaluation, output_dir: Path, console: Console, resume: bool) -> dict[int, Results]:
    """Results at every age before the trained model; gains are over those at age 0 where no others were given."""
    by_age = {}
    for age in sorted(evaluation.subject.earlier):
        console.print(f"After {age:,} steps:")
        by_age[age] = _evaluate(evaluation, age, output_dir / f"step-{age:07d}", console, resume)
        if age == 0:
            evaluation.untrained = evaluation.untrained or by_age[age].tasks
    return by_age


def _evaluate(evaluation: Evaluation, age: int | None, folder: Path, console: Console, resume: bool) -> Results:
    """Measure and save; results so far are kept in `unfinished` until all are there."""
    unfinished = folder / "unfinished"
    if unfinished.exists() and not resume:
        console.print(f"{unfinished} is replaced (--resume goes on from it).", soft_wrap=True)
        shutil.rmtree(unfinished)

    def keep(result: TaskResult, so_far: Results) -> None:
        console.print(f"  {result.main.name} {result.main.value:.3f}")
        so_far.save(unfinished)

    earlier = (_results_in(unfinished), _results_in(folder)) if resume else (None, None)
    try:
        evaluated = evaluation.run(age, keep, *earlier)
    except PlanError:
        raise
    except BaseException:
        if unfinished.exists():
            kept = f"What was measured until then: {unfinished / 'results.json'}"
            console.print(f"{kept}\nThe same command with --resume goes on from it.", soft_wrap=True)
        raise
    _save_spoken(evaluated.spoken, folder)
    evaluated.results.save(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return evaluated.results


def _results_in(folder: Path) -> Results | None:
    """The results of a folder, where it has any."""
    from bambino.analysis.results import load_results

    return load_results(folder) if (folder / "results.json").is_file() else None


def _show_curves(model: str, by_age: dict[int, Results], output_dir: Path, console: Console) -> None:
    from bambino.analysis.over_checkpoints import save_curves
    from bambino.report.tables import curves_table
    from bambino.runs.record import read_run

    save_curves(by_age, read_run(model).words_heard, output_dir)
    console.print(curves_table(by_age, model))


def _show(results: Results, console: Console) -> None:
    from bambino.report.tables import classification_table, remarks, results_table

    console.print(results_table(results))
    if (table := classification_table(results)) is not None:
        console.print(table)
    for remark in remarks(results):
        console.print(remark)


def _task_files() -> str:
    """Under which file names the data of classification tasks are looked for."""
    from bambino.evaluation.zero_shot.task_definitions import load_task, task_names

    files = (f"  {load_task(name).local.source:<28}{name}" for name in task_names())
    return "\nFiles in --data that are read as classification tasks:\n" + "\n".join(files)


def _output_dir(given: Namespace, revision: str | None) -> Path:
    """Where results go: as given, or into the run directory that is evaluated."""
    from bambino.runs.directory import holds_run

    if given.output_dir is not None:
        return Path(given.output_dir).expanduser()
    if not holds_run(given.model):
        raise PlanError("Say where the results shall go: --output_dir results/NAME")
    return Path(given.model) / "evaluation" / (revision or "")


def _save_spoken(spoken: Spoken | None, folder: Path) -> None:
    """What was said, for a reader; what was said in an earlier evaluation goes."""
    if spoken is None:
        (folder / "speech.json").unlink(missing_ok=True)
        return
    content = {"examples": [asdict(example) for example in spoken.examples], "novel_words": spoken.novel}
    from bambino.files import finite, write_atomically

    write_atomically(folder / "speech.json", json.dumps(finite(content), ensure_ascii=False, indent=1) + "\n")


EVALUATE = Command("evaluate", "what a model can do in both languages, and what it forgot", _read, _run)
