"""Layers that learn otherwise: by gradient checkpointing with the same bits from less that is kept, compiled within
rounding; and in bf16 with weights in fp32."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from conftest import FAMILIES, tiny_lm
from torch import Tensor
from transformers import AutoModelForCausalLM, OpenAIGPTConfig, PreTrainedModel

from bambino import BambinoTrainer, Recipe, RecipeError
from bambino.models.dropout import set_dropout
from bambino.models.layers import compile_layers, recompute_layers


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


@pytest.mark.slow  # a compiler is called
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["opt", "llama"])
def test_compiled_layers_have_the_same_gradients_within_rounding(family: str) -> None:
    lm = tiny_lm(family)
    set_dropout(lm, 0.0)
    gradients, _ = learned(lm, training=True)
    compile_layers(lm)
    torch._dynamo.utils.counters.clear()
    compiled, _ = learned(lm, training=True)
    assert torch._dynamo.utils.counters["frames"] == {"total": 1, "ok": 1}, "two layers by one kernel"
    for one, other in zip(compiled, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    recompute_layers(lm)
    for one, other in zip(learned(lm, training=True)[0], compiled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_without_a_compiler_it_is_said_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_lm("gpt2")
    compile_layers(lm)
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    with pytest.raises(RecipeError, match=r"torch_compile = true, but GPT2Block cannot be compiled here.*Leave it out"):
        learned(lm, training=False)


def test_in_bf16_states_are_rounded_and_weights_and_moments_are_not(make_recipe: Callable[..., Recipe]) -> None:
    trainer = BambinoTrainer(args=make_recipe("--mixed_precision", "bf16", "--max_steps", "3"))
    dtypes = set()
    trainer.baby.lm.model.decoder.layers[0].fc1.register_forward_hook(lambda _, __, out: dtypes.add(out.dtype))
    before = [parameter.detach().clone() for parameter in trainer.baby.lm.parameters()]
    trainer.train()
    assert dtypes == {torch.bfloat16}
    weights = list(trainer.baby.parameters())
    moments = [tensor for group in trainer.state.learner.optimizers.state().values() for tensor in group.values()]
    assert {tensor.dtype for tensor in weights + moments} == {torch.float32}
    after = trainer.baby.lm.parameters()
    small = [
        ((new - old).abs() < old.abs() * 2**-9).any()
        for old, new in zip(before, after, strict=True)
        if (old != new).any()
    ]
    assert any(small), "changes that a bf16 weight would lose"
