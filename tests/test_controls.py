"""The controls say nothing of what was said, and the random one says the same in a run that is resumed."""

from __future__ import annotations

import pytest

from bambino.feedback.controls import ConstantConfig, RandomConfig, drawn


def test_a_constant_is_the_same_for_all() -> None:
    assert ConstantConfig(value=-2.5).make(None)(completions=["a", "", "b b"]) == [-2.5] * 3


def test_what_is_drawn_depends_on_seed_and_step_and_on_nothing_that_was_said() -> None:
    reward = RandomConfig().make(None)
    first = reward(completions=["a", "b"], seed=1, step=5)
    assert first == reward(completions=["c", ""], seed=1, step=5)
    assert first != reward(completions=["a", "b"], seed=2, step=5)
    assert first != reward(completions=["a", "b"], seed=1, step=6)


def test_what_is_drawn_is_even_from_0_to_1() -> None:
    numbers = drawn(completions=[""] * 10_000)
    assert 0 <= min(numbers) < 0.01
    assert 0.99 < max(numbers) < 1
    # the mean of so many has a deviation of sqrt(1 / 12 / 10000) = 0.0029
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=4 * 0.0029)
