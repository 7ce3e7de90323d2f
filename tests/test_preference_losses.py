"""The losses of preferences, worked out by hand, and which way they push."""

from __future__ import annotations

import math

import pytest
import torch

from bambino.losses.preference import dpo_reward, preference_loss, simpo_reward


def test_dpo_of_two_pairs_by_hand() -> None:
    better = dpo_reward(torch.tensor([-4.0, -6.0]), torch.tensor([-5.0, -5.0]), beta=0.5)
    worse = dpo_reward(torch.tensor([-9.0, -3.0]), torch.tensor([-8.0, -4.0]), beta=0.5)
    # rewards 0.5 * (1, -1) and 0.5 * (-1, 1); differences 1 and -1; log(1 + e^-1) and log(1 + e)
    assert better.tolist() == [0.5, -0.5]
    assert worse.tolist() == [-0.5, 0.5]
    expected = [math.log(1 + math.exp(-1)), math.log(1 + math.e)]
    assert preference_loss(better, worse).tolist() == pytest.approx(expected)


def test_dpo_of_the_reference_itself_is_log_two() -> None:
    log_probs = torch.tensor([-4.0, -9.0])
    reward = dpo_reward(log_probs, log_probs, beta=0.1)
    assert preference_loss(reward[:1], reward[1:]).item() == pytest.approx(math.log(2))


def test_simpo_of_a_pair_by_hand() -> None:
    better = simpo_reward(torch.tensor([-6.0]), torch.tensor([3.0]), beta=2.0)  # -4
    worse = simpo_reward(torch.tensor([-10.0]), torch.tensor([2.0]), beta=2.0)  # -10
    # 6 ahead, 1.5 of it is the margin: log(1 + e^-4.5)
    assert preference_loss(better, worse, margin=1.5).item() == pytest.approx(math.log(1 + math.exp(-4.5)))


def test_simpo_does_not_prefer_what_is_short() -> None:
    # One nat a token each: of equal worth at any length, where DPO without a reference finds the short one likelier.
    rewards = simpo_reward(torch.tensor([-2.0, -20.0]), torch.tensor([2.0, 20.0]), beta=2.0)
    assert rewards[0] == rewards[1]


def test_the_gradient_of_dpo_raises_the_better_text_and_lowers_the_worse_most_where_the_order_is_wrong() -> None:
    better, worse = (torch.tensor([-4.0, -4.0], requires_grad=True) for _ in range(2))
    rewards = dpo_reward(better, torch.tensor([-4.0, 0.0]), 0.5), dpo_reward(worse, torch.tensor([-4.0, -8.0]), 0.5)
    preference_loss(*rewards).sum().backward()
    assert better.grad is not None
    assert worse.grad is not None
    # -beta * sigmoid(worse - better): 0.5 * sigmoid(0) in the first pair, 0.5 * sigmoid(4) in the second
    assert better.grad.tolist() == pytest.approx([-0.25, -0.5 / (1 + math.exp(-4))])
    assert worse.grad.tolist() == pytest.approx([0.25, 0.5 / (1 + math.exp(-4))])
