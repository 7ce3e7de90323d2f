"""How far the demo's jobs are: live on a terminal, a line per finished job elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bambino.experiments.local import Job, run_jobs


def run_and_show(jobs: Sequence[Job], pool: Executor, console: Console) -> None:
    """Run the jobs and show how far they are."""
    live = Live(console=console, refresh_per_second=2, get_renderable=lambda: _panel(jobs), transient=True)
    with live if console.is_terminal else nullcontext():
        run_jobs(jobs, pool, lambda job: console.print(f"  {job.name}: done", highlight=False))


def _panel(jobs: Sequence[Job]) -> Table:
    """Per job that has begun: step, phase, loss or reward."""
    table = Table.grid(padding=(0, 2))
    for job in jobs:
        row = job.progress()
        if row and row["step"] < job.steps:
            number = f"loss {row['clm/loss']:.2f}" if "clm/loss" in row else f"reward {row.get('ppo/reward', 0):.2f}"
            table.add_row(job.name, f"step {row['step']} of {job.steps}", row["phase"], number)
    return table
