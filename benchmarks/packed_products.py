"""Products of a linear layer: PyTorch's ordinary fp32 one against oneDNN's with packed weights (`bambino.prepacked`).

    python benchmarks/packed_products.py [--threads 2] [--repeats 15]

Shapes are those of a 5 M and of a 125 M parameter model. Prints medians in GFLOP/s and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from bambino.scoring.prepacked import packed_forward

SHAPES = [(4096, 256, 1024), (4096, 1024, 256), (256, 256, 8192), (4096, 768, 3072), (600, 768, 3072)]
"""Rows, inputs, outputs."""


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Median over the repeats, after one run that does not count."""
    run()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for rows, inputs, outputs in SHAPES:
        x, layer = torch.randn(rows, inputs), nn.Linear(inputs, outputs)
        plain, packed = (
            seconds(partial(forward, x), arguments.repeats) for forward in (layer.forward, packed_forward(layer))
        )
        flops = 2 * rows * inputs * outputs
        rates = f"{flops / plain / 1e9:.0f} and {flops / packed / 1e9:.0f} GFLOP/s"
        print(f"{rows} x {inputs} -> {outputs}: {rates}, {plain / packed:.2f} times")


if __name__ == "__main__":
    main()
