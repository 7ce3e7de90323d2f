"""What the runs cost: time by part, tokens a second, memory, FLOPs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from bambino.report.charts import bars
from bambino.report.page import Charts, Figure, Part, Section, Table, Words
from bambino.report.reported import Reported, SeedRun, numbers
from bambino.report.tables import Rows

NOT_LEARNING = ("evaluation", "checkpoint")
"""Parts of a run's time that tokens per second leave out."""
TOKENS = ("clm_tokens", "replay_tokens", "dream_tokens", "recast_tokens", "prompt_tokens", "utterance_tokens")
"""Totals of what the baby reads, hears and says."""
SHOWN = {"flops": "FLOPs", "parent_flops": "of these the parent's"}
MEMORY = {"process": "memory of the process, MiB, at most", "device": "memory of tensors on the GPU, MiB, at most"}
NOTE = """Means over seeds. Tokens per second are those that the baby heard, read and said, over the time of its steps;
evaluations and checkpoints are left out."""
MOST = 8
"""Conditions whose times fit one chart."""


def costs(reported: Reported) -> Section | None:
    """A table of all costs; a chart of where the time went."""
    if not any(run.record.steps for run in reported.runs):
        return None
    times = {condition: _mean(list(map(times_of, reported.of(condition)))) for condition in reported.conditions}
    parts: list[Part] = [Table(_table(reported))]
    rows = [
        {"condition": condition, "part": part, "amount": seconds}
        for part in dict.fromkeys(part for those in times.values() for part in those)
        for condition, those in times.items()
        if (seconds := those.get(part, 0.0))
    ]
    if rows and len(reported.conditions) <= MOST:
        parts.append(
            Charts([Figure("Seconds by part", bars(rows, reported.conditions, "seconds"))], reported.conditions)
        )
    return Section("Costs", [*parts, Words(NOTE, "small")])


def times_of(run: SeedRun) -> dict[str, float]:
    """Part -> seconds that it took in all."""
    found: dict[str, float] = defaultdict(float)
    for row in run.record.steps:
        for name, seconds in numbers(row).items():
            if name.startswith("time/"):
                found[name.removeprefix("time/")] += seconds
    return dict(found)


def tokens_per_second(run: SeedRun) -> float:
    """What the baby hears, reads and says in a second of its steps; 0 before the first."""
    seconds = sum(spent for part, spent in times_of(run).items() if part not in NOT_LEARNING)
    tokens = sum(run.record.totals.get(name, 0.0) for name in TOKENS)
    return tokens / seconds if seconds else 0.0


def _table(reported: Reported) -> Rows:
    """A row a cost, a column a condition."""
    runs = {condition: reported.of(condition) for condition in reported.conditions}
    rows = [["mean over seeds", *runs]]
    rows.append(["steps", *(f"{fmean(run.record.steps_done for run in those):,.0f}" for those in runs.values())])
    rows.append(
        [
            "seconds",
            *(f"{fmean(run.record.totals.get('seconds', 0.0) for run in those):,.0f}" for those in runs.values()),
        ]
    )
    rows.append(["tokens per second", *(f"{fmean(map(tokens_per_second, those)):,.0f}" for those in runs.values())])
    for what, title in MEMORY.items():
        sizes = [max((run.record.peak_memory.get(what, 0) for run in those), default=0) for those in runs.values()]
        if any(sizes):
            rows.append([title, *(f"{size / 2**20:,.0f}" if size else "" for size in sizes)])
    for total, title in SHOWN.items():
        amounts = [fmean(run.record.totals.get(total, 0.0) for run in those) for those in runs.values()]
        if any(amounts):
            rows.append([title, *(f"{amount:.3g}" for amount in amounts)])
    return rows


def _mean(times: Sequence[Mapping[str, float]]) -> dict[str, float]:
    parts = dict.fromkeys(part for one in times for part in one)
    return {part: fmean(one.get(part, 0.0) for one in times) for part in parts}
