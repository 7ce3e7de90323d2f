"""A report of runs: what its numbers are, how runs are told apart, what one line of words says about them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from bambino.cli.main import main
from bambino.errors import ReportError
from bambino.report.charts import bars, dots, lines, paths
from bambino.report.inquiry import Inquiry, inquiry_in, inquiry_of
from bambino.report.page import Charts, Folded, Part, Section, Table
from bambino.report.reported import Reported, find_runs, read_reported
from bambino.report.run_report import SECTIONS, sections_of, write_report
from bambino.report.sections.costs import costs, times_of, tokens_per_second
from bambino.report.sections.learning import learning, trade_off
from bambino.report.sections.made_of import data, differences, versions
from bambino.report.sections.pairs import pairs
from bambino.report.sections.steps import steps
from bambino.report.sections.summary import summary
from bambino.report.series import (
    band,
    blocks,
    evaluation_bands,
    largest_triangles,
    places,
    points_each,
    shaded,
    step_bands,
    walks,
)

L1, L2 = "bits_per_byte/en", "bits_per_byte/it"
CYCLES = {"clm": {"clm": 1}, "bambino": {"clm": 2, "ppo": 1}}


def run(
    folder: Path,
    condition: str = "clm",
    seed: int = 1,
    *,
    italian: tuple[float, ...] = (4.0, 3.0, 2.0),
    english: tuple[float, ...] = (1.0, 1.5, 2.0),
    is_over: bool = True,
    settings: dict[str, Any] | None = None,
) -> Path:
    """A run directory: six steps, an evaluation at every third; 10 words, 100 FLOPs and 2 seconds a step."""
    place = folder / f"{condition}-{seed}"
    place.mkdir(parents=True)
    cycle = [phase for phase, count in CYCLES.get(condition, {"clm": 1}).items() for _ in range(count)]
    rows: list[dict[str, Any]] = []
    for step in range(3 * len(italian) - 2):
        if step:
            phase = cycle[(step - 1) % len(cycle)]
            total = {"words_heard": 10 * step, "clm_tokens": 20 * step, "flops": 100 * step, "seconds": 2 * step}
            rows.append(
                {"kind": "step", "step": step, "phase": phase, f"{phase}/loss": seed * step, f"time/{phase}": 1.5}
                | {"time/evaluation": 0.5}
                | {f"total/{name}": amount for name, amount in total.items()}
            )
        if step % 3 == 0:
            nth = step // 3
            rows.append(
                {"kind": "evaluation", "step": step, f"eval/{L1}": english[nth], f"eval/{L2}": italian[nth]}
                | {"eval/pairs/blimp": 0.5 + nth / 10, "eval/pairs/blimp/field:syntax": 0.4 + nth / 10}
                | {"eval/pairs/blimp/shortest": 0.5}
            )
    recipe = {
        "seed": seed,
        "max_steps": 6,
        "output_dir": str(place),
        "schedule": {"cycle": CYCLES.get(condition, {"clm": 1})},
        "text": {"sources": ["texts/it.txt"]},
        "evaluation": {"texts": {"en": ["texts/en.txt"], "it": ["texts/it.txt"]}, "split": "test"},
        "early_stopping": {"keep_best": False},
        **(settings or {}),
    }
    text = {"path": f"/home/{condition}/it.txt", "sha256": "ab" * 32, "lines": 5, "kept": 4, "unique": 3}
    manifest = {"format": 2, "clm": [{**text, "words": 60, "words_cut": 0, "tokens": 120}], "rewards": [], "babylm": {}}
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (place / "data.json").write_text(json.dumps(manifest))
    (place / "environment.json").write_text(json.dumps({"device": "cpu", "packages": {"torch": f"2.{seed}"}}))
    (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "utterances.jsonl").write_text("")
    if is_over:
        (place / "model").mkdir()
    return place


@pytest.fixture
def two_conditions(tmp_path: Path) -> Reported:
    """clm and bambino with seeds 1 and 2: bambino's Italian is 0.5 and 0.7 better at the end, its English 0.2 worse."""
    for seed, (clm, bambino) in {1: (2.0, 1.5), 2: (2.4, 1.7)}.items():
        run(tmp_path, "clm", seed, italian=(4.0, 3.0, clm))
        run(tmp_path, "bambino", seed, italian=(4.0, 3.0, bambino), english=(1.0, 1.5, 2.2))
    return read_reported([tmp_path], Inquiry(conditions=("clm", "bambino")))


def charts_of(parts: list[Part] | Any) -> list[Charts]:
    found = []
    for part in parts:
        found += [part] if isinstance(part, Charts) else charts_of(part.parts) if isinstance(part, Folded) else []
    return found


def words_of(section: Section | None) -> str:
    assert section is not None
    return repr(section)


# ------------------------------------------------------------------------------------------------------------ numbers


def test_runs_of_as_many_evaluations_end_together() -> None:
    # Seeds 1 and 2 end at steps 5 and 6 with 1 and 3: mean 2 at step 6, and no step at which one of them stands alone.
    found = band("clm", [{0: 9.0, 4: 5.0, 5: 1.0}, {0: 7.0, 4: 3.0, 6: 3.0}])
    assert found is not None
    assert (found.step, found.mean, found.seeds) == ((0, 4, 6), (8.0, 4.0, 2.0), (2, 2, 2))


def test_a_band_is_the_mean_and_reaches_from_the_lowest_to_the_highest() -> None:
    found = band("clm", [{0: 4.0, 3: 2.0}, {0: 4.0, 3: 3.0}, {0: 1.0}])
    assert found is not None
    assert found.step == (0, 3)
    assert found.mean == (3.0, 2.5)  # (4 + 4 + 1) / 3; the third run has no number at step 3
    assert (found.low, found.high, found.seeds) == ((1.0, 2.0), (4.0, 3.0), (3, 2))
    assert band("clm", [{}, {}]) is None


def test_thinning_keeps_both_ends_and_what_sticks_out() -> None:
    y = [0.0] * 1000
    y[437] = 5.0
    kept = largest_triangles(range(1000), y, 50)
    assert len(kept) == 50
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, 999)
    assert 437 in kept


@pytest.mark.parametrize("count", [1, 2, 3, 4, 50])
def test_few_points_are_all_kept(count: int) -> None:
    assert largest_triangles(range(count), [1.0] * count, 50) == list(range(count))


@pytest.mark.parametrize("count", [4, 5, 7, 51, 99, 100])
def test_never_more_points_than_asked_for_and_each_once(count: int) -> None:
    for most in (3, 4, 49):
        kept = largest_triangles(range(count), [float(i * i % 7) for i in range(count)], most)
        assert len(kept) == min(most, count)
        assert kept == sorted(set(kept))
        assert (kept[0], kept[-1]) == (0, count - 1)


def test_many_curves_have_fewer_points_each() -> None:
    assert points_each(10) == 200
    assert points_each(400) == 100  # 40 000 / 400
    assert points_each(10**6) == 40


def test_evaluations_and_steps_become_bands_of_their_conditions(two_conditions: Reported) -> None:
    clm, bambino = evaluation_bands(two_conditions, f"eval/{L2}")
    assert (clm.condition, bambino.condition) == ("clm", "bambino")
    assert clm.mean == pytest.approx((4.0, 3.0, 2.2))
    assert (bambino.low[-1], bambino.high[-1]) == (1.5, 1.7)
    (losses,) = step_bands(two_conditions, "ppo/loss")
    assert (losses.condition, losses.step) == ("bambino", (3, 6))
    assert losses.mean == (4.5, 9.0)  # seeds 1 and 2 have 3 and 6, then 6 and 12


def test_along_x_stand_steps_words_or_flops(two_conditions: Reported) -> None:
    clm, _ = evaluation_bands(two_conditions, f"eval/{L2}")
    assert places(two_conditions, clm) == {"step": [0, 3, 6], "words": [0, 30, 60], "flops": [0, 300, 600]}


def test_a_phase_is_shaded_where_all_that_have_it_have_it_at_the_same_steps(two_conditions: Reported) -> None:
    shades, whose = shaded(two_conditions)
    assert [(one.begin, one.end, one.phase) for one in shades] == [(2, 3, "ppo"), (5, 6, "ppo")]
    assert whose == "ppo of bambino"
    assert blocks(two_conditions.of("clm")[0]) == []


def test_the_path_from_l2_gained_to_l1_lost_begins_at_nothing(two_conditions: Reported) -> None:
    clm, bambino = walks(two_conditions)
    assert clm.x == pytest.approx((0.0, 1.0, 1.8))  # 4 - 3; 4 less the mean of 2.0 and 2.4
    assert clm.y == pytest.approx((0.0, 0.5, 1.0))
    assert bambino.ends == {1: pytest.approx((2.5, 1.2)), 2: pytest.approx((2.3, 1.2))}


# ------------------------------------------------------------------------------------------------------------- charts


def test_a_chart_holds_the_numbers_and_is_as_wide_as_its_place(two_conditions: Reported) -> None:
    bands = evaluation_bands(two_conditions, f"eval/{L2}")
    spec = lines(bands, ["clm", "bambino"], {"step": {one.condition: one.step for one in bands}}, level=3.0)
    assert spec["width"] == "container"
    clm = spec["datasets"]["lines"][0]
    assert clm["condition"] == "clm"
    assert (clm["mean"], clm["low"], clm["high"], clm["step"]) == ([4, 3, 2.2], [4, 3, 2], [4, 3, 2.4], [0, 3, 6])
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert marks == ["area", "line", "rule", "point", "point"]  # those that are seen, those that answer
    assert [{"level": 3.0}] in spec["datasets"].values()
    colours = spec["layer"][0]["encoding"]["color"]["scale"]
    assert colours == {"domain": ["clm", "bambino"], "range": ["var(--c0)", "var(--c1)"]}


def test_one_run_has_no_band_and_an_axis_of_many_powers_is_logarithmic() -> None:
    one = band("clm", [{0: 1000.0, 1: 1.0}])
    assert one is not None
    spec = lines([one], ["clm"], {"step": {"clm": one.step}})
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line", "point", "point"]
    assert spec["layer"][0]["encoding"]["y"]["scale"] == {"type": "log"}


def test_names_in_charts_have_no_control_characters(two_conditions: Reported) -> None:
    evil = "a\x1b]0;b\u202e"
    one = band(evil, [{0: 1.0}])
    assert one is not None
    specs = [
        lines([one], [evil], {"step": {evil: one.step}}),
        bars([{"condition": evil, "part": evil, "amount": 1.0}], [evil], "seconds"),
        dots([{"condition": evil, "part": evil, "amount": 1.0}], [evil], "share", 0.5),
        paths(walks(two_conditions), [evil], evil, evil),
    ]
    assert not re.search("[\x1b\u202e]", json.dumps(specs, ensure_ascii=False))


def test_numbers_that_are_none_are_null_in_a_chart() -> None:
    spec = dots([{"condition": "clm", "part": "a", "amount": 1 / 3, "low": float("nan"), "high": 1.0}], ["clm"], "", 0)
    assert spec["datasets"]["dots"] == [{"condition": "clm", "part": "a", "amount": 0.33333, "low": None, "high": 1}]


# ------------------------------------------------------------------------------------------------- which runs there are


def test_runs_are_told_by_their_names(tmp_path: Path) -> None:
    for name, seed in (("clm", 1), ("clm", 2), ("best-words", 1)):
        run(tmp_path / "runs", name, seed)
    (tmp_path / "runs" / "clm-2").rename(tmp_path / "runs" / "clm-2-0a1b2c3d")
    (tmp_path / "runs" / "clm-1.txt").write_text("not a run")
    found = read_reported([tmp_path])  # a demo's runs lie in runs/
    assert [(one.condition, one.seed) for one in found.runs] == [("best-words", 1), ("clm", 1), ("clm", 2)]
    assert (found.name, found.seeds) == (tmp_path.name, [1, 2])
    assert found.baseline == "clm"
    assert len(read_reported([tmp_path / "runs" / "clm-1", tmp_path / "runs"]).runs) == 3  # each once


def test_runs_of_one_name_and_seed_go_by_their_whole_names_or_by_what_they_are_called(tmp_path: Path) -> None:
    one, other = run(tmp_path / "a"), run(tmp_path / "b")
    for place, digits in ((one, "0a1b2c3d"), (other, "ffffffff")):
        place.rename(tmp_path / f"clm-1-{digits}")
    assert read_reported([tmp_path]).conditions == ["clm-1-0a1b2c3d", "clm-1-ffffffff"]
    named = read_reported({"slow": [tmp_path / "clm-1-0a1b2c3d"], "fast": [tmp_path / "clm-1-ffffffff"]})
    assert named.conditions == ["slow", "fast"]
    with pytest.raises(ReportError, match="are both clm with seed 1"):
        read_reported({"clm": [tmp_path / "clm-1-0a1b2c3d", tmp_path / "clm-1-ffffffff"]})


def test_trials_are_left_out_where_there_are_runs_on_test_seeds(tmp_path: Path) -> None:
    run(tmp_path, "clm", 1, settings={"evaluation": {"split": "dev"}})
    assert read_reported([tmp_path]).trials == 0
    run(tmp_path, "clm", 11)
    found = read_reported([tmp_path])
    assert ([one.seed for one in found.runs], found.trials) == ([11], 1)
    assert "1 trial that chose settings left out" in words_of(summary(found))


def test_what_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file.txt").write_text("")
    for path, why in (("nowhere", "there is nothing there"), ("file.txt", "it is a file"), (".", "it holds none")):
        with pytest.raises(ReportError, match=f"is no run and no folder of runs: {why}"):
            find_runs(tmp_path / path)
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "Give the output_dir of a run, or the --out folder of an experiment." in capsys.readouterr().err


def test_l2_is_the_text_that_is_heard_or_that_gets_better(tmp_path: Path) -> None:
    run(tmp_path, "clm", 1)
    assert read_reported([tmp_path]).languages == (L1, L2)
    elsewhere = {"text": {"sources": ["texts/another.txt"]}}
    run(tmp_path / "b", "clm", 1, english=(4.0, 3.0, 1.0), italian=(1.0, 1.0, 2.0), settings=elsewhere)
    assert read_reported([tmp_path / "b"]).languages == (L2, L1)
    assert read_reported([tmp_path], Inquiry(languages=("pairs/en", "pairs/it"))).languages == ("pairs/en", "pairs/it")


# ------------------------------------------------------------------------------------------------------------ sections


def test_the_answer_stands_at_the_top_with_its_size_its_interval_and_its_test(two_conditions: Reported) -> None:
    said = words_of(summary(two_conditions))
    assert "4 runs of 2 conditions with 2 seeds (1, 2); 4 finished." in said
    # Differences -0.5 and -0.7: mean -0.6, deviation 0.1414, t = 6, and with one degree of freedom
    # p = 2 (1/2 - arctan(6) / pi) = 0.105.
    assert re.search(r"bambino .*0\.600 bits per byte .*paired t-test, p = 0\.105", said)
    (effects,) = charts_of(summary(two_conditions).parts)
    (row,) = effects.figures[0].spec["datasets"]["dots"]
    assert row["amount"] == -0.6
    assert row["low"] < -0.6 < row["high"]


def test_a_difference_that_dwarfs_the_others_is_told_in_words(tmp_path: Path) -> None:
    for seed in (1, 2):
        for condition, last in {"clm": 2.0, "a": 1.9, "b": 1.8, "untrained": 9.0}.items():
            run(tmp_path, condition, seed, italian=(9.0, 5.0, last + seed / 100))
    section = summary(read_reported([tmp_path]))
    (effects,) = charts_of(section.parts)
    assert [row["condition"] for row in effects.figures[0].spec["datasets"]["dots"]] == ["a", "b"]
    assert "Too far off for this chart: untrained (+7.000)." in words_of(section)


def test_one_run_is_told_before_and_after(tmp_path: Path) -> None:
    section = summary(read_reported([run(tmp_path)]))
    assert "One run: clm, seed 1. 6 of 6 steps, finished." in words_of(section)
    (table,) = (part for part in section.parts if isinstance(part, Table))
    assert ["it (L2): bits per byte", "4", "2"] in table.rows
    assert ["blimp: minimal pairs right, share", "0.5", "0.7"] in table.rows


def test_a_run_that_is_going_on_or_failed_says_so(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        run(tmp_path, "clm", seed, italian=(4.0, 3.0) if seed > 1 else (4.0, 3.0, 2.0), is_over=seed == 1)
    (tmp_path / "clm-3" / "failure.json").write_text('{"step": 3, "error": "the loss is not finite"}')
    with (tmp_path / "clm-2" / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "step", "step": 4, "pha')  # cut: it is being written
    found = read_reported([tmp_path])
    said = words_of(summary(found))
    assert "3 runs of 1 condition with 3 seeds (1, 2, 3); 1 finished." in said
    assert "clm, seed 2: 3 of 6 steps; it is going on, or was stopped." in said
    assert "clm, seed 3: 3 of 6 steps; it failed: the loss is not finite" in said
    assert not found.is_over
    page = write_report(tmp_path / "report.html", found, reloads=7.0).read_text(encoding="utf-8")
    assert "setTimeout(() => location.reload(), 7000.0)" in page
    assert "location.reload" not in write_report(tmp_path / "report.html", found).read_text(encoding="utf-8")


def test_before_its_first_step_a_run_has_a_page(tmp_path: Path) -> None:
    place = run(tmp_path, is_over=False)
    (place / "metrics.jsonl").write_text("")
    found = read_reported([place])
    titles = [section.title for section in sections_of(found, SECTIONS)]
    assert "Recipes" in titles
    assert "Learning and forgetting" not in titles
    assert "0 of 6 steps" in words_of(summary(found))


def test_of_several_conditions_words_stand_along_x_and_of_one_steps(two_conditions: Reported, tmp_path: Path) -> None:
    section = learning(two_conditions)
    assert section is not None
    (charts,) = charts_of(section.parts)
    assert list(charts.along) == ["words", "step", "flops"]
    assert [figure.title for figure in charts.figures] == [
        "en (L1): bits per byte",
        "it (L2): bits per byte",
        "blimp: minimal pairs right, share",
    ]
    assert "Shaded where steps stand along: ppo of bambino." in words_of(section)
    alone = learning(read_reported([tmp_path / "clm-1"]))
    assert alone is not None
    assert list(charts_of(alone.parts)[0].along) == ["step", "words", "flops"]
    assert trade_off(two_conditions) is not None


def test_steps_are_drawn_by_phase_and_the_rest_is_folded(two_conditions: Reported) -> None:
    section = steps(two_conditions)
    assert section is not None
    assert [figure.title for figure in charts_of(section.parts)[0].figures] == ["ppo/loss", "clm/loss"]


def test_pairs_are_told_by_field_without_what_is_no_kind(two_conditions: Reported) -> None:
    section = pairs(two_conditions)
    assert section is not None
    (charts,) = charts_of(section.parts)
    rows = charts.figures[0].spec["datasets"]["dots"]
    assert [(row["condition"], row["part"], row["amount"]) for row in rows] == [
        ("clm", "syntax", 0.6),
        ("bambino", "syntax", 0.6),
    ]


def test_tokens_per_second_leave_evaluations_out(tmp_path: Path) -> None:
    (one,) = read_reported([run(tmp_path)]).runs
    assert times_of(one) == {"clm": 9.0, "evaluation": 3.0}  # 6 steps of 1.5 and 0.5
    assert tokens_per_second(one) == pytest.approx(120 / 9)


def test_costs_have_time_memory_and_flops(two_conditions: Reported, tmp_path: Path) -> None:
    for seed, size in ((1, 3 * 2**20), (2, 5 * 2**20)):
        (tmp_path / f"clm-{seed}" / "memory.json").write_text(json.dumps({"process": size}))
    section = costs(read_reported([tmp_path], two_conditions.inquiry))
    assert section is not None
    (table,) = (part for part in section.parts if isinstance(part, Table))
    assert table.rows == [
        ["mean over seeds", "clm", "bambino"],
        ["steps", "6", "6"],
        ["seconds", "12", "12"],
        ["tokens per second", "13", "13"],
        ["memory of the process, MiB, at most", "5", ""],
        ["FLOPs", "600", "600"],
    ]
    (charts,) = charts_of(section.parts)
    assert [(row["condition"], row["part"], row["amount"]) for row in charts.figures[0].spec["datasets"]["bars"]] == [
        ("clm", "clm", 9),
        ("bambino", "clm", 6),
        ("clm", "evaluation", 3),
        ("bambino", "evaluation", 3),
        ("bambino", "ppo", 3),
    ]


def test_recipes_are_told_by_what_differs(two_conditions: Reported) -> None:
    assert differences(two_conditions) == [
        ["setting", "clm", "bambino"],
        ["schedule.cycle.clm", "1", "2"],
        ["schedule.cycle.ppo", "", "1"],
    ]


def test_a_text_is_told_once_and_a_version_with_the_runs_that_had_it(two_conditions: Reported) -> None:
    table = data(two_conditions).parts[0]
    assert isinstance(table, Table)
    assert table.rows[1:] == [["L2", "5", "4", "3", "60", "120", "abababababab", "it.txt", "all"]]
    table = versions(two_conditions).parts[0]
    assert isinstance(table, Table)
    assert table.rows[1:] == [["device", "cpu"], ["torch", "2.1 (2 runs); 2.2 (2 runs)"]]


def test_a_run_of_an_earlier_version_has_a_page(tmp_path: Path) -> None:
    place = run(tmp_path, settings={"evaluation": {}, "early_stopping": {}})
    rows = [{"kind": "evaluation", "step": step, "eval/bits_per_byte/it": 4.0 - step} for step in (0, 1)]
    rows.insert(1, {"kind": "step", "step": 1, "phase": "clm", "clm/loss": 1.0, "total/clm_tokens": 5.0})
    (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    old = {"clm": [{"words": 10, "tokens": 20}], "rewards": ["parent_perplexity"]}
    (place / "data.json").write_text(json.dumps(old))
    found = read_reported([place])
    assert found.runs[0].record.format == 1
    assert "Learning and forgetting" in [section.title for section in sections_of(found, SECTIONS)]


# --------------------------------------------------------------------------------------------------------- experiments

EXPERIMENT = """
question: Does feedback help?
hypotheses: [It does., It costs.]
primary: pairs/blimp
secondary: [bits_per_byte/en]
recipe: paper
settings: {text.sources: ["${it}"]}
conditions: {bambino: {}, clm: {}}
baseline: clm
languages: {l1: bits_per_byte/en, l2: bits_per_byte/it}
seeds: {test: [1, 2, 3]}
"""


def test_an_experiments_file_says_what_was_asked(two_conditions: Reported, tmp_path: Path) -> None:
    path = tmp_path / "help.yaml"
    path.write_text(EXPERIMENT)
    found = read_reported([tmp_path], inquiry_in(path))
    assert (found.name, found.conditions, found.baseline) == ("help", ["bambino", "clm"], "clm")
    assert found.languages == (L1, L2)
    assert found.answer is not None
    assert (found.answer.primary, found.answer.seeds) == ("pairs/blimp", (1, 2, 3))
    assert found.answer.conditions["clm"].missing == (3,)
    said = words_of(summary(found))
    assert "Does feedback help?" in said
    assert "It costs." in said


@pytest.mark.parametrize("text", ["a: [", "question: why?", "- a", "conditions: {a: {}}\nlanguages: {l1: b}"])
def test_a_file_that_is_no_experiment_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "strange.yaml"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"strange\.yaml is no experiment"):
        inquiry_in(path)


def test_the_answer_that_an_experiment_wrote_is_read_back(two_conditions: Reported, tmp_path: Path) -> None:
    assert two_conditions.answer is not None
    results = tmp_path / "results"
    results.mkdir()
    written = {**asdict(two_conditions.answer), "experiment": "help", "verdicts": ["..."]}
    (results / "answer.json").write_text(json.dumps(written))
    inquiry = inquiry_of(tmp_path)
    assert inquiry.answer is not None
    assert (inquiry.name, inquiry.conditions, inquiry.baseline) == ("help", ("clm", "bambino"), "clm")
    assert inquiry.answer.conditions == two_conditions.answer.conditions
    # Runs whose directories were dropped count all the same.
    left = read_reported([tmp_path / "clm-1", tmp_path / "bambino-1"], inquiry)
    assert left.answer is inquiry.answer
    assert main(["report", str(results)]) == 0  # no run at all is left here
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "No run directory is here" in page
    assert two_conditions.answer.conditions["bambino"].verdict in page
    (results / "answer.json").write_text("{}")
    with pytest.raises(ReportError, match=r"answer\.json cannot be read"):
        inquiry_of(tmp_path)


# ----------------------------------------------------------------------------------------------------- the command line


def test_the_command_writes_a_page_that_needs_nothing_else(
    two_conditions: Reported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path), "--tables"]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"The page: {tmp_path / 'report.html'}" in capsys.readouterr().out
    without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(?!#)|@import|url\(", without_scripts)
    assert page.count("window.vegaEmbed=") == 1
    assert "| bambino | 2 |" in (tmp_path / "report.md").read_text()
    assert r"\toprule" in (tmp_path / "report.tex").read_text()


def test_runs_can_be_named_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = run(tmp_path / "a"), run(tmp_path / "b", italian=(4.0, 3.0, 1.0))
    out = tmp_path / "new" / "page.html"
    assert main(["report", f"slow={one}", f"fast={other}", "--over", "slow", "--out", str(out)]) == 0
    assert "fast is better than slow by 1.000 bits per byte" in out.read_text(encoding="utf-8")
    assert main(["report", f"slow={one}", str(other)]) == 2
    assert "Give all runs as CONDITION=RUN, or none." in capsys.readouterr().err


def test_a_page_that_is_watched_is_written_anew_until_the_run_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, whole = run(tmp_path, is_over=False), run(tmp_path / "whole")
    log = place / "metrics.jsonl"
    rows = log.read_text().splitlines(keepends=True)
    log.write_text("".join(rows[:4]))
    pages = []

    def wait(_: float) -> None:
        pages.append((place / "report.html").read_text(encoding="utf-8"))
        if len(pages) == 2:
            log.write_text("".join(rows[:6]))
        elif len(pages) == 3:
            log.write_text("".join(rows))
            (whole / "model").rename(place / "model")

    monkeypatch.setattr("bambino.cli.report.time.sleep", wait)
    assert main(["report", str(place), "--watch"]) == 0
    assert "All runs are over." in capsys.readouterr().out
    assert pages[0] == pages[1] != pages[2]
    assert ["of 6 steps; it is going on" in page and "location.reload" in page for page in pages] == [True] * 3
    last = (place / "report.html").read_text(encoding="utf-8")
    assert "6 of 6 steps, finished." in last
    assert "location.reload" not in last
