"""How large the demo is: everything that its numbers depend on, the seed apart."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

import bambino
from bambino.config import (
    CLMConfig,
    EvaluationConfig,
    ModelConfig,
    ParentConfig,
    PPOConfig,
    Recipe,
    RewardConfig,
    RolloutConfig,
    ScheduleConfig,
    ShapeConfig,
    TextConfig,
)

CONDITIONS = ("untrained", "clm", "ppo", "bambino")
LANGUAGES = {"en": "English", "it": "Italian"}
SHOWN_ONLY = ("demo", "cli.py", "display.py")
"""Parts of the package that do not change how a base model is raised."""


@dataclass(frozen=True)
class Size:
    """The size of a demo."""

    base_lines: int = 100_000
    """Sentences that a base model is raised on."""
    base_steps: int = 1600
    """Steps of 16 rows of 64 tokens."""
    l2_lines: int = 5000
    """The scarce budget: Italian sentences that the baby may hear."""
    cycles: int = 48
    """Cycles of 10 clm and 2 ppo steps of 32 lines."""
    evaluations: int = 6
    """After the one at step 0; divides `cycles`."""
    exam_sentences: int = 200
    """Sentences of each language that bits per byte are measured on."""
    doublets: int = 20
    """Doublets of minimal pairs per phenomenon, two pairs each."""
    prompts: int = 64
    """Beginnings of sentences that the baby goes on with when it is listened to."""
    hidden_size: int = 128
    layers: int = 2
    context: int = 96


FULL = Size()
FAST = Size(base_steps=240, base_lines=20_000, l2_lines=1000, cycles=12, evaluations=4, exam_sentences=100, doublets=5)


def cycle_steps(condition: str) -> tuple[int, int]:
    """clm and ppo steps of a condition in a cycle."""
    return {"untrained": (0, 0), "clm": (10, 0), "ppo": (0, 2), "bambino": (10, 2)}[condition]


def part_seed(seed: int, part: int) -> int:
    """A seed for each kind of text, so that no two overlap: bases 0 and 1, exam 2, pairs 3, prompts 4, L2 10 and up."""
    return 1000 * seed + part


def base_recipe(language: str, size: Size, seed: int, folder: Path) -> Recipe:
    """What raises the English baby or the Italian parent."""
    return Recipe(
        output_dir=str(folder),
        seed=seed,
        max_steps=size.base_steps,
        batch_size=16,
        save_steps=1_000_000,
        shape=ShapeConfig(
            architecture="llama",
            hidden_size=size.hidden_size,
            num_layers=size.layers,
            num_heads=4,
            context=size.context,
            vocab_size=1024 if language == "en" else 1536,
        ),
        text=TextConfig(mode="packed", max_length=64, min_chars=1, heldout_every=None),
        schedule=ScheduleConfig(kind="clm"),
        clm=CLMConfig(
            learning_rate=6e-3, lr_scheduler_type="cosine", warmup_updates=30, adam_beta2=0.98, max_grad_norm=1.0
        ),
        evaluation=EvaluationConfig(utterances=0),
    )


def condition_recipe(condition: str, size: Size, seed: int, base: Path, exam: Path, text: Path, folder: Path) -> Recipe:
    """One condition: all of them hear the same clm batches, cut their prompts from the same stream."""
    steps = sum(cycle_steps(condition)) * size.cycles
    return Recipe(
        output_dir=str(folder),
        seed=seed,
        max_steps=steps,
        batch_size=32,
        save_steps=1_000_000,
        baby=ModelConfig(str(base / "en" / "model")),
        parent=ParentConfig(str(base / "it" / "model")),
        text=TextConfig(sources=[str(text)], max_length=size.context, min_chars=1, heldout_every=None),
        schedule=ScheduleConfig(kind="cycle" if condition in ("untrained", "bambino") else condition),  # type: ignore[arg-type]
        clm=CLMConfig(learning_rate=3e-3, lr_scheduler_type="cosine", warmup_updates=5, max_grad_norm=1.0),
        rollout=RolloutConfig(prompt_tokens=5, max_new_tokens=24),
        ppo=PPOConfig(learning_rate=1e-4, max_grad_norm=1.0, reference="phase_start", kl_coef=0.05, adaptive_kl=False),
        reward=RewardConfig(tau=None, beta_times_tau=3.0),
        evaluation=EvaluationConfig(
            eval_steps=max(1, steps // size.evaluations),
            texts={language: [str(exam / f"{language}.txt")] for language in LANGUAGES},
            pairs={language: str(exam / f"pairs-{language}.jsonl") for language in LANGUAGES},
            max_lines=size.exam_sentences,
            max_pairs=1_000_000,
            utterances=0,
        ),
    )


def cache_key(size: Size, seed: int) -> str:
    """Changes with everything that the base models depend on: the size, the seed, the code, torch's version."""
    digest = hashlib.sha256(json.dumps([dataclasses.asdict(size), seed, torch.__version__]).encode())
    package = Path(bambino.__file__).parent
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.yaml")]):
        name = path.relative_to(package)
        if name.parts[0] not in SHOWN_ONLY or name.parts[-1] == "settings.py":
            digest.update(str(name).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
