"""YAML, read by the type of the setting it is for: `1e-3` is a number for a float and a name for a str.

Values that fit no type are handed on as they are; the setting itself refuses them (`checks.py`).
"""

from __future__ import annotations

import typing
from typing import Any, Literal

import yaml

from bambino.errors import RecipeError, YamlError, shortened
from bambino.recipe.checks import may_change, plain_type
from bambino.recipe.plain_yaml import compose, is_null, number_of, plain


def compose_word(word: str, key: str) -> yaml.Node | None:
    """The nodes of a word of the command line that is given to a setting.

    Raises:
        RecipeError: it is not YAML, or holds what is refused of any YAML.
    """
    try:
        return compose(word, f"{key}: {shortened(repr(word))}", key)
    except YamlError as error:
        raise RecipeError(error.key or key, error.problem) from None


def read_word(word: str, hint: Any, key: str) -> Any:
    """A word of the command line as the value of a setting; for a str or one of several names, the word itself."""
    if _is_text(hint):
        return None if word == "null" else word
    node = compose_word(word, key)
    return None if node is None else read_node(node, hint, key)


def read_node(node: yaml.Node, hint: Any, key: str) -> Any:
    """A node of YAML as the value of a setting of some type."""
    kind, args = typing.get_origin(plain_type(hint)), typing.get_args(plain_type(hint))
    if is_null(node):
        return None
    if isinstance(node, yaml.SequenceNode) and kind is list:
        return [read_node(item, args[0], key) for item in node.value]
    if isinstance(node, yaml.MappingNode) and (kind is dict or may_change(hint)):
        item_type, found = plain_type(hint) if may_change(hint) else args[1], {}
        for name, item in node.value:
            read = _share(name) if may_change(hint) else name.value
            if read in found:  # 0.5 and 5e-1
                raise RecipeError(key, f"{key} names {read} twice. Keep one.")
            found[read] = read_node(item, item_type, key)
        return found
    if isinstance(node, yaml.ScalarNode):
        return node.value if _is_text(hint) or node.style else _number(node, plain_type(hint))
    return plain(node)


def _is_text(hint: Any) -> bool:
    kind = plain_type(hint)
    return kind is str or typing.get_origin(kind) is Literal


def _number(node: yaml.ScalarNode, kind: Any) -> Any:
    """A plain word as int, float or bool where it is written as one."""
    if kind is bool and node.tag == "tag:yaml.org,2002:bool":
        return node.value.lower() in ("true", "yes", "on")
    return plain(node)


def _share(node: yaml.ScalarNode) -> Any:
    """A plain word as a float where it is written as a number."""
    number = number_of(node.value)
    return node.value if number is None else float(number)
