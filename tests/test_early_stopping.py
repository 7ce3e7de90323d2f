"""The best evaluation: which it is, when a run is over, and whose weights are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_lm

from bambino import BambinoTrainer, Recipe
from bambino.errors import RecipeError
from bambino.evaluation.in_training import measures_of
from bambino.measures import Score, TaskResult
from bambino.recipe.settings import EarlyStoppingConfig
from bambino.text.heldout import is_heldout
from bambino.training.best import BestSoFar

Make = Callable[..., Recipe]
GOES_BY_PAIRS: tuple[str, ...] = (
    "--evaluation.eval_steps",
    "1",
    "--evaluation.pairs",
    "{x: none.jsonl}",
    "--save_steps",
    "1",
)
GOES_BY_PAIRS += ("--save_total_limit", "9", "--early_stopping.metric", "pairs/x")


class Scripted:
    """A measure that finds what it was told to, one value an evaluation."""

    name = "pairs/x"

    def __init__(self, *values: float) -> None:
        self.depends_on: dict[str, Any] = {}
        self.values = list(values)

    def __call__(self, baby: object) -> TaskResult:
        return TaskResult(self.name, [Score(self.name, self.values.pop(0), "share", 1)])


def taken(metric: str, values: list[float], patience: int | None = None) -> BestSoFar:
    """The best of these, evaluated at steps 0, 10, 20, ..."""
    best, lm = BestSoFar(EarlyStoppingConfig(metric, patience), metric), tiny_lm("gpt2")
    for nth, value in enumerate(values):
        best.take(10 * nth, {f"eval/{metric}": value}, lm)
    return best


def test_less_is_better_in_bits_and_more_in_pairs() -> None:
    values = [2.0, 1.0, 3.0, 2.5]
    assert taken("bits_per_byte/it", values).step == 10
    assert taken("speech/log_perplexity/baby", values).step == 10
    assert taken("pairs/blimp", values).step == 20
    assert taken("tasks/cola", values).step == 20


def test_equal_is_no_better_and_no_number_never_is() -> None:
    assert taken("pairs/x", [0.5, 0.5]).step == 0
    assert taken("pairs/x", [math.nan, 0.5, math.nan]).step == 10
    assert taken("pairs/x", [math.nan]).step is None


def test_a_run_is_over_after_so_many_evaluations_in_a_row_that_are_no_better() -> None:
    over = [taken("pairs/x", [0.5, 0.4, 0.6, 0.3, 0.2][:n], patience=2).is_waited_for_enough for n in range(1, 6)]
    assert over == [False, False, False, False, True]
    assert not taken("pairs/x", [0.5] * 9).is_waited_for_enough


def trained(recipe: Recipe, *values: float, resume: bool = False) -> BambinoTrainer:
    trainer = BambinoTrainer(args=recipe, measures=[Scripted(*values)])
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def weights_at(recipe: Recipe, step: int | None = None) -> bytes:
    """The baby's file at a checkpoint; None: of the trained model."""
    folder = Path(recipe.output_dir)
    model = folder / "model" if step is None else folder / "checkpoints" / f"step-{step:07d}" / "model"
    return (model / "model.safetensors").read_bytes()


def best_steps(recipe: Recipe) -> list[int]:
    rows = map(json.loads, (Path(recipe.output_dir) / "metrics.jsonl").read_text().splitlines())
    return [row["best/step"] for row in rows if row["kind"] == "evaluation"]


@pytest.mark.parametrize("published", [(), ("--averaging.decay", "0.9")], ids=["the baby", "its running mean"])
def test_the_model_is_the_best_evaluations_and_its_card_says_so(make_recipe: Make, published: tuple[str, ...]) -> None:
    recipe = make_recipe(*GOES_BY_PAIRS, *published)
    trainer = trained(recipe, 0.1, 0.2, 0.3, 0.9, 0.5, 0.6, 0.7)
    assert best_steps(recipe) == [0, 1, 2, 3, 3, 3, 3]
    assert weights_at(recipe) == weights_at(recipe, 3) != weights_at(recipe, 6)
    assert "evaluation at step 3" in (Path(recipe.output_dir) / "model" / "README.md").read_text()
    trainer.save_model()
    assert weights_at(recipe) == weights_at(recipe, 3)


def test_patience_ends_a_run_and_resuming_it_adds_nothing(make_recipe: Make) -> None:
    recipe = make_recipe(*GOES_BY_PAIRS, "--early_stopping.patience", "2")
    assert trained(recipe, 0.1, 0.9, 0.5, 0.6).step == 3
    assert weights_at(recipe) == weights_at(recipe, 1)
    assert trained(recipe, resume=True).step == 3
    assert weights_at(recipe) == weights_at(recipe, 1)


def test_without_keep_best_the_last_weights_stay(make_recipe: Make) -> None:
    recipe = make_recipe(*GOES_BY_PAIRS, "--early_stopping.keep_best", "false")
    trained(recipe, 0.1, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert weights_at(recipe) == weights_at(recipe, 6)


def test_what_is_not_handed_in_cannot_be_gone_by(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match="pairs/x is not measured, but nothing"):
        BambinoTrainer(args=make_recipe(*GOES_BY_PAIRS)).train()


@pytest.mark.parametrize(("split", "names"), [("dev", {"it"}), ("test", {"it", "it/dev"}), ("all", {"it", "it/dev"})])
def test_bits_are_always_of_the_dev_half(make_recipe: Make, text_file: Path, split: str, names: set[str]) -> None:
    settings = ("--evaluation.eval_steps", "3", "--evaluation.texts", f"{{it: [{text_file}]}}")
    recipe = make_recipe(*settings, "--evaluation.split", split, "--early_stopping.metric", "bits_per_byte/it")
    found = {measure.name.removeprefix("bits_per_byte/"): measure for measure in measures_of(recipe)}
    assert found.keys() == names
    assert recipe.stopping_metric == f"bits_per_byte/{max(names, key=len)}"
    by_split = {measure.depends_on["split"]: measure.depends_on["lines"] for measure in found.values()}
    held_out = sum(is_heldout(line, 10) for line in text_file.read_text().splitlines())
    if split == "test":
        assert by_split["dev"] + by_split["test"] == held_out
    assert "dev" in by_split


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--early_stopping.metric", "loss"], "has no better direction"),
        (["--early_stopping.metric", "bits_per_byte/it"], "needs evaluations"),
        (["--early_stopping.metric", "pairs/x", "--evaluation.eval_steps", "1"], "evaluation.pairs names none"),
        (["--early_stopping.patience", "3"], "has nothing to wait for"),
    ],
)
def test_what_cannot_be_is_refused(make_recipe: Make, settings: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make_recipe(*settings)
