"""Minimal pairs here against lm-evaluation-harness: seconds, and whether the scores are the same.

    python benchmarks/blimp_speed.py --model PATH --pairs BLIMP.jsonl [--per_paradigm 50] [--paradigms N] [--repeats 3]
                                     [--threads 2] [--batch_sizes 8 16 32 64 128 auto] [--output FILE.json]

The same model object in fp32, the same items, the same threads, in turn. Timed is all from the files on disk to
accuracies by paradigm, the model being loaded: here with bootstrap intervals, in lm-eval without. lm-eval runs at the
batch size that was fastest in one run of each; its data sets were prepared by those runs. Of lm-eval also the seconds
in its `loglikelihood` alone. Prints medians and ratios; wall-clock seconds, and seconds of processor time, which other
work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from bambino.evaluation.harness import with_start
from bambino.evaluation.lm_eval_tasks import write_pair_tasks
from bambino.evaluation.minimal_pairs import MinimalPairs
from bambino.evaluation.pair_files import load_pair_set
from bambino.measures import TaskResult
from bambino.models.loading import load_lm, load_tokenizer
from bambino.recipe.model_settings import ModelConfig
from bambino.speaking.speaker import Speaker


class TimedHFLM(HFLM):
    """lm-eval's model, with the seconds its scoring took."""

    seconds = 0.0

    def loglikelihood(self, *arguments: Any, **settings: Any) -> list[tuple[float, bool]]:
        begin = time.perf_counter()
        result = super().loglikelihood(*arguments, **settings)
        self.seconds = time.perf_counter() - begin
        return result


def measured(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, wall-clock seconds, processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def write_items(source: Path, target: Path, per_paradigm: int, paradigms: int) -> None:
    """The first pairs of each paradigm; of so many paradigms, spread over the file."""
    lines = [line for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    names = list(dict.fromkeys(json.loads(line)["UID"] for line in lines))
    chosen = {names[i * len(names) // paradigms] for i in range(min(paradigms, len(names)))}
    seen: Counter[str] = Counter()
    with target.open("w", encoding="utf-8") as file:
        for line in lines:
            uid = json.loads(line)["UID"]
            seen[uid] += 1
            if uid in chosen and seen[uid] <= per_paradigm:
                file.write(line + "\n")


def compare(ours: TaskResult, theirs: dict[str, Any], tasks: list[str]) -> dict[str, Any]:
    """Accuracies paradigm by paradigm, log-probs and verdicts item by item."""
    accuracies = {score.name.rpartition("/")[2]: score.value for score in ours.scores}
    gaps = {task: abs(theirs["results"][task]["acc,none"] - accuracies[task.removeprefix("blimp_")]) for task in tasks}
    items = [item for task in tasks for item in sorted(theirs["samples"][task], key=lambda sample: sample["doc_id"])]
    their_scores = np.array([[ll for ll, _ in item["filtered_resps"]] for item in items])
    our_scores = np.array([ours.item_scores["blimp/log_prob_good"], ours.item_scores["blimp/log_prob_bad"]]).T
    points = np.array(ours.item_scores["pairs/blimp"])
    return {
        "pairs": len(items),
        "paradigms": len(tasks),
        "accuracy": ours.scores[0].value,
        "paradigms_with_another_accuracy": sum(gap > 1e-12 for gap in gaps.values()),
        "largest_difference_of_accuracy": max(gaps.values()),
        "pairs_with_another_verdict": int((points != np.array([item["acc"] for item in items])).sum()),
        "largest_difference_of_log_prob": float(np.abs(their_scores - our_scores).max()),
        "ties": int((points == 0.5).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pairs", required=True, type=Path)
    parser.add_argument("--per_paradigm", type=int, default=50)
    parser.add_argument("--paradigms", type=int, default=67)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch_sizes", nargs="+", default=["8", "16", "32", "64", "128", "auto"])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lm = load_lm(ModelConfig(arguments.model), "baby")
    tokenizer = load_tokenizer(ModelConfig(arguments.model), "baby", lm)
    with tempfile.TemporaryDirectory() as folder:
        items = Path(folder, "items.jsonl")
        write_items(arguments.pairs, items, arguments.per_paradigm, arguments.paradigms)
        tasks = write_pair_tasks(Path(folder, "tasks"), "blimp", load_pair_set(items))
        manager = TaskManager(include_defaults=False, include_path=str(Path(folder, "tasks")))
        model = TimedHFLM(pretrained=lm, tokenizer=with_start(tokenizer))

        def here() -> TaskResult:
            return MinimalPairs("blimp", load_pair_set(items))(Speaker(lm, tokenizer))

        def lm_eval(batch_size: str, log_samples: bool = False) -> dict[str, Any]:
            model.batch_size_per_gpu = batch_size if batch_size == "auto" else int(batch_size)
            return simple_evaluate(model, tasks=tasks, task_manager=manager, bootstrap_iters=0, log_samples=log_samples)

        lm_eval(arguments.batch_sizes[-1])  # prepares the data sets
        search = {size: measured(lambda size=size: lm_eval(size))[1:] for size in arguments.batch_sizes}
        best = min(search, key=lambda size: search[size][1])
        rows = []
        for _ in range(arguments.repeats):
            found, wall, cpu = measured(here)
            _, their_wall, their_cpu = measured(lambda: lm_eval(best))
            rows.append((wall, their_wall, model.seconds, cpu, their_cpu))
        agreement = compare(found, lm_eval(best, log_samples=True), tasks)
    ours, theirs, scoring, our_cpu, their_cpu = (list(column) for column in zip(*rows, strict=True))
    result = {
        "times_faster": statistics.median(b / a for a, b in zip(ours, theirs, strict=True)),
        "times_faster_than_its_loglikelihood_alone": statistics.median(
            b / a for a, b in zip(ours, scoring, strict=True)
        ),
        "times_less_processor_time": statistics.median(b / a for a, b in zip(our_cpu, their_cpu, strict=True)),
        "seconds": {"here": ours, "lm_eval": theirs, "lm_eval_loglikelihood": scoring},
        "processor_seconds": {"here": our_cpu, "lm_eval": their_cpu},
        "lm_eval_batch_size": best,
        "search": {size: {"seconds": wall, "processor_seconds": cpu} for size, (wall, cpu) in search.items()},
        "agreement": agreement,
        "settings": {
            "threads": arguments.threads,
            "dtype": str(lm.dtype),
            "model": Path(arguments.model).name,
            "machine": platform.processor() or platform.machine(),
            **{name: version(name) for name in ("torch", "transformers", "lm_eval")},
        },
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
