"""The whole idea on a small world, offline, in minutes: `bambino demo`.

An English baby and a parent of another language of the nursery (Italian) are raised from scratch and kept in the user's
cache. Then the baby learns the parent's language from a scarce budget under four conditions (untrained, clm, ppo,
bambino) whose clm batches are the same.
The output directory gets a table, plots, one page (index.html), all numbers (demo.json) and the run directories.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bambino.demo.page import write_page
from bambino.demo.plots import write_plots
from bambino.demo.tables import base_lesson, base_rows, growing_up_table, lesson, phenomena_rows, result_rows, roles
from bambino.errors import DemoError
from bambino.experiments.local import Job
from bambino.experiments.nursery.designs import BASES, CONDITIONS, L1, Design, cache_key
from bambino.experiments.nursery.exam import read_truth, write_exam
from bambino.experiments.nursery.results import Result, read_result
from bambino.experiments.nursery.runs import Run, prepare_process, raise_base, run_condition
from bambino.nursery import Grammar, NurseryError
from bambino.report.tables import table

MARK = "demo.json"


def cache_directory() -> Path:
    """Where base models are kept: $XDG_CACHE_HOME/bambino, or ~/.cache/bambino."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bambino"


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

    Raises:
        DemoError: output_dir holds something that is not a demo; the nursery has no such language.
    """
    console, begin = console or Console(), time.perf_counter()
    check_language(design)
    make_room(output_dir)
    nest = (cache or cache_directory()) / "demo" / cache_key(design, seed)
    runs = [
        Run(condition, design, number, nest, nest / "exam", (output_dir / "runs" / f"{name}-{number}").resolve())
        for name, condition in CONDITIONS.items()
        for number in range(seed, seed + seeds)
    ]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=prepare_process) as pool:
        raise_bases(nest, design, seed, pool, console)
        bases = {name: json.loads((nest / name / "exam.json").read_text(encoding="utf-8")) for name in BASES}
        console.print(table(base_rows(bases, design)))
        console.print(base_lesson(bases, design), markup=False, highlight=False)
        run_jobs([_job(run) for run in sorted(runs, key=_length, reverse=True)], pool, console)
    truth = read_truth(nest / "exam")
    results = [read_result(run.condition.name, run.seed, run.folder, truth) for run in runs]
    return report(output_dir, design, results, bases, truth, time.perf_counter() - begin, console)


def _length(run: Run) -> int:
    return run.condition.cycle_steps * run.design.cycles


def _job(run: Run) -> Job:
    return Job(f"{run.condition.name}, seed {run.seed}", run.folder, _length(run), run_condition, (run,))


def report(
    output_dir: Path,
    design: Design,
    results: list[Result],
    bases: dict[str, Any],
    truth: dict[str, float],
    seconds: float,
    console: Console,
) -> Path:
    """Print the tables and what they say; write numbers, plots and the page."""
    first = min(result.seed for result in results)
    console.print(table(result_rows(results, design)), table(phenomena_rows(results, design)))
    console.print(growing_up_table(results, first))
    for sentence in lesson(results, design):
        console.print(sentence, markup=False, highlight=False)
    content = {
        "design": dataclasses.asdict(design),
        "true_bits_per_byte": truth,
        "bases": bases,
        "results": [dataclasses.asdict(result) for result in results],
    }
    (output_dir / MARK).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    write_plots(output_dir, results, design)
    page = write_page(output_dir, results, bases, truth, design)
    console.print(f"\nDone in {seconds:.0f} seconds. The page: {page}", highlight=False, soft_wrap=True)
    return page


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


def make_room(output_dir: Path) -> None:
    """Remove an earlier demo from output_dir.

    Raises:
        DemoError: it holds something else.
    """
    if output_dir.is_dir() and any(output_dir.iterdir()):
        if not (output_dir / MARK).is_file():
            raise DemoError(f"{output_dir} holds something that is not a demo. Use another --output_dir.")
        shutil.rmtree(output_dir / "runs", ignore_errors=True)
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / MARK).write_text("{}", encoding="utf-8")


def raise_bases(nest: Path, design: Design, seed: int, pool: ProcessPoolExecutor, console: Console) -> None:
    """Raise parent and baby into the cache, unless they are there."""
    if nest.is_dir():
        console.print(f"Baby and parent were raised before and are kept in {nest}.", highlight=False, soft_wrap=True)
        return
    part = nest.with_name(f".part-{os.getpid()}-{nest.name}")
    console.print(f"Raising two models from scratch: {' and '.join(roles(design).values())}.")
    try:
        write_exam(part / "exam", design, seed)
        jobs = [
            Job(
                roles(design)[name],
                part / name,
                design.base_steps,
                raise_base,
                (base, design, seed, part / "exam", part / name),
            )
            for name, base in BASES.items()
        ]
        run_jobs(jobs, pool, console)
        part.rename(nest)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def run_jobs(jobs: list[Job], pool: ProcessPoolExecutor, console: Console) -> None:
    """Run the jobs, two at a time, and show how far they are: live on a terminal, a line per finished job elsewhere."""
    futures: dict[Future[None], Job] = {pool.submit(job.function, *job.arguments): job for job in jobs}
    waiting = set(futures)
    try:
        live = Live(console=console, refresh_per_second=2, get_renderable=lambda: _panel(jobs), transient=True)
        with live if console.is_terminal else nullcontext():
            while waiting:
                done, waiting = wait(waiting, timeout=1.0, return_when="FIRST_COMPLETED")
                for future in done:
                    future.result()
                    console.print(f"  {futures[future].name}: done", highlight=False)
    except BaseException:
        for future in waiting:
            future.cancel()
        raise


def _panel(jobs: list[Job]) -> Table:
    """Per job that has begun: step, phase, loss or reward."""
    table = Table.grid(padding=(0, 2))
    for job in jobs:
        row = job.progress()
        if row and row["step"] < job.steps:
            number = f"loss {row['clm/loss']:.2f}" if "clm/loss" in row else f"reward {row.get('ppo/reward', 0):.2f}"
            table.add_row(job.name, f"step {row['step']} of {job.steps}", row["phase"], number)
    return table
