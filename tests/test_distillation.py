"""Divergences from a target, by hand."""

import math

import pytest
import torch

from bambino.losses.distillation import Divergence, divergence

LOGITS = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log() + 3.0
"""q = 1/2, 1/4, 1/8, 1/8, whatever is added to logits."""
IDS = torch.tensor([[1, 0]])
PROBS = torch.tensor([[0.5, 0.25]])
"""p: 1/2 on token 1, 1/4 on token 0, 1/4 on the two others together, which q gives 1/4."""


def test_forward_by_hand() -> None:
    # 1/2 log(1/2 / 1/4) + 1/4 log(1/4 / 1/2) + 1/4 log 1 = 1/2 log 2 - 1/4 log 2
    assert divergence(LOGITS, IDS, PROBS, "forward").item() == pytest.approx(math.log(2) / 4)


def test_reverse_by_hand() -> None:
    # 1/4 log(1/4 / 1/2) + 1/2 log(1/2 / 1/4) + 1/4 log 1
    assert divergence(LOGITS, IDS, PROBS, "reverse").item() == pytest.approx(math.log(2) / 4)


def test_mixed_by_hand() -> None:
    # m = 3/8, 3/8, 1/4; KL(p || m) = 1/2 log(4/3) + 1/4 log(2/3), and KL(q || m) is the same with the two swapped
    expected = math.log(4 / 3) / 2 + math.log(2 / 3) / 4
    assert divergence(LOGITS, IDS, PROBS, "mixed").item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["forward", "reverse", "mixed"])
def test_a_model_that_agrees_is_not_apart_and_is_left_alone(kind: Divergence) -> None:
    logits = LOGITS.clone().requires_grad_()
    apart = divergence(logits, torch.tensor([[0, 1, 2]]), torch.tensor([[0.5, 0.25, 0.125]]), kind)
    apart.sum().backward()
    assert apart.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["forward", "reverse", "mixed"])
def test_whole_targets_and_impossible_tokens_give_finite_gradients(kind: Divergence) -> None:
    logits = torch.tensor([[0.0, 1.0, -200.0, float("-inf")]], requires_grad=True)
    apart = divergence(logits, torch.tensor([[0, 1, 2]]), torch.tensor([[1.0, 0.0, 0.0]]), kind)
    apart.sum().backward()
    assert math.isfinite(apart.item())
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    # token 0 shall rise and token 1 fall
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_reverse_of_what_the_target_rules_out_is_finite() -> None:
    # q is 1 on token 1, which p gives 0: log(1 / FLOOR) = log 1e6
    logits = torch.tensor([[-50.0, 50.0, -50.0]])
    found = divergence(logits, torch.tensor([[0, 1]]), torch.tensor([[1.0, 0.0]]), "reverse")
    assert found.item() == pytest.approx(math.log(1e6), rel=1e-3)
