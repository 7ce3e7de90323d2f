"""What the demo's numbers depend on, the seed apart: its languages, its size, its conditions and their recipes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

import bambino
from bambino.feedback.settings import ParentPerplexityConfig, ParentTargetsConfig
from bambino.feedback.text_settings import RecastConfig
from bambino.recipe.model_settings import BabyConfig, ParentConfig, ShapeConfig
from bambino.recipe.phase_settings import CLMConfig, PPOConfig, RecastPhaseConfig, RolloutConfig
from bambino.recipe.settings import EvaluationConfig, FeedbackConfig, Recipe, ScheduleConfig
from bambino.recipe.text_settings import ReplayConfig, TextConfig

L1 = "en"
"""The baby's first language."""


NAMES = {"en": "English", "it": "Italian", "qel": "Qelu"}
"""Of the nursery's languages; others are called by their code. Knobs (`qel:order`) stay behind the name."""


BATCH_SIZE = 32
"""Lines, and prompts, of a step of a condition."""


INVENTED = "qel"
"""What `--language invented` stands for."""


@dataclass(frozen=True)
class Design:
    """The languages and the size of a demo; the defaults are those of size large."""

    size: str = "large"
    """What these numbers are called together."""
    l2: str = "it"
    """What the parent speaks and the baby learns: a language of the nursery other than English."""
    base_lines: int = 100_000
    """Sentences that a base model is trained on."""
    base_steps: int = 1500
    """Steps of 16 rows of 64 tokens."""
    l2_lines: int = 5000
    """The scarce budget: L2 sentences that the baby may hear."""
    cycles: int = 48
    """Cycles of 10 clm and 2 ppo steps of 32 lines."""
    evaluations: int = 6
    """After the one at step 0; divides `cycles`."""
    test_sentences: int = 200
    """Sentences of each language that bits per byte are measured on."""
    doublets: int = 20
    """Doublets of minimal pairs per phenomenon, two pairs each."""
    prompts: int = 64
    """Beginnings of sentences that the baby goes on with when it is made to speak."""
    hidden_size: int = 80
    layers: int = 4
    context: int = 384
    """Longest row in tokens: longer than any line, also where a foreign script costs a token per byte."""

    @property
    def languages(self) -> dict[str, str]:
        """Role -> code in the nursery."""
        return {"l1": L1, "l2": self.l2}

    def named(self, template: str) -> str:
        """A title with the languages' names in place of {l1} and {l2}."""
        return template.format(**{role: _name(language) for role, language in self.languages.items()})


def _name(language: str) -> str:
    """qel:order -> Qelu:order."""
    code, colon, knobs = language.partition(":")
    return NAMES.get(code, code.capitalize()) + colon + knobs


SIZES = {
    one.size: one
    for one in (
        Design("small", base_steps=240, base_lines=20_000, l2_lines=1000, cycles=12, evaluations=4, test_sentences=100,
               doublets=5),
        Design("medium", base_steps=1100, base_lines=70_000, l2_lines=2100, cycles=20, evaluations=5,
               test_sentences=200, doublets=10),
        Design(),
    )
}  # fmt: skip
"""From the smallest to the largest."""


@dataclass(frozen=True)
class Base:
    """A model that is trained from scratch before the conditions begin."""

    name: str
    role: Literal["l1", "l2"]
    share: float = 1.0
    """Of `Design.base_lines`: less text, as many steps, so more passes over it."""


BASES = {"baby": Base("baby", "l1"), "parent": Base("parent", "l2")}


@dataclass(frozen=True)
class Tuning:
    """Settings that are chosen by trial, on other seeds and another test set than those that are reported."""

    clm_learning_rate: float = 6e-3
    ppo_learning_rate: float = 3e-5
    kl_coef: float = 0.05
    scope: Literal["whole", "utterance"] = "whole"
    """See `ParentPerplexityConfig.scope`."""
    ppo_schedule: Literal["constant", "cosine"] = "cosine"
    """clm's rate always falls to zero; with cosine so does ppo's."""


@dataclass(frozen=True)
class Condition:
    """A way to learn L2. All conditions that hear, hear the same batches."""

    name: str
    clm_steps: int
    """In a cycle."""
    ppo_steps: int
    """In a cycle."""
    parent: str = "parent"
    """The base model that answers the baby."""
    is_oracle: bool = False
    """The grammar answers in the parent's place."""
    replay: float = 0.0
    """L1 lines heard beside each L2 line and each recast."""
    first_baby: float = 0.0
    """How much of what is learned there is what the first baby expects of them (`replay.first_baby`)."""
    targets: float = 0.0
    """How much of what the baby is to expect next the parent says, the text the rest (`parent_targets.share`)."""
    recast_steps: int = 0
    """In a cycle: the parent goes on from prompts, and the baby hears that, L1 lines beside it."""
    tuning: Tuning = Tuning()

    @property
    def cycle_steps(self) -> int:
        return self.clm_steps + self.ppo_steps + self.recast_steps

    @property
    def schedule(self) -> ScheduleConfig:
        """The phases that have steps; who takes none is given the default, which makes no difference."""
        steps = {"clm": self.clm_steps, "ppo": self.ppo_steps, "recast": self.recast_steps}
        cycle = {phase: count for phase, count in steps.items() if count}
        return ScheduleConfig(cycle=cycle) if cycle else ScheduleConfig()

    def feedback(self, recast_tokens: int) -> dict[str, FeedbackConfig]:
        """Kinds of feedback by name; the paper's stands also where no phase learns from it.

        Args:
            recast_tokens: of the parent's, in the longest recast.
        """
        kinds: dict[str, FeedbackConfig] = {
            "parent_perplexity": ParentPerplexityConfig(tau=None, beta_times_tau=3.0, scope=self.tuning.scope)
        }
        if self.targets:
            kinds["parent_targets"] = ParentTargetsConfig(for_="clm", share=self.targets, rule="cheap")
        if self.recast_steps:
            kinds["recast"] = RecastConfig(max_new_tokens=recast_tokens)
        return kinds


CONDITIONS = {
    one.name: one
    for one in (
        Condition("untrained", 0, 0),
        Condition("clm", 10, 0),
        Condition("bambino", 10, 2),
        Condition("best", 10, 0, replay=2.0, first_baby=1.0, targets=0.8, recast_steps=30),
    )
}


def part_seed(seed: int, part: int) -> int:
    """A seed for each kind of text, so that no two overlap.

    Bases 0 and 1, the test set 2 to 4, another test set for development 5 to 7, the baby's L2 text 10.
    """
    return 1000 * seed + part


def base_recipe(base: Base, design: Design, seed: int, folder: Path, save_steps: int = 1_000_000) -> Recipe:
    """What a base model is trained by."""
    return Recipe(
        output_dir=str(folder),
        seed=seed,
        max_steps=design.base_steps,
        batch_size=16,
        save_steps=save_steps,
        shape=ShapeConfig(
            architecture="llama",
            hidden_size=design.hidden_size,
            num_layers=design.layers,
            num_heads=4,
            context=design.context,
            vocab_size=1024 if base.role == "l1" else 1536,
        ),
        text=TextConfig(mode="packed", max_length=64, min_chars=1, heldout_every=None),
        schedule=ScheduleConfig(cycle={"clm": 1}),
        clm=CLMConfig(
            learning_rate=4e-3, lr_scheduler_type="cosine", warmup_updates=30, adam_beta2=0.98, max_grad_norm=1.0
        ),
        evaluation=EvaluationConfig(utterances=0),
    )


def rollout_of(tokens_per_line: float) -> RolloutConfig:
    """Prompts of about two ninths of a line (BOS apart), room for four thirds of one, whatever the baby's tokenizer
    makes of L2: 5 and 24 for Italian's 18 tokens."""
    return RolloutConfig(
        prompt_tokens=1 + round(2 / 9 * tokens_per_line), max_new_tokens=round(4 / 3 * tokens_per_line)
    )


def condition_recipe(
    condition: Condition,
    design: Design,
    seed: int,
    bases: Path,
    test_set: Path,
    text: Path,
    l1_text: Path,
    folder: Path,
    speech: RolloutConfig,
) -> Recipe:
    """What a condition does. All of them hear the same clm batches and cut their prompts from the same stream.

    Args:
        bases: the folder of the base models.
        l1_text: what is replayed, where the condition replays.
    """
    steps = condition.cycle_steps * design.cycles
    tuning = condition.tuning
    return Recipe(
        output_dir=str(folder),
        seed=seed,
        max_steps=steps,
        batch_size=BATCH_SIZE,
        save_steps=1_000_000,
        baby=BabyConfig(str(bases / "baby" / "model")),
        parent=ParentConfig(str(bases / condition.parent / "model")),
        text=TextConfig(sources=[str(text)], max_length=design.context, min_chars=1, heldout_every=None),
        replay=ReplayConfig(
            sources=[str(l1_text)] if condition.replay else [],
            share=condition.replay,
            first_baby=condition.first_baby,
        ),
        schedule=condition.schedule,
        clm=CLMConfig(
            learning_rate=tuning.clm_learning_rate, lr_scheduler_type="cosine", warmup_updates=5, max_grad_norm=1.0
        ),
        recast=RecastPhaseConfig(
            learning_rate=tuning.clm_learning_rate,
            lr_scheduler_type="cosine",
            warmup_updates=5,
            max_grad_norm=1.0,
            replay=True,
        ),
        rollout=speech,
        ppo=PPOConfig(
            learning_rate=tuning.ppo_learning_rate,
            lr_scheduler_type=tuning.ppo_schedule,
            max_grad_norm=1.0,
            reference="phase_start",
            kl_coef=tuning.kl_coef,
            adaptive_kl=False,
        ),
        feedback=condition.feedback(speech.max_new_tokens),
        evaluation=EvaluationConfig(
            eval_steps=max(1, steps // design.evaluations),
            texts={role: [str(test_set / f"{role}.txt")] for role in design.languages},
            pairs={role: str(test_set / f"pairs-{role}.jsonl") for role in design.languages},
            max_lines=design.test_sentences,
            max_pairs=1_000_000,
            utterances=0,
        ),
    )


SHOWN_ONLY = (
    "analysis/",
    "cli/",
    "demo/",
    "experiments/nursery/results.py",
    "experiments/nursery/tables.py",
    "report/",
)
"""Parts of the package that change neither base models nor test set."""


def cache_key(design: Design, seed: int) -> str:
    """Changes with all that base models and test set depend on: the design, the seed, the code, torch's version."""
    digest = hashlib.sha256(json.dumps([dataclasses.asdict(design), seed, torch.__version__]).encode())
    package = Path(bambino.__file__).parent
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.yaml")]):
        name = path.relative_to(package).as_posix()
        if not name.startswith(SHOWN_ONLY):
            digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
