"""PPO reaches optima that are known: the project's own sample() and PPOPhase on tasks of one or a few tokens."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from conftest import tiny_lm
from known_models import sharp_lm
from torch import Tensor
from torch.testing import assert_close
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.losses.advantages import at_last_token
from bambino.models.baby import Baby
from bambino.models.reference import Reference
from bambino.phases.learner import Learner
from bambino.phases.phase import Tools
from bambino.phases.ppo import PPOPhase
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import PPOConfig, RolloutConfig
from bambino.recipe.schedule import Schedule
from bambino.recipe.settings import Recipe, ScheduleConfig
from bambino.runs.costs import Costs
from bambino.runs.log import RunLog
from bambino.speaking.rollout import Rollout, sample
from bambino.text.batches import pad
from bambino.text.streams import Streams

BOS, EOS = 1, 2


def learn(
    lm: PreTrainedModel,
    prompts: list[list[int]],
    reward: Callable[[Rollout], Tensor],
    *,
    batch_size: int,
    steps: int,
    ppo: PPOConfig,
    max_new_tokens: int = 1,
) -> tuple[Learner, Reference]:
    """The baby after `steps` ppo steps, each on a batch of these prompts in turn; and the baby it was."""
    recipe = Recipe(
        batch_size=batch_size,
        max_steps=steps,
        schedule=ScheduleConfig(cycle={"ppo": 1}),
        rollout=RolloutConfig(max_new_tokens=max_new_tokens),
        ppo=ppo,
    )
    baby = Baby(lm)
    schedule = Schedule(recipe.schedule, steps)
    learner = Learner(recipe, baby, schedule, Accelerator(cpu=True))
    phase = PPOPhase(
        Tools(
            recipe,
            schedule,
            learner,
            Mock(spec=Streams),
            Mock(spec=PreTrainedTokenizerBase),
            None,
            [],
            Costs(),
            RunLog(lambda row: None),
        )
    )
    batch = pad([prompts[i % len(prompts)] for i in range(batch_size)], 0, "left")
    for step in range(steps):
        random = uniforms(batch_size, max_new_tokens, seed=0, stream="sampling", step=step)
        said = sample(
            baby.lm, batch, random, recipe.rollout, EOS if max_new_tokens > 1 else None, values_of=baby.values
        )
        phase.update(said, at_last_token(reward(said), said.is_real), schedule.at(step))
    return learner, phase.reference


@torch.no_grad()
def next_token(lm: PreTrainedModel, prompt: list[int]) -> Tensor:
    """Probability of each token after a prompt."""
    logits: Tensor = lm(input_ids=torch.tensor([prompt])).logits[0, -1]
    return logits.softmax(-1)


def optimum(reference: Tensor, rewards: Tensor, kl_coef: float) -> Tensor:
    """What maximizes E[R] - kl_coef * KL(pi || pi_ref): pi_ref * exp(R / kl_coef) / Z."""
    weights = reference * (rewards / kl_coef).exp()
    return weights / weights.sum()


def total_variation(p: Tensor, q: Tensor) -> float:
    return float((p - q).abs().sum()) / 2


def test_ppo_finds_the_best_arm_of_each_of_two_bandits() -> None:
    # after 4 the token 6 earns 1, after 5 the token 3, all else nothing: best is to say nothing else. Chance is 1/8
    best = torch.tensor([6, 3] * 32)
    prompts = [[BOS, 4], [BOS, 5]]
    learner, first = learn(
        tiny_lm("opt", 8),
        prompts,
        lambda said: (said.utterance_ids[:, 0] == best).float(),
        batch_size=64,
        steps=50,
        ppo=PPOConfig(learning_rate=1e-3, kl_coef=0.0),
    )
    for prompt, arm in zip(prompts, (6, 3), strict=True):
        assert next_token(first.lm, prompt)[arm] < 0.2
        assert next_token(learner.baby.lm, prompt)[arm] > 0.9


@pytest.mark.parametrize("family", ["opt", "gpt2"])
def test_under_a_kl_penalty_ppo_reaches_the_closed_form_optimum(family: str) -> None:
    rewards, kl_coef, prompt = torch.tensor([0.0, 1.0, 0.5, 0.0, -1.0, 0.3, 0.0, 0.8]), 0.5, [BOS, 3]
    learner, first = learn(
        sharp_lm(family, 8, seed=1),
        [prompt],
        lambda said: rewards[said.utterance_ids[:, 0]],
        batch_size=256,
        steps=40,
        ppo=PPOConfig(learning_rate=3e-3, lr_scheduler_type="linear", kl_coef=kl_coef),
    )
    reference, found = next_token(first.lm, prompt), next_token(learner.baby.lm, prompt)
    best = optimum(reference, rewards, kl_coef)
    assert total_variation(reference, best) > 0.3
    # 40 noisy steps end within 0.01 of it and 0.06 nats at every token; half or twice the penalty would be 0.1 away
    assert total_variation(found, best) < 0.02
    assert_close(found.log(), best.log(), rtol=0, atol=0.12)
    for wrong in (kl_coef / 2, kl_coef * 2):
        assert total_variation(optimum(reference, rewards, wrong), best) > 0.1


def test_utterances_of_two_tokens_or_one_reach_the_closed_form_optimum_too() -> None:
    # the reward hangs on both tokens, or on having ended at once: credit, values and EOS all have to be right
    prompt, size, kl_coef = [BOS, 3], 5, 0.5
    first_token = [0.0, 0.5, 0.6, 0.25, -0.25]

    def reward(said: list[int]) -> float:
        return first_token[said[0]] + (len(said) == 2 and sum(said) % 2 == 1)

    def probabilities(lm: PreTrainedModel) -> Tensor:
        p = next_token(lm, prompt)
        return torch.stack([p[u[0]] * (next_token(lm, prompt + u[:1])[u[1]] if len(u) == 2 else 1) for u in utterances])

    utterances = [[EOS]] + [[a, b] for a in range(size) if a != EOS for b in range(size)]
    learner, first = learn(
        sharp_lm("opt", size, seed=1),
        [prompt],
        lambda said: torch.tensor(
            [reward(ids[real].tolist()) for ids, real in zip(said.utterance_ids, said.is_real, strict=True)]
        ),
        batch_size=256,
        steps=60,
        max_new_tokens=2,
        ppo=PPOConfig(learning_rate=3e-3, lr_scheduler_type="linear", kl_coef=kl_coef),
    )
    reference, found = probabilities(first.lm), probabilities(learner.baby.lm)
    best = optimum(reference, torch.tensor([reward(said) for said in utterances]), kl_coef)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    assert total_variation(reference, best) > 0.3
    # 60 noisy steps end within 0.01 of it
    assert total_variation(found, best) < 0.03
