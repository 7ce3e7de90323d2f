"""`--code FILE.py`: kinds of feedback, phases and rewards of the user's own, from a Python file on the command line.

The file may define

    KINDS     {"name": settings of a kind, a frozen dataclass derived from bambino.FeedbackConfig}, for `feedback`
    PHASES    {"name": what makes the phase, as `phases=` of BambinoTrainer takes}, for `schedule.cycle`
    REWARDS   [functions by TRL's signature, as `reward_funcs=` of BambinoTrainer takes], in place of `feedback`

Code is never named in a recipe: who runs a recipe of somebody else's runs no code of theirs.
"""

from __future__ import annotations

import functools
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
from bambino.phases.kinds import PHASES
from bambino.recipe.checks import is_readable, types_of
from bambino.recipe.settings import FeedbackConfig

CODE = "_code_"
"""Before a file's name as a module, so that it hides no other."""
NAMES = {"KINDS": dict, "PHASES": dict, "REWARDS": list}


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


def load_code(path: str | None) -> Code:
    """Run a Python file and take what it defines; without a file, nothing.

    Raises:
        UsageError: it cannot be run, or defines something else.
    """
    return Code() if path is None else _load(path, Path(path).expanduser().resolve())


@functools.cache
def _load(path: str, file: Path) -> Code:
    """A file is run once, however often a command asks for what it defines."""
    module = _run(path, file)
    if not any(hasattr(module, name) for name in NAMES):
        raise UsageError(f"--code {path} defines none of {', '.join(NAMES)}. `bambino train --help` says what each is.")
    for name, wanted in NAMES.items():
        given = vars(module).get(name, wanted())
        if not isinstance(given, wanted):
            way_out = "a list of functions" if wanted is list else "a dict with a name for each"
            raise UsageError(f"--code {path}: {name} is {given!r}. It must be {way_out}.")
    code = Code(vars(module).get("KINDS", {}), vars(module).get("PHASES", {}), vars(module).get("REWARDS"))
    for name, own, ours, it in (("KINDS", code.kinds, KINDS, "kind"), ("PHASES", code.phases, PHASES, "phase")):
        if taken := next((word for word in own if word in ours), None):
            raise UsageError(f"--code {path}: {name} has {taken}, a {it} that bambino has. Choose another name.")
    for kind, settings in code.kinds.items():
        _check_kind(path, kind, settings)
    for what in (*code.phases.values(), *(code.rewards or [])):
        if not callable(what):
            raise UsageError(f"--code {path}: {what!r} is no function.")
    return code


def _check_kind(path: str, kind: str, settings: object) -> None:
    it = f"--code {path}: KINDS[{kind!r}]"
    if not (isinstance(settings, type) and issubclass(settings, FeedbackConfig) and is_dataclass(settings)):
        raise UsageError(f"{it} is {settings!r}. Give a frozen dataclass derived from bambino.FeedbackConfig.")
    if settings.make is FeedbackConfig.make:
        raise UsageError(f"{it}: {settings.__name__} has no make(self, parent). Let it give the feedback's function.")
    try:
        types = types_of(settings)
    except (NameError, TypeError) as error:
        raise UsageError(f"{it}: the types of its fields cannot be read: {error}") from None
    for name, hint in types.items():
        if not is_readable(hint):
            takes = "int, float, str, bool, Literal of names, list or dict of these, each or None"
            raise UsageError(f"{it}: a recipe cannot give {settings.__name__}.{name}. Settings are {takes}.")


def _run(path: str, file: Path) -> ModuleType:
    if not file.is_file():
        raise UsageError(f"--code {path}: there is no such file. Give a Python file.")
    name = f"{CODE}{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"--code {path}: not a Python file (its name must end in .py).")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever it raises is shown with its place
        raise UsageError(f"--code {path} cannot be run: {_told(error, file)}") from error
    return module


def place_in_code(error: BaseException) -> str | None:
    """FILE.py and the line in it where an error arose or was called from; None where no code of the user's was."""
    own = {str(module.__file__) for name, module in sys.modules.items() if name.startswith(CODE)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else None


def _told(error: Exception, path: Path) -> str:
    lines = [
        f"line {frame.lineno}: " for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return (lines[-1] if lines else "") + "".join(traceback.format_exception_only(error)).strip()
