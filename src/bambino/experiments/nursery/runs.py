"""The demo's jobs, each run in a process of its own with one thread: training a base model, running a condition.

Both go on where an earlier one in the same folder was stopped; `knowledge.json` is written last and says that a job is
whole.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer
from transformers.utils import logging

from bambino.evaluation.in_training import measures_of
from bambino.experiments.nursery.designs import (
    BATCH_SIZE,
    L1,
    Base,
    Condition,
    Design,
    base_recipe,
    condition_recipe,
    part_seed,
    rollout_of,
)
from bambino.experiments.nursery.test_set import NurserySpeech, knowledge_of, measures_of_knowledge, tokens_per_line
from bambino.feedback.oracle import GrammarReward
from bambino.files import write_atomically
from bambino.nursery import Grammar, write_text
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run
from bambino.speaking.speaker import Speaker, open_speaker
from bambino.training.pretrain import pretrain
from bambino.training.trainer import BambinoTrainer


def prepare_process() -> None:
    """One CPU thread, so that two jobs do not fight for cores and numbers do not depend on their count."""
    os.environ["ACCELERATE_USE_CPU"] = "true"
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()


@dataclass(frozen=True)
class Run:
    """One condition with one seed."""

    condition: Condition
    design: Design
    seed: int
    """Of the L2 text, its order and the sampling; the base models have their own."""
    bases: Path
    """The folder of the base models."""
    test_set: Path
    folder: Path
    """The run directory; the L2 text lies beside it."""
    base_seed: int
    """Of the base models: L1 lines that are replayed are those that the baby was raised on."""
    steps: int | None = None
    """In place of the condition's cycles."""
    save_steps: int = 1_000_000
    """Steps between checkpoints."""

    @property
    def is_whole(self) -> bool:
        return (self.folder / "knowledge.json").is_file()

    @property
    def replayed_lines(self) -> int:
        """L1 lines that a run's replay is drawn from: so many that no phase hears one twice."""
        steps = self.condition.clm_steps + self.condition.recast_steps
        return round(self.condition.replay * BATCH_SIZE * steps * self.design.cycles)

    def recipe(self) -> Recipe:
        """Every setting of the run; needs the baby's tokenizer."""
        tokenizer = AutoTokenizer.from_pretrained(self.bases / "baby" / "model")
        speech = rollout_of(tokens_per_line(tokenizer, self.test_set))
        text, l1_text = (self.folder.with_name(f"{self.folder.name}{role}.txt") for role in ("", "-l1"))
        paths = (self.bases, self.test_set, text, l1_text, self.folder)
        recipe = condition_recipe(self.condition, self.design, self.seed, *paths, speech)
        recipe = dataclasses.replace(recipe, save_steps=self.save_steps)
        if self.steps is None:
            return recipe
        evaluation = dataclasses.replace(recipe.evaluation, eval_steps=-(-self.steps // self.design.evaluations))
        return dataclasses.replace(recipe, max_steps=self.steps, evaluation=evaluation)


def train_base(
    base: Base, design: Design, seed: int, test_set: Path, folder: Path, save_steps: int = 1_000_000
) -> None:
    """Train a base model into `folder` and measure what it knows of both languages."""
    part = list(design.languages).index(base.role)
    lines = round(base.share * design.base_lines)
    texts = list(Grammar.load(design.languages[base.role]).texts(part_seed(seed, part), lines))
    recipe = base_recipe(base, design, seed, folder, save_steps)
    trainer = pretrain(recipe, train_dataset=texts, resume=holds_run(folder))
    _write_knowledge(trainer, test_set, design, folder)


def run_condition(run: Run) -> None:
    """Run a condition; the baby speaks whenever it is evaluated."""
    recipe = run.recipe()
    if not holds_run(run.folder):
        write_text(Path(recipe.text.sources[0]), run.design.l2, run.design.l2_lines, part_seed(run.seed, 10))
        for source in recipe.replay.sources:
            write_text(Path(source), L1, run.replayed_lines, part_seed(run.base_seed, 0))
    oracle = GrammarReward(Grammar.load(run.design.l2)) if run.condition.is_oracle else None
    parent = open_speaker(ModelConfig(str(run.bases / "parent" / "model")), "parent")
    speech = NurserySpeech(run.test_set, run.design.l2, parent, recipe.rollout.largest, recipe.seed)
    trainer = BambinoTrainer(args=recipe, reward_funcs=oracle, measures=[*measures_of(recipe), speech])
    trainer.train(resume_from_checkpoint=holds_run(run.folder))
    _write_knowledge(trainer, run.test_set, run.design, run.folder)


def _write_knowledge(trainer: BambinoTrainer, test_set: Path, design: Design, folder: Path) -> None:
    baby = Speaker(trainer.baby.lm, trainer.processing_class)
    results = [measure(baby) for measure in measures_of_knowledge(test_set, design)]
    content = {role: dataclasses.asdict(known) for role, known in knowledge_of(results, test_set, design).items()}
    write_atomically(folder / "knowledge.json", json.dumps(content, indent=1))
