"""What an evaluation found: scores with what it takes to believe them, as files and as a table.

FOLDER/results.json   every score with its interval, chance, settings and verdict
FOLDER/items.json     task -> score -> one number per item, for paired comparisons (`comparison.py`)
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bambino.errors import ResultsError, shortened
from bambino.files import finite, json_of, write_atomically
from bambino.measures import UNREAD, Interval, Score, TaskResult
from bambino.runs.old_names import tasks_with_new_names


def lower_is_better(score: Score) -> bool:
    """Whether less of it is better."""
    return score.unit == "bits per byte"


MUST_AGREE = ("sha256", "normalization", "max_items", "limit", "parent", "l1", "l2")
"""Settings without which two results of a task are not of the same items, or not measured alike."""


def disagreement(one: TaskResult, other: TaskResult) -> str:
    """What keeps two results of a task from being compared, in words; empty where nothing does."""
    for setting in MUST_AGREE:
        mine, yours = one.settings.get(setting), other.settings.get(setting)
        if mine != yours:
            return f"{setting} is {mine} and {yours}"
    return ""


def unread(one: TaskResult, other: TaskResult) -> str:
    """Why two results of a task do not compare though they are of the same items: one tokenizer does not know what the
    other reads. Empty where nothing is hidden, or the same from both."""
    mine, yours = one.settings, other.settings
    if mine.get("tokenizer") == yours.get("tokenizer"):
        return ""
    return "; ".join(settings[UNREAD] for settings in (mine, yours) if UNREAD in settings)


@dataclass(frozen=True)
class Results:
    """What an evaluation of one model found."""

    model: str
    tasks: dict[str, TaskResult]
    left_out: dict[str, str] = field(default_factory=dict)
    """Task of the suite that was not run -> why."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What was asked for."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, git commit, device."""
    fingerprint: str = ""
    """The sha256 of the model, of what was asked for, and of the data: results that share it may be put together."""

    def save(self, folder: Path) -> Path:
        """Write results.json and items.json, each whole or not at all; returns the path of the first."""
        folder.mkdir(parents=True, exist_ok=True)
        items = {name: task.item_scores for name, task in self.tasks.items() if task.item_scores}
        write_atomically(folder / "items.json", json.dumps(finite(items)) + "\n")
        content = finite(asdict(replace(self, tasks={n: replace(t, item_scores={}) for n, t in self.tasks.items()})))
        for task in content["tasks"].values():
            del task["item_scores"]
        write_atomically(folder / "results.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return folder / "results.json"


def load_results(path: str | Path) -> Results:
    """Read what `Results.save` wrote: results.json or its folder; item scores too where items.json lies beside it.

    Raises:
        ResultsError: no such file, or not results of an evaluation.
    """
    path = Path(path).expanduser()
    path = path / "results.json" if os.path.isdir(path) else path
    if not os.path.isfile(path):
        raise ResultsError(f"There are no results at {path}. Make them: bambino evaluate MODEL --output_dir FOLDER")
    items_path = path.with_name("items.json")
    try:
        content = json_of(path.read_bytes())
        items = json_of(items_path.read_bytes()) if items_path.is_file() else {}
        entries, items = tasks_with_new_names(content.pop("tasks"), items)
        tasks = {name: _task(entry, items[name]) for name, entry in entries.items()}
        content["left_out"] = content.get("left_out") or {}  # earlier versions wrote an empty list
        found = Results(tasks=tasks, **content)
        if not all(isinstance(part, dict) for part in (found.left_out, found.settings, found.environment)):
            raise TypeError("left_out, settings and environment are mappings")
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path} does not hold results of bambino evaluate: {shortened(error)}.") from None


def _task(entry: dict[str, Any], items: dict[str, list[float]]) -> TaskResult:
    scores = [_score(**score) for score in entry.pop("scores")]
    if not scores:
        raise ValueError("a task has no score")
    numbers = {name: [math.nan if value is None else value for value in those] for name, those in items.items()}
    return TaskResult(scores=scores, item_scores=numbers, **entry)


def _score(*, value: float | None, interval: dict[str, float] | None, **rest: Any) -> Score:
    """A score from JSON, where a number that is none is null."""
    return Score(
        value=math.nan if value is None else float(value), interval=Interval(**interval) if interval else None, **rest
    )
