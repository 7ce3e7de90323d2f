"""How far the demo's jobs are: live on a terminal, a line per finished job elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bambino.experiments.local import Job, run_jobs


def run_and_show(jobs: Sequence[Job], pool: Executor, console: Console) -> None:
    """Run the jobs and show how far they are."""
    live = Live(console=console, refresh_per_second=2, get_renderable=lambda: _panel(jobs), transient=True)
    with live if console.is_terminal else nullcontext():
        run_jobs(jobs, pool, lambda job: console.print(f"  {job.name}: done"))


def _panel(jobs: Sequence[Job]) -> Table:
    """Per job that has begun: step, phase, loss or reward."""
    table = Table.grid(padding=(0, 2))
    for job in jobs:
        row = job.progress()
        if row and row["step"] < job.steps:
            table.add_row(job.name, f"step {row['step']} of {job.steps}", row["phase"], _number(row))
    return table


def _number(row: dict[str, Any]) -> str:
    """What a step's row tells: its reward, or else its loss."""
    if "ppo/reward" in row:
        return f"reward {row['ppo/reward']:.2f}"
    return f"loss {row[name]:.2f}" if (name := f"{row['phase']}/loss") in row else ""
