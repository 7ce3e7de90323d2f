"""A run from its beginning, or its checkpoint, to its end: lock, logs, evaluations, checkpoints, and what explains a
failure. Whatever happens, the run directory is left whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from bambino.errors import CheckpointError, ModelError, RunDirectoryError, StorageError, TrainingError
from bambino.files import finite, write_folder, write_json, writing
from bambino.measures import UNREAD, Measure
from bambino.models.participants import Participants, check_parent
from bambino.models.revisions import keep_earlier, reached
from bambino.phases.phase import Tools
from bambino.recipe.file import dump_recipe
from bambino.recipe.schedule import Place
from bambino.runs import checkpoint
from bambino.runs.directory import FORMAT, RunDirectory, holds_run
from bambino.runs.ledger import BASE
from bambino.runs.log import Row
from bambino.runs.machine import note_memory
from bambino.runs.provenance import check_same_run, environment, note_environment
from bambino.runs.record import read_run
from bambino.speaking.dreams import Dreams
from bambino.speaking.speaker import Speaker
from bambino.text.unknown import Unknown
from bambino.training.alarms import Alarm, Alarms, of_text
from bambino.training.budget import Budget
from bambino.training.parts import heard_and_answered, unknown_of
from bambino.training.publishing import Publisher
from bambino.training.state import RunState
from bambino.training.together import check_same_run_everywhere, check_same_weights
from bambino.training.warnings import warnings_of


class Started(NamedTuple):
    """How the first process started."""

    checkpoint: Path | None
    """What it goes on from."""
    constants: Path
    """Where what never changes in the run lies."""
    evaluation: dict[str, float] | None
    """Metrics of the first baby, where it was measured just now."""


class Session:
    """One `train`: everything around the steps."""

    def __init__(
        self,
        tools: Tools,
        state: RunState,
        publisher: Publisher,
        budget: Budget,
        participants: Participants,
        measures: list[Measure],
    ) -> None:
        self.args, self.tools, self.log = tools.recipe, tools, tools.log
        self.state, self.publisher, self.participants, self.measures = state, publisher, participants, measures
        self.processes, self.budget = tools.learner.processes, budget
        self.device, self.alarms = str(tools.learner.accelerator.device), Alarms(tools.recipe.alarms)
        self._warned_of: set[str] = set()
        """Measures that were said to be no measure."""
        self._saved_step: int | None = None
        """The step whose checkpoint was read or written last."""
        self._seen = 0.0
        """Words that the baby had heard in its life when the last step began, as revisions count them."""
        self._is_spent = False
        """Whether the next step could pass a limit of the budget; the first process tells."""
        self._stops: Alarm | None = None
        """An alarm that stops the run after this step."""

    @contextmanager
    def hold(self, resume: bool | str | Path) -> Iterator[None]:
        """Hold the run directory, begin or go on, and leave it whole whatever happens.

        Of several processes the first holds it, writes, and measures; the others go along.
        """
        check_same_run_everywhere(self.tools, self.participants)
        self.processes.from_first(lambda: self._hold(bool(resume)))
        try:
            self._follow(self.processes.from_first(lambda: self._start(resume)))
            self.state.went_on_at = self.state.step
            self._is_spent = self.processes.from_first(self._look_at_budget)
            with _blamed_on_the_run():
                yield
            check_same_weights(self.state)
            self.processes.from_first(self._save_checkpoint)
            if self.is_over:
                self.state.take_best()
            self.processes.from_first(self._end)
        except TrainingError as error:
            self._explain(error)
            raise
        except StorageError as error:
            error.args = (f"{error} {self._way_on()}",)
            raise
        finally:
            self.log.directory = None
            if self.processes.is_first:
                self.run.close()

    def _hold(self, resume: bool) -> None:
        """Take the run directory, once it is known that this may be done."""
        self._check_begun(resume)
        self.budget.check()
        if not resume:
            self._check_parent()
        self.run = self.log.directory = RunDirectory(self.args.output_dir)

    def _start(self, resume: bool | str | Path) -> Started:
        """Begin or go on."""
        self._check_begun(bool(resume))  # once more, now that no other process can begin one
        with writing(self.run.path):
            (self.run.path / "failure.json").unlink(missing_ok=True)
        for warning in warnings_of(self.args, self.tools, self.measures, self.unknown):
            self.log.warn(warning)
        return self._go_on(None if resume is True else Path(resume)) if resume else self._begin()

    def _follow(self, started: Started) -> None:
        """In the other processes: be where the first is."""
        if not self.processes.is_first:
            if started.checkpoint is not None:
                self.state.restore(checkpoint.load(started.checkpoint), started.constants)
            self.state.has_begun = True
            self._take(started.evaluation)
        check_same_weights(self.state)

    def _look_at_budget(self) -> bool:
        """What was heard by now; whether that is all."""
        self._seen = self.budget.seen
        return self.budget.ends_at(self.state.step)

    def _end(self) -> None:
        """Leave the trained baby, where the run is over."""
        if self.is_over:
            write_folder(self.run.model, self.publisher.publish)
        if self.budget.stopped is not None:
            self.log.warn(f"The run ends after step {self.state.step}. The next could pass {self.budget.stopped}")
        self.run.check_is_there()

    def _check_begun(self, resume: bool) -> None:
        """Refuse to begin where a run is, and to go on where none is."""
        place = self.args.output_dir
        if not resume and holds_run(place):
            raise RunDirectoryError(
                f"{place} already holds a run. Go on with it: bambino train --resume "
                f"{place} (in Python: train(resume_from_checkpoint=True)), or use another output_dir."
            )
        if resume and not holds_run(place):
            raise RunDirectoryError(f"{place} holds no run to resume.")

    def _way_on(self) -> str:
        """What is left of a run that could not be written, and how it goes on."""
        if not holds_run(self.run.path):
            return "If a run was going on there, it goes on from its last checkpoint where it is now, with --resume."
        saved = checkpoint.list_checkpoints(self.run.checkpoints)
        where = f"from step {checkpoint.step_of(saved[-1])}, its last checkpoint" if saved else "from its first step"
        return f"Make it writable (is the disk full?), then go on with --resume {self.run.path}, {where}."

    def finish_step(self, at: Place, row: Row) -> None:
        """A step is done: count it, log it, evaluate and save when due."""
        row |= self.state.end_step()
        self.state.step = at.step + 1
        if self._is_to_be_saved:
            check_same_weights(self.state)
        evaluation, self._is_spent = self.processes.from_first(lambda: self._finish_step(at, row))
        if not self.processes.is_first:
            self._take(evaluation)

    def _finish_step(self, at: Place, row: Row) -> tuple[dict[str, float] | None, bool]:
        """Gives the evaluation's metrics, where one was due, and whether the budget is spent."""
        self.run.check_is_there()
        row |= self.state.costs.row() | self.budget.row()
        self._alarm(self.alarms.take(self.log.step(self.state.step, at.phase, row)))
        every, is_spent = self.args.evaluation.eval_steps, self.budget.ends_at(self.state.step)
        is_last = is_spent or self.state.step == self.args.max_steps
        is_due = every is not None and (self.state.step % every == 0 or is_last)
        evaluation = self._evaluate() if is_due else None
        self._keep_revisions()
        if self._is_to_be_saved:
            self._save_checkpoint()
        self._stop_if_alarmed()
        return evaluation, is_spent

    @property
    def _is_to_be_saved(self) -> bool:
        """Whether a checkpoint is due after this step; the last one is saved at the end."""
        return self.state.step % self.args.save_steps == 0 and self.state.step != self.args.max_steps

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, a budget is spent, or early stopping has waited long enough."""
        best = self.state.best
        has_waited = best is not None and best.is_waited_for_enough
        return has_waited or self.state.step >= self.args.max_steps or self._is_spent

    def measured(self) -> tuple[dict[str, float], list[Row]]:
        """Every score of every measure, and what the baby said."""
        baby = Speaker(self.state.published, self.tools.tokenizer)
        results = [measure(baby) for measure in self.measures]
        for result in results:
            if UNREAD in result.settings and result.task not in self._warned_of:
                self._warned_of.add(result.task)
                what = "is too low, and not comparable with other tokenizers"
                self.log.warn(f"{result.task} {what}: {result.settings[UNREAD]}.")
        metrics = {f"eval/{score.name}": score.value for result in results for score in result.scores}
        return metrics, [row for result in results for row in result.said]

    @cached_property
    def unknown(self) -> dict[str, Unknown]:
        """What of the L2 text baby and parent cannot spell."""
        return unknown_of(self.tools)

    def _check_parent(self) -> None:
        """Refuse a parent that knows L2 less than the baby does."""
        if self.args.parent.must_know_l2:
            rows = self.tools.streams.lines.rows
            check_parent(self.participants, [rows[i].tolist() for i in range(min(64, len(rows)))])

    def _manifest(self) -> dict[str, Any]:
        """What the run is made of, for data.json."""
        return {
            "format": FORMAT,
            "began_in": str(Path.cwd()),
            **heard_and_answered(self.tools),
            **self.participants.digests,
            "unknown": {role: asdict(unknown) for role, unknown in self.unknown.items()},
            "evaluation": {measure.name: measure.depends_on for measure in self.measures},
            "phases": list(self.state.phases),
        }

    def _begin(self) -> Started:
        """Write what the run is made of; measure the baby before its first step."""
        if self.state.has_begun:
            raise RunDirectoryError(
                f"{self.run.path} holds no checkpoint to go on from, and this trainer's baby has already learned. "
                "Make a new BambinoTrainer to start again."
            )
        self.state.begin(self.run.constants)
        if self.tools.dreaming is not None:
            self._keep(self.tools.dreaming.dreams)
        if self.budget.revisions is not None and self.args.baby.model is not None:
            keep_earlier(Path(self.args.baby.model).expanduser(), self.budget.seen, self.run.revisions)
        self.run.truncate_logs({"metrics": 0, "utterances": 0})
        manifest = {**self._manifest(), BASE: self.budget.base}
        self.run.describe(dump_recipe(self.args), manifest, self._environment() | {"resumed": []})
        self._alarm(of_text(self.args.alarms, self.unknown["baby"]))
        evaluation = None if self.args.evaluation.eval_steps is None else self._evaluate()
        self._stop_if_alarmed()
        return Started(None, self.run.constants, evaluation)

    def _keep(self, dreams: Dreams) -> None:
        """Store the first baby's own texts, and count what they cost."""
        dreams.save(self.run.dreams)
        self.state.costs.written("first_baby", [dream.text for dream in dreams.all])
        self.state.costs.computed(self.state.learner.baby.lm, dreams.tokens, dreams.tokens)

    def _go_on(self, path: Path | None) -> Started:
        """Take up the run from a checkpoint, the newest whole one by default; from the start when there is none."""
        check_same_run(self.run.path, self.args, self._manifest())
        found = checkpoint.load(path) if path else checkpoint.load_latest(self.run.checkpoints, self.log.warn)
        if found is None:
            return self._begin()
        self._check_described(found)
        self.state.restore(found, self.run.constants)
        self._saved_step = self.state.step
        with writing(self.run.checkpoints):
            checkpoint.delete_after(self.run.checkpoints, self.state.step)
        if changes := note_environment(self.run.path, self._environment(), self.state.step):
            self.log.warn(
                f"The run goes on elsewhere ({'; '.join(changes)}): its bits may differ from a run never stopped."
            )
        marks = found.state["log_offsets"], found.state.get("log_digests")
        for log, what in self.run.truncate_logs(*marks).items():
            self.log.warn(f"{log} {what} at step {self.state.step}. The run goes on without them.")
        self.alarms = Alarms(self.args.alarms)
        for row in read_run(self.run.path).rows:
            self.alarms.take(row)
        return Started(found.path, self.run.constants, None)

    def _environment(self) -> dict[str, Any]:
        """Where the run runs."""
        return environment(self.device) | {"processes": self.processes.count}

    def _check_described(self, found: checkpoint.Checkpoint) -> None:
        """A checkpoint is of the run that the files beside it describe.

        Raises:
            CheckpointError: naming the file that was damaged or edited, or is another run's.
        """
        now = self.run.digests()
        for name, digest in found.state.get("described_by", {}).items():
            if now[name] != digest:
                raise CheckpointError(
                    f"{self.run.path / name} is not as it was when {found.path} was saved: it was damaged or "
                    "edited, or the checkpoint is another run's. Put it back."
                )

    def _evaluate(self) -> dict[str, float]:
        with self.state.costs.time("evaluation"):
            metrics, said = self.measured()
        row = self.log.evaluation(self.state.step, metrics | self._take(metrics))
        if said:
            self.log.utterances("evaluation", self.state.step, said)
        self._alarm(self.alarms.take(row))
        return metrics

    def _alarm(self, alarms: Iterable[Alarm]) -> None:
        """Tell alarms, and keep one that is to stop the run."""
        for alarm in alarms:
            self.log.metrics(alarm.row(self.state.step))
            if alarm.name in self.args.alarms.stop:
                self._stops = alarm

    def _stop_if_alarmed(self) -> None:
        """Save a checkpoint and stop; a run that goes on from it does so, for the alarm has been told."""
        if self._stops is not None:
            alarm, self._stops = self._stops, None
            self._save_checkpoint()
            raise TrainingError(f"alarm {str(alarm).rstrip('.')}", alarm.row(self.state.step))

    def _take(self, metrics: dict[str, float] | None) -> dict[str, float]:
        """Take an evaluation into account, if there was one; where the best counts, which it is so far, for its row."""
        best = self.state.best
        if metrics is None:
            return {}
        self.state.last_evaluation, self.state.evaluated_at = metrics, self.state.step
        if best is None:
            return {}
        best.take(self.state.step, metrics, self.state.published)
        return {} if best.step is None else {"best/step": best.step}

    def _save_checkpoint(self) -> None:
        if self._saved_step == self.state.step:
            return
        with self.state.costs.time("checkpoint"), writing(self.run.checkpoints):
            self.run.check_is_there()
            numbers = {**self.state.numbers(), **self.run.log_marks(), "described_by": self.run.digests()}
            tensors = self.state.tensors()
            self.state.check_is_finite(tensors)
            checkpoint.save(
                self.run.checkpoints,
                self.state.step,
                self.publisher.write,
                tensors,
                numbers,
                keep=self.args.save_total_limit,
                keep_every=self.args.keep_every,
            )
            note_memory(self.run.path, self.device)
        self._saved_step = self.state.step

    def _keep_revisions(self) -> None:
        """Keep the baby as it is where this step's batch was the first to reach a number of words."""
        if (unit := self.budget.revisions) is None:
            return
        before, self._seen = self._seen, self.budget.seen
        for name in reached(before, self._seen, unit):
            with self.state.costs.time("checkpoint"):
                write_folder(self.run.revisions / name, self.publisher.write)

    def _explain(self, error: TrainingError) -> None:
        """Leave what explains a failure in failure.json and name it in the message; the first process does."""
        if not self.processes.is_first:
            return
        path, step = self.run.path / "failure.json", self.state.step
        phase = self.tools.schedule.at(max(0, min(step, self.args.max_steps - 1))).phase
        read = [ids.tolist() for ids in self.state.learner.last_read]
        content = {"step": step, "phase": phase, "error": str(error), "input_ids": read, **error.details}
        explained = f"What explains it is in {path}."
        try:
            write_json(path, finite(content))
        except StorageError as unwritten:
            explained = str(unwritten)
        saved = self._saved_step
        left = "No checkpoint was saved." if saved is None else f"The last checkpoint is step {saved}."
        error.args = (f"Stopped at step {step}: {error}. {explained} {left}",)


@contextmanager
def _blamed_on_the_run() -> Iterator[None]:
    """A model that gives no numbers was fine when it was opened: the run made it so."""
    try:
        yield
    except ModelError as error:
        raise TrainingError(str(error), {}) from error
