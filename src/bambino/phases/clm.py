"""The clm phase: the baby hears L2, one next-token update a step, with the model's own dropout. Beside the lines it may
hear others (L1, the first baby's own, recasts), and of the lines what its parent expects of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from bambino.phases.beside import Beside, next_tokens
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
        self.beside = Beside(tools.beside, tools.first_baby, self.learner.accelerator.autocast)
        self.recasting = Recasting.of(tools, self.name)
        self.targets = heard_targets(tools, self.name)

    def step(self, at: Place) -> Row:
        """Hear the next batch of lines, and what is heard beside them."""
        batch = self.tools.streams.clm_batch(at)
        lines, expected = self.lines(batch, at)
        recasts, given = self.recasts(at)
        beside = self.beside.terms(at.nth)
        with self.tools.costs.time(self.name):
            row = self.hear([lines, *beside, *recasts], at)
        self._count(lines, recasts, at)
        self.beside.count(beside, at.nth, self.learner.baby.lm, self.tools.costs)
        row |= {"batch": fingerprint(batch), **expected, **given}
        return {f"{self.name}/{name}": value for name, value in row.items()}

    def lines(self, batch: TokenBatch, at: Place) -> tuple[Term, Row]:
        """The lines themselves, with what the parent expects there where it is asked; and metrics of that."""
        targets = self.targets
        if targets is None:
            return heard(batch), {}
        with self.tools.costs.time("reward"):
            answers = self.learner.processes.from_first(lambda: targets.of(batch, at))
        return heard(batch, answers=answers), answers.metrics()

    def recasts(self, at: Place) -> tuple[list[Term], Row]:
        """Recasts that are heard beside the lines, if any; and metrics of them."""
        if self.recasting is None:
            return [], {}
        rows, metrics = self.recasting.beside(at)
        weight = self.recasting.kind.weight
        terms = [] if rows is None else [rows.term(weight=weight, name="recast")]
        return terms, {f"recast_{name}": value for name, value in metrics.items()}

    def hear(self, terms: Sequence[Term], at: Place) -> Row:
        """One update on all that is heard in a step, the lines first: the mean over the targets of all."""
        meter = UpdateMeter(self.learner.baby.lm)
        report = self.updates.take(at.nth, mean_over_targets(terms), with_dropout=True, keep_gradient=at.ends)
        return report | {"targets": terms[0].num_targets, "update_norm": meter.norm()}

    def _count(self, lines: Term, recasts: Sequence[Term], at: Place) -> None:
        """Tokens and words of what was heard of L2; words of recasts are counted where they are made."""
        lm, costs = self.learner.baby.lm, self.tools.costs
        costs.heard(lm, lines.tokens, lines.num_targets, self.name, words=self.tools.streams.clm_words(at))
        for term in recasts:
            costs.heard(lm, term.tokens, term.num_targets, term.name)

    def begin_block(self) -> None:
        """Nothing to do."""

    def end_step(self) -> None:
        """Nothing to do."""

    def state(self) -> State:
        """What is heard beside; the optimizer is the learner's."""
        return self.beside.state()

    def restore(self, state: State) -> None:
        """Put back what `state` gave."""
        self.beside.restore(state)


def fingerprint(batch: TokenBatch) -> int:
    """32 bits of the sha256 of a batch's tokens, so that it can be seen later which runs heard the same."""
    tokens = batch.input_ids[batch.is_real].numpy().tobytes()
    return int.from_bytes(hashlib.sha256(tokens).digest()[:4], "big")


def heard(batch: TokenBatch, *, answers: BatchTargets | None = None) -> Term:
    """Next-token prediction on text: mean over all its targets, in nats; beside it what a parent expects there."""
    if answers is None:
        return Term(batch, next_tokens(batch))
    return Term(batch, answers.loss(batch, max(1, int(batch.is_target.sum()))))


def mean_over_targets(terms: Sequence[Term]) -> list[Term]:
    """Means over targets, weighted so that their sum is the mean over all targets; one of a term of weight w counts w
    times."""
    counts = [term.weight * term.num_targets for term in terms]
    every = sum(counts) or 1
    return [replace(term, weight=count / every) for term, count in zip(terms, counts, strict=True)]
