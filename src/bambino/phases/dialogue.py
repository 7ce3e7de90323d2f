"""What speaking phases share: the baby says something after each prompt, and what it said is answered.

Dropout is off, so that the policy that was sampled is the policy that is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from bambino.errors import TrainingError
from bambino.feedback.credit import credit
from bambino.feedback.rewards import Answer, Kind, Moment, answer_of, is_dead
from bambino.phases.phase import Tools
from bambino.randomness import uniforms
from bambino.recipe.schedule import Place
from bambino.runs.log import Row
from bambino.speaking.rollout import Rollout, sample
from bambino.speaking.utterances import Utterances, to_text
from bambino.text.batches import TokenBatch


def speak(tools: Tools, prompts: TokenBatch, at: Place) -> Rollout:
    """The baby says something after each prompt; its randomness is a function of seed and step."""
    recipe, learner = tools.recipe, tools.learner
    lm, values, accelerator = learner.baby.lm, learner.baby.values, learner.accelerator
    rows, longest = len(prompts.input_ids), recipe.rollout.max_new_tokens
    random = uniforms(rows, longest, seed=recipe.seed, stream="sampling", step=at.step)
    with tools.costs.time("rollout"), accelerator.autocast():
        prompts = prompts.to(accelerator.device)
        rollout = sample(lm, prompts, random, recipe.rollout, tools.tokenizer.eos_token_id, values)
    tools.costs.said(lm, int(prompts.is_real.sum()), int(rollout.is_real.sum()))
    return rollout


def be_answered(
    tools: Tools, phase: str, kinds: Sequence[Kind], rollout: Rollout, at: Place
) -> tuple[Float[Tensor, "B U"], Row]:
    """What each token earned by these kinds of feedback, and what that says of the baby, as the phase's metrics.

    Raises:
        TrainingError: a reward is not finite.
    """
    with tools.costs.time("reward"):
        said = to_text(rollout, tools.tokenizer)
        answer = answer_of(kinds, said, tools.costs.read, Moment(tools.recipe.seed, at.step))
        earned = sum(
            (kind.weight * credit(feedback, rollout, tools.tokenizer) for kind, feedback in answer.by_kind),
            torch.zeros_like(rollout.log_probs),
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
        "ended": fmean(said.has_ended),
        "utterance_tokens": float(rollout.is_real.sum(1).float().mean()),
    }
    return earned, {f"{phase}/{name}": value for name, value in row.items()}


def said_rows(said: Utterances, answer: Answer | None = None) -> list[Row]:
    """A row of utterances.jsonl per utterance, with what the feedback had to say."""
    columns = {} if answer is None else {**answer.columns, "reward": answer.rewards}
    return [
        {"prompt": prompt, "utterance": utterance} | {name: column[i] for name, column in columns.items()}
        for i, (prompt, utterance) in enumerate(zip(said.prompts, said.completions, strict=True))
    ]
