"""Runs on this machine: jobs, several at a time, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bambino.runs.record import newest_step


@dataclass(frozen=True)
class Job:
    """A function that runs in a process of its own and leaves a run directory."""

    name: str
    folder: Path
    steps: int
    function: Callable[..., None]
    arguments: tuple[Any, ...]

    def progress(self) -> dict[str, Any]:
        """The newest step's row of metrics; empty before the first."""
        return newest_step(self.folder)


def run_jobs(jobs: Sequence[Job], pool: Executor, on_done: Callable[[Job], None]) -> None:
    """Run all jobs, begun in their order, as many at a time as the pool has processes; tell of each that is done.

    A job's exception is raised, and what has not begun by then never begins.
    """
    futures: dict[Future[None], Job] = {pool.submit(job.function, *job.arguments): job for job in jobs}
    try:
        for future in as_completed(futures):
            future.result()
            on_done(futures[future])
    except BaseException:
        for future in futures:
            future.cancel()
        raise
