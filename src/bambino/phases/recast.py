"""The recast phase: prompts are answered with what should have been said, and the baby hears it, one next-token update
a step, with the model's own dropout.
"""

from __future__ import annotations

from bambino.errors import RecipeError
from bambino.phases.beside import Beside
from bambino.phases.clm import mean_over_targets
from bambino.phases.phase import State, Tools
from bambino.phases.recasting import Recasting, RecastRows
from bambino.phases.updates import UpdateMeter
from bambino.recipe.schedule import Place
from bambino.runs.log import Row


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
        steps = tools.schedule.count(self.name, tools.schedule.max_steps)
        beside = tools.beside if tools.recipe.recast.replay else {}
        streams = {name: stream.beside(self.name, steps) for name, stream in beside.items()}
        self.beside = Beside(streams, tools.first_baby if streams else None, self.learner.accelerator.autocast)

    def step(self, at: Place) -> Row:
        """Hear recasts of the next prompts; an update is left out where there is none."""
        streams = self.tools.streams
        rows, metrics = self.recasting.rows(streams.prompt_batch(self.name, at), at, streams.position(at))
        if rows is not None:
            metrics |= self.hear(rows, at)
        return {f"{self.name}/{name}": value for name, value in metrics.items()}

    def hear(self, rows: RecastRows, at: Place) -> Row:
        """One update on recasts, and on what is heard of L1 beside them: the mean over the targets of all."""
        lm, costs = self.learner.baby.lm, self.tools.costs
        recasts, beside = rows.term(weight=self.recasting.kind.weight), self.beside.terms(at.nth)
        with costs.time(self.name):
            meter = UpdateMeter(lm)
            terms = mean_over_targets([recasts, *beside]) if beside else [recasts]
            report = self.updates.take(at.nth, terms, with_dropout=True)
        costs.heard(lm, recasts.tokens, rows.targets, self.name)
        self.beside.count(beside, at.nth, lm, costs)
        return report | {"targets": rows.targets, "update_norm": meter.norm()}

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
