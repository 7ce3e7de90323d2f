"""Experiments: what a file may say, what is chosen, what counts as done; and a whole one, up to its answer."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bambino.cli.main import main
from bambino.errors import BambinoError, ExperimentError
from bambino.experiments.answering import languages_of, outcomes_of
from bambino.experiments.design import Experiment
from bambino.experiments.loading import load_experiment
from bambino.experiments.local import Program, run_programs
from bambino.experiments.outcomes import (
    choices_of,
    different_batches,
    different_models,
    read_results,
    trials_of,
)
from bambino.experiments.runner import Runner
from bambino.experiments.summary import fingerprint
from bambino.printable import in_latex, in_markdown
from bambino.recipe.file import load_recipe

FILE = """
question: Does feedback help?
hypotheses: [It does not.]
primary: bits_per_byte/it
secondary: [total/flops]
settings:
  baby.model: "${models}/baby"
  parent: {model: "${models}/parent", must_know_l2: false}
  text: {sources: ["${it}"], heldout_every: 5, max_length: 40, max_lines: 24}
  batch_size: 4
  passes: 1
  clm.learning_rate: 1e-3
  rollout: {prompt_tokens: 4, max_new_tokens: 5}
  evaluation: {eval_steps: 3, utterances: 0, texts: {it: ["${it}"]}}
conditions:
  clm: {schedule.cycle: {clm: 1}}
  paper: {schedule.cycle: {clm: 2, ppo: 1}}
  broken: {schedule.cycle: {clm: 1}, text.max_words: 1}
seeds: {development: [1], test: [11, 12]}
tuning:
  conditions:
    clm: {clm.learning_rate: [1e-3, 4e-3]}
    paper: clm
    broken: null
"""
Write = Callable[..., Experiment]


@pytest.fixture
def places(tmp_path: Path, baby_folder: Path, parent_folder: Path, text_file: Path) -> dict[str, str]:
    (tmp_path / "models").mkdir()
    for name, folder in (("baby", baby_folder), ("parent", parent_folder)):
        (tmp_path / "models" / name).symlink_to(folder)
    return {"models": str(tmp_path / "models"), "it": str(text_file)}


@pytest.fixture
def write(tmp_path: Path, places: dict[str, str]) -> Write:
    """write((old, new), ...): the experiment of FILE with its text changed."""

    def written(*changes: tuple[str, str]) -> Experiment:
        text = FILE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "help.yaml").write_text(text, encoding="utf-8")
        return load_experiment(tmp_path / "help.yaml", places)

    return written


# ------------------------------------------------------------------------------------------------------- the file


def test_conditions_differ_in_what_they_say_and_share_the_rest(write: Write) -> None:
    experiment = write()
    clm, paper = (experiment.run(name, "test", 11).recipe for name in ("clm", "paper"))
    assert (clm.schedule.cycle, paper.schedule.cycle) == ({"clm": 1}, {"clm": 2, "ppo": 1})
    assert replace(clm, schedule=paper.schedule) == paper
    assert (clm.seed, clm.evaluation.split, clm.clm.learning_rate) == (11, "test", 1e-3)
    trial = experiment.trial_runs()[1].recipe
    assert (trial.seed, trial.evaluation.split, trial.clm.learning_rate) == (1, "dev", 4e-3)


def test_trials_take_turns_so_that_early_ones_are_of_all_conditions(write: Write) -> None:
    own = ("    paper: clm", "    paper: [{passes: 1}, {passes: 2}]")
    runs = write(own, ("development: [1]", "development: [1, 2]")).trial_runs()
    assert [(run.seed, run.condition) for run in runs] == [(1, "clm"), (1, "paper")] * 2 + [
        (2, "clm"),
        (2, "paper"),
    ] * 2
    assert [run.recipe.passes for run in runs if run.condition == "paper"] == [1, 2, 1, 2]


def test_of_a_grid_that_is_too_large_some_are_taken_by_lot_and_always_the_same(write: Write) -> None:
    grid = ("{clm.learning_rate: [1e-3, 4e-3]}", "{clm: {learning_rate: [1e-3, 2e-3]}, passes: [1, 2, 3]}")
    whole = write(grid).trials["clm"]
    assert len(set(whole)) == 6
    assert whole[1] == ("--clm.learning_rate=1e-3", "--passes=2")
    some = write(grid, ("tuning:", "tuning:\n  trials: 4")).trials["clm"]
    assert len(set(some)) == 4
    assert set(some) < set(whole)
    assert some == write(grid, ("tuning:", "tuning:\n  trials: 4")).trials["clm"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("question:", "qestion:"), "qestion: There is no such key. Did you mean question"),
        (("  batch_size: 4", "  batch_sise: 4"), "settings: There is no setting batch_sise. Did you mean batch_size"),
        (("{clm: 2, ppo: 1}", "{clm: 0}"), r"conditions.paper: schedule.cycle.clm = 0 is too small"),
        (("{clm: 2, ppo: 1}", "{clm: 2, pro: 1}"), "conditions.paper"),
        (("  paper: {sch", "  a/b: {}\n  paper: {sch"), "names files"),
        (("    broken: null\n", ""), "tuning.conditions.broken: It is not there"),
        (("    broken: null", "    other: null"), "tuning.conditions.other: There is no such key"),
        (("    paper: clm", "    paper: broken"), "broken has no trials"),
        (("    paper: clm", "    paper: [{passes: 1}]"), r"unequal numbers of trials \(clm 2, paper 1\)"),
        (("seeds:", "baseline: clmm\nseeds:"), "baseline: There is no condition 'clmm'. Name one of clm, paper"),
        (("seeds:", "languages: {l1: bits_per_byte/it}\nseeds:"), "languages: Give two measures"),
        (("seeds:", "languages: {l1: flops, l2: bits_per_byte/it}\nseeds:"), "languages.l1: flops has no better"),
        (("seeds:", "languages: {l1: pairs/x, l2: bits_per_byte/it}\nseeds:"), "evaluation.pairs names none"),
        (("tuning:", "tuning:\n  trials: 3"), "2 trials, but tuning.trials = 3"),
        (("[1e-3, 4e-3]", "1e-3"), "each setting has a list of values"),
        (("development: [1]", "development: [11]"), "11 is for development and for the test"),
        (("development: [1]", "development: []"), "Trials need seeds"),
        (("test: [11, 12]", "test: [11, 11]"), "whole numbers, each once"),
        (("primary: bits_per_byte/it", "primary: bits_per_byte/en"), "evaluation.texts names it"),
        (("primary: bits_per_byte/it", "primary: loss"), "primary: loss has no better direction"),
        (("eval_steps: 3", "eval_steps: null"), "nothing is measured"),
        (("  batch_size: 4", "  seed: 4"), "seed is set by the experiment"),
        (("hypotheses: [It does not.]", "hypotheses: It does not."), "a list of texts"),
        (("question:", "recipe: real-smal\nquestion:"), "Did you mean real-small"),
        (("  batch_size: 4", "  batch_size: 4\n  text.prompt_sources: [none.txt]"), "no text at none.txt"),
        (
            ("  batch_size: 4", "  evaluation.tasks: [facts]"),
            r"evaluation.tasks: There is no task 'facts'. Did you mean fac",
        ),
        (("seeds: {", "seeds: {test: [1], "), r"help.yaml, line \d+: seeds.test is given twice"),
        (("test: [11, 12]", "test: [011]"), r"seeds.test: \['011'\] does not fit"),
        (("test: [11, 12]", "test: [1:30]"), r"seeds.test: \['1:30'\] does not fit"),
        (("${it}", "${en}"), r"needs \$\{en\}. Give it: --set en=VALUE"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_runs(write: Write, change: tuple[str, str], said: str) -> None:
    with pytest.raises(BambinoError, match=said):
        write(change)


def test_conditions_that_differ_in_a_folder_alone_would_count_as_one_and_are_refused(
    tmp_path: Path, places: dict[str, str], write: Write
) -> None:
    (tmp_path / "models" / "other").mkdir()
    (tmp_path / "models" / "other" / "baby").symlink_to(tmp_path / "models" / "baby")
    alike = ("  paper: {sch", "  again: {schedule.cycle: {clm: 1}}\n  paper: {sch")
    given = ("    broken: null", "    broken: null\n    again: null")
    assert write(alike, given)
    with pytest.raises(ExperimentError, match="differ in the folders of their models or texts alone"):
        write(alike, ("again: {", 'again: {baby.model: "${models}/other/baby", '), given)


def test_a_variable_that_is_nowhere_is_told_the_nearest(tmp_path: Path, places: dict[str, str], write: Write) -> None:
    write()
    with pytest.raises(ExperimentError, match=r"--set modles: there is no \$\{modles\}.*Did you mean models"):
        load_experiment(tmp_path / "help.yaml", {**places, "modles": "x"})


@pytest.mark.parametrize(
    "key", ["question: Does feedback help?", "hypotheses: [It does not.]", "primary: bits_per_byte/it"]
)
def test_without_question_hypotheses_and_primary_metric_nothing_is_tested(
    write: Write, tmp_path: Path, key: str
) -> None:
    experiment = write((key, ""), ("tuning:", "tuning:\n  metric: bits_per_byte/it"))
    with pytest.raises(ExperimentError, match="before the test seeds run"):
        Runner(experiment, tmp_path / "out", tmp_path / "results")
    assert Runner(experiment, tmp_path / "out", tmp_path / "results", "tuning").left()


def test_the_experiment_of_the_how_to_page_can_be_run(tmp_path: Path, places: dict[str, str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "how-to" / "experiments.md").read_text(encoding="utf-8")
    (tmp_path / "scarcity.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    experiment = load_experiment(tmp_path / "scarcity.yaml", {**places, "en": places["it"]})
    assert {name: len(trials) for name, trials in experiment.trials.items()} == {"clm": 6, "paper": 6}
    assert experiment.run("paper", "test", 11).recipe.feedback["parent_perplexity"].to_dict()["tau"] is None


# ---------------------------------------------------------------------------------------------------- fingerprints


def of(*words: str) -> str:
    return fingerprint(load_recipe(None, list(words), kinds={}).to_dict())


def test_settings_that_may_change_a_result_change_the_fingerprint_and_no_others() -> None:
    assert of() == of("--output_dir=x", "--save_steps=7", "--logging_steps=1", "--save_total_limit=1")
    assert of("--text.sources=[/a/it.txt]") == of("--text.sources=[/b/c/it.txt]") != of("--text.sources=[en.txt]")
    assert of("--passes=2", "--max_steps=3") == of("--passes=2") != of("--passes=3")
    cycles = ["{clm: 1}", "{clm: 1, ppo: 2}", "{ppo: 2, clm: 1}", "{clm: 10, ppo: 2}"]
    assert len({of(f"--schedule.cycle={cycle}") for cycle in cycles}) == 4
    assert of("--schedule.cycle={clm: 10, ppo: 2}") == of()


def test_no_feedback_named_is_the_feedback_that_then_stands_there(write: Write) -> None:
    settings = write().run("clm", "test", 11).recipe.to_dict()
    named = {**settings, "feedback": {"parent_perplexity": {"for": "ppo", "weight": 1.0, "tau": 150.0}}}
    assert fingerprint(named) == fingerprint(settings)
    named["feedback"]["parent_perplexity"]["tau"] = 100.0
    assert fingerprint(named) != fingerprint(settings)


# ---------------------------------------------------------------------------------------------- choices and checks


def result(value: float | None, batches: str = "0a0b", baby: str = "b") -> dict[str, Any]:
    return {
        "evaluations": [{"step": 0, "eval/bits_per_byte/it": 9.0}, {"step": 6, "eval/bits_per_byte/it": value}],
        "model_step": 6,
        "costs": {"total/flops": 2000.0},
        "batches": batches,
        "made_of": {"baby": baby, "parent": None},
    }


def test_the_best_mean_over_development_seeds_is_chosen(write: Write) -> None:
    experiment = write(("development: [1]", "development: [1, 2]"))
    runs = experiment.trial_runs()  # seed 1: two trials; seed 2: two trials
    values = (3.0, 2.0, 1.0, 2.5)  # means 2 and 2.25; fewer bits are better
    results = {run.fingerprint: result(value) for run, value in zip(runs, values, strict=True)}
    tried = trials_of(experiment, results, set())
    assert [trial.mean for trial in tried["clm"]] == [2.0, 2.25]
    lower, higher = ("--clm.learning_rate=1e-3",), ("--clm.learning_rate=4e-3",)
    assert choices_of(experiment, tried) == {"clm": lower, "paper": lower, "broken": ()}
    # A trial that failed with one seed, or found no number, is not chosen.
    without = {key: one for key, one in results.items() if key != runs[0].fingerprint}
    assert choices_of(experiment, trials_of(experiment, without, {runs[0].fingerprint}))["clm"] == higher
    no_number = results | {runs[0].fingerprint: result(None)}
    assert choices_of(experiment, trials_of(experiment, no_number, set()))["clm"] == higher
    # While one is missing, nothing is chosen for it, nor for who takes that over.
    assert choices_of(experiment, trials_of(experiment, without, set())) == {"broken": ()}


def test_runs_that_should_have_heard_the_same_and_did_not_are_told(write: Write) -> None:
    experiment = write()
    clm, paper, other_seed = (
        experiment.run(*key) for key in (("clm", "test", 11), ("paper", "test", 11), ("paper", "test", 12))
    )
    smaller = experiment.run("paper", "test", 11, ("--batch_size=2",))
    runs = [clm, paper, other_seed, smaller]
    heard = dict(zip(runs_names := [run.fingerprint for run in runs], ("0a0b0c", "0a0b", "ffff", "eeee"), strict=True))
    results = {name: result(1.0, batches) for name, batches in heard.items()}
    assert different_batches(runs, results) == []
    results[runs_names[1]] = result(1.0, "0a1b")
    (said,) = different_batches(runs, results)
    assert "the first that differs is clm step 2" in said
    assert clm.name in said
    assert paper.name in said


def test_runs_of_another_baby_under_the_same_name_are_told(write: Write) -> None:
    experiment = write()
    one, other = (experiment.run(name, "test", 11) for name in ("clm", "paper"))
    results = {one.fingerprint: result(1.0), other.fingerprint: result(1.0)}
    assert different_models([one, other], results) == []
    results[other.fingerprint] = result(1.0, baby="another")
    (said,) = different_models([one, other], results)
    assert "The baby of" in said


def test_outcomes_are_the_numbers_of_the_models_that_runs_left(write: Write) -> None:
    experiment = write(("seeds:", "baseline: paper\nseeds:"))
    runs = experiment.test_runs({"clm": (), "paper": ()})
    values = dict(zip([run.fingerprint for run in runs], (1.0, 2.0, 3.0, None), strict=True))
    results = {name: result(value) for name, value in values.items()}
    del results[runs[0].fingerprint]  # clm, seed 11
    results[runs[2].fingerprint]["words_heard"] = [0.0, 30.0]  # clm, seed 12
    results[runs[2].fingerprint]["model_step"] = 0
    found = outcomes_of(experiment, runs, results)
    assert (found.baseline, found.primary, found.seeds) == ("paper", "bits_per_byte/it", (11, 12))
    assert {name: list(those) for name, those in found.runs.items()} == {"clm": [12], "paper": [11, 12], "broken": []}
    clm, paper, without = found.runs["clm"][12], found.runs["paper"][11], found.runs["paper"][12]
    assert clm.values == {"total/flops": 2000.0, "bits_per_byte/it": 9.0}
    assert clm.curves["bits_per_byte/it"].values == (9.0, 3.0)
    assert clm.curves["bits_per_byte/it"].words == (0.0, 30.0)
    assert clm.totals == {"flops": 2000.0}
    assert paper.values["bits_per_byte/it"] == 2.0
    assert all(math.isnan(words) for words in paper.curves["bits_per_byte/it"].words)
    assert without.values == {"total/flops": 2000.0}


def test_result_files_alone_give_the_answer(
    write: Write, tmp_path: Path, places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """paper less clm: 1.2 - 1.0 and 1.3 - 1.2, mean 0.15; t = 0.15 / 0.05 = 3 with 1 degree of freedom, so
    p = 2 arctan(1 / 3) / pi = 0.205."""
    left = ("  broken: {schedule.cycle: {clm: 1}, text.max_words: 1}\n", "")
    experiment = write(left, (FILE[FILE.index("tuning:") :], ""))
    for run, value in zip(experiment.test_runs({"clm": (), "paper": ()}), (1.0, 1.2, 1.2, 1.3), strict=True):
        content = {**result(value), "fingerprint": run.fingerprint}
        (tmp_path / f"{run.name}.json").write_text(json.dumps(content))
    sets = [word for name, given in places.items() for word in ("--set", f"{name}={given}")]
    words = [
        "experiment",
        str(tmp_path / "help.yaml"),
        *sets,
        "--out",
        str(tmp_path / "out"),
        "--results",
        str(tmp_path),
    ]
    for _ in range(2):  # what the first call wrote is no result
        assert main(words) == 0
        said = capsys.readouterr().out
        assert said.startswith("0 runs to do by now")
        assert "paper is not distinguishable from clm: by the mean worse than it by 0.150 bits per byte" in said
        assert "n = 2 seeds, paired t-test, p = 0.205)" in said
    assert "| paper | 2 | 1.250 " in (tmp_path / "answer.md").read_text()
    broken = {**content, "words_heard": [0.0]}
    (tmp_path / f"{run.name}.json").write_text(json.dumps(broken))
    assert main(words) == 2
    assert f"The result file of {run.name} is damaged: ValueError" in capsys.readouterr().err


def test_languages_are_told_by_the_texts_where_the_file_does_not(write: Write) -> None:
    def found(texts: str, *changes: tuple[str, str]) -> tuple[str, str] | None:
        return languages_of(write(('{it: ["${it}"]}', texts), *changes))

    en, it, fr = (f"bits_per_byte/{name}" for name in ("en", "it", "fr"))
    assert found('{it: ["${it}"]}') is None
    assert found('{it: ["${it}"], en: ["${it}"]}') == (en, it)
    assert found('{it: ["${it}"], en: ["${it}"]}', ("primary: bits_per_byte/it", f"primary: {en}")) == (it, en)
    three = '{it: ["${it}"], en: ["${it}"], fr: ["${it}"]}'
    assert found(three) is None
    assert found(three, ("[total/flops]", f"[{fr}]")) == (fr, it)
    assert found(three, ("seeds:", f"languages: {{l1: {en}, l2: {fr}}}\nseeds:")) == (en, fr)


# ------------------------------------------------------------------------------------------------- processes, a whole


def test_what_one_program_does_leaves_the_others_alone(tmp_path: Path) -> None:
    programs = [Program(name, words, tmp_path / name) for name, words in (("no", ("trian",)), ("yes", ("--version",)))]
    ended: dict[str, int] = {}
    left = list(programs)
    stopped_by = run_programs(
        lambda: left.pop(0) if left else None, 2, 1, lambda program, status: ended.update({program.name: status})
    )
    assert stopped_by is None
    assert ended == {"no": 2, "yes": 0}
    assert "Did you mean train" in (tmp_path / "no").read_text()


def test_no_more_programs_run_at_a_time_than_there_are_workers(tmp_path: Path) -> None:
    left = [Program(str(number), ("--version",), tmp_path / str(number)) for number in range(6)]
    beside: list[int] = []
    ended: dict[str, int] = {}

    def next_program() -> Program | None:
        beside.append(len(multiprocessing.active_children()))
        return left.pop() if left else None

    run_programs(next_program, 2, 1, lambda program, status: ended.update({program.name: status}))
    assert ended == {str(number): 0 for number in range(6)}
    assert max(beside) == 1


def check_answer(folder: Path, results: dict[str, Any], said: str) -> None:
    """answer.json holds the numbers of the result files, and the screen and the documents its sentences."""
    found = json.loads((folder / "answer.json").read_text())
    ends = {
        (one["condition"], str(one["seed"])): (one["evaluations"][-1]["eval/bits_per_byte/it"], one["costs"])
        for one in results.values()
        if one["stage"] == "test"
    }
    clm, paper = (found["conditions"][name] for name in ("clm", "paper"))
    for name, told in (("clm", clm), ("paper", paper)):
        assert told["metrics"]["bits_per_byte/it"]["values"] == {seed: ends[name, seed][0] for seed in ("11", "12")}
        flops = [ends[name, seed][1]["total/flops"] for seed in ("11", "12")]
        assert told["metrics"]["total/flops"]["mean"]["mean"] == pytest.approx(told["budget"]["flops"])
        assert told["budget"]["flops"] == pytest.approx(sum(flops) / 2)
    gaps = [ends["paper", seed][0] - ends["clm", seed][0] for seed in ("11", "12")]
    assert paper["metrics"]["bits_per_byte/it"]["effect"]["difference"]["mean"] == pytest.approx(sum(gaps) / 2)
    assert found["conditions"]["broken"]["missing"] == [11, 12]
    for sentence in (paper["verdict"], "broken is not compared with clm: no seed of broken is finished."):
        assert sentence in " ".join(said.split())
        assert in_markdown(sentence) in (folder / "answer.md").read_text()
        assert in_latex(sentence) in (folder / "answer.tex").read_text()
    heard = {len(one["words_heard"]) == len(one["evaluations"]) for one in results.values()}
    last = {one["words_heard"][-1] == one["costs"]["total/words_heard"] for one in results.values()}
    assert heard == last == {True}


def test_an_experiment_from_trials_to_an_answer(
    write: Write, tmp_path: Path, places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    where = ["--out", str(tmp_path / "out"), "--results", str(tmp_path / "results")]
    sets = [word for name, value in places.items() for word in ("--set", f"{name}={value}")]
    words = ["experiment", str(tmp_path / "help.yaml"), *sets, *where]
    assert main([*words, "--workers", "2", "--drop-runs"]) == 1  # `broken` failed
    said = capsys.readouterr().out
    assert said.count("text.max_words = 1 is less than the first line's") == 2
    assert "WRONG" not in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == []
    tuning = json.loads((tmp_path / "results" / "tuning.json").read_text())
    means = {trial["settings"]["clm.learning_rate"]: trial["mean"] for trial in tuning["trials"]["clm"]}
    best = min(means, key=means.__getitem__)
    assert tuning["chosen"] == {name: {"clm.learning_rate": best} for name in ("clm", "paper")}

    results = read_results(tmp_path / "results")
    found = sorted((one["condition"], one["stage"], one["seed"]) for one in results.values())
    tested = [(name, "test", seed) for name in ("clm", "paper") for seed in (11, 12)]
    assert found == sorted([("clm", "tuning", 1)] * 2 + tested)
    for one in results.values():
        assert one["fingerprint"] in results
        assert math.isfinite(one["evaluations"][-1]["eval/bits_per_byte/it"])
        split = "dev" if one["stage"] == "tuning" else "test"
        assert one["settings"]["evaluation"]["split"] == split
        assert len(one["batches"]) == 2 * 6  # one pass over 24 lines in batches of 4
        if one["stage"] == "test":
            assert one["settings"]["clm"]["learning_rate"] == float(best)

    check_answer(tmp_path / "results", results, said)

    # From the result files alone all but what failed is done; it is tried again.
    began = time.time()
    assert main([*words, "--plan"]) == 0
    plan = capsys.readouterr().err.splitlines()
    assert [line for line in plan if line.startswith("to do") and "broken" not in line] == []
    assert sum(line.startswith("done") for line in plan) == 6
    assert main([*words, "--stage", "tuning"]) == 0
    assert time.time() - began < 10
    assert "0 runs to do" in capsys.readouterr().out


def test_a_stopped_experiment_goes_on_and_finds_the_same(write: Write, tmp_path: Path) -> None:
    only = (
        "tuning:\n  conditions:\n    clm: {clm.learning_rate: [1e-3, 4e-3]}\n    paper: clm\n    broken: null\n",
        "",
    )
    longer = ("passes: 1", "passes: 5\n  save_steps: 10")
    no_broken = (
        "  broken: {schedule.cycle: {clm: 1}, text.max_words: 1}\n",
        "  short: {schedule.cycle: {clm: 1}, passes: 1}\n",
    )
    experiment = write(only, longer, no_broken, ("test: [11, 12]", "test: [11]"))

    def worked(out: str, stop: bool) -> dict[str, Any]:
        runner = Runner(experiment, tmp_path / out, tmp_path / f"{out}-results")

        def on_end(run: object, found: object) -> None:
            if stop:
                os.kill(os.getpid(), signal.SIGTERM)

        assert runner.work(3, 1, on_end) == (signal.SIGTERM if stop else None)
        return runner.results

    stopped = worked("stopped", stop=True)
    assert len(stopped) < 3
    gone_on, whole = worked("stopped", stop=False), worked("whole", stop=False)
    assert len(whole) == 3
    for key, one in whole.items():
        assert one["evaluations"] == gone_on[key]["evaluations"]
        assert one["batches"] == gone_on[key]["batches"]
