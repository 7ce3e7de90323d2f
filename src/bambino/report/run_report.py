"""The report: a page made of run directories, a section a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bambino.report.page import Page, Section, write_page
from bambino.report.reported import Reported
from bambino.report.sections.alarms import alarms
from bambino.report.sections.costs import costs
from bambino.report.sections.learning import learning, trade_off
from bambino.report.sections.ledger import ledger
from bambino.report.sections.made_of import data, recipes, versions
from bambino.report.sections.pairs import pairs
from bambino.report.sections.steps import steps
from bambino.report.sections.summary import summary
from bambino.report.sections.utterances import utterances

Maker = Callable[[Reported], Section | None]
"""A section of what is reported; None where it has nothing to show."""
OF_RUNS: Sequence[Maker] = (
    trade_off,
    utterances,
    pairs,
    steps,
    alarms,
    ledger,
    costs,
    recipes,
    data,
    versions,
)
SECTIONS: Sequence[Maker] = (summary, learning, *OF_RUNS)
"""What the page shows, in order."""


def write_report(path: Path, reported: Reported, reloads: float | None = None) -> Path:
    """Write the page; returns its path.

    Args:
        reloads: seconds after which the page loads itself again; None: it does not.

    Raises:
        RunDirectoryError: a run's files do not hold what a run's do.
    """
    sections = sections_of(reported, SECTIONS if reported.runs else [summary])
    return write_page(path, Page(f"bambino: {reported.name}", reported.name, sections, reloads))


def sections_of(reported: Reported, makers: Sequence[Maker]) -> list[Section]:
    """What there is to show."""
    return [section for make in makers if (section := make(reported)) is not None]
