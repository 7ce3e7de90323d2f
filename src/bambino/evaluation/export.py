"""Every test of a folder of data as tasks of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bambino.evaluation.discovery import Discovered, discover
from bambino.evaluation.lm_eval_tasks import write_choice_task, write_pair_tasks
from bambino.evaluation.pair_files import load_pair_set
from bambino.evaluation.zero_shot.prompts import filled
from bambino.evaluation.zero_shot.task_data import load_items
from bambino.evaluation.zero_shot.task_definitions import load_task, task_names

PREFIX = "bambino_"
"""Of the names of our tasks in lm-eval, which has a blimp and others of its own."""


def discover_tests(folder: str | Path, own_tasks: Sequence[str] = ()) -> Discovered:
    """The tests of a folder of data; classification tasks are told by the file names in their definitions.

    Args:
        own_tasks: paths of YAML files that define tasks beside the shipped ones; each is named by its path.

    Raises:
        TextError: no such folder, or no test in it. TaskError: a definition that cannot be used.
    """
    return discover(folder, {load_task(name).local.source: name for name in [*task_names(), *own_tasks]})


def export(data: str | Path, folder: Path, beginning: str = "") -> list[str]:
    """Write minimal pairs by paradigm, and a task for each template of each classification task; returns their names.

    Text for bits per byte is left out: lm-eval measures other things of it. Questions that are longer than a model's
    context are written whole: here their item is cut to fit, in lm-eval whatever is furthest left.

    Args:
        beginning: of every prompt, for a tokenizer without BOS (`beginning_for`).

    Raises:
        TextError: as `discover_tests`; data that cannot be used.
    """
    found = discover_tests(data)
    names: list[str] = []
    for test in found.tests.values():
        if test.kind == "pairs":
            names += write_pair_tasks(folder, PREFIX + test.name, load_pair_set(test.path, found.terms), beginning)
        elif test.kind == "classification":
            task = load_task(test.name)
            items = load_items(task, test.path).items
            for number, template in enumerate(task.templates, start=1):
                name = f"{PREFIX}{task.name}_template_{number}"
                questions = [filled(task, template, item) for item in items]
                write_choice_task(folder, name, questions, [item.label for item in items], beginning)
                names.append(name)
    return names
