"""Runs what an experiment asks for: what is finished is not done again, what was stopped goes on, what fails is told
and passed over.

    OUT/NAME/               the directory of a run, dropped on request once its result is written
    OUT/NAME.yaml, .log     its recipe, and what it said
    RESULTS/NAME.json       its result, written as it ends: small, to be committed
    RESULTS/tuning.json     every trial with its values, and what was chosen

NAME is CONDITION-SEED-FINGERPRINT. A result counts wherever the fingerprint of its settings is the same, so a run that
is a trial of two conditions is run once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from bambino.experiments.design import Experiment, ExperimentRun, Words
from bambino.experiments.local import Program, run_programs
from bambino.experiments.outcomes import Result, choices_of, read_results, trials_of, tuning_record
from bambino.experiments.summary import summarize
from bambino.files import write_atomically, write_json
from bambino.recipe.file import dump_recipe
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run
from bambino.runs.record import read_run
from bambino.stopping import was_stopped

OnEnd = Callable[[ExperimentRun, Result | str], None]
"""Called with each run that ended and its result, or the end of its log where it failed."""


class RunPrograms(Protocol):
    """Where programs run: this machine (`local.run_programs`, which says what each argument is) or a cluster."""

    def __call__(
        self,
        next_program: Callable[[], Program | None],
        workers: int,
        threads: int,
        on_end: Callable[[Program, int], None],
    ) -> int | None: ...


TOLD = 15
"""Last lines of a failed run's log that are shown."""


@dataclass
class Runner:
    """An experiment that is being run."""

    experiment: Experiment
    out: Path
    """Where run directories go."""
    results_folder: Path
    """Where result files lie and go."""
    stage: Literal["tuning", "test", "all"] = "all"
    drops_runs: bool = False
    """Whether a run's directory goes once its result is written."""
    more_words: tuple[str, ...] = ()
    """More words for `bambino train`, such as ("--code", "own.py")."""
    results: dict[str, Result] = field(init=False)
    """Fingerprint -> result, of all that are finished."""
    failed: set[str] = field(default_factory=set)
    """Fingerprints of runs that failed now."""
    _begun: dict[str, ExperimentRun] = field(default_factory=dict)
    """Name -> run, of those that were begun now."""

    def __post_init__(self) -> None:
        """Raises ExperimentError where the stage may not run."""
        if self.stage != "tuning":
            self._require_hypotheses()
        if self.stage == "tuning" and not self.experiment.trials:
            raise self.experiment.wrong("tuning", "There are no trials. Give some, or run --stage test.")
        self.results = read_results(self.results_folder)

    def _require_hypotheses(self) -> None:
        experiment = self.experiment
        if not experiment.hypotheses or not experiment.primary or not experiment.question:
            missing = next(key for key in ("question", "hypotheses", "primary") if not getattr(experiment, key))
            way_out = "Write it down before the test seeds run, or run --stage tuning."
            raise experiment.wrong(missing, f"It is not given, so nothing may be tested. {way_out}")
        if not experiment.test:
            raise experiment.wrong(
                "seeds.test", "There are none. Give some, such as [11, 12, 13], or run --stage tuning."
            )

    # ------------------------------------------------------------------------------------------------- what there is

    @property
    def choices(self) -> dict[str, Words]:
        """Condition -> the settings chosen for it, where its trials have ended."""
        return choices_of(self.experiment, trials_of(self.experiment, self.results, self.failed))

    def runs(self) -> list[ExperimentRun]:
        """All runs that are known by now, in order; of those with the same settings each."""
        tuning = [] if self.stage == "test" else self.experiment.trial_runs()
        return tuning + ([] if self.stage == "tuning" else self.test_runs())

    def test_runs(self) -> list[ExperimentRun]:
        """The runs on test seeds that are known by now."""
        return self.experiment.test_runs(self.choices)

    def left(self) -> list[ExperimentRun]:
        """Those to be done, each once."""
        done = self.results.keys() | self.failed | {run.fingerprint for run in self._begun.values()}
        found = {run.fingerprint: run for run in reversed(self.runs()) if run.fingerprint not in done}
        return list(reversed(found.values()))

    def undecided(self) -> list[str]:
        """Conditions that cannot be tested, as nothing was chosen for them yet."""
        return [name for name in self.experiment.conditions if name not in self.choices]

    # -------------------------------------------------------------------------------------------------- what is done

    def plan(self, on_end: OnEnd) -> list[Program]:
        """What `work` would begin now, for whoever runs it elsewhere: recipes written, no run begun.

        Runs that are whole leave their result, so that what is tested after trials is known once they have ended.
        """
        self._make_folders()
        return list(iter(lambda: self._next(on_end), None))

    def work(self, workers: int, threads: int, on_end: OnEnd, place: RunPrograms = run_programs) -> int | None:
        """Do what is left.

        Returns:
            The number of the signal that stopped it; None where none did.
        """
        self._make_folders()

        def ended(program: Program, status: int) -> None:
            run = self._begun[program.name]
            if is_whole(self.folder(run)):
                on_end(run, self._finish(run))
            elif not was_stopped(status):
                self.failed.add(run.fingerprint)
                on_end(run, _end_of(program.log) or f"It ended with status {status} and said nothing.")

        return place(lambda: self._next(on_end), workers, threads, ended)

    def folder(self, run: ExperimentRun) -> Path:
        """The directory of a run."""
        return self.out / run.name

    def _make_folders(self) -> None:
        for folder in (self.out, self.results_folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _next(self, on_end: OnEnd) -> Program | None:
        """The next run to begin; those that are whole already only leave their result."""
        while left := self.left():
            run = left[0]
            if not is_whole(self.folder(run)):
                return self._begin(run)
            on_end(run, self._finish(run))
        return None

    def _begin(self, run: ExperimentRun) -> Program:
        self._begun[run.name] = run
        folder, path = self.folder(run), self.out / f"{run.name}.yaml"
        words: tuple[str, ...] = ("train", "--resume", str(folder))
        if not holds_run(folder):
            write_atomically(path, dump_recipe(replace(run.recipe, output_dir=str(folder))))
            words = ("train", str(path), "--resume-if-begun")
        return Program(run.name, (*words, *self.more_words), self.out / f"{run.name}.log")

    def _finish(self, run: ExperimentRun) -> Result:
        """Write a whole run's result, and what was chosen where it was the last trial."""
        folder = self.folder(run)
        about = {"experiment": self.experiment.name, "condition": run.condition, "stage": run.stage, "seed": run.seed}
        result = {**about, **summarize(read_run(folder)), "fingerprint": run.fingerprint}
        self.results[run.fingerprint] = result
        write_json(self.results_folder / f"{run.name}.json", result)
        if tried := trials_of(self.experiment, self.results, self.failed):
            write_json(self.results_folder / "tuning.json", tuning_record(self.experiment, tried))
        if self.drops_runs:
            shutil.rmtree(folder)
            for ending in (".yaml", ".log"):
                (self.out / f"{run.name}{ending}").unlink(missing_ok=True)
        return result


def is_whole(folder: Path) -> bool:
    """Whether a run has come to its end: the trained baby is what it writes last."""
    return holds_run(folder) and (folder / "model").is_dir()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory(machine: Path = Path("/")) -> int:
    """Bytes that this process and those it begins may use: the machine's, or less in a container or a SLURM job."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in _limits(machine):
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            found.append(int(file.read_text()))
    return min(found)


def _limits(machine: Path) -> Iterator[Path]:
    """Where Linux writes what the control groups of this process may use of memory, its own and those around it."""
    with suppress(OSError):
        for line in (machine / "proc/self/cgroup").read_text().splitlines():
            _, kinds, group = line.split(":", 2)
            top, name = machine / "sys/fs/cgroup", "memory.max"
            if "memory" in kinds.split(","):  # version 1, which has a tree for each kind of limit
                top, name = top / "memory", "memory.limit_in_bytes"
            place = top / group.strip("/")
            yield from (folder / name for folder in (place, *place.parents) if folder.is_relative_to(top))


def workers_for(recipes: Iterator[Recipe], cores: int, memory: int) -> int:
    """As many runs at a time as there are cores, and as half of the memory has room for, whatever their number."""
    return max(1, min(cores, memory // 2 // max(map(_bytes_of, recipes))))


def _bytes_of(recipe: Recipe) -> int:
    """Memory that a run takes, roughly: libraries, then weights, gradients, two Adams and a reference of the baby."""
    return (1 << 30) + 8 * _size(recipe.baby) + 2 * _size(recipe.parent)


def _size(model: ModelConfig) -> int:
    """Bytes of a local model's files; 0 where it is none."""
    folder = Path(model.model or "").expanduser()
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) if model.model else 0


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return "\n".join(lines[-TOLD:])
