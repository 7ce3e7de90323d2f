"""Tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bambino.analysis.comparison import Comparison
from bambino.analysis.interpolation import Sweep
from bambino.analysis.results import Results
from bambino.analysis.statistics import paired_t
from bambino.analysis.trade_offs import SHOWN, CurvePair, trade_off
from bambino.errors import CurveError
from bambino.measures import Interval, Score
from bambino.printable import printable

Rows = list[list[str]]
"""A table in plain text: a heading, then rows; the first column is what is measured."""
LEAST = 24
"""No column is made to be wider than this for the longest word in it."""


class Cell:
    """A text of as many lines as it needs: broken between words and after / _ - in a name, not inside a word."""

    def __init__(self, text: str) -> None:
        self.pieces = re.split(r"(?<= )|(?<=\w[/_-])(?=\w)", printable(text))

    @property
    def longest(self) -> int:
        """Columns that the longest piece takes."""
        return max(cell_len(piece.rstrip()) for piece in self.pieces)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.longest, cell_len("".join(self.pieces)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        lines = [""]
        for piece in self.pieces:
            if cell_len(lines[-1] + piece.rstrip()) > options.max_width and lines[-1]:
                lines.append("")
            lines[-1] += piece
        yield Text("\n".join(line.rstrip() for line in lines), overflow="fold")


def table(rows: Rows) -> Table:
    """For the screen."""
    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1) if len(rows[0]) < 7 else (0, 1, 0, 0))
    cells = [[Cell(text) for text in row] for row in rows]
    for i, column in enumerate(zip(*cells, strict=True)):
        least = min(LEAST, max(cell.longest for cell in column))
        found.add_column(column[0], justify="left" if i == 0 else "right", min_width=least)
    for row in cells[1:]:
        found.add_row(*row)
    return found


def comparison_table(comparisons: Sequence[Comparison], one: str, other: str) -> Table:
    """One row a score, with corrected p values; says how many comparisons they are corrected for."""
    title = f"{one} against {other}; p corrected for {len(comparisons)} comparisons (Holm)"
    table = Table(box=box.SIMPLE, title=title, title_justify="left", padding=(0, 1))
    table.add_column("score", min_width=13)
    for name in ("one", "other", "one - other, 95 %", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("test", no_wrap=True)
    for c in comparisons:
        interval = c.difference.interval
        gap = f"{c.difference.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
        table.add_row(Cell(c.score), f"{c.one:.3f}", f"{c.other:.3f}", gap, f"{c.corrected_p:.2g}", c.test)
    return table


def trade_off_table(ones: Sequence[CurvePair], others: Sequence[CurvePair], one: str, other: str) -> tuple[Table, str]:
    """What runs i of both sides paid at equal L2 gains, mean over i, and in words which side paid less.

    Raises:
        CurveError: as `trade_off`; a pair of runs has no gain in common.
    """
    found = []
    for number, pair in enumerate(zip(ones, others, strict=True), start=1):
        compared = trade_off(*pair)
        if compared is None:
            raise CurveError(f"The runs of pair {number} have no L2 gain in common, so L1 losses do not compare.")
        found.append(compared)
    unit = ones[0][0].unit
    title = f"At equal L2 gain: L1 loss ({unit}) and words heard. One: {one}. Other: {other}."
    table = Table(box=box.SIMPLE, title=title, title_justify="left", padding=(0, 1))
    for name in ("L2 gain", "loss, one", "loss, other", "one - other", "words, one", "words, other"):
        table.add_column(name, justify="right")
    for level in SHOWN:
        mine, yours = ([getattr(those, side)[level] for those in found] for side in ("one", "other"))
        losses, words = (
            [fmean(getattr(p, what) for p in side) for side in (mine, yours)] for what in ("l1_loss", "words")
        )
        numbers = [f"{fmean(those.gains[level] for those in found):.3f}", *(f"{loss:.3f}" for loss in losses)]
        table.add_row(*numbers, f"{losses[0] - losses[1]:+.3f}", *(f"{heard:,.0f}" for heard in words))
    gaps = [those.mean_gap for those in found]
    said = f"Mean L1 loss over all gains, one - other: {fmean(gaps):+.3f} {unit}"
    difference = paired_t(gaps, [0.0] * len(gaps))
    if difference is None:
        return table, f"{said} (one pair of runs: no interval)."
    return table, f"{said} [{show(difference.interval)}], p {difference.p_value:.2g} (t, {len(gaps)} pairs of runs)."


def curves_table(results: Mapping[int, Results], title: str) -> Table:
    """Each task's main score at every age."""
    table = Table(box=box.SIMPLE, title=title, title_justify="left", padding=(0, 1))
    table.add_column("after so many steps")
    for step in results:
        table.add_column(f"{step:,}", justify="right", no_wrap=True)
    mains = [{task.main.name: task.main.value for task in those.tasks.values()} for those in results.values()]
    for name in dict.fromkeys(name for scores in mains for name in scores):
        if sum(name in scores for scores in mains) > 1:
            table.add_row(Cell(name), *(f"{scores[name]:.3f}" if name in scores else "" for scores in mains))
    return table


def sweep_table(sweep: Sweep) -> Rows:
    """Every model between two: its scores, and what it gains and loses."""
    names = list(sweep.blends[0].scores)
    rows = [["share", *names, "L2 gain", "L1 loss", "front"]]
    for blend in sweep.blends:
        scores = [f"{blend.scores[name]:.3f}" for name in names]
        moved = [f"{blend.l2_gain:.3f}", f"{blend.l1_loss:.3f}"]
        rows.append([f"{blend.share:g}", *scores, *moved, "*" if blend.share in sweep.on_front else ""])
    return rows


def results_table(results: Results) -> Table:
    """Every task with its main score."""
    table = Table(box=box.SIMPLE_HEAD, title=results.model, title_justify="left")
    for name in ("task", "score", "value", "95 % interval", "chance", "items"):
        is_text = name in ("task", "score")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text)
    for name, task in results.tasks.items():
        score = task.main
        chance = "" if score.chance is None else f"{score.chance:.3f}"
        what = score.name.removeprefix(f"{name}/").replace("_", " ") if score.name != name else score.unit
        table.add_row(Cell(name), Cell(what), f"{score.value:.3f}", show(score.interval), chance, f"{score.items:,}")
    return table


def classification_table(results: Results) -> Table | None:
    """What stands beside the main score, balanced accuracy, of each classification task; None where there is none.

    The last three are balanced accuracies: of the untrained baby, and with options scored by PMI and calibrated.
    """
    columns = {
        "macro-F1": "macro_f1",
        "accuracy": "accuracy",
        "majority": "accuracy/majority",
        "untrained": "untrained",
        "PMI": "pmi",
        "calibrated": "calibrated",
    }
    table = Table(box=box.SIMPLE_HEAD, title="Beside balanced accuracy", title_justify="left", padding=(0, 1))
    table.add_column("task", min_width=12)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for name, task in results.tasks.items():
        found = {score.name.removeprefix(f"{name}/"): f"{score.value:.3f}" for score in task.scores}
        if "accuracy/majority" in found:
            table.add_row(Cell(name.removeprefix("tasks/")), *(found.get(key, "") for key in columns.values()))
    return table if table.row_count else None


def remarks(results: Results) -> list[str]:
    """What there is to say about the scores, and what was left out."""
    said = [f"{name}: {task.verdict}" for name, task in results.tasks.items() if task.verdict]
    said += [f"{name}: {rough}" for name, task in results.tasks.items() if (rough := _rough(task.main))]
    if len([task for task in results.tasks.values() if task.verdict]) > 1:
        said.append("Each verdict goes by its own 95 % interval over items; they are not corrected for being several.")
    return said + [f"{name}: left out, {why}" for name, why in results.left_out.items()]


FEW = 30
"""Items; of fewer, a bootstrap's intervals are too narrow."""


def _rough(score: Score) -> str:
    """What there is to say of an interval over few items; empty of one over many."""
    if score.interval is None or score.items >= FEW:
        return ""
    return f"only {score.items} items, so its interval is rough and rather too narrow; more text or items would help"


def show(interval: Interval | None) -> str:
    """An interval as text; empty where there is none."""
    return "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
