"""What speaking phases share: the baby says something after each prompt, and what it said is answered.

Dropout is off, so that the policy that was sampled is the policy that is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bambino.errors import TrainingError
from bambino.feedback.answers import Scores, Spans
from bambino.feedback.credit import credit, said_tokens
from bambino.feedback.rewards import Kind, Moment, Reply, StatefulReward, answer_of, is_dead
from bambino.models.reference import Reference
from bambino.phases.phase import State, Tools
from bambino.processes import Processes
from bambino.randomness import uniforms
from bambino.recipe.schedule import Place
from bambino.runs.log import Row
from bambino.speaking.rollout import Rollout, sample
from bambino.speaking.utterances import Utterances, to_text
from bambino.text.batches import TokenBatch

Carry = Callable[[Scores | Spans, Rollout, PreTrainedTokenizerBase], Float[Tensor, "B U"]]
"""What one kind's feedback is to each token of the utterances."""


def speak(tools: Tools, prompts: TokenBatch, at: Place) -> Rollout:
    """The baby says something after each prompt; its randomness is a function of seed and step.

    Each process samples after its prompts, one without any after the first, for nothing.
    """
    recipe, learner = tools.recipe, tools.learner
    lm, values, accelerator = learner.baby.lm, learner.baby.values, learner.accelerator
    how = recipe.rollout.at(at.progress)
    random = uniforms(len(prompts.input_ids), how.max_new_tokens, seed=recipe.seed, stream="sampling", step=at.step)
    read, mine = int(prompts.is_real.sum()), learner.processes.rows(len(random))
    mine = mine if mine.stop > mine.start else slice(0, 1)
    with tools.costs.time("rollout"), accelerator.autocast():
        here = prompts.rows(mine).to(accelerator.device)
        part = sample(lm, here, random[mine], how, tools.tokenizer.eos_token_id, values)
        rollout = _of_all(learner.processes, part, len(random), how.max_new_tokens)
    tools.costs.said(lm, read, int(rollout.is_real.sum()))
    return rollout


def _of_all(processes: Processes, part: Rollout, count: int, tokens: int) -> Rollout:
    """The rollout of all `count` prompts, of which each process has sampled a part, up to so many tokens."""
    if processes.count == 1:
        return part

    def whole(of_part: Tensor) -> Tensor:
        return processes.joined(of_part, count)

    def wide(of_part: Tensor) -> Tensor:
        wanted = of_part.new_zeros(len(of_part), tokens, *of_part.shape[2:])
        wanted[:, : of_part.shape[1]] = of_part
        return whole(wanted)

    is_real = wide(part.is_real)
    width = int(is_real.any(0).sum())
    return Rollout(
        TokenBatch(whole(part.prompts.input_ids), whole(part.prompts.is_real)),
        wide(part.utterance_ids)[:, :width].contiguous(),
        is_real[:, :width].contiguous(),
        wide(part.log_probs)[:, :width].contiguous(),
        wide(part.values)[:, :width].contiguous(),
        whole(part.has_ended),
        None if part.support is None else wide(part.support)[:, :width],
    )


def as_text(tools: Tools, rollout: Rollout) -> Utterances:
    """What was said, as texts; their words are counted."""
    said = to_text(rollout, tools.tokenizer)
    tools.costs.written("people", said.prompts)
    tools.costs.written("baby", said.completions)
    return said


def of_speech(rollout: Rollout) -> Row:
    """How utterances end and how long they are."""
    lengths = rollout.is_real.sum(1).float()
    return {"ended": fmean(rollout.has_ended.tolist()), "utterance_tokens": float(lengths.mean())}


def be_answered(
    tools: Tools, phase: str, kinds: Sequence[Kind], rollout: Rollout, at: Place, *, carry: Carry = credit
) -> tuple[Float[Tensor, "B U"], Row]:
    """What each token earned by these kinds of feedback, and what that says of the baby, as the phase's metrics.

    The first process asks.

    Args:
        carry: brings one kind's feedback to the tokens; the kinds' are added, each by its weight.

    Raises:
        TrainingError: a reward is not finite.
    """
    device = rollout.log_probs.device
    ask = partial(_answers, tools, phase, [kind.at(at.progress) for kind in kinds], rollout.cpu(), at, carry)
    earned, row = tools.learner.processes.from_first(ask)
    return earned.to(device), {f"{phase}/{name}": value for name, value in row.items()}


def _answers(
    tools: Tools, phase: str, kinds: Sequence[Kind], here: Rollout, at: Place, carry: Carry
) -> tuple[Float[Tensor, "B U"], Row]:
    """What each token of a rollout on the CPU earned, and metrics of it."""
    with tools.costs.time("reward"):
        said = as_text(tools, here)
        moment, tokens = Moment(tools.recipe.seed, at.step, at.progress), partial(said_tokens, here, tools.tokenizer)
        answer = answer_of(kinds, said, tools.costs.read, moment, tokens)
        earned = sum(
            (kind.weight * carry(feedback, here, tools.tokenizer) for kind, feedback in answer.by_kind),
            torch.zeros_like(here.log_probs),
        )
    if not earned.isfinite().all():
        raise TrainingError(f"{phase}: a reward is not finite", {"texts": said.texts, "rewards": answer.rewards})
    tools.log.utterances(phase, at.step + 1, said_rows(said, answer))
    scored = torch.tensor(answer.rewards, dtype=torch.float32)
    row: Row = {
        **answer.metrics,
        "reward": fmean(answer.rewards),
        "reward_std": float(scored.std(correction=0)),
        "dead_reward": float(is_dead(answer.rewards, kinds)),
        **of_speech(here),
    }
    return earned, row


def said_rows(said: Utterances, answer: Reply | None = None) -> list[Row]:
    """A row of utterances.jsonl per utterance, with what the feedback had to say."""
    columns = {} if answer is None else {**answer.columns, "reward": answer.rewards}
    return [
        {"prompt": prompt, "utterance": utterance} | {name: column[i] for name, column in columns.items()}
        for i, (prompt, utterance) in enumerate(zip(said.prompts, said.completions, strict=True))
    ]


def state_of(kinds: Sequence[Kind], reference: Reference) -> State:
    """What a checkpoint must hold of a dialogue: what feedback has learned, and the reference."""
    rewards = [kind.reward for kind in kinds]
    learned = [reward.state_dict() if isinstance(reward, StatefulReward) else None for reward in rewards]
    weights, numbers = reference.weights(), {"feedback": learned}
    return State(numbers, {}, weights) if reference.kind == "initial" else State(numbers, weights)


def restore_dialogue(state: State, kinds: Sequence[Kind], reference: Reference) -> None:
    """Put back what `state_of` gave."""
    for kind, numbers in zip(kinds, state.numbers["feedback"], strict=True):
        if isinstance(kind.reward, StatefulReward):
            kind.reward.load_state_dict(numbers)
    if weights := state.constants | state.tensors:
        reference.load_weights(weights)
