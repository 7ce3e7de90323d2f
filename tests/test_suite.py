"""`bambino evaluate`, `compare` and `lm-eval-tasks`, end to end on tiny models and files."""

from __future__ import annotations

import json
import math
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import italian_lines, tiny_lm

from bambino import BambinoTrainer, Recipe, measures_of
from bambino.analysis.acquisition import load_order
from bambino.analysis.results import load_results
from bambino.cli.main import main
from bambino.errors import PlanError
from bambino.evaluation.plan import Plan, suites
from bambino.evaluation.subject import subject_of
from bambino.evaluation.suite import evaluate
from bambino.text.heldout import is_heldout

FLIPPED = [("il gatto ama il cane", "il gatto ama la cane"), ("la nonna vede il mare", "la nonna vedono il mare")]


@pytest.fixture
def tests_folder(tmp_path: Path) -> Path:
    """Two sets of pairs, a classification task and text."""
    folder = tmp_path / "tests"
    folder.mkdir()

    def write(name: str, items: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (folder / name).write_text(text, encoding="utf-8")

    pairs = [{"sentence_good": good, "sentence_bad": bad, "UID": f"u{i}"} for i, (good, bad) in enumerate(FLIPPED)]
    write("agreement.jsonl", pairs * 3)
    write("forms.jsonl", [{"prefix": "il gatto", "good_form": "vede", "bad_form": "vedono"}] * 2)
    irony = [{"text": line, "irony": i % 2, "split": "test"} for i, line in enumerate(italian_lines(6))]
    write("ironita2018.jsonl", irony)
    write("sentences.jsonl", [{"text": line} for line in italian_lines(5, seed=1)])
    return folder


@pytest.fixture
def text(text_file: Path) -> list[str]:
    return [str(text_file)]


def test_every_test_in_the_folder_is_run_and_saved(
    baby_folder: Path, tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", str(baby_folder), "--data", str(tests_folder), "--output_dir", str(out)]) == 0
    results = load_results(out)
    assert set(results.tasks) == {"pairs/agreement", "pairs/forms", "tasks/ironita", "bits_per_byte/sentences"}
    assert results.tasks["pairs/agreement"].main.items == 6
    assert results.tasks["tasks/ironita"].main.chance == 0.5
    assert results.settings["data"] == str(tests_folder)
    assert "torch" in results.environment["packages"]
    assert f"All scores: {out / 'results.json'}" in capsys.readouterr().out


def test_a_limit_holds_for_every_test(baby_folder: Path, tests_folder: Path) -> None:
    results = evaluate(str(baby_folder), Plan(data=str(tests_folder), max_items=2)).results
    assert [task.main.items for task in results.tasks.values()] == [2, 2, 2, 2]


def test_only_the_tests_asked_for_are_run(baby_folder: Path, tests_folder: Path) -> None:
    results = evaluate(str(baby_folder), Plan(data=str(tests_folder), tasks=["forms"])).results
    assert list(results.tasks) == ["pairs/forms"]


def test_tests_of_a_suite_that_the_data_lack_are_left_out_by_name(baby_folder: Path, tests_folder: Path) -> None:
    results = evaluate(str(baby_folder), Plan(data=str(tests_folder), suite="paper")).results
    assert list(results.tasks) == ["tasks/ironita"]
    assert results.left_out.keys() == {"blimp", "sentipolc", "textual_entailment", "haspeede", "eventi", "facta"}
    assert results.left_out["blimp"] == f"no file for it in {tests_folder}"


def test_an_unknown_test_is_refused_with_those_that_exist(
    baby_folder: Path, tests_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(tests_folder), "--tasks", "[from]", "--output_dir", "out"]
    assert main(["evaluate", str(baby_folder), *words]) == 2
    assert "there is no test from. Did you mean forms? There are: agreement, forms" in capsys.readouterr().err


def test_the_untrained_baby_stands_beside_the_trained_one(
    baby_folder: Path, tests_folder: Path, tmp_path: Path
) -> None:
    plan = Plan(data=str(tests_folder), tasks=["ironita"])
    folder = tmp_path / "untrained"
    evaluate(str(baby_folder), plan).results.save(folder)
    results = evaluate(str(baby_folder), Plan(data=str(tests_folder), tasks=["ironita"], untrained=str(folder))).results
    scores = {score.name: score for score in results.tasks["tasks/ironita"].scores}
    assert scores["tasks/ironita/gain"].value == 0.0
    assert scores["tasks/ironita/untrained"].value == scores["tasks/ironita"].value


def test_what_has_no_score_by_item_stands_beside_the_untrained_babys_without_a_gain(
    baby_folder: Path, parent_folder: Path, text: list[str], tmp_path: Path
) -> None:
    plan = Plan(l2_text=text, parent=str(parent_folder), heldout_every=10, max_lines=4, prompts=3)
    evaluate(str(baby_folder), plan).results.save(tmp_path / "untrained")
    results = evaluate(str(baby_folder), replace(plan, untrained=str(tmp_path / "untrained"))).results
    scores = {score.name: score.value for score in results.tasks["speech"].scores}
    assert scores["speech/perplexity_ratio/baby/untrained"] == scores["speech/perplexity_ratio/baby"]
    assert "speech/perplexity_ratio/baby/gain" not in scores
    gains = {score.name: score.value for score in results.tasks["bits_per_byte/l2"].scores}
    assert gains["bits_per_byte/l2/gain"] == 0.0


def test_a_task_that_no_reference_can_do_is_called_uninformative(
    baby_folder: Path, tests_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "reference"
    evaluate(str(baby_folder), Plan(data=str(tests_folder), tasks=["ironita"])).results.save(folder)
    plan = Plan(data=str(tests_folder), tasks=["ironita", "forms"], references=[str(folder)])
    tasks = evaluate(str(baby_folder), plan).results.tasks
    assert tasks["tasks/ironita"].verdict.startswith("uninformative (no reference is above chance)")
    assert "uninformative" not in tasks["pairs/forms"].verdict  # the reference was not tried on it


def test_text_gives_fluency_in_both_languages_and_a_parent_hears_the_baby(
    baby_folder: Path, parent_folder: Path, text: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    english = tmp_path / "english.txt"
    english.write_text("\n".join(f"the cat number {i} sees a house" for i in range(60)), encoding="utf-8")
    out = tmp_path / "out"
    words = ["--l1_text", f"[{english}]", "--l2_text", f"[{text[0]}]", "--parent", str(parent_folder)]
    few = ["--prompts", "4", "--max_lines", "5", "--heldout_every", "10", "--output_dir", str(out)]
    assert main(["evaluate", str(baby_folder), *words, *few]) == 0, capsys.readouterr().err
    results = load_results(out)
    assert list(results.tasks) == ["bits_per_byte/l1", "bits_per_byte/l2", "speech"]
    names = {score.name for score in results.tasks["speech"].scores}
    assert {"speech/perplexity_ratio/baby", "speech/l1_words/baby", "speech/attested/baby"} <= names
    said = json.loads((out / "speech.json").read_text(encoding="utf-8"))
    assert len(said["examples"]) == 4
    assert said["examples"][0]["human"]


def test_a_run_is_evaluated_with_its_own_parent_and_curves(
    make_recipe: Callable[..., Recipe], text: list[str], parent_folder: Path
) -> None:
    recipe = make_recipe(
        "--evaluation.eval_steps", "3", "--evaluation.texts", f"{{it: [{text[0]}], en: [{text[0]}]}}"
    )  # fmt: skip
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    plan = Plan(l2_text=text, heldout_every=2, max_lines=100, prompts=2, pro_drop=True)
    assert subject_of(recipe.output_dir, plan).parent == str(parent_folder)
    results = evaluate(recipe.output_dir, plan).results
    assert list(results.tasks) == ["bits_per_byte/l2", "speech", "overt_subjects", "forgetting"]
    assert results.tasks["forgetting"].main.name == "forgetting/backward_transfer"
    # The run held out one line in 10, not in 2.
    lines = Path(text[0]).read_text(encoding="utf-8").splitlines()
    assert results.tasks["bits_per_byte/l2"].main.items == sum(is_heldout(line, 10) for line in lines)
    assert results.left_out == {}


def test_every_checkpoint_of_a_run_is_measured_with_the_baby_before_it(
    make_recipe: Callable[..., Recipe], text: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    english = tmp_path / "english.txt"
    english.write_text("\n".join(f"{line} there you are" for line in italian_lines(60, seed=5)), encoding="utf-8")
    texts = f"{{it: [{text[0]}], en: [{english}]}}"
    recipe = make_recipe("--save_steps", "2", "--save_total_limit", "9", "--evaluation.eval_steps", "2",
                         "--evaluation.texts", texts)  # fmt: skip
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    steps = [0, *range(2, recipe.max_steps, 2), recipe.max_steps]
    words = ["--l1_text", f"[{english}]", "--l2_text", f"[{text[0]}]", "--prompts", "2", "--checkpoints", "true"]
    assert main(["evaluate", recipe.output_dir, *words, "--levels", "[9, 0.1]", "--gains", "[0]"]) == 0
    folder = Path(recipe.output_dir, "evaluation")
    curves = json.loads((folder / "curves.json").read_text(encoding="utf-8"))
    assert curves["steps"] == steps
    assert curves["words"][0] == 0
    assert curves["words"][-1] > 0
    results = [load_results(folder / f"step-{step:07d}") for step in steps[:-1]] + [load_results(folder)]
    for name in ("bits_per_byte/l2", "speech/l1_words/baby", "bilingual/score"):
        every = [{s.name: s.value for task in those.tasks.values() for s in task.scores} for those in results]
        assert curves["scores"][name] == [scores[name] for scores in every]
    # The first baby holds all of its L1 and has come no way in L2; the last age is the trained model.
    first = {score.name: score.value for score in results[0].tasks["bilingual"].scores}
    assert (first["bilingual/l1_retention"], first["bilingual/l2_attainment"]) == (1.0, 0.0)
    known = {score.name: score.value for score in results[-1].tasks["forgetting"].scores}
    assert known["forgetting/words_to_reach/9"] == 0
    assert math.isnan(known["forgetting/words_to_reach/0.1"])
    assert known["forgetting/l1_loss_at_gain/0"] == 0
    assert "forgetting" not in results[0].tasks
    assert "after so many steps" in capsys.readouterr().out
    # The gain is over what the baby was before the run.
    gain = next(x for x in results[1].tasks["bits_per_byte/l2"].scores if x.name.endswith("/gain"))
    before, after = curves["scores"]["bits_per_byte/l2"][:2]
    assert gain.value == pytest.approx(before - after)  # fewer bits are better


def test_two_runs_are_compared_at_equal_gain_and_by_their_results(
    make_recipe: Callable[..., Recipe], text: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = []
    for name, cycle in (("heard", "{clm: 1}"), ("both", "{clm: 10, ppo: 2}")):
        texts = f"{{it: [{text[0]}], en: [{text[0]}]}}"
        where = ("--output_dir", str(tmp_path / name), "--schedule.cycle", cycle, "--clm.learning_rate", "1e-3")
        recipe = make_recipe(*where, "--evaluation.texts", texts, "--evaluation.eval_steps", "3")
        BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
        runs.append(str(tmp_path / name))
    assert main(["compare", *runs]) == 0
    shown = capsys.readouterr().out
    assert "One: heard. Other: both." in " ".join(shown.split())
    assert "Mean L1 loss over all gains, one - other:" in shown
    assert "no other run gains more L2 for less L1 than: " in shown
    assert "McNemar" not in shown
    for run in runs:
        assert main(["evaluate", run, "--l2_text", f"[{text[0]}]", "--prompts", "0"]) == 0
    capsys.readouterr()
    assert main(["compare", *runs]) == 0
    assert "bits_per_byte" in capsys.readouterr().out
    assert main(["compare", "--ones", *runs, "--others", *reversed(runs)]) == 0
    assert "2 pairs of runs" in capsys.readouterr().out
    assert main(["compare", *runs, "--curves", "bits_per_byte/en", "bits_per_byte/de"]) == 2
    assert "no measure 'bits_per_byte/de'" in capsys.readouterr().err
    assert main(["compare", "--ones", *runs, "--others", runs[0]]) == 2
    assert "2 runs against 1" in capsys.readouterr().err


def test_what_is_left_of_a_run_is_measured_at_its_own_age(
    make_recipe: Callable[..., Recipe], text: list[str], tmp_path: Path
) -> None:
    recipe = make_recipe("--save_steps", "2", "--save_total_limit", "9")
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    run, folder = Path(recipe.output_dir), Path(recipe.output_dir, "evaluation")
    words = ["evaluate", str(run), "--l2_text", f"[{text[0]}]", "--prompts", "0", "--checkpoints", "true"]

    def steps() -> list[int]:
        assert main(words) == 0
        found: list[int] = json.loads((folder / "curves.json").read_text(encoding="utf-8"))["steps"]
        return found

    assert steps() == [0, 2, 4, 6]
    shutil.rmtree(run / "checkpoints" / "step-0000006")  # the trained model was saved at step 6 too
    assert steps() == [0, 2, 4, 6]
    recipe_file = run / "recipe.yaml"
    recipe_file.write_text(recipe_file.read_text().replace(str(recipe.baby.model), str(tmp_path / "gone")))
    assert steps() == [2, 4, 6]
    shutil.rmtree(run / "checkpoints")
    assert steps() == [6]
    assert main(words[:-2]) == 0
    assert not (folder / "curves.json").exists()


def interrupted(*_: Any, **__: Any) -> None:
    signal.raise_signal(signal.SIGTERM)


def test_an_interrupted_evaluation_keeps_what_it_has_and_goes_on_from_it(
    baby_folder: Path,
    tests_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["evaluate", str(baby_folder), "--data", str(tests_folder), "--output_dir"]
    out, whole = tmp_path / "out", tmp_path / "whole"
    monkeypatch.setattr("bambino.evaluation.suite.Classification.__call__", interrupted)
    assert main([*words, str(out)]) == 143
    shown, err = capsys.readouterr()
    assert err.strip() == "Interrupted."
    assert "What was measured until then" in shown
    assert set(load_results(out / "unfinished").tasks) == {"pairs/agreement", "pairs/forms"}
    monkeypatch.undo()

    assert main([*words, str(out), "--resume", "--max_items", "2"]) == 2
    assert "is of another model, other options or other data" in capsys.readouterr().err
    other = shutil.copytree(baby_folder, tmp_path / "other")
    tiny_lm("opt", 320, seed=5).save_pretrained(other)
    assert main([*words[:1], str(other), *words[2:], str(out), "--resume"]) == 2

    with monkeypatch.context() as only_the_rest:
        only_the_rest.setattr("bambino.evaluation.suite.MinimalPairs.__call__", interrupted)
        assert main([*words, str(out), "--resume"]) == 0
    assert main([*words, str(whole)]) == 0
    for name in ("results.json", "items.json"):
        assert (out / name).read_text() == (whole / name).read_text()
    assert not (out / "unfinished").exists()


def test_an_evaluation_without_resume_is_new(
    baby_folder: Path,
    tests_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["evaluate", str(baby_folder), "--data", str(tests_folder), "--output_dir", str(tmp_path / "out")]
    monkeypatch.setattr("bambino.evaluation.suite.Classification.__call__", interrupted)
    assert main(words) == 143
    monkeypatch.setattr("bambino.evaluation.suite.MinimalPairs.__call__", interrupted)
    capsys.readouterr()
    assert main(words) == 143
    shown = capsys.readouterr().out
    assert "unfinished is replaced (--resume goes on from it)" in shown
    assert "What was measured" not in shown  # that was of another evaluation


def test_checkpoints_are_a_runs(baby_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--l2_text", "[x.txt]", "--checkpoints", "true", "--output_dir", str(tmp_path / "out")]
    assert main(["evaluate", str(baby_folder), *words]) == 2
    assert "is no run directory" in capsys.readouterr().err


def test_a_run_without_evaluations_has_no_curves_and_says_so(
    make_recipe: Callable[..., Recipe], text: list[str]
) -> None:
    recipe = make_recipe("--max_steps", "1")
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    results = evaluate(recipe.output_dir, Plan(l2_text=text, heldout_every=10, max_lines=2, prompts=0)).results
    assert "has no evaluation" in results.left_out["forgetting"]


def test_the_order_of_acquisition_is_compared_with_a_childs(
    make_recipe: Callable[..., Recipe], text: list[str], tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    uids = [phenomenon.pairs[0] for phenomenon in load_order("it").phenomena[:3]]
    items = [{"sentence_good": "il gatto", "sentence_bad": "il la gatto", "UID": uid} for uid in uids]
    pairs.write_text("".join(json.dumps(item) + "\n" for item in items))
    recipe = make_recipe("--evaluation.eval_steps", "3", "--evaluation.pairs", f"{{it: {pairs}}}")
    BambinoTrainer(args=recipe, measures=measures_of(recipe)).train()
    plan = Plan(l2_text=text, heldout_every=10, max_lines=2, prompts=0, child_order="it")
    results = evaluate(recipe.output_dir, plan).results
    assert results.tasks["acquisition"].main.items == 3
    assert "no measure 'bits_per_byte/en'" in results.left_out["forgetting"]


def test_a_run_that_has_not_ended_is_refused_with_the_way_out(
    make_recipe: Callable[..., Recipe], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe()
    trainer = BambinoTrainer(args=recipe, measures=measures_of(recipe))
    trainer.stop_requested = True
    trainer.train()
    assert main(["evaluate", recipe.output_dir, "--l2_text", "[x.txt]"]) == 2
    assert "is a run without a trained model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dta", "tests"], "There is no setting dta. Did you mean data?"),
        (["--data", "tests", "--max_items", "0"], "max_items = 0 is too small. Use 1 or more."),
        (["--data", "tests", "--curves", "[pairs/it]"], "curves = ['pairs/it'] must name two measures"),
        (["--data", "tests", "--heldout_every", "0"], "heldout_every = 0 is too small. Use 2 or more"),
        (["--data", "tests", "--parent", "it"], "parent = it is used with --l2_text only. Give that too."),
        (["--data", "tests", "--pro_drop", "true"], "pro_drop = True is used with --l2_text only."),
        (["--data", "tests", "--child_order", "it"], "child_order: nowhere is no run directory."),
        (["--data", "tests", "--levels", "[2]"], "levels: nowhere is no run directory."),
        (["--l2_text", "[gone.txt]"], "There is no text at gone.txt."),
        (["--pairs", "{it: gone.jsonl}"], "There are no minimal pairs at gone.jsonl."),
        (["--harness", "[no_such]", "--harness_include", "."], "lm-eval finds no task no_such in ."),
        (["--data", "tests", "--suite", "papers"], "suite = papers is none. Use one of all, quick, paper, babylm."),
        ([], "Nothing to measure. Give --data FOLDER"),
        (["--data", "tests", "--tasks", "blimp"], "Write a list: '[blimp]'"),
        (["--data", "tests"], "Say where the results shall go: --output_dir results/NAME"),
    ],
)
def test_wrong_options_are_answered_before_a_model_is_loaded(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if words == ["--data", "tests"] else ["--output_dir", "out"]
    assert main(["evaluate", "nowhere", *words, *out]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_measured(
    baby_folder: Path, tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    words = ["--data", str(tests_folder), "--output_dir", str(tmp_path / "file" / "out")]
    assert main(["evaluate", str(baby_folder), *words]) == 2
    out, err = capsys.readouterr()
    assert "cannot be written to" in err
    assert "accuracy" not in out


def test_files_that_are_no_tests_and_lines_that_cannot_be_used_are_named(
    baby_folder: Path, tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tests_folder / "labelled.jsonl").write_text('{"text": "il gatto", "label": 1}\n')
    text = tmp_path / "latin.txt"
    text.write_bytes("\n".join(italian_lines(9)).encode() + "\n\nperché no\n".encode("latin-1"))
    words = ["--data", str(tests_folder), "--l2_text", f"[{text}]", "--heldout_every", "null", "--prompts", "0"]
    assert main(["evaluate", str(baby_folder), *words, "--output_dir", str(tmp_path / "out")]) == 0
    results = load_results(tmp_path / "out")
    assert "label, text in line 1" in results.left_out[str(tests_folder / "labelled.jsonl")]
    assert results.left_out["lines of l2_text"] == "1 not UTF-8"
    assert results.tasks["bits_per_byte/l2"].settings["dropped"] == {"not UTF-8": 1, "empty": 1}
    assert "lines of l2_text: left out, 1 not UTF-8" in capsys.readouterr().out
    (tests_folder / "sentences.jsonl").write_text('{"text": "il gatto"}\n{"text": " "}\n')
    assert main(["evaluate", str(baby_folder), *words[:2], "--output_dir", str(tmp_path / "out")]) == 2
    assert "sentences.jsonl, line 2: text = ' ' must be a non-empty string." in capsys.readouterr().err


def test_data_that_cannot_be_used_are_refused_before_anything_is_measured(
    baby_folder: Path, tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tests_folder / "zz.jsonl"
    broken.write_text('{"sentence_good": "il gatto", "sentence_bad": "la gatto"}\n{"sentence_good": "il cane"}\n')
    words = ["evaluate", str(baby_folder), "--data", str(tests_folder), "--output_dir", str(tmp_path / "out")]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert "zz.jsonl, line 2: no sentence_bad" in err
    assert "pairs/agreement" not in out
    assert not (tmp_path / "out" / "results.json").exists()
    broken.unlink()
    assert main(words) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["items.json", "results.json"]


def test_the_untrained_baby_may_have_been_silent_more_often(
    baby_folder: Path, text: list[str], parent_folder: Path, tmp_path: Path
) -> None:
    words = ["evaluate", str(baby_folder), "--l2_text", f"[{text[0]}]", "--parent", str(parent_folder)]
    few = ["--heldout_every", "10", "--max_lines", "4", "--prompts", "3", "--pro_drop", "true"]
    assert main([*words, *few, "--output_dir", str(tmp_path / "one")]) == 0
    content = json.loads((tmp_path / "one" / "results.json").read_text())
    for name in ("speech", "overt_subjects"):
        content["tasks"][name]["scores"][0]["items"] -= 1
    (tmp_path / "one" / "results.json").write_text(json.dumps(content))
    assert main([*words, *few, "--untrained", str(tmp_path / "one"), "--output_dir", str(tmp_path / "two")]) == 0
    names = [score.name for score in load_results(tmp_path / "two").tasks["speech"].scores]
    assert "speech/perplexity_ratio/baby/untrained" in names


def test_what_was_said_before_does_not_stay_beside_new_results(
    baby_folder: Path, text: list[str], tmp_path: Path
) -> None:
    words = ["--l2_text", f"[{text[0]}]", "--heldout_every", "10", "--max_lines", "4", "--output_dir", str(tmp_path)]
    assert main(["evaluate", str(baby_folder), *words, "--prompts", "2"]) == 0
    assert (tmp_path / "speech.json").is_file()
    assert main(["evaluate", str(baby_folder), *words, "--prompts", "0"]) == 0
    assert not (tmp_path / "speech.json").exists()


def test_the_average_leaves_out_uninformative_tasks(
    baby_folder: Path, tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mood = [{"text": line, "irony": i % 2, "split": "test"} for i, line in enumerate(italian_lines(6, seed=9))]
    (tests_folder / "haspeede2.jsonl").write_text(
        "".join(json.dumps({"text": row["text"], "label": row["irony"], "split": "test"}) + "\n" for row in mood)
    )
    words = ["evaluate", str(baby_folder), "--data", str(tests_folder), "--tasks", "[ironita, haspeede]"]
    assert main([*words, "--output_dir", str(tmp_path / "one")]) == 0
    first = load_results(tmp_path / "one")
    mean = first.tasks["average"].main
    assert mean.value == pytest.approx(
        (first.tasks["tasks/ironita"].main.value + first.tasks["tasks/haspeede"].main.value) / 2
    )
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f" {name} 0." in shown.split("macro-F1")[1] for name in ("ironita", "haspeede"))
    assert "not corrected for being several" in shown
    references = ["--references", f"[{tmp_path / 'one'}]", "--output_dir", str(tmp_path / "two")]
    assert main([*words, *references]) == 0
    second = load_results(tmp_path / "two")
    assert second.tasks["tasks/ironita"].verdict.startswith("uninformative")
    assert "average" not in second.tasks


def test_a_reference_tells_of_classification_alone(
    baby_folder: Path, tests_folder: Path, text: list[str], tmp_path: Path
) -> None:
    words = ["evaluate", str(baby_folder), "--data", str(tests_folder), "--l2_text", f"[{text[0]}]"]
    few = ["--heldout_every", "10", "--max_lines", "4", "--prompts", "2"]
    assert main([*words, *few, "--output_dir", str(tmp_path / "one")]) == 0
    assert main([*words, *few, "--references", f"[{tmp_path / 'one'}]", "--output_dir", str(tmp_path / "two")]) == 0
    tasks = load_results(tmp_path / "two").tasks
    assert [name for name, task in tasks.items() if "uninformative" in task.verdict] == ["tasks/ironita"]


def test_results_of_other_data_or_options_do_not_compare(
    baby_folder: Path, tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(baby_folder), "--data", str(tests_folder), "--tasks", "[agreement]"]
    assert main([*words, "--output_dir", str(tmp_path / "sum")]) == 0
    assert main([*words, "--output_dir", str(tmp_path / "byte"), "--normalization", "byte"]) == 0
    path = tests_folder / "agreement.jsonl"
    path.write_text(path.read_text().replace("gatto", "cane"))
    assert main([*words, "--output_dir", str(tmp_path / "cane")]) == 0
    for other, setting in (("byte", "normalization is sum and byte"), ("cane", "sha256 is ")):
        assert main(["compare", str(tmp_path / "sum"), str(tmp_path / other)]) == 2
        assert f"do not compare: {setting}" in capsys.readouterr().err
    byte = ["--normalization", "byte"]
    for untrained, options, setting in (("sum", [], "sha256 is "), ("cane", byte, "normalization is byte and sum")):
        words_now = [*words, *options, "--untrained", str(tmp_path / untrained), "--output_dir", str(tmp_path / "x")]
        assert main(words_now) == 0
        found = load_results(tmp_path / "x")
        assert setting in found.left_out["pairs/agreement, gain"]
        assert not [score for score in found.tasks["pairs/agreement"].scores if "gain" in score.name]


@pytest.mark.parametrize(
    ("model", "parent", "said"),
    [
        ("./nowhere", None, "bambino: model = ./nowhere: there is no such folder.\n"),
        (None, "./nowhere", "bambino: parent = ./nowhere: there is no such folder.\n"),
    ],
)
def test_a_model_that_is_not_there_is_named_before_anything_is_measured(
    model: str | None,
    parent: str | None,
    said: str,
    baby_folder: Path,
    text: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--l2_text", f"[{text[0]}]", "--heldout_every", "10", "--output_dir", str(tmp_path / "out")]
    more = [] if parent is None else ["--parent", parent]
    assert main(["evaluate", model or str(baby_folder), *words, *more]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", said)


def test_the_model_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--data", "tests"]) == 2
    assert "arguments are required: MODEL" in capsys.readouterr().err


def test_suites_are_told_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in suites())
    assert "  sentipolc2016.jsonl         sentipolc\n" in shown


def test_plans_can_be_made_from_python() -> None:
    with pytest.raises(PlanError, match="prompts = -1"):
        Plan(l2_text=["it.txt"], prompts=-1)
    assert Plan(data="tests", suite="quick", max_items=500).limit == 200
    assert [Plan(data="tests", max_lines=300, max_items=n).lines for n in (None, 200, 500)] == [300, 200, 300]
    assert Plan(data="tests", suite="paper", tasks=["mine"]).wanted == ["mine"]


def test_two_results_are_compared_from_the_command_line(
    baby_folder: Path, tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "other"):
        evaluate(str(baby_folder), Plan(data=str(tests_folder), tasks=["forms"])).results.save(tmp_path / name)
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "other")]) == 0
    assert "McNemar" in capsys.readouterr().out
    seeds = [str(tmp_path / "one"), str(tmp_path / "other")]
    assert main(["compare", "--ones", *seeds, "--others", *seeds]) == 0
    assert "+0.000 [+0.000, +0.000]   1   t" in capsys.readouterr().out
    assert main(["compare", seeds[0]]) == 2
    assert main(["compare", seeds[0], str(tmp_path / "none")]) == 2
    assert "There are no results at" in capsys.readouterr().err


def test_the_tests_become_tasks_of_lm_eval(
    tests_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lm-eval-tasks", "--data", str(tests_folder), "--output_dir", str(tmp_path / "tasks")]) == 0
    written = {path.stem for path in (tmp_path / "tasks").glob("*.yaml")}
    assert {
        "bambino_agreement",
        "bambino_agreement_u0",
        "bambino_agreement_u1",
        "bambino_ironita_template_1",
    } <= written
    assert "--tasks bambino_agreement_u0" in capsys.readouterr().out
