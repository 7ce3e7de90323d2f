"""The demo, tiny: its files, its numbers, what its page says, and that it never says more than its seeds carry."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

import pytest
from rich.console import Console
from transformers import AutoTokenizer

from bambino.cli import main
from bambino.demo import DemoError, cache_directory, demo, make_room
from bambino.demo.exam import italian_words, read_truth
from bambino.demo.plots import curve
from bambino.demo.results import MEASURES, Age, Result, differences, spread, verdicts
from bambino.demo.settings import CONDITIONS, FAST, FULL, Size, cache_key, condition_recipe, part_seed
from bambino.demo.tables import lesson, phenomena_rows, result_rows
from bambino.nursery import Grammar
from bambino.schedule import Schedule
from bambino.streams import build_streams

TINY = Size(
    base_lines=300,
    base_steps=4,
    l2_lines=80,
    cycles=2,
    evaluations=2,
    exam_sentences=20,
    doublets=1,
    prompts=6,
    hidden_size=16,
    layers=1,
    context=64,
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A tiny demo with two seeds, then the same again: folders and what was printed."""
    folder = tmp_path_factory.mktemp("demo")
    found: dict[str, object] = {"cache": folder / "cache"}
    for name in ("first", "second"):
        screen = io.StringIO()
        console = Console(file=screen, width=140)
        page = demo(folder / name, TINY, seed=3, seeds=2, cache=folder / "cache", console=console)
        assert page == folder / name / "index.html"
        found |= {name: folder / name, f"{name} screen": screen.getvalue()}
    return found


def content(folder: Path) -> dict:
    return json.loads((folder / "demo.json").read_text(encoding="utf-8"))


def test_the_second_demo_uses_the_same_bases_and_gives_the_same_numbers(shown):
    assert "Raising an Italian parent" in shown["first screen"]
    assert "were raised before" in shown["second screen"]
    first, second = content(shown["first"]), content(shown["second"])
    for run in (*first["results"], *second["results"]):
        del run["numbers"]["seconds"]
    assert first == second


def test_every_condition_and_seed_is_there_and_the_untrained_baby_is_the_first_age_of_all(shown):
    results = content(shown["first"])["results"]
    assert [(run["condition"], run["seed"]) for run in results] == [(c, s) for c in CONDITIONS for s in (3, 4)]
    assert [len(run["ages"]) for run in results] == [1, 1] + 6 * [3]
    for run in results:
        untrained = next(r for r in results if r["condition"] == "untrained" and r["seed"] == run["seed"])
        assert run["ages"][0] == untrained["ages"][0]


def test_clm_and_bambino_hear_the_same_batches(shown):
    base = next((shown["cache"] / "demo").iterdir())
    heard = {}
    for condition in ("clm", "bambino"):
        text = shown["first"] / "runs" / f"{condition}-3.txt"
        recipe = condition_recipe(condition, TINY, 3, base, base / "exam", text, shown["first"])
        schedule = Schedule(recipe.schedule, recipe.max_steps)
        streams = build_streams(recipe, AutoTokenizer.from_pretrained(recipe.baby.model), schedule)
        steps = [step for step in range(recipe.max_steps) if schedule.phase(step) == "clm"]
        heard[condition] = [streams.clm_batch(step).input_ids.tolist() for step in steps]
    assert len(heard["clm"]) == 20
    assert heard["clm"] == heard["bambino"]


def test_the_excess_is_over_the_grammars_own_bits_on_the_same_sentences(shown):
    base = next((shown["cache"] / "demo").iterdir())
    for language in ("en", "it"):
        lines = (base / "exam" / f"{language}.txt").read_text(encoding="utf-8").splitlines()
        grammar = Grammar.load(language)
        nats = -sum(grammar.log_probability(line) for line in lines)
        size = sum(len(line.encode()) for line in lines)
        truth = read_truth(base / "exam")[language]
        assert truth == pytest.approx(nats / math.log(2) / size)
        run = content(shown["first"])["results"][0]
        rows = (shown["first"] / "runs" / "untrained-3" / "metrics.jsonl").read_text().splitlines()
        measured = json.loads(rows[0])[f"eval/bits_per_byte/{language}"]
        assert run["numbers"][f"{language}/excess"] == pytest.approx(measured - truth)
        assert run["ages"][0]["numbers"][f"{language}/excess"] == pytest.approx(measured - truth)


def test_the_page_stands_alone_and_holds_the_tables_the_plot_and_what_was_said(shown):
    page = (shown["first"] / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert not re.search(r"(?<!xmlns:)(?:<script|@import|<link)", page)
    assert page.count("<svg") == 1
    assert (shown["first"] / "curves.png").read_bytes().startswith(b"\x89PNG")
    results = [_result(run) for run in content(shown["first"])["results"]]
    for row in result_rows(results) + phenomena_rows(results):
        for cell in row:
            assert f">{cell.replace(chr(39), '&#x27;')}<" in page
    assert lesson(results)[0] in page
    assert "± " in result_rows(results)[1][1]


def test_the_screen_holds_both_tables_and_the_path_of_the_page(shown):
    screen = re.sub(r"\s+", " ", shown["first screen"])
    assert all(condition in screen for condition in CONDITIONS)
    assert "English baby" in screen
    assert "Italian: clitic gender" in screen
    assert f"The page: {shown['first']}/index.html" in screen


def _result(run: dict) -> Result:
    ages = [Age(age["step"], age["numbers"], [tuple(said) for said in age["sayings"]]) for age in run["ages"]]
    return Result(run["condition"], run["seed"], ages, run["numbers"], run["phenomena"], run["human_perplexity"])


def result(condition: str, seed: int, excess: float) -> Result:
    """A result whose every number is `excess`."""
    numbers = {measure.name: excess for measure in MEASURES}
    return Result(condition, seed, [Age(0, numbers, []), Age(24, numbers, [])], numbers, {}, 2.0)


def test_an_interval_by_hand():
    # Mean 2, standard deviation 1, t(2) = 4.30: 4.30 / sqrt 3.
    assert spread([1.0, 2.0, 3.0]).mean == 2
    assert spread([1.0, 2.0, 3.0]).half_width == pytest.approx(4.30 / math.sqrt(3))
    assert spread([5.0]).show(".1f") == "5.0"


def test_differences_are_paired_by_seed():
    results = [result("clm", 1, 1.0), result("clm", 2, 5.0), result("bambino", 2, 4.0), result("bambino", 1, 0.5)]
    assert sorted(differences(results, "it/excess", "bambino", "clm")) == [-1.0, -0.5]


def test_one_seed_is_called_one_seed_and_a_loss_is_called_a_loss():
    results = [result("untrained", 1, 3.0), result("clm", 1, 1.0), result("ppo", 1, 3.0), result("bambino", 1, 1.2)]
    assert "bambino does not beat clm here" in lesson(results)[0]
    assert "one seed" in lesson(results)[0]
    assert verdicts(results)[0].endswith(
        "bambino +0.200 against clm. not better, but this is one seed: it may be chance."
    )


def test_an_interval_that_holds_zero_is_called_no_difference():
    # Differences -0.1, 0.3, 0.1: mean 0.1, standard deviation 0.2, half width 4.30 * 0.2 / sqrt 3 = 0.497.
    results = [result("clm", seed, 1.0) for seed in (1, 2, 3)]
    results += [result("bambino", seed, excess) for seed, excess in ((1, 0.9), (2, 1.3), (3, 1.1))]
    assert "+0.100 against clm (± 0.497 over 3 seeds). no difference shown" in verdicts(results)[0]
    # Differences -0.3, -0.4, -0.5: mean -0.4, half width 4.30 * 0.1 / sqrt 3 = 0.248.
    results = [result("clm", seed, 1.0) for seed in (1, 2, 3)]
    results += [result("bambino", seed, excess) for seed, excess in ((1, 0.7), (2, 0.6), (3, 0.5))]
    assert verdicts(results)[0].endswith("-0.400 against clm (± 0.248 over 3 seeds). better.")


def test_curves_are_drawn_at_equal_cycles():
    # In a cycle bambino takes 12 steps, clm 10 of them: clm's step 10 stands where bambino's 12 does.
    numbers = {"it/excess": 1.0}
    ages = [Age(0, numbers, []), Age(10, numbers, [])]
    assert curve([Result("clm", 1, ages, {}, {}, 1.0)], "clm", "it/excess", TINY)[0] == [0, 12]


@pytest.mark.parametrize(
    ("prompt", "utterance", "has_ended", "counts"),
    [
        ("il gat", "to dorme.", True, (2, 2)),
        ("il gatto", " sleeps qui.", True, (1, 2)),
        ("il gatto", " dorme su", False, (1, 1)),
        ("il gatto", "", False, (0, 0)),
    ],
)
def test_italian_words_are_counted_by_hand(prompt: str, utterance: str, has_ended: bool, counts: tuple[int, int]):
    assert italian_words(prompt, utterance, has_ended) == counts


def test_no_two_kinds_of_text_share_a_seed():
    seeds = [part_seed(seed, part) for seed in range(3) for part in (0, 1, 2, 3, 4, 10)]
    assert len(set(seeds)) == len(seeds)


def test_the_cache_key_depends_on_size_and_seed():
    assert len({cache_key(FULL, 1), cache_key(FULL, 2), cache_key(FAST, 1)}) == 3
    assert cache_key(FULL, 1) == cache_key(FULL, 1)


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "bambino"


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoError, match="not a demo"):
        make_room(tmp_path)
    assert main(["demo", "--output_dir", str(tmp_path)]) == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_wrong_words_are_answered(capsys):
    assert main(["demo", "--seeds", "0"]) == 2
    assert main(["demo", "--language", "invented"]) == 2
    assert main(["demo", "--help"]) == 0
    assert "--seeds" in capsys.readouterr().out


def test_the_evaluations_divide_the_cycles():
    assert all(size.cycles % size.evaluations == 0 for size in (FULL, FAST, TINY))
