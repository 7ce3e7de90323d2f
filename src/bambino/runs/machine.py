"""How fast this machine multiplies matrices, which is what to expect of a run; how much memory this process took."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from bambino.files import write_json
from bambino.runs.record import read_run

SHAPE = (1024, 512, 512)
"""Rows of the batch, what comes in, what goes out."""


def matrix_rate(workers: int = 2, seconds: float = 0.6, shape: tuple[int, int, int] = SHAPE) -> float:
    """GFLOP/s in fp32 that `workers` CPU threads reach together, each with products of its own, one core each.

    The best of four equal stretches counts, since other programs can only make a stretch slower.

    Args:
        workers: threads side by side; as many as processes of one thread each will run.
        seconds: how long to measure, a warm-up apart.
        shape: (n, k, m) of the products, n x k by k x m.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers) as pool:
            stretches = list(pool.map(lambda _: _multiply(seconds / 4, shape), range(workers)))
    finally:
        torch.set_num_threads(threads)
    return max(map(sum, zip(*stretches, strict=True)))


def _multiply(seconds: float, shape: tuple[int, int, int]) -> list[float]:
    """GFLOP/s of this thread in each of four stretches."""
    torch.set_num_threads(1)
    n, k, m = shape
    left, right, out = torch.ones(n, k), torch.ones(k, m), torch.empty(n, m)
    torch.mm(left, right, out=out)
    rates = []
    for _ in range(4):
        begin, products = time.perf_counter(), 0
        while (spent := time.perf_counter() - begin) < seconds:
            torch.mm(left, right, out=out)
            products += 1
        rates.append(2e-9 * n * k * m * products / spent)
    return rates


def note_memory(run: Path, device: str) -> None:
    """Keep in a run's memory.json the most memory that it took, over all its resumptions."""
    before, now = read_run(run).peak_memory, peak_memory(device)
    write_json(run / "memory.json", {what: max(size, before.get(what, 0)) for what, size in {**before, **now}.items()})


def peak_memory(device: str) -> dict[str, int]:
    """Bytes: the most that this process ever held (`process`; not known on Windows), and that its tensors held on a
    CUDA device (`device`)."""
    found = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        found["process"] = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if device.startswith("cuda"):
        found["device"] = torch.cuda.max_memory_allocated(device)
    return found
