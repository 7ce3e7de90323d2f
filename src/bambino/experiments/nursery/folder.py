"""The nursery as a folder: what a user with a pair of languages has, so that recipes and experiments run on both alike.

    WORLD/recipe.yaml           the paper's way with rates tuned for these models: --recipe WORLD/recipe.yaml
    WORLD/it.txt, en.txt        text; one line in HELDOUT_EVERY is held out, also from what models were trained on
    WORLD/pairs-it.jsonl, ...   minimal pairs of combinations of words that are never heard
    WORLD/baby, parent          models; and parents/NAME, other parents
    WORLD/parent.txt            text that the parent wrote
    WORLD/truth.json            language -> half of the held-out lines -> their true bits per byte
    WORLD/world.json            size, language and seed
    WORLD/models.json           model -> language -> bits per byte of the held-out lines

Models are trained in WORLD/training, which goes on where it was stopped and is gone at the end.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

import yaml
from transformers import AutoTokenizer

from bambino.experiments.local import Job, run_jobs
from bambino.experiments.nursery.designs import (
    BATCH_SIZE,
    CONDITIONS,
    L1,
    Base,
    Design,
    base_recipe,
    part_seed,
    rollout_of,
)
from bambino.files import write_atomically, write_folder, write_json
from bambino.nursery import Grammar, NurseryError, write_pairs, write_text
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.phase_settings import RolloutConfig
from bambino.recipe.settings import Recipe
from bambino.runs.directory import holds_run
from bambino.scoring.texts import bits_per_byte
from bambino.speaking.speaker import open_speaker
from bambino.speaking.written import up_to, written
from bambino.text.heldout import Split
from bambino.text.lines import load_heldout
from bambino.text.tokens import encode
from bambino.training.pretrain import pretrain

HELDOUT_EVERY = 20
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Model:
    """A model of the folder."""

    name: str
    """Its folder's, below the world."""
    role: Literal["l1", "l2"]
    architecture: Literal["llama", "gpt2"] = "llama"
    size: float = 1.0
    """A factor of width and layers."""
    steps: float = 1.0
    """A factor of the design's; 0: it stays random."""


MODELS = (
    Model("baby", "l1"),
    Model("parent", "l2"),
    Model("parents/small", "l2", size=0.5),
    Model("parents/other-shape", "l2", architecture="gpt2"),
    Model("parents/poor", "l2", steps=0.1),
    Model("parents/random", "l2", steps=0),
)
WRONG_LANGUAGE = "parents/wrong-language"
"""The baby itself."""


def write_world(world: Path, design: Design, seed: int, pool: Executor, tell: Callable[[str], None]) -> None:
    """Write what is not there yet.

    Args:
        world: an absolute path; the recipe names what lies there.
        pool: trains the models.
        tell: called with the name of each part that is done.

    Raises:
        NurseryError: another world lies there.
    """
    world.mkdir(parents=True, exist_ok=True)
    _check_same(world, {"size": design.size, "language": design.l2, "seed": seed})
    write_texts(world, design, seed)
    tell("texts and minimal pairs")
    left = [model for model in MODELS if not (world / model.name).is_dir()]
    jobs = [_job(world, model, design, seed) for model in sorted(left, key=lambda model: -model.steps)]
    run_jobs(jobs, pool, lambda job: tell(job.name))
    write_folder(world / WRONG_LANGUAGE, partial(_copy, world / "baby"))
    write_parent_text(world, design, seed)
    tell("text by the parent")
    write_json(world / "models.json", bits_of_models(world, design))
    write_recipe(world, design)
    shutil.rmtree(world / "training", ignore_errors=True)


def _copy(model: Path, part: Path) -> None:
    shutil.copytree(model, part)


def _check_same(world: Path, about: dict[str, Any]) -> None:
    path = world / "world.json"
    there = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else about
    if there != about:
        told = ", ".join(f"{name} {value}" for name, value in there.items())
        raise NurseryError(f"{world} holds another world ({told}). Use another folder.")
    write_json(path, about)


def write_texts(world: Path, design: Design, seed: int) -> None:
    """Texts, minimal pairs and their truth."""
    lines = {L1: design.base_lines, design.l2: max(2 * design.l2_lines, 50 * design.test_sentences)}
    parts = {L1: 0, design.l2: 10}
    truth: dict[str, dict[str, float]] = {}
    for language, count in lines.items():
        code = file_name(language)
        write_text(world / f"{code}.txt", language, count, part_seed(seed, parts[language]))
        write_pairs(world / f"pairs-{code}.jsonl", language, design.doublets, part_seed(seed, 3))
        heldout = {split: heldout_lines(world / f"{code}.txt", split, design.test_sentences) for split in SPLITS}
        truth[code] = {split: true_bits_per_byte(language, those) for split, those in heldout.items()}
    write_json(world / "truth.json", truth)


def heldout_lines(text: Path, split: Split, at_most: int) -> list[str]:
    """The lines that a recipe of the folder evaluates on."""
    return load_heldout([str(text)], heldout_every=HELDOUT_EVERY, split=split, max_lines=at_most)


def true_bits_per_byte(language: str, lines: list[str]) -> float:
    """What no model can be better than, in the long run: the surprisal of exactly these sentences under the grammar."""
    grammar = Grammar.load(language)
    surprisal = -sum(map(grammar.log_probability, lines))
    return surprisal / math.log(2) / sum(len(line.encode("utf-8")) for line in lines)


def file_name(language: str) -> str:
    """Of a language's texts, and its name in evaluations: qel:order -> qel-order."""
    return language.replace(":", "-").replace(",", "-")


def write_parent_text(world: Path, design: Design, seed: int) -> None:
    """As many lines as the recipe keeps of the human text, and a few more for those that are held out."""
    path = world / "parent.txt"
    if not path.is_file():
        parent = open_speaker(ModelConfig(str(world / "parent")), "parent")
        lines = written(parent, RolloutConfig(max_new_tokens=design.context // 4), seed=seed)
        kept = up_to(lines, max_lines=round(1.2 * design.l2_lines))
        write_atomically(path, "".join(f"{line}\n" for line in kept))


# --------------------------------------------------------------------------------------------------------------- models


def bits_of_models(world: Path, design: Design) -> dict[str, dict[str, float]]:
    """Model -> language -> bits per byte of the held-out lines that a run is evaluated on, both halves."""
    names = [*(model.name for model in MODELS), WRONG_LANGUAGE]
    codes = map(file_name, design.languages.values())
    texts = {code: heldout_lines(world / f"{code}.txt", "all", design.test_sentences) for code in codes}
    found = {}
    for name in names:
        speaker = open_speaker(ModelConfig(str(world / name)), "parent")
        found[name] = {code: bits_per_byte(speaker.lm, speaker.tokenizer, lines) for code, lines in texts.items()}
    return found


def _job(world: Path, model: Model, design: Design, seed: int) -> Job:
    recipe = model_recipe(model, design, seed, world / "training" / model.name)
    return Job(model.name, Path(recipe.output_dir), recipe.max_steps, train, (recipe, model, design, seed, world))


def model_recipe(model: Model, design: Design, seed: int, folder: Path) -> Recipe:
    """What a model of the folder is trained by."""
    recipe = base_recipe(Base(model.name, model.role), design, seed, folder, save_steps=200)
    shape = replace(
        recipe.shape,
        architecture=model.architecture,
        hidden_size=round(model.size * recipe.shape.width),
        num_layers=round(model.size * recipe.shape.layers),
    )
    text = replace(recipe.text, heldout_every=HELDOUT_EVERY)
    return replace(recipe, max_steps=round(model.steps * recipe.max_steps), shape=shape, text=text)


def train(recipe: Recipe, model: Model, design: Design, seed: int, world: Path) -> None:
    """Train a model and put it in its place."""
    part = list(design.languages).index(model.role)
    texts = list(Grammar.load(design.languages[model.role]).texts(part_seed(seed, part), design.base_lines))
    trainer = pretrain(recipe, train_dataset=texts, resume=holds_run(recipe.output_dir))
    (world / model.name).parent.mkdir(exist_ok=True)
    write_folder(world / model.name, trainer.save_model)


# --------------------------------------------------------------------------------------------------------------- recipe

ABOUT = """# The paper's algorithm on the nursery, size {size}: an English baby hears {lines} sentences of {l2}.
#
# Rates were chosen by trials on other texts and models (`Tuning` in bambino.experiments.nursery.designs). Written
# by bambino nursery --world; paths are those of the folder it was written in. truth.json has the bits per byte that
# the grammar itself gives the held-out lines, models.json those of baby and parents.
#
#   bambino experiment paper-ablation --recipe {world}/recipe.yaml
#   bambino experiment parents --recipe {world}/recipe.yaml --set parents={world}/parents
#   bambino experiment controls --recipe {world}/recipe.yaml --set parent_text={world}/parent.txt
#   bambino experiment threshold --recipe {world}/recipe.yaml --set low=300 --set middle=3000 --set high=30000

"""


def write_recipe(world: Path, design: Design) -> None:
    """The paper's way on this folder."""
    about = ABOUT.format(size=design.size, lines=design.l2_lines, l2=design.named("{l2}"), world=world)
    settings = recipe_settings(world, design)
    body = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    write_atomically(world / "recipe.yaml", about + body)


def recipe_settings(world: Path, design: Design) -> dict[str, Any]:
    """What is not a default: the settings of the demo's `bambino`, and the folder's own."""
    tuning, names = CONDITIONS["bambino"].tuning, [file_name(code) for code in (design.l2, L1)]
    shape = {"lr_scheduler_type": "cosine", "warmup_updates": 5, "max_grad_norm": 1.0}
    hears = {"learning_rate": tuning.clm_learning_rate, **shape}
    answered = {"learning_rate": tuning.ppo_learning_rate, **shape, "warmup_updates": 0}
    clm_steps = design.cycles * CONDITIONS["bambino"].clm_steps
    steps = design.cycles * CONDITIONS["bambino"].cycle_steps
    speech = rollout_of(tokens_per_line(world / "baby", heldout_lines(world / f"{names[0]}.txt", "all", 200)))
    return {
        "output_dir": "runs/nursery",
        "passes": round(clm_steps * BATCH_SIZE / design.l2_lines),
        "batch_size": BATCH_SIZE,
        "baby": {"model": str(world / "baby")},
        "parent": {"model": str(world / "parent")},
        "text": {
            "sources": [str(world / f"{names[0]}.txt")],
            "max_lines": design.l2_lines,
            "max_length": design.context,
            "min_chars": 1,
            "heldout_every": HELDOUT_EVERY,
        },
        "replay": {"sources": [str(world / f"{names[1]}.txt")]},
        "schedule": {"cycle": {"clm": 10, "ppo": 2}},
        "clm": dict(hears),
        "recast": dict(hears),
        "rollout": {"prompt_tokens": speech.prompt_tokens, "max_new_tokens": speech.max_new_tokens},
        "ppo": {**answered, "reference": "phase_start", "kl_coef": tuning.kl_coef, "adaptive_kl": False},
        "reinforce": dict(answered),
        "prefer": dict(answered),
        "distill": dict(hears),
        "feedback": {"parent_perplexity": {"tau": None, "beta_times_tau": 3.0, "scope": tuning.scope}},
        "evaluation": {
            "eval_steps": -(-steps // design.evaluations),
            "texts": {name: [str(world / f"{name}.txt")] for name in names},
            "pairs": {name: str(world / f"pairs-{name}.jsonl") for name in names},
            "max_lines": design.test_sentences,
            "max_pairs": 500,
        },
    }


def tokens_per_line(model: Path, lines: list[str]) -> float:
    """Mean tokens of some lines by a model's tokenizer, without BOS."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    return fmean(len(row) for row in encode(tokenizer, lines, with_start=False))
