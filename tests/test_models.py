"""Loading and refusing models, the baby's forward, and the four kinds of reference."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FAMILIES, make_tokenizer, there, tiny_lm
from known_models import sharp_lm
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from bambino import BambinoTrainer, Recipe
from bambino.errors import ModelError
from bambino.models.baby import Baby
from bambino.models.digests import weights_sha256
from bambino.models.loading import check_head, load_lm, load_tokenizer
from bambino.models.reference import Reference, copy_weights, frozen
from bambino.recipe.model_settings import ModelConfig
from bambino.runs.costs import forward_flops
from bambino.scoring.forward import token_log_probs
from bambino.text.batches import TokenBatch, pad
from bambino.text.tokens import tokenizer_sha256


def weights_of(lm: PreTrainedModel) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in lm.named_parameters()}


def small(family: Callable[..., Any], **more: Any) -> PreTrainedModel:
    """A random model of a configuration's class."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return AutoModelForCausalLM.from_config(family(vocab_size=320, bos_token_id=1, eos_token_id=1, **sizes, **more))


def capped_lm() -> PreTrainedModel:
    """A Gemma 2, which soft-caps its logits at 0.5."""
    return small(Gemma2Config, num_key_value_heads=1, head_dim=16, final_logit_softcapping=0.5)


def divided_lm() -> PreTrainedModel:
    """A Granite, which divides its logits by 8."""
    return small(GraniteConfig, num_key_value_heads=2, logits_scaling=8.0, pad_token_id=0)


def scaled_lm() -> PreTrainedModel:
    """A Cohere, which multiplies its logits by logit_scale = 1/16."""
    return small(CohereConfig)


# -------------------------------------------------------------------------------------------------------------- loading


def test_a_saved_model_loads_as_it_was_in_fp32(tmp_path: Path) -> None:
    lm = tiny_lm("llama", seed=4).bfloat16()
    lm.save_pretrained(tmp_path)
    loaded = load_lm(ModelConfig(str(tmp_path)), "baby")
    assert loaded.dtype == torch.float32
    assert not loaded.training
    for name, p in loaded.named_parameters():
        assert torch.equal(p, lm.get_parameter(name).float())


@pytest.mark.parametrize("role", ["baby", "parent"])
def test_no_model_given(role: Any) -> None:
    with pytest.raises(ModelError, match=rf"^{role}\.model is not given.*--{role}\.model PATH"):
        load_lm(ModelConfig(None), role)


@pytest.mark.parametrize("path", ["/no/such/folder", "./nowhere", "~/nowhere-at-all", "a/b/c"])
def test_a_missing_path(path: str) -> None:
    with pytest.raises(ModelError, match=rf"^parent\.model = {path}: there is no such folder\.$"):
        load_lm(ModelConfig(path), "parent")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"baby\.model = .*model\.safetensors: there is no such folder"):
        load_lm(ModelConfig(str(tmp_path / "model.safetensors")), "baby")


def test_a_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^baby\.model = .* is a folder without config\.json"):
        load_lm(ModelConfig(str(tmp_path)), "baby")


def test_a_hub_name_that_is_not_in_the_cache_while_offline() -> None:
    with pytest.raises(ModelError, match=r"^baby\.model = nobody/nothing cannot be opened as a causal LM: .* hub name"):
        load_lm(ModelConfig("nobody/nothing"), "baby")


def test_a_config_of_no_known_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "abacus"}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"^baby\.model = .* cannot be opened as a causal LM: .*abacus"):
        load_lm(ModelConfig(str(tmp_path)), "baby")


def test_a_model_without_safetensors(tmp_path: Path) -> None:
    lm = tiny_lm("gpt2")
    lm.config.save_pretrained(tmp_path)
    torch.save(lm.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has its weights in pytorch_model\.bin alone.*\.save_pretrained\('"):
        load_lm(ModelConfig(str(tmp_path)), "baby")


def test_weights_that_are_no_safetensors_file(tmp_path: Path) -> None:
    tiny_lm("gpt2").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match=r"^baby\.model = .* cannot be opened as a causal LM"):
        load_lm(ModelConfig(str(tmp_path)), "baby")


def test_a_model_that_lacks_weights_is_refused_not_filled_with_random_ones(tmp_path: Path) -> None:
    tiny_lm("gpt2").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "transformer.h.1.mlp.c_fc.weight"
    weight = weights.pop(name)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"^baby\.model = .* lacks 1 weights of a GPT2LMHeadModel \({name}"):
        load_lm(ModelConfig(str(tmp_path)), "baby")
    save_file({**weights, name: weight[:3].clone()}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"^baby\.model = .* cannot be opened as a causal LM"):
        load_lm(ModelConfig(str(tmp_path)), "baby")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_tokenizer(family: str, tmp_path: Path) -> None:
    # for some families Transformers makes up an empty tokenizer instead of failing
    lm = tiny_lm(family)
    lm.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"^parent\.model = .* has no tokenizer"):
        load_tokenizer(ModelConfig(str(tmp_path)), "parent", lm)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_is_the_same_after_training_saving_and_loading(
    family: str, tmp_path: Path, make_recipe: Callable[..., Recipe]
) -> None:
    # A byte-level BPE of its own: <pad>, </s>; beside a Qwen 2, AutoTokenizer would make a Qwen2Tokenizer of it.
    made, folder = make_tokenizer(), tmp_path / "baby"
    tiny_lm(family, len(made)).save_pretrained(folder)
    made.save_pretrained(folder)
    recipe = make_recipe("--baby.model", str(folder), "--max_steps", "1", "--schedule.cycle", "{clm: 1}")
    trainer = BambinoTrainer(args=recipe)
    trainer.train()
    raised = ModelConfig(f"{recipe.output_dir}/model")
    text = "il gatto, 1234 volte; perche\u0301 no?  Due  spazi \n\n e <pad>"
    for tokenizer in (trainer.processing_class, load_tokenizer(raised, "baby", load_lm(raised, "baby"))):
        assert tokenizer.get_vocab() == made.get_vocab()
        assert tokenizer(text)["input_ids"] == made(text)["input_ids"]
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 1, 0)


def test_a_tokenizer_with_more_ids_than_the_model_has_rows(tmp_path: Path) -> None:
    make_tokenizer(vocab_size=320).save_pretrained(tmp_path)
    config = tiny_lm("gpt2", 320)
    config.save_pretrained(tmp_path)
    assert len(load_tokenizer(ModelConfig(str(tmp_path)), "baby", config)) == 320
    with pytest.raises(ModelError, match=r"^baby\.model: the tokenizer has ids up to 319, the model rows for 319 only"):
        load_tokenizer(ModelConfig(str(tmp_path)), "baby", tiny_lm("gpt2", 319))


@pytest.mark.parametrize("build", [capped_lm, scaled_lm, divided_lm])
def test_a_model_that_caps_or_scales_its_logits_is_read_as_it_reads_itself(
    build: Callable[[], PreTrainedModel], tmp_path: Path
) -> None:
    build().save_pretrained(tmp_path)
    lm = load_lm(ModelConfig(str(tmp_path)), "parent").eval()
    row = [1, 20, 30, 40, 50, 60]
    scores = token_log_probs(lm, pad([row], 0))[0, 1:]
    with torch.no_grad():
        logits = lm(input_ids=torch.tensor([row])).logits[0, :-1]
    plain = logits.log_softmax(-1)[torch.arange(5), torch.tensor(row[1:])]
    torch.testing.assert_close(scores, plain)
    head_alone = lm.get_output_embeddings()(lm.model(input_ids=torch.tensor([row])).last_hidden_state)[0, :-1]
    assert not torch.allclose(logits, head_alone, rtol=1e-3, atol=1e-3)


class Doubling(LlamaForCausalLM):  # type: ignore[misc]
    """Its logits are twice what its head says."""

    def forward(self, *args: Any, **kwargs: Any) -> CausalLMOutputWithPast:
        found = super().forward(*args, **kwargs)
        return CausalLMOutputWithPast(logits=2 * found.logits)


def doubling_lm() -> PreTrainedModel:
    return Doubling(tiny_lm("llama").config)


def test_a_model_that_does_something_unknown_to_its_logits_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^parent\.model: Doubling does more between its last hidden states and its"):
        check_head(doubling_lm(), "parent")


def test_a_model_that_other_columns_move_by_rounding_passes_the_head_check() -> None:
    """Real weights (SmolLM2-135M) give logits that differ by 2e-5 of the largest when they read another column; here
    the last norm's weight grows by 1e-3 a column, so that only a check which reads the same columns twice can pass."""
    lm = tiny_lm("llama")
    grow = lm.model.norm.register_forward_hook(lambda _, args, out: out * (1 + 1e-3 * args[0].shape[1]))
    check_head(lm, "baby")
    grow.remove()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_check_passes_plain_models_and_leaves_their_mode(family: str) -> None:
    lm = sharp_lm(family, dropout=0.5).train()
    check_head(lm, "baby")
    assert lm.training
    lm.eval()
    check_head(lm, "baby")
    assert not lm.training


def test_a_model_object_is_checked_like_a_path(make_recipe: Callable[..., Recipe], baby_folder: Path) -> None:
    with pytest.raises(ModelError, match="Doubling does more"):
        BambinoTrainer(model=doubling_lm(), args=make_recipe(), processing_class=make_tokenizer())
    with pytest.raises(ModelError, match="the model rows for 300 only"):
        BambinoTrainer(model=tiny_lm("opt", 300), args=make_recipe(), processing_class=make_tokenizer())


def test_a_baby_that_knows_the_text_better_than_its_parent_is_refused(
    make_recipe: Callable[..., Recipe], baby_folder: Path, tmp_path: Path
) -> None:
    # the parent: 320 equally likely tokens of about one byte; its own copy, uniform, is no better than the baby
    shutil.copytree(baby_folder, tmp_path / "parent")
    lm = tiny_lm("opt", 320)
    with torch.no_grad():
        lm.get_output_embeddings().weight.mul_(100)  # sure of the wrong things
    lm.save_pretrained(tmp_path / "parent")
    recipe = make_recipe("--parent.model", str(tmp_path / "parent"), "--parent.must_know_l2", "true")
    with pytest.raises(ModelError, match=r"Are baby\.model and parent\.model swapped"):
        BambinoTrainer(args=recipe).train()


# ----------------------------------------------------------------------------------------------------------------- baby


@pytest.mark.parametrize("family", FAMILIES)
def test_the_babys_logits_and_values_are_the_models_own_at_the_targets(family: str) -> None:
    lm = sharp_lm(family)
    baby = Baby(lm)
    torch.manual_seed(0)
    torch.nn.init.normal_(baby.value_head.weight, std=0.2)
    torch.nn.init.constant_(baby.value_head.bias, 0.5)
    ids = torch.tensor([[1, 20, 30, 40, 0], [1, 7, 9, 11, 13]])
    is_real = torch.tensor([[True, True, True, True, False], [True] * 5])
    is_target = torch.tensor([[False, False, True, True, False], [False, True, False, False, True]])
    logits, values = baby(TokenBatch(ids, is_real), is_target)
    rows = [lm(input_ids=row[real][None], output_hidden_states=True) for row, real in zip(ids, is_real, strict=True)]
    states = [(0, 1), (0, 2), (1, 0), (1, 3)]  # the column before each target
    torch.testing.assert_close(logits, torch.stack([rows[i].logits[0, t] for i, t in states]), rtol=0, atol=1e-5)
    hidden = torch.stack([rows[i].hidden_states[-1][0, t] for i, t in states])
    torch.testing.assert_close(values, hidden @ baby.value_head.weight[0] + 0.5, rtol=0, atol=1e-5)


def test_a_new_babys_values_are_zero() -> None:
    baby = Baby(sharp_lm("llama"))
    ids = torch.tensor([[1, 2, 3]])
    batch = TokenBatch(ids, torch.ones_like(ids, dtype=torch.bool))
    assert baby(batch, batch.is_target)[1].tolist() == [0.0, 0.0]


def test_forward_flops_by_hand() -> None:
    lm = tiny_lm("gpt2", 320)
    # a block of width 32: attention 32x96+96 and 32x32+32, mlp 32x128+128 and 128x32+32, two norms of 64;
    # two blocks, the last norm, and 64 positions; embeddings left out, the head 320x32 on the targets
    block = 32 * 96 + 96 + 32 * 32 + 32 + 32 * 128 + 128 + 128 * 32 + 32 + 2 * 64
    body = 2 * block + 64 + 64 * 32
    assert forward_flops(lm, tokens=10, targets=3) == 2 * body * 10 + 2 * 320 * 32 * 3


# ------------------------------------------------------------------------------------------------------------ reference


def moved(lm: PreTrainedModel) -> PreTrainedModel:
    """The model after an update: every weight one larger."""
    with torch.no_grad():
        for p in lm.parameters():
            p += 1
    return lm


def test_the_initial_reference_never_moves() -> None:
    lm = tiny_lm("gpt2")
    first = weights_of(lm)
    reference = Reference("initial", 0.5, lm)
    moved(lm)
    reference.begin_phase(lm)
    reference.end_step(lm)
    assert all(torch.equal(p, first[name]) for name, p in reference.weights().items())
    assert set(reference.weights()) == set(first)


def test_the_phase_start_reference_is_the_baby_as_the_phase_begins() -> None:
    lm = tiny_lm("gpt2")
    first = weights_of(lm)
    reference = Reference("phase_start", 0.5, lm)
    moved(lm)
    reference.end_step(lm)
    assert all(torch.equal(p, first[name]) for name, p in there(reference.lm).named_parameters())
    reference.begin_phase(lm)
    second = weights_of(lm)
    moved(lm)
    assert all(torch.equal(p, second[name]) for name, p in there(reference.lm).named_parameters())
    assert set(reference.weights()) == set(first)


def test_the_ema_reference_by_hand() -> None:
    lm = tiny_lm("gpt2")
    first = weights_of(lm)
    reference = Reference("ema", 0.75, lm)
    moved(lm)
    reference.begin_phase(lm)
    assert all(torch.equal(p, first[name]) for name, p in there(reference.lm).named_parameters())
    # the baby is 1 ahead: 0.25 of the way; then 2 ahead of the first: 0.75 * 0.25 + 0.25 * 2 = 0.6875
    reference.end_step(lm)
    for name, p in there(reference.lm).named_parameters():
        torch.testing.assert_close(p, first[name] + 0.25)
    reference.end_step(moved(lm))
    for name, p in there(reference.lm).named_parameters():
        torch.testing.assert_close(p, first[name] + 0.6875)
    assert set(reference.weights()) == set(first)


def test_no_reference() -> None:
    lm = tiny_lm("gpt2")
    reference = Reference("none", 0.5, lm)
    reference.begin_phase(lm)
    reference.end_step(lm)
    assert reference.lm is None
    assert reference.weights() == {}


def test_a_reference_is_a_copy_without_dropout_or_gradients() -> None:
    lm = sharp_lm("opt", dropout=0.5).train()
    reference = Reference("ema", 0.5, lm)
    assert lm.training
    assert not any(module.training for module in there(reference.lm).modules())
    assert not any(p.requires_grad for p in there(reference.lm).parameters())
    assert all(p.requires_grad for p in lm.parameters())


def test_a_moving_reference_takes_its_weights_back() -> None:
    one, other = tiny_lm("gpt2", seed=1), tiny_lm("gpt2", seed=2)
    reference = Reference("ema", 0.5, one)
    reference.load_weights(weights_of(other))
    for name, p in there(reference.lm).named_parameters():
        assert torch.equal(p, other.get_parameter(name))
    with pytest.raises(KeyError):
        copy_weights(one, {})


@pytest.mark.parametrize(("kind", "moves"), [("initial", False), ("phase_start", True), ("ema", True)])
def test_references_move_in_a_run_as_their_kind_says(
    kind: str, moves: bool, make_recipe: Callable[..., Recipe]
) -> None:
    trainer = BambinoTrainer(args=make_recipe("--ppo.reference", kind, "--max_steps", "3"))
    first = weights_of(trainer.baby.lm)
    trainer.train()
    ppo: Any = trainer.phases["ppo"]
    reference = ppo.reference
    assert any(not torch.equal(p, first[n]) for n, p in reference.lm.named_parameters()) == moves


@pytest.mark.parametrize(
    ("kind", "moving", "constant"),
    [("initial", False, True), ("phase_start", True, False), ("ema", True, False), ("none", False, False)],
)
def test_every_checkpoint_holds_a_reference_that_moves_and_the_run_one_that_never_does(
    kind: str, moving: bool, constant: bool, make_recipe: Callable[..., Recipe]
) -> None:
    trainer = BambinoTrainer(args=make_recipe("--ppo.reference", kind))
    names = dict(trainer.baby.lm.named_parameters()).keys()
    state = trainer.phases["ppo"].state()
    assert state.tensors.keys() == (names if moving else set())
    assert state.constants.keys() == (names if constant else set())


def test_a_digest_of_weights_depends_on_names_and_numbers_and_a_digest_of_a_tokenizer_not_on_its_use() -> None:
    lm = tiny_lm("gpt2")
    digest = weights_sha256(lm)
    assert digest == weights_sha256(tiny_lm("gpt2")) != weights_sha256(tiny_lm("gpt2", seed=1))
    with torch.no_grad():
        lm.transformer.ln_f.bias[3] += 1e-6
    assert weights_sha256(lm) != digest
    assert len({weights_sha256(lm.to(kind)) for kind in (torch.float32, torch.bfloat16)}) == 2
    tokenizer = make_tokenizer()
    before = tokenizer_sha256(tokenizer)
    tokenizer(["il", "gatto nero"], padding=True, truncation=True, max_length=4)
    assert tokenizer_sha256(tokenizer) == before
    # the same vocabulary, other words: what divides text counts too
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert tokenizer_sha256(tokenizer) != before


def test_frozen_models_get_no_gradient() -> None:
    lm = frozen(tiny_lm("gpt2").train())
    assert not lm.training
    assert not any(p.requires_grad for p in lm.parameters())
