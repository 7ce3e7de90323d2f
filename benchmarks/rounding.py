"""How far rounding alone moves what a model gives: what the tolerances of bambino's checks are set by.

    python benchmarks/rounding.py MODEL... [--text FILE] [--dtype float32 bfloat16]

For each model and dtype: the head check, hidden states of packed rows against each line alone, log-probs of the sampler
against a full forward's, log-probs of texts in different company (one by one, in batches, on trees). Real weights round
worse than random ones, so measure on trained models.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch

from bambino.models.loading import head_gap, load_lm, load_tokenizer
from bambino.randomness import uniforms
from bambino.recipe.model_settings import ModelConfig
from bambino.recipe.phase_settings import RolloutConfig
from bambino.scoring.forward import eval_mode, hidden_states, logits_before
from bambino.scoring.texts import score_texts
from bambino.speaking.rollout import log_policy, sample
from bambino.text.batches import pad
from bambino.text.tokens import encode

TEXTS = [
    f"{who} {what} {where}."
    for who in ("The old man", "A child", "Her brother", "The dog")
    for what in ("is sitting", "was running", "has been")
    for where in ("in the garden", "near the river", "at home today")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    given = parser.parse_args()
    for model in given.models:
        for dtype in given.dtype:
            lm = load_lm(ModelConfig(model), "baby")
            tokenizer = load_tokenizer(ModelConfig(model), "baby", lm)
            rows = encode(tokenizer, TEXTS)
            lm = lm.to(getattr(torch, dtype)).eval()
            found: dict[str, Any] = {"model": lm.config.model_type, "dtype": dtype, "head": head_gap(lm)}
            found |= packed_gap(lm, rows) | {"sampler": sampler_gap(lm, rows, tokenizer.eos_token_id)}
            if dtype == "float32":
                found |= company_gap(lm, tokenizer)
            print(json.dumps(found), flush=True)


@torch.no_grad()
def packed_gap(lm: Any, rows: list[list[int]]) -> dict[str, float]:
    """Packed against alone: of hidden states (largest, and over the largest state) and whether a neighbour matters."""
    one, other, last = rows[0][:8], rows[5][:8], rows[9][:8]
    documents = torch.tensor([[0] * len(one) + [1] * len(last)])
    gaps = []
    states = []
    for first in (one, other):
        ids = torch.tensor([first + last])
        states.append(
            hidden_states(lm, ids, torch.ones_like(ids, dtype=torch.bool), documents=documents)[0, len(one) :]
        )
    ids = torch.tensor([last])
    alone = hidden_states(lm, ids, torch.ones_like(ids, dtype=torch.bool))[0]
    gaps = [
        float((states[0] - alone).abs().max()),
        float(alone.abs().max()),
        float((states[0] - states[1]).abs().max()),
    ]
    return {"packed": gaps[0], "packed_relative": gaps[0] / gaps[1], "neighbour": gaps[2]}


@torch.no_grad()
def sampler_gap(lm: Any, rows: list[list[int]], eos: int | None) -> float:
    """Largest difference in nats between the sampler's log-probs and a full forward's."""
    prompts = pad([row[:5] for row in rows], 0, "left")
    rollout = sample(lm, prompts, uniforms(len(rows), 16, seed=1, stream="x", step=0), RolloutConfig(), eos)
    with eval_mode(lm):
        logits = log_policy(logits_before(lm, rollout.sequences, rollout.is_target), 1.0)
    mine = logits.gather(1, rollout.tokens[:, None])[:, 0]
    return float((mine - rollout.log_probs[rollout.is_real]).abs().max())


def company_gap(lm: Any, tokenizer: Any) -> dict[str, float]:
    """Largest relative difference of a text's log-prob between being scored alone and together with others."""
    together = np.array([score.log_prob for score in score_texts(lm, tokenizer, TEXTS)])
    alone = np.array([score_texts(lm, tokenizer, [text])[0].log_prob for text in TEXTS])
    few = np.array([s.log_prob for i in range(0, len(TEXTS), 3) for s in score_texts(lm, tokenizer, TEXTS[i : i + 3])])
    gap = np.maximum(np.abs(together - alone), np.abs(few - alone))
    return {"company_nats": float(gap.max()), "company_relative": float((gap / np.abs(alone)).max())}


if __name__ == "__main__":
    main()
