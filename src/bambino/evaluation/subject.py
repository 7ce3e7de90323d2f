"""Who is evaluated: a model, or a run with its trained model, its first baby, its parent and its checkpoints."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bambino.errors import ModelError, PlanError
from bambino.evaluation.plan import Plan
from bambino.models.loading import is_on_hub
from bambino.models.revisions import revisions_in
from bambino.recipe.model_settings import ModelConfig
from bambino.runs.checkpoint import list_checkpoints
from bambino.runs.directory import holds_run
from bambino.runs.record import read_run
from bambino.speaking.speaker import Speaker, open_speaker
from bambino.text.sieve import LineBreaks


@dataclass(frozen=True)
class Subject:
    """Who is evaluated."""

    name: str
    model: str
    """A folder or hub name that opens with AutoModelForCausalLM."""
    run: Path | None
    """The run directory it comes from, if it does."""
    first: str | None
    """The baby before the run; None where it is not there any more."""
    parent: str | None
    """What it says is scored by this model."""
    heldout_every: int | None
    """The held-out rule: its run's, else the plan's."""
    normalization: str | None = "NFC"
    """The Unicode form of its texts: its run's, else NFC."""
    line_breaks: LineBreaks = "spaces"
    """What they are in its texts: as its run has it, else spaces."""

    @property
    def earlier(self) -> dict[int, Path]:
        """Steps done -> model, before the trained one: the baby before the run, if it is still there, and every whole
        checkpoint that was kept."""
        if self.run is None:
            return {}
        ages = {} if self.first is None else {0: Path(self.first).expanduser()}
        ages |= {
            int(path.name.removeprefix("step-")): path / "model" for path in list_checkpoints(self.run / "checkpoints")
        }
        steps = self.steps
        return {step: path for step, path in ages.items() if step < steps}

    @property
    def steps(self) -> int:
        """Steps done; 0 of a model that comes from no run."""
        return 0 if self.run is None else read_run(self.run).steps_done


def subject_of(model: str, plan: Plan) -> Subject:
    """The model behind a path: a run directory's trained model, or the model itself.

    Raises:
        PlanError: a run that has no trained model yet; something of a run asked for of what is none.
    """
    path = Path(model).expanduser()
    shown = model if plan.revision is None else f"{model}, {plan.revision}"
    for name in ("checkpoints", "child_order", "levels", "gains"):
        if getattr(plan, name) and (plan.revision is not None or not holds_run(path)):
            raise PlanError(f"{name}: {shown} is no run directory. Give one, or leave --{name} out.")
    if not holds_run(path):
        return Subject(shown, model, None, None, plan.parent, plan.heldout_every)
    settings = read_run(path).settings
    parent = plan.parent or settings["parent"]["model"]
    text = settings["text"]
    rules = (text["heldout_every"], text.get("normalization", "NFC"), text.get("line_breaks", "spaces"))
    if plan.revision is not None:  # opened by its name, with no curves of its own
        return Subject(shown, model, None, first_baby(path), parent, *rules)
    return Subject(model, trained_model(path), path, first_baby(path), parent, *rules)


def opened(config: ModelConfig, role: Literal["baby", "parent"]) -> Speaker:
    """Open the model under test, or its parent.

    Raises:
        ModelError: it cannot be used; the message names the options of `bambino evaluate`.
    """
    try:
        return open_speaker(config, role)
    except ModelError as error:  # which speaks of recipes
        prefix, named = {"baby": ("", "model"), "parent": ("parent_", "parent")}[role]
        said = str(error).replace(f"{role}.model", named)
        raise ModelError(said.replace(f"{role}.trust_remote_code", f"--{prefix}trust_remote_code")) from None


def trained_model(run: str | Path) -> str:
    """The folder of a run's trained model.

    Raises:
        PlanError: it has none yet.
    """
    folder = Path(run).expanduser() / "model"
    if not folder.is_dir():
        raise PlanError(
            f"{run} is a run without a trained model: it has not reached its last step. Go on with bambino train "
            f"--resume {run}, or evaluate one of its checkpoints: {run}/checkpoints/step-.../model"
        )
    return str(folder)


def first_baby(run: str | Path) -> str | None:
    """The baby that a run began with; None where its recipe names none, or it is not there any more."""
    baby = read_run(run).settings["baby"]
    first, revision = baby["model"], baby.get("revision")
    if first is None or is_on_hub(first):
        return None if first is None else str(first)
    if not os.path.isdir(os.path.expanduser(first)):
        return None
    return str(first) if revision is None else str(revisions_in(Path(first).expanduser()).get(revision, first))
