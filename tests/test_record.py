"""The one reader of run directories and results, of this version's and of earlier ones'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bambino.analysis.comparison import compare
from bambino.analysis.feedback_meter import read_measured
from bambino.analysis.interpolation import load_sweep
from bambino.analysis.results import Results, load_results
from bambino.errors import ResultsError, RunDirectoryError
from bambino.measures import Score, TaskResult
from bambino.runs.record import newest_step, read_run

RESULTS = Path(__file__).parent.parent / "results"
OLD_RECIPE = """
baby: {model: en}
parent: {model: it}
schedule: {kind: cycle, clm_steps: 10, ppo_steps: 2}
reward: {tau: null, scope: SCOPE}
text: {heldout_every: 200}
"""
OLD_ROW = {
    "kind": "evaluation",
    "step": 0,
    "eval/bits_per_byte/it": 3.5,
    "eval/pairs/blimp": 0.5,
    "eval/pairs/blimp/passive": 0.25,
    "eval/tasks/sentipolc": 0.4,
    "eval/utterances/distinct_1": 0.75,
    "eval/utterances/parent_log_perplexity": 4.0,
    "eval/human/parent_log_perplexity": 3.0,
}


def old_run(folder: Path, scope: str) -> Path:
    """A run directory as versions before format numbers wrote it."""
    folder.mkdir()
    (folder / "recipe.yaml").write_text(OLD_RECIPE.replace("SCOPE", scope), encoding="utf-8")
    (folder / "data.json").write_text(json.dumps({"clm": [{"words": 1, "tokens": 2}]}), encoding="utf-8")
    rows = [OLD_ROW, {"kind": "step", "step": 1, "phase": "clm", "total/clm_tokens": 300, "clm/loss": 2.0}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("scope", "part"), [("whole", "_with_prompt"), ("utterance", "")])
def test_a_run_of_an_earlier_version_is_read_by_todays_names(scope: str, part: str, tmp_path: Path) -> None:
    run = read_run(old_run(tmp_path / "run", scope))
    assert run.format == 1
    assert run.settings["schedule"]["kind"] == "cycle"  # refused in a recipe now, and read all the same
    assert run.evaluations == [
        {
            "kind": "evaluation",
            "step": 0,
            "eval/bits_per_byte/it": 3.5,
            "eval/pairs/blimp": 0.5,
            "eval/pairs/blimp/passive": 0.25,
            "eval/tasks/sentipolc": 0.4,
            "eval/speech/distinct_1/baby": 0.75,
            f"eval/speech/log_perplexity{part}/baby": 4.0,
            f"eval/speech/log_perplexity{part}/human": 3.0,
        }
    ]
    assert (run.steps_done, run.words_heard(0), run.words_heard(1)) == (1, 0.0, 150.0)


def test_the_newest_step_is_the_last_whole_row_of_a_step(tmp_path: Path) -> None:
    run = old_run(tmp_path / "run", "whole")
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"kind": "step", "step": 2, "pha')
    assert newest_step(run)["step"] == 1
    assert read_run(run).steps_done == 1
    assert newest_step(tmp_path / "nowhere") == {}


def test_what_a_directory_lacks_is_named(tmp_path: Path) -> None:
    run = read_run(old_run(tmp_path / "run", "whole"))
    with pytest.raises(RunDirectoryError, match=r"There is no .*utterances\.jsonl"):
        _ = run.utterances
    with pytest.raises(RunDirectoryError, match=r"There is no .*environment\.json"):
        _ = run.environment
    (run.path / "data.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="does not hold a data manifest"):
        _ = run.data


WHOLE = b'{"kind": "step", "step": 1}\n'


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (WHOLE + b'{"kind": "step", "step": 2, "said": "perch\xe9"}\n' + WHOLE, 2),
        (b"\xff\xfe\x00\n" + WHOLE, 1),
        (WHOLE + b'{"kind": "step", "st\n' + WHOLE, 2),
        (WHOLE + b"[" * 100_000 + b"\n", 2),
        (WHOLE + b"3\n", 2),
        (WHOLE + b'{"kind": "step"}\n', 2),
        (WHOLE + b'{"kind": "step", "step": "two"}\n', 2),
        (WHOLE + b'{"kind": "step", "step": null}', 2),
        (WHOLE + b'{"step": ' + b"1" * 5000 + b"}\n", 2),
    ],
)
def test_a_broken_row_of_a_log_is_named_by_file_and_line(content: bytes, line: int, tmp_path: Path) -> None:
    run = old_run(tmp_path / "run", "whole")
    (run / "metrics.jsonl").write_bytes(content)
    with pytest.raises(RunDirectoryError, match=rf"metrics\.jsonl, line {line}: "):
        _ = read_run(run).rows


@pytest.mark.parametrize("cut", [b'{"kind": "step", "step": 2, "said": "perch\xc3', b'{"kind": "st'])
def test_a_row_that_is_cut_at_the_end_is_passed_over(cut: bytes, tmp_path: Path) -> None:
    run = old_run(tmp_path / "run", "whole")
    (run / "metrics.jsonl").write_bytes(WHOLE + cut)
    assert read_run(run).rows == [{"kind": "step", "step": 1}]
    assert newest_step(run) == {"kind": "step", "step": 1}


@pytest.mark.parametrize("name", ["recipe.yaml", "data.json", "environment.json"])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"", b"3", b"{a: 1, a: 2"])
def test_a_broken_file_of_a_run_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    run = old_run(tmp_path / "run", "whole")
    (run / name).write_bytes(content)
    part = {"recipe.yaml": "settings", "data.json": "data", "environment.json": "environment"}[name]
    with pytest.raises(RunDirectoryError, match=name):
        getattr(read_run(run), part)


BROKEN = [b"\xff\xfe", b"[" * 100_000, b"{", b"3", b"null", b"[]", b'{"tasks": 3}', b'{"tasks": {"a": []}}']


@pytest.mark.parametrize("content", BROKEN)
def test_broken_results_of_every_kind_are_named(content: bytes, tmp_path: Path) -> None:
    for name, read in (
        ("results.json", load_results),
        ("interpolation.json", load_sweep),
        ("run.json", lambda path: read_measured([path], "bits_per_byte/it")),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ResultsError, match=name):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"evaluations": None}, "NoneType"),
        ({"evaluations": [3]}, "subscriptable"),
        ({"evaluations": [{}]}, "'step' is missing"),
        ({"evaluations": [{"step": 1, "eval/bits_per_byte/it": "low"}]}, "no measure bits_per_byte/it"),
        ({"costs": {"total/flops": "many"}}, "could not convert"),
        ({"costs": [1]}, "no attribute"),
        ({"settings": None}, "no attribute"),
    ],
)
def test_a_result_file_with_something_else_in_a_place_is_named(
    change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    whole = {"run": "clm-1", "evaluations": [{"step": 1, "eval/bits_per_byte/it": 2.5}], "costs": {}, "settings": {}}
    path = tmp_path / "clm-1.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert read_measured([path], "bits_per_byte/it")[0].value == 2.5
    path.write_text(json.dumps(whole | {"model_step": 1} | change), encoding="utf-8")
    with pytest.raises(ResultsError, match=rf"clm-1\.json.*{problem}"):
        read_measured([path], "bits_per_byte/it")


def test_committed_results_of_an_earlier_version_are_read_by_todays_names(tmp_path: Path) -> None:
    old = json.loads((RESULTS / "2026-11-26-evaluation" / "random-baby.json").read_text(encoding="utf-8"))
    (tmp_path / "results.json").write_text(json.dumps({"model": "random", **old}), encoding="utf-8")
    found = load_results(tmp_path)
    assert list(found.tasks)[:3] == ["pairs/blimp", "pairs/agreement_dev", "tasks/ironita"]
    for (before, entry), (name, task) in zip(old["tasks"].items(), found.tasks.items(), strict=True):
        assert task.task == name
        assert [score.value for score in task.scores] == [score["value"] for score in entry["scores"]], before
    for name, beside in (("pairs/blimp", "adjunct_island"), ("tasks/itacola", "accuracy"), ("tasks/itacola", "auc")):
        assert found.tasks[name].main.name == name
        assert f"{name}/{beside}" in {score.name for score in found.tasks[name].scores}


def test_results_of_an_earlier_version_compare_with_new_ones(tmp_path: Path) -> None:
    def score(name: str, value: float) -> dict[str, Any]:
        return {"name": name, "value": value, "unit": "share", "items": 2, "interval": None, "chance": 0.5}

    scores = [score("blimp/accuracy", 0.5), score("blimp/accuracy/passive", 1.0)]
    task = {"task": "blimp", "scores": scores, "settings": {"sha256": "x"}, "verdict": ""}
    (tmp_path / "results.json").write_text(json.dumps({"model": "old", "tasks": {"blimp": task}}), encoding="utf-8")
    items = {"blimp": {"blimp/accuracy": [1.0, 0.0], "blimp/log_prob_good": [-2.0, -3.0]}}
    (tmp_path / "items.json").write_text(json.dumps(items), encoding="utf-8")
    old = load_results(tmp_path)
    names = [score.name for score in old.tasks["pairs/blimp"].scores]
    assert names == ["pairs/blimp", "pairs/blimp/passive"]
    assert old.tasks["pairs/blimp"].item_scores["pairs/blimp/log_prob_good"] == [-2.0, -3.0]
    main = Score("pairs/blimp", 1.0, "share", 2, chance=0.5)
    mine = TaskResult("pairs/blimp", [main], {"sha256": "x"}, item_scores={"pairs/blimp": [1.0, 1.0]})
    (found,) = compare(Results("new", {"pairs/blimp": mine}), old)
    assert (found.score, found.one, found.other) == ("pairs/blimp", 1.0, 0.5)


def test_a_batch_that_is_no_number_is_refused(tmp_path: Path) -> None:
    run = old_run(tmp_path / "run", "whole")
    (run / "metrics.jsonl").write_bytes(b'{"kind": "step", "step": 1, "phase": "clm", "clm/batch": Infinity}\n')
    with pytest.raises(RunDirectoryError, match="infinity"):
        _ = read_run(run).batches
