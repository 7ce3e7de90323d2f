"""The command line's `bambino evaluate`, `compare` and `lm-eval-tasks`."""

from __future__ import annotations

import argparse
import difflib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from bambino.errors import PlanError
from bambino.evaluation.plan import CURVES, Plan

if TYPE_CHECKING:
    from rich.console import Console

    from bambino.analysis.results import Results
    from bambino.evaluation.speech.speech import Spoken
    from bambino.evaluation.suite import Evaluation
    from bambino.measures import TaskResult

EVALUATE_USAGE = """usage: bambino evaluate MODEL [--OPTION VALUE ...]

Measure a model: a folder, a hub name, or a run directory (whose curves, parent and recipe are then used too).
Results go to OUTPUT_DIR/results.json, scores by item to items.json, what the baby said to speech.json; what is there
before the end, to OUTPUT_DIR/unfinished.

  bambino evaluate path/to/model --data tests --output_dir results/baby
  bambino evaluate runs/first --data tests --l1_text '[en.txt]' --l2_text '[it.txt]' --untrained results/baby
"""


COMPARE_USAGE = """usage: bambino compare ONE OTHER
       bambino compare --ones ONE_1 ONE_2 ... --others OTHER_1 OTHER_2 ...

Compare results of bambino evaluate: of two models item by item, or of two conditions over seeds (in order of seeds).
Run directories stand for RUN/evaluation, and are also compared by what they lost of L1 at equal gains in L2.
"""


def evaluate_command(words: list[str]) -> int:
    """`bambino evaluate`.

    Raises:
        PlanError and whatever evaluation refuses.
    """
    parser = _evaluate_parser()
    if any(word in ("-h", "--help") for word in words):
        print(EVALUATE_USAGE)
        print(parser.format_help().split("\n\n", 1)[1], end="")
        print(_task_files())
        return 0
    if words[0].startswith("-"):
        raise PlanError("Name the model first: bambino evaluate MODEL --data FOLDER")
    model, plan, output_dir = _asked_for(words[0], words[1:], parser)

    from rich.console import Console

    from bambino.evaluation.suite import Evaluation

    console = Console()
    evaluation = Evaluation(model, plan)
    _claim(output_dir)
    earlier = _evaluate_earlier(evaluation, output_dir, console) if plan.checkpoints else {}
    results = _evaluate(evaluation, None, output_dir, console)
    if plan.checkpoints:
        _show_curves(model, earlier | {evaluation.subject.steps: results}, output_dir, console)
    _show(results, console)
    console.print(f"All scores: {output_dir / 'results.json'}", highlight=False, soft_wrap=True)
    return 0


def _evaluate_earlier(evaluation: Evaluation, output_dir: Path, console: Console) -> dict[int, Results]:
    """Results at every age before the trained model; gains are over those at age 0 where no others were given."""
    by_age = {}
    for age in sorted(evaluation.subject.earlier):
        console.print(f"After {age:,} steps:", highlight=False)
        by_age[age] = _evaluate(evaluation, age, output_dir / f"step-{age:07d}", console)
        if age == 0:
            evaluation.untrained = evaluation.untrained or by_age[age].tasks
    return by_age


def _evaluate(evaluation: Evaluation, age: int | None, folder: Path, console: Console) -> Results:
    """Measure and save; results so far are kept in `unfinished` until all are there."""
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)

    def keep(result: TaskResult, so_far: Results) -> None:
        console.print(f"  {result.main.name} {result.main.value:.3f}", highlight=False)
        so_far.save(unfinished)

    try:
        evaluated = evaluation.run(age, keep)
    except BaseException:
        if unfinished.exists():
            kept = f"What was measured until then: {unfinished / 'results.json'}"
            console.print(kept, highlight=False, soft_wrap=True)
        raise
    evaluated.results.save(folder)
    _save_spoken(evaluated.spoken, folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return evaluated.results


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
        console.print(remark, highlight=False, markup=False)


def compare_command(words: list[str]) -> int:
    """`bambino compare`.

    Raises:
        ResultsError: results that cannot be read or compared.
    """
    parser = argparse.ArgumentParser("bambino compare", usage=COMPARE_USAGE.removeprefix("usage: "))
    parser.add_argument("results", nargs="*", help="two results or run directories, of one model each")
    parser.add_argument("--ones", nargs="+", default=[], help="results or runs of a condition, a seed each")
    parser.add_argument("--others", nargs="+", default=[], help="those of the other condition, in the same order")
    parser.add_argument(
        "--curves", nargs=2, default=CURVES, metavar=("L1", "L2"), help="of runs: the measures of L1 and L2"
    )
    try:
        given = parser.parse_args(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    if len(given.results) != (0 if given.ones or given.others else 2):
        raise PlanError("Give two results, or --ones and --others. `bambino compare --help` shows both.")

    from rich.console import Console

    from bambino.runs.directory import holds_run

    sides = (given.results[:1], given.results[1:]) if given.results else (given.ones, given.others)
    names = [", ".join(Path(path).name for path in side) for side in sides]
    runs = all(holds_run(path) for side in sides for path in side)
    console = Console()
    if runs:
        _compare_runs(console, sides, names, given.curves)
    missing = [path for side in sides for path in side if not (Path(path) / "evaluation" / "results.json").is_file()]
    if runs and missing:
        console.print(f"Their results are not compared: bambino evaluate {missing[0]} first.", highlight=False)
    else:
        _compare_results(console, sides, names)
    return 0


def _compare_runs(console: Console, sides: Sequence[list[str]], names: list[str], curves: Sequence[str]) -> None:
    """At equal L2 gain, by the evaluations inside training."""
    from bambino.analysis.curves import curve_of, read_curves
    from bambino.analysis.trade_offs import end_point, front
    from bambino.errors import ResultsError
    from bambino.report.tables import trade_off_table

    ones, others = ([read_curves(path) for path in side] for side in sides)
    if len(ones) != len(others):
        raise ResultsError(f"{len(ones)} runs against {len(others)}: give as many of each, in order of seeds.")
    l1, l2 = curves
    mine, yours = ([(curve_of(found, l1), curve_of(found, l2)) for found in side] for side in (ones, others))
    table, said = trade_off_table(mine, yours, *names)
    console.print(table)
    console.print(said, highlight=False, markup=False)
    best = front([end_point(*run) for run in (*mine, *yours)])
    least = ", ".join(Path([*sides[0], *sides[1]][i]).name for i in best)
    console.print(f"At the end, no other run gains more L2 for less L1 than: {least}", highlight=False)


def _compare_results(console: Console, sides: Sequence[list[str]], names: list[str]) -> None:
    """By main scores: item by item, or over seeds."""
    from bambino.analysis.comparison import compare, compare_over_seeds
    from bambino.analysis.results import load_results
    from bambino.report.tables import comparison_table
    from bambino.runs.directory import holds_run

    ones, others = (
        [load_results(Path(path) / "evaluation" if holds_run(path) else path) for path in side] for side in sides
    )
    if len(ones) == len(others) == 1:
        console.print(comparison_table(compare(ones[0], others[0]), *names))
    else:
        console.print(comparison_table(compare_over_seeds(ones, others), *names))


def lm_eval_tasks_command(words: list[str]) -> int:
    """`bambino lm-eval-tasks`.

    Raises:
        TextError: data that cannot be used.
    """
    about = "Write the tests of a folder as tasks of lm-evaluation-harness, for lm_eval --include_path."
    parser = argparse.ArgumentParser("bambino lm-eval-tasks", description=about)
    parser.add_argument("--data", required=True, help="a folder with tests, as for bambino evaluate")
    parser.add_argument("--output_dir", type=Path, required=True, help="where the YAML files and their data go")
    try:
        given = parser.parse_args(words)
    except SystemExit as stop:
        return int(stop.code or 0)

    from bambino.evaluation.export import export

    names = export(given.data, given.output_dir)
    print(f"Wrote {len(names)} tasks. Run them:\n")
    print("    lm_eval run --model hf --model_args pretrained=MODEL,add_bos_token=True \\")
    print(f"        --include_path {given.output_dir} --tasks {names[0]}")
    return 0


def _task_files() -> str:
    """Under which file names the data of classification tasks are looked for."""
    from bambino.evaluation.zero_shot.task_definitions import load_task, task_names

    files = (f"  {load_task(name).local.source:<28}{name}" for name in task_names())
    return "\nFiles in --data that are read as classification tasks:\n" + "\n".join(files)


def _evaluate_parser() -> jsonargparse.ArgumentParser:
    parser = jsonargparse.ArgumentParser(prog="bambino evaluate", exit_on_error=False)
    parser.add_class_arguments(Plan, None)
    parser.add_argument(
        "--output_dir", type=str, default=None, help="Where results go. Default: RUN/evaluation of a run directory."
    )
    return parser


def _asked_for(model: str, options: list[str], parser: jsonargparse.ArgumentParser) -> tuple[str, Plan, Path]:
    known = {action.dest for action in parser._actions}
    for word in options:
        name = word[2:].split("=")[0]
        if word.startswith("--") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean --{near[0]}?" if near else "`bambino evaluate --help` lists all."
            raise PlanError(f"There is no option --{name}. {hint}")
    try:
        given = vars(parser.parse_args(options))
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise PlanError(_readable(str(error))) from None
    output_dir = given.pop("output_dir")
    if output_dir is None:
        from bambino.runs.directory import holds_run

        if not holds_run(model):
            raise PlanError("Say where the results shall go: --output_dir results/NAME")
        output_dir = str(Path(model) / "evaluation")
    return model, Plan(**given), Path(output_dir).expanduser()


def _readable(problem: str) -> str:
    """jsonargparse's complaint, with the way out for lists."""
    text = re.sub(r"\s+", " ", problem.replace("<class 'str'>", "text")).strip()
    return text + (" Write a list: '[one, another]'" if "List" in text or "list" in text else "")


def _save_spoken(spoken: Spoken | None, folder: Path) -> None:
    """What was said, for a reader; what was said in an earlier evaluation goes."""
    if spoken is None:
        (folder / "speech.json").unlink(missing_ok=True)
        return
    content = {"examples": [asdict(example) for example in spoken.examples], "novel_words": spoken.novel}
    from bambino.files import finite, write_atomically

    write_atomically(folder / "speech.json", json.dumps(finite(content), ensure_ascii=False, indent=1) + "\n")


def _claim(folder: Path) -> None:
    """Make the folder for results, before anything is measured; curves of an earlier evaluation go.

    Raises:
        PlanError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".written").touch()
        (folder / ".written").unlink()
        (folder / "curves.json").unlink(missing_ok=True)
    except OSError as error:
        raise PlanError(
            f"output_dir = {folder} cannot be written to ({error.strerror}). Give another folder."
        ) from None
