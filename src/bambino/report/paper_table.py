"""The paper's table as text: averages with intervals, chance above them."""

from __future__ import annotations

from bambino.analysis.paper_table import Average, PaperTable
from bambino.report.documents import Titled


def paper_rows(found: PaperTable) -> Titled:
    """A row of chance, then one for each condition or model."""
    headings = [f"{column.title} ({_tasks(len(column.tasks))})" for column in found.columns]
    chances = ["" if column.chance is None else f"{column.chance:.3f}" for column in found.columns]
    rows = [["", "models", *headings], ["chance", "", *chances]]
    for name, models in found.models.items():
        rows.append([name, str(models), *(_shown(column.averages[name]) for column in found.columns)])
    return Titled("Mean over tasks; 95 % interval over items, or lowest and highest of several models", rows)


def paper_remarks(found: PaperTable) -> list[str]:
    """What each average is over, and what it is not."""
    said = [f"{column.title}: {', '.join(column.tasks)}." for column in found.columns]
    if found.uninformative:
        said.append(f"Uninformative, for no reference is above chance: {', '.join(found.uninformative)}.")
    if not found.is_judged:
        said.append("Which tasks tell models apart is not known without --references.")
    if found.lacking:
        said.append(f"Left out, for not all results hold them: {', '.join(found.lacking)}.")
    return said


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _shown(average: Average) -> str:
    if average.ends is not None:
        return f"{average.value:.3f} ({average.ends[0]:.3f} to {average.ends[1]:.3f})"
    interval = average.interval
    return f"{average.value:.3f}" + ("" if interval is None else f" [{interval.low:.3f}, {interval.high:.3f}]")
