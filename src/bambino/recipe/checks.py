"""Checks of settings: each raises a RecipeError that names key, value and way out."""

from __future__ import annotations

from typing import Any

from bambino.errors import RecipeError


def _require(is_fine: bool, key: str, value: object, way_out: str) -> None:
    if not is_fine:
        raise RecipeError(key, f"{key} = {value} {way_out}")


def _at_least(minimum: float, **settings: Any) -> None:
    """Raise when a setting (named `section__field`) is neither None nor at least `minimum`."""
    for name, value in settings.items():
        key = name.replace("__", ".")
        _require(value is None or value >= minimum, key, value, f"is too small. Use {minimum} or more.")


def _above_zero(**settings: Any) -> None:
    for name, value in settings.items():
        _require(value is None or value > 0, name.replace("__", "."), value, "must be above 0.")
