"""Runs on this machine: jobs, several at a time, each in a process of its own."""

from __future__ import annotations

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
    function: Any
    arguments: tuple[Any, ...]

    def progress(self) -> dict[str, Any]:
        """The newest step's row of metrics; empty before the first."""
        return newest_step(self.folder)
