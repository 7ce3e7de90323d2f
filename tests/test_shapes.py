"""Shapes in signatures are checked while tests run (`--jaxtyping-packages` in pyproject.toml)."""

from __future__ import annotations

import jaxtyping
import pytest
import torch

from bambino.losses.ppo import policy_loss


def test_a_letter_stands_for_one_number_within_a_call() -> None:
    three, four = torch.zeros(3), torch.zeros(4)
    policy_loss(three, three, three, 0.2)
    with pytest.raises(jaxtyping.TypeCheckError, match="policy_loss"):
        policy_loss(three, three, four, 0.2)


def test_a_tensor_of_whole_numbers_is_no_float_tensor() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="policy_loss"):
        policy_loss(torch.zeros(3, dtype=torch.long), torch.zeros(3), torch.zeros(3), 0.2)
