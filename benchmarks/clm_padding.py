"""What packing a clm batch's lines beside each other saves against padding each to the longest.

    python benchmarks/clm_padding.py --baby PATH --text FILE_OR_FOLDER [--batches 12] [--threads N]

Forward and backward of the clm loss on the same batches, both ways in turn; prints the median ratio of times, and the
largest difference of loss and gradient.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from bambino import load_recipe
from bambino.models.baby import Baby
from bambino.models.loading import load_lm, load_tokenizer
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.schedule import Schedule
from bambino.scoring.forward import log_probs_of
from bambino.text.batches import TokenBatch, without_pads
from bambino.text.streams import build_streams


def loss_and_gradient(baby: Baby, batch: TokenBatch) -> tuple[float, torch.Tensor, float]:
    """Loss, flat gradient, seconds."""
    baby.zero_grad()
    begin = time.perf_counter()
    logits, _ = baby(batch, batch.is_target)
    loss = -log_probs_of(logits, batch.input_ids[batch.is_target]).mean()
    loss.backward()
    seconds = time.perf_counter() - begin
    return float(loss.detach()), torch.cat([p.grad.flatten() for p in baby.lm.parameters()]), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baby", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = load_recipe(None, ["--text.sources", f"[{arguments.text}]", "--schedule.cycle", "{clm: 1}"])
    model = ModelConfig(arguments.baby)
    baby = Baby(load_lm(model, "baby"))
    tokenizer = load_tokenizer(model, "baby", baby.lm)
    sizes = {"batch_size": recipe.batch_size, "prompt_tokens": recipe.rollout.prompt_tokens}
    streams = build_streams(recipe.text, tokenizer, seed=recipe.seed, **sizes)
    schedule = Schedule(recipe.schedule, arguments.batches)
    ratios, loss_gap, gradient_gap = [], 0.0, 0.0
    for step in range(arguments.batches):
        batch = streams.clm_batch(schedule.at(step))
        loss, gradient, seconds = loss_and_gradient(baby, batch)
        packed_loss, packed_gradient, packed_seconds = loss_and_gradient(baby, without_pads(batch))
        ratios.append(seconds / packed_seconds)
        loss_gap = max(loss_gap, abs(loss - packed_loss))
        gradient_gap = max(gradient_gap, float((gradient - packed_gradient).abs().max()))
    result = {
        "times_faster": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "n": len(ratios)},
        "largest_loss_difference": loss_gap,
        "largest_gradient_difference": gradient_gap,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
