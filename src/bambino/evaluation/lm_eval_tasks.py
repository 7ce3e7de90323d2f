"""Our tests as tasks of lm-evaluation-harness: YAML with its data beside it, for `lm_eval --include_path FOLDER`.

    lm_eval run --model hf --model_args pretrained=MODEL,add_bos_token=True --include_path FOLDER --tasks NAME

Options begin with the space between them and their prompt, where one is written (`joining.py`); lm-eval's own default
is a space before every option, also before a whole sentence. With `add_bos_token=True` prompts begin with BOS, as here;
without it lm-eval leaves that to the tokenizer, and those of GPT-2 and OPT style prepend none. A tokenizer without BOS
(Qwen 2's kind) has nothing to prepend: lm-eval reads such a prompt without a start token, where we begin it with EOS.
Tasks that are written for it (`beginning_for`) say its EOS in their prompts, which lm-eval reads as that token; then
every item agrees. Where a token lies across the end of a prompt, lm-eval takes it for the prompt's, here it counts.
Ties of minimal pairs count one half; lm-eval's own accuracy gives them to the option that is listed first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import PreTrainedTokenizerBase

from bambino.errors import HarnessError, TextError
from bambino.evaluation.minimal_pairs import points_of
from bambino.evaluation.pair_files import Pair, PairSet
from bambino.evaluation.zero_shot.choices import Choice
from bambino.text.tokens import start_token

_POINTS = "!function bambino.evaluation.lm_eval_tasks.pair_points"


def beginning_for(tokenizer: PreTrainedTokenizerBase) -> str:
    """What prompts must begin with for lm-eval to read them after our start token: EOS, for a tokenizer without BOS.

    Raises:
        HarnessError: it has neither, or its EOS is not read as one token.
    """
    if tokenizer.bos_token_id is not None:
        return ""
    start = start_token(tokenizer)
    text = "" if start is None else str(tokenizer.convert_ids_to_tokens(start))
    if not text or tokenizer(text, add_special_tokens=False)["input_ids"] != [start]:
        raise HarnessError(
            "The tokenizer has neither BOS nor EOS that it reads; lm-eval cannot begin a prompt with it."
        )
    return text


def write_pair_tasks(folder: Path, name: str, data: PairSet, beginning: str = "") -> list[str]:
    """Write a task for each paradigm (`NAME_UID`) and the group NAME; returns the names of the tasks.

    The group's accuracy weighs pairs alike. Files name their data by absolute path: write them anew to move them.

    Args:
        beginning: of every prompt (`beginning_for`).

    Raises:
        TextError: two paradigms of one file name; a phrase after two contexts (COMPS), which lm-eval does not compare.
    """
    if any(pair.given_bad is not None for pair in data.pairs):
        raise TextError(f"{data.source}: lm-eval compares no phrase after two contexts (COMPS). Leave the file out.")
    by_paradigm: dict[str, list[Pair]] = {}
    for pair in data.pairs:
        by_paradigm.setdefault(pair.uid, []).append(pair)
    tasks = {_file_name(f"{name}_{uid}" if uid else f"{name}_pairs"): pairs for uid, pairs in by_paradigm.items()}
    if len(tasks) < len(by_paradigm):
        raise TextError(f"{data.source}: two paradigms have the same name but for signs that no file name holds.")
    for task, pairs in tasks.items():
        rows = (
            {"prompt": beginning * bool(p.given) + p.good[: p.given], "options": [p.good[p.given :], p.bad[p.given :]]}
            for p in pairs
        )
        _write(folder, task, ({**row, "label": 0} for row in rows), points=_POINTS)
    group = {
        "group": name,
        "task": list(tasks),
        "aggregate_metric_list": [{"metric": "acc", "aggregation": "mean", "weight_by_size": True}],
    }
    (folder / f"{_file_name(name)}.yaml").write_text(yaml.safe_dump(group, sort_keys=False), encoding="utf-8")
    return list(tasks)


def write_choice_task(
    folder: Path, name: str, choices: Sequence[Choice], labels: Sequence[int], beginning: str = ""
) -> None:
    """Write a multiple-choice task: prompts with their options, and the index of the right one.

    Args:
        beginning: of every prompt that is not empty (`beginning_for`).
    """
    rows = (
        {
            "prompt": beginning * bool(choice.prompt) + choice.prompt,
            "options": [text[len(choice.prompt) :] for text in choice.texts],
            "label": label,
        }
        for choice, label in zip(choices, labels, strict=True)
    )
    _write(folder, _file_name(name), rows, points=None)


def pair_points(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """What lm-eval calls for each pair of ours: 1, 0, or 1/2 for a tie, as `minimal_pairs` decides it."""
    (good, _), (bad, _) = results
    return {"acc": float(points_of([good], [bad])[0])}


def _write(folder: Path, task: str, rows: Iterator[dict[str, Any]], *, points: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = (folder / f"{task}.jsonl").absolute()
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    config = {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "options",
        "doc_to_target": "label",
        "target_delimiter": "",
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1},
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    text += f"process_results: {points}\n" if points else ""
    (folder / f"{task}.yaml").write_text(text, encoding="utf-8")


def _file_name(name: str) -> str:
    """lm-eval reads commas, slashes and stars in names as its own."""
    return re.sub(r"[^\w.-]+", "_", name)
