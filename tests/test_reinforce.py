"""Feedback without a critic: its arithmetic by hand, its gradient by a slow implementation, what it learns."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from conftest import tiny_lm
from hypothesis import given, settings
from hypothesis import strategies as st
from known_models import bigram_lm, byte_speaker, sharp_lm, word_tokenizer
from slow_phases import gradient_of
from torch import Tensor
from torch.testing import assert_close
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino import BambinoTrainer, Recipe
from bambino.errors import RecipeError
from bambino.feedback.answers import Scores, Spans
from bambino.feedback.credit import centred_returns, said_tokens
from bambino.feedback.parent_spans import ParentSpans
from bambino.feedback.settings import ParentSpansConfig
from bambino.losses.advantages import at_last_token, group_relative, leave_one_out, less_mean
from bambino.losses.reinforce import token_shares
from bambino.models.baby import Baby
from bambino.phases.learner import Learner
from bambino.phases.phase import Tools
from bambino.phases.reinforce import ReinforcePhase, advantages_of
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import ReinforceConfig, RolloutConfig
from bambino.recipe.schedule import Schedule
from bambino.recipe.settings import ScheduleConfig
from bambino.runs.costs import Costs
from bambino.runs.log import RunLog
from bambino.speaking.rollout import Rollout, sample
from bambino.speaking.utterances import to_text
from bambino.text.batches import pad
from bambino.text.streams import Streams

VOCABULARY, EOS = 13, 1
BOS = 1
PROMPTS = [[1, 5, 7, 3], [1, 5, 7, 3], [1, 6], [1, 6]]
REWARDS = [1.5, -0.5, 3.0, 0.25]
Make = Callable[..., Recipe]
numbers = st.floats(-10, 10, allow_nan=False, width=32)
quick = settings(max_examples=50)


# ----------------------------------------------------------------------------------------------------------- baselines


def test_leave_one_out_by_hand() -> None:
    # of three: 1 - (2 + 6) / 2 = -3, 2 - (1 + 6) / 2 = -1.5, 6 - (1 + 2) / 2 = 4.5; of the next three, 0 each
    rewards = torch.tensor([1.0, 2.0, 6.0, 4.0, 4.0, 4.0])
    assert_close(leave_one_out(rewards, 3), torch.tensor([-3.0, -1.5, 4.5, 0.0, 0.0, 0.0]))


def test_group_relative_by_hand() -> None:
    # mean 3, deviations -2, 0, 2, unbiased standard deviation sqrt(8 / 2) = 2; equal rewards are 0 / 1e-4
    rewards = torch.tensor([1.0, 3.0, 5.0, 4.0, 4.0, 4.0], dtype=torch.float64)
    expected = torch.tensor([-2.0, 0.0, 2.0, 0.0, 0.0, 0.0], dtype=torch.float64) / (2 + 1e-4)
    assert_close(group_relative(rewards, 3), expected)


@quick
@given(
    st.lists(numbers, min_size=3, max_size=3).filter(lambda x: max(x) - min(x) > 0.1),
    st.lists(numbers, min_size=3, max_size=3),
    numbers,
)
def test_baselines_know_their_group_only_and_forget_what_all_of_it_earned(
    mine: list[float], other: list[float], shift: float
) -> None:
    rows = mine + other, [x + shift for x in mine] + other
    one, shifted = (torch.tensor(row, dtype=torch.float64) for row in rows)
    for compared in (leave_one_out, group_relative):
        assert_close(compared(one, 3)[:3], compared(shifted, 3)[:3])
        assert_close(compared(one, 3)[3:], compared(shifted, 3)[3:], rtol=0, atol=0)
        assert float(compared(one, 3)[:3].sum()) == pytest.approx(0, abs=1e-8)


def test_less_mean_by_hand_whatever_does_not_count() -> None:
    # mean of 1, 3 and 8 is 4
    values = torch.tensor([[1.0, 3.0], [8.0, float("nan")]])
    counts = torch.tensor([[True, True], [True, False]])
    assert_close(less_mean(values, counts), torch.tensor([[-3.0, -1.0], [4.0, 0.0]]))
    assert_close(less_mean(values, torch.zeros_like(counts)), torch.zeros(2, 2))


def test_token_shares_by_hand() -> None:
    # utterances of 3 and 1 tokens: a quarter each, or 1/3 and 1 of half the batch
    is_real = torch.tensor([[True, True, True], [True, False, False]])
    assert_close(token_shares(is_real, per_utterance=False), is_real / 4)
    expected = torch.tensor([[1 / 6, 1 / 6, 1 / 6], [1 / 2, 0, 0]])
    assert_close(token_shares(is_real, per_utterance=True), expected)


def rollout_of(prompts: list[list[int]], said: list[list[int]]) -> Rollout:
    """Utterances that were said, whatever the model."""
    utterances = pad(said, 0)
    zeros = torch.zeros(utterances.input_ids.shape)
    return Rollout(
        pad(prompts, 0, "left"),
        utterances.input_ids,
        utterances.is_real,
        zeros,
        zeros,
        torch.tensor([False] * len(said)),
    )


def test_every_token_answers_for_the_span_it_lies_in_and_for_nothing_later() -> None:
    # words are tokens; bytes of the first utterance " gatto mangia oggi" 0-6, 6-13, 13-18, of the second " oggi" 0-5
    tokenizer = word_tokenizer("il", "gatto", "mangia", "oggi")
    ids = tokenizer("il gatto mangia oggi")["input_ids"]
    rollout = rollout_of([ids[:1], ids[:1]], [ids[1:], ids[3:]])
    spans = Spans([[(0, 13, 2.0)], [(0, 5, -4.0)]])
    # gatto and mangia answer for 2, the second oggi for -4, the first for nothing; the mean of 2, 2 and -4 is 0
    assert_close(centred_returns(spans, rollout, tokenizer), torch.tensor([[2.0, 2.0, 0.0], [-4.0, 0.0, 0.0]]))
    # mean of 2, 2, 2 and 6 is 3
    scores = centred_returns(Scores([2.0, 6.0]), rollout, tokenizer)
    assert_close(scores, torch.tensor([[-1.0, -1.0, -1.0], [3.0, 0.0, 0.0]]))


def test_the_penalty_is_taken_off_the_utterance_or_off_each_token() -> None:
    # log-ratios 1 and 3 of one utterance, -2 of the other; kl_coef 0.5: penalties -0.5, -1.5 and 1
    rollout = rollout_of([[1], [1]], [[5, 6], [7]])
    earned, real = torch.tensor([[0.0, 4.0], [3.0, 0.0]]), rollout.is_real
    ref = torch.tensor([[-1.0, -3.0], [2.0, 0.0]])
    # rloo: totals 4 - 2 = 2 and 3 + 1 = 4, each less the other
    rloo = advantages_of(rollout, earned, ref, ReinforceConfig(group_size=2, kl_coef=0.5))
    assert_close(rloo, torch.where(real, torch.tensor([[-2.0], [2.0]]), 0.0))
    # batch: the penalties' mean is -1/3, so -1/6, -7/6 and 4/3 are added
    batch = advantages_of(rollout, earned, ref, ReinforceConfig(group_size=1, kl_coef=0.5, baseline="batch"))
    assert_close(batch, torch.tensor([[-1 / 6, 4 - 7 / 6], [3 + 4 / 3, 0.0]]))


# ------------------------------------------------------------------------------------------------------------ gradient


def phase_of(
    lm: PreTrainedModel, batch_size: int, steps: int, config: ReinforceConfig, new_tokens: int, parts: int = 1
) -> tuple[ReinforcePhase, Learner, Schedule]:
    """A reinforce phase as far as updates on given rollouts need it, and its learner."""
    recipe = Recipe(
        batch_size=batch_size,
        gradient_accumulation_steps=parts,
        max_steps=steps,
        schedule=ScheduleConfig(cycle={"reinforce": 1}),
        rollout=RolloutConfig(max_new_tokens=new_tokens),
        reinforce=config,
    )
    schedule = Schedule(recipe.schedule, steps)
    learner = Learner(recipe, Baby(lm), schedule, Accelerator(cpu=True))
    mocks = Mock(spec=Streams), Mock(spec=PreTrainedTokenizerBase)
    tools = Tools(recipe, schedule, learner, *mocks, None, [], Costs(), RunLog(lambda row: None))
    return ReinforcePhase(tools), learner, schedule


def speak(learner: Learner) -> Rollout:
    """The first draw with utterances of three lengths, some ended by EOS, some cut."""
    for step in range(200):
        random = uniforms(4, 5, seed=0, stream="sampling", step=step)
        rollout = sample(learner.baby.lm, pad(PROMPTS, 0, "left"), random, learner.recipe.rollout, EOS)
        if not rollout.has_ended.all() and len(set(rollout.is_real.sum(1).tolist())) == 3:
            return rollout
    raise AssertionError("no such draw")


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("loss_mean", ["tokens", "utterances"])
def test_the_gradient_is_that_of_reinforce_with_the_leave_one_out_baseline(loss_mean: Any, parts: int) -> None:
    config = ReinforceConfig(group_size=2, loss_mean=loss_mean, learning_rate=0.01)
    phase, learner, schedule = phase_of(sharp_lm("opt", VOCABULARY, seed=1), 4, 1, config, 5, parts)
    rollout = speak(learner)
    slow = copy.deepcopy(learner.baby.lm).double().eval()
    lengths = rollout.is_real.sum(1).tolist()
    loss = torch.zeros((), dtype=torch.float64)
    for i, other in enumerate([1, 0, 3, 2]):
        prompt, said = PROMPTS[i], rollout.utterance_ids[i][rollout.is_real[i]].tolist()
        log_probs = slow(input_ids=torch.tensor([prompt + said])).logits[0].log_softmax(-1)
        utterance = sum(log_probs[len(prompt) - 1 + u, token] for u, token in enumerate(said))
        share = 1 / sum(lengths) if loss_mean == "tokens" else 1 / (4 * lengths[i])
        loss = loss - (REWARDS[i] - REWARDS[other]) * share * utterance
    loss.backward()
    found: list[dict[str, Tensor]] = []
    learner.optimizers.by_phase["reinforce"].register_step_pre_hook(
        lambda *_: found.append(gradient_of(learner.baby.lm))
    )

    row = phase.update(rollout, at_last_token(torch.tensor(REWARDS), rollout.is_real), schedule.at(0))

    assert_close(found[0], gradient_of(slow), rtol=1e-4, atol=2e-6)  # fp32 against fp64
    assert row["reinforce/ratio"] == pytest.approx(1, abs=1e-5)
    assert row["reinforce/dead_groups"] == 0
    assert row["reinforce/kl"] == pytest.approx(0, abs=1e-5)


def test_one_epoch_does_not_ask_what_the_sampler_thought_and_two_do() -> None:
    gradients = []
    for epochs in (1, 2):
        for shift in (0.0, 0.5):
            config = ReinforceConfig(group_size=2, epochs=epochs, learning_rate=0.01)
            phase, learner, schedule = phase_of(sharp_lm("opt", VOCABULARY, seed=1), 4, 1, config, 5)
            rollout = speak(learner)
            rollout.log_probs[rollout.is_real] -= shift
            optimizer, found = learner.optimizers.by_phase["reinforce"], list[dict[str, Tensor]]()
            optimizer.register_step_pre_hook(lambda *_, f=found, b=learner.baby: f.append(gradient_of(b.lm)))
            row = phase.update(rollout, at_last_token(torch.tensor(REWARDS), rollout.is_real), schedule.at(0))
            assert len(found) == epochs
            assert (row["reinforce/clip_fraction"] > 0) == (epochs == 2)
            gradients.append(found[0])
    assert_close(gradients[0], gradients[1], rtol=0, atol=0)
    # ratio e^0.5 = 1.65 is clipped where the advantage is positive
    assert any(not torch.allclose(gradients[2][name], gradients[3][name], rtol=0.1) for name in gradients[2])


# ------------------------------------------------------------------------------------------------------------ learning


@torch.no_grad()
def next_token(lm: PreTrainedModel, prompt: list[int]) -> Tensor:
    """Probability of each token after a prompt."""
    logits: Tensor = lm(input_ids=torch.tensor([prompt])).logits[0, -1]
    return logits.softmax(-1)


@pytest.mark.parametrize("baseline", ["rloo", "grpo"])
def test_it_finds_the_best_arm_of_each_of_two_bandits_however_unlike_their_rewards(baseline: Any) -> None:
    # after 4 the token 6 earns 1, after 5 the token 3 earns 101 and all others 100. Chance is 1/8. A mean over both
    # prompts (50.5) would drown the difference of 1
    best, prompts = torch.tensor([6] * 32 + [3] * 32), [[BOS, 4], [BOS, 5]]
    offset = torch.tensor([0.0] * 32 + [100.0] * 32)
    config = ReinforceConfig(group_size=8, baseline=baseline, learning_rate=1e-2)
    phase, learner, schedule = phase_of(tiny_lm("opt", 8), 64, 40, config, 1)
    batch = pad([prompts[i // 32] for i in range(64)], 0, "left")
    for step in range(40):
        random = uniforms(64, 1, seed=0, stream="sampling", step=step)
        said = sample(learner.baby.lm, batch, random, learner.recipe.rollout, None)
        rewards = (said.utterance_ids[:, 0] == best).float() + offset
        phase.update(said, at_last_token(rewards, said.is_real), schedule.at(step))
    for prompt, arm in zip(prompts, (6, 3), strict=True):
        assert next_token(phase.reference.lm, prompt)[arm] < 0.2
        assert next_token(learner.baby.lm, prompt)[arm] > 0.9


def test_by_spans_it_comes_to_say_what_its_parent_says() -> None:
    # both say letters and know of the one before; four are said, each answers for itself
    parent, _ = byte_speaker(says="abc d")
    baby, tokenizer = bigram_lm(byte_speaker(says="abc d", seed=1)[1], context=32), parent.tokenizer
    config = ReinforceConfig(group_size=1, baseline="batch", learning_rate=5e-4)
    phase, learner, schedule = phase_of(baby, 64, 30, config, 4)
    kind = ParentSpans(parent, ParentSpansConfig(unit="token"))
    batch, divergences = pad([[0, *tokenizer("a")["input_ids"]]] * 64, 0, "left"), list[float]()
    for step in range(30):
        random = uniforms(64, 4, seed=0, stream="sampling", step=step)
        rollout = sample(learner.baby.lm, batch, random, learner.recipe.rollout, 0)
        said = to_text(rollout, tokenizer)
        spans = kind(
            prompts=said.prompts,
            completions=said.completions,
            texts=said.texts,
            has_ended=said.has_ended,
            tokens=partial(said_tokens, rollout, tokenizer),
            log_metric=lambda name, value: divergences.append(value),
        )
        phase.update(rollout, centred_returns(spans, rollout, tokenizer), schedule.at(step))
    assert divergences[0] > 0.5
    assert abs(statistics.fmean(divergences[-5:])) < 0.05  # nats per byte


# ---------------------------------------------------------------------------------------------------------------- runs


def test_a_run_says_several_things_after_each_prompt_and_hears_what_others_hear(make_recipe: Make) -> None:
    def reward(*, completions: list[str], **_: Any) -> list[float]:
        return [float(len(text)) for text in completions]

    def trained(cycle: str, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        recipe = make_recipe("--schedule.cycle", cycle, "--reinforce.group_size", "2", output_dir=name)
        BambinoTrainer(args=recipe, reward_funcs=reward).train()
        files = (Path(recipe.output_dir) / f"{file}.jsonl" for file in ("metrics", "utterances"))
        return tuple([json.loads(line) for line in file.read_text().splitlines()] for file in files)  # type: ignore[return-value]

    rows, said = trained("{clm: 2, reinforce: 1}", "reinforce")
    first, second = said[:4], said[4:]
    for four in (first, second):
        assert [row["prompt"] for row in four[::2]] == [row["prompt"] for row in four[1::2]]
        assert four[0]["prompt"] != four[2]["prompt"]
    assert rows[2]["reinforce/reward"] == pytest.approx(statistics.fmean(len(row["utterance"]) for row in first))
    alone, _ = trained("{clm: 2, ppo: 1}", "ppo")
    heard = [[row["clm/targets"] for row in these if row["phase"] == "clm"] for these in (rows, alone)]
    assert heard[0] == heard[1]
    assert [row["clm/loss"] for row in rows[:2]] == [row["clm/loss"] for row in alone[:2]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--reinforce.group_size", "3"), r"reinforce\.group_size = 3 does not divide batch_size = 4"),
        (("--reinforce.group_size", "1"), r"reinforce\.group_size = 1 leaves an utterance nothing to be compared with"),
        (
            ("--reinforce.kl_coef", "0.1", "--reinforce.reference", "none"),
            r"reinforce\.kl_coef = 0\.1 has no reference to be measured against",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(make_recipe: Make, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_recipe("--schedule.cycle", "{clm: 1, reinforce: 1}", *words)


def test_without_feedback_it_is_refused(make_recipe: Make) -> None:
    recipe = make_recipe("--schedule.cycle", "{clm: 1, reinforce: 1}", "--feedback", "{missing_eos: {for: clm}}")
    with pytest.raises(RecipeError, match=r"No kind of feedback is for reinforce.*`for: reinforce`"):
        BambinoTrainer(args=recipe)
