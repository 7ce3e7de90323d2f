"""`bambino table`: the paper's table, of conditions or of models."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bambino.cli.console import DONE, Command, Parser, say

if TYPE_CHECKING:
    from bambino.analysis.results import Results

ABOUT = """The paper's table: of each condition the average over the Italian tasks (UINAUIL, balanced accuracy) and over
the English ones (BLiMP), with 95 % intervals and chance. Give what bambino evaluate --suite paper wrote, or run
directories that were evaluated; runs that differ in their seed alone are one condition, and so is what has one NAME."""
EXAMPLES = """examples:
  bambino table runs/clm-1 runs/clm-2 runs/bambino-1 runs/bambino-2 --references results/parent
  bambino table untrained=results/untrained bambino=results/first bambino=results/second --latex"""


def _read(words: list[str]) -> Namespace:
    parser = Parser("bambino table", ABOUT, EXAMPLES)
    results = "folders of bambino evaluate, or run directories; NAME heads the row (default: the folder's name)"
    parser.add_argument("results", nargs="+", metavar="[NAME=]RESULTS", help=results)
    references = "results of models that ought to pass: tasks on which none is above chance are uninformative"
    parser.add_argument("--references", nargs="+", default=[], metavar="RESULTS", help=references)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as a table for a Markdown document")
    form.add_argument("--latex", action="store_true", help="as a table for LaTeX (booktabs, graphicx)")
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    from bambino.analysis.paper_table import paper_table
    from bambino.evaluation.plan import suites
    from bambino.report.documents import latex_list, latex_table, markdown_list, markdown_table
    from bambino.report.paper_table import paper_remarks, paper_rows
    from bambino.report.screen import Screen
    from bambino.report.tables import table

    rows: dict[str, list[Results]] = {}
    for word in given.results:
        name, results = _named(word)
        rows.setdefault(name, []).append(results)
    names = suites()["paper"].tasks or ()
    l1_tasks = [f"pairs/{name}" for name in names if name == ENGLISH]
    l2_tasks = [f"tasks/{name}" for name in names if name != ENGLISH]
    found = paper_table(rows, [_named(word)[1] for word in given.references], l2_tasks, l1_tasks)
    titled, remarks = paper_rows(found), paper_remarks(found)
    if given.latex:
        say(f"{latex_table(titled)}\n\n{latex_list(remarks)}")
    elif given.markdown:
        say(f"{markdown_table(titled.rows)}\n\n{markdown_list([titled.title, *remarks])}")
    else:
        console = Screen()
        console.print(table(titled.rows))
        for remark in [f"{titled.title}.", *remarks]:
            console.print(remark)
    return DONE


ENGLISH = "blimp"
"""The test of the paper's suite that is English."""


def _named(word: str) -> tuple[str, Results]:
    """The name of a row, and results for it."""
    from bambino.analysis.results import load_results
    from bambino.recipe.settings import Recipe
    from bambino.runs.directory import holds_run
    from bambino.runs.names import condition_of
    from bambino.runs.record import read_run

    given, equals, rest = word.partition("=")
    is_named = bool(equals) and not os.path.exists(word)
    path = Path(rest if is_named else word).expanduser()
    if holds_run(path):
        seed = read_run(path).settings.get("seed", Recipe().seed)
        name, path = condition_of(path.name, seed), path / "evaluation"
    else:
        name = path.parent.name if path.name == "results.json" else path.name
    return given if is_named else name, load_results(path)


TABLE = Command("table", "the paper's table: averages in both languages, with chance and intervals", _read, _run)
