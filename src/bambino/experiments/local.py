"""Runs on this machine: jobs, several at a time, each in a process of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return {}
        rows = [line for line in path.read_bytes().split(b"\n")[:-1] if line.startswith(b'{"kind": "step"')]
        return json.loads(rows[-1]) if rows else {}
