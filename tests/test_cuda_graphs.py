"""What CUDA graphs are made of, where nothing is captured, and on a GPU the graphs: all equal to the plain way."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import FAMILIES, there
from known_models import sharp_lm
from test_rollout import PADDINGS, PROMPTS, TOLERANCE, baby_of, numbers, padded, utterance
from torch import Tensor
from transformers import AutoModelForCausalLM, MistralConfig

from bambino import RecipeError, load_recipe
from bambino.models.baby import Baby
from bambino.models.graphed import GraphedStates
from bambino.recipe.phase_settings import RolloutConfig
from bambino.speaking import decoding
from bambino.speaking.decoding import fits_fixed_cache
from bambino.speaking.rollout import Rollout, _sample, _sample_in_place, _speaks_in_place, sample, speak_by_graphs
from bambino.text.batches import TokenBatch, pad, without_pads

CONFIGS = [RolloutConfig(), RolloutConfig(temperature=0.7, top_k=9, top_p=0.9)]
ROWS = [[1, 20, 30, 40], [1, 7, 9, 8, 9, 10, 11], [1, 3], [5, 6, 7]]
BATCHES = {"right": pad(ROWS, 0), "left": pad(ROWS, 0, "left"), "packed": without_pads(pad(ROWS, 0))}


def on(device: str, family: str) -> Baby:
    baby = baby_of(sharp_lm(family).to(device))
    speak_by_graphs(baby.lm)
    return baby


def assert_same(one: Rollout, other: Rollout) -> None:
    nats = 1e-4 if one.log_probs.is_cuda else TOLERANCE  # attention there is another kernel under a mask
    assert torch.equal(one.utterance_ids, other.utterance_ids)
    assert torch.equal(one.is_real, other.is_real)
    assert torch.equal(one.has_ended, other.has_ended)
    torch.testing.assert_close(one.log_probs, other.log_probs, rtol=0, atol=nats)
    torch.testing.assert_close(one.values, other.values, rtol=0, atol=nats)
    if one.support is not None:
        assert torch.equal(one.support[one.is_real], there(other.support)[one.is_real])


def some_eos(baby: Baby, prompts: TokenBatch) -> int:
    """A token that a row says early."""
    return utterance(_sample(baby.lm, prompts, numbers(4, 12), RolloutConfig(), None), 1)[3]


def assert_says_the_same(baby: Baby) -> None:
    prompts = padded(PROMPTS, *PADDINGS["extra both"]).to(baby.lm.device)
    for eos in (None, some_eos(baby, prompts)):
        for config in CONFIGS:
            for step in range(2):
                given = (baby.lm, prompts, numbers(4, 12, step), config, eos, baby.values)
                assert_same(_sample(*given), _sample_in_place(*given))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_of_fixed_size_says_the_same(family: str) -> None:
    baby = on("cpu", family)
    assert fits_fixed_cache(baby.lm)
    assert_says_the_same(baby)


def test_a_rollout_keeps_what_was_said_when_the_next_one_takes_its_memory() -> None:
    baby, prompts, config = on("cpu", "gpt2"), pad(PROMPTS, 0, "left"), CONFIGS[1]
    first = _sample_in_place(baby.lm, prompts, numbers(4, 12), config, None)
    kept = copy.deepcopy(first)
    second = _sample_in_place(baby.lm, prompts, numbers(4, 12, step=1), config, None)
    assert len(decoding._KEPT[baby.lm]) == 1
    assert_same(first, kept)
    assert not torch.equal(first.utterance_ids, second.utterance_ids)


def test_models_with_windows_go_the_plain_way() -> None:
    window = MistralConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=4,
    )
    assert not fits_fixed_cache(AutoModelForCausalLM.from_config(window))
    assert not _speaks_in_place(on("cpu", "opt").lm)  # nor does any on a CPU


def gradient(baby: Baby, batch: TokenBatch) -> dict[str, Tensor]:
    """Of a loss on logits and values, twice over, as two terms add up."""
    baby.zero_grad()
    for weight in (1.0, 0.5):
        logits, values = baby(batch, batch.is_target)
        (weight * logits.log_softmax(-1)[:, 3].sum() + values.square().sum()).backward()
    return {name: p.grad.clone() for name, p in baby.named_parameters() if p.grad is not None}


def assert_has_the_same_gradient(baby: Baby, batch: TokenBatch) -> None:
    batch, graphed = batch.to(baby.lm.device), baby.graphed or GraphedStates(baby.lm)
    baby.graphed = None
    theirs = gradient(baby, batch)
    baby.graphed = graphed
    ours = gradient(baby, batch)
    largest = max(float(g.abs().max()) for g in theirs.values())
    assert largest > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * largest)  # sums in another order


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_on_a_padded_batch_have_the_same_gradient(family: str, batch: str) -> None:
    assert_has_the_same_gradient(on("cpu", family), BATCHES[batch])


@pytest.mark.parametrize("other", ["gradient_checkpointing", "torch_compile"])
def test_layers_that_are_captured_are_not_changed_otherwise(other: str) -> None:
    with pytest.raises(RecipeError, match=f"cuda_graphs = True captures layers as they are. Leave out .*{other}"):
        load_recipe(None, ["--cuda_graphs", "true", f"--{other}", "true"])


# -------------------------------------------------------------------------------------------------------------- a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_say_the_same_also_when_the_weights_have_moved(family: str) -> None:
    baby = on("cuda", family)
    assert _speaks_in_place(baby.lm)
    assert_says_the_same(baby)
    with torch.no_grad():
        for parameter in baby.lm.parameters():
            parameter.mul_(1.1)
    before = len(decoding._KEPT[baby.lm])
    assert_says_the_same(baby)
    assert len(decoding._KEPT[baby.lm]) <= before + 2  # another EOS, for two configs
    assert all(each.graphs for each in decoding._KEPT[baby.lm].values())


@pytest.mark.gpu
def test_under_autocast_a_graph_reads_the_weights_as_they_are() -> None:
    baby, prompts = on("cuda", "opt"), pad(PROMPTS, 0, "left").to("cuda")
    for _ in range(2):
        with torch.autocast("cuda", torch.bfloat16):
            rollout = sample(baby.lm, prompts, numbers(4, 12), RolloutConfig(), None)
            given = (baby.lm, prompts, rollout)
            gap = (rollout.of_tokens(rollout.log_probs) - _scored(*given)).abs().max()
        assert gap < 0.1  # bf16; other weights make it several nats
        with torch.no_grad():
            for parameter in baby.lm.parameters():
                parameter.mul_(-1)


def _scored(lm: torch.nn.Module, prompts: TokenBatch, rollout: Rollout) -> Tensor:
    """Log-probs of what was said by a plain forward."""
    ids = torch.cat([prompts.input_ids, rollout.utterance_ids], 1)
    seen = torch.cat([prompts.is_real, rollout.is_real], 1).long()
    with torch.no_grad():
        logits = lm(input_ids=ids, attention_mask=seen, position_ids=(seen.cumsum(1) - 1).clamp(min=0)).logits
    before = logits[:, prompts.input_ids.shape[1] - 1 : -1].float().log_softmax(-1)
    return rollout.of_tokens(before.gather(2, rollout.utterance_ids[..., None])[..., 0])


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_of_layers_have_the_same_gradient_also_when_the_weights_have_moved(family: str) -> None:
    baby = on("cuda", family).eval()
    for _ in range(2):
        for batch in BATCHES.values():
            assert_has_the_same_gradient(baby, batch)
        with torch.no_grad():
            for parameter in baby.lm.parameters():
                parameter.mul_(1.1)
    assert all(there(baby.graphed).kept.values())


@pytest.mark.gpu
def test_dropout_in_a_graph_is_a_function_of_the_seed_whether_captured_before_or_now() -> None:
    baby = baby_of(sharp_lm("opt", dropout=0.4).to("cuda")).train()
    batch, found = BATCHES["right"].to("cuda"), []
    baby.graphed = GraphedStates(baby.lm)
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(torch.cat([g.flatten() for g in gradient(baby, batch).values()]))
    assert all(baby.graphed.kept.values())
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found[0], found[2], rtol=1e-2, atol=1e-2)
