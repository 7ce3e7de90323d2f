"""Step -> phase, and update -> learning rate: pure functions, so that resuming is knowing the step.

cycle    w w w | c c c c c c c c c c p p | c c c c c c c c c c p p | ...     w: warm-up, all clm
blocked  w w w | c c c c c c c c c c c c c c c c c c c c p p p p             the same counts, clm first
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bambino.recipe.settings import PhaseConfig, ScheduleConfig

Phase = Literal["clm", "ppo"]


@dataclass(frozen=True)
class Schedule:
    """Which phase a step belongs to, in a run of `max_steps` steps."""

    config: ScheduleConfig
    max_steps: int

    def phase(self, step: int) -> Phase:
        """The phase of step (from 0)."""
        return "ppo" if self.count("ppo", step + 1) > self.count("ppo", step) else "clm"

    def count(self, phase: Phase, step: int) -> int:
        """How many of the steps 0 .. step - 1 belong to the phase; with it, a stream's position needs no state."""
        ppo = self._ppo_steps_before(step)
        return ppo if phase == "ppo" else step - ppo

    def is_phase_start(self, step: int) -> bool:
        """Whether the step before it belonged to the other phase (or there is none)."""
        return step == 0 or self.phase(step - 1) != self.phase(step)

    def _ppo_steps_before(self, step: int) -> int:
        kind, warmup = self.config.kind, self.config.warmup_clm_steps
        if kind == "clm":
            return 0
        if kind == "ppo":
            return max(0, step - warmup)
        if kind == "blocked":
            all_ppo = self._ppo_steps_in_cycles(self.max_steps - warmup)
            return max(0, step - (self.max_steps - all_ppo))
        return self._ppo_steps_in_cycles(step - warmup)

    def _ppo_steps_in_cycles(self, steps: int) -> int:
        cycle = self.config.clm_steps + self.config.ppo_steps
        whole, rest = divmod(max(0, steps), cycle)
        return whole * self.config.ppo_steps + max(0, rest - self.config.clm_steps)


def learning_rate(config: PhaseConfig, update: int, total_updates: int) -> float:
    """Learning rate of a phase's update (from 0) out of total_updates: linear warm-up, then the schedule's shape."""
    if update < config.warmup_updates:
        return config.learning_rate * (update + 1) / config.warmup_updates
    done = (update - config.warmup_updates) / max(1, total_updates - config.warmup_updates)
    if config.lr_scheduler_type == "linear":
        return config.learning_rate * max(0.0, 1.0 - done)
    if config.lr_scheduler_type == "cosine":
        return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate
