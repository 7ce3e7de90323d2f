"""Tables and paragraphs as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bambino.analysis.feedback_meter import Estimate
from bambino.printable import in_latex, in_markdown
from bambino.report.tables import Rows


@dataclass(frozen=True)
class Titled:
    """A table and what it shows."""

    title: str
    rows: Rows


def markdown_table(rows: Rows) -> str:
    """Plain cells; all but the first column to the right."""
    lines = ["| " + " | ".join(map(in_markdown, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:]])


def latex_table(table: Titled) -> str:
    """A floating table with its title as caption, made narrower where it is wider than the text; booktabs, graphicx."""
    lines = [" & ".join(map(in_latex, row)) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering\small",
            rf"  \caption{{{in_latex(table.title)}}}",
            r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"  \begin{{tabular}}{{l{'r' * (len(table.rows[0]) - 1)}}}",
            r"    \toprule",
            f"    {lines[0]}",
            r"    \midrule",
            *(f"    {line}" for line in lines[1:]),
            r"    \bottomrule",
            r"  \end{tabular}}",
            r"\end{table}",
        ]
    )


def markdown_list(items: Sequence[str]) -> str:
    return "\n".join(f"- {in_markdown(item)}" for item in items)


def latex_list(items: Sequence[str]) -> str:
    return "\n".join([r"\begin{itemize}", *(rf"  \item {in_latex(item)}" for item in items), r"\end{itemize}"])


def signed(estimate: Estimate) -> str:
    """A difference with its sign, and its interval where it has one."""
    interval = estimate.interval
    return f"{estimate.mean:+.3f}" + ("" if interval is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]")
