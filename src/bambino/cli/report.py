"""`bambino report`: runs as one page that needs nothing else."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bambino.cli.console import DONE, Command, Parser, claim_file, note, say
from bambino.errors import BambinoError, UsageError

if TYPE_CHECKING:
    from bambino.report.inquiry import Inquiry
    from bambino.report.reported import Reported

ABOUT = """Make one HTML page of runs: the answer with intervals and tests, learning and forgetting with bands over
seeds, what the baby said, alarms, costs, recipes. It opens from disk and asks the network for nothing. Give run
directories, or a folder of them such as an experiment's --out; runs are told by their names, CONDITION-SEED. An
experiment's file among them says what was asked; alone, it stands for runs/EXPERIMENT."""
EXAMPLES = """examples:
  bambino report runs/first
  bambino report runs/first --watch
  bambino report runs/scarcity --tables
  bambino report scarcity.yaml runs/scarcity --out scarcity.html
  bambino report clm=runs/a clm=runs/b recast=runs/c recast=runs/d"""
EVERY = 5.0
"""Seconds between two looks at the logs, and after which a page that is watched loads itself again."""


def _read(words: list[str]) -> Namespace:
    parser = Parser("bambino report", ABOUT, EXAMPLES)
    paths = "a run directory, CONDITION=RUN, a folder of runs, or an experiment's .yaml"
    parser.add_argument("paths", nargs="+", metavar="RUN | EXPERIMENT", help=paths)
    out = "the page (default: report.html in the run's or the experiment's folder)"
    parser.add_argument("--out", type=Path, metavar="FILE.html", help=out)
    over = "the condition that others are compared with (default: as the experiment says; else clm, else the first)"
    parser.add_argument("--over", default="", metavar="CONDITION", help=over)
    curves = "the measures of L1 and L2 (default: as the experiment says; else told by the texts that are heard)"
    parser.add_argument("--curves", nargs=2, metavar=("L1", "L2"), help=curves)
    tables = "write the answer's tables as well, for people and for a paper: .md and .tex beside the page"
    parser.add_argument("--tables", action="store_true", help=tables)
    watch = "write the page anew whenever a log grows, until all runs are over or Ctrl-C; the page loads itself again"
    parser.add_argument("--watch", action="store_true", help=watch)
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    from bambino.report.run_report import write_report

    reported = _reported(given)
    out = claim_file(given.out or _default(reported, Path(given.paths[-1])), "--out")
    is_going_on = given.watch and not reported.is_over
    say(f"The page: {write_report(out, reported, EVERY if is_going_on else None)}")
    if given.tables:
        _write_tables(reported, out)
    if is_going_on:
        _watch(given, out, _sizes(reported))
    return DONE


def _reported(given: Namespace) -> Reported:
    """The runs that are asked for, and what was asked of them."""
    from bambino.report.inquiry import Inquiry, inquiry_in, inquiry_of
    from bambino.report.reported import read_reported

    files = [Path(path) for path in given.paths if path.endswith((".yaml", ".yml"))]
    words = [path for path in given.paths if Path(path) not in files]
    if len(files) > 1:
        raise UsageError(f"{files[0]} and {files[1]} are two experiments. Give one.")
    named = [word.partition("=") for word in words if "=" in word and not os.path.exists(word)]
    if named and len(named) < len(words):
        raise UsageError("Give all runs as CONDITION=RUN, or none.")
    inquiry = (
        inquiry_in(files[0].expanduser()) if files else inquiry_of(*map(Path, words)) if len(words) == 1 else Inquiry()
    )
    if named:
        conditions = dict.fromkeys(condition for condition, _, _ in named)
        runs = {name: [path for condition, _, path in named if condition == name] for name in conditions}
        return read_reported(runs, _as_given(inquiry, given))
    return read_reported(words or [Path("runs") / files[0].stem], _as_given(inquiry, given))


def _as_given(inquiry: Inquiry, given: Namespace) -> Inquiry:
    """With what the command line says of it; an answer that was written counts only where that is nothing."""
    if not given.over and given.curves is None:
        return inquiry
    languages = tuple(given.curves) if given.curves is not None else inquiry.languages
    return replace(inquiry, baseline=given.over or inquiry.baseline, languages=languages, answer=None)


def _default(reported: Reported, given: Path) -> Path:
    """Beside the only run's files, or in the folder that all runs lie in, or, where none is left, in the one given."""
    if not reported.runs:
        return given.expanduser() / "report.html"
    folders = {run.record.path for run in reported.runs}
    if len(folders) > 1:
        folders = {folder.parent for folder in folders}
    return next(iter(folders)) / "report.html" if len(folders) == 1 else Path("report.html")


def _write_tables(reported: Reported, page: Path) -> None:
    from bambino.files import write_atomically
    from bambino.report.answer import latex, markdown

    if reported.answer is None:
        raise UsageError("--tables: no measure of these runs has a better direction, so there is nothing to compare.")
    for ending, text in ((".md", markdown(reported.answer)), (".tex", latex(reported.answer))):
        write_atomically(page.with_suffix(ending), text)
        say(f"The tables: {page.with_suffix(ending)}")


def _watch(given: Namespace, out: Path, seen: dict[Path, int]) -> None:
    """Write the page whenever the runs' files grow; returns once all are over, their last page written."""
    from bambino.report.run_report import write_report

    say("Watching the runs; Ctrl-C ends it.")
    while True:
        time.sleep(EVERY)
        try:
            reported = _reported(given)
            if (sizes := _sizes(reported)) == seen:
                continue
            write_report(out, reported, None if reported.is_over else EVERY)
        except BambinoError as error:  # a run that is just being begun
            note(f"bambino: {error} Trying again.")
            continue
        if reported.is_over:
            say("All runs are over.")
            return
        seen = sizes


def _sizes(reported: Reported) -> dict[Path, int]:
    """What grows as runs go on."""
    names = ("metrics.jsonl", "utterances.jsonl", "failure.json", "model/config.json")
    paths = [run.record.path / name for run in reported.runs for name in names]
    return {path: path.stat().st_size for path in paths if path.is_file()}


REPORT = Command("report", "runs or an experiment as one page: the answer, curves, what was said, costs", _read, _run)
