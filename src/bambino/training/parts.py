"""What a trainer is put together from: what was passed in from Python, else what the recipe names."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.errors import RecipeError
from bambino.feedback.recasts import Recaster
from bambino.feedback.rewards import Kind, Reward, reward_name, rewards_of
from bambino.feedback.settings import ParentPerplexityConfig
from bambino.models.averaging import AveragedWeights
from bambino.models.dropout import set_dropout
from bambino.models.layers import compile_layers, recompute_layers
from bambino.models.participants import ModelLike
from bambino.models.random_weights import randomize_weights
from bambino.models.reference import frozen
from bambino.phases.learner import Learner
from bambino.phases.phase import MakePhase, Phase, Tools
from bambino.recipe import curricula
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.schedule import steps_for
from bambino.recipe.settings import FeedbackConfig, Recipe
from bambino.runs.costs import Costs
from bambino.runs.directory import holds_run
from bambino.runs.log import RunLog
from bambino.runs.names import DREAMS
from bambino.scoring.forward import reads_packed_rows
from bambino.speaking.dreams import Dreaming, dream, dreaming_of, load_dreams
from bambino.speaking.speaker import Speaker
from bambino.text.lines import SourceReport
from bambino.text.replay import build_replay
from bambino.text.sources import find_files
from bambino.text.streams import Streams
from bambino.text.unknown import Unknown, unknown_in
from bambino.training.best import BestSoFar

REWARDED = ("ppo", "reinforce")
"""Phases that learn from rewards; they cannot do without."""
SPEAKING = (*REWARDED, "distill", "prefer")
"""Phases in which the baby always speaks."""


def resolved(args: Recipe, model: ModelLike, parent: ModelLike, *, has_dataset: bool, has_rewards: bool) -> Recipe:
    """The recipe with what is really used: models and text passed in from Python, the feedback where none is named;
    no feedback of the recipe's where reward functions take its place."""
    feedback = args.feedback or {"parent_perplexity": ParentPerplexityConfig()}

    def name(given: ModelLike, config: ModelConfig) -> str | None:
        if given is None:
            return config.model
        return (given.name_or_path or None) if isinstance(given, PreTrainedModel) else str(given)

    return replace(
        args,
        baby=replace(args.baby, model=name(model, args.baby)),
        parent=replace(args.parent, model=name(parent, args.parent)),
        text=replace(args.text, sources=[], weights=None) if has_dataset else args.text,
        feedback={} if has_rewards else feedback,
    )


def check_sources(args: Recipe) -> None:
    """Refuse a text that is not there, or is none, before a model is opened.

    Raises:
        TextError: naming it.
    """
    replayed = args.replay.sources if args.replay.share or args.replay.last_share else []
    for source in [*args.text.sources, *(args.text.prompt_sources or []), *replayed]:
        find_files(source)


def with_steps_for_passes(args: Recipe, streams: Streams) -> Recipe:
    """The recipe with max_steps for the passes it asks for, which only the text tells."""
    if args.passes is None:
        return args
    hears = "clm" in args.schedule.cycle
    text = streams.clm if hears else streams.lines
    batches = args.passes * text.epoch_size / args.batch_size
    wanted = max(1, math.ceil(batches - 1e-9))  # so that 0.1 * 30 is 3
    return replace(args, max_steps=steps_for(args.schedule, "clm", wanted) if hears else wanted)


def longest_rows(args: Recipe) -> dict[str, int]:
    """Setting -> tokens of the longest row that the baby must read for it."""
    speech = args.rollout.largest
    rows = {
        "text.max_length": args.text.max_length,
        "rollout.max_new_tokens": speech.prompt_tokens + speech.max_new_tokens,
    }
    return rows | ({"dreaming.max_new_tokens": 1 + args.dreaming.max_new_tokens} if args.dreaming.is_on else {})


def checked_packing(args: Recipe, lm: PreTrainedModel) -> bool:
    """Whether lines may share a row.

    Raises:
        RecipeError: they must, and the model cannot keep them apart.
    """
    can_pack = reads_packed_rows(lm, args.text.max_length)
    if args.text.mode == "packed" and not can_pack:
        raise RecipeError("text.mode", f"{type(lm).__name__} cannot keep packed lines apart. Use text.mode lines.")
    return can_pack


def average_of(args: Recipe, lm: PreTrainedModel) -> AveragedWeights | None:
    """The running mean of the weights, where the recipe has one."""
    decay = args.averaging.decay
    return None if decay is None else AveragedWeights(decay, lm)


def best_of(args: Recipe) -> BestSoFar | None:
    """What keeps the best evaluation, where the recipe goes by it."""
    metric = args.stopping_metric
    return None if metric is None else BestSoFar(args.early_stopping, metric)


def phases_of(args: Recipe, known: Mapping[str, MakePhase]) -> dict[str, MakePhase]:
    """The phases of the schedule.

    Raises:
        RecipeError: one that is not known.
    """
    for name in args.schedule.phases:
        if name not in known:
            problem = f"schedule.cycle names the phase {name}. There are: {', '.join(known)}."
            raise RecipeError("schedule.cycle", f"{problem} One of your own goes to the trainer: phases={{...}}.")
    return {name: known[name] for name in args.schedule.phases}


def tools_of(
    learner: Learner,
    streams: Streams,
    tokenizer: PreTrainedTokenizerBase,
    parent: Speaker | None,
    kinds: list[Kind],
    log: RunLog,
) -> Tools:
    """What the phases work with. `tokenizer` is the baby's.

    Raises:
        TextError: replay without a text.
        RunDirectoryError: the dreams of a run that goes on cannot be read.
    """
    args, schedule, costs = learner.recipe, learner.schedule, Costs()
    hears = {"seed": args.seed, "batch_size": args.batch_size, "steps": schedule.count("clm", args.max_steps)}
    lm: PreTrainedModel = learner.baby.lm
    tools = Tools(
        *(args, schedule, learner, streams, tokenizer, parent, kinds, costs, log),
        replay=build_replay(args.replay, args.text, tokenizer, **hears),
        dreaming=learner.processes.from_first(lambda: dreaming_for(args, Speaker(lm, tokenizer), costs, **hears)),
    )
    remembers = any(stream.first_baby > 0 for stream in tools.beside.values())
    return replace(tools, first_baby=frozen(copy.deepcopy(lm))) if remembers else tools


def made_of(name: str, make: MakePhase, tools: Tools) -> Phase:
    """A phase of the schedule.

    Raises:
        RecipeError: it goes by another name than the schedule's, and so would its optimizer and its metrics.
    """
    phase = make(tools)
    if phase.name != name:
        problem = f"The phase {name} of the schedule calls itself {phase.name}."
        raise RecipeError("schedule.cycle", f"{problem} Give it one name: the key in phases={{...}} and its `name`.")
    return phase


def feedback_of(args: Recipe) -> dict[str, FeedbackConfig]:
    """The kinds of feedback that some phase of the schedule learns from."""
    return {name: config for name, config in args.feedback.items() if config.for_ in args.schedule.phases}


def heard_and_answered(tools: Tools) -> dict[str, Any]:
    """Part of data.json: the texts that are heard, the names of what answers, and what BabyLM's rules say of each."""
    return {
        **tools.streams.manifest,
        "read": {report.path: asdict(report.reading) for report in reports_of(tools)},
        "replay": None if tools.replay is None else tools.replay.manifest,
        "dreaming": None if tools.dreaming is None else tools.dreaming.dreams.manifest,
        "rewards": [kind.name for kind in tools.kinds],
        "babylm": {name: config.babylm for name, config in feedback_of(tools.recipe).items()},
    }


def unknown_of(tools: Tools) -> dict[str, Unknown]:
    """What of the L2 text baby and parent cannot spell, by some of its lines."""
    tokenizers = {"baby": tools.tokenizer} | ({} if tools.parent is None else {"parent": tools.parent.tokenizer})
    return {role: unknown_in(tokenizer, tools.streams.sample) for role, tokenizer in tokenizers.items()}


def reports_of(tools: Tools) -> list[SourceReport]:
    """What became of each text that is heard, L1 included."""
    return [*tools.streams.reports, *([] if tools.replay is None else tools.replay.reports)]


def kinds_of(args: Recipe, reward_funcs: Reward | list[Reward] | None, parent: Speaker | None) -> list[Kind]:
    """The feedback itself. Functions passed in are for the phases that learn from rewards, and replace what the recipe
    names.

    Raises:
        RecipeError: such a phase has none to learn from, or one that is no reward.
        RewardError: what is passed in is no reward, or asks for something else than a reward is given.
    """
    rewarded = [phase for phase in REWARDED if phase in args.schedule.phases]
    if reward_funcs is not None:
        rewards = rewards_of(reward_funcs)
        return [Kind(reward_name(reward), reward, phase) for phase in rewarded or REWARDED[:1] for reward in rewards]
    kinds = [kind_of(name, config, parent) for name, config in feedback_of(args).items()]
    for phase in rewarded:
        if all(kind.phase != phase for kind in kinds):
            problem = f"No kind of feedback is for {phase}, so it has nothing to learn from."
            way_out = f"Give one `for: {phase}`, or leave the phase out of schedule.cycle."
            raise RecipeError("feedback", f"{problem} {way_out}")
    for kind in kinds:
        if kind.phase in rewarded and not isinstance(kind.reward, Reward):
            key = f"feedback.{kind.name}.for"
            raise RecipeError(key, f"{key} = {kind.phase}, which learns from rewards, and this is none. Leave it out.")
    return kinds


def lets_the_baby_speak(args: Recipe, kinds: Sequence[Kind]) -> bool:
    """Whether the baby is known to say something in a run: in a phase, for a recast of its words, when evaluated."""
    is_corrected = any(isinstance(kind.reward, Recaster) and kind.reward.needs_utterance for kind in kinds)
    is_measured = args.evaluation.eval_steps is not None and args.evaluation.utterances > 0
    return is_corrected or is_measured or any(phase in SPEAKING for phase in args.schedule.phases)


def kind_of(name: str, config: FeedbackConfig, parent: Speaker | None) -> Kind:
    """A kind of feedback at work, with the weight it begins with."""
    weight = config.weight
    over_training = weight if isinstance(weight, dict) else None
    return Kind(name, config.make(parent), config.for_, curricula.at(weight, 0.0), over_training)


def speaker_of(
    lm: PreTrainedModel | None, tokenizer: PreTrainedTokenizerBase | None, device: torch.device
) -> Speaker | None:
    """A model and its tokenizer on the device; None where there is none."""
    return None if lm is None or tokenizer is None else Speaker(lm.to(device), tokenizer)


def dreaming_for(
    args: Recipe, baby: Speaker, costs: Costs, *, seed: int, batch_size: int, steps: int
) -> Dreaming | None:
    """What is heard of the first baby's own texts: those of the run that goes on, else new ones; None: nothing is."""
    if not args.dreaming.is_on:
        return None
    path = Path(args.output_dir).expanduser() / DREAMS
    if holds_run(args.output_dir) and path.exists():
        dreams = load_dreams(path)
    else:
        with costs.time("dreaming"):
            dreams = dream(baby, args.dreaming, seed=seed)
    rule = args.text.heldout_every
    sizes = {"batch_size": batch_size, "steps": steps}
    return dreaming_of(dreams, args.dreaming, baby.tokenizer, seed=seed, heldout_every=rule, **sizes)


def prepare_baby(lm: PreTrainedModel, args: Recipe) -> None:
    """What the recipe changes of the model that was opened: its weights, dropout, and how its layers learn."""
    if args.baby.random_weights:
        randomize_weights(lm, args.seed)
    if args.baby.dropout is not None:
        set_dropout(lm, args.baby.dropout)
    if args.torch_compile:
        compile_layers(lm)
    if args.gradient_checkpointing:
        recompute_layers(lm)


def accelerator_of(args: Recipe) -> Accelerator:
    """Accelerate's view of the machine.

    Raises:
        RecipeError: the precision cannot be had.
    """
    try:
        return Accelerator(mixed_precision=args.mixed_precision)
    except ValueError as error:
        problem = f"mixed_precision = {args.mixed_precision} cannot be had: {error}"
        way_out = "Accelerate has one precision per process; train with another one in a process of its own."
        raise RecipeError("mixed_precision", f"{problem} {way_out}") from None
