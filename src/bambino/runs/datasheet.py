"""The datasheet that lies beside a model under rules: what it was raised on, and how much of each budget it has had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bambino.printable import as_code, in_markdown
from bambino.recipe.rules import Rules, premiums_source
from bambino.runs.ledger import Amount, HeardText, Ledger

PARENT_TEXT = "parent_text.jsonl"
"""The file beside a model with what the parent wrote for the baby."""
SHEET = """# Datasheet

{about}, as it was read on {read}. Counted by [bambino]({home}); all numbers are in `ledger.json`.

## Text

{texts}

Words are what white space separates (`str.split`). English equivalents are UTF-8 bytes over the language's byte premium
over the bytes of an English word: {premiums}.

## Budgets

{budgets}

## The parent

{parent}

## What only its maker can say

- Who made these texts, for what, and who is in them:
- Their licences, and whether they may be shared:
- What was taken out of them, and why:
"""
HOME = "https://arxiv.org/abs/2406.11418"


def datasheet(
    rules: Rules,
    ledger: Ledger,
    counts: Mapping[str, str],
    parent: str,
    kinds: Mapping[str, str],
    stopped: str | None,
) -> str:
    """DATASHEET.md.

    Args:
        counts: limit -> how much of it the baby has had, in the rules' unit.
        parent: its name, as a reader may know it.
        kinds: kind of feedback -> what the rules say of it.
        stopped: why the run ended before its last step; None: it did not.
    """
    budgets = [[limit, counts[limit], f"{most:,}", rules.sources[limit]] for limit, most in rules.limits.items()]
    parts = {
        "about": rules.about,
        "read": rules.read,
        "home": HOME,
        "texts": _table(["text", "language", "words", "English equivalents", "passes", "sha256"], _rows(ledger)),
        "premiums": premiums_source(),
        "budgets": _table(["", f"had, in {rules.unit}", "at most", "written in"], budgets),
        "parent": _parent(ledger, parent, kinds),
    }
    ended = (
        "" if stopped is None else f"\nThe run ended before its last step, which could have passed a limit: {stopped}\n"
    )
    return SHEET.format(**parts).replace("\n## The parent", f"{ended}\n## The parent")


def _rows(ledger: Ledger) -> list[list[str]]:
    rows = [_row(text) for text in ledger.texts]
    others = {"dreams and other text heard": ledger.beside, "said": ledger.said, "dreamt": ledger.self_written}
    others |= {"written for the baby": ledger.told, "heard in all": ledger.heard}
    return rows + [[what, "", *_amount(amount), "", ""] for what, amount in others.items() if amount.words]


def _row(text: HeardText) -> list[str]:
    return [
        as_code(text.path),
        text.language or "not said",
        *_amount(text.size),
        f"{text.passes:.2f}",
        as_code(text.id[:12]),
    ]


def _amount(amount: Amount) -> list[str]:
    return [f"{amount.words:,.0f}", "not known" if amount.equivalents is None else f"{amount.equivalents:,.0f}"]


def _parent(ledger: Ledger, name: str, kinds: Mapping[str, str]) -> str:
    """Who answered the baby, how, and with which text."""
    if not kinds:
        return "None: nobody answered the baby in this run."
    raised = "not known" if ledger.parent is None else f"{sum(text.size.words for text in ledger.parent):,.0f} words"
    said = [f"- {name}; raised on {raised}."]
    said += [f"- {in_markdown(kind)}: {in_markdown(rule)}." for kind, rule in kinds.items()]
    said += [f"- Scalar rewards: {ledger.rewards:,.0f}."]
    said += [f"- What it wrote for the baby in this run: `{PARENT_TEXT}`."] if ledger.told.words else []
    return "\n".join(said)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
