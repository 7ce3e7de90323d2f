"""The whole idea on a small world, offline, in minutes: `bambino demo`.

An English baby and a parent of another language of the nursery (Italian) are trained from scratch and kept in the
user's cache. Then the baby learns the parent's language from a scarce budget under four conditions (untrained, clm,
bambino, best) whose clm batches are the same.
The output directory gets a table, plots, one page (index.html), all numbers (demo.json) and the run directories.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from bambino.demo.base_models import base_models_folder, train_bases
from bambino.demo.output import make_room, report
from bambino.demo.progress import run_and_show
from bambino.demo.sizes import expectation, proposed_size
from bambino.demo.tables import base_lesson, base_rows
from bambino.errors import DemoError
from bambino.experiments.local import Job
from bambino.experiments.nursery.designs import BASES, CONDITIONS, INVENTED, L1, SIZES, Design
from bambino.experiments.nursery.results import read_result
from bambino.experiments.nursery.runs import Run, prepare_process, run_condition
from bambino.experiments.nursery.test_set import read_truth
from bambino.nursery import Grammar, NurseryError
from bambino.report.screen import Screen
from bambino.report.tables import table
from bambino.runs.machine import matrix_rate


def start_demo(output_dir: Path, size: str | None, language: str, seed: int, seeds: int) -> Path:
    """Measure the machine, say what to expect, run the demo; returns the path of its page.

    Args:
        size: None for the one that suits the machine.
        language: of the nursery; `invented` is Qelu.

    Raises:
        DemoError: as `demo`.
    """
    console, rate = Screen(), matrix_rate()
    code = INVENTED if language == "invented" else language
    design = replace(SIZES[size or proposed_size(rate)], l2=code)
    check_language(design)
    has_bases = base_models_folder(design, seed).is_dir()
    console.print(expectation(design.size, rate, seeds, has_bases=has_bases), soft_wrap=True)
    return demo(output_dir, design, seed, seeds, console=console)


def demo(
    output_dir: Path,
    design: Design,
    seed: int = 1,
    seeds: int = 1,
    cache: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Run the demo; returns the path of its page.

    Args:
        seeds: how many times the conditions are run, each with other L2 text, order and sampling; the base models are
            those of `seed` throughout.
        cache: where base models are kept; None for the user's own cache directory.

    Raises:
        DemoError: output_dir holds something that is not a demo; the nursery has no such language.
    """
    console, begin = console or Screen(), time.perf_counter()
    check_language(design)
    make_room(output_dir)
    folder = base_models_folder(design, seed, cache)
    runs = [
        Run(
            condition,
            design,
            number,
            folder,
            folder / "test-set",
            (output_dir / "runs" / f"{name}-{number}").resolve(),
            seed,
        )
        for name, condition in CONDITIONS.items()
        for number in range(seed, seed + seeds)
    ]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=prepare_process) as pool:
        train_bases(folder, design, seed, pool, console)
        bases = {name: json.loads((folder / name / "knowledge.json").read_text(encoding="utf-8")) for name in BASES}
        console.print(table(base_rows(bases, design)))
        console.print(base_lesson(bases, design))
        run_and_show([_job(run) for run in sorted(runs, key=_length, reverse=True)], pool, console)
    truth = read_truth(folder / "test-set")
    results = [read_result(run.condition.name, run.seed, run.folder, truth) for run in runs]
    path = report(output_dir, design, results, bases, truth, console)
    seconds = time.perf_counter() - begin
    console.print(f"\nDone in {seconds:.0f} seconds. The page: {path}", soft_wrap=True)
    return path


def _length(run: Run) -> int:
    return run.condition.cycle_steps * run.design.cycles


def _job(run: Run) -> Job:
    return Job(f"{run.condition.name}, seed {run.seed}", run.folder, _length(run), run_condition, (run,))


def check_language(design: Design) -> None:
    """Refuse a language that is not there to be learned.

    Raises:
        DemoError: it is English, or the nursery does not speak it.
    """
    if design.l2 == L1:
        raise DemoError("--language en is what the baby speaks already. Use another: it.")
    try:
        Grammar.load(design.l2)
    except NurseryError as error:
        raise DemoError(f"--language {design.l2}: {error}") from None
