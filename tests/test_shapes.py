"""Shapes in signatures are checked while tests run (`--jaxtyping-packages` in pyproject.toml)."""

from __future__ import annotations

import re
from pathlib import Path

import jaxtyping
import pytest
import torch

import bambino
from bambino.losses.ppo import policy_loss

WITH_SETTINGS = {"bambino.feedback.parent_targets", "bambino.feedback.relatedness"}
"""Settings check themselves."""


def test_a_letter_stands_for_one_number_within_a_call() -> None:
    three, four = torch.zeros(3), torch.zeros(4)
    policy_loss(three, three, three, 0.2)
    with pytest.raises(jaxtyping.TypeCheckError, match="policy_loss"):
        policy_loss(three, three, four, 0.2)


def test_a_tensor_of_whole_numbers_is_no_float_tensor() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="policy_loss"):
        policy_loss(torch.zeros(3, dtype=torch.long), torch.zeros(3), torch.zeros(3), 0.2)


def test_every_module_that_writes_shapes_has_them_checked(pytestconfig: pytest.Config) -> None:
    checked = pytestconfig.getoption("--jaxtyping-packages").split(",")[:-1]
    source = Path(bambino.__file__).parent
    writes = {
        f"bambino.{'.'.join(path.relative_to(source).with_suffix('').parts)}"
        for path in source.rglob("*.py")
        if re.search(r"^from jaxtyping import", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    missed = {module for module in writes if not any(f"{module}.".startswith(f"{each}.") for each in checked)}
    assert missed == WITH_SETTINGS
