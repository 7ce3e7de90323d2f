"""Recipes on disk and on the command line: YAML and dotted overrides in, a checked `Recipe` out, and back.

A recipe's own words win over the defaults, overrides win over both. A setting that is a list or a mapping is replaced
whole. `feedback` is a mapping of kinds: a recipe names all there are, an override changes one setting of one kind.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bambino.errors import RecipeError, YamlError, shortened
from bambino.recipe.checks import Settings, required, types_of, written
from bambino.recipe.names import Kinds, Names, nearest, setting_names
from bambino.recipe.plain_yaml import compose, is_null, text_of
from bambino.recipe.settings import FeedbackConfig, Recipe
from bambino.recipe.values import compose_word, read_node, read_word

__all__ = ["dump_recipe", "load_recipe", "read_settings", "setting_names", "shipped"]

Root = TypeVar("Root", bound=Settings)


def load_recipe(
    path: str | Path | None = None,
    overrides: list[str] | None = None,
    *,
    kinds: Kinds | None = None,
    phases: Collection[str] | None = None,
) -> Recipe:
    """A recipe, checked.

    Args:
        path: a YAML file, or the name of a recipe that is shipped, such as "paper"; None: the defaults.
        overrides: words of a command line, such as ["--ppo.kl_coef", "0.1"].
        kinds: the kinds of feedback it may name; None: `feedback` is not read (for who only looks at a run's models).
        phases: the phases it may name; None: any.

    Raises:
        RecipeError: naming key, value, way out and, where it comes from the file, the line.
    """
    text, shown = ("", "") if path is None else _open(path)
    for kind, settings in (kinds or {}).items():
        if settings.make is FeedbackConfig.make:
            raise RecipeError(f"feedback.{kind}", f"feedback.{kind}: {settings.__name__} has no make(self, parent).")
    given = _Given(Names.of(Recipe, kinds), reads_feedback=kinds is not None)
    given.take_file(text, shown)
    given.take_words(overrides or [])
    recipe = given.build(Recipe)
    given.refuse_no_kind(recipe)
    if phases is not None:
        given.locate(lambda: _check_phases(recipe, phases))
    return recipe


def read_settings(cls: type[Root], words: list[str], names: Names) -> Root:
    """Settings of any class from the words of a command line, by the same rules as a recipe's overrides."""
    given = _Given(names)
    given.take_words(words)
    return given.build(cls)


def shipped() -> dict[str, str]:
    """Name -> text of the recipes that come with bambino."""
    folder = resources.files("bambino") / "recipes"
    names = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    return {name: (folder / f"{name}.yaml").read_text("utf-8") for name in names}


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML that `load_recipe` reads back to an equal recipe; every setting is written out."""
    return yaml.dump(recipe.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes strings that other readers of YAML take for numbers, such as 1e-3."""


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    looks_like_number = re.fullmatch(r"[-+]?[\d._]+[eE][-+]?\d+", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if looks_like_number else None)


_Dumper.add_representer(str, _represent_str)


def _open(path: str | Path) -> tuple[str, str]:
    """Text of a recipe, and what messages call it."""
    recipes = shipped()
    if str(path) in recipes:
        return recipes[str(path)], f"{path}.yaml of bambino"
    try:
        return text_of(path), str(path)
    except FileNotFoundError:
        near = nearest(Path(path).stem, list(recipes))
        hint = f"Did you mean {near}? " if near else ""
        way_out = f"Give the path of a YAML file, or a recipe that is shipped: {', '.join(recipes)}."
        raise RecipeError("", f"There is no recipe at {path}. {hint}{way_out}") from None
    except YamlError as error:
        raise RecipeError("", f"The recipe {error}") from None


@dataclass
class _Given:
    """What a file and a command line gave, so far."""

    names: Names
    reads_feedback: bool = True
    values: dict[str, Any] = field(default_factory=dict)
    """Dotted name -> value."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Kind of feedback that is there -> its dotted name."""
    is_emptied: bool = False
    """Whether an override took a kind out, or named all there are."""
    lines: dict[str, str] = field(default_factory=dict)
    """Dotted name -> file and line that it came from; an override takes the line away."""

    # ------------------------------------------------------------------------------------------------- from a file

    def take_file(self, text: str, shown: str) -> None:
        try:
            root = compose(text, shown)
        except YamlError as error:
            raise RecipeError(error.key, error.problem, error.where) from None
        if root is None:
            return
        if not isinstance(root, yaml.MappingNode):
            raise RecipeError("", f"{shown} holds no settings. A recipe is a mapping such as `max_steps: 600`.")
        self._visit(root, "", shown)

    def _visit(self, node: yaml.MappingNode, prefix: str, shown: str) -> None:
        """Take every setting of a mapping; `shown` is the file's name, or empty for a word of the command line."""
        for key_node, value in node.value:
            key = f"{prefix}{key_node.value}"
            where = f"{shown}, line {key_node.start_mark.line + 1}" if shown else ""
            if key in self.lines:
                raise RecipeError(key, f"{key} is given twice. Keep one.", where)
            if shown:
                self.lines[key] = where
            if key == "feedback" and not self.reads_feedback:
                continue
            if key == "reward" and isinstance(value, yaml.MappingNode):
                self._visit(value, "reward.", shown)  # each of its settings is told its new place
            self.names.check(key, where)
            if key in self.names.sections:
                self._visit_section(key, value, shown)
            else:
                self.values[key] = self.locate(lambda key=key, value=value: self._read(key, value))

    def _read(self, key: str, node: yaml.Node) -> Any:
        return read_node(node, self.names.types[key], key)

    def _visit_section(self, key: str, node: yaml.Node, shown: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            problem = f"{key} is a section. Write its settings below it, indented."
            raise RecipeError(key, problem, self.lines.get(key, ""))
        if key.startswith("feedback."):
            self.kinds[key.removeprefix("feedback.")] = key
        self._visit(node, f"{key}.", shown)

    # ------------------------------------------------------------------------------------------ from a command line

    def take_words(self, words: list[str]) -> None:
        """Overrides `--a.b value` and `--a.b=value`, the last one wins."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if not re.match(r"--[A-Za-z_]", word):
                raise RecipeError("", f"{shortened(repr(word))} is no setting. Overrides look like --ppo.kl_coef 0.1.")
            key, equals, value = word[2:].partition("=")
            self.names.check(key)
            if key in self.names.sections and not key.startswith("feedback"):
                self.names.refuse_option(key)
            if not equals:
                if not rest or re.match(r"--[A-Za-z_]", rest[0]):
                    raise RecipeError(key, f"--{key}: expected one argument. Write --{key} VALUE.")
                value = rest.pop(0)
            self._take_word(key, value)

    def _take_word(self, key: str, word: str) -> None:
        if key in self.names.sections:
            self._take_section(key, word)
            return
        kind = key.split(".")[1] if key.startswith("feedback.") else None
        if kind is not None:
            self.kinds.setdefault(kind, f"feedback.{kind}")
        self.values[key] = read_word(word, self.names.types[key], key)
        self.lines.pop(key, None)

    def _take_section(self, key: str, word: str) -> None:
        """`--feedback '{...}'`, or a kind of it: replaced whole; a kind given null is taken out."""
        node = compose_word(word, key)
        is_out = key.startswith("feedback.") and node is not None and is_null(node)
        if not is_out and not isinstance(node, yaml.MappingNode):
            self.names.refuse_option(key)
        for name in [name for name in (*self.values, *self.lines) if name == key or name.startswith(f"{key}.")]:
            self.values.pop(name, None)
            self.lines.pop(name, None)
        self.is_emptied = key.startswith("feedback")
        self.kinds = {kind: name for kind, name in self.kinds.items() if not f"{name}.".startswith(f"{key}.")}
        if not is_out and node is not None:
            self._visit_section(key, node, "")

    # -------------------------------------------------------------------------------------------------- to settings

    def build(self, cls: type[Root]) -> Root:
        """The settings, checked section by section."""
        sections = {
            key: self._make(section, f"{key}.")
            for key, section in self.names.sections.items()
            if section is not None and not key.startswith("feedback.")
        }
        if self.kinds:
            sections["feedback"] = {
                kind: self._make(self.names.sections[name], f"{name}.") for kind, name in self.kinds.items()
            }
        root: Root = self._make(cls, "", sections)
        return root

    def refuse_no_kind(self, recipe: Recipe) -> None:
        """Overrides that take out every kind mean no feedback, not the one that stands where none is named."""
        if self.is_emptied and not self.kinds and FeedbackConfig.for_ in recipe.schedule.phases:
            way_out = "Name one, or leave the phase out: --schedule.cycle '{clm: 1}'."
            problem = f"feedback: no kind is left, so {FeedbackConfig.for_} has nothing to learn from. {way_out}"
            raise RecipeError("feedback", problem)

    def _make(self, cls: Any, prefix: str, values: dict[str, Any] | None = None) -> Any:
        values = dict(values or {})
        for name in types_of(cls):
            if prefix + written(name) in self.values:
                values[name] = self.values[prefix + written(name)]
        for name in required(cls):
            if name not in values:
                key = prefix + written(name)
                raise RecipeError(key, f"{key} is not given, and it has no default.", self.lines.get(prefix[:-1], ""))
        return self.locate(lambda: cls(**values), prefix)

    def locate(self, do: Any, prefix: str = "") -> Any:
        """Do it; an error gets the line of the file that its value came from."""
        try:
            return do()
        except RecipeError as error:
            key, problem = error.key, error.problem
            if not key.startswith(prefix):  # settings of one's own that know no section
                key, problem = prefix + key, prefix + problem if problem.startswith(key) else problem
            raise type(error)(key, problem, error.where or self.lines.get(key, "")) from None


def _check_phases(recipe: Recipe, phases: Collection[str]) -> None:
    """Phases are named as they are called."""
    named = {"schedule.cycle": recipe.schedule.cycle, "schedule.warmup": recipe.schedule.warmup}
    named |= {f"feedback.{kind}.for": {settings.for_: 1} for kind, settings in recipe.feedback.items()}
    for key, names in named.items():
        for name in names:
            if name not in phases:
                near = nearest(name, list(phases))
                hint = f"Did you mean {near}?" if near else f"Phases are {', '.join(phases)}."
                raise RecipeError(key, f"{key} names a phase {name}, which there is not. {hint}")
