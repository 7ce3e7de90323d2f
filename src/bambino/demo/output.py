"""What the demo leaves: tables on the screen, and in its directory the numbers, the plots and the page."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from bambino.demo.page import page
from bambino.demo.plots import write_plots
from bambino.demo.tables import growing_up_table, lesson, phenomena_rows, result_rows
from bambino.errors import DemoError
from bambino.experiments.nursery.designs import Design
from bambino.experiments.nursery.results import Result
from bambino.files import write_atomically
from bambino.report.inquiry import Inquiry
from bambino.report.page import write_page
from bambino.report.reported import read_reported
from bambino.report.tables import table

SHOWN = ("clm", "bambino", "best", "untrained")
"""Conditions in the order of the page's colours."""
MARK = "demo.json"
"""A directory that holds it is a demo's, and may be written over."""


def make_room(output_dir: Path) -> None:
    """Remove an earlier demo from output_dir.

    Raises:
        DemoError: it holds something else.
    """
    if output_dir.is_dir() and any(output_dir.iterdir()):
        if not (output_dir / MARK).is_file():
            raise DemoError(f"{output_dir} holds something that is not a demo. Use another --output_dir.")
        shutil.rmtree(output_dir / "runs", ignore_errors=True)
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / MARK).write_text("{}", encoding="utf-8")


def report(
    output_dir: Path,
    design: Design,
    results: list[Result],
    bases: dict[str, Any],
    truth: dict[str, float],
    console: Console,
) -> Path:
    """Print the tables and what they say; write numbers, plots and the page, whose path it returns."""
    first = min(result.seed for result in results)
    console.print(table(result_rows(results, design)), table(phenomena_rows(results, design)))
    console.print(growing_up_table(results, first))
    for sentence in lesson(results, design):
        console.print(sentence)
    content = {
        "design": asdict(design),
        "true_bits_per_byte": truth,
        "bases": bases,
        "results": [asdict(result) for result in results],
    }
    write_atomically(output_dir / MARK, json.dumps(content, ensure_ascii=False, indent=1))
    write_plots(output_dir, results, design)
    reported = read_reported([output_dir / "runs"], Inquiry("demo", conditions=tuple(SHOWN), baseline="clm"))
    return write_page(output_dir / "index.html", page(results, bases, truth, design, reported))
