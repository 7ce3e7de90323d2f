"""One HTML page that needs nothing else: titled sections of words, tables, utterances, plots and charts.

    write_page(path, Page("title of the tab", "heading", [Section("Before", [Words("..."), Table(rows)])]))

Whatever is put in is text, never HTML, its control characters escaped; a plot is an SVG file's own code. A part of the
kind NAME is written by `templates/parts/NAME.html`; beside it may lie NAME.css and NAME.js, which go once into every
page that has such a part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bambino.files import write_atomically
from bambino.printable import printable
from bambino.report.tables import Rows

WORD = re.compile(r"[^\W\d_]{3}")
"""Letters that no number has."""


class Part(Protocol):
    """What a section is made of: any frozen dataclass with a kind, which names its template."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    words: str
    style: Literal["plain", "strong", "small", "lead"] = "plain"


@dataclass(frozen=True)
class Items:
    """A list with a dot before each item."""

    kind: ClassVar[str] = "items"
    items: Sequence[str]


@dataclass(frozen=True)
class Verdicts:
    """Sentences that stand out, each with what must be known beside it."""

    kind: ClassVar[str] = "verdicts"
    sentences: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A heading, then rows."""

    kind: ClassVar[str] = "table"
    rows: Rows

    @property
    def texts(self) -> list[int]:
        """Columns after the first that hold words rather than numbers, and so stand to the left."""
        columns = list(zip(*self.rows[1:], strict=True))
        return [i for i, cells in enumerate(columns) if i and any(WORD.search(cell) for cell in cells)]


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


@dataclass(frozen=True)
class Listing:
    """Text as it is, in a fixed width."""

    kind: ClassVar[str] = "listing"
    text: str


@dataclass(frozen=True)
class Folded:
    """Parts behind a line that is clicked to see them."""

    kind: ClassVar[str] = "folded"
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Figure:
    """A chart and what it is called."""

    title: str
    spec: Mapping[str, Any]
    """Vega-Lite, with its data."""


@dataclass(frozen=True)
class Charts:
    """Interactive charts side by side, one legend for all of them."""

    kind: ClassVar[str] = "charts"
    figures: Sequence[Figure]
    legend: Sequence[str] = ()
    """What the lines are called, in the order of the page's colours."""
    along: Mapping[str, str] = field(default_factory=dict)
    """Field of the data that may stand along x -> what it is called; empty: there is nothing to choose."""


@dataclass(frozen=True)
class Section:
    """Some parts under a title; an empty title is left out."""

    title: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        """What a link to it goes to."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """All there is to show."""

    title: str
    """Of the browser's tab."""
    heading: str
    sections: Sequence[Section]
    reloads: float | None = None
    """Seconds after which the page loads itself again; None: it does not."""

    @property
    def titles(self) -> list[str]:
        """Of its sections, as far as they have one."""
        return [section.title for section in self.sections if section.title]

    @property
    def kinds(self) -> list[str]:
        """Of all its parts, each once."""
        return list(dict.fromkeys(kind for section in self.sections for kind in _kinds(section.parts)))


def _kinds(parts: Sequence[Part]) -> list[str]:
    return [kind for part in parts for kind in (part.kind, *(_kinds(part.parts) if isinstance(part, Folded) else ()))]


def write_page(path: Path, page: Page) -> Path:
    """Write the page; returns its path."""
    beside = {name: _beside(page.kinds, ending) for name, ending in (("styles", "css"), ("scripts", "js"))}
    vega = _vega() if "charts" in page.kinds else ""
    write_atomically(path, _environment().get_template("page.html").render(page=page, vega=vega, **beside))
    return path


def _beside(kinds: Sequence[str], ending: str) -> list[Markup]:
    """What lies beside the templates of kinds of parts."""
    folder = files("bambino.report") / "templates" / "parts"
    paths = [folder / f"{kind}.{ending}" for kind in kinds]
    return [Markup(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


@cache
def _vega() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, which takes seconds to put together."""
    import vl_convert

    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", r"<\/script"))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bambino.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """What the template puts in: text with control characters escaped; a plot's code is ours."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
