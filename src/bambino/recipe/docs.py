"""What the settings say of themselves: the docstrings below their fields, for `--help`."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import sys
from typing import Any, cast

import yaml

from bambino.recipe.checks import Settings, required, types_of


def field_docs(cls: type[Settings]) -> dict[str, str]:
    """Field -> the docstring below it, on one line; fields of the classes it derives from included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        docs |= _docs_in(base.__module__).get(base.__name__, {})
    return {name: docs.get(name, "") for name in types_of(cls)}


def about(cls: type[Settings]) -> str:
    """The class's docstring, on one line."""
    return " ".join((cls.__doc__ or "").split())


def default_of(cls: type[Settings], name: str) -> str:
    """A field's default as a recipe or the command line writes it, on one line."""
    (field,) = (field for field in dataclasses.fields(cast(Any, cls)) if field.name == name)
    if name in required(cls):
        return "none: it must be given"
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


@functools.cache
def _docs_in(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> docstring, of all classes in a module's source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # no source is there
        return {}
    return {node.name: _docs_below_fields(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _docs_below_fields(node: ast.ClassDef) -> dict[str, str]:
    docs = {}
    for field, doc in zip(node.body, node.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
            docs[field.target.id] = " ".join(str(doc.value.value).split())
    return docs
