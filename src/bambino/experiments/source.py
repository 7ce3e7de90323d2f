"""The text of an experiment: a file, or one that is shipped; and what stands for its variables.

${it}       what --set it=VALUE gives
${l2:it}    likewise, and `it` where nothing is given
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from bambino.errors import ExperimentError, YamlError
from bambino.recipe.names import nearest
from bambino.recipe.plain_yaml import load, text_of

VARIABLE = re.compile(r"\$\{(\w+)(?::([^{}]*))?\}")
"""Its name, and what stands for it where nothing is given."""


def shipped_experiments() -> dict[str, str]:
    """Name -> text of the experiments that come with bambino."""
    folder = resources.files("bambino") / "experiments" / "shipped"
    names = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    return {name: (folder / f"{name}.yaml").read_text("utf-8") for name in names}


def questions() -> dict[str, str]:
    """Name -> the question of each experiment that is shipped."""
    found: dict[str, Any] = {name: load(_with(text, {}), name) for name, text in shipped_experiments().items()}
    return {name: content["question"] for name, content in found.items()}


def source_of(path: Path, variables: Mapping[str, str]) -> str:
    """The text of an experiment, with what stands for its variables.

    Raises:
        ExperimentError: there is none, a variable that nothing stands for, or one that it has not.
    """
    text = text_of_experiment(path)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    has_default: dict[str, bool] = {}
    for name, default in VARIABLE.findall("\n".join(lines)):
        has_default[name] = has_default.get(name, True) and bool(default)
    for name, may_be_left_out in has_default.items():
        if name not in variables and not may_be_left_out:
            raise ExperimentError(f"{path.name} needs ${{{name}}}. Give it: --set {name}=VALUE")
    for name in variables:
        if name not in has_default:
            near = nearest(name, list(has_default))
            hint = f"Did you mean {near}?" if near else f"It has: {', '.join(has_default) or 'none'}."
            raise ExperimentError(f"--set {name}: there is no ${{{name}}} in {path.name}. {hint}")
    return _with(text, variables)


def _with(text: str, variables: Mapping[str, str]) -> str:
    """The text with every variable that something stands for replaced by it."""
    return VARIABLE.sub(lambda found: variables.get(found[1], found[2] or found[0]), text)


def text_of_experiment(path: Path) -> str:
    """The text of an experiment as it was written.

    Raises:
        ExperimentError: there is none, or it cannot be read.
    """
    there = shipped_experiments()
    if str(path) in there:
        return there[str(path)]
    try:
        return text_of(path)
    except FileNotFoundError:
        near = nearest(path.stem, list(there))
        hint = f"Did you mean {near}? " if near else ""
        way_out = f"Give the path of a YAML file, or one that is shipped: {', '.join(there)}."
        raise ExperimentError(f"There is no experiment at {path}. {hint}{way_out}") from None
    except YamlError as error:
        raise ExperimentError(f"The experiment {error}") from None
