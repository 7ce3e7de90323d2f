"""An experiment's answer as tables, for a terminal, as Markdown and as LaTeX."""

from __future__ import annotations

from bambino.analysis.answers import Answer, Effect, MetricAnswer
from bambino.analysis.sentences import p_in_words
from bambino.printable import in_latex, in_markdown
from bambino.recipe.metrics import direction_of
from bambino.report.documents import Titled, latex_list, latex_table, markdown_list, markdown_table, signed

BUDGET = {
    "words_heard": "L2 words heard",
    "words_replayed": "L1 words replayed",
    "words_dreamed": "words of dreams heard",
    "words_recast": "words of recasts heard",
    "words_said": "words said",
    "words_written_by_parent": "words the parent wrote",
    "clm_tokens": "L2 tokens heard",
    "parent_tokens": "tokens the parent read",
    "flops": "FLOPs",
    "parent_flops": "of these the parent's",
    "seconds": "seconds",
}
"""Total -> what it is, in a table's order; totals that no condition has are not shown."""
METHOD = (
    "Differences are to {baseline}, paired over seeds that both finished, with 95 % intervals (Student's t, not "
    "corrected); p is of a two-sided paired t-test, corrected over the conditions for each metric on its own (Holm)."
)


def tables_of(answer: Answer) -> list[Titled]:
    """One for each measure, one of gains and losses, one of costs."""
    measured = [metric for metric in (answer.primary, *answer.secondary) if direction_of(metric) is not None]
    tables = [_of_metric(answer, metric) for metric in measured]
    if any(one.end is not None for one in answer.conditions.values()):
        tables.append(_trade_off(answer))
    return [*tables, _budget(answer)]


def markdown(answer: Answer) -> str:
    """The whole answer as a document."""
    parts = [f"# {in_markdown(answer.experiment)}", in_markdown(answer.question), markdown_list(answer.hypotheses)]
    parts += ["## Verdict", markdown_list(answer.verdicts), in_markdown(method_of(answer))]
    for table in tables_of(answer):
        parts += [f"### {in_markdown(table.title)}", markdown_table(table.rows)]
    return "\n\n".join(parts) + "\n"


def latex(answer: Answer) -> str:
    r"""The verdicts and tables, to be \input into a paper."""
    head = r"% Written by bambino experiment. It needs \usepackage{booktabs,graphicx}."
    parts = [head, latex_list(answer.verdicts), in_latex(method_of(answer)), *map(latex_table, tables_of(answer))]
    return "\n\n".join(parts) + "\n"


def method_of(answer: Answer) -> str:
    """Which test, paired how, corrected how."""
    return METHOD.format(baseline=answer.baseline)


def _of_metric(answer: Answer, metric: str) -> Titled:
    better = "more" if direction_of(metric) == 1 else "less"
    rows = [["condition", "seeds", "mean", f"difference from {answer.baseline}", "p", "p, Holm"]]
    for name, one in answer.conditions.items():
        found = one.metrics[metric]
        rows.append([name, str(len(found.values)), _mean(found), *_effect(found.effect)])
    return Titled(f"{metric} ({better} is better)", rows)


def _trade_off(answer: Answer) -> Titled:
    l1, l2 = answer.languages or ("", "")
    rows = [["condition", "gained of L2", "lost of L1", "front"]]
    rows[0] += ["beyond, at equal gain", "p", "p, Holm", "up to a gain of"]
    for name, one in answer.conditions.items():
        end = ["", "", ""]
        if one.end is not None:
            end = [signed(one.end.l2_gain), signed(one.end.l1_loss), "*" if one.end.on_front else ""]
        equal = one.equal_gain
        most = "" if equal is None else f"{equal.up_to:.3f}"
        rows.append([name, *end, *_effect(None if equal is None else equal.gap), most])
    title = f"Gained in {l2}, lost in {l1}; at equal L2 gain, what it lost beyond {answer.baseline}"
    return Titled(title, rows)


def _budget(answer: Answer) -> Titled:
    budgets = {name: one.budget for name, one in answer.conditions.items()}
    shown = [total for total in BUDGET if any(budget.get(total) for budget in budgets.values())]
    rows = [["condition", "seeds", *(BUDGET[total] for total in shown)]]
    for name, one in answer.conditions.items():
        costs = [_cost(one.budget[total]) if one.budget else "" for total in shown]
        rows.append([name, str(len(one.seeds)), *costs])
    return Titled("Costs of a run, mean over seeds (trials not counted)", rows)


def _mean(found: MetricAnswer) -> str:
    if found.mean is None:
        return ""
    interval = found.mean.interval
    return f"{found.mean.mean:.3f}" + ("" if interval is None else f" [{interval.low:.3f}, {interval.high:.3f}]")


def _effect(effect: Effect | None) -> list[str]:
    """Difference, p, corrected p."""
    if effect is None:
        return ["", "", ""]
    p_values = ["" if p is None else _p(p) for p in (effect.p_value, effect.corrected_p)]
    return [signed(effect.difference), *p_values]


def _p(p_value: float) -> str:
    return p_in_words(p_value).removeprefix("p ").removeprefix("= ")


def _cost(amount: float) -> str:
    return f"{amount:.3g}" if amount >= 1e10 else f"{amount:,.0f}"
