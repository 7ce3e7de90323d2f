"""What a GPU makes of a run: seconds of each step and share of the card's own rate of matrix products.

    python benchmarks/gpu.py [--seconds 600] [--out gpu.json] [--size paper|tiny] [--rows NAME ...]

Random models of the paper's sizes (`benchmarks/paper_size.py`) in fp32 and bf16 autocast: matrix products; cycles of 10
clm and 2 ppo steps on short lines; clm steps on full rows; the sampler by its CUDA graph beside the plain one; the
published way (`benchmarks/published_way.py`); dense and recast steps; a bare update, eager, captured as a graph and
compiled. A row is printed as it is found, and the file written anew. No row begins after `--seconds`, nor where it is
expected to end later; a row that fails says so and the others go on. `share`: FLOPs as metrics.jsonl counts them over
time and measured rate of a step's shape, of the same precision. Medians, the first steps left out.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import platform
import shutil
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate.state import AcceleratorState
from paper_size import make_models, make_text, rate
from published_way import PublishedWay
from torch.autograd import DeviceType
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from bambino import BambinoTrainer, load_recipe
from bambino.feedback.settings import KINDS
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.runs.costs import forward_flops
from bambino.speaking import rollout
from bambino.text.batches import pad

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
LARGE = (4096, 4096, 4096)
Found = dict[str, Any]


class EnoughStepsError(Exception):
    """The steps that were wanted are done; nothing need be saved."""


@dataclass
class Bench:
    """Models and texts of a size, and what was found so far."""

    folder: Path
    is_tiny: bool
    rates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.text, self.full_text = self.folder / "short.txt", self.folder / "full.txt"
        make_text(self.text, lines=2000, words=11)
        make_text(self.full_text, lines=400, words=140)
        self.baby, self.parent = make_models(self.folder, self.text, tiny=self.is_tiny)
        self.runs = 0
        self.graphs = ""
        """Shapes whose layers the last run tried to capture."""

    def products(self) -> Found:
        """TFLOP/s of matrix products of a step's shape and of a large one."""
        shapes = {"step": (2048, 768, 3072), "large": LARGE}
        if self.is_tiny:
            shapes = {"step": (256, 32, 64), "large": (256, 256, 256)}
        found = {}
        for precision in ("bf16", "fp32"):
            for name, shape in shapes.items():
                rate(DEVICE, precision, shape)
                found[f"{precision} {name}, TFLOP/s"] = rate(DEVICE, precision, shape) / 1e12
            self.rates[precision] = found[f"{precision} step, TFLOP/s"] * 1e12
        return found

    def steps(
        self, precision: str, count: int, watch: Callable[[int], None] = lambda done: None, **settings: object
    ) -> list[Found]:
        """Rows of a run's steps, each with the time at which it was done as `at`; `watch` is told how many are done."""
        self.runs += 1
        chosen = {
            "baby.model": self.baby,
            "parent.model": self.parent,
            "parent.must_know_l2": "false",
            "text.sources": f"[{self.text}]",
            "text.heldout_every": 20,
            "max_steps": 10 * count,
            "save_steps": 10 * count,
            "output_dir": self.folder / f"run{self.runs}",
            "evaluation.utterances": 0,
            "cuda_graphs": "true",
            "mixed_precision": "no" if precision == "fp32" else precision,
        } | settings
        rows: list[Found] = []

        def on_row(row: Found) -> None:
            if row["kind"] == "step":
                rows.append(row | {"at": time.perf_counter()})
                watch(len(rows))
                if len(rows) == count:
                    raise EnoughStepsError

        AcceleratorState._reset_state(reset_partial_state=True)
        words = [word for key, value in chosen.items() for word in (f"--{key}", str(value))]
        trainer = BambinoTrainer(args=load_recipe("paper", words, kinds=KINDS), on_row=on_row)
        with suppress(EnoughStepsError):
            trainer.train()
        shutil.rmtree(str(chosen["output_dir"]))
        graphed = trainer.baby.graphed
        self.graphs = "" if graphed is None else " ".join(_told(key, each) for key, each in graphed.kept.items())
        return rows

    def share(self, precision: str, flops: float, seconds: float) -> float:
        return flops / seconds / self.rates[precision]

    def cycle(self, precision: str, **settings: object) -> Found:
        """Whole cycles of 10 clm and 2 ppo steps on short lines, after one; and their steps by part."""
        cycles = 5 if ON_GPU else 2
        rows = self.steps(precision, 12 * cycles, **settings)
        ends = [row["at"] for row in rows[11::12]]
        found: Found = {"seconds": statistics.median(b - a for a, b in pairwise(ends))}
        for phase in ("clm", "ppo"):
            there = [row for row in rows[12:] if row["phase"] == phase]
            for part in (key for key in there[0] if key.startswith("time/")):
                found[f"{phase} {part[5:]}" if phase != part[5:] else phase] = middle(there, part)
        found["share"] = self.share(precision, rows[-1]["total/flops"] - rows[11]["total/flops"], ends[-1] - ends[0])
        return found | {"clm tokens": rows[0]["total/clm_tokens"], "graphs": self.graphs}

    def device_time(self, precision: str) -> Found:
        """Of a cycle, by PyTorch's profiler: seconds that the GPU computes, what it is asked for, its largest work."""
        profiler = torch.profiler.profile()

        def watch(done: int) -> None:
            if done == 24:
                profiler.start()
            if done == 36:
                profiler.stop()

        self.steps(precision, 36, watch)
        events = profiler.key_averages()
        kernels = [event for event in events if event.device_type == DeviceType.CUDA]
        largest = sorted(kernels, key=lambda event: -event.self_device_time_total)[:6]
        calls = {"cudaLaunchKernel": 0, "cudaGraphLaunch": 0, "cudaMemcpyAsync": 0, "cudaStreamSynchronize": 0}
        calls = {name: sum(event.count for event in events if event.key == name) for name in calls}
        return {
            "device seconds": sum(event.self_device_time_total for event in kernels) / 1e6,
            **calls,
            "largest": {event.key[:60]: event.self_device_time_total / 1e6 for event in largest},
        }

    def clm(self, precision: str, batch: int, length: int) -> Found:
        """clm steps on rows that are full, in a run of nothing else."""
        return self.of_one_phase(
            precision,
            "clm",
            12 if ON_GPU else 4,
            **{"text.sources": f"[{self.full_text}]", "text.mode": "packed"},
            **{"text.max_length": length, "batch_size": batch, "ppo.minibatch_size": batch},
        )

    def dense(self, precision: str) -> Found:
        """clm steps with the parent's targets of what is heard, rule cheap."""
        named = {"feedback.parent_targets.rule": "cheap"}
        return self.of_one_phase(precision, "clm", 16 if ON_GPU else 4, **named)

    def recast(self, precision: str) -> Found:
        """Steps on what the parent says after 32 prompts, which it says for 512 at a time: means."""
        named = {"schedule.cycle": "{recast: 1}", "feedback.recast.for": "recast"}
        rows = self.steps(precision, 48 if ON_GPU else 4, **named)[-32:]  # 512 prompts are 16 steps'
        parts = {part: statistics.fmean(row.get(part, 0.0) for row in rows) for part in ("time/reward", "time/recast")}
        return {"seconds": sum(parts.values()), **parts, "graphs": self.graphs}

    def of_one_phase(self, precision: str, phase: str, count: int, **settings: object) -> Found:
        rows = self.steps(precision, count, **{"schedule.cycle": f"{{{phase}: 1}}"}, **settings)
        there = rows[count // 3 :]
        flops = (rows[-1]["total/flops"] - rows[0]["total/flops"]) / (count - 1)
        found = {key: middle(there, key) for key in there[-1] if key.startswith("time/")}
        whole = statistics.median(b["at"] - a["at"] for a, b in pairwise(there))
        return found | {
            "seconds": whole,
            "share": self.share(precision, flops, sum(found.values())),
            "tokens": rows[0]["total/clm_tokens"],
            "graphs": self.graphs,
        }

    def rollout(self, precision: str, rows: int = 32, length: int = 16) -> Found:
        """Utterances of 16 tokens after 32 prompts of 8, by the graph and without; and whether they are the same."""
        lm = self.opened(self.baby)
        rollout.speak_by_graphs(lm)
        prompts = pad([[5 + (7 * i + j) % 1000 for j in range(8)] for i in range(rows)], 0, "left").to(DEVICE)
        random = [uniforms(rows, length, seed=1, stream="bench", step=step) for step in range(10)]
        samplers = {"plain": rollout._sample, "graph": rollout._sample_in_place}

        def say(name: str, step: int) -> rollout.Rollout:
            with autocast(precision):
                return samplers[name](lm, prompts, random[step], RolloutConfig(), None)

        found: Found = {}
        for name in samplers:
            times = [timed(partial(say, name, step)) for step in range(10)]
            found[name], found[f"{name}, first"] = statistics.median(times[1:]), times[0]
        for parameter in lm.parameters():
            parameter.data.mul_(1.5)  # a graph must see what training does to weights
        said = {name: say(name, 0) for name in samplers}
        same = said["plain"].utterance_ids == said["graph"].utterance_ids
        until = same.cumprod(1).bool()
        gaps = (said["plain"].log_probs - said["graph"].log_probs).abs()[until]
        return found | {
            "seconds": found["graph"],
            "used": rollout._speaks_in_place(lm),
            "captured": any(each.graphs for each in rollout_decodings(lm)),
            "same tokens": float(same.float().mean()),
            "largest gap, nats": float(gaps.max()),
        }

    def published(self) -> Found:
        """The published way, in fp32 as it is, on the same short lines."""
        found = PublishedWay(self.baby, self.parent, self.text, DEVICE).seconds(3 if ON_GPU else 1)
        return {"seconds": found["cycle"], **found}

    def update(self, precision: str, batch: int, length: int, how: str) -> Found:
        """A bare forward, backward and fused AdamW step on full rows: no dropout, no metrics."""
        from cuda_graphs import captured, seconds, update_step

        lm = self.opened(self.baby, attn_implementation="sdpa")
        body = torch.compile(lm) if "compiled" in how else lm
        step = update_step(body, batch, length, precision)
        first = timed(step)
        found = {"seconds": seconds(captured(step) if "graph" in how else step, 10), "first": first}
        flops = 3 * forward_flops(lm, batch * length, batch * length)
        return found | {"share": self.share(precision, flops, found["seconds"])}

    def opened(self, path: Path, **settings: object) -> Any:
        return AutoModelForCausalLM.from_pretrained(path, **settings).to(DEVICE).eval()

    def all(self) -> Iterator[tuple[str, float, Callable[[], Found]]]:
        """Names of rows, the seconds that each may take, and what finds them; the most wanted first."""
        yield "matrix products", 3, self.products
        for precision in ("bf16", "fp32"):
            yield f"cycle 10:2, short lines, {precision}", 20, lambda p=precision: self.cycle(p)
        yield "cycle 10:2, no graphs, bf16", 20, lambda: self.cycle("bf16", cuda_graphs="false")
        for precision in ("bf16", "fp32"):
            yield f"rollout 32 x 16, {precision}", 6, lambda p=precision: self.rollout(p)
        yield "published way, cycle, fp32", 25, self.published
        for batch, length, precision in ((32, 128, "bf16"), (128, 128, "bf16"), (32, 16, "bf16"), (32, 128, "fp32")):
            name = f"clm {batch} x {length}, {precision}"
            yield name, 12, lambda b=batch, n=length, p=precision: self.clm(p, b, n)
        if ON_GPU:
            for batch in (32, 128):
                for how in ("eager", "graph"):
                    name = f"bare update {batch} x 128, bf16, {how}"
                    yield name, 6, lambda b=batch, h=how: self.update("bf16", b, 128, h)
        yield "device's share of a cycle, bf16", 20, lambda: self.device_time("bf16")
        yield "recast step, bf16", 15, lambda: self.recast("bf16")
        yield "dense step, bf16", 15, lambda: self.dense("bf16")
        if ON_GPU:
            yield "bare update 32 x 128, bf16, compiled", 50, lambda: self.update("bf16", 32, 128, "compiled")
            name = "bare update 32 x 128, bf16, compiled, graph"
            yield name, 20, lambda: self.update("bf16", 32, 128, "compiled, graph")
            yield "bare update 128 x 128, bf16, compiled", 30, lambda: self.update("bf16", 128, 128, "compiled")
        yield "cycle 10:2, no graphs, fp32", 20, lambda: self.cycle("fp32", cuda_graphs="false")
        for batch, length in ((128, 128), (32, 16)):
            yield f"clm {batch} x {length}, fp32", 12, lambda b=batch, n=length: self.clm("fp32", b, n)
        yield "recast step, fp32", 15, lambda: self.recast("fp32")
        yield "dense step, fp32", 15, lambda: self.dense("fp32")


def _told(key: tuple[Any, ...], graphed: object) -> str:
    """A shape, whether with dropout, and whether its graphs could be captured and are right."""
    (rows, columns), has_dropout, *_ = key
    return f"{rows}x{columns}{' dropout' if has_dropout else ''}{'' if graphed else ' NOT CAPTURED'};"


def rollout_decodings(lm: Any) -> list[Any]:
    from bambino.speaking.decoding import _KEPT

    return list(_KEPT.get(lm, {}).values())


@contextmanager
def autocast(precision: str) -> Iterator[None]:
    with torch.autocast(DEVICE, torch.bfloat16) if precision == "bf16" else nullcontext():
        yield


def middle(rows: list[Found], key: str) -> float:
    return statistics.median(row.get(key, 0.0) for row in rows)


def timed(step: Callable[[], object]) -> float:
    """Seconds of a step, the device waited for."""
    wait()
    begin = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - begin


def wait() -> None:
    if ON_GPU:
        torch.cuda.synchronize()


def tried(find: Callable[[], Found]) -> Found:
    """What a row found, or its error; with its own wall time and peak device memory."""
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    try:
        found = find()
    except Exception as error:  # noqa: BLE001 - a row that fails must not take the others along
        found = {"error": f"{type(error).__name__}: {str(error)[:300]}", "where": traceback.format_exc()[-1500:]}
    if ON_GPU:
        found["peak memory, GiB"] = torch.cuda.max_memory_allocated() / 2**30
    gc.collect()
    if ON_GPU:
        torch.cuda.empty_cache()
    return found | {"took": time.perf_counter() - begin}


def line(name: str, found: Found) -> str:
    """A row of the table."""
    shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in found.items() if k not in ("seconds", "where")}
    seconds = f"{found['seconds']:.4f}" if "seconds" in found else ""
    return f"{name:42} {seconds:>9}  " + ", ".join(f"{key} {value}" for key, value in shown.items())


def main() -> None:
    begin = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", choices=["paper", "tiny"], default="paper")
    parser.add_argument("--rows", nargs="*", default=[], help="only rows that have one of these words in their name")
    arguments = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.basicConfig(format="    %(message).300s", stream=sys.stdout)
    logging.getLogger("bambino").setLevel(logging.INFO)
    card = torch.cuda.get_device_name() if ON_GPU else platform.machine()
    about = {"card": card, "torch": torch.__version__, "transformers": transformers.__version__, "size": arguments.size}
    result: Found = {"about": about, "rows": {}}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.size == "tiny")
        about["seconds to begin"] = time.perf_counter() - begin
        print(json.dumps(about), f"\n{'row':42}   seconds", flush=True)
        for name, expected, find in bench.all():
            is_wanted = not arguments.rows or name == "matrix products" or any(w in name for w in arguments.rows)
            if not is_wanted or time.perf_counter() - begin + expected > arguments.seconds:
                continue
            found = result["rows"][name] = tried(find)
            print(line(name, found), flush=True)
            if arguments.out is not None:
                arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
