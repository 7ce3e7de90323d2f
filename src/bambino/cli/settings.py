"""Settings as options of a command: `--ppo.epochs INT`, with its doc and its default, grouped by section."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Sequence
from typing import Any, Literal

from bambino.cli.console import Parser
from bambino.errors import UsageError
from bambino.recipe.checks import Settings, may_be_null, may_change, plain_type, types_of, written
from bambino.recipe.docs import about, default_of, field_docs
from bambino.recipe.names import Kinds, Names
from bambino.recipe.plain_yaml import number_of
from bambino.recipe.settings import Recipe

HOW_TO_WRITE = """Values are written as in YAML: 1e-3, true, null (off), '[a.txt, b.txt]', '{it: [a.txt], en: [b.txt]}'.
--NAME VALUE and --NAME=VALUE are the same; of two, the last wins. A list or a mapping is replaced whole."""


class Take(argparse.Action):
    """Keeps a setting with its word, in the order given; the recipe's own loader reads them (`namespace.settings`)."""

    def __call__(self, parser: object, namespace: argparse.Namespace, word: Any, option: str | None = None) -> None:
        namespace.settings = [*(getattr(namespace, "settings", None) or []), f"{option}={word}"]


def add_recipe(parser: Parser, kinds: Kinds) -> None:
    """All settings of a recipe, a group a section."""
    types, docs = types_of(Recipe), field_docs(Recipe)
    sections = {name: hint for name, hint in types.items() if isinstance(hint, type) and issubclass(hint, Settings)}
    run = parser.add_argument_group("the run")
    for name in types:
        if name == "feedback":
            _add_feedback(parser, docs[name], kinds)
        elif name in sections:
            add_section(parser.add_argument_group(name, docs[name]), sections[name], f"{name}.")
        else:
            _add_setting(run, name, types[name], docs[name], default_of(Recipe, name))


def add_section(group: Any, section: type[Settings], prefix: str = "") -> None:
    """All settings of a section."""
    for name, doc in field_docs(section).items():
        _add_setting(group, prefix + written(name), types_of(section)[name], doc, default_of(section, name))


def _add_setting(group: Any, name: str, hint: Any, doc: str, default: str) -> None:
    text = f"{doc} (default: {default})".replace("%", "%%")
    group.add_argument(f"--{name}", action=Take, metavar=placeholder(hint), help=text, dest="settings")


def _add_feedback(parser: Parser, doc: str, kinds: Kinds) -> None:
    """Kinds of feedback: the mapping, each kind whole, and each kind's settings."""
    group = parser.add_argument_group("feedback", doc)
    whole = "all kinds there are, in place of the recipe's"
    group.add_argument("--feedback", metavar="{KIND: {...}, ...}", help=whole, action=Take, dest="settings")
    for kind, section in kinds.items():
        group = parser.add_argument_group(f"feedback.{kind}", about(section).replace("%", "%%"))
        one = "this kind with these settings and defaults for the rest, '{}' for defaults alone; null takes it out"
        group.add_argument(f"--feedback.{kind}", metavar="{...}|null", help=one, action=Take, dest="settings")
        add_section(group, section, f"feedback.{kind}.")


def placeholder(hint: Any) -> str:
    """What stands for a value in a help text: INT, [TEXT, ...], {lines,packed}, FLOAT|null."""
    kind = plain_type(hint)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    words = {int: "INT", float: "FLOAT", str: "TEXT", bool: "true|false"}
    if origin is Literal:
        text = "|".join(args)
    elif origin is list:
        text = f"[{placeholder(args[0])}, ...]"
    elif origin is dict:
        text = f"{{NAME: {placeholder(args[1])}, ...}}"
    else:
        text = words[kind]
        if may_change(hint):
            text = f"{text}|{{SHARE: {text}, ...}}"
    return f"{text}|null" if may_be_null(hint) else text


def _with_negatives(words: Sequence[str]) -> list[str]:
    """The words, `--NAME -1e-3` as `--NAME=-1e-3`: argparse takes some negative numbers for options."""
    joined: list[str] = []
    for word in words:
        is_negative = word.startswith("-") and number_of(word) is not None
        if is_negative and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def parse(parser: Parser, words: Sequence[str], names: Names) -> argparse.Namespace:
    """Read a command's words; one that is no option is told the nearest.

    Raises:
        RecipeError, UsageError
    """
    given, rest = parser.parse_known_args(_with_negatives(words), argparse.Namespace(settings=[]))
    for word in rest:
        if word.startswith("--"):
            names.refuse_option(word[2:].partition("=")[0])
    if rest:
        raise UsageError(f"{rest[0]!r} is no setting. Settings look like --ppo.kl_coef 0.1.")
    return given
