"""What was asked of the runs of a report: from an experiment's file, or from what `bambino experiment` wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bambino.analysis.answers import Answer
from bambino.errors import ReportError, YamlError
from bambino.recipe.plain_yaml import load, text_of

Languages = tuple[str, str]
"""The measures of L1 and L2."""
PLACES = ("results/answer.json", "answer.json")
"""Where the answer lies in an experiment's --out folder, or among its results."""


@dataclass(frozen=True)
class Inquiry:
    """A question and how it is to be answered; what is empty is told by the runs."""

    name: str = ""
    question: str = ""
    hypotheses: tuple[str, ...] = ()
    primary: str = ""
    """The metric that the verdict goes by."""
    secondary: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    """In the order that they are shown; others come after them."""
    baseline: str = ""
    """The condition that the others are compared with."""
    seeds: tuple[int, ...] = ()
    languages: Languages | None = None
    answer: Answer | None = None
    """As it was written when the experiment ran last."""


def inquiry_of(folder: Path) -> Inquiry:
    """What an experiment's folder says it is about; nothing where no answer was written.

    Raises:
        ReportError: an answer that cannot be read.
    """
    for path in (folder / place for place in PLACES):
        if path.is_file():
            try:
                found = TypeAdapter(Answer).validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                raise ReportError(f"{path} cannot be read: {error}. Run bambino experiment again.") from None
            return Inquiry(
                found.experiment,
                found.question,
                found.hypotheses,
                found.primary,
                found.secondary,
                tuple(found.conditions),
                found.baseline,
                found.seeds,
                found.languages,
                found,
            )
    return Inquiry()


def inquiry_in(path: Path) -> Inquiry:
    """What an experiment's YAML file asks; its recipes are not checked, so nothing need stand for ${NAME}.

    Raises:
        ReportError: it cannot be read, or is no experiment.
    """
    try:
        given = load(text_of(path), path.name)
        if not isinstance(given, dict) or not given.get("conditions"):
            raise ValueError("it names no conditions")
        conditions, languages = given["conditions"], given.get("languages")
        return Inquiry(
            path.stem,
            str(given.get("question") or "").strip(),
            _texts(given.get("hypotheses")),
            str(given.get("primary") or ""),
            _texts(given.get("secondary")),
            tuple(map(str, conditions)),
            str(given.get("baseline") or next(iter(conditions))),
            tuple(map(int, (given.get("seeds") or {}).get("test") or ())),
            None if languages is None else (str(languages["l1"]), str(languages["l2"])),
        )
    except (OSError, YamlError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{path} is no experiment: {type(error).__name__}: {error}.") from None


def _texts(given: Any) -> tuple[str, ...]:
    return tuple(map(str, given or ()))
