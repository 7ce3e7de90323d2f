"""Names that earlier versions gave to what they measured, and what they are called now.

The one place that knows: whatever reads metrics.jsonl or results.json goes through here, so that runs and results of
earlier versions can be compared with new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WITH_PROMPT = {"whole": "_with_prompt", "utterance": ""}


def has_old_names(row: Mapping[str, Any]) -> bool:
    """Whether a row of metrics.jsonl was written before names were what they are now."""
    return any(key.startswith(("eval/utterances/", "eval/human/")) for key in row)


def row_with_new_names(row: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A row of metrics.jsonl by today's names.

    Args:
        settings: the run's, which say how the parent's perplexity was taken (`reward.scope`).
    """
    scope = _WITH_PROMPT[(settings.get("reward") or {}).get("scope", "whole")]
    return {_of_row(key, scope): value for key, value in row.items()}


def _of_row(key: str, scope: str) -> str:
    what = key.rpartition("/")[2]
    if key in ("eval/utterances/parent_log_perplexity", "eval/human/parent_log_perplexity"):
        who = "baby" if key.startswith("eval/utterances/") else "human"
        return f"eval/speech/log_perplexity{scope}/{who}"
    return f"eval/speech/{what}/baby" if key.startswith("eval/utterances/") else key


def tasks_with_new_names(
    tasks: dict[str, dict[str, Any]], items: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Tasks and item scores of results.json and items.json by today's names."""
    renamed, items_renamed = {}, {}
    for task, entry in tasks.items():
        new, main = _task(task, [score["name"] for score in entry["scores"]])
        renamed[new] = entry | {
            "task": new,
            "scores": [score | {"name": _of_score(score["name"], task, new, main)} for score in entry["scores"]],
        }
        items_renamed[new] = {_of_score(name, task, new, main): value for name, value in items.get(task, {}).items()}
    return renamed, items_renamed


def _task(task: str, scores: list[str]) -> tuple[str, str]:
    """A task's name today, and what its main score was called where that has changed."""
    for main, group in (("balanced_accuracy", "tasks"), ("accuracy", "pairs")):
        if "/" not in task and task != "average" and f"{task}/{main}" in scores:
            return f"{group}/{task}", f"{task}/{main}"
    return task, ""


def _of_score(name: str, task: str, new: str, main: str) -> str:
    """`blimp/accuracy/UID` is `pairs/blimp/UID`, `sst2/balanced_accuracy/pmi` is `tasks/sst2/pmi`."""
    if main and (name == main or name.startswith(f"{main}/")):
        return new + name.removeprefix(main)
    return new + name.removeprefix(task) if name.startswith(f"{task}/") else name
