"""The clm phase: the baby hears L2, one next-token update a step, with the model's own dropout."""

from __future__ import annotations

from bambino.losses.clm import clm_loss
from bambino.phases.heard_targets import BatchTargets, heard_targets
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
        self.targets = heard_targets(tools, self.name)

    def step(self, at: Place) -> Row:
        """Hear the next batch of lines."""
        batch = self.tools.streams.clm_batch(at)
        replayed = None if self.tools.replay is None else self.tools.replay.batch(at.nth)
        row: Row = {}
        answers = None
        if self.targets is not None:
            with self.tools.costs.time("reward"):
                answers = self.targets.of(batch, at)
                row |= answers.metrics()
        with self.tools.costs.time(self.name):
            row |= self.hear(batch, at, replayed, answers)
        for what, part in (("clm", batch), ("replay", replayed)):
            if part is not None:
                tokens, targets = int(part.is_real.sum()), int(part.is_target.sum())
                self.tools.costs.heard(self.learner.baby.lm, tokens, targets, what)
        return {f"clm/{name}": value for name, value in row.items()}

    def hear(
        self, batch: TokenBatch, at: Place, replayed: TokenBatch | None = None, answers: BatchTargets | None = None
    ) -> dict[str, float]:
        """One update on a batch of lines, and on L1 lines beside it: the mean over the targets of both.

        Args:
            answers: what the parent expects at places of the batch.
        """
        meter, targets = UpdateMeter(self.learner.baby.lm), int(batch.is_target.sum())
        terms = [heard(batch, answers=answers)]
        if replayed is not None:
            beside = int(replayed.is_target.sum())
            every = max(1, targets + beside)
            terms = [
                heard(batch, answers=answers, weight=targets / every),
                heard(replayed, weight=beside / every, name="replay"),
            ]
        report = self.updates.take(at.nth, terms, with_dropout=True, keep_gradient=at.ends)
        return report | {"targets": targets, "update_norm": meter.norm()}

    def begin_block(self) -> None:
        """Nothing to do."""

    def end_step(self) -> None:
        """Nothing to do."""

    def state(self) -> State:
        """Nothing beside the optimizer, which the learner keeps."""
        return State()

    def restore(self, state: State) -> None:
        """Nothing to put back."""


def heard(batch: TokenBatch, *, answers: BatchTargets | None = None, weight: float = 1.0, name: str = "") -> Term:
    """Next-token prediction on text: mean over all its targets, in nats; beside it what a parent expects there."""
    targets = max(1, int(batch.is_target.sum()))
    if answers is not None:
        return Term(batch, answers.loss(batch, targets), weight=weight, name=name)
    return Term(
        batch,
        lambda logits, _, part, rows: {"loss": clm_loss(logits, part.input_ids[part.is_target]) / targets},
        weight=weight,
        name=name,
    )
