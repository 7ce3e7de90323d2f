"""Algorithm 1: the baby hears L2 (clm) and is answered by its parent (ppo), in alternation.

`BambinoTrainer.train` is the algorithm; what a step of each phase does is in `phases/`, what a run leaves behind in
`runs/`. A run is a pure function of its recipe: data order, sampling and dropout depend on (seed, stream, step) only,
so a run stopped anywhere and resumed ends in the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.errors import RecipeError
from bambino.feedback.rewards import Kind, Reward, reward_name
from bambino.feedback.settings import ParentPerplexityConfig
from bambino.measures import Measure
from bambino.models.baby import Baby
from bambino.models.participants import ModelLike, Participants, check_context, check_parent, load_participants
from bambino.phases.kinds import PHASES
from bambino.phases.learner import Learner
from bambino.phases.phase import MakePhase, Phase, Tools
from bambino.randomness import seed_of
from bambino.recipe.schedule import Schedule
from bambino.recipe.settings import ModelConfig, Recipe
from bambino.runs.costs import Costs
from bambino.runs.directory import FORMAT
from bambino.runs.log import Row, RunLog
from bambino.scoring.forward import reads_packed_rows
from bambino.speaking.speaker import Speaker
from bambino.text.streams import Streams, build_streams
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
        reward_funcs: one or several functions of TRL's signature in place of args.feedback, added.
        measures: what the baby is measured by, at step 0, every args.evaluation.eval_steps and at the end
            (`bambino.measures_of(args)`); may also be set later, before `train`.
        phases: phases of your own by name, beside clm and ppo; args.schedule.cycle names those that are used.
        on_row: called with each row of metrics.jsonl, and with rows of kind "utterances" as the baby speaks.
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
        args = self.args = _resolved(args or Recipe(), model, parent, has_dataset=train_dataset is not None)
        self.measures = list(measures)
        self.stop_requested = False
        """Set it (from a signal handler, say) and training saves a checkpoint after the current step and returns; then
        it is False again."""
        self.schedule = Schedule(args.schedule, args.max_steps)
        makers = _makers(args, PHASES | dict(phases or {}))
        self.accelerator = _accelerator(args)

        needs_parent = reward_funcs is None and any(config.needs_parent for config in _feedback(args).values())
        passed = (model, processing_class, args.baby, parent, parent_processing_class, args.parent)
        self.participants: Participants = load_participants(*passed, needs_parent=needs_parent)
        lm, self.processing_class = self.participants.baby, self.participants.baby_tokenizer
        speech = args.rollout.prompt_tokens + args.rollout.max_new_tokens
        check_context(lm, {"text.max_length": args.text.max_length, "rollout.max_new_tokens": speech})
        self.parent: Speaker | None = self._parent()
        self.streams: Streams = build_streams(
            args.text,
            self.processing_class,
            seed=args.seed,
            batch_size=args.batch_size,
            prompt_tokens=args.rollout.prompt_tokens,
            dataset=_texts(train_dataset, args.text.jsonl_field),
        )
        can_pack = reads_packed_rows(lm, args.text.max_length)
        if args.text.mode == "packed" and not can_pack:
            raise RecipeError("text.mode", f"{type(lm).__name__} cannot keep packed lines apart. Use text.mode lines.")
        self.baby: Baby = self.accelerator.prepare(Baby(lm))
        learner = Learner(args, self.baby, self.schedule, self.accelerator, can_pack)
        kinds = self._kinds(reward_funcs)
        costs, log = Costs(), RunLog(on_row)
        tools = Tools(args, self.schedule, learner, self.streams, self.processing_class, self.parent, kinds, costs, log)
        self.phases: dict[str, Phase] = {name: make(tools) for name, make in makers.items()}
        self.state = RunState(learner, self.phases, costs)
        self._kind_names = [kind.name for kind in kinds]
        self.publisher = Publisher(args, self.processing_class, self.state, has_parent=self.parent is not None)
        self.session = Session(
            args,
            self.state,
            log,
            str(self.accelerator.device),
            self._manifest,
            self._measured,
            self.publisher.write,
            self._check,
        )

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    def train(self, resume_from_checkpoint: bool | str | Path = False) -> Row:
        """Run Algorithm 1 to max_steps, from the start or from where the run in output_dir stopped.

        One trainer may be stopped, or interrupted once there is a checkpoint, and go on: the bits are those of a run
        never stopped.

        Returns:
            The last evaluation's metrics (empty when nothing was evaluated).
        """
        try:
            with self.session.hold(resume_from_checkpoint):
                while self.step < self.args.max_steps and not self.stop_requested:
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
        return self._measured()[0]

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Save the baby as AutoModelForCausalLM opens it, its tokenizer and a model card; other files there stay."""
        self.publisher.save(output_dir)

    def push_to_hub(self, repo_id: str, *, private: bool = True, token: str | None = None) -> str:
        """Upload the saved model (save_model first) and return its address."""
        return self.publisher.push(repo_id, private=private, token=token)

    def _measured(self) -> tuple[dict[str, float], list[Row]]:
        """Every score of every measure, and what the baby said."""
        results = [measure(Speaker(self.baby.lm, self.processing_class)) for measure in self.measures]
        metrics = {f"eval/{score.name}": score.value for result in results for score in result.scores}
        return metrics, [row for result in results for row in result.said]

    def _check(self) -> None:
        """Refuse a parent that knows L2 less than the baby does; warn of what may not be meant."""
        if self.args.parent.must_know_l2:
            rows = self.streams.lines.rows
            check_parent(self.participants, [rows[i].tolist() for i in range(min(64, len(rows)))])
        if both := [measure.name for measure in self.measures if measure.depends_on.get("trained_on")]:
            self.session.log.warn(f"text.heldout_every is null, so these measure lines trained on: {', '.join(both)}.")
        if self.args.text.append_eos and self.processing_class.eos_token_id is None:
            self.session.log.warn(
                "The baby's tokenizer has no EOS, so text.append_eos does nothing: the baby cannot learn to stop."
            )

    def _manifest(self) -> dict[str, Any]:
        """What the run is made of, for data.json."""
        evaluation = {measure.name: measure.depends_on for measure in self.measures}
        names = {"evaluation": evaluation, "rewards": self._kind_names, "phases": list(self.phases)}
        return {"format": FORMAT, **self.streams.manifest, **self.participants.digests, **names}

    def _reseed(self) -> None:
        """The global generator (dropout) at each step is a function of (seed, step, process)."""
        torch.manual_seed(seed_of(self.args.seed, "dropout", self.step, self.accelerator.process_index))

    def _parent(self) -> Speaker | None:
        lm, tokenizer = self.participants.parent, self.participants.parent_tokenizer
        if lm is None or tokenizer is None:
            return None
        return Speaker(lm.to(self.accelerator.device), tokenizer)

    def _kinds(self, reward_funcs: Reward | list[Reward] | None) -> list[Kind]:
        """Functions passed in are for ppo and replace what the recipe names."""
        if reward_funcs is not None:
            rewards = [reward_funcs] if callable(reward_funcs) else list(reward_funcs)
            return [Kind(reward_name(reward), reward) for reward in rewards]
        configs = _feedback(self.args).items()
        return [Kind(name, config.make(self.parent), config.for_, config.weight) for name, config in configs]


def _resolved(args: Recipe, model: ModelLike, parent: ModelLike, *, has_dataset: bool) -> Recipe:
    """The recipe with what is really used: models and text passed in from Python, the feedback where none is named."""

    def name(given: ModelLike, config: ModelConfig) -> str | None:
        if given is None:
            return config.model
        return (given.name_or_path or None) if isinstance(given, PreTrainedModel) else str(given)

    return replace(
        args,
        baby=replace(args.baby, model=name(model, args.baby)),
        parent=replace(args.parent, model=name(parent, args.parent)),
        text=replace(args.text, sources=[], weights=None) if has_dataset else args.text,
        feedback=args.feedback or {"parent_perplexity": ParentPerplexityConfig()},
    )


def _feedback(args: Recipe) -> dict[str, Any]:
    """The kinds of feedback that some phase of the schedule learns from."""
    return {name: config for name, config in args.feedback.items() if config.for_ in args.schedule.phases}


def _makers(args: Recipe, known: Mapping[str, MakePhase]) -> dict[str, MakePhase]:
    """The phases of the schedule.

    Raises:
        RecipeError: one that is not known.
    """
    for name in args.schedule.phases:
        if name not in known:
            raise RecipeError(
                "schedule.cycle", f"schedule.cycle names the phase {name}, which there is not: {', '.join(known)}."
            )
    return {name: known[name] for name in args.schedule.phases}


def _accelerator(args: Recipe) -> Accelerator:
    try:
        accelerator = Accelerator(mixed_precision=args.mixed_precision)
    except ValueError as error:
        problem = f"mixed_precision = {args.mixed_precision} cannot be had: {error}"
        way_out = "Accelerate has one precision per process; train with another one in a process of its own."
        raise RecipeError("mixed_precision", f"{problem} {way_out}") from None
    if accelerator.num_processes > 1:
        raise RecipeError("", "bambino trains in one process. Start it without torchrun or accelerate launch.")
    return accelerator


def _texts(dataset: Iterable[Any] | None, field: str) -> list[str] | None:
    """Texts of a dataset whose rows are strings or mappings."""
    if dataset is None:
        return None
    return [row if isinstance(row, str) else row[field] for row in dataset]
