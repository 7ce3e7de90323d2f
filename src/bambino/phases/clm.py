"""The clm phase: the baby hears L2, one next-token update a step, with the model's own dropout."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bambino.losses.clm import clm_loss
from bambino.phases.phase import State, Tools
from bambino.phases.updates import Term, UpdateMeter
from bambino.recipe.schedule import Place
from bambino.runs.log import Row
from bambino.text.batches import TokenBatch


class CLMPhase:
    """Exposure."""

    name = "clm"
    updates_per_step = 1

    def __init__(self, tools: Tools) -> None:
        self.tools, self.learner = tools, tools.learner
        self.updates = tools.learner.updates(self.name, tools.recipe.clm, self.updates_per_step)

    def step(self, at: Place) -> Row:
        """Hear the next batch of lines."""
        batch = self.tools.streams.clm_batch(at)
        beside = self._beside(at.nth)
        with self.tools.costs.time(self.name):
            row = self.hear(batch, at, beside)
        for what, part in {self.name: batch, **beside}.items():
            tokens, targets = int(part.is_real.sum()), int(part.is_target.sum())
            self.tools.costs.heard(self.learner.baby.lm, tokens, targets, what)
        return {f"clm/{name}": value for name, value in (row | {"batch": fingerprint(batch)}).items()}

    def hear(self, batch: TokenBatch, at: Place, beside: Mapping[str, TokenBatch] | None = None) -> dict[str, float]:
        """One update on a batch of lines, and on L1 lines beside it, by name: the mean over the targets of all."""
        meter, all_of = UpdateMeter(self.learner.baby.lm), {"": batch, **(beside or {})}
        targets = {name: int(part.is_target.sum()) for name, part in all_of.items()}
        every = max(1, sum(targets.values()))
        terms = [heard(part, weight=targets[name] / every, name=name) for name, part in all_of.items()]
        report = self.updates.take(at.nth, terms, with_dropout=True, keep_gradient=at.ends)
        return report | {"targets": targets[""], "update_norm": meter.norm()}

    def _beside(self, nth: int) -> dict[str, TokenBatch]:
        """What is heard of L1 beside the nth batch: lines of its text, and the first baby's own."""
        tools = self.tools
        streams = {"replay": tools.replay, "dream": None if tools.dreaming is None else tools.dreaming.heard}
        batches = {name: stream.batch(nth) for name, stream in streams.items() if stream is not None}
        return {name: batch for name, batch in batches.items() if batch is not None}

    def begin_block(self) -> None:
        """Nothing to do."""

    def end_step(self) -> None:
        """Nothing to do."""

    def state(self) -> State:
        """Nothing beside the optimizer, which the learner keeps."""
        return State()

    def restore(self, state: State) -> None:
        """Nothing to put back."""


def fingerprint(batch: TokenBatch) -> int:
    """32 bits of the sha256 of a batch's tokens, so that it can be seen later which runs heard the same."""
    tokens = batch.input_ids[batch.is_real].numpy().tobytes()
    return int.from_bytes(hashlib.sha256(tokens).digest()[:4], "big")


def heard(batch: TokenBatch, *, weight: float = 1.0, name: str = "") -> Term:
    """Next-token prediction on text: mean over all its targets, in nats."""
    targets = max(1, int(batch.is_target.sum()))
    return Term(
        batch,
        lambda logits, _, part, rows: {"loss": clm_loss(logits, part.input_ids[part.is_target]) / targets},
        weight=weight,
        name=name,
    )
