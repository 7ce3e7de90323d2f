"""The recast phase: prompts are answered with what should have been said, and the baby hears it, one next-token update
a step, with the model's own dropout.
"""

from __future__ import annotations

from bambino.errors import RecipeError
from bambino.phases.clm import heard, mean_over_targets
from bambino.phases.phase import State, Tools
from bambino.phases.recasting import Recasting, RecastRows
from bambino.phases.updates import UpdateMeter
from bambino.recipe.schedule import Place
from bambino.runs.log import Row
from bambino.text.replay import ReplayStream


class RecastPhase:
    """Exposure to recasts."""

    name = "recast"
    updates_per_step = 1

    def __init__(self, tools: Tools) -> None:
        self.tools, self.learner = tools, tools.learner
        self.updates = tools.learner.updates(self.name, tools.recipe.recast, self.updates_per_step)
        recasting = Recasting.of(tools, self.name)
        if recasting is None or len(tools.feedback_for(self.name)) > 1:
            problem = "The phase recast learns from one kind of recasts, and from nothing else."
            raise RecipeError("feedback", f"{problem} Name one: feedback: {{recast: {{}}}}.")
        self.recasting = recasting
        self.beside = _replay_of(tools, self.name) if tools.recipe.recast.replay else {}

    def step(self, at: Place) -> Row:
        """Hear recasts of the next prompts; an update is left out where there is none."""
        prompts = self.tools.streams.prompt_batch(self.name, at)
        rows, metrics = self.recasting.rows(prompts, at, at.nth * len(prompts.input_ids))
        if rows is not None:
            metrics |= self.hear(rows, at)
        return {f"{self.name}/{name}": value for name, value in metrics.items()}

    def hear(self, rows: RecastRows, at: Place) -> Row:
        """One update on recasts, and on what is heard of L1 beside them: the mean over the targets of all."""
        lm, costs = self.learner.baby.lm, self.tools.costs
        batches = {name: stream.batch(at.nth) for name, stream in self.beside.items()}
        beside = [heard(batch, name=name) for name, batch in batches.items() if batch is not None]
        recasts = rows.term(weight=self.recasting.kind.weight)
        with costs.time(self.name):
            meter = UpdateMeter(lm)
            terms = mean_over_targets([recasts, *beside]) if beside else [recasts]
            report = self.updates.take(at.nth, terms, with_dropout=True)
        costs.heard(lm, int(rows.batch.is_real.sum()), rows.targets, self.name)
        for term in beside:
            tokens, targets = int(term.batch.is_real.sum()), int(term.targets.sum())
            costs.heard(lm, tokens, targets, term.name, words=self.beside[term.name].words(at.nth))
        return report | {"targets": rows.targets, "update_norm": meter.norm()}

    def begin_block(self) -> None:
        """Nothing to do."""

    def end_step(self) -> None:
        """Nothing to do."""

    def state(self) -> State:
        """Nothing beside the optimizer, which the learner keeps."""
        return State()

    def restore(self, state: State) -> None:
        """Nothing to put back."""


def _replay_of(tools: Tools, phase: str) -> dict[str, ReplayStream]:
    """What is heard of L1 beside the phase's batches: lines of its text, and the first baby's own."""
    streams = {"replay": tools.replay, "dream": None if tools.dreaming is None else tools.dreaming.heard}
    steps = tools.schedule.count(phase, tools.schedule.max_steps)
    return {name: stream.beside(phase, steps) for name, stream in streams.items() if stream is not None}
