"""Acceptability and relatedness: by the models' own outputs, with models that are saved in a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer, tiny_lm
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from bambino import BambinoTrainer, Recipe
from bambino.errors import ModelError, RecipeError
from bambino.feedback.acceptability import Acceptability
from bambino.feedback.grader_settings import AcceptabilityConfig, RelatednessConfig
from bambino.feedback.relatedness import Relatedness, mean_pooled

PROMPTS, SAID = ["il gatto", "la", "il cane"], [" vede il mare", " nonna", " "]


def logits_of(folder: Path, text: str) -> torch.Tensor:
    """Of one text, by a plain forward."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids).logits[0]
    return logits


# ------------------------------------------------------------------------------------------------------ acceptability


def test_the_reward_is_the_probability_of_the_label(classifier_folder: Path) -> None:
    reward = Acceptability(AcceptabilityConfig(model=str(classifier_folder), label="good"))
    scores = reward(prompts=PROMPTS, completions=SAID).values
    said = [prompt + completion for prompt, completion in zip(PROMPTS[:2], SAID[:2], strict=True)]
    expected = [logits_of(classifier_folder, text).softmax(-1)[1].item() for text in said]
    assert scores == pytest.approx([*expected, 0.0], rel=1e-5)  # silence has none
    other = Acceptability(AcceptabilityConfig(model=str(classifier_folder), label="0"))
    assert other(prompts=PROMPTS[:1], completions=SAID[:1]).values[0] == pytest.approx(1 - scores[0], rel=1e-5)


def test_logits_and_the_utterance_alone(classifier_folder: Path) -> None:
    config = AcceptabilityConfig(model=str(classifier_folder), output="logit", scope="utterance")
    scores = Acceptability(config)(prompts=PROMPTS, completions=SAID).values
    expected = [logits_of(classifier_folder, said)[1].item() for said in SAID[:2]]
    assert scores == pytest.approx([*expected, min([0.0, *expected])], rel=1e-4)


def test_texts_longer_than_the_classifier_reads_are_cut(classifier_folder: Path) -> None:
    reward = Acceptability(AcceptabilityConfig(model=str(classifier_folder)))
    (score,) = reward(prompts=["il"], completions=[" gatto vede" * 50]).values
    assert 0 < score < 1


def test_a_label_that_is_none_is_refused(classifier_folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"acceptability.label = fine: the classifier's labels are bad, good"):
        Acceptability(AcceptabilityConfig(model=str(classifier_folder), label="fine"))


def test_models_that_cannot_be_used_are_refused(
    parent_folder: Path, baby_folder: Path, classifier_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"feedback.acceptability needs a classifier"):
        AcceptabilityConfig().make(None)
    with pytest.raises(ModelError, match=r"feedback.acceptability.model = ./nowhere: there is no folder"):
        Acceptability(AcceptabilityConfig(model="./nowhere"))
    with pytest.raises(ModelError, match="lacks 1 weights of a sequence classifier"):  # a causal LM's head is none
        Acceptability(AcceptabilityConfig(model=str(parent_folder)))
    pickled = tmp_path / "pickled"
    shutil.copytree(classifier_folder, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    (pickled / "pytorch_model.bin").write_bytes(b"not to be read")
    with pytest.raises(ModelError, match=r"has its weights in pytorch_model.bin alone. Only safetensors are opened"):
        Acceptability(AcceptabilityConfig(model=str(pickled)))


def test_code_that_comes_with_a_model_is_not_run(classifier_folder: Path, tmp_path: Path) -> None:
    folder, proof = tmp_path / "own", tmp_path / "ran"
    shutil.copytree(classifier_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "strange",
        "auto_map": {"AutoConfig": "own.Own", "AutoModelForSequenceClassification": "own.Own"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(proof)!r}, 'w').close()\nclass Own: ...\n")
    with pytest.raises(ModelError, match=r"wants to run Python of its own \(config.json has an auto_map\)"):
        Acceptability(AcceptabilityConfig(model=str(folder)))
    assert not proof.exists()


# -------------------------------------------------------------------------------------------------------- relatedness


def test_the_mean_of_states_leaves_pads_out() -> None:
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]]])
    assert mean_pooled(states, torch.tensor([[True, True, False]])).tolist() == [[2.0, 4.0]]


def test_the_reward_is_the_cosine_of_mean_states(encoder_folder: Path) -> None:
    model, tokenizer = AutoModel.from_pretrained(encoder_folder).eval(), AutoTokenizer.from_pretrained(encoder_folder)

    def embedded(text: str) -> torch.Tensor:
        with torch.no_grad():
            states: torch.Tensor = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return states.mean(0)

    reward = Relatedness(RelatednessConfig(model=str(encoder_folder)))
    scores = reward(prompts=PROMPTS, completions=SAID).values
    expected = [
        torch.nn.functional.cosine_similarity(embedded(p), embedded(s.strip()), dim=0).item()
        for p, s in zip(PROMPTS[:2], SAID, strict=False)
    ]
    assert scores == pytest.approx([*expected, 0.0], abs=1e-5)
    assert reward(prompts=["il gatto"], completions=[" il gatto"]).values == pytest.approx([1.0])
    assert reward(prompts=["", "il"], completions=[" gatto", ""]).values == [0.0, 0.0]


def test_a_model_without_pads_reads_text_by_text(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(bos="<|end|>", eos="<|end|>", pad=None)
    lm = tiny_lm("gpt2", len(tokenizer))
    lm.config.pad_token_id = None
    lm.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = Relatedness(RelatednessConfig(model=str(tmp_path)))
    both = reward(prompts=PROMPTS[:2], completions=SAID[:2]).values
    assert reward(prompts=PROMPTS[:1], completions=SAID[:1]).values == pytest.approx(both[:1])


def test_a_baby_learns_from_them(
    make_recipe: Callable[..., Recipe], classifier_folder: Path, encoder_folder: Path
) -> None:
    kinds = f"{{acceptability: {{model: {classifier_folder}}}, relatedness: {{model: {encoder_folder}}}}}"
    recipe = make_recipe("--feedback", kinds, "--parent.model", "null")
    BambinoTrainer(args=recipe).train()
    lines = (Path(recipe.output_dir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row.get("phase") == "ppo"]
    for row in rows:
        total = row["ppo/feedback/acceptability"] + row["ppo/feedback/relatedness"]
        assert row["ppo/reward"] == pytest.approx(total, rel=1e-5)
