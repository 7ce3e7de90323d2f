"""YAML without surprises: the one reading of recipes, experiments, tasks, orders of acquisition and runs' settings.

A plain word is a number only where it is written as a decimal one: 010, 1:30, 0x1F, 2024-01-01, yes and no are
words. Refused are a name given twice (YAML lets the later one win in silence), tags, merges, and whatever is not meant
for a reader: more than BYTES, nesting deeper than DEPTH, more than NODES values once aliases are written out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from bambino.errors import YamlError, shortened

BYTES = 1_000_000
DEPTH = 40
NODES = 100_000
LONGEST_NAME = 200
"""Characters."""

LONGEST_NUMBER = 100
"""Characters."""

_BROKEN = re.compile("[\0\ud800-\udfff]")
_DIGITS = r"(0|[1-9][0-9]*(_[0-9]+)*)"
_INT = re.compile(rf"[-+]?{_DIGITS}")
_FLOAT = re.compile(rf"[-+]?({_DIGITS}(\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]+)?|[-+]?\.inf|\.nan", re.IGNORECASE)


def text_of(path: str | Path) -> str:
    """The text of a YAML file.

    Raises:
        FileNotFoundError: there is none.
        YamlError: it cannot be read, is too long, or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(BYTES + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise YamlError("", f"{shortened(path)} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(content) > BYTES:
        raise YamlError("", f"{path} cannot be read: it has more than {BYTES:,} bytes. Is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlError("", f"{path} cannot be read: line {line} is not UTF-8. Save it as UTF-8.") from None


def compose(text: str, shown: str, key: str = "") -> yaml.Node | None:
    """The nodes of a YAML text; None where it holds nothing.

    Args:
        shown: what messages call the text.
        key: dotted name of what it is the value of.

    Raises:
        YamlError: it is not YAML, or holds what is refused here.
    """
    try:
        root = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise YamlError("", f"{shown} is not YAML: {error}") from None
    if root is not None:
        _check(root, key, shown)
    return root


def load(text: str, shown: str) -> Any:
    """What a YAML text says, as Python's own values.

    Raises:
        YamlError: as `compose`.
    """
    root = compose(text, shown)
    return None if root is None else plain(root)


def plain(node: yaml.Node) -> Any:
    """A node as Python's own values."""
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _value_of(node)
    if isinstance(node, yaml.MappingNode):
        return {plain(name): plain(item) for name, item in node.value}
    return [plain(item) for item in node.value]


def as_written(node: yaml.Node) -> Any:
    """A node whose words are all texts, as they are written; null is None."""
    if isinstance(node, yaml.ScalarNode):
        return None if is_null(node) else node.value
    if isinstance(node, yaml.MappingNode):
        return {name.value: as_written(item) for name, item in node.value}
    return [as_written(item) for item in node.value]


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def number_of(word: str) -> int | float | None:
    """The number that a plain word writes; None where it writes none, or one longer than LONGEST_NUMBER."""
    if len(word) > LONGEST_NUMBER or not _FLOAT.fullmatch(word):
        return None
    return int(word) if _INT.fullmatch(word) else float(word.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _value_of(node: yaml.ScalarNode) -> Any:
    number = number_of(node.value)
    if number is not None:
        return number
    truth: dict[str, bool | None] = {"true": True, "false": False}
    return None if is_null(node) else truth.get(node.value.lower(), node.value)


class _Loader(yaml.SafeLoader):
    """Composes nodes; those of explicit tags, and those nested too deeply, are refused."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(None, None, f"the tag {event.tag} is not read", event.start_mark)
        if self.depth == DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested {DEPTH} levels deep", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _check(root: yaml.Node, key: str, shown: str) -> None:
    """Refuse names that are given twice or are none, and more nodes than anybody writes."""
    rest, count = [(root, key, 1)], 0
    while rest:
        node, key, depth = rest.pop()
        count += 1
        if count > NODES or depth > DEPTH:
            problem = f"more than {NODES:,} values, or more than {DEPTH} levels, once aliases are written out"
            raise YamlError("", f"{shown} cannot be read: {problem}.")
        if isinstance(node, yaml.ScalarNode) and _BROKEN.search(node.value):
            where = f"{shown}, line {node.start_mark.line + 1}"
            raise YamlError(key, f"{key or 'The file'} holds NUL or half a character. Leave it out.", where)
        if isinstance(node, yaml.SequenceNode):
            rest += [(item, key, depth + 1) for item in reversed(node.value)]
        elif isinstance(node, yaml.MappingNode):
            names = _names_of(node, key, shown)
            rest += [(item, name, depth + 1) for name, (_, item) in zip(names, node.value, strict=True)][::-1]


def _names_of(node: yaml.MappingNode, key: str, shown: str) -> list[str]:
    """Dotted names of what a mapping holds."""
    names: dict[str, None] = {}
    for name, _ in node.value:
        where = f"{shown}, line {name.start_mark.line + 1}"
        if not isinstance(name, yaml.ScalarNode):
            problem = f"{key or 'The file'} has a name that is a list or a mapping. Names are plain words."
            raise YamlError(key, problem, where)
        if name.tag == "tag:yaml.org,2002:merge":
            raise YamlError(key, f"{key or 'The file'} has <<, a merge. Write the names out.", where)
        if len(name.value) > LONGEST_NAME:
            raise YamlError(key, f"{key or 'The file'} has a name of {len(name.value):,} characters.", where)
        dotted = f"{key}.{name.value}" if key else name.value
        if dotted in names:
            raise YamlError(dotted, f"{dotted} is given twice. Keep one.", where)
        names[dotted] = None
    return list(names)
