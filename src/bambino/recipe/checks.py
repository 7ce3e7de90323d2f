"""Settings that check themselves: kinds and bounds beside the fields, one wording for all refusals.

`Settings` is the base of every section of a recipe. A section is a frozen dataclass; where its values do not fit the
annotations of its fields, making it raises a `RecipeError` that names key, value and way out.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, create_model

from bambino.errors import BambinoError, RecipeError, shortened

AtLeastOne = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]
Count = Annotated[int, Field(ge=0)]
"""0 or more."""
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
"""From 0 to 1."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""From 0 to below 1."""
_CURRICULUM = "{0: 4, 0.5: 8}"


class Settings:
    """A section of settings. Derive a frozen dataclass; with a `__post_init__` of its own, call this one first."""

    section: ClassVar[str] = ""
    """Dotted name of the section in a recipe, for messages."""

    def __post_init__(self) -> None:
        """Every value fits its field. An int for a float becomes a float; nothing else is turned into another kind."""
        cls: type = type(self)
        given = {name: getattr(self, name) for name in types_of(cls)}
        for name, value in given.items():
            if _is_beyond(value):
                key = self.key(name)
                raise self.refusal(
                    key, f"{key}: a whole number of 64 bits or more is beyond all use. Give a smaller one."
                )
        try:
            fine = _checker(cls).model_validate(given)
        except ValidationError as error:
            raise _refusal(type(self), given, error) from None
        for name in given:
            object.__setattr__(self, name, getattr(fine, name))

    @classmethod
    def refusal(cls, key: str, problem: str) -> BambinoError:
        """What is raised of a setting."""
        return RecipeError(key, problem)

    @classmethod
    def key(cls, name: str) -> str:
        """Dotted name of a field, as a recipe writes it."""
        return f"{cls.section}.{written(name)}" if cls.section else written(name)

    def require(self, is_fine: bool, name: str, way_out: str) -> None:
        """Raise unless it is fine; the message is `section.name = value` and the way out."""
        if not is_fine:
            key = self.key(name)
            raise self.refusal(key, f"{key} = {shortened(getattr(self, name))} {way_out}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the names that a recipe uses."""
        return {written(name): _plain(getattr(self, name)) for name in types_of(type(self))}


def written(name: str) -> str:
    """A field's name in a recipe: `for_` is `for` there, a word that Python keeps for itself."""
    return name.removesuffix("_")


def types_of(cls: type) -> dict[str, Any]:
    """Field -> its type, with bounds."""
    return _types_of(cls)


@functools.cache
def _types_of(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def required(cls: type[Settings]) -> list[str]:
    """Fields without a default."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(typing.cast(Any, cls))
    return [field.name for field in fields if field.default is missing and field.default_factory is missing]


def may_be_null(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def plain_type(hint: Any) -> Any:
    """A type without its bounds, without null, and without a mapping that may stand in its place over training."""
    while True:
        if typing.get_origin(hint) is Annotated:
            hint = typing.get_args(hint)[0]
        elif typing.get_origin(hint) in (typing.Union, types.UnionType):
            (hint,) = (arg for arg in _members(hint) if not _is_mapping(arg)) if may_change(hint) else _members(hint)
        else:
            return hint


def may_change(hint: Any) -> bool:
    """Whether a setting is a number or a mapping of shares of the run to numbers (`curricula.py`)."""
    members = _members(hint)
    return len(members) > 1 and any(map(_is_mapping, members))


def _members(hint: Any) -> list[Any]:
    """The types of a union, null left out."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return [arg for arg in typing.get_args(hint) if arg is not type(None)] if is_union else [hint]


def _is_mapping(hint: Any) -> bool:
    bare = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    return typing.get_origin(bare) is dict


def is_readable(hint: Any) -> bool:
    """Whether YAML can give it: a number, text or truth, one of several names, lists and mappings of these, or null."""
    try:
        kind = plain_type(hint)
    except ValueError:  # one of several types
        return False
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return all(isinstance(arg, str) for arg in args)
    if origin is list:
        return is_readable(args[0])
    if origin is dict:
        return args[0] is str and is_readable(args[1])
    return kind in (int, float, str, bool)


def type_in_words(hint: Any) -> str:
    """What a setting takes: "an int", "a list of str or null", "one of 'lines', 'packed'"."""
    kind, null = plain_type(hint), " or null" if may_be_null(hint) else ""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(repr(arg) for arg in args) + null
    if origin is list:
        return f"a list of {plain_type(args[0]).__name__}{null}"
    if origin is dict:
        return f"a mapping{null}"
    name: str = kind.__name__
    over_training = f", or its values over training like {_CURRICULUM}" if may_change(hint) else ""
    return ("an " if name[0] in "aeiou" else "a ") + name + null + over_training


@functools.cache
def _checker(cls: type) -> type[BaseModel]:
    """Pydantic's check of all fields of a class."""

    def checked(hint: Any) -> Any:
        if isinstance(hint, type) and issubclass(hint, Settings):
            instance_of: Any = InstanceOf  # an alias to mypy
            return instance_of[hint]
        if typing.get_origin(hint) is dict and isinstance(item := typing.get_args(hint)[1], type):
            return dict.__class_getitem__((str, checked(item)))
        return hint

    config = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())
    fields: dict[str, Any] = {name: (checked(hint), ...) for name, hint in types_of(cls).items()}
    return create_model(cls.__name__, __config__=config, **fields)


def _refusal(cls: type[Settings], given: dict[str, Any], error: ValidationError) -> BambinoError:
    """The first thing wrong, in our words."""
    first = error.errors()[0]
    field, *inner = first["loc"]
    hint, key, value = types_of(cls)[str(field)], cls.key(str(field)), given[str(field)]
    if may_change(hint):
        first, inner = _of_the_form_meant(error.errors(), value)
    elif isinstance(value, list) and inner and may_change(typing.get_args(plain_type(hint))[0]):
        first, within = _of_the_form_meant(error.errors(), value[int(inner[0])], depth=2)
        inner = [inner[0], *within]
    if value is None and not inner and not may_be_null(hint):
        return cls.refusal(key, f"{key} cannot be null. Leave it out to keep its default.")
    bounds = {
        "greater_than_equal": "is too small. Use {ge} or more.",
        "greater_than": "must be above {gt}.",
        "less_than_equal": "is too large. Use {le} or less.",
        "less_than": "is too large. Use less than {lt}.",
        "finite_number": "is not finite. Give a number.",
    }
    if first["type"] in bounds:
        item = "".join(map(_shown_place, inner))
        limits = {name: f"{limit:g}" for name, limit in first.get("ctx", {}).items()}
        return cls.refusal(key, f"{key}{item} = {shortened(first['input'])} {bounds[first['type']].format(**limits)}")
    return cls.refusal(
        key, f"{key}: expected {type_in_words(hint)}. Got value: {shortened(value)}{_way_out(hint, value)}"
    )


def _is_beyond(value: Any) -> bool:
    """Whether a whole number in a value is larger than machines count to."""
    if isinstance(value, list | dict):
        return any(map(_is_beyond, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and abs(value) >= 1 << 63


def _shown_place(place: Any) -> str:
    """A place inside a setting: [0] of a list, .name of a mapping."""
    if place == "[key]":
        return " (a share of the run)"
    return f"[{place}]" if isinstance(place, int) else f".{place}"


def _of_the_form_meant(errors: Sequence[Any], value: Any, depth: int = 1) -> tuple[Any, list[Any]]:
    """Of a number and a mapping in its place, which both complain: the complaint of what was given, and its place.

    Args:
        depth: how many names lead to it: 1 for a setting, 2 for one of a list.
    """
    mine = [one for one in errors if one["loc"][:depth] == errors[0]["loc"][:depth]]
    of_mapping = [one for one in mine if str(one["loc"][depth]).startswith("dict")]
    first = of_mapping[0] if isinstance(value, dict) and of_mapping else mine[0]
    return first, list(first["loc"][depth + 1 :])[-1:]


def _way_out(hint: Any, value: Any) -> str:
    kind = typing.get_origin(plain_type(hint))
    if kind is list and not isinstance(value, list):
        return f" Write a list: '[{shortened(value)}]'"
    if kind is dict:
        item = plain_type(typing.get_args(plain_type(hint))[1])
        example = {int: "{clm: 10, ppo: 2}", str: "{it: italian.jsonl}"}.get(item, "{it: [italian.txt]}")
        return f" Write a mapping, with a space after each colon: '{example}'"
    return ""


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, list) else value
