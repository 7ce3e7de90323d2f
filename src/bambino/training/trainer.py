"""Algorithm 1: the baby hears L2 (clm) and is answered by its parent (ppo), in alternation.

`BambinoTrainer.train` is the algorithm; what a step of each phase does is in `phases/`, what a run leaves behind in
`runs/`. A run is a pure function of its recipe: data order, sampling and dropout depend on (seed, stream, step) only,
so a run stopped anywhere and resumed ends in the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from bambino.feedback.rewards import Reward
from bambino.measures import Measure
from bambino.models.baby import Baby
from bambino.models.participants import ModelLike, check_context, check_given, load_participants
from bambino.phases.kinds import PHASES
from bambino.phases.learner import Learner
from bambino.phases.phase import MakePhase, Phase
from bambino.processes import take_part
from bambino.randomness import seed_of
from bambino.recipe.schedule import Schedule
from bambino.recipe.settings import Recipe
from bambino.runs.log import Row, RunLog
from bambino.speaking.rollout import check_speaks, speak_by_graphs
from bambino.text.datasets import texts_of
from bambino.text.streams import build_streams
from bambino.training.budget import Budget
from bambino.training.parts import (
    accelerator_of,
    average_of,
    best_of,
    check_sources,
    checked_packing,
    feedback_of,
    kinds_of,
    lets_the_baby_speak,
    longest_rows,
    made_of,
    phases_of,
    prepare_baby,
    resolved,
    speaker_of,
    tools_of,
    with_steps_for_passes,
)
from bambino.training.publishing import Publisher
from bambino.training.session import Session
from bambino.training.state import RunState


class BambinoTrainer:
    """Raises a baby by Algorithm 1.

    Args:
        model: the baby: a model, a path or a hub name; None: args.baby.model.
        parent: the parent, in the same forms; may be missing where nothing needs one.
        args: the recipe.
        train_dataset: L2 texts (strings, or rows with a text in args.text.jsonl_field); None: args.text.sources.
        processing_class: the baby's tokenizer; None: the one saved with the model.
        parent_processing_class: the parent's tokenizer; None: the one saved with it.
        reward_funcs: one or several functions of TRL's signature in place of args.feedback, added;
            for the phases of the schedule that learn from rewards.
        measures: what the baby is measured by, at step 0, every args.evaluation.eval_steps and at the end
            (`bambino.measures_of(args)`).
        phases: phases of your own by name, beside those of bambino; args.schedule.cycle names those that are used.
        on_row: called with each row of metrics.jsonl, and with rows of kind "utterances" as the baby speaks; of several
            processes in the first alone.
    """

    def __init__(
        self,
        model: ModelLike = None,
        parent: ModelLike = None,
        args: Recipe | None = None,
        train_dataset: Iterable[Any] | None = None,
        *,
        processing_class: PreTrainedTokenizerBase | None = None,
        parent_processing_class: PreTrainedTokenizerBase | None = None,
        reward_funcs: Reward | list[Reward] | None = None,
        measures: Sequence[Measure] = (),
        phases: Mapping[str, MakePhase] | None = None,
        on_row: Callable[[Row], None] = lambda row: None,
    ) -> None:
        check_given(model, processing_class, "baby")
        check_given(parent, parent_processing_class, "parent")
        is_given = {"has_dataset": train_dataset is not None, "has_rewards": reward_funcs is not None}
        texts = texts_of(train_dataset, (args or Recipe()).text.jsonl_field)
        args = self.args = resolved(args or Recipe(), model, parent, **is_given)
        self.stop_requested = False
        """Set it (from a signal handler, say) and training saves a checkpoint after the current step and returns; then
        it is False again."""
        check_sources(args)
        makers = phases_of(args, PHASES | dict(phases or {}))
        self.processes = take_part()
        self.accelerator = accelerator_of(args)

        needs_parent = any(kind.needs_parent for kind in feedback_of(args).values())
        passed = (model, processing_class, args.baby, parent, parent_processing_class, args.parent)
        participants = load_participants(*passed, needs_parent=needs_parent)
        lm, self.processing_class = participants.baby, participants.baby_tokenizer
        prepare_baby(lm, args)
        check_context(lm, longest_rows(args))
        self.parent, self.parent_processing_class = participants.parent, participants.parent_tokenizer
        parent_speaker = speaker_of(self.parent, self.parent_processing_class, self.accelerator.device)
        streams = build_streams(
            args.text,
            self.processing_class,
            seed=args.seed,
            batch_size=args.batch_size,
            prompt_tokens=args.rollout.prompt_tokens,
            dataset=texts,
            steps=Schedule(args.schedule, args.max_steps).count("clm", args.max_steps),
        )
        args = self.args = with_steps_for_passes(args, streams)
        self.schedule = Schedule(args.schedule, args.max_steps)
        can_pack = checked_packing(args, lm)

        self.baby: Baby = self.accelerator.prepare_model(Baby(lm), evaluation_mode=True)  # without DDP: see Learner
        learner = Learner(args, self.baby, self.schedule, self.accelerator, can_pack, self.processes)
        if args.cuda_graphs:
            for speaking in filter(None, (lm, self.parent)):
                speak_by_graphs(speaking)
        kinds = kinds_of(args, reward_funcs, parent_speaker)
        if lets_the_baby_speak(args, kinds):
            check_speaks(lm)
        log = RunLog(on_row if self.processes.is_first else lambda row: None)
        self.tools = tools_of(learner, streams, self.processing_class, parent_speaker, kinds, log)
        self.phases: dict[str, Phase] = {name: made_of(name, make, self.tools) for name, make in makers.items()}
        average = average_of(args, self.baby.lm)
        self.state = RunState(learner, self.phases, self.tools.costs, average, best=best_of(args))
        budget = Budget(self.tools)
        self.publisher = Publisher(self.tools, self.state, budget)
        self.session = Session(self.tools, self.state, self.publisher, budget, participants, list(measures))

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: all steps are done, or early_stopping has waited long enough."""
        return self.session.is_over

    @property
    def measures(self) -> list[Measure]:
        """What the baby is measured by; more may be added before `train`."""
        return self.session.measures

    @measures.setter
    def measures(self, measures: list[Measure]) -> None:
        self.session.measures = measures

    def train(self, resume_from_checkpoint: bool | str | Path = False) -> Row:
        """Run Algorithm 1 to args.max_steps, from the start or from where the run in output_dir stopped.

        One trainer may be stopped, or interrupted once there is a checkpoint, and go on: the bits are those of a run
        never stopped. Where there are several processes, each calls this, and one that is asked to stop stops all.

        Returns:
            The last evaluation's metrics, of the best where its weights were kept (empty when nothing was evaluated).
        """
        try:
            with self.session.hold(resume_from_checkpoint):
                while not self.is_over and not self.processes.max(self.stop_requested):
                    self._reseed()
                    at = self.schedule.at(self.step)
                    phase = self.phases[at.phase]
                    if at.begins:
                        phase.begin_block()
                    row = phase.step(at)
                    for each in self.phases.values():
                        each.end_step()
                    self.session.finish_step(at, row)
        finally:
            self.stop_requested = False
        return self.state.last_evaluation

    def evaluate(self) -> Row:
        """Measure the baby as it is now by `measures`; see docs/metrics.md for the names."""
        return self.processes.from_first(self.session.measured)[0]

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Save the baby as AutoModelForCausalLM opens it, its tokenizer and a model card; other files there stay."""
        self.processes.from_first(lambda: self.publisher.save(output_dir))

    def push_to_hub(self, repo_id: str, *, private: bool = True, token: str | None = None) -> str:
        """Upload the saved model (save_model first) and return its address."""
        return self.processes.from_first(lambda: self.publisher.push(repo_id, private=private, token=token))

    def _reseed(self) -> None:
        """The global generator (dropout) at each step is a function of (seed, step, process)."""
        torch.manual_seed(seed_of(self.args.seed, "dropout", self.step, self.processes.index))
