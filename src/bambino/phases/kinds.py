"""`PHASES`: the phases that a recipe may name in `schedule.cycle`. Each is imported when it is first made, so that a
recipe is checked before anything heavy is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bambino.phases.phase import MakePhase, Phase, Tools


def _clm(tools: Tools) -> Phase:
    from bambino.phases.clm import CLMPhase

    return CLMPhase(tools)


def _ppo(tools: Tools) -> Phase:
    from bambino.phases.ppo import PPOPhase

    return PPOPhase(tools)


def _reinforce(tools: Tools) -> Phase:
    from bambino.phases.reinforce import ReinforcePhase

    return ReinforcePhase(tools)


def _recast(tools: Tools) -> Phase:
    from bambino.phases.recast import RecastPhase

    return RecastPhase(tools)


def _distill(tools: Tools) -> Phase:
    from bambino.phases.distill import DistillPhase

    return DistillPhase(tools)


def _prefer(tools: Tools) -> Phase:
    from bambino.phases.prefer import PreferPhase

    return PreferPhase(tools)


PHASES: dict[str, MakePhase] = {
    "clm": _clm,
    "ppo": _ppo,
    "reinforce": _reinforce,
    "recast": _recast,
    "distill": _distill,
    "prefer": _prefer,
}
