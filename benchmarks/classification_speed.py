"""Milliseconds per item of the zero-shot classification tasks, all templates and options included.

    python benchmarks/classification_speed.py --model PATH --data TESTS [--sentences UD.jsonl] [--items N] [--threads N]

With lines of {"text": ...} in --sentences, also EVENTI and FactA: the tokens of the first 15 with random tags.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import torch

from bambino.evaluation.zero_shot.classification import score_options
from bambino.evaluation.zero_shot.task_data import find_data, load_items
from bambino.evaluation.zero_shot.task_definitions import load_task, task_names
from bambino.models.loading import load_lm, load_tokenizer
from bambino.recipe.model_settings import ModelConfig

SENTENCES = 15


def write_tagged(source: Path, folder: Path, name: str) -> Path:
    """UINAUIL's format, with tags drawn at random."""
    tags, draw = list(load_task(name).labels), random.Random(0)
    lines = source.read_text(encoding="utf-8").splitlines()[:SENTENCES]
    rows = [json.loads(line)["text"].split() for line in lines]
    path = folder / f"{name}.jsonl"
    tagged = ({"tokens": row, "labels": [draw.choice(tags) for _ in row]} for row in rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in tagged), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--sentences", type=Path)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lm = load_lm(ModelConfig(arguments.model), "parent")
    tokenizer = load_tokenizer(ModelConfig(arguments.model), "parent", lm)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: find_data(load_task(name), arguments.data) for name in task_names()}
        if arguments.sentences is not None:
            tagged = ("eventi", "facta")
            files |= {name: write_tagged(arguments.sentences, Path(folder), name) for name in tagged}
        for name, path in files.items():
            if path is None:
                continue
            task = load_task(name)
            items = load_items(task, path).items[: arguments.items]
            begin = time.perf_counter()
            score_options(lm, tokenizer, task, items)
            seconds = time.perf_counter() - begin
            print(f"{name}: {1000 * seconds / len(items):.1f} ms an item, {len(items)} items")


if __name__ == "__main__":
    main()
