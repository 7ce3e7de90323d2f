"""Models between a first and a last one: by hand, from the command line, and what their sweep says of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import italian_lines, make_tokenizer, tiny_lm

from bambino import BambinoTrainer, ModelError, Recipe, measures_of
from bambino.analysis.interpolation import load_sweep, swept
from bambino.cli.main import main
from bambino.errors import CurveError, PlanError, ResultsError
from bambino.evaluation.interpolation import between, sweep
from bambino.models.averaging import interpolated
from bambino.models.loading import load_lm, load_tokenizer
from bambino.recipe.model_settings import ModelConfig
from bambino.report.tables import sweep_table
from bambino.speaking.speaker import Speaker

Make = Callable[..., Recipe]


@pytest.fixture
def run(make_recipe: Make, text_file: Path, tmp_path: Path) -> Recipe:
    """A finished run that was measured at its beginning and its end, on two texts."""
    english = tmp_path / "english.txt"
    english.write_text("\n".join(line.upper() for line in text_file.read_text("utf-8").splitlines()), encoding="utf-8")
    texts = f"{{it: [{text_file}], en: [{english}]}}"
    settings = ("--schedule.cycle", "{clm: 1}", "--max_steps", "4", "--clm.learning_rate", "1e-2")
    recipe = make_recipe(*settings, "--evaluation.texts", texts, "--evaluation.eval_steps", "4")
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    return recipe


# ------------------------------------------------------------------------------------------------------------ models


def test_the_ends_are_the_models_to_the_bit_and_the_middle_is_their_mean() -> None:
    first, last = tiny_lm("opt", seed=1), tiny_lm("opt", seed=2)
    quarter = interpolated(first, last, 0.25)
    for name, parameter in interpolated(first, last, 0.0).named_parameters():
        assert torch.equal(parameter, first.get_parameter(name))
    for name, parameter in interpolated(first, last, 1.0).named_parameters():
        assert torch.equal(parameter, last.get_parameter(name))
    for name, parameter in quarter.named_parameters():
        expected = 0.75 * first.get_parameter(name) + 0.25 * last.get_parameter(name)
        torch.testing.assert_close(parameter, expected)


def test_models_of_other_shapes_or_tokenizers_have_nothing_between_them() -> None:
    with pytest.raises(ModelError, match="have nothing between them"):
        interpolated(tiny_lm("opt"), tiny_lm("gpt2"), 0.5)
    with pytest.raises(ModelError, match="have nothing between them"):
        interpolated(tiny_lm("opt"), tiny_lm("opt", vocab_size=400), 0.5)
    one, other = (Speaker(tiny_lm("opt"), make_tokenizer(vocab_size=size)) for size in (320, 310))
    with pytest.raises(ModelError, match="tokenizers differ"):
        between(one, other, 0.5)


# ------------------------------------------------------------------------------------------------------------- sweep


def test_gains_losses_and_front_by_hand(tmp_path: Path) -> None:
    scores = {
        1.0: {"bits_per_byte/it": 2.0, "bits_per_byte/en": 3.0, "pairs/en": 0.5},
        0.0: {"bits_per_byte/it": 4.0, "bits_per_byte/en": 2.0, "pairs/en": 0.75},
        0.5: {"bits_per_byte/it": 3.0, "bits_per_byte/en": 2.25, "pairs/en": 0.75},
        0.75: {"bits_per_byte/it": 2.0, "bits_per_byte/en": 2.5, "pairs/en": 0.625},
    }
    ends: dict[str, Any] = {"first": "a", "last": "b"}
    found = swept(scores, **ends, l1="bits_per_byte/en", l2="bits_per_byte/it", measured={})
    assert [blend.share for blend in found.blends] == [0.0, 0.5, 0.75, 1.0]
    assert [blend.l2_gain for blend in found.blends] == [0.0, 1.0, 2.0, 2.0]
    assert [blend.l1_loss for blend in found.blends] == [0.0, 0.25, 0.5, 1.0]
    assert found.on_front == [0.0, 0.5, 0.75]  # the last gains no more than 0.75 and loses more
    assert load_sweep(found.save(tmp_path)) == load_sweep(tmp_path) == found
    assert sweep_table(found)[3] == ["0.75", "2.000", "2.500", "0.625", "2.000", "0.500", "*"]
    by_pairs = swept(scores, **ends, l1="pairs/en", l2="bits_per_byte/it", measured={})
    assert [blend.l1_loss for blend in by_pairs.blends] == [0.0, 0.0, 0.125, 0.25]


def test_what_cannot_be_swept_or_read_is_refused(tmp_path: Path) -> None:
    speaker = Speaker(tiny_lm("opt"), make_tokenizer())
    with pytest.raises(PlanError, match=r"curves: bits_per_byte/en is not measured\. Measures are: none"):
        sweep(speaker, speaker, [], [0.5], ("bits_per_byte/en", "bits_per_byte/it"))
    with pytest.raises(CurveError, match="no better direction"):
        sweep(speaker, speaker, [], [0.5], ("speech/words", "bits_per_byte/it"))
    (tmp_path / "interpolation.json").write_text("{}")
    with pytest.raises(ResultsError, match="no result of bambino interpolate"):
        load_sweep(tmp_path)


# -------------------------------------------------------------------------------------------------------- command line


def test_the_ends_of_a_runs_sweep_are_its_evaluations(run: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interpolate", run.output_dir, "--at", "0.5,1"]) == 0
    found = load_sweep(Path(run.output_dir) / "evaluation")
    rows = [json.loads(line) for line in (Path(run.output_dir) / "metrics.jsonl").read_text("utf-8").splitlines()]
    before, after = (row for row in rows if row["kind"] == "evaluation")
    assert [blend.share for blend in found.blends] == [0.0, 0.5, 1.0]
    for blend, row in ((found.blends[0], before), (found.blends[2], after)):
        assert blend.scores == {name: row[f"eval/{name}"] for name in ("bits_per_byte/it", "bits_per_byte/en")}
    assert after["eval/bits_per_byte/it"] < before["eval/bits_per_byte/it"]
    said = capsys.readouterr().out
    assert "L2 gain L1 loss front" in " ".join(said.split())
    assert "No other share gains more L2 for less L1 than:" in said


def test_a_model_between_is_saved_as_transformers_opens_it(
    run: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interpolate", run.output_dir, "--save", "0.5", str(tmp_path / "blend")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/blend opens with AutoModelForCausalLM.from_pretrained.\n"
    blend, first, last = (
        load_lm(ModelConfig(str(path)), "baby")
        for path in (tmp_path / "blend", run.baby.model, f"{run.output_dir}/model")
    )
    load_tokenizer(ModelConfig(str(tmp_path / "blend")), "baby", blend)
    expected = interpolated(first, last, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(blend.parameters(), expected.parameters(), strict=True))
    assert not (Path(run.output_dir) / "evaluation").exists()


def test_two_models_are_measured_by_what_is_given(run: Recipe, tmp_path: Path) -> None:
    models = [str(run.baby.model), f"{run.output_dir}/model"]
    text = tmp_path / "it.txt"
    text.write_text("\n".join(italian_lines(400, seed=3)), encoding="utf-8")  # of which one is held out by default
    words = ["--evaluation.texts", f"{{it: [{text}], en: [{text}]}}", "--evaluation.max_lines", "1"]
    assert main(["interpolate", *models, "--output_dir", str(tmp_path / "found"), "--at", "1", *words]) == 0
    found = load_sweep(tmp_path / "found")
    assert (found.first, found.last) == (models[0], models[1])
    assert found.measured["bits_per_byte/it"]["lines"] == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["<run>", "--at", "0.5,2"], "--at: '2' is no share of the way. Give a number from 0 to 1."),
        (["<run>", "--save", "half", "blend"], "--save: 'half' is no share of the way."),
        (["<run>", "--save", "0.5", "<run>/model"], "holds a run, or one of the two models"),
        (["<run>", "--save", "0.5", "<run>"], "is the run's own"),
        (["<baby>"], "is no run directory. Give two models: bambino interpolate FIRST"),
        (["<baby>", "<run>/model"], "Say where the results shall go: --output_dir"),
        (["a", "b", "c"], "'c' is one model too many"),
        (["<run>", "--evaluation.txts", "1"], "Did you mean evaluation.texts?"),
        (["<run>", "--curves", "pairs/en", "pairs/it"], "curves: pairs/en is not measured. Measures are: bits_per"),
    ],
)
def test_what_is_wrong_is_said(
    run: Recipe, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"<run>": run.output_dir, "<baby>": str(run.baby.model)}
    for name, path in names.items():
        words = [word.replace(name, path) for word in words]
    assert main(["interpolate", *words]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
