"""`bambino experiment`: conditions x seeds, several runs at a time."""

from __future__ import annotations

import shlex
import sys
from argparse import SUPPRESS, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bambino.cli.code import code_path, load_code
from bambino.cli.console import DONE, FAILED, Command, Parser, claim, say
from bambino.cli.settings import Take, parse
from bambino.errors import UsageError
from bambino.feedback.settings import KINDS
from bambino.recipe.names import Names
from bambino.recipe.settings import Recipe
from bambino.stopping import Stopped, status_of

if TYPE_CHECKING:
    from rich.console import Console

    from bambino.experiments.design import ExperimentRun
    from bambino.experiments.runner import OnEnd, Runner

ABOUT = """Run an experiment: conditions x seeds, with trials that choose settings on development seeds before. What is
finished is not done again (by its result file, or its run directory), what was stopped goes on, and a run that fails is
told and passed over. Settings of a recipe may be given for all runs, as for bambino train."""
EXAMPLES = """examples:
  bambino experiment --list
  bambino experiment paper-ablation --recipe paper-tuned --baby.model english-baby --parent.model italian-parent \\
      --text.sources '[italian.txt]' --evaluation.texts '{it: [italian.txt], en: [english.txt]}'
  bambino experiment ratios --recipe nursery/recipe.yaml
  bambino experiment scarcity.yaml --set it=italian.txt --set en=english.txt --results results/scarcity
  bambino experiment scarcity.yaml ... --stage tuning --workers 12 --drop-runs
  bambino experiment scarcity.yaml ... --plan | xargs -d '\\n' -P 4 -I{} sh -c '{}'
  bambino experiment scarcity.yaml ... --ray 10.0.0.1:6379 --gpus-per-run 0.25

exit status: 0 done, 1 a run failed or runs differ that must not, 2 something given was wrong, 128 + the signal's
number where one stopped it: 130 Ctrl-C, 143 SIGTERM"""


def _read(words: list[str]) -> Namespace:
    forms = "EXPERIMENT [--OPTION VALUE ...] [--SETTING VALUE ...]", "[EXPERIMENT] --list"
    usage = "\n       ".join(f"bambino experiment {form}" for form in forms)
    parser = Parser("bambino experiment", ABOUT, EXAMPLES, usage)
    file = "a YAML file (see docs/how-to/experiments.md), or the name of an experiment that is shipped"
    parser.add_argument("experiment", nargs="?", type=Path, metavar="EXPERIMENT", help=file)
    listed = "list the experiments that are shipped, or print EXPERIMENT, to begin one of your own from"
    parser.add_argument("--list", action="store_true", help=f"{listed}, and leave")
    recipe = "what all runs begin from: a YAML file, or a recipe that is shipped (default: the experiment's own)"
    parser.add_argument("--recipe", metavar="RECIPE", help=recipe)
    stands = "what stands for ${NAME} in the file, such as a path on this machine; may be given again and again"
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=stands)
    _add_places(parser)
    stage = "tuning: trials on development seeds; test: the conditions on test seeds, once their settings are chosen"
    parser.add_argument("--stage", choices=("tuning", "test", "all"), default="all", help=f"{stage} (default: all)")
    workers = "runs at a time, each with its share of the CPU's threads (default: by cores and memory; with --ray all)"
    parser.add_argument("--workers", type=int, metavar="N", help=workers)
    out = "where run directories go (default: runs/EXPERIMENT)"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=out)
    results = "where result files lie and go: small, to be committed (default: FOLDER/results of --out)"
    parser.add_argument("--results", type=Path, metavar="FOLDER", help=results)
    drop = "delete each run directory once its result file is written"
    parser.add_argument("--drop-runs", action="store_true", help=drop)
    code = "a Python file of yours with KINDS or PHASES, as of bambino train"
    parser.add_argument("--code", metavar="FILE.py", help=code)
    names = Names.of(Recipe, KINDS | load_code(code_path(words)).kinds, "bambino train")
    for setting in [*names.types, *(name for name in names.sections if name.startswith("feedback"))]:
        parser.add_argument(f"--{setting}", action=Take, dest="settings", help=SUPPRESS)
    given = parse(parser, words, names)
    if given.experiment is None and not given.list:
        raise UsageError("Which experiment? Give a YAML file or a name; `bambino experiment --list` lists the names.")
    for word in given.set:
        if "=" not in word:
            raise UsageError(f"--set {word} is no NAME=VALUE. Write --set {word}=PATH")
    if given.workers is not None and given.workers < 1:
        raise UsageError(f"--workers {given.workers} is too small. Use 1 or more.")
    _check_shares(given)
    return given


def _add_places(parser: Parser) -> None:
    """Where runs run, if not here."""
    where = parser.add_mutually_exclusive_group()
    plan = "write the recipes of what is to do, print a command for each run, and leave; on stderr what is done"
    where.add_argument("--plan", action="store_true", help=plan)
    ray = "run on the Ray cluster at this address; without one on this machine's, else on one started for this call"
    shared = "--out, texts and models must lie on storage that all its nodes see (pip install 'bambino-lm[ray]')"
    where.add_argument("--ray", nargs="?", const="", metavar="ADDRESS", help=f"{ray}; {shared}")
    cpus = "with --ray: CPUs that each run takes, and its threads (default: 1)"
    parser.add_argument("--cpus-per-run", type=int, metavar="N", help=cpus)
    gpus = "with --ray: GPUs that each run takes, such as 0.25 for four on one (default: 0)"
    parser.add_argument("--gpus-per-run", type=float, metavar="SHARE", help=gpus)


def _check_shares(given: Namespace) -> None:
    """What each run takes of a cluster."""
    for option, value in (("--cpus-per-run", given.cpus_per_run), ("--gpus-per-run", given.gpus_per_run)):
        if value is not None and given.ray is None:
            raise UsageError(f"{option} is of a Ray cluster. Give --ray too, or leave it out.")
    if given.cpus_per_run is not None and given.cpus_per_run < 1:
        raise UsageError(f"--cpus-per-run {given.cpus_per_run} is too small. Use 1 or more.")
    if given.gpus_per_run is not None and not 0 <= given.gpus_per_run <= 1:
        raise UsageError(f"--gpus-per-run {given.gpus_per_run:g}: a run uses one GPU. Use 0 to 1.")


def _run(given: Namespace) -> int:
    if given.list:
        return _list(given.experiment)
    from bambino.experiments.loading import load_experiment
    from bambino.experiments.runner import Runner
    from bambino.report.screen import Screen

    code = load_code(given.code)
    variables = dict(word.split("=", 1) for word in given.set)
    own: dict[str, Any] = {"kinds": code.kinds, "phases": list(code.phases)}
    experiment = load_experiment(
        given.experiment, variables, recipe=given.recipe, settings=tuple(given.settings), **own
    )
    out = (given.out or Path("runs") / experiment.name).expanduser()
    results = (given.results or out / "results").expanduser()
    words = () if given.code is None else ("--code", given.code)
    runner = Runner(experiment, out, results, given.stage, given.drop_runs, words)
    console = Screen(soft_wrap=True)
    claim(out, "--out")
    claim(results, "--results")
    if given.plan:
        _plan(runner, Screen(soft_wrap=True, stderr=True))
        return DONE
    work = _work if given.ray is None or not runner.left() else _work_on_ray
    return _conclude(runner, work(runner, given, console), console)


def _list(experiment: Path | None) -> int:
    """Each experiment that is shipped, with its question; or the text of one."""
    from bambino.experiments.source import questions, text_of_experiment

    if experiment is not None:
        say(text_of_experiment(experiment), end="")
        return DONE
    found = questions()
    for name, question in found.items():
        say(f"{name:<{max(map(len, found))}}  {question}")
    return DONE


def _work(runner: Runner, given: Namespace, console: Console) -> int | None:
    """Do what is left, a line a run that ends; gives the signal that stopped it, if one did."""
    from bambino.experiments.runner import available_cores, available_memory, workers_for

    cores, left = available_cores(), runner.left()
    workers = given.workers or (workers_for((run.recipe for run in left), cores, available_memory()) if left else 1)
    threads = max(1, cores // workers)
    console.print(f"{len(left)} runs to do by now, {workers} at a time with {threads} threads each.")
    return runner.work(workers, threads, _teller(runner, console))


def _work_on_ray(runner: Runner, given: Namespace, console: Console) -> int | None:
    """As `_work`, on a Ray cluster."""
    from bambino.experiments.ray import Cluster

    left, cpus = len(runner.left()), given.cpus_per_run or 1
    console.print(f"{left} runs to do by now.")
    cluster = Cluster(given.ray or None, cpus, given.gpus_per_run or 0.0, console.print)
    return runner.work(given.workers or sys.maxsize, cpus, _teller(runner, console), cluster.run_programs)


def _teller(runner: Runner, console: Console) -> OnEnd:
    """Shows each run that ended: its primary metric, or the end of its log."""
    from bambino.experiments.outcomes import value_of

    metric = runner.experiment.primary or runner.experiment.tuning_metric

    def tell(run: ExperimentRun, result: dict[str, Any] | str) -> None:
        if isinstance(result, str):
            console.print(f"{run.name} FAILED. The end of its log:", style="red")
            console.print("\n".join(f"    {line}" for line in result.splitlines()))
        else:
            seconds = result["costs"].get("total/seconds", 0.0)
            console.print(f"{run.name} ({run.stage}): {metric} {value_of(result, metric):.3f}, {seconds:.0f} s")

    return tell


def _conclude(runner: Runner, stopped_by: int | None, console: Console) -> int:
    """The answer, and what is wrong."""
    from bambino.experiments.outcomes import different_batches, different_models

    everything = runner.runs()
    wrong = different_batches(everything, runner.results) + different_models(everything, runner.results)
    _show_choices(runner, console)
    if runner.stage != "tuning":
        _answer(runner, console)
        for name in runner.undecided():
            console.print(f"{name} is not tested: its trials have not all ended, or have all failed.")
    for problem in wrong:
        console.print(f"WRONG: {problem}", style="red")
    for name in sorted(run.name for run in everything if run.fingerprint in runner.failed):
        console.print(f"{name} failed: {runner.out / name}.log")
    if stopped_by is not None:
        console.print("Stopped. Go on with the same command.")
        return status_of(Stopped(stopped_by))
    is_fine = not (runner.failed or wrong or (runner.stage != "tuning" and runner.undecided()))
    return DONE if is_fine else FAILED


def _answer(runner: Runner, console: Console) -> None:
    """What the test seeds say by now: tables, then a sentence a condition; written beside the results."""
    from bambino.analysis.answers import answer
    from bambino.experiments.answering import outcomes_of, write_answer
    from bambino.report.answer import tables_of
    from bambino.report.tables import table

    found = answer(outcomes_of(runner.experiment, runner.test_runs(), runner.results))
    for titled in tables_of(found):
        console.print(f"{titled.title}:")
        console.print(table(titled.rows))
    for one in found.conditions.values():
        console.print("\n  ".join([one.verdict, *one.remarks]))
    write_answer(found, runner.results_folder)
    console.print(f"The answer: {runner.results_folder / 'answer.md'}, .tex, .json")
    console.print(f"A page of it: bambino report {runner.out}")


def _show_choices(runner: Runner, console: Console) -> None:
    for name, chosen in runner.choices.items():
        if chosen:
            console.print(f"chosen for {name}: {' '.join(chosen)}")


def _plan(runner: Runner, notes: Console) -> None:
    """A command for each run that can be begun; on stderr each run with its settings, and whether it is done."""
    programs = runner.plan(_teller(runner, notes))
    for run in runner.runs():
        words = f" {' '.join(run.chosen)}" if run.chosen else ""
        state = "done" if run.fingerprint in runner.results else "to do"
        notes.print(f"{state:<5}  {run.stage:<6}  {run.name}{words}")
    for name in [] if runner.stage == "tuning" else runner.undecided():
        notes.print(f"later  test    {name}, with what its trials choose: plan again once they have ended")
    notes.print(f"{len(programs)} to do by now.")
    for program in programs:
        say(shlex.join(("bambino", *program.words)))


EXPERIMENT = Command("experiment", "conditions x seeds, with tuning; several runs at a time", _read, _run)
