"""The phases that a recipe may name in `schedule.cycle`."""

from __future__ import annotations

from bambino.phases.clm import CLMPhase
from bambino.phases.phase import MakePhase
from bambino.phases.ppo import PPOPhase

PHASES: dict[str, MakePhase] = {"clm": CLMPhase, "ppo": PPOPhase}
