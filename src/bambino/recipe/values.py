"""YAML, read by the type of the setting it is for: `1e-3` is a number for a float and a name for a str.

Values that fit no type are handed on as they are; the setting itself refuses them (`checks.py`).
"""

from __future__ import annotations

import re
import typing
from typing import Any, Literal

import yaml

from bambino.errors import RecipeError
from bambino.recipe.checks import may_change, plain_type

INT = re.compile(r"[-+]?\d+(_\d+)*")
FLOAT = re.compile(r"[-+]?(\d+(_\d+)*\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.?(inf|Inf|INF)|\.?(nan|NaN|NAN)")


def compose(text: str, name: str) -> yaml.Node | None:
    """The nodes of a YAML text; None where it holds nothing.

    Raises:
        RecipeError: it is not YAML.
    """
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise RecipeError("", f"{name} is not YAML: {error}") from None


def read_word(word: str, hint: Any, key: str) -> Any:
    """A word of the command line as the value of a setting; for a str or one of several names, the word itself."""
    if _is_text(hint):
        return None if word == "null" else word
    node = compose(word, f"{key}: {word!r}")
    return None if node is None else read_node(node, hint, key)


def read_node(node: yaml.Node, hint: Any, key: str) -> Any:
    """A node of YAML as the value of a setting of some type."""
    kind, args = typing.get_origin(plain_type(hint)), typing.get_args(plain_type(hint))
    if is_null(node):
        return None
    if isinstance(node, yaml.SequenceNode) and kind is list:
        return [read_node(item, args[0], key) for item in node.value]
    if isinstance(node, yaml.MappingNode) and (kind is dict or may_change(hint)):
        if any(not isinstance(name, yaml.ScalarNode) for name, _ in node.value):
            raise RecipeError(key, f"{key} has a name that is a list or a mapping. Names are plain words.")
        names = [_share(name) if may_change(hint) else name.value for name, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise RecipeError(key, f"{key} names {twice[0]} twice. Keep one.")
        item_type = plain_type(hint) if may_change(hint) else args[1]
        return {name: read_node(item, item_type, key) for name, (_, item) in zip(names, node.value, strict=True)}
    if isinstance(node, yaml.ScalarNode):
        return node.value if _is_text(hint) or node.style else _number(node, plain_type(hint))
    return _construct(node, key)


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_text(hint: Any) -> bool:
    kind = plain_type(hint)
    return kind is str or typing.get_origin(kind) is Literal


def _number(node: yaml.ScalarNode, kind: Any) -> Any:
    """A plain word as int, float or bool where it is written as one."""
    if kind is not bool and INT.fullmatch(node.value):
        return int(node.value)
    if kind is not bool and FLOAT.fullmatch(node.value):
        return float(node.value.replace(".inf", "inf").replace(".nan", "nan").lower())
    if node.tag == "tag:yaml.org,2002:bool":
        return node.value.lower() in ("true", "yes", "on")
    return int(node.value) if INT.fullmatch(node.value) else node.value


def _share(node: yaml.ScalarNode) -> Any:
    """A plain word as a float where it is written as a number."""
    number = _number(node, float)
    return float(number) if isinstance(number, int) else number


def _construct(node: yaml.Node, key: str) -> Any:
    """Lists and mappings where none is wanted, for the complaint."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise RecipeError(key, f"{key} cannot be read: {error}") from None
