"""lm-evaluation-harness on our models: its own tasks, or ours written by `lm_eval_tasks`.

Prompts begin with the start token (BOS, or EOS where there is none), as in every score here: lm-eval itself prepends it
only where there is no prompt, and else leaves it to the tokenizer. All else is lm-eval's: it gives ties to the option
that is listed first, and its own BLiMP has a space before every sentence.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from tokenizers import processors
from transformers import PreTrainedTokenizerBase

from bambino.analysis.statistics import bootstrap
from bambino.errors import HarnessError
from bambino.evaluation.model_description import describe_model
from bambino.measures import Score, TaskResult
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import start_token

INSTALL = "pip install 'bambino-lm[harness]'"


@dataclass(frozen=True)
class HarnessConfig:
    """What to run."""

    tasks: tuple[str, ...]
    """Names or patterns of tasks, groups and tags."""
    include_path: Path | None = None
    """Folder of further tasks."""
    include_defaults: bool = False
    """Whether lm-eval's own tasks are known; looking through them takes a while."""
    limit: int | None = None
    """Items per task; None: all."""
    batch_size: int = 32


class Harness:
    """lm-eval with the tasks that were asked for found, so that an unknown one is refused before anything is scored."""

    def __init__(self, config: HarnessConfig) -> None:
        """
        Raises:
            HarnessError: lm-eval is not installed, or a task is unknown.
        """
        try:
            import lm_eval  # noqa: F401
            from lm_eval.tasks import TaskManager
        except ImportError as error:
            raise HarnessError(f"lm-evaluation-harness is missing ({error}). Install it: {INSTALL}") from None
        self.config = config
        self.manager = TaskManager(include_defaults=config.include_defaults, include_path=config.include_path)
        unknown = [task for task in config.tasks if not self.manager.match_tasks([task])]
        if unknown:
            places = ["among its own"] * config.include_defaults
            places += [f"in {config.include_path}"] * bool(config.include_path)
            where = " or ".join(places) or "(neither its own tasks nor a folder of tasks are included)"
            raise HarnessError(f"lm-eval finds no task {', '.join(unknown)} {where}. It lists them: lm_eval ls tasks")

    def run(self, baby: Speaker) -> dict[str, TaskResult]:
        """`harness/TASK` (or group) -> every metric that lm-eval reports.

        Raises:
            HarnessError: the data of a task are neither here nor reachable.
        """
        import lm_eval
        from lm_eval.models.huggingface import HFLM

        config = self.config
        model = HFLM(pretrained=baby.lm, tokenizer=with_start(baby.tokenizer), batch_size=config.batch_size)
        try:
            found = lm_eval.simple_evaluate(
                model,
                tasks=self.manager.match_tasks(list(config.tasks)),
                task_manager=self.manager,
                limit=config.limit,
                bootstrap_iters=0,
                random_seed=None,
                numpy_random_seed=None,
                torch_random_seed=None,
            )
        except (ConnectionError, FileNotFoundError) as error:
            raise HarnessError(f"lm-eval cannot read the data of {', '.join(config.tasks)}: {error}") from None
        settings = {
            "harness": f"lm-eval {version('lm_eval')}",
            "ties": "the option listed first, unless the task decides otherwise",
            "limit": config.limit,
            **describe_model(baby),
        }
        results = (_result(name, found, settings) for name in found["results"])
        return {result.task: result for result in results}


def with_start(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A copy of the tokenizer that prepends the start token to every text.

    Raises:
        HarnessError: it has neither BOS nor EOS, so lm-eval has nothing to begin a text with; or no tokenizer.json.
    """
    start = start_token(tokenizer)
    if start is None:
        raise HarnessError("The tokenizer has neither BOS nor EOS; lm-eval needs one to begin a text with.")
    tokenizer = copy.deepcopy(tokenizer)
    if tokenizer("a")["input_ids"][:1] == [start]:
        return tokenizer
    if not tokenizer.is_fast:
        raise HarnessError("The tokenizer has no tokenizer.json; lm-eval cannot be made to prepend its start token.")
    token = tokenizer.convert_ids_to_tokens(start)
    prepend = processors.TemplateProcessing(single=f"{token} $A", special_tokens=[(token, start)])
    before = tokenizer.backend_tokenizer.post_processor
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([before, prepend]) if before else prepend
    return tokenizer


def _result(name: str, found: Mapping[str, Any], settings: Mapping[str, Any]) -> TaskResult:
    """One task's or group's metrics; per item, with intervals, where the metric is a mean over items."""
    items = sorted(found.get("samples", {}).get(name, []), key=lambda sample: sample["doc_id"])
    count = len(items) or int(found["results"][name].get("sample_len") or 0)
    task = f"harness/{name}"
    scores, item_scores = [], {}
    for metric, value in _metrics(found["results"][name]):
        label = f"{task}/{metric}"
        each = [float(item[metric]) for item in items if isinstance(item.get(metric), int | float)]
        if not items or len(each) < len(items) or not np.isclose(fmean(each), value):
            scores.append(Score(label, value, _unit(metric), count))
            continue
        item_scores[label] = each
        scores.append(Score(label, value, _unit(metric), count, bootstrap(each), _chance(metric, items)))
    details = {"version": found.get("versions", {}).get(name), "fewshot": found.get("n-shot", {}).get(name)}
    return TaskResult(task, scores, {**settings, **details}, "", item_scores)


def _metrics(entry: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Metric and value, from keys like `acc,none`; metrics after another filter than none keep its name."""
    found = []
    for key, value in entry.items():
        metric, _, name = key.partition(",")
        if name and isinstance(value, int | float) and not metric.endswith("_stderr"):
            found.append((metric if name == "none" else key, float(value)))
    return found


def _chance(metric: str, items: Sequence[Mapping[str, Any]]) -> float | None:
    """One over the number of options, where accuracy is meant and every item has as many."""
    options = {len(item["arguments"]) for item in items}
    return 1 / options.pop() if metric in ("acc", "acc_norm", "acc_bytes") and len(options) == 1 else None


def _unit(metric: str) -> str:
    return "share" if metric.startswith(("acc", "exact_match", "f1")) else metric
