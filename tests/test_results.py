"""Results go to disk and come back; comparisons by hand."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from bambino.analysis.comparison import compare, compare_over_seeds
from bambino.analysis.results import Results, load_results
from bambino.errors import ResultsError
from bambino.measures import Interval, Score, TaskResult
from bambino.report.tables import comparison_table, remarks, results_table


def results(model: str, right: list[float], loss: list[float]) -> Results:
    """Two tasks: a share of right items and a mean loss."""
    share = sum(right) / len(right)
    pairs = TaskResult(
        "pairs/blimp",
        [Score("pairs/blimp", share, "share", len(right), Interval(0.25, 0.75), 0.5)],
        {"ties": "one half"},
        "not distinguishable from chance",
        {"pairs/blimp": right},
    )
    fluency = Score("it/bits_per_byte", sum(loss) / len(loss), "bits per byte", len(loss))
    return Results(
        model, {"pairs/blimp": pairs, "it": TaskResult("it", [fluency], item_scores={"it/bits_per_byte": loss})}
    )


def shown(table: Table) -> str:
    screen = io.StringIO()
    Console(file=screen, width=200).print(table)
    return screen.getvalue()


def test_results_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    found = results("baby", [1.0, 0.5, 0.0], [2.0, 3.0])
    path = found.save(tmp_path / "evaluation")
    assert load_results(path) == load_results(tmp_path / "evaluation") == found


def test_item_scores_are_kept_apart_from_what_a_reader_opens(tmp_path: Path) -> None:
    path = results("baby", [1.0] * 500, [2.0]).save(tmp_path)
    assert "item_scores" not in path.read_text(encoding="utf-8")
    assert len(json.loads((tmp_path / "items.json").read_text())["pairs/blimp"]["pairs/blimp"]) == 500


def test_a_number_that_is_none_is_null_on_disk(tmp_path: Path) -> None:
    nothing = Results("baby", {"a": TaskResult("a", [Score("a/b", math.nan, "nats", 1)])})
    assert json.loads(nothing.save(tmp_path).read_text())["tasks"]["a"]["scores"][0]["value"] is None
    assert math.isnan(load_results(tmp_path).tasks["a"].main.value)
    assert "nan" in shown(results_table(load_results(tmp_path)))


@pytest.mark.parametrize("content", ["{", "[]", '{"model": "x"}', '{"model": "x", "tasks": {"a": {}}}'])
def test_what_are_no_results_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(ResultsError, match="There are no results at"):
        load_results(path)
    path.write_text(content)
    with pytest.raises(ResultsError, match="does not hold results of bambino evaluate"):
        load_results(path)


def test_the_table_shows_interval_and_chance_and_remarks_what_there_is_to_say() -> None:
    found = results("runs/first", [1.0, 0.0], [2.0, 3.0])
    found = Results(found.model, found.tasks, {"xcopa": "no file for it in tests"})
    text = shown(results_table(found))
    assert "runs/first" in text
    assert "0.250 to 0.750" in text
    assert "0.500" in text
    assert "bits per byte" in text
    assert remarks(found) == [
        "pairs/blimp: not distinguishable from chance",
        "pairs/blimp: only 2 items, so its interval is rough and rather too narrow; more text or items would help",
        "xcopa: left out, no file for it in tests",
    ]
    assert len(remarks(results("runs/first", [1.0] * 30, [2.0]))) == 1


def test_at_80_columns_names_are_broken_between_their_words() -> None:
    name = "pairs/blimp_regular_plural_subject_verb_agreement_1"
    score = Score(name, 0.5, "share", 67_000, Interval(0.4, 0.6), 0.5)
    screen = io.StringIO()
    Console(file=screen, width=80).print(results_table(Results("baby", {name: TaskResult(name, [score])})))
    lines = [line.split("  ")[1].strip() for line in screen.getvalue().splitlines()[4:-1]]
    assert len(lines) > 1
    assert "".join(lines) == name
    assert all(line.endswith(("_", "/")) for line in lines[:-1])


def test_shares_are_compared_by_mcnemar_and_losses_by_the_bootstrap() -> None:
    # Six items that only `one` gets right, none that only `other` does: p = 2 / 2^6 = 0.03125; ties do not count.
    one = results("one", [1.0] * 6 + [0.5], [1.0, 2.0, 3.0])
    other = results("other", [0.0] * 6 + [1.0], [2.0, 3.0, 4.0])
    pairs, fluency = compare(one, other)
    assert (pairs.score, pairs.test) == ("pairs/blimp", "McNemar")
    assert pairs.difference.p_value == pytest.approx(0.03125)
    assert pairs.difference.mean == pytest.approx((6 - 0.5) / 7)
    assert (fluency.score, fluency.test, fluency.difference.mean) == ("it/bits_per_byte", "bootstrap", -1.0)
    # Holm: the smaller p (bootstrap, 2/2000) is doubled, the larger stays.
    assert fluency.corrected_p == pytest.approx(0.002)
    assert pairs.corrected_p == pytest.approx(0.03125)


def test_a_task_is_compared_by_its_main_score_or_by_what_is_a_mean_over_items() -> None:
    def speech(words: list[float]) -> TaskResult:
        scores = [Score("speech/ratio", 1.0, "ratio", 2), Score("speech/words", sum(words) / 2, "words", 2)]
        return TaskResult("speech", scores, item_scores={"speech/words": words, "speech/gap": [0.0, 0.0]})

    def pairs(right: list[float]) -> TaskResult:
        scores = [Score("pairs/blimp", sum(right) / 2, "share", 2), Score("pairs/blimp/u0", right[0], "share", 1)]
        return TaskResult("pairs/blimp", scores, item_scores={"pairs/blimp": right, "pairs/blimp/u0": right[:1]})

    one = Results("one", {"speech": speech([3.0, 4.0]), "pairs/blimp": pairs([1.0, 0.0])})
    other = Results("other", {"speech": speech([2.0, 2.0]), "pairs/blimp": pairs([0.0, 0.0])})
    assert [c.score for c in compare(one, other)] == ["speech/words", "pairs/blimp"]


def test_results_on_other_items_are_not_compared() -> None:
    with pytest.raises(ResultsError, match="pairs/blimp has 2 items in one and 3 in other"):
        compare(results("one", [1.0, 0.0], [1.0]), results("other", [1.0, 0.0, 1.0], [1.0]))
    with pytest.raises(ResultsError, match="share no score"):
        compare(results("one", [1.0], [1.0]), Results("other", {}))


def test_seeds_are_compared_in_pairs() -> None:
    # Differences of the shares: 0.5, 0.5; of the losses: -1, -3: mean -2, t = -2 / (sqrt(2) / sqrt(2)) = -2 with one
    # degree of freedom: p = 1 - 2 / pi * atan(2) = 0.2952.
    ones = [results("a1", [1.0, 1.0], [1.0]), results("a2", [1.0, 0.0], [2.0])]
    others = [results("b1", [1.0, 0.0], [2.0]), results("b2", [0.0, 0.0], [5.0])]
    pairs, fluency = compare_over_seeds(ones, others)
    assert (pairs.one, pairs.other, pairs.difference.mean, pairs.difference.p_value) == (0.75, 0.25, 0.5, 0.0)
    assert fluency.difference.p_value == pytest.approx(0.2952, abs=1e-4)
    assert fluency.test == "t"


@pytest.mark.parametrize("sizes", [(1, 1), (2, 3), (0, 0)])
def test_seeds_must_be_two_or_more_and_equally_many(sizes: tuple[int, int]) -> None:
    one = results("one", [1.0], [1.0])
    with pytest.raises(ResultsError, match="give two or more of each"):
        compare_over_seeds([one] * sizes[0], [one] * sizes[1])


def test_the_table_names_how_many_comparisons_were_corrected_for() -> None:
    found = compare(results("one", [1.0], [1.0]), results("other", [0.0], [2.0]))
    text = shown(comparison_table(found, "one", "other"))
    assert "one against other; p corrected for 2 comparisons (Holm)" in text
    assert "McNemar" in text


def test_items_that_either_model_lacks_are_left_out_of_both() -> None:
    nan = math.nan
    one, other = results("a", [1.0] * 4, [2.0, nan, 4.0, 5.0]), results("b", [1.0] * 4, [1.0, 2.0, nan, 3.0])
    _, gap = compare(one, other)
    assert (gap.one, gap.other, gap.difference.mean) == (3.5, 2.0, 1.5)  # items 0 and 3
    silent = results("b", [1.0] * 4, [nan] * 4)
    assert [found.score for found in compare(one, silent)] == ["pairs/blimp"]


def test_a_score_that_some_seed_lacks_is_no_comparison() -> None:
    ones = [results("a", [1.0, 0.0], [2.0, 3.0]), results("a", [1.0, 1.0], [2.5, 3.5])]
    others = [results("b", [0.0, 0.0], [2.0, math.nan]), results("b", [1.0, 0.0], [2.5, 4.5])]
    assert [found.score for found in compare_over_seeds(ones, others)] == ["pairs/blimp"]


def test_an_item_without_a_number_survives_the_disk(tmp_path: Path) -> None:
    found = results("a", [1.0, 0.0], [math.nan, 3.0])
    found.save(tmp_path)
    one, other = load_results(tmp_path), results("b", [1.0, 1.0], [1.0, 2.0])
    assert math.isnan(one.tasks["it"].item_scores["it/bits_per_byte"][0])
    assert [gap.difference.mean for gap in compare(one, other)] == [-0.5, 1.0]


@pytest.mark.parametrize("setting", ["sha256", "normalization", "max_items", "limit", "parent", "l1"])
def test_results_that_were_measured_otherwise_do_not_compare(setting: str) -> None:
    one, other = results("a", [1.0, 0.0], [2.0, 3.0]), results("b", [1.0, 1.0], [1.0, 2.0])
    one.tasks["it"].settings[setting], other.tasks["it"].settings[setting] = "this", "that"
    message = f"it of a and b do not compare: {setting} is this and that"
    with pytest.raises(ResultsError, match=message):
        compare(one, other)
    with pytest.raises(ResultsError, match=message):
        compare_over_seeds([one, one], [other, other])
