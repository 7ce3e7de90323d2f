"""The paper's table: averages by hand, what they are over, and how rows are told apart on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import there

from bambino.analysis.paper_table import PaperTable, paper_table
from bambino.analysis.results import Results
from bambino.cli.main import main
from bambino.errors import ResultsError
from bambino.measures import Interval, Score, TaskResult
from bambino.report.paper_table import paper_remarks, paper_rows

L2, L1 = ["tasks/ironita", "tasks/haspeede"], ["pairs/blimp"]


def task(name: str, items: Sequence[float], chance: float, low: float | None = None, sha: str = "x") -> TaskResult:
    """A result whose interval begins at `low` (at its mean where there is none)."""
    mean = sum(items) / len(items)
    score = Score(name, mean, "share", len(items), Interval(mean if low is None else low, mean), chance)
    return TaskResult(name, [score], {"sha256": sha}, "", {name: list(items)})


def results(model: str, *tasks: TaskResult) -> Results:
    return Results(model, {one.task: one for one in tasks})


def baby(irony: Sequence[float], hate: Sequence[float], blimp: Sequence[float] = (1.0, 0.0)) -> Results:
    return results("baby", task(L2[0], irony, 0.5), task(L2[1], hate, 0.25), task(L1[0], blimp, 0.5))


def of(one: Results, *others: Results, references: Sequence[Results] = ()) -> PaperTable:
    return paper_table({"clm": [one], "best": others or [one]}, references, L2, L1)


def test_averages_weigh_tasks_alike_and_stand_beside_chance_by_hand() -> None:
    """Irony 0.75 of four items, hate 0.5 of two: 0.625, where guessing scores (0.5 + 0.25) / 2."""
    found = of(baby([1.0, 1.0, 1.0, 0.0], [1.0, 0.0]))
    italian, english = found.columns
    assert (italian.title, italian.tasks, italian.chance) == ("Italian", tuple(L2), 0.375)
    assert italian.averages["clm"].value == 0.625
    assert there(italian.averages["clm"].interval).low < 0.625 < there(italian.averages["clm"].interval).high
    assert (english.title, english.chance, english.averages["clm"].value) == ("English", 0.5, 0.5)
    assert english.averages["clm"].interval == Interval(0.5, 0.5)  # the task's own
    assert paper_rows(found).rows[0] == ["", "models", "Italian (2 tasks)", "English (1 task)"]
    assert paper_rows(found).rows[1] == ["chance", "", "0.375", "0.500"]


def test_several_seeds_are_one_row_with_lowest_and_highest() -> None:
    """Averages 0.5, 0.75 and 0.25 of three seeds."""
    half, right = [1.0, 0.0], [1.0, 1.0]
    found = of(baby(half, half), baby(half, half), baby(right, half), baby(half, [0.0, 0.0]))
    assert found.models == {"clm": 1, "best": 3}
    best = found.columns[0].averages["best"]
    assert (best.value, best.ends, best.interval) == (0.5, (0.25, 0.75), None)
    assert paper_rows(found).rows[3] == ["best", "3", "0.500 (0.250 to 0.750)", "0.500 (0.500 to 0.500)"]


def test_tasks_on_which_no_reference_is_above_chance_are_left_out_of_a_column_of_its_own() -> None:
    one = baby([1.0, 0.0], [1.0, 1.0])
    parent = results("parent", task(L2[0], [1.0, 0.0], 0.5, low=0.4), task(L2[1], [1.0, 1.0], 0.25, low=0.9))
    found = of(one, references=[parent])
    assert found.uninformative == (L2[0],)
    assert [(column.title, column.averages["clm"].value) for column in found.columns] == [
        ("Italian", 0.75),
        ("Italian, informative", 1.0),
        ("English", 0.5),
    ]
    assert "Uninformative, for no reference is above chance: tasks/ironita." in paper_remarks(found)
    assert "Which tasks tell models apart is not known without --references." in paper_remarks(of(one))
    # A verdict that an evaluation with references left behind counts as they do; over all tasks it leaves nothing out.
    marked = baby([1.0, 0.0], [1.0, 1.0])
    object.__setattr__(marked.tasks[L2[0]], "verdict", "uninformative (no reference is above chance); above chance")
    assert [column.averages["clm"].value for column in of(marked).columns] == [0.75, 1.0, 0.5]


def test_rows_are_averaged_over_the_same_tasks_or_not_at_all() -> None:
    short = results("short", task(L2[1], [1.0, 0.0], 0.25))
    found = of(baby([1.0, 1.0], [1.0, 1.0]), short)
    assert [(column.title, column.tasks) for column in found.columns] == [("Italian", (L2[1],))]
    assert found.lacking == (L2[0], L1[0])
    assert paper_remarks(found)[-1] == "Left out, for not all results hold them: tasks/ironita, pairs/blimp."
    with pytest.raises(ResultsError, match=r"none of tasks/ironita, .*--suite paper"):
        of(short, results("other"))
    with pytest.raises(ResultsError, match="tasks/haspeede of short and other do not compare: sha256 is x and y"):
        of(short, results("other", task(L2[1], [1.0, 0.0], 0.25, sha="y")))
    for_items = results("none", TaskResult(L2[1], short.tasks[L2[1]].scores, {"sha256": "x"}))
    with pytest.raises(ResultsError, match=r"tasks/haspeede of none has no scores by item\. Keep items\.json"):
        of(short, for_items)


def test_the_command_groups_runs_by_their_seed_and_others_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    half, right = baby([1.0, 0.0], [1.0, 0.0]), baby([1.0, 1.0], [1.0, 1.0])
    for seed, one in ((1, half), (2, right)):
        one.save(tmp_path / f"clm-{seed}" / "evaluation")
        (tmp_path / f"clm-{seed}" / "recipe.yaml").write_text(f"seed: {seed}\n")
    half.save(tmp_path / "half_1")
    words = ["table", *(str(tmp_path / name) for name in ("clm-1", "clm-2", "half_1"))]
    assert main([*words, f"named={tmp_path / 'half_1' / 'results.json'}", f"named={tmp_path / 'clm-2'}"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    for row in (["clm", "2", "0.750", "(0.500"], ["half_1", "1", "0.500", "["], ["named", "2", "0.750", "(0.500"]):
        assert any(line[:3] == row[:3] and line[3].startswith(row[3]) for line in rows if len(line) > 3)
    assert main([*words, "--latex"]) == 0
    assert r"half\_1 & 1 & 0.500 [" in capsys.readouterr().out
    assert main([*words, "--markdown"]) == 0
    assert "| clm | 2 | 0.750 (0.500 to 1.000) |" in capsys.readouterr().out
    assert main([*words, "--markdown", "--latex"]) == 2
    assert "--latex" in capsys.readouterr().err
    assert main(["table", str(tmp_path / "nowhere")]) == 2
    assert "There are no results at" in capsys.readouterr().err
