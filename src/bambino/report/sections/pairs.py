"""Minimal pairs by what they are about: fields, terms, paradigms."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from bambino.report.charts import dots
from bambino.report.page import Charts, Figure, Folded, Part, Section, Table, Words
from bambino.report.reported import Reported, SeedRun, numbers
from bambino.report.tables import Rows
from bambino.runs.names import is_part

PAIRS = "eval/pairs/"
CHANCE = 0.5
NOT_A_KIND = "shortest"
"""A part that is no kind of pair: what always choosing the shorter sentence gets."""
MOST = 24
"""Kinds of pairs that fit a chart; of more, only the table shows all."""


def pairs(reported: Reported) -> Section | None:
    """Each file of pairs: the share right of each kind, by the models that the runs left."""
    rows = {id(run): numbers(last_row(run)) for run in reported.runs}
    names = dict.fromkeys(name for row in rows.values() for name in row if name.startswith(PAIRS) and is_part(name))
    names = {name: None for name in names if not name.endswith(f"/{NOT_A_KIND}")}
    if not names:
        return None
    parts: list[Part] = [
        Words("Share of pairs whose good sentence the model prefers, mean over seeds; guessing gets 0.5.", "small")
    ]
    figures, tables = [], []
    for file in dict.fromkeys(name.split("/")[2] for name in names):
        kinds = [name.split("/", 3)[3] for name in names if name.split("/")[2] == file]
        means = _means(reported, rows, file, kinds)
        fields = [kind for kind in kinds if kind.startswith("field:")] or kinds
        if len(fields) <= MOST:
            shown = [row for row in means if row["kind"] in fields]
            figures.append(Figure(file, dots(shown, reported.conditions, "share right", CHANCE)))
        tables.append(Folded(f"{file}: all kinds", [Table(_table(reported, kinds, means))]))
    return Section("Minimal pairs by kind", [*parts, Charts(figures, reported.conditions), *tables])


def last_row(run: SeedRun) -> dict[str, Any]:
    """The evaluation of the model that a run left, or its newest; empty before the first."""
    evaluations = run.record.evaluations
    return next(
        (row for row in evaluations if row["step"] == run.record.model_step), evaluations[-1] if evaluations else {}
    )


def _means(reported: Reported, rows: dict[int, dict[str, float]], file: str, kinds: list[str]) -> list[dict[str, Any]]:
    found = []
    for kind in kinds:
        for condition in reported.conditions:
            name = f"{PAIRS}{file}/{kind}"
            values = [rows[id(run)][name] for run in reported.of(condition) if name in rows[id(run)]]
            if values:
                part = kind.removeprefix("field:").replace("_", " ")
                found.append({"condition": condition, "kind": kind, "part": part, "amount": fmean(values)})
    return found


def _table(reported: Reported, kinds: list[str], means: list[dict[str, Any]]) -> Rows:
    cells = {(row["kind"], row["condition"]): f"{row['amount']:.3f}" for row in means}
    body = [[kind.replace("_", " "), *(cells.get((kind, one), "") for one in reported.conditions)] for kind in kinds]
    return [["share right", *reported.conditions], *body]
