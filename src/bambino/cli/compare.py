"""`bambino compare`: two models on the same items, or two conditions over seeds."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bambino.cli.console import DONE, Command, Parser
from bambino.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

ABOUT = """Compare results of bambino evaluate: of two models item by item, or of two conditions over seeds (in order
of seeds). Run directories stand for RUN/evaluation; they are also compared by what they lost of L1 at equal L2 gain."""
EXAMPLES = """examples:
  bambino compare results/untrained runs/first/evaluation
  bambino compare runs/clm runs/bambino
  bambino compare --ones runs/clm-1 runs/clm-2 --others runs/bambino-1 runs/bambino-2"""


def _read(words: list[str]) -> Namespace:
    from bambino.evaluation.plan import CURVES

    usage = "bambino compare ONE OTHER\n       bambino compare --ones ONE_1 ONE_2 ... --others OTHER_1 OTHER_2 ..."
    parser = Parser("bambino compare", ABOUT, EXAMPLES, usage)
    parser.add_argument(
        "results", nargs="*", metavar="ONE OTHER", help="two results or run directories, of one model each"
    )
    ones = "results or runs of a condition, a seed each"
    parser.add_argument("--ones", nargs="+", default=[], metavar="ONE", help=ones)
    others = "those of the other condition, in the same order"
    parser.add_argument("--others", nargs="+", default=[], metavar="OTHER", help=others)
    curves = f"of runs: the measures of L1 and L2 (default: {' '.join(CURVES)})"
    parser.add_argument("--curves", nargs=2, default=CURVES, metavar=("L1", "L2"), help=curves)
    given = parser.parse_args(words)
    if len(given.results) != (0 if given.ones or given.others else 2):
        raise UsageError("Give two results, or --ones and --others. `bambino compare --help` shows both.")
    return given


def _run(given: Namespace) -> int:
    from bambino.report.screen import Screen
    from bambino.runs.directory import holds_run

    sides = (given.results[:1], given.results[1:]) if given.results else (given.ones, given.others)
    names = [", ".join(Path(path).name for path in side) for side in sides]
    runs = all(holds_run(path) for side in sides for path in side)
    console = Screen()
    if runs:
        _compare_runs(console, sides, names, given.curves)
    missing = [path for side in sides for path in side if not (Path(path) / "evaluation" / "results.json").is_file()]
    if runs and missing:
        console.print(f"Their results are not compared: bambino evaluate {missing[0]} first.")
    else:
        _compare_results(console, sides, names)
    return DONE


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
    console.print(said)
    best = front([end_point(*run) for run in (*mine, *yours)])
    least = ", ".join(Path([*sides[0], *sides[1]][i]).name for i in best)
    console.print(f"At the end, no other run gains more L2 for less L1 than: {least}")


def _compare_results(console: Console, sides: Sequence[list[str]], names: list[str]) -> None:
    """By main scores: item by item, or over seeds."""
    from bambino.analysis.comparison import compare, compare_over_seeds, not_compared
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
    for why in not_compared(ones, others):
        console.print(why)


COMPARE = Command("compare", "two models on the same items, or two conditions over seeds", _read, _run)
