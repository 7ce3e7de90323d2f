"""What several processes must have alike: the run they are of, before anything is written, and their weights."""

from __future__ import annotations

import json

from bambino.models.digests import weights_sha256
from bambino.models.participants import Participants
from bambino.phases.phase import Tools
from bambino.recipe.file import dump_recipe
from bambino.training.parts import heard_and_answered
from bambino.training.state import RunState


def check_same_run_everywhere(tools: Tools, participants: Participants) -> None:
    """Refuse processes that would not do the same: on another machine a text or a model may be another.

    Raises:
        ProcessError: naming what differs.
    """
    if tools.learner.processes.count > 1:
        made_of = {**heard_and_answered(tools), **participants.digests, "recipe": dump_recipe(tools.recipe)}
        digests = {name: json.dumps(what, sort_keys=True) for name, what in made_of.items()}
        tools.learner.processes.check_alike(digests, "The processes are not of one run")


def check_same_weights(state: RunState) -> None:
    """Refuse to go on, or to save anything, when the weights of the processes have come apart.

    Raises:
        ProcessError: they have.
    """
    processes = state.learner.processes
    if processes.count > 1:
        digests = {"weights": weights_sha256(state.learner.baby.lm)}
        processes.check_alike(digests, f"The processes have come apart by step {state.step}")
