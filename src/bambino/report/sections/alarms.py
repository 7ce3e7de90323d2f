"""The alarms that came on in runs, as a part of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bambino.report.page import Folded, Items, Part, Section, Table, Words
from bambino.report.reported import Reported, SeedRun

MOST = 12
"""Alarms that are shown; of more, the others are folded."""
HEADING = ["condition", "seed", "step", "alarm", "value", "threshold", "of"]


def alarms(reported: Reported) -> Section:
    """Every alarm with where it came on, and what each kind means."""
    found = [(run, row) for condition in reported.conditions for run in reported.of(condition) for row in _alarms(run)]
    if not found:
        return Section("Alarms", [Words(f"No alarm came on in {_runs(len(reported.runs))}.")])
    alarmed = len({(run.condition, run.seed) for run, _ in found})
    parts: list[Part] = [Words(f"Alarms came on in {alarmed} of {_runs(len(reported.runs))}.")]
    rows = [_row(run, row) for run, row in found]
    parts.append(Table([HEADING, *rows[:MOST]]))
    if rows[MOST:]:
        parts.append(Folded(f"{len(rows) - MOST} more", [Table([HEADING, *rows[MOST:]])]))
    return Section("Alarms", [*parts, Items(_meanings([row for _, row in found]))])


def _alarms(run: SeedRun) -> list[dict[str, Any]]:
    return [row for row in run.record.rows if row["kind"] == "alarm"]


def _runs(count: int) -> str:
    return f"{count} run{'s' if count > 1 else ''}"


def _row(run: SeedRun, row: dict[str, Any]) -> list[str]:
    numbers = [_number(row.get("value")), _number(row.get("threshold"))]
    return [run.condition, str(run.seed), f"{row['step']:,}", _word(row, "alarm"), *numbers, _word(row, "metric")]


def _word(row: dict[str, Any], name: str) -> str:
    return str(row.get(name, ""))


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "not finite"


def _meanings(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What each alarm means and what may help, once; the numbers stand in the table."""
    found = {f"{_word(row, 'alarm')}: {_word(row, 'text').partition('). ')[2]}": None for row in rows}
    return list(found)
