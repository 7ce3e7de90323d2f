"""Experiments that come with bambino: what each compares, on any recipe; and the nursery as a folder to run them on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import tiny_lm

from bambino import BambinoTrainer
from bambino.cli.main import main
from bambino.errors import ExperimentError, NurseryError
from bambino.evaluation.fluency import BitsPerByte
from bambino.evaluation.in_training import measures_of
from bambino.experiments.design import Experiment
from bambino.experiments.loading import load_experiment
from bambino.experiments.nursery.designs import Design
from bambino.experiments.nursery.folder import MODELS, WRONG_LANGUAGE, write_world
from bambino.experiments.outcomes import read_results, value_of
from bambino.experiments.runner import Runner
from bambino.experiments.source import questions, shipped_experiments
from bambino.feedback.settings import KINDS
from bambino.models.random_weights import randomize_weights
from bambino.nursery import Grammar
from bambino.recipe.file import dump_recipe, load_recipe
from bambino.recipe.settings import Recipe

PAPER = {"clm": 10, "ppo": 2}
Open = Callable[..., Experiment]


@pytest.fixture
def recipe_file(tmp_path: Path, baby_folder: Path, parent_folder: Path, text_file: Path) -> Path:
    """A recipe of tiny models, as a user would have one."""
    settings = {
        "baby": {"model": str(baby_folder)},
        "parent": {"model": str(parent_folder), "must_know_l2": False},
        "text": {"sources": [str(text_file)], "heldout_every": 5, "max_length": 40, "max_lines": 8},
        "replay": {"sources": [str(text_file)]},
        "batch_size": 4,
        "passes": 1,
        "clm": {"learning_rate": 1e-3},
        "rollout": {"prompt_tokens": 4, "max_new_tokens": 5},
        "evaluation": {"eval_steps": 2, "utterances": 0, "texts": {"it": [str(text_file)], "en": [str(text_file)]}},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


@pytest.fixture
def opened(tmp_path: Path, recipe_file: Path, text_file: Path) -> Open:
    """opened(name): an experiment that is shipped, on the tiny recipe."""
    written = tmp_path / "parent.txt"
    written.write_text(text_file.read_text(encoding="utf-8"), encoding="utf-8")
    given = {"parents": {"parents": "parents"}, "controls": {"parent_text": str(written)}}
    return lambda name, *words: load_experiment(name, given.get(name), recipe=recipe_file, settings=words)


def recipes(experiment: Experiment) -> dict[str, Recipe]:
    """Condition -> its recipe; all recipes were checked as the experiment was read."""
    return {name: experiment.run(name, "test", 347).recipe for name in experiment.conditions}


# ------------------------------------------------------------------------------------------------ what each compares


@pytest.mark.parametrize("name", shipped_experiments())
def test_a_shipped_experiment_can_be_tested_on_any_recipe(opened: Open, name: str, tmp_path: Path) -> None:
    experiment = opened(name)
    assert experiment.test == [347, 348, 349]
    assert experiment.question == questions()[name]
    runner = Runner(experiment, tmp_path / "out", tmp_path / "results")  # question, hypotheses, primary metric
    assert len(runner.left()) == 3 * len(experiment.conditions)
    assert {one.text.max_lines for one in recipes(experiment).values()} == {8}


def test_the_ablation_takes_the_paper_apart(opened: Open) -> None:
    found = recipes(opened("paper-ablation"))
    whole = found["bambino"]
    assert (whole.schedule.cycle, whole.schedule.blocked, whole.passes) == (PAPER, False, 1)
    assert found["untrained"] == replace(whole, passes=None, max_steps=0)
    assert found["scratch"] == replace(whole, baby=replace(whole.baby, random_weights=True))
    assert found["blocked"] == replace(whole, schedule=replace(whole.schedule, blocked=True))
    for name in ("clm", "ppo"):
        assert found[name] == replace(whole, schedule=replace(whole.schedule, cycle={name: 1}))


def test_ratios_replay_reference_and_parents_are_those_of_their_names(opened: Open) -> None:
    for name, one in recipes(opened("ratios")).items():
        clm, _, ppo = name.partition("-")
        assert one.schedule.cycle == ({"clm": int(clm), "ppo": int(ppo)} if ppo else {"clm": 1})
    replayed = {name: one.replay.share for name, one in recipes(opened("replay")).items()}
    assert replayed == {f"replay-{percent}": percent / 100 for percent in (0, 1, 5, 10, 25, 50)}
    for name, one in recipes(opened("reference")).items():
        assert one.ppo.reference == ("initial" if name == "clm" else name.replace("-", "_"))
    parents = {name: one.parent.model for name, one in recipes(opened("parents")).items()}
    others = ("small", "other-shape", "poor", "random", "wrong-language")
    assert {name: parents[name] for name in others} == {name: f"parents/{name}" for name in others}
    assert parents["parent"] == parents["clm"]


def test_thresholds_are_tau_times_beta(opened: Open) -> None:
    found = {name: one.feedback for name, one in recipes(opened("threshold")).items() if name != "clm"}
    grid = {name: (one["parent_perplexity"].to_dict()) for name, one in found.items()}
    assert {(one["tau"], one["beta_times_tau"]) for one in grid.values()} == {
        (tau, product) for tau in (50.0, 150.0, 450.0, None) for product in (0.15, 3.0)
    }


def test_each_kind_of_feedback_and_control_is_learned_from(opened: Open) -> None:
    kinds = {name: list(one.feedback) for name, one in recipes(opened("controls")).items()}
    assert (kinds["constant"], kinds["random"]) == (["constant"], ["random"])
    for name, one in recipes(opened("feedback")).items():
        phases = [kind.for_ for kind in one.feedback.values()]
        assert all(phase in one.schedule.phases for phase in phases)
        assert bool(phases) == (name != "none")


def test_what_is_equal_in_settings_shares_its_result_across_experiments(opened: Open) -> None:
    names = {"paper-ablation": "bambino", "ratios": "10-2", "parents": "parent", "controls": "bambino"}
    assert len({opened(name).run(condition, "test", 347).fingerprint for name, condition in names.items()}) == 1


# ------------------------------------------------------------------------------------ recipe, settings and variables


def test_settings_given_win_over_the_files_and_conditions_win_over_them(opened: Open) -> None:
    found = recipes(opened("paper-ablation", "--schedule.cycle={clm: 5, ppo: 1}", "--passes=3"))
    assert found["bambino"].schedule.cycle == {"clm": 5, "ppo": 1}
    assert (found["clm"].schedule.cycle, found["clm"].passes, found["untrained"].passes) == ({"clm": 1}, 3, None)
    with pytest.raises(ExperimentError, match="--seed is set by the experiment"):
        opened("paper-ablation", "--seed=1")


def test_a_variable_may_have_a_value_of_its_own(tmp_path: Path, recipe_file: Path) -> None:
    def primary(name: str, variables: dict[str, str]) -> str:
        return load_experiment(name, variables, recipe=recipe_file).primary

    assert primary("ratios", {}) == "bits_per_byte/it"
    assert primary("ratios", {"l2": "en"}) == "bits_per_byte/en"
    # One place without a value of its own, and it must be given.
    text = shipped_experiments()["ratios"].replace("primary: bits_per_byte/${l2:it}", "primary: bits_per_byte/${l2}")
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ExperimentError, match="--set l2=VALUE"):
        primary(str(tmp_path / "own.yaml"), {})


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("baby", "baby.model is not given.*--baby.model PATH"),
        ("parent", "parent.model is not given"),
        ("text", "text.sources is not given"),
        ("replay", "replay.sources is not given"),
    ],
)
def test_what_no_run_could_begin_without_is_told_before(
    opened: Open, recipe_file: Path, left_out: str, said: str
) -> None:
    settings = yaml.safe_load(recipe_file.read_text(encoding="utf-8"))
    del settings[left_out]
    recipe_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(ExperimentError, match=said):
        opened("replay")


def test_names_are_listed_and_a_wrong_one_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "--list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == sorted(shipped_experiments())
    assert main(["experiment", "ratios", "--list"]) == 0
    assert capsys.readouterr().out == shipped_experiments()["ratios"]
    assert main(["experiment", "ratio"]) == 2
    assert "Did you mean ratios?" in capsys.readouterr().err
    assert main(["experiment"]) == 2
    assert "--list" in capsys.readouterr().err
    assert main(["experiment", "ratios", "--pases", "2"]) == 2
    assert "Did you mean passes?" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ untrained, and from scratch


def test_an_experiment_of_an_untrained_baby_and_one_without_a_first_language(
    tmp_path: Path, recipe_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(shipped_experiments()["paper-ablation"])
    content["conditions"] = {name: content["conditions"][name] for name in ("untrained", "scratch")}
    content |= {"seeds": {"test": [347]}, "baseline": "untrained"}
    file, out, results = tmp_path / "two.yaml", tmp_path / "out", tmp_path / "results"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    experiment = load_experiment(file, recipe=recipe_file, settings=("--schedule.cycle={clm: 2}",))
    runs = {name: experiment.run(name, "test", 347) for name in experiment.conditions}
    folders = {name: str(out / run.name) for name, run in runs.items()}
    for name, run in runs.items():
        (tmp_path / f"{name}.yaml").write_text(dump_recipe(run.recipe), encoding="utf-8")
        assert main(["train", str(tmp_path / f"{name}.yaml"), "--output_dir", folders[name]]) == 0

    # What is whole is read, and not done again.
    words = ["--recipe", str(recipe_file), "--schedule.cycle", "{clm: 2}", "--out", str(out), "--results", str(results)]
    assert main(["experiment", str(file), *words, "--workers", "1"]) == 0
    found = {one["condition"]: one for one in read_results(results).values()}
    untrained, scratch = found["untrained"]["evaluations"], found["scratch"]["evaluations"]
    assert ([row["step"] for row in untrained], [row["step"] for row in scratch]) == ([0], [0, 2])
    assert scratch[0]["eval/bits_per_byte/it"] != untrained[0]["eval/bits_per_byte/it"]
    assert value_of(found["untrained"], "total/words_heard") == 0
    assert value_of(found["scratch"], "total/words_heard") > 0
    assert found["scratch"]["made_of"]["baby"] == found["untrained"]["made_of"]["baby"]  # what was opened

    capsys.readouterr()
    assert main(["train", "--resume", folders["untrained"]]) == 0
    assert "Finished before" in capsys.readouterr().out
    assert main(["compare", *folders.values()]) == 2
    assert "no L2 gain in common" in capsys.readouterr().err
    assert "with random weights" in (Path(folders["scratch"]) / "model" / "README.md").read_text(encoding="utf-8")


def test_random_weights_are_a_new_models_by_the_seed_and_leave_its_shape() -> None:
    one, same, other = (tiny_lm("gpt2") for _ in range(3))
    before = torch.get_rng_state()
    for lm, seed in ((one, 1), (same, 1), (other, 2)):
        randomize_weights(lm, seed)
    assert torch.equal(torch.get_rng_state(), before)
    bits = [lm.state_dict() for lm in (one, same, other, tiny_lm("gpt2"))]
    name = "transformer.h.0.attn.c_attn.weight"
    assert torch.equal(bits[0][name], bits[1][name])
    assert not torch.equal(bits[0][name], bits[2][name])
    assert not torch.equal(bits[0][name], bits[3][name])
    assert one.lm_head.weight is one.transformer.wte.weight
    assert float(bits[0][name].std()) == pytest.approx(0.02, rel=0.1)  # GPT-2's initializer_range
    assert bits[0]["transformer.ln_f.weight"].tolist() == [1.0] * 32


def test_a_baby_from_scratch_that_was_stopped_ends_in_the_same_bits(recipe_file: Path, tmp_path: Path) -> None:
    def end(name: str, stops_at: int | None) -> dict[str, torch.Tensor]:
        words = ["--baby.random_weights=true", "--schedule.cycle={clm: 1, ppo: 1}", "--ppo.learning_rate=1e-3"]
        recipe = load_recipe(recipe_file, [*words, f"--output_dir={tmp_path / name}"], kinds=KINDS)

        def on_row(row: dict[str, Any]) -> None:
            trainer.stop_requested = row["kind"] == "step" and row["step"] == stops_at

        trainer = BambinoTrainer(args=recipe, on_row=on_row)
        trainer.train()
        if stops_at is not None:
            trainer = BambinoTrainer(args=recipe)
            trainer.train(resume_from_checkpoint=True)
        return trainer.baby.state_dict()

    whole, stopped = end("whole", None), end("stopped", 2)
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in whole.items())


# ---------------------------------------------------------------------------------------------- the nursery as a folder

TINY = Design("tiny", base_lines=200, base_steps=2, l2_lines=40, cycles=1, evaluations=1, test_sentences=4, doublets=1,
              hidden_size=16, layers=2, context=96)  # fmt: skip


def test_every_experiment_runs_on_a_world(tmp_path: Path) -> None:
    world, told = tmp_path / "world", list[str]()
    with ThreadPoolExecutor(1) as pool:
        write_world(world, TINY, 1, pool, told.append)
        assert sorted(told[1:-1]) == sorted(model.name for model in MODELS)
        told.clear()
        write_world(world, TINY, 1, pool, told.append)
        assert told == ["texts and minimal pairs", "text by the parent"]
        with pytest.raises(NurseryError, match="size tiny, language it, seed 1"):
            write_world(world, TINY, 2, pool, told.append)
    assert not (world / "training").exists()
    given = {"parents": {"parents": str(world / "parents")}, "controls": {"parent_text": str(world / "parent.txt")}}
    for name in shipped_experiments():
        for one in recipes(load_experiment(name, given.get(name), recipe=world / "recipe.yaml")).values():
            assert Path(str(one.parent.model), "model.safetensors").is_file()
    models = json.loads((world / "models.json").read_text(encoding="utf-8"))
    assert list(models) == [*(model.name for model in MODELS), WRONG_LANGUAGE]
    assert models["baby"] == models[WRONG_LANGUAGE]

    # The truth is that of the very lines that a run is evaluated on.
    recipe = load_recipe(world / "recipe.yaml", ["--evaluation.split=test", "--evaluation.utterances=0"], kinds=KINDS)
    (lines,) = (one.lines for one in measures_of(recipe) if isinstance(one, BitsPerByte) and one.name.endswith("/it"))
    grammar = Grammar.load("it")
    bits = [-grammar.log_probability(line) / math.log(2) for line in lines]
    truth = json.loads((world / "truth.json").read_text(encoding="utf-8"))
    assert truth["it"]["test"] == pytest.approx(sum(bits) / sum(len(line.encode()) for line in lines))


def test_a_world_takes_no_file_and_is_of_another_language_than_the_babys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nursery", "--lang", "it", "--world", str(tmp_path / "w"), "--out", "it.txt"]) == 2
    assert main(["nursery", "--lang", "it", "--lines", "3"]) == 2
    assert capsys.readouterr().err.count("--out FILE goes with --lines and --pairs") == 2
    assert main(["nursery", "--lang", "en", "--world", str(tmp_path / "w")]) == 2
    assert "what the baby speaks already" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
