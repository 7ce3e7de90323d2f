"""A phase: one kind of step of Algorithm 1. One file a phase, one face.

The trainer knows nothing else of phases. A phase of your own is a class that is made from `Tools` and has this face;
give it to the trainer by name (`phases={"mine": MyPhase}`) and put the name into `schedule.cycle`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.feedback.rewards import Kind
from bambino.recipe.schedule import Place, Schedule
from bambino.recipe.settings import Recipe
from bambino.runs.costs import Costs
from bambino.runs.log import Row, RunLog
from bambino.speaking.dreams import Dreaming
from bambino.speaking.speaker import Speaker
from bambino.text.replay import ReplayStream
from bambino.text.streams import Streams

if TYPE_CHECKING:
    from bambino.phases.learner import Learner


@dataclass
class State:
    """What a checkpoint must hold of a phase."""

    numbers: dict[str, Any] = field(default_factory=dict)
    """As JSON can say it."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    """What moves; written into every checkpoint."""
    constants: dict[str, Tensor] = field(default_factory=dict)
    """What never changes in a run; written once, before the first step, and known by its digest."""


class Phase(Protocol):
    """A kind of step."""

    name: str
    """The prefix of its metrics, of its time, and of its optimizer's group in a checkpoint."""
    updates_per_step: int
    """Optimizer steps that a step takes."""

    def begin_block(self) -> None:
        """The step before was another phase's, or there was none."""

    def step(self, at: Place) -> Row:
        """Draw the step's batch, update the baby, and say what there is to say: `NAME/metric` -> number."""

    def end_step(self) -> None:
        """A step of any phase is done."""

    def state(self) -> State:
        """What a checkpoint must hold."""

    def restore(self, state: State) -> None:
        """Put back what `state` gave."""


@dataclass(frozen=True)
class Tools:
    """What a phase works with."""

    recipe: Recipe
    schedule: Schedule
    learner: Learner
    """The baby, and how its weights are moved."""
    streams: Streams
    """What the baby hears, and what its prompts are cut from."""
    tokenizer: PreTrainedTokenizerBase
    """The baby's."""
    parent: Speaker | None
    kinds: list[Kind]
    """Kinds of feedback, for all phases."""
    costs: Costs
    log: RunLog
    replay: ReplayStream | None = None
    """What the baby hears of L1 beside L2."""
    dreaming: Dreaming | None = None
    """What it hears of its own beside L2: texts of the first baby."""
    first_baby: PreTrainedModel | None = None
    """The baby as it was, frozen; None where nothing is learned from it."""

    def feedback_for(self, phase: str) -> list[Kind]:
        """The kinds of feedback that a phase learns from."""
        return [kind for kind in self.kinds if kind.phase == phase]

    @property
    def beside(self) -> dict[str, ReplayStream]:
        """What is heard beside L2, by the name that its metrics have."""
        dreams = None if self.dreaming is None else self.dreaming.heard
        return {name: stream for name, stream in (("replay", self.replay), ("dream", dreams)) if stream is not None}


MakePhase = Callable[[Tools], Phase]
