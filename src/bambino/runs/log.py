"""What a run tells as it goes: rows of its two logs, each passed on to `on_row`, with what every step cost."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bambino.evaluation.in_training import Evaluation
from bambino.runs.directory import RunDirectory
from bambino.speaking.utterances import Utterances
from bambino.training.state import RunState


class RunLog:
    """The rows of one `train`; counts wall time by part, and in the state's totals."""

    def __init__(self, run: RunDirectory, state: RunState, on_row: Callable[[dict[str, Any]], None]) -> None:
        self.run, self.state, self.on_row = run, state, on_row
        self._times: dict[str, float] = defaultdict(float)
        """Part -> seconds since the last step's row."""

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """What happens inside is a part of the run."""
        begin = time.perf_counter()
        yield
        seconds = time.perf_counter() - begin
        self._times[part] += seconds
        self.state.totals["seconds"] += seconds

    def step(self, phase: str, row: dict[str, Any]) -> None:
        """The row of the step that was just done."""
        times = {f"time/{part}": seconds for part, seconds in self._times.items()}
        totals = {f"total/{name}": total for name, total in self.state.totals.items()}
        self._times.clear()
        self._metrics({"kind": "step", "step": self.state.step, "phase": phase, **row, **times, **totals})

    def evaluation(self, evaluation: Evaluation) -> None:
        """The row of an evaluation, and what the baby said in it."""
        self._metrics({"kind": "evaluation", "step": self.state.step, **evaluation.metrics})
        if evaluation.utterances is not None:
            columns = {"parent_perplexity": evaluation.perplexities} if evaluation.perplexities else {}
            self.utterances("evaluation", self.state.step, evaluation.utterances, columns)

    def utterances(self, kind: str, step: int, said: Utterances, columns: dict[str, list[Any]]) -> None:
        """Rows of utterances.jsonl, with a column for whatever the rewards had to say."""
        rows = [
            {"step": step, "kind": kind, "prompt": prompt, "utterance": utterance}
            | {name: column[i] for name, column in columns.items()}
            for i, (prompt, utterance) in enumerate(zip(said.prompts, said.completions, strict=True))
        ]
        for row in rows:
            self.run.utterances.append(row)
        self.on_row({"kind": "utterances", "step": step, "rows": rows})

    def warn(self, text: str) -> None:
        """Something that the user should know, passed on only."""
        self.on_row({"kind": "warning", "text": text})

    def _metrics(self, row: dict[str, Any]) -> None:
        self.run.metrics.append(row)
        self.on_row(row)
