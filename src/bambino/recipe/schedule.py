"""Step -> phase, and update -> learning rate: pure functions, so that resuming is knowing the step.

cycle    w w w | c c c c c c c c c c p p | c c c c c c c c c c p p | ...     w: warm-up
blocked  w w w | c c c c c c c c c c c c c c c c c c c c p p p p             the same counts, phase by phase
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bambino.recipe.phase_settings import PhaseConfig
from bambino.recipe.settings import ScheduleConfig


@dataclass(frozen=True)
class Place:
    """Where in a run a step stands."""

    step: int
    """From 0; keys random streams."""
    phase: str
    nth: int
    """Steps of this phase before it: the phase's own position, with which its streams need no state."""
    begins: bool
    """Whether the step before it was another phase's, or there is none."""
    ends: bool
    """Whether a step of another phase comes next."""
    progress: float
    """Share of the run's steps done before it."""


@dataclass(frozen=True)
class Schedule:
    """Which phase a step belongs to, in a run of `max_steps` steps."""

    config: ScheduleConfig
    max_steps: int

    def at(self, step: int) -> Place:
        """The place of a step (from 0)."""
        phase = self._phase(step)
        begins = step == 0 or self._phase(step - 1) != phase
        ends = step + 1 < self.max_steps and self._phase(step + 1) != phase
        return Place(step, phase, self.count(phase, step), begins, ends, step / max(1, self.max_steps))

    def count(self, phase: str, step: int) -> int:
        """How many of the steps 0 .. step - 1 belong to the phase."""
        warmup, cycle = self.config.warmup, self.config.cycle
        first = sum(warmup.values())
        blocks = cycle
        if self.config.blocked:
            blocks = {name: _in_cycles(cycle, name, self.max_steps - first) for name in cycle}
        return _in_blocks(warmup, phase, step) + _in_cycles(blocks, phase, step - first)

    def _phase(self, step: int) -> str:
        return next(name for name in self.config.phases if self.count(name, step + 1) > self.count(name, step))


def steps_for(config: ScheduleConfig, phase: str, wanted: int) -> int:
    """Steps of a run in which a phase of the cycle has `wanted` (1 or more): up to its last one, and on to the end of
    the cycle where only other phases' steps are left in it."""
    beyond = wanted - config.warmup.get(phase, 0)
    if beyond < 0:
        return _before(config.warmup, phase) + wanted
    cycles, rest = divmod(beyond, config.cycle[phase])
    steps = sum(config.warmup.values()) + cycles * sum(config.cycle.values())
    return steps + _before(config.cycle, phase) + rest if rest else steps


def _before(blocks: Mapping[str, int], phase: str) -> int:
    """Steps of the blocks before the phase's."""
    names = list(blocks)
    return sum(blocks[name] for name in names[: names.index(phase)])


def _in_blocks(blocks: Mapping[str, int], phase: str, steps: int) -> int:
    """How many of the first steps of some blocks, one after the other, belong to the phase."""
    return min(max(0, steps - _before(blocks, phase)), blocks[phase]) if phase in blocks else 0


def _in_cycles(cycle: Mapping[str, int], phase: str, steps: int) -> int:
    """Likewise of blocks that come again and again."""
    whole, rest = divmod(max(0, steps), max(1, sum(cycle.values())))
    return whole * cycle.get(phase, 0) + _in_blocks(cycle, phase, rest)


def learning_rate(config: PhaseConfig, update: int, total_updates: int) -> float:
    """Learning rate of a phase's update (from 0) out of total_updates: linear warm-up, then the schedule's shape."""
    if update < config.warmup_updates:
        return config.learning_rate * (update + 1) / config.warmup_updates
    done = (update - config.warmup_updates) / max(1, total_updates - config.warmup_updates)
    if config.lr_scheduler_type == "constant":
        return config.learning_rate
    is_linear, floor = config.lr_scheduler_type == "linear", config.min_lr_share
    left = max(0.0, 1.0 - done) if is_linear else 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * (floor + (1.0 - floor) * left)
