"""`--code FILE.py`: kinds of feedback, phases and rewards of the user's own, from a Python file on the command line.

The file may define

    KINDS     {"name": settings of a kind, a frozen dataclass derived from bambino.FeedbackConfig}, for `feedback`
    PHASES    {"name": what makes the phase, as `phases=` of BambinoTrainer takes}, for `schedule.cycle`
    REWARDS   [functions by TRL's signature, as `reward_funcs=` of BambinoTrainer takes], in place of `feedback`

Code is never named in a recipe: who runs a recipe of somebody else's runs no code of theirs.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bambino.errors import UsageError
from bambino.feedback.settings import KINDS
from bambino.recipe.settings import FeedbackConfig

NAMES = ("KINDS", "PHASES", "REWARDS")


@dataclass(frozen=True)
class Code:
    """What a file of the user's defines."""

    kinds: dict[str, type[FeedbackConfig]] = field(default_factory=dict)
    """Kinds of feedback that a recipe may name, beside those that bambino has."""
    phases: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """Phases that a schedule may name, beside clm and ppo."""
    rewards: list[Callable[..., Any]] | None = None
    """Rewards in place of those that the recipe names; None: the recipe's."""


def code_path(words: Sequence[str]) -> str | None:
    """The FILE.py of `--code FILE.py`, before the other words can be read: it adds options."""
    for place, word in enumerate(words):
        if word.startswith("--code="):
            return word.removeprefix("--code=")
        if word == "--code" and place + 1 < len(words):
            return words[place + 1]
    return None


def load_code(path: str) -> Code:
    """Run a Python file and take what it defines.

    Raises:
        UsageError: it cannot be run, or defines something else.
    """
    module = _run(Path(path).expanduser())
    if not any(hasattr(module, name) for name in NAMES):
        raise UsageError(f"--code {path} defines none of {', '.join(NAMES)}. `bambino train --help` says what each is.")
    code = Code(dict(vars(module).get("KINDS", {})), dict(vars(module).get("PHASES", {})), vars(module).get("REWARDS"))
    for kind, settings in code.kinds.items():
        is_settings = isinstance(settings, type) and issubclass(settings, FeedbackConfig) and is_dataclass(settings)
        if not is_settings:
            way_out = "Give a frozen dataclass derived from bambino.FeedbackConfig."
            raise UsageError(f"--code {path}: KINDS[{kind!r}] is {settings!r}. {way_out}")
        if kind in KINDS:
            raise UsageError(f"--code {path}: KINDS has {kind}, a kind that bambino has. Choose another name.")
    for what in (*code.phases.values(), *(code.rewards or [])):
        if not callable(what):
            raise UsageError(f"--code {path}: {what!r} is no function.")
    return code


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"--code {path}: there is no such file. Give a Python file.")
    name = f"_code_{path.stem}"  # a name of its own, so that it hides no module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--code {path}: not a Python file (its name must end in .py).")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever it raises is shown with its place
        raise UsageError(f"--code {path} cannot be run: {_told(error, path)}") from error
    return module


def _told(error: Exception, path: Path) -> str:
    lines = [
        f"line {frame.lineno}: " for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return (lines[-1] if lines else "") + "".join(traceback.format_exception_only(error)).strip()
