"""Gradient checkpointing: the same gradients to the bit, with dropout and without, from less that is kept."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import FAMILIES, tiny_lm
from torch import Tensor
from transformers import AutoModelForCausalLM, OpenAIGPTConfig, PreTrainedModel

from bambino import RecipeError
from bambino.models.dropout import set_dropout
from bambino.models.recomputing import recompute_layers


def learned(lm: PreTrainedModel, *, training: bool) -> tuple[list[Tensor], int]:
    """Gradients of a loss on sixteen tokens, and how many numbers were kept for them."""
    kept = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    torch.manual_seed(0)
    lm.train(training)
    lm.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = lm(input_ids=torch.arange(16)[None], use_cache=False).logits.float().square().mean()
    loss.backward()
    return [p.grad.clone() for p in lm.parameters() if p.grad is not None], sum(kept)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_stay_as_they_are_and_less_is_kept(family: str, training: bool) -> None:
    lm = tiny_lm(family)
    set_dropout(lm, 0.2)
    gradients, kept = learned(lm, training=training)
    recompute_layers(lm)
    again, kept_now = learned(lm, training=training)
    assert len(again) == len(gradients)
    assert all(map(torch.equal, again, gradients))
    assert kept_now < kept / 2


def test_a_copy_computes_its_own_layers_again() -> None:
    lm = tiny_lm("opt")
    recompute_layers(lm)
    other = copy.deepcopy(lm)
    before, _ = learned(other, training=False)
    with torch.no_grad():
        for parameter in lm.parameters():
            parameter.zero_()
    assert all(map(torch.equal, learned(other, training=False)[0], before))


def test_a_model_without_such_layers_is_refused() -> None:
    lm = AutoModelForCausalLM.from_config(OpenAIGPTConfig(n_embd=32, n_layer=1, n_head=2, vocab_size=320))
    with pytest.raises(RecipeError, match=r"gradient_checkpointing = true, but OpenAIGPTLMHeadModel has no layers"):
        recompute_layers(lm)
