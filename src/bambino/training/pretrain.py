"""Raising a model from scratch: a tokenizer trained on the text, a random model of a chosen shape, then clm steps.

The result is what a baby's L1 and a parent are made of. The training is the trainer's own clm phase (packed rows by
default), so it resumes, logs and evaluates like any run.

    newborn/   the tokenizer and the random model, made once per run from the seed
    model/     the raised model
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bambino.errors import RecipeError
from bambino.models.loading import load_lm, load_tokenizer
from bambino.models.newborn import make_newborn
from bambino.processes import take_part
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run, lock
from bambino.runs.names import NEWBORN
from bambino.text.datasets import texts_of
from bambino.text.streams import read_corpus
from bambino.training.trainer import BambinoTrainer


def pretrain(
    recipe: Recipe,
    *,
    train_dataset: Iterable[Any] | None = None,
    resume: bool = False,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> BambinoTrainer:
    """Raise a model of shape `recipe.shape` on `recipe.text` (or on texts in memory) into `recipe.output_dir`.

    Raises:
        RecipeError: the recipe has a baby already or another phase than clm.
    """
    trainer = newborn_trainer(recipe, train_dataset=train_dataset, on_row=on_row)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def newborn_trainer(
    recipe: Recipe,
    *,
    train_dataset: Iterable[Any] | None = None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> BambinoTrainer:
    """The trainer of `pretrain`, before its first step; makes the newborn where there is none.

    Raises:
        RecipeError: the recipe has a baby already or another phase than clm.
    """
    if recipe.schedule.phases != ["clm"]:
        raise RecipeError("schedule.cycle", "A model from scratch learns by hearing alone: schedule.cycle '{clm: 1}'.")
    if recipe.baby.model is not None:
        way_out = "A model raised from scratch has none before it: leave it out, or use bambino train."
        raise RecipeError("baby.model", f"baby.model = {recipe.baby.model}. {way_out}")
    newborn = Path(recipe.output_dir).expanduser() / NEWBORN
    dataset = texts_of(train_dataset, recipe.text.jsonl_field)
    if not holds_run(recipe.output_dir):
        take_part().from_first(lambda: _make(recipe, dataset, newborn))
    config = ModelConfig(str(newborn))
    lm = load_lm(config, "baby")
    tokenizer = load_tokenizer(config, "baby", lm)
    lm.name_or_path = ""  # made by the run: its recipe names no baby, so the run directory can be moved
    return BambinoTrainer(lm, args=recipe, train_dataset=dataset, processing_class=tokenizer, on_row=on_row)


def _make(recipe: Recipe, dataset: list[Any] | None, newborn: Path) -> None:
    """Make the newborn of a run that begins, unless another process began one meanwhile."""
    held = lock(recipe.output_dir)
    try:
        if not holds_run(recipe.output_dir):
            text = recipe.text
            lines = read_corpus(text, recipe.seed, text.sources, text.weights, dataset).lines
            make_newborn(recipe.shape, lines, recipe.seed, newborn)
    finally:
        held.release()
