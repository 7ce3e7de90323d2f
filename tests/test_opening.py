"""What a stranger's folder may not do when it is opened as a model, and what cannot be opened: one message each."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.dynamic_module_utils
from conftest import make_tokenizer, save_text_model, there, tiny_lm, with_own_code
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertConfig, BertForSequenceClassification, BertLMHeadModel, GPT2Model

from bambino import BambinoTrainer, Recipe
from bambino.cli.main import main
from bambino.errors import ModelError, TextError
from bambino.evaluation.pair_files import load_pair_set
from bambino.evaluation.plan import Plan
from bambino.evaluation.suite import evaluate
from bambino.models.encoders import open_classifier
from bambino.models.loading import load_lm, load_tokenizer
from bambino.recipe.file import dump_recipe
from bambino.recipe.model_settings import ModelConfig


@pytest.fixture
def folder(baby_folder: Path, tmp_path: Path) -> Path:
    """A model of one's own, to be damaged."""
    return shutil.copytree(baby_folder, tmp_path / "model")


@pytest.fixture
def own_code(baby_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A baby that brings Python of its own."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    return with_own_code(baby_folder, tmp_path / "own", "OPTConfig", "OPTForCausalLM", "AutoModelForCausalLM")


def opened(folder: Path | str, role: Any = "baby") -> None:
    config = ModelConfig(str(folder))
    load_tokenizer(config, role, load_lm(config, role))


def edited(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------ code of others


@pytest.mark.parametrize("role", ["baby", "parent"])
def test_python_that_comes_with_a_model_does_not_run_whatever_stdin_says(
    role: str,
    own_code: Path,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(make_recipe(f"--{role}.model", str(own_code))), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 1000))  # yes | bambino train
    assert main(["train", str(recipe)]) == 2
    said = capsys.readouterr()
    assert f"{role}.model = {own_code} wants to run Python of its own" in said.err
    assert f"{role}.trust_remote_code true" in said.err
    assert "[y/N]" not in said.out + said.err
    assert not (own_code / "ran").exists()
    assert not Path(make_recipe().output_dir).exists()


def test_evaluation_runs_it_only_where_asked_to(own_code: Path, text_file: Path) -> None:
    options: dict[str, Any] = {"l2_text": [str(text_file)], "heldout_every": 10, "max_lines": 2, "prompts": 0}
    with pytest.raises(ModelError, match=r"^model = .* Python of its own .*--trust_remote_code true"):
        evaluate(str(own_code), Plan(**options))
    with pytest.raises(ModelError, match=r"^parent = .* Python of its own .*--parent_trust_remote_code true"):
        evaluate(str(own_code), Plan(**options, parent=str(own_code), trust_remote_code=True))
    assert not (own_code / "ran").exists()
    evaluate(str(own_code), Plan(**options, trust_remote_code=True))
    assert (own_code / "ran").exists()


def test_a_run_of_a_model_with_python_of_its_own_goes_on(own_code: Path, make_recipe: Callable[..., Recipe]) -> None:
    trusted = ["--baby.model", str(own_code), "--baby.trust_remote_code", "true", "--schedule.cycle", "{clm: 1}"]
    whole = BambinoTrainer(args=make_recipe(*trusted, "--max_steps", "4", output_dir="whole"))
    whole.train()
    recipe = make_recipe(*trusted, "--max_steps", "4", "--save_steps", "2")
    first = BambinoTrainer(args=recipe, on_row=lambda row: setattr(first, "stop_requested", row.get("step") == 2))
    first.train()
    assert first.step == 2
    second = BambinoTrainer(args=recipe)
    second.train(resume_from_checkpoint=True)
    for name, weight in whole.baby.lm.named_parameters():
        assert torch.equal(weight, second.baby.lm.get_parameter(name))


def test_a_tokenizer_that_comes_with_python_is_refused_too(folder: Path) -> None:
    edited(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]})
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"Python of its own \(tokenizer_config.json has an auto_map\)"):
        opened(folder)
    assert not (folder / "ran").exists()


def test_a_script_beside_data_does_not_run(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "pairs").mkdir()
    script = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    (tmp_path / "pairs" / "pairs.py").write_text(script, encoding="utf-8")
    with pytest.raises(TextError, match="could not be read"):
        load_pair_set(tmp_path / "pairs")
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------------------------------------------------------- pickles


@pytest.mark.parametrize("others", ["alone", "beside safetensors"])
def test_an_index_that_names_pickles_is_refused_before_any_is_read(
    others: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "shard.bin")
    names = dict.fromkeys(load_file(folder / "model.safetensors"), "shard.bin")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    if others == "alone":
        (folder / "model.safetensors").unlink()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(ModelError, match=r"names weights in shard\.bin\. Only safetensors are opened"):
        opened(folder)


def test_weights_that_the_config_names_are_safetensors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "adapter_model.bin")
    edited(folder / "config.json", transformers_weights="adapter_model.bin")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(ModelError, match=r"names weights in adapter_model\.bin"):
        opened(folder)


def test_an_adapter_alone_is_no_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/model"}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"holds an adapter .*merge_and_unload"):
        opened(folder)


# ------------------------------------------------------------------------------------------------------------- numbers


def spoilt(folder: Path, name: str, value: float) -> None:
    """Set one number of one tensor."""
    weights = load_file(folder / "model.safetensors")
    weights[name].view(-1)[3] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("role", ["baby", "parent"])
def test_a_weight_that_is_no_number_is_named(role: str, value: float, folder: Path) -> None:
    name = "model.decoder.layers.1.fc1.weight"
    spoilt(folder, name, value)
    size = tiny_lm("opt").get_parameter(name).numel()
    with pytest.raises(
        ModelError, match=rf"^{role}\.model = {folder} has .*: 1 of {size} in {name} are NaN or infinite"
    ):
        opened(folder, role)
    lm = AutoModelForCausalLM.from_pretrained(folder)
    with pytest.raises(ModelError, match=rf"1 of {size} in {name}"):
        BambinoTrainer(model=lm, args=Recipe(), processing_class=make_tokenizer())


def test_a_classifier_with_a_weight_that_is_no_number_is_refused(tmp_path: Path) -> None:
    save_text_model(BertForSequenceClassification, tmp_path)
    spoilt(tmp_path, "bert.embeddings.word_embeddings.weight", float("nan"))
    with pytest.raises(ModelError, match=r"^x\.model = .* in bert\.embeddings\.word_embeddings\.weight are NaN"):
        open_classifier(str(tmp_path), "x", trust_remote_code=False)


def test_a_parent_whose_score_is_no_number_does_not_know_l2(make_recipe: Callable[..., Recipe]) -> None:
    trainer = BambinoTrainer(args=make_recipe("--parent.must_know_l2", "true"))
    with torch.no_grad():
        there(trainer.parent).get_output_embeddings().weight[5] = torch.inf
    with pytest.raises(ModelError, match=r"^parent\.model: .*not numbers"):
        trainer.train()


def test_logits_that_are_no_numbers_are_refused(folder: Path) -> None:
    lm = tiny_lm("gpt2")
    with torch.no_grad():
        lm.transformer.ln_f.weight.fill_(1e38)
        lm.get_output_embeddings().weight.mul_(1e6)
    lm.save_pretrained(folder)
    with pytest.raises(ModelError, match="gives logits that are no numbers"):
        opened(folder)


# -------------------------------------------------------------------------------------------------------- broken files

JSON_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000])
@pytest.mark.parametrize("file", JSON_FILES)
def test_a_broken_file_is_one_message(file: str, content: bytes, folder: Path) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=r"^baby\.model = ") as caught:
        opened(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_in_the_place_of_a_file_is_one_message(file: str, folder: Path) -> None:
    (folder / file).unlink(missing_ok=True)
    (folder / file).mkdir()
    with pytest.raises(ModelError, match=r"^baby\.model = "):
        opened(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": 3},
        {"vocab_size": -1},
        {"hidden_size": 7},
        {"num_attention_heads": 0},
        {"num_hidden_layers": "two"},
        {"num_hidden_layers": 10**9},  # to make them all would take hours
        {"vocab_size": 10**9},
        {"activation_function": "abacus"},
        {"max_position_embeddings": None},
    ],
    ids=str,
)
def test_a_config_of_nonsense_is_one_message(changes: dict[str, Any], folder: Path) -> None:
    edited(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=r"^baby\.model"):
        opened(folder)


def test_a_tokenizer_that_panics_is_one_message(folder: Path) -> None:
    # Its template names a token that it does not define; a panic in Rust is no Exception.
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    single = [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(ModelError, match=r"^baby\.model = .* has no tokenizer that opens"):
        opened(folder)


@pytest.mark.parametrize("name", ["x" * 5000, "/" + "x" * 5000, "a/" + "x" * 300, "with\0nul", "~nobody-here/x", ""])
@pytest.mark.parametrize("role", ["baby", "parent"])
def test_names_that_no_file_system_takes(name: str, role: str) -> None:
    with pytest.raises(ModelError, match=rf"^{role}\.model = ") as caught:
        opened(name, role)
    assert len(str(caught.value)) < 1500
    with pytest.raises(ModelError, match=r"^x\.model = "):
        open_classifier(name, "x", trust_remote_code=False)


def test_a_token_that_was_added_needs_a_row(folder: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"ids up to 320, the model rows for 320 only.*resize_token_embeddings\(321\)"):
        opened(folder)


# ------------------------------------------------------------------------------------------------- given from Python


def test_what_is_no_model_is_refused_from_python() -> None:
    lm = tiny_lm("gpt2")
    given: list[tuple[dict[str, Any], str]] = [
        (
            {"model": torch.compile(lm, backend="eager")},
            r"^baby: a OptimizedModule is no Transformers model.* the model that was compiled",
        ),
        (
            {"parent": torch.nn.Linear(2, 2)},
            r"^parent: a Linear is no Transformers model.* of PEFT model\.merge_and_unload",
        ),
        (
            {"model": lm, "processing_class": "path"},
            r"^processing_class: a str is no tokenizer.*from_pretrained\(PATH\)",
        ),
        ({"model": lm, "parent_processing_class": 3}, r"^parent_processing_class: a int is no tokenizer"),
        ({"model": GPT2Model(lm.config)}, r"^baby\.model: a GPT2Model cannot be read as a causal LM"),
    ]
    for arguments, message in given:
        with pytest.raises(ModelError, match=message):
            BambinoTrainer(args=Recipe(), **arguments)


def test_a_model_that_sees_what_follows_is_refused() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    bert = BertLMHeadModel(BertConfig(vocab_size=320, **sizes)).eval()
    with pytest.raises(ModelError, match=r"^baby\.model: a BertLMHeadModel does not read from left to right"):
        BambinoTrainer(model=bert, args=Recipe(), processing_class=make_tokenizer())
