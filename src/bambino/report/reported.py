"""What a report is about: runs, told by condition and seed, and what was asked of them. Reads run directories alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bambino.analysis.answers import Answer, Outcome, Outcomes, answer
from bambino.analysis.curves import PREFIX, Curve, curves_of
from bambino.errors import ReportError
from bambino.files import json_of
from bambino.recipe.metrics import direction_of
from bambino.recipe.settings import Recipe
from bambino.report.inquiry import Inquiry, Languages
from bambino.runs.directory import holds_run
from bambino.runs.names import condition_of, is_headline
from bambino.runs.record import RunRecord, read_run

TRIALS = "dev"
"""The half of the held-out lines that an experiment's trials are measured on."""
TEXTS = "bits_per_byte/"


@dataclass(frozen=True)
class SeedRun:
    """One run: a condition with a seed."""

    condition: str
    seed: int
    record: RunRecord

    @property
    def max_steps(self) -> int:
        return int(self.record.settings.get("max_steps") or 0)

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end: the trained baby is what it writes last."""
        return (self.record.path / "model").is_dir() or 0 < self.max_steps <= self.record.steps_done

    @property
    def failure(self) -> str:
        """Why it stopped, where it failed; else empty."""
        path = self.record.path / "failure.json"
        try:
            found = json_of(path.read_bytes())
            return str(found.get("error") or found) if isinstance(found, dict) else str(found)
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            return f"{path.name} cannot be read ({error})"

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Every measure along the run, without `eval/`; empty before the first evaluation."""
        rows = [{**row, "words": self.record.words_heard(row["step"])} for row in self.record.evaluations]
        return curves_of(rows)

    @property
    def outcome(self) -> Outcome:
        """What it has found: the numbers of the model that it left, and its costs."""
        record = self.record
        row: dict[str, Any] = next((one for one in record.evaluations if one["step"] == record.model_step), {})
        measured = {name.removeprefix(PREFIX): value for name, value in numbers(row).items() if is_headline(name)}
        costs = {f"total/{name}": float(value) for name, value in record.totals.items()}
        return Outcome(costs | measured, self.curves, {name: float(value) for name, value in record.totals.items()})


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row."""
    return {
        name: float(value) for name, value in row.items() if isinstance(value, int | float) and math.isfinite(value)
    }


@dataclass(frozen=True)
class Reported:
    """What a report is about."""

    name: str
    runs: tuple[SeedRun, ...]
    inquiry: Inquiry = field(default_factory=Inquiry)
    trials: int = 0
    """Runs that chose settings and are left out."""

    @cached_property
    def conditions(self) -> list[str]:
        """In the order in which they are shown; a condition's place is its colour on the page."""
        there = dict.fromkeys(run.condition for run in self.runs)
        return list(dict.fromkeys([name for name in self.inquiry.conditions if name in there] + list(there)))

    @property
    def is_over(self) -> bool:
        """Whether every run has come to its end."""
        return all(run.is_over for run in self.runs)

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    def of(self, condition: str) -> list[SeedRun]:
        """The runs of a condition, by rising seed."""
        return sorted((run for run in self.runs if run.condition == condition), key=lambda run: run.seed)

    @cached_property
    def measures(self) -> list[str]:
        """Headline metrics of evaluations that any run has, with `eval/`; bits per byte first, then pairs and tasks."""
        names = dict.fromkeys(name for run in self.runs for row in run.record.evaluations for name in numbers(row))
        order = (f"{PREFIX}{TEXTS}", f"{PREFIX}pairs/", f"{PREFIX}tasks/", PREFIX)
        headlines = [name for name in names if is_headline(name)]
        return sorted(headlines, key=lambda name: next(i for i, prefix in enumerate(order) if name.startswith(prefix)))

    @cached_property
    def languages(self) -> Languages | None:
        """The measures that stand for L1 and L2: as given; else texts called l1 and l2; else L2 is the text
        that the runs hear, or that of which bits per byte fall most, and L1 the other. None: nobody can tell."""
        if self.inquiry.languages is not None:
            return self.inquiry.languages
        texts = [name.removeprefix(PREFIX) for name in self.measures if name.startswith(f"{PREFIX}{TEXTS}")]
        texts = [name for name in texts if name.count("/") == 1]
        if {f"{TEXTS}l1", f"{TEXTS}l2"} <= set(texts):
            return f"{TEXTS}l1", f"{TEXTS}l2"
        if len(texts) != 2:
            return None
        heard = [name for name in texts if any(_hears(run, name.removeprefix(TEXTS)) for run in self.runs)]
        l2 = heard[0] if len(heard) == 1 else max(texts, key=self._fall)
        return next(name for name in texts if name != l2), l2

    def _fall(self, measure: str) -> float:
        """How far it falls, at most, from a run's first evaluation to its last."""
        curves = [run.curves[measure].values for run in self.runs if measure in run.curves]
        return max(values[0] - values[-1] for values in curves)

    @cached_property
    def answer(self) -> Answer | None:
        """What the finished runs say of the conditions; None where there is no measure with a better direction.

        The answer that `bambino experiment` wrote stands where it knows of more runs than are here.
        """
        outcomes = self._outcomes()
        computed = None if outcomes is None else answer(outcomes)
        written = self.inquiry.answer
        return written if written is not None and _finished(written) > _finished(computed) else computed

    def _outcomes(self) -> Outcomes | None:
        names = [name.removeprefix(PREFIX) for name in self.measures]
        primary = self.inquiry.primary or (
            self.languages[1] if self.languages else next(filter(direction_of, names), "")
        )
        if not primary or not self.runs:
            return None
        others = [name for name in names if direction_of(name) and name != primary and not name.endswith("/human")]
        return Outcomes(
            self.name,
            self.inquiry.question,
            self.inquiry.hypotheses,
            primary,
            self.inquiry.secondary or tuple(others),
            self.languages,
            self.baseline,
            tuple(sorted({*self.inquiry.seeds, *self.seeds})),
            {name: {run.seed: run.outcome for run in self.of(name) if run.is_over} for name in self.conditions},
        )

    @property
    def baseline(self) -> str:
        """The condition that the others are compared with: as asked; else clm, else the first."""
        for name in (self.inquiry.baseline, "clm"):
            if name in self.conditions:
                return name
        return self.conditions[0]


def _hears(run: SeedRun, text: str) -> bool:
    """Whether the lines of an evaluated text come from the files that a run hears."""
    evaluated = run.record.settings.get("evaluation", {}).get("texts") or {}
    heard = run.record.settings.get("text", {}).get("sources") or []
    return any(source in heard for source in evaluated.get(text, ()))


def _finished(found: Answer | None) -> int:
    return 0 if found is None else sum(len(one.seeds) for one in found.conditions.values())


def read_reported(
    paths: Sequence[str | Path] | Mapping[str, Sequence[str | Path]], inquiry: Inquiry | None = None
) -> Reported:
    """Find the runs and read which condition and seed each is.

    Args:
        paths: run directories, or folders that hold some; or condition -> its run directories. Otherwise a run's
            condition is its directory's name without its seed at the end (`clm-11`, `clm-11-0a1b2c3d`). Where an answer
            was written, there need be no run any more.

    Raises:
        ReportError: no run in one of them, or two runs of one condition and seed.
        RunDirectoryError: a directory without a run's files.
    """
    inquiry = inquiry or Inquiry()
    if isinstance(paths, Mapping):
        runs = [_run_of(Path(path), condition) for condition, those in paths.items() for path in those]
    else:
        places = [path for path in paths if inquiry.answer is None or _runs_in(path)]
        folders = dict.fromkeys(found.absolute() for path in places for found in find_runs(path))
        runs = _told_apart(list(map(_run_of, folders)))
    _check(runs)
    tested = [run for run in runs if not _is_trial(run)] or runs
    name = inquiry.name or _name([run.record.path for run in runs])
    return Reported(name, tuple(tested), inquiry, len(runs) - len(tested))


def find_runs(path: str | Path) -> list[Path]:
    """The run directory itself, or those in a folder (a demo's lie in its runs/), by name.

    Raises:
        ReportError: there is none.
    """
    if found := _runs_in(path):
        return found
    folder = Path(path).expanduser()
    why = "it holds none" if folder.is_dir() else "it is a file" if folder.exists() else "there is nothing there"
    raise ReportError(
        f"{path} is no run and no folder of runs: {why}. Give the output_dir of a run, or the --out folder of an "
        "experiment."
    )


def _runs_in(path: str | Path) -> list[Path]:
    folder = Path(path).expanduser()
    if holds_run(folder):
        return [folder]
    places = (sorted(inner for inner in place.glob("*") if holds_run(inner)) for place in (folder, folder / "runs"))
    return next(filter(None, places), [])


def _run_of(folder: Path, condition: str | None = None) -> SeedRun:
    record = read_run(folder)
    seed = record.settings.get("seed", Recipe().seed)
    if not isinstance(seed, int):
        raise ReportError(f"{folder / 'recipe.yaml'}: seed is {seed!r}, not a whole number. Is it of a bambino run?")
    return SeedRun(condition or condition_of(folder.name, seed), seed, record)


def _told_apart(runs: list[SeedRun]) -> list[SeedRun]:
    """Runs whose names tell the same condition and seed go by their whole names."""
    count = Counter((run.condition, run.seed) for run in runs)
    return [
        run if count[run.condition, run.seed] == 1 else replace(run, condition=run.record.path.name) for run in runs
    ]


def _check(runs: Iterable[SeedRun]) -> None:
    """Raises ReportError where a condition has two runs of one seed."""
    first: dict[tuple[str, int], SeedRun] = {}
    for run in runs:
        if (other := first.setdefault((run.condition, run.seed), run)) is not run:
            problem = f"{other.record.path} and {run.record.path} are both {run.condition} with seed {run.seed}."
            raise ReportError(f"{problem} Give one of them, or name them apart: CONDITION=RUN.")


def _is_trial(run: SeedRun) -> bool:
    return bool(run.record.settings.get("evaluation", {}).get("split") == TRIALS)


def _name(folders: Sequence[Path]) -> str:
    """The run's name, or that of the folder that all lie in."""
    if len(folders) == 1:
        return folders[0].name
    parents = {folder.parent for folder in folders}
    parent = next(iter(parents)) if len(parents) == 1 else Path("runs")
    return parent.parent.name if parent.name == "runs" and parent.parent.name else parent.name
