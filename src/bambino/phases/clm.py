"""The clm phase: the baby hears L2, one next-token update a step, with the model's own dropout. Beside the lines it may
hear others (L1, the first baby's own, recasts), and of the lines what its parent expects of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
from bambino.text.replay import ReplayStream


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
        """Hear the next batch of lines, and what is heard beside them."""
        batch = self.tools.streams.clm_batch(at)
        lines, expected = self.lines(batch, at)
        recasts, given = self.recasts(at)
        terms = [lines, *heard_beside(self.tools.beside, at.nth), *recasts]
        with self.tools.costs.time(self.name):
            row = self.hear(terms, at)
        self._count(terms, at)
        row |= {"batch": fingerprint(batch), **expected, **given}
        return {f"{self.name}/{name}": value for name, value in row.items()}

    def lines(self, batch: TokenBatch, at: Place) -> tuple[Term, Row]:
        """The lines themselves, with what the parent expects there where it is asked; and metrics of that."""
        if self.targets is None:
            return heard(batch), {}
        with self.tools.costs.time("reward"):
            answers = self.targets.of(batch, at)
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

    def _count(self, terms: Sequence[Term], at: Place) -> None:
        """Tokens and words of what was heard; words of recasts are counted where they are made."""
        words = {name: stream.words(at.nth) for name, stream in self.tools.beside.items()}
        words[self.name] = self.tools.streams.clm_words(at)
        for term in terms:
            what = term.name or self.name
            self.tools.costs.heard(self.learner.baby.lm, term.tokens, term.num_targets, what, words=words.get(what))

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


def heard_beside(streams: Mapping[str, ReplayStream], nth: int) -> list[Term]:
    """What the streams have beside a phase's nth batch (from 0)."""
    batches = {name: stream.batch(nth) for name, stream in streams.items()}
    return [heard(batch, name=name) for name, batch in batches.items() if batch is not None]


def mean_over_targets(terms: Sequence[Term]) -> list[Term]:
    """Means over targets, weighted so that their sum is the mean over all targets; one of a term of weight w counts w
    times."""
    counts = [term.weight * term.num_targets for term in terms]
    every = sum(counts) or 1
    return [replace(term, weight=count / every) for term, count in zip(terms, counts, strict=True)]
