"""What an evaluation found: scores with what it takes to believe them, as files and as a table.

FOLDER/results.json   every score with its interval, chance, settings and verdict
FOLDER/items.json     task -> score -> one number per item, for paired comparisons (`comparison.py`)
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from bambino.evaluation import EvaluationError
from bambino.evaluation.statistics import Interval
from bambino.run_directory import finite, write_atomically


class ResultsError(EvaluationError):
    """Results that cannot be read; the message names the file and the way out."""


@dataclass(frozen=True)
class Score:
    """One number."""

    name: str
    """`task/what`, with `task/what/part` for parts: `blimp/accuracy`, `blimp/accuracy/adjunct_island`."""
    value: float
    unit: str
    """`share`, `bits per byte`, `nats`, `words`, ..."""
    items: int
    """What it is a mean over."""
    interval: Interval | None = None
    """Over items (bootstrap)."""
    chance: float | None = None
    """What guessing scores."""


def lower_is_better(score: Score) -> bool:
    """Whether less of it is better."""
    return score.unit == "bits per byte"


@dataclass(frozen=True)
class TaskResult:
    """All scores of one task for one model, and how they were measured."""

    task: str
    scores: list[Score]
    """The first is the task's main score."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the scores depend on: data file and its sha256, normalization, template, tie and BOS policy, ..."""
    verdict: str = ""
    """In words, where there is something to say: `above chance`, `not distinguishable from chance`, `uninformative`."""
    item_scores: dict[str, list[float]] = field(default_factory=dict)
    """Score name -> one number per item, in the file's order: what paired tests between models need."""

    @property
    def main(self) -> Score:
        """The score that stands for the task."""
        return self.scores[0]


MUST_AGREE = ("sha256", "normalization", "max_items", "limit", "parent", "l1", "l2")
"""Settings without which two results of a task are not of the same items, or not measured alike."""


def disagreement(one: TaskResult, other: TaskResult) -> str:
    """What keeps two results of a task from being compared, in words; empty where nothing does."""
    for setting in MUST_AGREE:
        mine, yours = one.settings.get(setting), other.settings.get(setting)
        if mine != yours:
            return f"{setting} is {mine} and {yours}"
    return ""


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
    path = path / "results.json" if path.is_dir() else path
    if not path.is_file():
        raise ResultsError(f"There are no results at {path}. Make them: bambino evaluate MODEL --output_dir FOLDER")
    items_path = path.with_name("items.json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        items = json.loads(items_path.read_text(encoding="utf-8")) if items_path.is_file() else {}
        tasks = {name: _task(entry, items.get(name, {})) for name, entry in content.pop("tasks").items()}
        return Results(tasks=tasks, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path} does not hold results of bambino evaluate: {error}.") from None


def results_table(results: Results) -> Table:
    """Every task with its main score."""
    table = Table(box=box.SIMPLE_HEAD, title=results.model, title_justify="left")
    for name in ("task", "score", "value", "95 % interval", "chance", "items"):
        is_text = name in ("task", "score")
        table.add_column(name, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for name, task in results.tasks.items():
        score = task.main
        chance = "" if score.chance is None else f"{score.chance:.3f}"
        what = score.name.removeprefix(f"{name}/").replace("_", " ") if score.name != name else score.unit
        table.add_row(name, what, f"{score.value:.3f}", show(score.interval), chance, f"{score.items:,}")
    return table


def classification_table(results: Results) -> Table | None:
    """What stands beside the main score, balanced accuracy, of each classification task; None where there is none.

    The last three are balanced accuracies: of the untrained baby, and with options scored by PMI and calibrated.
    """
    columns = {
        "macro-F1": "macro_f1",
        "accuracy": "accuracy",
        "majority": "accuracy/majority",
        "untrained": "balanced_accuracy/untrained",
        "PMI": "balanced_accuracy/pmi",
        "calibrated": "balanced_accuracy/calibrated",
    }
    table = Table(box=box.SIMPLE_HEAD, title="Beside balanced accuracy", title_justify="left", padding=(0, 1))
    table.add_column("task", overflow="fold", min_width=12)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for name, task in results.tasks.items():
        found = {score.name.removeprefix(f"{name}/"): f"{score.value:.3f}" for score in task.scores}
        if "accuracy/majority" in found:
            table.add_row(name, *(found.get(key, "") for key in columns.values()))
    return table if table.row_count else None


def remarks(results: Results) -> list[str]:
    """What there is to say about the scores, and what was left out."""
    said = [f"{name}: {task.verdict}" for name, task in results.tasks.items() if task.verdict]
    if len(said) > 1:
        said.append("Each verdict goes by its own 95 % interval over items; they are not corrected for being several.")
    return said + [f"{name}: left out, {why}" for name, why in results.left_out.items()]


def show(interval: Interval | None) -> str:
    """An interval as text; empty where there is none."""
    return "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"


def _task(entry: dict[str, Any], items: dict[str, list[float]]) -> TaskResult:
    scores = [_score(**score) for score in entry.pop("scores")]
    numbers = {name: [math.nan if value is None else value for value in those] for name, those in items.items()}
    return TaskResult(scores=scores, item_scores=numbers, **entry)


def _score(*, value: float | None, interval: dict[str, float] | None, **rest: Any) -> Score:
    """A score from JSON, where a number that is none is null."""
    return Score(
        value=math.nan if value is None else value, interval=Interval(**interval) if interval else None, **rest
    )
