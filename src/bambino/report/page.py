"""One HTML page that needs nothing else: titled sections of words, tables, utterances and plots.

    write_page(path, Page("title of the tab", "heading", [Section("Before", [Words("..."), Table(rows)])]))

Whatever is put in is text, never HTML, its control characters escaped; a plot is an SVG file's own code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from bambino.files import write_atomically
from bambino.printable import printable
from bambino.report.tables import Rows


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    words: str
    style: Literal["plain", "strong", "small"] = "plain"


@dataclass(frozen=True)
class Items:
    """A list with a dot before each item."""

    kind: ClassVar[str] = "items"
    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A heading, then rows."""

    kind: ClassVar[str] = "table"
    rows: Rows


@dataclass(frozen=True)
class Sayings:
    """What was said after prompts, which stand in grey."""

    kind: ClassVar[str] = "sayings"
    heading: Sequence[str]
    """Of the labels' column, then of each column of utterances."""
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """(label, one (prompt, utterance) a column)."""


@dataclass(frozen=True)
class Plot:
    """A drawing, inside the page."""

    kind: ClassVar[str] = "plot"
    svg: str

    @classmethod
    def read(cls, path: Path) -> Plot:
        """An SVG file, without what stands before its first element."""
        return cls(re.sub(r"^.*?(?=<svg)", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))


Part = Words | Items | Table | Sayings | Plot


@dataclass(frozen=True)
class Section:
    """Some parts under a title; an empty title is left out."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Page:
    """All there is to show."""

    title: str
    """Of the browser's tab."""
    heading: str
    sections: Sequence[Section]


def write_page(path: Path, page: Page) -> Path:
    """Write the page; returns its path."""
    write_atomically(path, _template().render(page=page))
    return path


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("bambino.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _shown(value: Any) -> Any:
    """What the template puts in: text with control characters escaped; a plot's code is ours."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
