"""Rules of a competition and byte premiums: data files of `bambino/rules`, each with its sources and their dates.

An English equivalent is a word of English that says as much as so many bytes of another language: UTF-8 bytes, over the
language's byte premium, over the bytes of an English word (Arnett, Chang & Bergen 2024; BabyBabelLM).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from bambino.recipe.plain_yaml import load

PREMIUMS = "byte_premiums"
NONE = "none"
LIMITS = {
    "text": "words of text that the baby and a parent of whom it sees distributions were raised on",
    "passes": "passes over a text",
    "heard": "words heard, repetitions included",
    "said": "words that the baby said or wrote for itself",
    "rewards": "scalar rewards",
}
"""What rules may limit -> what it is."""


@dataclass(frozen=True)
class Rules:
    """What a competition allows."""

    name: str
    about: str
    read: str
    """The day on which the sources were read."""
    unit: Literal["words", "equivalents"]
    """What words are counted in: as they are, or in English equivalents."""
    limits: dict[str, float]
    """By the names of LIMITS; what is not there has none."""
    revisions: int
    """Words of the first revision that is asked for (`models/revisions.py`)."""
    languages: list[str]
    """ISO 639-3 codes of the languages there may be; none: any."""
    sources: dict[str, str]
    """Limit, or `distributions` -> where it is written, and of which day that is."""


def rule_names() -> list[str]:
    """What the setting `rules` may be."""
    files = (file.name for file in _folder().iterdir())
    named = sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))
    return [NONE, *(name for name in named if name != PREMIUMS)]


@cache
def rules_of(name: str) -> Rules | None:
    """The rules of a name; None: there are none."""
    if name == NONE:
        return None
    raw = _read(name)
    sources = {key: f"{source['where']} ({source['date']})" for key, source in raw["sources"].items()}
    limits = {key: limit["most"] for key, limit in raw["limits"].items()}
    named = raw["limits"] | {"distributions": raw["distributions"]}
    said = {key: sources[limit["source"]] for key, limit in named.items()}
    return Rules(name, raw["about"], raw["read"], raw["unit"], limits, raw["revisions"], raw.get("languages", []), said)


def languages() -> list[str]:
    """ISO 639-3 codes whose byte premium is known."""
    return list(_read(PREMIUMS)["premiums"])


def equivalents(size: float, language: str) -> float:
    """English equivalents of so many UTF-8 bytes of a language, in words."""
    premiums = _read(PREMIUMS)
    return float(size / premiums["premiums"][language] / premiums["bytes_per_word"])


def bytes_of_english(words: float) -> float:
    """UTF-8 bytes of so many words of English."""
    return float(words * _read(PREMIUMS)["bytes_per_word"])


def premiums_source() -> str:
    """Where byte premiums come from, and of which day that is."""
    premiums = _read(PREMIUMS)
    return f"{premiums['source']} ({premiums['date']})"


@cache
def _read(name: str) -> dict[str, Any]:
    return dict(load((_folder() / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml of bambino"))


def _folder() -> Any:
    return resources.files("bambino") / "rules"
