"""What a run is made of and where it ran, so that a run that goes on is the same run: data.json, environment.json."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bambino.errors import RecipeError
from bambino.files import write_json
from bambino.recipe.checks import required
from bambino.recipe.file import dump_recipe
from bambino.recipe.plain_yaml import load
from bambino.recipe.settings import Recipe
from bambino.runs.directory import read_manifest
from bambino.runs.record import read_run

PACKAGES = ("bambino-lm", "torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pydantic")


FREE_ON_RESUME = (
    *("output_dir", "save_steps", "save_total_limit", "keep_every", "logging_steps", "alarms", "revisions", "rules"),
    "text.cache",
    *("baby.trust_remote_code", "parent.trust_remote_code"),
)
"""Settings, and sections of them, that a resumed run may change: they change no weight."""


MADE_OF = {
    "clm": ("text.sources", "The text"),
    "prompts": ("text.prompt_sources", "The text of prompts"),
    "replay": ("replay.sources", "The text of replay"),
    "dreaming": ("dreaming", "dreams.jsonl"),
    "baby": ("baby.model", "The baby"),
    "baby_tokenizer": ("baby.model", "The baby's tokenizer"),
    "parent": ("parent.model", "The parent"),
    "parent_tokenizer": ("parent.model", "The parent's tokenizer"),
    "evaluation": ("evaluation", "A text or file of pairs that is evaluated on"),
    "rewards": ("reward_funcs", "The reward"),
}
"""Part of data.json -> the setting that names it, and its name in a sentence; a part that is null is not compared."""


def check_same_run(path: Path, recipe: Recipe, manifest: dict[str, Any]) -> None:
    """A resumed run is the same run: same settings (but for FREE_ON_RESUME), made of the same.

    A setting that came after the run began stands at its default.

    Raises:
        RecipeError: naming the first setting or part that differs.
    """
    made_of = read_manifest(path)
    before_now = read_run(path).settings, load(dump_recipe(recipe), "the recipe")
    then, now = (_flat(settings) | _in_order(settings) for settings in before_now)
    if not all(settings.get("feedback") for settings in before_now):  # reward functions take its place: see MADE_OF
        then, now = (
            {key: settings[key] for key in settings if not key.startswith("feedback.")} for settings in (then, now)
        )
    then = {key: default for key, default in _defaults(recipe).items() if key in now} | then
    for key in now | then:
        if not {key, key.partition(".")[0]} & {*FREE_ON_RESUME} and then.get(key) != now.get(key):
            problem = f"{key} is {now.get(key)}, but the run in {path} has {then.get(key)}."
            way_out = "A resumed run keeps its settings; start another with its own output_dir."
            raise RecipeError(key, f"{problem} {way_out}")
    for part, (key, it) in MADE_OF.items():
        before, after = made_of.get(part), manifest.get(part)
        if before is not None and after is not None and before != after:
            problem = f"{it} is not what the run in {path} began with (data.json)."
            if part == "rewards":
                problem += f" It began with {before}, this is {after}: pass the same reward_funcs to BambinoTrainer."
            if part == "evaluation" and before.keys() != after.keys():
                there = f" It began with {_names(before)}, this has {_names(after)}"
                problem += f"{there}: pass the same measures to BambinoTrainer, such as measures_of(args)."
            raise RecipeError(key, problem)


def _defaults(recipe: Recipe) -> dict[str, Any]:
    """Dotted key -> default of the settings, those of its kinds of feedback among them, that have one."""
    kinds = {kind: type(given) for kind, given in recipe.feedback.items()}
    own = {kind: settings().to_dict() for kind, settings in kinds.items() if not required(settings)}
    return _flat(Recipe().to_dict() | {"feedback": own})


def note_environment(run: Path, now: dict[str, Any], step: int) -> list[str]:
    """Add to a run's environment.json where it goes on, if that is not where it was before.

    Returns:
        What is different, such as "packages.torch 2.1 -> 2.2".

    Raises:
        RunDirectoryError: it cannot be read.
    """
    noted = read_run(run).environment
    earlier = noted.setdefault("resumed", [])
    then = {"processes": 1, **_flat(earlier[-1] if earlier else noted)}
    changes = [f"{key} {then.get(key)} -> {value}" for key, value in _flat(now).items() if then.get(key) != value]
    if changes:
        earlier.append({"step": step, **now})
        write_json(run / "environment.json", noted)
    return changes


def environment(device: str) -> dict[str, Any]:
    """Versions and places that a result may depend on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": git_commit(),
    }


@cache
def _version(package: str) -> str | None:
    """Looked up once: what is installed later is not what this process runs."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def git_commit() -> str | None:
    """The commit of bambino's own source tree, "-dirty" when it was changed since; None when installed without one.

    Looked up once: what is committed later is not what this process runs.
    Installed somewhere inside another project's repository, it is not that project's commit.
    """
    here = Path(__file__).parents[1]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _names(measures: dict[str, Any]) -> str:
    return ", ".join(measures) or "no measure"


def _in_order(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that are mappings whose order tells: phases come in the order that they are written in."""
    schedule = settings.get("schedule", {})
    names = {f"schedule.{name}": schedule[name] for name in ("warmup", "cycle") if name in schedule}
    return {key: ", ".join(f"{phase}: {steps}" for phase, steps in value.items()) for key, value in names.items()}


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of nested settings."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
