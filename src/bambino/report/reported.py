"""What a report is about: runs, told by condition and seed, and what was asked of them. Reads run directories alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bambino.analysis.curves import Curve, read_curves
from bambino.errors import ReportError
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run
from bambino.runs.names import condition_of
from bambino.runs.record import RunRecord, read_run

TRIALS = "dev"
"""The half of the held-out lines that an experiment's trials are measured on."""


@dataclass(frozen=True)
class SeedRun:
    """One run: a condition with a seed."""

    condition: str
    seed: int
    record: RunRecord

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end: the trained baby is what it writes last."""
        return (self.record.path / "model").is_dir()

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Every measure along the run, without `eval/`; empty before the first evaluation."""
        return read_curves(self.record.path) if self.record.evaluations else {}


@dataclass(frozen=True)
class Asked:
    """What an experiment's file says it is about."""

    name: str = ""
    question: str = ""
    hypotheses: tuple[str, ...] = ()
    primary: str = ""
    """The metric that the verdict goes by; empty: the L2 measure."""
    secondary: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    """In the order that they are shown; the first is what the others are compared with. Others come after them."""


@dataclass(frozen=True)
class Reported:
    """What a report is about."""

    name: str
    runs: tuple[SeedRun, ...]
    asked: Asked = Asked()
    trials: int = 0
    """Runs that chose settings and are left out."""
    languages: tuple[str, str] | None = None
    """The measures that stand for L1 and L2, as given; None: they are told by the recipes (`curves_of_languages`)."""

    @cached_property
    def conditions(self) -> list[str]:
        """In the order in which they are shown; a condition's place is its colour on the page."""
        there = dict.fromkeys(run.condition for run in self.runs)
        return [name for name in self.asked.conditions if name in there] + [
            name for name in there if name not in self.asked.conditions
        ]

    def of(self, condition: str) -> list[SeedRun]:
        """The runs of a condition, by rising seed."""
        return sorted((run for run in self.runs if run.condition == condition), key=lambda run: run.seed)

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})


def read_reported(
    paths: Sequence[str | Path] | Mapping[str, Sequence[str | Path]],
    *,
    asked: Asked | None = None,
    languages: tuple[str, str] | None = None,
) -> Reported:
    """Find the runs and read which condition and seed each is.

    Args:
        paths: run directories, or folders that hold some; or condition -> its run directories. Otherwise a run's
            condition is its directory's name without its seed at the end (`clm-11`, `clm-11-0a1b2c3d`).

    Raises:
        ReportError: no run in one of them, or two runs of one condition and seed.
        RunDirectoryError: a directory without a run's files.
    """
    if isinstance(paths, Mapping):
        named = [(condition, path) for condition, those in paths.items() for path in those]
        runs = [SeedRun(condition, _seed(path), read_run(path)) for condition, path in named]
    else:
        folders = dict.fromkeys(found.absolute() for path in paths for found in find_runs(path))
        runs = _told_apart([_run_of(folder) for folder in folders])
    _check(runs)
    tested = [run for run in runs if not _is_trial(run)] or runs
    name = asked.name if asked is not None and asked.name else _name([run.record.path for run in runs])
    return Reported(name, tuple(tested), asked or Asked(), len(runs) - len(tested), languages)


def find_runs(path: str | Path) -> list[Path]:
    """The run directory itself, or those in a folder (a demo's lie in its runs/), by name.

    Raises:
        ReportError: there is none.
    """
    folder = Path(path).expanduser()
    if holds_run(folder):
        return [folder]
    for place in (folder, folder / "runs"):
        if found := sorted(inner for inner in place.glob("*") if holds_run(inner)):
            return found
    raise ReportError(
        f"{path} is no run, and no folder of runs{'' if folder.exists() else ': there is nothing there'}. Give the "
        "output_dir of a run, or the --out folder of an experiment."
    )


def _run_of(folder: Path) -> SeedRun:
    seed = _seed(folder)
    return SeedRun(condition_of(folder.name, seed), seed, read_run(folder))


def _seed(path: str | Path) -> int:
    seed = read_run(path).settings.get("seed", Recipe().seed)
    if not isinstance(seed, int):
        raise ReportError(f"{path}/recipe.yaml: seed is {seed!r}, not a whole number.")
    return seed


def _told_apart(runs: list[SeedRun]) -> list[SeedRun]:
    """Runs whose names tell the same condition and seed go by their whole names."""
    count = Counter((run.condition, run.seed) for run in runs)
    return [
        run if count[run.condition, run.seed] == 1 else replace(run, condition=run.record.path.name) for run in runs
    ]


def _check(runs: Sequence[SeedRun]) -> None:
    """Raises ReportError where a condition has two runs of one seed."""
    first: dict[tuple[str, int], SeedRun] = {}
    for run in runs:
        if (other := first.setdefault((run.condition, run.seed), run)) is not run:
            problem = f"{other.record.path} and {run.record.path} are both {run.condition} with seed {run.seed}."
            raise ReportError(f"{problem} Give one of them, or name them: CONDITION=RUN.")


def _is_trial(run: SeedRun) -> bool:
    return bool(run.record.settings.get("evaluation", {}).get("split") == TRIALS)


def _name(folders: Sequence[Path]) -> str:
    """The run's name, or that of the folder that all lie in."""
    if len(folders) == 1:
        return folders[0].name
    parents = {folder.parent for folder in folders}
    parent = next(iter(parents)) if len(parents) == 1 else Path("runs")
    return parent.parent.name if parent.name == "runs" and parent.parent.name else parent.name
