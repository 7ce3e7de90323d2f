"""The distill phase: the baby says something after each prompt, and at every token of it hears what the parent would
have expected there (on-policy distillation: Agarwal et al. 2023, arXiv 2306.13649). Dropout is off.
"""

from __future__ import annotations

from bambino.errors import RecipeError
from bambino.phases.dialogue import as_text, of_speech, said_rows, speak
from bambino.phases.phase import State, Tools
from bambino.phases.targets import BatchTargets, sample_lines, targets_for
from bambino.phases.updates import UpdateMeter
from bambino.recipe.schedule import Place
from bambino.runs.log import Row
from bambino.speaking.rollout import Rollout


class DistillPhase:
    """Feedback by the parent's distributions over what the baby says."""

    name = "distill"
    updates_per_step = 1

    def __init__(self, tools: Tools) -> None:
        self.tools, self.learner = tools, tools.learner
        self.updates = tools.learner.updates(self.name, tools.recipe.distill, self.updates_per_step)
        kind = targets_for(tools, self.name)
        if kind is None:
            problem = "The distill phase has no targets to learn from."
            raise RecipeError("feedback", f"{problem} Name them: --feedback '{{said_targets: {{}}}}'")
        self.config, self.reader = kind.config, kind.reader(tools.tokenizer, sample_lines(tools))

    def step(self, at: Place) -> Row:
        """Speak, be answered, learn from it."""
        rollout = speak(self.tools, self.tools.streams.prompt_batch(self.name, at), at)
        with self.tools.costs.time("reward"):
            answers = self.learner.processes.from_first(lambda: self.be_answered(rollout))
        self.tools.log.utterances(self.name, at.step + 1, said_rows(as_text(self.tools, rollout)))
        with self.tools.costs.time(self.name):
            row = self.learn_from(rollout, answers, at)
        row |= answers.metrics() | of_speech(rollout)
        tokens, targets = int(rollout.sequences.is_real.sum()), int(rollout.is_real.sum())
        self.tools.costs.computed(self.learner.baby.lm, tokens, targets, forwards=3)
        return {f"{self.name}/{name}": value for name, value in row.items()}

    def be_answered(self, rollout: Rollout) -> BatchTargets:
        """What the parent expects at each token that was said."""
        sequences, prompts = rollout.sequences, rollout.prompts.is_real
        real = sequences.is_real.cpu()
        ids = [row[is_real].tolist() for row, is_real in zip(sequences.input_ids.cpu(), real, strict=True)]
        pads = (~prompts).sum(1).tolist()
        found, tokens_read = self.reader(ids, prompts.sum(1).tolist())
        self.tools.costs.read(self.reader.lm, tokens_read)
        rows = [(i, of.moved(before)) for i, (of, before) in enumerate(zip(found, pads, strict=True))]
        return BatchTargets.of(rows, self.config, self.reader.unanswered)

    def learn_from(self, rollout: Rollout, answers: BatchTargets, at: Place) -> Row:
        """One update: the mean divergence over the places with targets."""
        meter = UpdateMeter(self.learner.baby.lm)
        report = self.updates.take(at.nth, [answers.said(rollout)])
        return report | {"update_norm": meter.norm()}

    def begin_block(self) -> None:
        """Nothing to do."""

    def end_step(self) -> None:
        """Nothing to do."""

    def state(self) -> State:
        """Nothing beside the optimizer, which the learner keeps."""
        return State()

    def restore(self, state: State) -> None:
        """Nothing to put back."""
