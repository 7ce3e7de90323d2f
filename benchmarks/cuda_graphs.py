"""What CUDA graphs could save: seconds of one sampled token and of one clm update, eager and as a replayed graph.

    python benchmarks/cuda_graphs.py [--size 125m|5m] [--rows 32] [--length 24] [--repeats 50]

A random OPT model on a GPU, fixed shapes, fp32 and bf16 autocast. `token`: one decoding forward over `rows` sequences
whose cache holds `length` tokens, LM head included. `update`: forward, backward and a fused AdamW step on `rows` x
`length` tokens. Eager time beside the graph's is how much of a step is launching kernels; medians over repeats.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, OPTConfig, PreTrainedModel, StaticCache

ROOM = 256
"""Columns of the cache for sampled tokens: every call of a decoding step takes one."""

SIZES = {"125m": (768, 12, 12, 50272), "5m": (256, 4, 4, 8192)}


def seconds(step: Callable[[], object], repeats: int) -> float:
    """Median wall-clock seconds of a step, the device waited for."""
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        step()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def captured(step: Callable[[], object]) -> Callable[[], None]:
    """The step as a CUDA graph, after three warm-up calls on a stream of their own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def token_step(lm: PreTrainedModel, rows: int, length: int, precision: str) -> Callable[[], Tensor]:
    cache = StaticCache(config=lm.config, max_cache_len=length + ROOM)
    ids = torch.randint(3, 1000, (rows, length), device="cuda")
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
        lm(input_ids=ids, past_key_values=cache, use_cache=True)
    one = ids[:, -1:].contiguous()
    mask = torch.zeros(rows, 1, 1, length + ROOM, device="cuda", dtype=lm.dtype)
    positions = torch.full((rows, 1), length, device="cuda")

    @torch.no_grad()
    def step() -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            out = lm(input_ids=one, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
        return out.logits[:, -1].float().log_softmax(-1)

    return step


def update_step(lm: PreTrainedModel, rows: int, length: int, precision: str) -> Callable[[], None]:
    ids = torch.randint(3, 1000, (rows, length), device="cuda")
    positions = torch.arange(length, device="cuda")[None].expand(rows, -1).contiguous()
    mask = torch.full((length, length), torch.finfo(lm.dtype).min, device="cuda", dtype=lm.dtype).triu(1)
    mask = mask.expand(rows, 1, -1, -1).contiguous()
    optimizer = torch.optim.AdamW(lm.parameters(), lr=1e-6, fused=True, capturable=True)

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            out = lm(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        loss = nn.functional.cross_entropy(out.logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="125m")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    width, layers, heads, vocabulary = SIZES[arguments.size]
    config = OPTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        ffn_dim=4 * width,
        vocab_size=vocabulary,
        word_embed_proj_dim=width,
        dropout=0.0,
    )
    found: dict[str, dict[str, object]] = {}
    for precision in ("fp32", "bf16"):
        for name, make in (("token", token_step), ("update", update_step)):
            lm = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").cuda()
            row = found[f"{name}/{precision}"] = {}
            try:
                step = make(lm, arguments.rows, arguments.length, precision)
                row["eager"] = seconds(step, arguments.repeats)
                row["graph"] = seconds(captured(step), arguments.repeats)
            except RuntimeError as error:
                row["error"] = str(error).splitlines()[0]
    about = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, **vars(arguments)}
    print(json.dumps({"about": about, "seconds": found}, indent=1))


if __name__ == "__main__":
    main()
