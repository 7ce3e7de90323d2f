"""When a run is told to go wrong; a section of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar

from bambino.recipe.checks import AtLeastOne, Positive, Settings, Share


@dataclass(frozen=True)
class AlarmsConfig(Settings):
    """What is told when a run goes wrong, and what stops it."""

    section: ClassVar[str] = "alarms"

    stop: list[str] = field(default_factory=list)
    """Alarms that stop the run, such as [kl, entropy], once a checkpoint is saved; the others warn."""
    kl: Positive | None = 500.0
    """KL explosion: the policy's KL from its reference is above this, in nats per utterance, mean of 10 steps of its
    phase; null: no alarm. KL from the first baby of 100 is common."""
    dead_reward: Share | None = 0.5
    """Dead reward: in more than this share of the last 10 steps of its phase all rewards were alike; null: no alarm."""
    entropy: Positive | None = 0.1
    """Entropy collapse: the policy's entropy at what it says is below this, in nats per token, mean of 10 steps of its
    phase; null: no alarm."""
    repetition: Share | None = 0.5
    """Repetition: of the pairs of neighbouring words that the baby says at an evaluation, fewer than this share are
    different (speech/distinct_2); null: no alarm."""
    forgetting: Positive | None = 5.0
    """First language lost: a text of evaluation.texts is so many bits per byte above its first evaluation; null: no
    alarm."""
    plateau: AtLeastOne | None = 10
    """Second language at a standstill: so many evaluations in a row in which no text of evaluation.texts has fewer bits
    per byte than ever before; null: no alarm."""
    unknown: Share | None = 0.05
    """Text that the baby's tokenizer cannot spell: more than this share of its tokens are <unk>; null: no alarm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [one.name for one in fields(self) if one.name != "stop"]
        wrong = [name for name in self.stop if name not in names]
        self.require(not wrong, "stop", f"names no alarm: {', '.join(wrong)}. Use some of {', '.join(names)}.")
