"""Revisions: exact to the batch, the same after a kill, opened from a folder and from the hub, uploaded as branches."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from stand_in_hub import stand_in_hub
from transformers import AutoModelForCausalLM

from bambino import BambinoTrainer, Recipe
from bambino.cli.main import main
from bambino.errors import ModelError, PlanError, RecipeError
from bambino.evaluation.plan import Plan
from bambino.evaluation.subject import first_baby, subject_of
from bambino.files import sha256
from bambino.models.loading import load_lm
from bambino.models.revisions import STEPS, name_of, reached, revisions_in, words_of
from bambino.recipe.model_settings import BabyConfig, ModelConfig
from bambino.runs.ledger import LEDGER, read_ledger
from bambino.runs.record import read_run

Make = Callable[..., Recipe]
CLM = ("--schedule.cycle", "{clm: 1}", "--parent.model", "null", "--max_steps", "5")
KEPT = (*CLM, "--baby.words", "100", "--revisions", "50")


def weights(folder: Path) -> torch.Tensor:
    lm = AutoModelForCausalLM.from_pretrained(folder)
    return torch.cat([parameter.detach().flatten() for parameter in lm.parameters()])


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def run(make_recipe: Make) -> Path:
    """A run of five steps whose baby had heard 100 words before."""
    recipe = make_recipe(*KEPT, "--save_steps", "1", "--save_total_limit", "9", output_dir="kept")
    BambinoTrainer(args=recipe).train()
    return Path(recipe.output_dir)


def test_revisions_have_the_names_that_babylm_looks_for() -> None:
    names = [name_of(step * 1_000_000) for step in STEPS]
    ones, tens = [f"chck_{n}M" for n in range(1, 10)], [f"chck_{n}0M" for n in range(1, 10)]
    assert names == [*ones, *tens, *[f"chck_{n}00M" for n in range(1, 11)]]
    assert [name_of(words) for words in (50_000, 1500, 7)] == ["chck_50K", "chck_1500", "chck_7"]
    assert [words_of(name) for name in ("chck_50K", "chck_1500", "chck_2M")] == [50_000, 1500, 2_000_000]
    assert [words_of(name) for name in ("chck_", "chck_1000K", "main", "chck_2G", "chck_0")] == [None] * 5


def test_a_revision_is_reached_once_by_the_step_that_comes_to_its_words() -> None:
    million = 1_000_000
    assert reached(0.0, 999_999.0, million) == []
    assert reached(999_999.0, 1_000_000.0, million) == ["chck_1M"]
    assert reached(1_000_000.0, 1_000_001.0, million) == []
    assert reached(8.5 * million, 30 * million, million) == ["chck_9M", "chck_10M", "chck_20M", "chck_30M"]


def test_a_revision_is_the_baby_after_the_first_batch_that_reaches_its_words(run: Path) -> None:
    rows = read_run(run).steps
    heard = [100, *(int(row["ledger/words_heard"]) for row in rows)]
    names = [name for name in revisions_in(run) if name != "main"]
    assert len(names) > 3
    for name in names:
        wanted = words_of(name) or 0
        step = next(step for step, words in enumerate(heard) if words >= wanted)
        assert heard[step - 1] < wanted
        folder = run / "revisions" / name
        assert torch.equal(weights(folder), weights(run / "checkpoints" / f"step-{step:07d}" / "model"))
        assert read_ledger(folder / LEDGER).heard.words == heard[step]
    assert min(words_of(name) or 0 for name in names) > 100  # what it had heard before the run is over
    assert max(heard) < (words_of(names[-1]) or 0) + 500


def test_a_run_that_was_killed_leaves_the_same_revisions(run: Path, make_recipe: Make) -> None:
    killed = make_recipe(*KEPT, "--save_steps", "2", output_dir="killed")

    def kill(row: dict[str, Any]) -> None:
        if row.get("kind") == "step" and row["step"] == 4:  # one step beyond its last checkpoint
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BambinoTrainer(args=killed, on_row=kill).train()
    BambinoTrainer(args=killed).train(resume_from_checkpoint=True)
    assert digests(Path(killed.output_dir) / "revisions") == digests(run / "revisions") != {}


def test_a_revision_is_opened_from_a_folder_by_its_name(run: Path, make_recipe: Make) -> None:
    name, *_, last = (name for name in revisions_in(run) if name != "main")
    of_run = load_lm(ModelConfig(str(run), name), "baby")
    of_model = load_lm(ModelConfig(str(run / "model"), name), "baby")
    there = weights(run / "revisions" / name)
    for lm in (of_run, of_model):
        assert torch.equal(torch.cat([p.detach().flatten() for p in lm.parameters()]), there)
    assert torch.equal(weights(revisions_in(run)["main"]), weights(run / "model"))
    with pytest.raises(ModelError, match=rf"has no revision chck_9M. There are: {name}, .*{last}, main"):
        load_lm(ModelConfig(str(run), "chck_9M"), "baby")
    plan = Plan(revision=name, l1_text=["x"])
    assert subject_of(str(run), plan).name == f"{run}, {name}"
    with pytest.raises(PlanError, match=r"checkpoints: .* is no run directory"):
        subject_of(str(run), replace(plan, checkpoints=True))
    grown = make_recipe(
        "--baby.model", str(run), "--baby.revision", name, *CLM, "--max_steps", "1", "--revisions", "50"
    )
    BambinoTrainer(args=grown).train()
    folder = Path(grown.output_dir)
    before = read_ledger(run / "revisions" / name / LEDGER).heard.words
    row = read_run(folder).steps[-1]
    assert row["ledger/words_heard"] == before + row["total/words_heard"]
    assert first_baby(folder) == str(run / "revisions" / name)
    mine = revisions_in(folder)
    assert next(iter(mine)) == name  # as the run that raised it kept it
    assert digests(mine[name]) == digests(run / "revisions" / name)
    assert last not in mine


def test_revisions_count_a_life_that_is_known(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match="revisions = 50 counts words of a whole life, but nobody says"):
        BambinoTrainer(args=make_recipe("--revisions", "50")).train()
    assert BabyConfig().words is None


def test_a_run_is_pushed_with_its_revisions_as_branches(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stand_in_hub() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        assert main(["push", str(run), "nonna/bambino"]) == 0
        found = revisions_in(run)
        assert capsys.readouterr().out.split() == [*found, f"{hub.address}/nonna/bambino"]
        branches = hub.repositories["nonna/bambino"]
        assert list(branches) == ["main", *(name for name in found if name != "main")]
        for name, folder in found.items():
            sent = {path: content for path, content in branches[name].items() if path != ".gitattributes"}
            assert sent == {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        cards = [json.loads(branches[name][LEDGER])["sums"]["heard"]["words"] for name in found]
        assert cards == sorted(cards)
    name = next(iter(found))
    for path, content in branches[name].items():
        (tmp_path / path).write_bytes(content)
    lm = load_lm(ModelConfig(str(tmp_path)), "baby")
    there = weights(run / "revisions" / name)
    assert torch.equal(torch.cat([p.detach().flatten() for p in lm.parameters()]), there)


def test_what_cannot_be_pushed_is_said(tmp_path: Path, make_recipe: Make, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = make_recipe("--max_steps", "2")
    trainer = BambinoTrainer(args=recipe)
    trainer.stop_requested = True
    trainer.train()
    assert main(["push", recipe.output_dir, "nonna/bambino"]) == 2
    assert "has no trained model yet. Go on with bambino train --resume" in capsys.readouterr().err
    assert main(["push", str(tmp_path), "nonna/bambino"]) == 2
    assert "recipe.yaml" in capsys.readouterr().err
