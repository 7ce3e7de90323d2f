"""The ledger of runs: words heard, said and written, tokens and FLOPs, by condition, as a part of a page."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from bambino.report.page import Items, Part, Section, Table, Words
from bambino.report.reported import Reported, SeedRun
from bambino.runs.account import account_of
from bambino.runs.record import refusing

TOKENS = {
    "clm_tokens": "L2 tokens heard",
    "replay_tokens": "L1 tokens replayed",
    "dream_tokens": "tokens of dreams heard",
    "recast_tokens": "tokens of recasts heard",
    "prompt_tokens": "tokens of prompts",
    "utterance_tokens": "tokens said",
    "flops": "FLOPs",
    "parent_flops": "FLOPs of the parent",
}
"""Total -> what it is, beside those of the word account."""
FEW = 6
"""Conditions that stand side by side; more stand one below the other."""
EXPLANATION = (
    "Words are what white space separates, each time they are heard; numbers are means over seeds up to the last step, "
    "evaluation left out."
)


def ledger(reported: Reported) -> Section | None:
    """The account of each condition; None where no run has done a step."""
    accounts = {condition: _account(reported.of(condition)) for condition in reported.conditions}
    accounts = {condition: account for condition, account in accounts.items() if account}
    if not accounts:
        return None
    names = list(dict.fromkeys(name for account in accounts.values() for name in account))
    texts = [name for name in names if name.endswith(" text")]
    rows = [[name, *(account.get(name, "") for account in accounts.values())] for name in names if name not in texts]
    rows.insert(0, ["", *accounts])
    if len(accounts) > FEW:
        rows = [list(column) for column in zip(*rows, strict=True)]
    parts: list[Part] = [Words(EXPLANATION, "small"), Table(rows)]
    if texts:
        parts.insert(0, Items([line for name in texts for line in _text_lines(name, accounts)]))
    return Section("The ledger", parts)


def _account(runs: list[SeedRun]) -> dict[str, str]:
    """What is counted and how much it is, of the mean over a condition's runs that have done a step."""
    runs = [run for run in runs if run.record.totals]
    if not runs:
        return {}
    totals = [run.record.totals for run in runs]
    mean = {
        name: fmean(those.get(name, 0.0) for those in totals) for name in dict.fromkeys(n for t in totals for n in t)
    }
    tokens = {what: _amount(mean[name]) for name, what in TOKENS.items() if name in mean}
    with refusing(runs[0].record.path):
        return {"runs": str(len(runs)), **dict(account_of(runs[0].record.data, mean)), **tokens}


def _amount(number: float) -> str:
    return f"{number:.3g}" if number >= 1e10 else f"{number:,.0f}"


def _text_lines(name: str, accounts: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What a text holds: once where it is the same for all conditions that hear it."""
    held: dict[str, list[str]] = {}
    for condition, account in accounts.items():
        if name in account:
            held.setdefault(account[name], []).append(condition)
    if len(held) == 1:
        return [f"{name}: {text}" for text in held]
    return [f"{name} of {', '.join(conditions)}: {text}" for text, conditions in held.items()]
