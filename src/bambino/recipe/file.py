"""Recipes on disk and on the command line: YAML and dotted overrides in, a checked `Recipe` out, and back.

Types and help texts are jsonargparse's, from the fields of `settings.py`. Ours: unknown keys are refused with the
nearest spelling, and errors carry the line of the file.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing
from pathlib import Path

import jsonargparse
import yaml

from bambino.errors import RecipeError
from bambino.recipe.settings import Recipe

jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)


@functools.cache
def build_parser(prog: str = "bambino train") -> jsonargparse.ArgumentParser:
    """The command line's view of `Recipe`: one dotted option per setting, help from the field docs (kept: 0.2 s)."""
    parser = jsonargparse.ArgumentParser(prog=prog, exit_on_error=False)
    parser.add_class_arguments(Recipe, None)
    return parser


def load_recipe(path: str | Path | None = None, overrides: list[str] | None = None) -> Recipe:
    """The recipe in the YAML file `path` (None: the defaults), with `overrides` such as ["--ppo.kl_coef", "0.1"].

    Raises:
        RecipeError: naming key, value, way out and, where it comes from the file, the line.
    """
    parser, overrides = build_parser(), overrides or []
    lines: dict[str, int] = {}
    try:
        settings = None
        if path is not None:
            text = _read(Path(path))
            lines = _key_lines(text, str(path))
            _check_keys(lines, str(path))
            settings = parser.parse_string(text) if lines else None
        _check_keys(dict.fromkeys(_override_keys(overrides), 0), "")
        namespace = parser.parse_args(overrides, namespace=settings)
        _refuse_nulls(namespace)
        return Recipe(**vars(parser.instantiate(namespace)))
    except RecipeError as error:
        raise _located(error, lines, path, overrides) from None
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise _located(_type_error(str(error)), lines, path, overrides) from None


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML that `load_recipe` reads back to an equal recipe; every setting is written out."""
    return yaml.dump(recipe.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes strings that jsonargparse would read as numbers, such as 1e-3, where PyYAML sees no need to."""


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    looks_like_number = re.fullmatch(r"[-+]?[\d._]+[eE][-+]?\d+", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if looks_like_number else None)


_Dumper.add_representer(str, _represent_str)


def setting_names(cls: type = Recipe, prefix: str = "") -> list[str]:
    """Dotted names of all settings and sections."""
    names = []
    for name, hint in typing.get_type_hints(cls).items():
        names.append(prefix + name)
        if dataclasses.is_dataclass(hint):
            names += setting_names(typing.cast(type, hint), f"{prefix}{name}.")
    return names


def _is_section(name: str) -> bool:
    return dataclasses.is_dataclass(typing.get_type_hints(Recipe).get(name))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        way_out = "Give the path of a YAML file, e.g. recipes/paper.yaml."
        raise RecipeError("", f"There is no recipe at {path}. {way_out}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError("", f"The recipe {path} cannot be read: {error}") from None


def _key_lines(text: str, path: str) -> dict[str, int]:
    """Dotted key -> line (from 1) of a recipe's YAML; keys below a setting that is itself a mapping are data."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise RecipeError("", f"{path} is not YAML: {error}") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise RecipeError("", f"{path} holds no settings. A recipe is a mapping such as `max_steps: 600`.")
    lines: dict[str, int] = {}

    def visit(node: yaml.MappingNode, prefix: str) -> None:
        for key, value in node.value:
            name = f"{prefix}{key.value}"
            if name in lines:
                raise RecipeError(name, f"{name} is given twice. Keep one.", f"{path}, line {key.start_mark.line + 1}")
            lines[name] = key.start_mark.line + 1
            if _is_section(name):
                if not isinstance(value, yaml.MappingNode):
                    where = f"{path}, line {lines[name]}"
                    raise RecipeError(name, f"{name} is a section. Write its settings below it, indented.", where)
                visit(value, f"{name}.")

    visit(root, "")
    return lines


def _override_keys(overrides: list[str]) -> list[str]:
    stray = [
        word for i, word in enumerate(overrides) if not word.startswith("--") and (i == 0 or "=" in overrides[i - 1])
    ]
    if stray:
        raise RecipeError("", f"{stray[0]!r} is no setting. Overrides look like --ppo.kl_coef 0.1.")
    return [word[2:].split("=")[0].rstrip("+") for word in overrides if re.match(r"--[A-Za-z_]", word)]


def _check_keys(keys: dict[str, int], path: str) -> None:
    known = setting_names()
    for key, line in keys.items():
        if key in known:
            continue
        near = (
            difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            or [name for name in known if name.split(".")[-1] == key.split(".")[-1]][:1]
        )
        hint = f"Did you mean {near[0]}?" if near else "`bambino train --help` lists all settings."
        raise RecipeError(key, f"There is no setting {key}. {hint}", f"{path}, line {line}" if path else "")


def _refuse_nulls(namespace: jsonargparse.Namespace, cls: type = Recipe, prefix: str = "") -> None:
    """null is off, so only for settings that can be off; jsonargparse lets it pass everywhere."""
    for name, hint in typing.get_type_hints(cls).items():
        key = prefix + name
        if dataclasses.is_dataclass(hint):
            _refuse_nulls(namespace, typing.cast(type, hint), f"{key}.")
        elif namespace[key] is None and type(None) not in typing.get_args(hint):
            raise RecipeError(key, f"{key} cannot be null. Leave it out to keep its default.")


def _type_error(message: str) -> RecipeError:
    """jsonargparse's complaint as ours: its 'Parser key "ppo.epochs": Expected a <class 'int'>. Got value: x'."""
    key = re.search(r'[Kk]ey "([^"]+)"', message)
    text = re.sub(r"<class '(\w+)'>", r"\1", re.sub(r'(Parser key "[^"]+"):\s+', "", message)).replace("typing.", "")
    text = re.sub(r"\s+", " ", text).strip()
    if key is None:
        return RecipeError("", text)
    name = key.group(1)
    if _is_section(name):
        first = dataclasses.fields(typing.get_type_hints(Recipe)[name])[0].name
        return RecipeError(name, f"{name} is a section of settings. Give them one by one, such as --{name}.{first}.")
    text = re.sub(r"^.*?Expected", "expected", text)
    # what it says of a setting that may be null: 'expected list - Expected a NoneType Given value type: str ...'
    text = re.sub(r"(expected (?:a )?\w+) - Expected (?:a )?NoneType", r"\1 or null", text)
    text = re.sub(r" Given value type: \w+ Given value:", ". Got value:", text)
    text = re.sub(r"expected (int|float|str|list|dict|bool)\b", r"expected a \1", text)
    text = re.sub(r"expected a Literal\[(.*?)\]", r"expected one of \1", text).replace(
        "expected a int", "expected an int"
    )
    value = re.search(r"expected a list(?: or null)?\. Got value: (.*)$", text)
    way_out = f" Write a list: '[{value.group(1)}]'" if value else ""
    if "expected a dict" in text:
        way_out = " Write a mapping, with a space after each colon: '{it: [italian.txt]}'"
    return RecipeError(name, f"{name}: {text}{way_out}")


def _located(error: RecipeError, lines: dict[str, int], path: str | Path | None, overrides: list[str]) -> RecipeError:
    """The error, with the line of the file its value came from (unless the command line gave it)."""
    if error.where or error.key not in lines or error.key in _override_keys(overrides):
        return error
    return RecipeError(error.key, error.problem, f"{path}, line {lines[error.key]}")
