"""The demo's jobs, each run in a process of its own with one thread: raising a base model, running a condition."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from bambino.demo.exam import knowledge_of, listen
from bambino.demo.settings import LANGUAGES, Size, base_recipe, condition_recipe, part_seed
from bambino.nursery import Grammar, write_text
from bambino.pretrain import pretrain
from bambino.rewards import ParentPerplexity
from bambino.trainer import BambinoTrainer


def prepare_process() -> None:
    """One CPU thread, so that two jobs do not fight for cores and numbers do not depend on their count."""
    os.environ["ACCELERATE_USE_CPU"] = "true"
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def raise_base(language: str, size: Size, seed: int, exam: Path, folder: Path) -> None:
    """Raise the English baby or the Italian parent into `folder` and give it the exam of both languages."""
    texts = list(Grammar.load(language).texts(part_seed(seed, list(LANGUAGES).index(language)), size.base_lines))
    trainer = pretrain(base_recipe(language, size, seed, folder), train_dataset=texts)
    _write_exam_results(trainer, exam, folder)


def run_condition(condition: str, size: Size, seed: int, base: Path, exam: Path, folder: Path) -> None:
    """Run a condition into `folder`; listen to the baby whenever it is evaluated."""
    text = folder.with_name(f"{folder.name}.txt")
    write_text(text, "it", size.l2_lines, part_seed(seed, 10))
    recipe = condition_recipe(condition, size, seed, base, exam, text, folder)
    heard: list[dict[str, Any]] = []

    def on_row(row: dict[str, Any]) -> None:
        if row["kind"] == "evaluation":
            speech = listen(trainer.baby, trainer.processing_class, parent, recipe, exam)
            heard.append({"step": row["step"], **dataclasses.asdict(speech)})

    trainer = BambinoTrainer(args=recipe, on_row=on_row)
    parent = ParentPerplexity(trainer.parent, trainer.parent_processing_class, recipe.reward)
    trainer.train()
    (folder / "speech.json").write_text(json.dumps(heard, ensure_ascii=False, indent=1), encoding="utf-8")
    _write_exam_results(trainer, exam, folder)


def _write_exam_results(trainer: BambinoTrainer, exam: Path, folder: Path) -> None:
    results = {
        language: dataclasses.asdict(knowledge_of(trainer.baby.lm, trainer.processing_class, exam, language))
        for language in LANGUAGES
    }
    (folder / "exam.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
