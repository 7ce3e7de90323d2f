"""The clm phase: the baby hears L2, one next-token update a step, with the model's own dropout."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from bambino.losses.clm import clm_loss
from bambino.phases.heard_targets import heard_targets
from bambino.phases.phase import State, Tools
from bambino.phases.recasting import Recasting
from bambino.phases.targets import BatchTargets
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
        self.recasting = Recasting.of(tools, self.name)
        self.targets = heard_targets(tools, self.name)

    def step(self, at: Place) -> Row:
        """Hear the next batch of lines."""
        batch = self.tools.streams.clm_batch(at)
        beside, row = self.beside(at)
        answers = None
        if self.targets is not None:
            with self.tools.costs.time("reward"):
                answers = self.targets.of(batch, at)
            row |= answers.metrics()
        with self.tools.costs.time(self.name):
            row |= self.hear(batch, at, beside, answers)
        words = {self.name: self.tools.streams.clm_words(at)}
        if self.tools.replay is not None:
            words["replay"] = self.tools.replay.words(at.nth)
        if self.tools.dreaming is not None:
            words["dream"] = self.tools.dreaming.heard.words(at.nth)
        for term in (heard(batch), *beside):
            self._count(term.name or self.name, term, words.get(term.name or self.name))
        return {f"clm/{name}": value for name, value in (row | {"batch": fingerprint(batch)}).items()}

    def beside(self, at: Place) -> tuple[list[Term], Row]:
        """What is heard beside the lines: lines of L1, the first baby's own, recasts; and metrics of it."""
        dreaming = self.tools.dreaming
        streams = {"replay": self.tools.replay, "dream": None if dreaming is None else dreaming.heard}
        batches = {name: stream.batch(at.nth) for name, stream in streams.items() if stream is not None}
        terms = [heard(batch, name=name) for name, batch in batches.items() if batch is not None]
        if self.recasting is None:
            return terms, {}
        recasts, metrics = self.recasting.beside(at)
        if recasts is not None:
            terms.append(recasts.term(weight=self.recasting.kind.weight, name="recast"))
        return terms, {f"recast_{name}": value for name, value in metrics.items()}

    def hear(
        self, batch: TokenBatch, at: Place, beside: Sequence[Term] = (), answers: BatchTargets | None = None
    ) -> dict[str, float]:
        """One update on a batch of lines and on what is heard beside them: the mean over the targets of all.

        Args:
            answers: what the parent expects at places of the batch.
        """
        meter, targets = UpdateMeter(self.learner.baby.lm), int(batch.is_target.sum())
        terms = mean_over_targets([heard(batch, answers=answers), *beside])
        report = self.updates.take(at.nth, terms, with_dropout=True, keep_gradient=at.ends)
        return report | {"targets": targets, "update_norm": meter.norm()}

    def _count(self, what: str, term: Term, words: int | None) -> None:
        tokens, targets = int(term.batch.is_real.sum()), int(term.targets.sum())
        self.tools.costs.heard(self.learner.baby.lm, tokens, targets, what, words=words)

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


def mean_over_targets(terms: Sequence[Term]) -> list[Term]:
    """Means over targets, weighted so that their sum is the mean over all targets; one of a term of weight w counts w
    times."""
    counts = [term.weight * int(term.targets.sum()) for term in terms]
    every = sum(counts) or 1
    return [replace(term, weight=count / every) for term, count in zip(terms, counts, strict=True)]
