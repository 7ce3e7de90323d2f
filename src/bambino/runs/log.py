"""What a run tells as it goes: rows of its two logs, each passed on to `on_row`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bambino.runs.directory import RunDirectory

Row = dict[str, Any]


class RunLog:
    """The rows of one run, written where `directory` says once a run has begun."""

    def __init__(self, on_row: Callable[[Row], None]) -> None:
        self.on_row = on_row
        self.directory: RunDirectory | None = None

    def step(self, step: int, phase: str, row: Mapping[str, Any]) -> Row:
        """The row of the step that was just done, the `step`-th."""
        return self.metrics({"kind": "step", "step": step, "phase": phase, **row})

    def evaluation(self, step: int, metrics: Mapping[str, float]) -> Row:
        """The row of an evaluation after so many steps."""
        return self.metrics({"kind": "evaluation", "step": step, **metrics})

    def metrics(self, row: Row) -> Row:
        """A row of metrics.jsonl; gives it back."""
        if self.directory is not None:
            self.directory.metrics.append(row)
        self.on_row(row)
        return row

    def utterances(self, kind: str, step: int, said: Sequence[Row]) -> None:
        """Rows of utterances.jsonl: prompt, utterance, and whatever was found out about them."""
        rows = [{"step": step, "kind": kind, **row} for row in said]
        if self.directory is not None:
            for row in rows:
                self.directory.utterances.append(row)
        self.on_row({"kind": "utterances", "step": step, "rows": rows})

    def warn(self, text: str) -> None:
        """Something that the user should know, passed on only."""
        self.on_row({"kind": "warning", "text": text})
