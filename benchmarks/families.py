"""How every causal LM family of Transformers is read here, each as a tiny random model.

    python benchmarks/families.py [FAMILY...]

A line each: refused, and why; or accepted, with the largest difference in nats between log-probs of unequal rows in a
batch and of plain forwards, whether it reads packed rows and trees, and whether it may speak.
"""

from __future__ import annotations

import argparse
import inspect
import random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from bambino.errors import ModelError
from bambino.models.loading import check_lm
from bambino.scoring.forward import reads_packed_rows, reads_trees
from bambino.scoring.texts import row_log_probs
from bambino.speaking.rollout import check_speaks

SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "attention_hidden_size", "lru_width"), 32),
    **dict.fromkeys(("word_embed_proj_dim", "mamba_d_head", "mamba_head_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok", "moe_topk"), 2),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "decoder_ffn_dim"), 64),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 128),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("head_dim", "rotary_dim", "state_size", "mamba_d_state"), 8),
    **{"vocab_size": 120, "moe_intermediate_size": 16, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0},
}
LARGEST = 30_000_000
"""Parameters; a family that SIZES do not make smaller is left out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("families", nargs="*", default=list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
    logging.set_verbosity_error()
    for family in parser.parse_args().families:
        try:
            lm = tiny(family)
        except Exception as error:  # noqa: BLE001 - whatever a configuration raises that SIZES do not fit
            print(f"{family:24} not made: {type(error).__name__}", flush=True)
            continue
        print(f"{family:24} {'too large' if lm is None else found(lm)}", flush=True)


def tiny(family: str) -> PreTrainedModel | None:
    """A random model with matrices three times as large as usual; None where it is too large."""
    make = CONFIG_MAPPING[family]
    known = {*inspect.signature(make.__init__).parameters, *getattr(make, "__dataclass_fields__", {})}
    config = make(**{name: value for name, value in SIZES.items() if name in known})
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if size > LARGEST:
        return None
    torch.manual_seed(0)
    lm: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval().float()
    with torch.no_grad():
        for parameter in lm.parameters():
            if parameter.dim() == 2:
                parameter.mul_(3)
    return lm


def found(lm: PreTrainedModel) -> str:
    """What there is to say of a model."""
    try:
        check_lm(lm, "baby")
    except ModelError as error:
        return f"refused: {error}"
    rng = random.Random(0)
    rows = [[rng.randrange(2, 120) for _ in range(size)] for size in (3, 40, 10)]
    scores = torch.from_numpy(row_log_probs(lm, rows))
    gap = float((scores - torch.cat([alone(lm, row) for row in rows])).abs().max())
    try:
        check_speaks(lm)
        speaks = "speaks"
    except ModelError as error:
        speaks = str(error)
    packed, trees = reads_packed_rows(lm, 48), reads_trees(lm, 48, 200)
    return f"accepted: {gap:.1e} nats, packed rows {packed}, trees {trees}; {speaks}"


@torch.no_grad()
def alone(lm: PreTrainedModel, row: list[int]) -> torch.Tensor:
    """Log-probs of a row's tokens by the model's own forward; 0 for the first."""
    log_probs = lm(input_ids=torch.tensor([row])).logits[0, :-1].double().log_softmax(-1)
    return torch.cat([torch.zeros(1), log_probs[torch.arange(len(row) - 1), torch.tensor(row[1:])]])


if __name__ == "__main__":
    main()
