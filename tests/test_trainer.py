"""The trainer: what it accepts, what it refuses, what it leaves behind, and that each number it writes is defined."""

from __future__ import annotations

import copy
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import italian_lines, make_tokenizer, there, tiny_lm
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

import bambino.models.participants
import bambino.runs.costs
import bambino.training.publishing
from bambino import BambinoTrainer, Recipe, RecipeError, load_recipe
from bambino.errors import ModelError, RunDirectoryError, TextError, TrainingError
from bambino.evaluation.in_training import measures_of
from bambino.measures import Score, TaskResult
from bambino.models.loading import load_lm
from bambino.phases.ppo import PPOPhase
from bambino.phases.updates import UpdateMeter
from bambino.recipe.model_settings import ModelConfig
from bambino.runs import checkpoint
from bambino.runs.costs import forward_flops
from bambino.speaking.speaker import Speaker
from bambino.text.heldout import is_heldout

Make = Callable[..., Recipe]
METRICS = Path(__file__).parent.parent / "docs" / "metrics.md"
CLM_ONLY = ("--schedule.cycle", "{clm: 1}", "--parent.model", "null")


def rows_of(recipe: Recipe, log: str = "metrics") -> list[dict[str, Any]]:
    path = Path(recipe.output_dir) / f"{log}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def trained(recipe: Recipe, baby: Any = None, parent: Any = None, **arguments: Any) -> BambinoTrainer:
    trainer = BambinoTrainer(baby, parent, recipe, **arguments)
    trainer.train()
    return trainer


def bits_of(recipe: Recipe) -> bytes:
    return (Path(recipe.output_dir) / "model" / "model.safetensors").read_bytes()


def weights_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def are_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


class Weight:
    """A measure by hand: the mean of the baby's weights, or the value given, and something said."""

    def __init__(self, value: float | None = None, **depends_on: Any) -> None:
        self.name, self.depends_on, self.value = "weight", depends_on, value

    def __call__(self, baby: Speaker) -> TaskResult:
        mean = float(torch.cat([weight.flatten() for weight in weights_of(baby.lm).values()]).mean())
        scores = [
            Score("weight/mean", mean if self.value is None else self.value, "", 1),
            Score("weight/two", 2.0, "", 1),
        ]
        return TaskResult("weight", scores, said=[{"prompt": "il", "utterance": " gatto"}])


def raised_on_l2(make_recipe: Make) -> str:
    """A model that has heard some Italian."""
    recipe = make_recipe(*CLM_ONLY, "--max_steps", "40", "--clm.learning_rate", "1e-2", output_dir="italian")
    trained(recipe)
    return f"{recipe.output_dir}/model"


# --------------------------------------------------------------------------------------------- models and datasets


def test_models_may_be_passed_as_objects_paths_or_in_the_recipe(
    make_recipe: Make, baby_folder: Path, parent_folder: Path
) -> None:
    by_recipe = make_recipe(output_dir="recipe")
    trained(by_recipe)
    nothing = ("--baby.model", "null", "--parent.model", "null")
    by_path = make_recipe(*nothing, output_dir="path")
    trained(by_path, baby_folder, str(parent_folder))
    by_object = make_recipe(*nothing, output_dir="object")
    models = [AutoModelForCausalLM.from_pretrained(folder) for folder in (baby_folder, parent_folder)]
    trained(by_object, *models)
    assert bits_of(by_object) == bits_of(by_path) == bits_of(by_recipe)


def test_a_path_passed_in_is_opened_at_the_revision_that_the_recipe_records(
    make_recipe: Make, baby_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def load(config: ModelConfig, *more: Any) -> Any:
        opened.append(config.revision)
        return load_lm(config, *more)

    for place in ("model", "revisions/chck_1"):
        shutil.copytree(baby_folder, tmp_path / "raised" / place)
    monkeypatch.setattr(bambino.models.participants, "load_lm", load)
    recipe = make_recipe("--baby.revision", "chck_1", "--parent.revision", "main")
    trainer = BambinoTrainer(str(tmp_path / "raised" / "model"), args=recipe)
    recorded = trainer.args.baby.revision, trainer.args.parent.revision
    assert tuple(opened) == recorded == ("chck_1", "main")


def test_models_that_never_were_on_disk_come_with_their_tokenizers(make_recipe: Make) -> None:
    tokenizers = make_tokenizer(), make_tokenizer(vocab_size=400)
    recipe = make_recipe("--baby.model", "null", "--parent.model", "null")
    models = tiny_lm("gpt2", len(tokenizers[0])), tiny_lm("llama", len(tokenizers[1]))
    trained(recipe, *models, processing_class=tokenizers[0], parent_processing_class=tokenizers[1])
    assert AutoTokenizer.from_pretrained(f"{recipe.output_dir}/model").get_vocab() == tokenizers[0].get_vocab()


def test_a_dataset_of_strings_or_of_rows_is_heard_like_the_file_with_its_lines(
    make_recipe: Make, text_file: Path
) -> None:
    lines = text_file.read_text(encoding="utf-8").splitlines()
    by_file, strings, rows = (make_recipe(output_dir=name) for name in ("file", "strings", "rows"))
    field = make_recipe("--text.jsonl_field", "frase", output_dir="field")
    trained(by_file)
    trained(strings, train_dataset=lines)
    trained(rows, train_dataset=[{"text": line, "id": i} for i, line in enumerate(lines)])
    trained(field, train_dataset=[{"frase": line} for line in lines])
    assert bits_of(strings) == bits_of(rows) == bits_of(field) == bits_of(by_file)
    other = make_recipe(output_dir="other")
    trained(other, train_dataset=lines[::-1])
    assert bits_of(other) != bits_of(by_file)


def test_a_run_of_clm_alone_needs_no_parent(make_recipe: Make) -> None:
    recipe = make_recipe(*CLM_ONLY)
    trained(recipe)
    rows = rows_of(recipe)
    assert [row["phase"] for row in rows] == ["clm"] * 6
    assert not any(key.startswith("ppo/") or key == "total/parent_tokens" for row in rows for key in row)
    assert rows_of(recipe, "utterances") == []
    assert not (Path(recipe.output_dir) / "constants").exists()


def test_a_run_with_ppo_needs_a_parent(make_recipe: Make) -> None:
    with pytest.raises(ModelError, match=r"^parent\.model is not given"):
        BambinoTrainer(args=make_recipe("--parent.model", "null"))


def test_a_run_with_rewards_of_ones_own_needs_no_parent(make_recipe: Make) -> None:
    recipe = make_recipe("--parent.model", "null", "--evaluation.eval_steps", "6", "--evaluation.utterances", "2")
    own = {"reward_funcs": lambda completions, **_: [float(len(text)) for text in completions]}
    trained(recipe, measures=measures_of(recipe), **own)
    rows = rows_of(recipe)
    assert sum("ppo/reward" in row for row in rows) == 2
    assert "eval/speech/words/baby" in rows[-1]
    assert not any("perplexity" in key for row in rows for key in row)
    assert "| parent | none |" in (Path(recipe.output_dir) / "model" / "README.md").read_text()


def test_one_object_cannot_be_baby_and_parent(make_recipe: Make, baby_folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(baby_folder)
    with pytest.raises(ModelError, match="it is the very object that is the baby"):
        BambinoTrainer(model, model, args=make_recipe())
    assert all(parameter.requires_grad for parameter in model.parameters())
    BambinoTrainer(model, copy.deepcopy(model), args=make_recipe())


def test_a_baby_passed_in_half_precision_is_trained_in_fp32(make_recipe: Make, baby_folder: Path) -> None:
    baby = AutoModelForCausalLM.from_pretrained(baby_folder, dtype=torch.bfloat16)
    recipe = make_recipe("--max_steps", "1")
    trainer = trained(recipe, baby)
    assert {parameter.dtype for parameter in trainer.baby.parameters()} == {torch.float32}
    saved = AutoModelForCausalLM.from_pretrained(f"{recipe.output_dir}/model", dtype="auto")
    assert saved.dtype == torch.float32


def test_another_precision_in_the_same_process_is_explained(make_recipe: Make) -> None:
    BambinoTrainer(args=make_recipe())
    with pytest.raises(RecipeError, match=r"mixed_precision = bf16 cannot be had.*in a process of its own") as caught:
        BambinoTrainer(args=make_recipe("--mixed_precision", "bf16"))
    assert caught.value.key == "mixed_precision"


def test_parent_and_reference_never_move_and_the_baby_does(make_recipe: Make) -> None:
    trainer = BambinoTrainer(args=make_recipe())
    parent, baby = weights_of(there(trainer.parent)), weights_of(trainer.baby.lm)
    trainer.train()
    assert are_equal(weights_of(there(trainer.parent)), parent)
    ppo: Any = trainer.phases["ppo"]
    assert are_equal(weights_of(ppo.reference.lm), baby)
    assert not any(weight.equal(baby[name]) for name, weight in weights_of(trainer.baby.lm).items())


def test_zero_steps_leave_the_baby_as_it_came(make_recipe: Make, baby_folder: Path) -> None:
    recipe = make_recipe("--max_steps", "0")
    trained(recipe)
    assert bits_of(recipe) == (baby_folder / "model.safetensors").read_bytes()


# ---------------------------------------------------------------------------------------------------------- rewards


def test_rewards_of_several_functions_are_added_and_their_columns_logged(make_recipe: Make) -> None:
    def length(prompts: list[str], completions: list[str], **kwargs: Any) -> list[float]:
        kwargs["log_extra"]("length", [len(text) for text in completions])
        kwargs["log_metric"]("mine", 7.0)
        return [float(len(text)) for text in completions]

    def one(prompts: list[str], completions: list[str], **kwargs: Any) -> list[float]:
        assert kwargs["texts"] == [p + c for p, c in zip(prompts, completions, strict=True)]
        return [1.0] * len(prompts)

    recipe = make_recipe()
    trained(recipe, reward_funcs=[length, one])
    said = rows_of(recipe, "utterances")
    assert len(said) == 8  # four in each of two ppo steps
    for row in said:
        assert row.keys() == {"step", "kind", "prompt", "utterance", "length", "reward"}
        assert row["reward"] == row["length"] + 1 == len(row["utterance"]) + 1
    steps = [row for row in rows_of(recipe) if row["phase"] == "ppo"]
    assert [row["ppo/reward"] for row in steps] == [
        sum(row["reward"] for row in said if row["step"] == step) / 4 for step in (3, 6)
    ]
    assert [row["ppo/mine"] for row in steps] == [7.0, 7.0]


def test_rewards_all_alike_are_called_dead(make_recipe: Make) -> None:
    for values, is_dead in (([2.0] * 4, 1.0), ([2.0, 2.0, 2.0, 2.5], 0.0)):
        recipe = make_recipe("--max_steps", "3", output_dir=f"dead-{is_dead}")
        trained(recipe, reward_funcs=lambda prompts, completions, values=values, **_: values)
        row = rows_of(recipe)[-1]
        assert row["ppo/dead_reward"] == is_dead
        # variance of 2, 2, 2, 2.5 around 2.125: (3 * 0.125^2 + 0.375^2) / 4 = 0.046875
        assert row["ppo/reward_std"] == pytest.approx(0.0 if is_dead else math.sqrt(0.046875))


# ---------------------------------------------------------------------------------------------------------- refused


def test_a_baby_that_knows_l2_better_than_its_parent_is_refused(make_recipe: Make, baby_folder: Path) -> None:
    italian = raised_on_l2(make_recipe)
    swapped = make_recipe("--parent.must_know_l2", "true", output_dir="swapped")
    with pytest.raises(ModelError) as caught:
        BambinoTrainer(italian, baby_folder, swapped).train()
    message = str(caught.value)
    baby, parent = (float(number) for number in re.findall(r"(\d+\.\d\d)(?= bits| ?\))", message))
    assert baby < parent
    assert "Are baby.model and parent.model swapped" in message
    assert "set parent.must_know_l2 to false" in message
    assert not Path(swapped.output_dir).exists()

    right_way_round = make_recipe("--parent.must_know_l2", "true", "--max_steps", "1", output_dir="right")
    trained(right_way_round, baby_folder, italian)
    allowed = make_recipe("--parent.must_know_l2", "false", "--max_steps", "1", output_dir="allowed")
    trained(allowed, italian, baby_folder)


@pytest.mark.parametrize(
    ("key", "settings", "needed"),
    [
        ("text.max_length", ("--text.max_length", "65"), 65),
        ("rollout.max_new_tokens", ("--rollout.prompt_tokens", "30", "--rollout.max_new_tokens", "35"), 65),
    ],
)
def test_rows_longer_than_the_babys_context_are_refused(
    make_recipe: Make, key: str, settings: tuple[str, ...], needed: int
) -> None:
    with pytest.raises(RecipeError) as caught:
        BambinoTrainer(args=make_recipe(*settings))
    assert caught.value.key == key
    assert str(caught.value) == f"{key}: rows of {needed} tokens do not fit the baby's context of 64. Use less."


def test_rows_that_fill_the_babys_context_are_heard_and_said(make_recipe: Make) -> None:
    fit = ("--text.max_length", "64", "--text.mode", "packed", "--rollout.prompt_tokens", "4")
    recipe = make_recipe(*fit, "--rollout.max_new_tokens", "60", "--max_steps", "3")
    trained(recipe)
    rows = rows_of(recipe)
    assert [row["phase"] for row in rows] == ["clm", "clm", "ppo"]
    assert 0 < rows[-1]["ppo/utterance_tokens"] <= 60


def test_a_second_train_does_not_write_over_the_first(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "1")
    trainer = trained(recipe)
    with pytest.raises(RuntimeError, match="already holds a run"):
        trainer.train()


# --------------------------------------------------------------------------------------------------------- failures


def strict_json(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_loss_that_is_not_a_number_stops_the_run_and_says_where_and_why(make_recipe: Make) -> None:
    recipe = make_recipe("--clm.learning_rate", "1e17", "--save_steps", "1")
    failure = Path(recipe.output_dir) / "failure.json"
    with pytest.raises(TrainingError) as caught:
        trained(recipe)
    # the first update moves weights by 1e17, so the second batch has no loss
    explained = f"What explains it is in {failure}. The last checkpoint is step 1."
    assert str(caught.value) == f"Stopped at step 1: clm: the loss is nan. {explained}"
    content = strict_json(failure)
    assert (content["step"], content["phase"], content["error"]) == (1, "clm", "clm: the loss is nan")
    assert len(content["input_ids"]) >= 1
    assert len(rows_of(recipe)) == 1
    found = there(checkpoint.load_latest(Path(recipe.output_dir) / "checkpoints", pytest.fail))
    assert found.state["step"] == 1
    assert not (Path(recipe.output_dir) / "model").exists()


def test_a_reward_that_is_not_a_number_stops_the_run_and_shows_what_was_said(make_recipe: Make) -> None:
    recipe = make_recipe()
    with pytest.raises(TrainingError, match=r"^Stopped at step 2: ppo: a reward is not finite\."):
        trained(recipe, reward_funcs=lambda prompts, completions, **_: [1.0, math.nan, 2.0, math.inf])
    content = strict_json(Path(recipe.output_dir) / "failure.json")
    assert (content["step"], content["error"]) == (2, "ppo: a reward is not finite")
    assert content["rewards"] == [1.0, None, 2.0, None]
    assert len(content["texts"]) == 4


def test_a_measure_that_is_not_a_number_is_saved_and_comes_back(make_recipe: Make) -> None:
    recipe = make_recipe("--evaluation.eval_steps", "6")
    assert math.isnan(trained(recipe, measures=[Weight(math.nan)]).state.last_evaluation["eval/weight/mean"])
    row = rows_of(recipe)[-1]
    assert row["kind"] == "evaluation"
    assert row["eval/weight/mean"] is None
    last = BambinoTrainer(args=recipe, measures=[Weight(math.nan)]).train(resume_from_checkpoint=True)
    assert math.isnan(last["eval/weight/mean"])
    assert last["eval/weight/two"] == 2.0


# ------------------------------------------------------------------------------------------------------- what is left


def test_a_saved_model_opens_with_auto_classes_and_gives_the_same_logits(make_recipe: Make, tmp_path: Path) -> None:
    trainer = trained(make_recipe("--max_steps", "3"))
    trainer.save_model(tmp_path / "there")
    ids = torch.tensor([[1, 5, 9, 30, 2]])
    with torch.no_grad():
        expected = trainer.baby.lm.eval()(ids).logits
        for folder in (tmp_path / "there", Path(trainer.args.output_dir) / "model"):
            opened = AutoModelForCausalLM.from_pretrained(folder)
            assert opened(ids).logits.equal(expected)
            assert AutoTokenizer.from_pretrained(folder).get_vocab() == trainer.processing_class.get_vocab()


def test_saving_into_a_folder_leaves_what_else_lies_there(make_recipe: Make, tmp_path: Path) -> None:
    trainer = BambinoTrainer(args=make_recipe())
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    (mine / "config.json").write_text("another model's")
    trainer.save_model(mine)
    first = {path.name: path.read_bytes() for path in mine.iterdir()}
    assert first.pop("thesis.txt") == b"all of it"
    assert first.keys() >= {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert AutoModelForCausalLM.from_pretrained(mine).config.model_type == "opt"
    trainer.save_model(mine)  # again, over the first
    assert {path.name for path in mine.iterdir()} == {"thesis.txt", *first}


def test_saving_keeps_a_readme_that_is_not_a_model_card_of_ours(make_recipe: Make, tmp_path: Path) -> None:
    trainer = BambinoTrainer(args=make_recipe())
    trainer.save_model(tmp_path / "ours")
    card = (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")
    (tmp_path / "ours" / "README.md").write_text(card.replace("steps done", "steps"), encoding="utf-8")
    trainer.save_model(tmp_path / "ours")
    assert (tmp_path / "ours" / "README.md").read_text(encoding="utf-8") == card
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "README.md").write_text("My project.")
    trainer.save_model(tmp_path / "theirs")
    assert (tmp_path / "theirs" / "README.md").read_text() == "My project."


def test_a_model_may_be_saved_in_the_working_directory(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    BambinoTrainer(args=make_recipe()).save_model(".")
    assert (tmp_path / "here" / "model.safetensors").is_file()


@pytest.mark.parametrize("place", ["", "/checkpoints", "/constants"])
def test_saving_where_the_run_keeps_what_it_goes_on_from_is_refused(make_recipe: Make, place: str) -> None:
    recipe = make_recipe("--max_steps", "1")
    trainer = trained(recipe)
    before = {path: path.read_bytes() for path in Path(recipe.output_dir).rglob("*") if path.is_file()}
    with pytest.raises(RunDirectoryError, match=r"is the run's own\. Save the model in another folder"):
        trainer.save_model(recipe.output_dir + place)
    assert {path: path.read_bytes() for path in Path(recipe.output_dir).rglob("*") if path.is_file()} == before


def test_the_model_card_says_what_the_model_was_made_from_and_what_was_measured(
    make_recipe: Make, text_file: Path
) -> None:
    recipe = make_recipe("--evaluation.eval_steps", "6")
    last = trained(recipe, measures=[Weight()]).state.last_evaluation
    card = (Path(recipe.output_dir) / "model" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert f"| baby | `{recipe.baby.model}` |" in card
    assert f"| parent | `{recipe.parent.model}` |" in card
    assert f"| text | `{text_file}` |" in card
    assert "| steps done | 6 of 6, batches of 4 |" in card
    assert "| schedule | 2 clm : 1 ppo |" in card
    assert "| learning rates | clm 0.001, ppo 0.001 |" in card
    assert f"| weight/mean | {last['eval/weight/mean']:.4g} |" in card


def test_the_card_in_a_checkpoint_says_at_which_step_it_was_measured(make_recipe: Make) -> None:
    recipe = make_recipe("--evaluation.eval_steps", "2", "--save_steps", "3", "--save_total_limit", "9")
    trained(recipe, measures=[Weight()])
    card = (Path(recipe.output_dir) / "checkpoints" / "step-0000003" / "model" / "README.md").read_text()
    assert "| steps done | 3 of 6" in card
    assert "| evaluation at step 2 | |" in card
    trainer = BambinoTrainer(args=recipe, measures=[Weight()])
    trainer.train(resume_from_checkpoint=Path(recipe.output_dir) / "checkpoints" / "step-0000003")
    assert "| evaluation at step 6 | |" in (Path(recipe.output_dir) / "model" / "README.md").read_text()


def test_pushing_uploads_the_saved_model_to_a_private_repository(
    make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []

    class FakeHub:
        def __init__(self, token: str | None) -> None:
            calls.append(("token", token))

        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
            calls.append(("create", repo_id, private, exist_ok))

        def upload_folder(self, *, repo_id: str, folder_path: Path) -> str:
            calls.append(("upload", repo_id, (folder_path / "model.safetensors").is_file()))
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(bambino.training.publishing, "HfApi", FakeHub)
    trainer = BambinoTrainer(args=make_recipe())
    assert trainer.push_to_hub("me/baby", token="t") == "https://hub/me/baby"
    assert calls == [("token", "t"), ("create", "me/baby", True, True), ("upload", "me/baby", True)]


# -------------------------------------------------------------------------------------------------------- evaluation


def test_evaluate_measures_the_baby_and_changes_nothing(make_recipe: Make, text_file: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"sentence_good": "il gatto vede il mare", "sentence_bad": "gatto il vede mare il"}\n')
    settings = ("--evaluation.texts", f"{{it: [{text_file}]}}", "--evaluation.pairs", f"{{order: {pairs}}}")
    recipe = make_recipe(*settings, "--evaluation.utterances", "3")
    trainer = BambinoTrainer(args=recipe, measures=measures_of(recipe))
    before, random = weights_of(trainer.baby), torch.get_rng_state()
    metrics = trainer.evaluate()
    perplexities = {f"eval/speech/log_perplexity_with_prompt/{who}" for who in ("baby", "human")}
    assert {"eval/bits_per_byte/it", "eval/pairs/order"} | perplexities <= metrics.keys()
    assert metrics["eval/pairs/order"] in (0.0, 0.5, 1.0)
    assert trainer.evaluate() == metrics
    assert are_equal(weights_of(trainer.baby), before)
    assert torch.get_rng_state().equal(random)
    assert not Path(trainer.args.output_dir).exists()


def test_evaluations_come_at_step_0_at_every_interval_and_at_the_end_and_change_no_bits(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "5", "--evaluation.eval_steps", "2", "--evaluation.utterances", "2")
    last = trained(recipe, measures=measures_of(recipe)).state.last_evaluation
    rows = [row for row in rows_of(recipe) if row["kind"] == "evaluation"]
    assert [row["step"] for row in rows] == [0, 2, 4, 5]
    assert rows[-1] == {"kind": "evaluation", "step": 5, **last}
    said = [row for row in rows_of(recipe, "utterances") if row["kind"] == "evaluation"]
    assert [row["step"] for row in said] == [0, 0, 2, 2, 4, 4, 5, 5]
    plain = make_recipe("--max_steps", "5", output_dir="plain")
    assert trained(plain).state.last_evaluation == {}
    assert bits_of(plain) == bits_of(recipe)


def test_every_score_of_every_measure_is_a_number_of_the_row_and_what_was_said_is_logged(make_recipe: Make) -> None:
    recipe = make_recipe("--max_steps", "1", "--evaluation.eval_steps", "1")
    other = Weight(3.0)
    other.name = "other"
    trainer = BambinoTrainer(args=recipe, measures=[Weight(1.0, sha256="abc")])
    trainer.measures += [other]  # more may be added before training
    trainer.train()
    rows = [row for row in rows_of(recipe) if row["kind"] == "evaluation"]
    assert rows == [
        {"kind": "evaluation", "step": step, "eval/weight/mean": 3.0, "eval/weight/two": 2.0} for step in (0, 1)
    ]
    said = {"kind": "evaluation", "prompt": "il", "utterance": " gatto"}
    assert rows_of(recipe, "utterances") == [{"step": step, **said} for step in (0, 0, 1, 1)]
    made_of = json.loads((Path(recipe.output_dir) / "data.json").read_text())
    assert made_of["evaluation"] == {"weight": {"sha256": "abc"}, "other": {}}


def test_a_measure_on_lines_that_are_trained_on_is_warned_of(make_recipe: Make) -> None:
    rows: list[dict[str, Any]] = []
    recipe = make_recipe("--max_steps", "0", "--evaluation.eval_steps", "1")
    trained(recipe, measures=[Weight(), Weight(trained_on=True)], on_row=rows.append)
    assert [row["text"] for row in rows if row["kind"] == "warning"] == [
        "text.heldout_every is null, so these measure lines trained on: weight."
    ]


# ----------------------------------------------------------------------------------------------------------- metrics


def defined() -> set[str]:
    """Metrics of runs that docs/metrics.md defines: in backticks, in a table's first column."""
    of_runs, _, _ = METRICS.read_text(encoding="utf-8").partition("\n## demo")
    cells = [line.split("|")[1] for line in of_runs.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def written_by(recipe: Recipe) -> set[str]:
    """Keys of metrics.jsonl, names of texts and pairs replaced by <name>."""
    rows = [row for row in rows_of(recipe) if row["kind"] != "alarm"]
    keys = {key for row in rows for key in row} - {"kind", "step", "phase"}
    keys = {re.sub(r"^(ppo|reinforce)/feedback/.+$", r"\1/feedback/<kind>", key) for key in keys}
    keys = {re.sub(r"^(eval/(?:bits_per_byte|pairs|tasks))/[^/]+", r"\1/<name>", key) for key in keys}
    keys = {re.sub(r"/(term|field):.+$", r"/\1:<\1>", key) for key in keys}
    return {re.sub(r"^(eval/pairs/<name>)/(?!shortest$|term:|field:).+$", r"\1/<paradigm>", key) for key in keys}


def options(settings: Mapping[str, object]) -> list[str]:
    """Settings as words of the command line."""
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def test_every_number_a_run_writes_is_defined_and_every_defined_one_is_written(
    make_recipe: Make, text_file: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pair = {"sentence_good": "il gatto vede", "sentence_bad": "gatto il vede", "linguistics_term": "order"}
    named = [pair | {"field": "syntax", "UID": name} for name in ("order", "again")]
    pairs.write_text("".join(json.dumps(one) + "\n" for one in named))
    items = [{"text": "che bello", "irony": label, "split": "test"} for label in (0, 1)]
    (tmp_path / "ironita2018.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    measured = {
        "evaluation.eval_steps": 6,
        "evaluation.utterances": 2,
        "evaluation.tasks": "[ironita]",
        "evaluation.data": tmp_path,
        "evaluation.texts": f"{{it: [{text_file}], en: [{text_file}]}}",
        "evaluation.pairs": f"{{order: {pairs}}}",
    }
    beside = {"replay.sources": f"[{text_file}]", "replay.share": 0.5}
    dreaming = {"dreaming.share": 0.5, "dreaming.texts": 4, "dreaming.max_new_tokens": 6}
    calibrated = {"feedback.parent_perplexity.tau": "null", "feedback.parent_perplexity.beta_times_tau": 3}
    rewarded = {"feedback.missing_eos.weight": 1, "ppo.entropy_coef": 0.1, "averaging.decay": 0.9, "save_steps": 2}
    runs: list[dict[str, object]] = [
        measured | beside | dreaming | calibrated | rewarded | {"baby.words": 100},
        measured
        | {"ppo.reference": "none", "evaluation.scope": "utterance", "early_stopping.metric": "bits_per_byte/it"},
        {
            "schedule.cycle": "{clm: 2, reinforce: 1}",
            "feedback.parent_perplexity.tau": "null",
            "feedback.parent_perplexity.for": "reinforce",
            "feedback.repetition.for": "reinforce",
            "feedback.parent_spans.unit": "token",
        },
        beside
        | dreaming
        | {"schedule.cycle": "{clm: 2, recast: 1}", "feedback.recast.for": "recast", "recast.replay": "true"}
        | {"replay.first_baby": 0.5, "dreaming.first_baby": 0.5},
        {"schedule.cycle": "{clm: 1}", "feedback.recast.for": "clm", "feedback.recast.share": 0.5},
        {"schedule.cycle": "{clm: 2, prefer: 1}", "feedback.best_of_k.k": 4},
        {
            "schedule.cycle": "{clm: 2, distill: 1}",
            "feedback.said_targets.for": "distill",
            "feedback.parent_targets.for": "clm",
            "text.max_length": 12,
        },
    ]
    written: set[str] = set()
    for i, settings in enumerate(runs):
        recipe = make_recipe(*options(settings), output_dir=str(i))
        trained(recipe, measures=measures_of(recipe))
        written |= written_by(recipe)
    assert written - defined() == set(), "written and not defined in docs/metrics.md"
    assert defined() - written == set(), "defined in docs/metrics.md and never written"


def test_passes_over_the_text_say_how_long_a_run_is(make_recipe: Make) -> None:
    # 30 lines, 0.4 of them in batches of 4: three clm steps, ccp c.
    recipe = make_recipe("--passes", "0.4", "--text.max_lines", "30")
    trainer = BambinoTrainer(args=recipe)
    trainer.stop_requested = True
    trainer.train()
    assert trainer.step == 0
    record = load_recipe(Path(recipe.output_dir) / "recipe.yaml")
    assert (record.max_steps, record.passes) == (4, 0.4)
    again = BambinoTrainer(args=record)
    again.train(resume_from_checkpoint=True)
    assert [row["phase"] for row in rows_of(recipe)] == ["clm", "clm", "ppo", "clm"]


def test_packed_rows_are_what_passes_count(make_recipe: Make) -> None:
    trainer = BambinoTrainer(args=make_recipe("--text.mode", "packed", "--passes", "2", *CLM_ONLY))
    rows = trainer.tools.streams.clm.epoch_size
    assert trainer.args.max_steps == math.ceil(2 * rows / 4)


def test_without_clm_in_the_cycle_passes_count_steps_over_the_lines_of_prompts(make_recipe: Make) -> None:
    words = ("--text.max_lines", "10", "--passes", "2", "--schedule.cycle", "{ppo: 1}")
    trainer = BambinoTrainer(args=make_recipe(*words, "--schedule.warmup", "{clm: 2}"))
    assert trainer.args.max_steps == 5  # 20 lines, 4 a step
    assert [trainer.schedule.at(step).phase for step in range(5)] == ["clm", "clm", "ppo", "ppo", "ppo"]


def test_rows_of_each_phase_have_the_numbers_of_that_phase(make_recipe: Make) -> None:
    recipe = make_recipe()
    trained(recipe)
    rows = rows_of(recipe)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["phase"] for row in rows] == ["clm", "clm", "ppo", "clm", "clm", "ppo"]
    for row in rows:
        other = {"clm": "ppo/", "ppo": "clm/"}[row["phase"]]
        assert row["kind"] == "step"
        assert not any(key.startswith(other) for key in row)
        assert row[f"{row['phase']}/update_norm"] > 0
        assert row[f"{row['phase']}/learning_rate"] == 1e-3
        assert row["total/seconds"] > 0
    for row in (rows[2], rows[5]):
        assert -1 <= row["ppo/cosine_with_clm"] <= 1
        assert row["ppo/sampler_gap"] < 1e-4
        assert abs(row["ppo/reward"] - 2.5) <= 2.5  # alpha = 5
        assert row["ppo/entropy"] <= math.log(320)
    assert rows[2]["ppo/kl_coef"] == 0.2


def test_everything_logged_is_passed_on(make_recipe: Make) -> None:
    passed: list[dict[str, Any]] = []
    recipe = make_recipe("--evaluation.eval_steps", "3", "--evaluation.utterances", "2")
    trained(recipe, on_row=passed.append, measures=measures_of(recipe))
    assert [row for row in passed if row["kind"] != "utterances"] == rows_of(recipe)
    said = [said for row in passed if row["kind"] == "utterances" for said in row["rows"]]
    assert said == rows_of(recipe, "utterances")


def test_a_warm_up_and_a_linear_fall_show_in_the_learning_rates(make_recipe: Make) -> None:
    recipe = make_recipe("--clm.warmup_updates", "2", "--clm.lr_scheduler_type", "linear")
    trained(recipe)
    rates = [row["clm/learning_rate"] for row in rows_of(recipe) if row["phase"] == "clm"]
    # four clm updates: half, whole, then from the peak to zero over two
    assert rates == pytest.approx([5e-4, 1e-3, 1e-3, 5e-4])


def test_tokens_and_flops_are_counted(make_recipe: Make) -> None:
    recipe = make_recipe("--text.mode", "packed", "--rollout.max_new_tokens", "1", "--ppo.reference", "none")
    trainer = trained(recipe)
    rows = rows_of(recipe)
    # two cycles of two clm steps of 4 rows of 40 tokens, and a ppo step of 4 prompts of 4 tokens with 1 token said
    assert [row["total/clm_tokens"] for row in rows] == [160, 320, 320, 480, 640, 640]
    assert [row.get("total/prompt_tokens", 0) for row in rows] == [0, 0, 16, 16, 16, 32]
    assert [row.get("total/utterance_tokens", 0) for row in rows] == [0, 0, 4, 4, 4, 8]

    said = [row for row in rows_of(recipe, "utterances") if row["step"] == 3]
    texts = [row["prompt"] + row["utterance"] for row in said]
    parent_tokens = sum(
        len(ids) + 1 for ids in there(trainer.parent_processing_class)(texts)["input_ids"]
    )  # BOS before each
    assert rows[2]["total/parent_tokens"] == parent_tokens

    def split(lm: PreTrainedModel) -> tuple[int, int]:
        """Parameters of body and head; embeddings, of tokens only, and tied head are one matrix."""
        head = lm.get_output_embeddings().weight.numel()
        return sum(p.numel() for p in lm.parameters()) - head, head

    body, head = split(trainer.baby.lm)
    first = 3 * (2 * body * 160 + 2 * head * rows[0]["clm/targets"])
    assert rows[0]["total/flops"] == first
    assert rows[1]["total/flops"] == first + 3 * (2 * body * 160 + 2 * head * rows[1]["clm/targets"])
    sampling = 2 * body * 20 + 2 * head * 4
    # four epochs, forward and backward, and the check of the sampler, a forward
    learning = (3 * 4 + 1) * (2 * body * 20 + 2 * head * 4)
    parent_body, parent_head = split(there(trainer.parent))
    reward = 2 * (parent_body + parent_head) * parent_tokens
    assert rows[2]["total/flops"] - rows[1]["total/flops"] == sampling + learning + reward


def test_flops_of_reference_check_and_skipped_updates_are_counted(
    make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (
        "--schedule.cycle",
        "{ppo: 1}",
        "--max_steps",
        "1",
        "--rollout.max_new_tokens",
        "1",
        "--ppo.epochs",
        "2",
    )
    original = PPOPhase.update

    def flops(output_dir: str, skipped: int) -> float:
        monkeypatch.setattr(PPOPhase, "update", lambda *a: original(*a) | {"ppo/skipped_updates": skipped})
        recipe = make_recipe(*settings, "--ppo.minibatch_size", "2", output_dir=output_dir)
        trainer = trained(recipe, reward_funcs=lambda completions, **_: [float(len(c)) for c in completions])
        forward = forward_flops(trainer.baby.lm, 20, 4)  # 4 prompts of 4 tokens, one token said after each
        return float(rows_of(recipe)[0]["total/flops"] / forward)

    # sampling 1, reference 1, two epochs 3 each, the check 1 of the baby and 1 of the reference
    assert flops("all", 0) == pytest.approx(10)
    # three of four updates, each half a batch, without a backward: 3 * 0.5 * 2 less
    assert flops("skipped", 3) == pytest.approx(7)


def test_seconds_count_evaluations_also_over_a_stop(make_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10_000))
    # every part takes one second
    monkeypatch.setattr("bambino.runs.costs.time.perf_counter", lambda: float(next(now)))
    settings = (*CLM_ONLY, "--max_steps", "2", "--evaluation.eval_steps", "1")

    def stop(row: dict[str, Any]) -> None:
        trainer.stop_requested |= row["kind"] == "step" and row["step"] == 1

    recipe = make_recipe(*settings)
    trainer = BambinoTrainer(args=recipe, on_row=stop)
    trainer.train()
    # evaluation at 0, clm; evaluation at 1 after the row and before the checkpoint, whose own second is lost
    assert rows_of(recipe)[1]["total/seconds"] == 2
    BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    last = next(row for row in rows_of(recipe) if row["kind"] == "step" and row["step"] == 2)
    assert last["total/seconds"] == 4


def test_without_a_reference_no_kl_is_reported_and_its_weight_does_not_move(make_recipe: Make) -> None:
    recipe = make_recipe("--ppo.reference", "none", "--ppo.kl_horizon", "10")
    trainer = trained(recipe)
    ppo: Any = trainer.phases["ppo"]
    assert ppo.kl_coef == 0.2
    assert not any("kl" in key for row in rows_of(recipe) for key in row if key != "ppo/approx_kl")


def test_update_norm_and_cosine_by_hand() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 1.0]]))
    unmoved, meter = UpdateMeter(layer), UpdateMeter(layer)
    assert unmoved.norm() == 0.0
    assert unmoved.cosine([torch.tensor([[1.0, 0.0]])]) == 0.0
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[4.0, 5.0]]))
    assert meter.norm() == 5.0  # moved by (3, 4)
    assert meter.cosine([torch.tensor([[-2.0, 0.0]])]) == pytest.approx(0.6)  # (3, 4) . (2, 0) / (5 * 2)
    assert meter.cosine([torch.tensor([[3.0, 4.0]])]) == pytest.approx(-1.0)
    assert meter.cosine([torch.tensor([[4.0, -3.0]])]) == 0.0


def test_the_clm_update_norm_is_the_distance_the_weights_went(make_recipe: Make) -> None:
    recipe = make_recipe(*CLM_ONLY, "--max_steps", "1")
    trainer = BambinoTrainer(args=recipe)
    before = copy.deepcopy(trainer.baby.lm)
    trainer.train()
    now, then = weights_of(trainer.baby.lm), weights_of(before)
    distance = math.sqrt(sum(float((now[name] - then[name]).square().sum()) for name in now))
    assert rows_of(recipe)[0]["clm/update_norm"] == pytest.approx(distance)


def test_the_exact_kl_is_measured_at_the_last_ppo_step_of_a_cycle(make_recipe: Make) -> None:
    # 1 clm and 2 ppo steps a cycle; at the first ppo step the reference is the baby itself, so its KL would be 0
    settings = ("--schedule.cycle", "{clm: 1, ppo: 2}", "--ppo.reference", "phase_start")
    recipe = make_recipe(*settings, "--ppo.learning_rate", "1e-2")
    trained(recipe)
    steps = [row for row in rows_of(recipe) if row["kind"] == "step"]
    assert ["ppo/kl_exact" in row for row in steps] == [False, False, True, False, False, True]
    assert steps[2]["ppo/kl_exact"] > 0


def test_the_run_names_the_models_that_were_used_not_those_of_the_recipe(
    make_recipe: Make, baby_folder: Path, parent_folder: Path
) -> None:
    recipe = make_recipe("--baby.model", "some/baby", "--parent.model", "some/parent", "--max_steps", "1")
    trained(recipe, str(baby_folder), AutoModelForCausalLM.from_pretrained(parent_folder))
    run = Path(recipe.output_dir)
    resolved = load_recipe(run / "recipe.yaml")
    assert (resolved.baby.model, resolved.parent.model) == (str(baby_folder), str(parent_folder))
    assert str(baby_folder) in (run / "model" / "README.md").read_text()


def test_prompts_are_evaluated_on_the_held_out_texts_of_a_dataset(make_recipe: Make) -> None:
    texts = italian_lines(200, seed=7)
    recipe = make_recipe("--evaluation.utterances", "5", "--max_steps", "1", "--text.sources", "[]")
    measures = measures_of(recipe, dataset=texts)
    trainer = trained(recipe, train_dataset=texts, measures=measures)
    heldout = [text for text in texts if is_heldout(text, 10)]
    assert "eval/speech/log_perplexity_with_prompt/baby" in trainer.evaluate()
    (speech,) = measures
    prompts = [row["prompt"] for row in speech(Speaker(trainer.baby.lm, trainer.processing_class)).said]
    assert len(prompts) == 5
    assert all(any(text.startswith(prompt) for text in heldout) for prompt in prompts)


def test_a_text_without_held_out_lines_is_enough_where_nothing_is_evaluated(make_recipe: Make, tmp_path: Path) -> None:
    text = tmp_path / "it.txt"
    text.write_text("\n".join(line for line in italian_lines(40) if not is_heldout(line, 10)), encoding="utf-8")
    settings = ("--text.sources", f"[{text}]", "--evaluation.utterances", "3", "--max_steps", "1")
    recipe = make_recipe(*settings)
    trainer = trained(recipe, measures=measures_of(recipe))
    with pytest.raises(TextError, match=r"no held-out line.* or a smaller heldout_every .*evaluation\.utterances: 0"):
        trainer.evaluate()
    few = measures_of(recipe, dataset=["Il gatto dorme.", "Il cane mangia."])
    with pytest.raises(TextError, match=r"no prompt.* smaller text\.heldout_every than 10 .*evaluation\.utterances: 0"):
        few[0](Speaker(trainer.baby.lm, trainer.processing_class))
    with pytest.raises(TextError, match="no held-out line"):
        measures_of(make_recipe(*settings, "--evaluation.eval_steps", "1"))


def test_a_tokenizer_without_eos_is_warned_of_where_eos_should_be_appended(make_recipe: Make) -> None:
    tokenizer = make_tokenizer(eos=None)
    rows: list[dict[str, Any]] = []
    trained(make_recipe(*CLM_ONLY, "--max_steps", "0"), processing_class=tokenizer, on_row=rows.append)
    assert [row["text"] for row in rows if row["kind"] == "warning"] == [
        "The baby's tokenizer has no EOS, so text.append_eos does nothing: the baby cannot learn to stop."
    ]
    without = make_recipe(*CLM_ONLY, "--max_steps", "0", "--text.append_eos", "false", output_dir="without")
    rows.clear()
    trained(without, processing_class=tokenizer, on_row=rows.append)
    assert rows == []
