"""PPO's arithmetic against numbers worked out by hand, and the laws it obeys."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from bambino.losses.advantages import at_last_token, gae, token_rewards, whiten
from bambino.losses.ppo import adapted_kl_coef, entropy, exact_kl, policy_loss, value_loss

NAN, INF = math.nan, math.inf
LN2 = math.log(2)

numbers = st.floats(-10, 10, allow_nan=False, width=32)
quick = settings(max_examples=50)


def real(*lengths: int, width: int) -> torch.Tensor:
    """is_real of utterances of these lengths."""
    return torch.arange(width)[None] < torch.tensor(lengths)[:, None]


# ---------------------------------------------------------------------------------------------------------- rewards


def test_token_rewards_are_the_kl_penalty_and_the_reward_on_the_last_real_token() -> None:
    # kl_coef 0.1. Row 0: log-ratios 1, -2, 3, so penalties -0.1, +0.2, -0.3; its reward 5 makes the last 4.7.
    # Row 1 (two tokens): log-ratios 2, -1, so -0.2 and +0.1; its reward -3 makes the second -2.9.
    # Row 2 (one token) -> None: log-ratio 0; its reward 7.
    log_probs = torch.tensor([[-1.0, -4.0, -1.0], [-2.0, -3.0, NAN], [-1.5, NAN, INF]])
    ref_log_probs = torch.tensor([[-2.0, -2.0, -4.0], [-4.0, -2.0, 9.0], [-1.5, NAN, 9.0]])
    is_real = real(3, 2, 1, width=3)
    rewards = at_last_token(torch.tensor([5.0, -3.0, 7.0]), is_real)
    result = token_rewards(rewards, log_probs, ref_log_probs, is_real, 0.1)
    assert_close(result, torch.tensor([[-0.1, 0.2, 4.7], [-0.2, -2.9, 0.0], [7.0, 0.0, 0.0]]))


def test_token_rewards_of_utterances_of_one_token() -> None:
    # 2 - 0.5 * (-1 - -3) = 1
    one = torch.ones(1, 1, dtype=torch.bool)
    assert_close(
        token_rewards(torch.tensor([[2.0]]), torch.tensor([[-1.0]]), torch.tensor([[-3.0]]), one, 0.5), one + 0.0
    )


def test_token_rewards_leave_their_arguments_alone() -> None:
    is_real, log_probs = real(2, 1, width=2), torch.tensor([[-1.0, -2.0], [-3.0, 0.0]])
    before = is_real.clone(), log_probs.clone()
    token_rewards(at_last_token(torch.ones(2), is_real), log_probs, log_probs - 1, is_real, 0.1)
    assert_close((is_real, log_probs), before)


@quick
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), numbers, st.floats(0, 2, width=32))
def test_token_rewards_sum_to_the_reward_less_the_weighted_log_ratio(
    pairs: list[tuple[float, float]], reward: float, kl_coef: float
) -> None:
    log_probs, ref = torch.tensor(pairs, dtype=torch.float64).T[:, None]
    is_real = torch.ones(1, len(pairs)).bool()
    result = token_rewards(at_last_token(torch.tensor([reward]).double(), is_real), log_probs, ref, is_real, kl_coef)
    assert float(result.sum()) == pytest.approx(reward - kl_coef * sum(p - q for p, q in pairs), abs=1e-9)


# ------------------------------------------------------------------------------------------------------- advantages


def test_gae_on_three_tokens_by_hand() -> None:
    # gamma 0.5, lam 0.8, so gamma * lam = 0.4; rewards 1, 0, 2; values 0.5, 1, 1.5.
    # delta_3 = 2 - 1.5 = 0.5               A_3 = 0.5
    # delta_2 = 0 + 0.5 * 1.5 - 1 = -0.25   A_2 = -0.25 + 0.4 * 0.5 = -0.05
    # delta_1 = 1 + 0.5 * 1 - 0.5 = 1       A_1 = 1 + 0.4 * -0.05 = 0.98
    rewards, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    assert_close(gae(rewards, values, real(3, width=3), 0.5, 0.8), torch.tensor([[0.98, -0.05, 0.5]]))


def test_gae_of_ragged_rows_ends_each_at_its_own_last_token_whatever_lies_under_the_mask() -> None:
    # Row 0 as above. Row 1 has two tokens: rewards 1, 2; values 1, 0.5.
    # delta_2 = 2 - 0.5 = 1.5               A_2 = 1.5
    # delta_1 = 1 + 0.5 * 0.5 - 1 = 0.25    A_1 = 0.25 + 0.4 * 1.5 = 0.85
    # Row 2 has one: A_1 = 3 - 4 = -1.
    rewards = torch.tensor([[1.0, 0.0, 2.0], [1.0, 2.0, NAN], [3.0, 100.0, INF]])
    values = torch.tensor([[0.5, 1.0, 1.5], [1.0, 0.5, NAN], [4.0, NAN, 100.0]])
    expected = torch.tensor([[0.98, -0.05, 0.5], [0.85, 1.5, 0.0], [-1.0, 0.0, 0.0]])
    assert_close(gae(rewards, values, real(3, 2, 1, width=3), 0.5, 0.8), expected)


rows = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8)


@quick
@given(rows)
def test_gae_with_gamma_and_lam_1_is_the_sum_of_rewards_to_come_less_the_value(row: list[tuple[float, float]]) -> None:
    rewards, values = torch.tensor(row, dtype=torch.float64).T[:, None]
    to_come = torch.tensor([[sum(r for r, _ in row[u:]) for u in range(len(row))]], dtype=torch.float64)
    assert_close(gae(rewards, values, torch.ones_like(rewards).bool(), 1.0, 1.0), to_come - values)


@quick
@given(st.lists(rows, min_size=1, max_size=4), st.floats(0, 1), st.floats(0, 1))
def test_gae_of_a_padded_batch_is_that_of_each_row_alone(
    batch: list[list[tuple[float, float]]], gamma: float, lam: float
) -> None:
    width = max(map(len, batch))
    padded = torch.full((2, len(batch), width), NAN, dtype=torch.float64)
    for i, row in enumerate(batch):
        padded[:, i, : len(row)] = torch.tensor(row, dtype=torch.float64).T
    rewards, values = padded
    together = gae(rewards, values, real(*map(len, batch), width=width), gamma, lam)
    for i, row in enumerate(batch):
        one = slice(i, i + 1), slice(len(row))
        alone = gae(rewards[one], values[one], torch.ones(1, len(row)).bool(), gamma, lam)
        assert_close(together[i : i + 1, : len(row)], alone, rtol=0, atol=0)
        assert (together[i, len(row) :] == 0).all()


def test_whiten_uses_the_unbiased_variance() -> None:
    # mean 2, variance (1 + 0 + 1) / 2 = 1 (the biased one, 2/3, would give 1.22)
    assert_close(whiten(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([-1.0, 0.0, 1.0]))


def test_whiten_adds_1e_8_to_the_variance() -> None:
    # centred -1e-4 and 1e-4, variance 2e-8, plus 1e-8 is 3e-8; 1e-4 / sqrt(3e-8) = 1 / sqrt(3)
    expected = torch.tensor([-1.0, 1.0], dtype=torch.float64) / math.sqrt(3)
    assert_close(whiten(torch.tensor([0.0, 2e-4], dtype=torch.float64)), expected)


@pytest.mark.parametrize("same", [[4.0], [5.0, 5.0, 5.0]])
def test_whiten_makes_a_single_number_and_equal_numbers_0(same: list[float]) -> None:
    assert_close(whiten(torch.tensor(same)), torch.zeros(len(same)))


@quick
@given(st.lists(numbers, min_size=2, max_size=20).filter(lambda x: max(x) - min(x) > 0.1), numbers, st.floats(1, 9))
def test_whiten_forgets_shift_and_scale(x: Any, shift: float, scale: float) -> None:
    x = torch.tensor(x, dtype=torch.float64)
    result = whiten(x)
    assert float(result.mean()) == pytest.approx(0, abs=1e-9)
    assert float(result.var()) == pytest.approx(1, abs=1e-4)  # epsilon against a variance of at least 2.5e-4
    assert_close(whiten(scale * x + shift), result, rtol=1e-4, atol=1e-9)


# ------------------------------------------------------------------------------------------------------------ losses


def test_policy_loss_clips_only_what_would_go_further_the_same_way() -> None:
    # clip to 0.8 .. 1.2; loss = max(-A * ratio, -A * clipped ratio)
    # A  1, ratio 1.5: max(-1.5, -1.2) = -1.2, clipped: no gradient
    # A  1, ratio 0.5: max(-0.5, -0.8) = -0.5               gradient by log_prob -A * ratio = -0.5
    # A -1, ratio 1.5: max(1.5, 1.2) = 1.5                                                     1.5
    # A -1, ratio 0.5: max(0.5, 0.8) = 0.8, clipped: no gradient
    # A  2, ratio 1.1: max(-2.2, -2.2) = -2.2                                                 -2.2
    # A  0: 0
    old = torch.tensor([0.2, 0.4, 0.1, 0.5, 0.3, 0.3], dtype=torch.float64).log()
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1, 1.5], dtype=torch.float64)
    log_probs = (old + ratio.log()).requires_grad_()
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, 2.0, 0.0], dtype=torch.float64)
    loss = policy_loss(log_probs, old, advantages, 0.2)
    assert_close(loss.detach(), torch.tensor([-1.2, -0.5, 1.5, 0.8, -2.2, 0.0], dtype=torch.float64))
    loss.sum().backward()
    assert_close(log_probs.grad, torch.tensor([0.0, -0.5, 1.5, 0.0, -2.2, 0.0], dtype=torch.float64))


def test_value_loss_takes_the_worse_of_the_value_and_the_clipped_value() -> None:
    # old value 1, clipped to 0.8 .. 1.2
    # V 1.5, return 1: max(0.5^2, 0.2^2) / 2 = 0.125                    gradient V - return = 0.5
    # V 1.5, return 2: max(0.5^2, 0.8^2) / 2 = 0.32, the clipped value's: no gradient
    # V 0.5, return 0: clipped 0.8: max(0.5^2, 0.8^2) / 2 = 0.32, likewise
    # V 1.1, return 2: not clipped, 0.9^2 / 2 = 0.405                                      -0.9
    values = torch.tensor([1.5, 1.5, 0.5, 1.1], dtype=torch.float64, requires_grad=True)
    returns = torch.tensor([1.0, 2.0, 0.0, 2.0], dtype=torch.float64)
    loss = value_loss(values, torch.ones(4, dtype=torch.float64), returns, 0.2)
    assert_close(loss.detach(), torch.tensor([0.125, 0.32, 0.32, 0.405], dtype=torch.float64))
    loss.sum().backward()
    assert_close(values.grad, torch.tensor([0.5, 0.0, 0.0, -0.9], dtype=torch.float64))


@quick
@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=8), st.floats(0.01, 0.9))
def test_both_losses_are_never_below_the_unclipped_ones(triples: list[tuple[float, float, float]], clip: float) -> None:
    new, old, third = torch.tensor(triples, dtype=torch.float64).T
    new, old = new / 5, old / 5  # ratios up to e^4
    assert (policy_loss(new, old, third, clip) >= -third * (new - old).exp()).all()
    assert (value_loss(new, old, third, clip) >= 0.5 * (new - third) ** 2).all()


# ----------------------------------------------------------------------------------------------- entropy, divergence


def test_entropy_by_hand() -> None:
    # 1/2 ln 2 + 1/4 ln 4 + 1/4 ln 4 = 1.5 ln 2; a sure thing 0; two equal tokens in the support, ln 2
    log_policy = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.5, 0.0, 0.5]]).log()
    assert_close(entropy(log_policy), torch.tensor([1.5 * LN2, 0.0, LN2]))


def test_gradient_of_entropy_by_hand_with_a_token_outside_the_support() -> None:
    # d H / d logit_i = -p_i * (log p_i + H), H = 1.5 ln 2:
    # p = 1/2: -1/2 * 0.5 ln 2 = -0.25 ln 2;  p = 1/4: -1/4 * -0.5 ln 2 = 0.125 ln 2;  outside: 0
    logits = torch.tensor([[2.0, 1.0, 1.0, 7.0]]).log2().mul(LN2).requires_grad_()
    support = torch.tensor([[True, True, True, False]])
    entropy(logits.masked_fill(~support, -INF).log_softmax(-1)).sum().backward()
    assert_close(logits.grad, torch.tensor([[-0.25, 0.125, 0.125, 0.0]]) * LN2)


def test_exact_kl_by_hand() -> None:
    # (1/2, 1/2) from (1/4, 3/4) -> None: 1/2 ln 2 + 1/2 ln 2/3 = 1/2 ln 4/3; the other way: 1/4 ln 1/2 + 3/4 ln 3/2
    log_policy = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    expected = torch.tensor([0.5 * math.log(4 / 3), -0.25 * LN2 + 0.75 * math.log(1.5)])
    assert_close(exact_kl(log_policy, log_policy.flip(0)), expected)


def test_exact_kl_with_tokens_outside_the_support() -> None:
    # (1/2, 1/4, 1/4) from (1/4, 1/4, 1/2): 1/2 ln 2 + 0 - 1/4 ln 2 = 1/4 ln 2
    # (1/2, 1/2, 0) from (1/4, 1/4, 1/2): ln 2;  (1/2, 1/2, 0) from (1/8, 7/8, 0) -> None: 1/2 ln 4 + 1/2 ln 4/7
    log_policy = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]).log()
    reference = torch.tensor([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5], [0.125, 0.875, 0.0]]).log()
    expected = torch.tensor([0.25 * LN2, LN2, 0.5 * math.log(16 / 7)])
    assert_close(exact_kl(log_policy, reference), expected)


logit_rows = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


@quick
@given(logit_rows)
def test_entropy_and_kl_stay_within_their_bounds_and_kl_from_oneself_is_0(row: list[tuple[float, float]]) -> None:
    mine, other = torch.tensor(row, dtype=torch.float64).T[:, None].log_softmax(-1)
    assert -1e-12 <= float(entropy(mine)) <= math.log(len(row)) + 1e-12
    assert float(exact_kl(mine, other)) >= -1e-12
    assert float(exact_kl(mine, mine)) == 0


def test_the_mean_log_ratio_of_samples_approaches_the_exact_kl() -> None:
    # what the per-token penalty measures and what is reported as exact are the same quantity; 200 000 draws whose
    # log-ratios have a standard deviation near 1, so the mean's is 0.0022: 5 of them
    generator = torch.Generator().manual_seed(0)
    mine, other = torch.randn(2, 1, 5, generator=generator, dtype=torch.float64).log_softmax(-1)
    draws = torch.multinomial(mine[0].exp(), 200_000, replacement=True, generator=generator)
    assert float((mine - other)[0, draws].mean()) == pytest.approx(float(exact_kl(mine, other)), abs=0.011)


# ------------------------------------------------------------------------------------------------------- coefficient


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (6.0, 0.2),  # on target
        (6.6, 0.200064),  # 10 % over: 0.2 * (1 + 0.1 * 32 / 10000)
        (5.4, 0.199936),  # 10 % under
        (100.0, 0.200128),  # far over, held to 20 %: 0.2 * (1 + 0.2 * 0.0032)
        (0.0, 0.199872),  # far under
        (-3.0, 0.199872),  # sampled KLs can be negative
    ],
)
def test_adapted_kl_coef_by_hand(kl: float, expected: float) -> None:
    assert adapted_kl_coef(0.2, kl, target=6.0, horizon=10_000, batch_size=32) == pytest.approx(expected, rel=1e-12)
