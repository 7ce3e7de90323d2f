"""The shipped recipes still compute what they computed when their trajectories were committed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trajectories import FOLDER, OVERRIDES, trajectory

from bambino.recipe.file import shipped


@pytest.mark.parametrize("recipe", OVERRIDES)
def test_a_recipe_gives_the_numbers_that_were_committed(recipe: str, tmp_path: Path) -> None:
    found, committed = trajectory(recipe, tmp_path), json.loads((FOLDER / f"{recipe}.json").read_text("utf-8"))
    for row, wanted in zip(found, committed, strict=True):
        named = ("kind", "step", "phase")
        assert [row.pop(name, "") for name in named] == [wanted.pop(name, "") for name in named]
        # rounding of another CPU, through 14 steps at a rate of 1e-3; a change of arithmetic is far larger
        assert row == pytest.approx(wanted, rel=1e-3, abs=1e-5)


def test_every_shipped_recipe_has_a_trajectory() -> None:
    assert set(shipped()) == set(OVERRIDES)
