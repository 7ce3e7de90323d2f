"""The demo, tiny: its files, its numbers, what its page says, and that it never says more than its seeds carry."""

from __future__ import annotations

import io
import json
import math
import re
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from rich.console import Console
from transformers import AutoTokenizer

from bambino.cli.main import main
from bambino.demo import demo
from bambino.demo.base_models import cache_directory, train_bases
from bambino.demo.output import make_room
from bambino.demo.plots import curve
from bambino.demo.sizes import PATIENCE, expected_minutes, proposed_size
from bambino.demo.tables import base_lesson, growing_up, lesson, phenomena_rows, result_rows, shown_prompts
from bambino.errors import DemoError
from bambino.experiments.nursery.designs import CONDITIONS, SIZES, Design, cache_key, part_seed, rollout_of
from bambino.experiments.nursery.results import MEASURES, Age, Result, paired, shown, verdicts
from bambino.experiments.nursery.runs import Run
from bambino.experiments.nursery.test_set import read_truth, words_said
from bambino.nursery import Grammar
from bambino.printable import printable
from bambino.recipe.schedule import Schedule
from bambino.text.streams import build_streams

LARGE, SMALL = SIZES["large"], SIZES["small"]
TINY = Design(
    "tiny",
    base_lines=200,
    base_steps=4,
    l2_lines=80,
    cycles=2,
    evaluations=2,
    test_sentences=20,
    doublets=1,
    prompts=6,
    hidden_size=16,
    layers=1,
    context=128,
)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A tiny demo of two seeds in two processes, and its first seed again, base models included, in this process."""
    folder = tmp_path_factory.mktemp("demo")
    found: dict[str, object] = {"cache": folder / "cache"}
    screen = io.StringIO()
    console = Console(file=screen, width=140)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONDITIONS, "best", replace(CONDITIONS["best"], recast_steps=2))
        page = demo(folder / "first", TINY, seed=3, seeds=2, cache=folder / "cache", console=console)
        assert page == folder / "first" / "index.html"
        patch.setattr("bambino.demo.ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
        demo(folder / "second", TINY, seed=3, cache=folder / "another cache", console=Console(file=io.StringIO()))
    return found | {"first": folder / "first", "second": folder / "second", "first screen": screen.getvalue()}


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    return found


def test_two_demos_from_scratch_are_the_same_but_for_the_seconds(demos: dict[str, Any]) -> None:
    first, second = content(demos["first"]), content(demos["second"])
    first["results"] = [run for run in first["results"] if run["seed"] == 3]
    for run in (*first["results"], *second["results"]):
        del run["numbers"]["seconds"]
    assert first == second


def test_base_models_are_trained_once(demos: dict[str, Any]) -> None:
    assert "Training two models from scratch: English baby and Italian parent." in demos["first screen"]
    folder = demos["cache"] / "demo" / cache_key(TINY, 3)
    screen = io.StringIO()
    with ProcessPoolExecutor(1) as pool:
        train_bases(folder, TINY, 3, pool, Console(file=screen, width=300))
    assert screen.getvalue() == f"Baby and parent are there from an earlier demo: {folder}.\n"


def test_every_condition_and_seed_is_there_and_the_untrained_baby_is_the_first_age_of_all(
    demos: dict[str, Any],
) -> None:
    results = content(demos["first"])["results"]
    assert [(run["condition"], run["seed"]) for run in results] == [(c, s) for c in CONDITIONS for s in (3, 4)]
    assert [len(run["ages"]) for run in results] == [1, 1] + 6 * [3]
    for run in results:
        untrained = next(r for r in results if r["condition"] == "untrained" and r["seed"] == run["seed"])
        assert run["ages"][0] == untrained["ages"][0]


def test_clm_and_bambino_hear_the_same_batches(demos: dict[str, Any]) -> None:
    base = next((demos["cache"] / "demo").iterdir())
    heard = {}
    for condition in ("clm", "bambino"):
        folder = (demos["first"] / "runs" / f"{condition}-3").resolve()
        recipe = Run(CONDITIONS[condition], TINY, 3, base, base / "test-set", folder, 3).recipe()
        schedule = Schedule(recipe.schedule, recipe.max_steps)
        streams = build_streams(
            recipe.text,
            AutoTokenizer.from_pretrained(recipe.baby.model),
            seed=recipe.seed,
            batch_size=recipe.batch_size,
            prompt_tokens=recipe.rollout.prompt_tokens,
        )
        places = [schedule.at(step) for step in range(recipe.max_steps)]
        heard[condition] = [streams.clm_batch(at).input_ids.tolist() for at in places if at.phase == "clm"]
    assert len(heard["clm"]) == 20
    assert heard["clm"] == heard["bambino"]


def test_the_excess_is_over_the_grammars_own_bits_on_the_same_sentences(demos: dict[str, Any]) -> None:
    base = next((demos["cache"] / "demo").iterdir())
    for role, language in (("l1", "en"), ("l2", "it")):
        lines = (base / "test-set" / f"{role}.txt").read_text(encoding="utf-8").splitlines()
        grammar = Grammar.load(language)
        nats = -sum(grammar.log_probability(line) for line in lines)
        size = sum(len(line.encode()) for line in lines)
        truth = read_truth(base / "test-set")[role]
        assert truth == pytest.approx(nats / math.log(2) / size)
        run = content(demos["first"])["results"][0]
        rows = (demos["first"] / "runs" / "untrained-3" / "metrics.jsonl").read_text().splitlines()
        measured = json.loads(rows[0])[f"eval/bits_per_byte/{role}"]
        assert run["numbers"][f"{role}/excess"] == pytest.approx(measured - truth)
        assert run["ages"][0]["numbers"][f"{role}/excess"] == pytest.approx(measured - truth)


def test_the_page_stands_alone_and_holds_the_tables_the_plot_and_what_was_said(demos: dict[str, Any]) -> None:
    page = (demos["first"] / "index.html").read_text(encoding="utf-8")
    without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!#)', without_scripts)
    assert not re.search(r"<script|@import|<link", without_scripts)
    assert page.count("window.vegaEmbed=") == 1
    for title in ("What L2 cost in L1", "What the babies said", "Costs", "Versions"):
        assert f"<h2>{title}</h2>" in page  # it is a report of its runs
    assert (demos["first"] / "curves.png").read_bytes().startswith(b"\x89PNG")
    results = [_result(run) for run in content(demos["first"])["results"]]
    for row in result_rows(results, TINY) + phenomena_rows(results, TINY):
        for cell in row:
            assert f">{cell.replace(chr(39), '&#39;')}<" in page
    assert lesson(results, TINY)[0] in page
    assert "± " in result_rows(results, TINY)[1][1]


def test_the_screen_holds_both_tables_and_the_path_of_the_page(demos: dict[str, Any]) -> None:
    screen = re.sub(r"\s+", " ", demos["first screen"])
    assert all(condition in screen for condition in CONDITIONS)
    assert "English baby" in screen
    assert "Italian: clitic gender" in screen
    assert "Not quite what was wanted of the base models" in screen
    assert f"The page: {demos['first']}/index.html" in screen


def test_the_screen_and_the_page_hold_one_prompt_at_every_age(demos: dict[str, Any]) -> None:
    results = [_result(run) for run in content(demos["first"])["results"]]
    ages = growing_up(results, 3, 0)
    assert len(ages) == 3  # before, halfway, at the end
    assert [len({prompt for prompt, _ in age}) for age in ages] == [1, 1, 1]
    assert len({said for _, said in ages[0]}) == 1  # nobody has learned anything yet
    assert all(f"{place} of 2" in demos["first screen"] for place in range(3))
    page = (demos["first"] / "index.html").read_bytes().decode("utf-8")  # carriage returns as they were said
    assert all(str(escape(printable(said))) in page for age in ages for _, said in age)


def _result(run: dict[str, Any]) -> Result:
    ages = [Age(age["step"], age["numbers"], [tuple(said) for said in age["sayings"]]) for age in run["ages"]]
    return Result(run["condition"], run["seed"], ages, run["numbers"], run["phenomena"], run["human_perplexity"])


def result(condition: str, seed: int, excess: float) -> Result:
    """A result whose every number is `excess`."""
    numbers = {measure.name: excess for measure in MEASURES}
    return Result(condition, seed, [Age(0, numbers, []), Age(24, numbers, [])], numbers, {}, 2.0)


def test_an_interval_by_hand() -> None:
    # Mean 2, standard deviation 1, t(2) = 4.303: 4.303 / sqrt 3 = 2.484.
    assert shown([1.0, 2.0, 3.0], ".2f") == "2.00 ± 2.48"
    assert shown([5.0], ".1f") == "5.0"


def test_conditions_are_compared_seed_by_seed() -> None:
    results = [result("clm", 1, 1.0), result("clm", 2, 5.0), result("bambino", 2, 4.0), result("bambino", 1, 0.5)]
    assert paired(results, "l2/excess", "bambino", "clm") == ([4.0, 0.5], [5.0, 1.0])


def four(clm: float, bambino: float, best: float, seed: int = 1) -> list[Result]:
    """A run of each condition whose every number is the one given, but that excess is 100 less it; the untrained baby's
    are all 98."""
    ends = {"untrained": 98.0, "clm": clm, "bambino": bambino, "best": best}
    runs = [result(condition, seed, end) for condition, end in ends.items()]
    for run in runs:
        run.numbers["l2/excess"] = 100 - run.numbers["l2/excess"]
    return runs


def test_one_seed_is_called_one_seed_and_a_loss_is_called_a_loss() -> None:
    results = four(clm=50.0, bambino=49.8, best=49.9)
    headline, paper, beside, first, *_ = lesson(results, TINY)
    assert "was not shown to learn more Italian" in headline
    assert "one seed" in headline
    assert "50.200 bits per byte of Italian above the true entropy where clm has 50.000" in paper
    assert paper.endswith("bambino does not beat clm here, which may be chance with one seed.")
    assert "one seed: each may be chance" in beside
    assert first.strip() == "Italian: bits per byte above the true entropy: best +0.100 against clm. Not better here."
    assert verdicts(results, TINY)[0].endswith("bambino +0.200 against clm. Not better here.")


def test_a_difference_too_small_to_be_shown_is_no_gain() -> None:
    results = four(clm=50.0, bambino=50.0004, best=50.04)
    assert "bambino does not beat clm here" in lesson(results, TINY)[1]
    assert "bambino -0.000 against clm. Not better" in verdicts(results, TINY)[0]
    assert "not shown to learn more Italian" in lesson(results, TINY)[0]  # 50.0 % and 50.0 %


def test_with_several_seeds_only_an_interval_without_zero_is_a_gain() -> None:
    # bambino's excess is lower by 1, 1 and 7 or by 1, 1 and 1.5 than clm's: means 3 and 1.17, half widths of their 95 %
    # intervals 4.30 * 3.46 / sqrt 3 = 8.6 and 4.30 * 0.29 / sqrt 3 = 0.7.
    for last, words in ((57.0, "bambino does not beat clm here"), (51.5, "bambino beats clm here")):
        ends = {1: 51.0, 2: 51.0, 3: last}
        results = [run for seed, end in ends.items() for run in four(50.0, end, 60.0 + seed, seed)]
        assert words in lesson(results, TINY)[1]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (97.1, "97.1 %: it learned more Italian and kept its English."),
        (97.0, "97.0 %: it learned more Italian and kept most of its English."),  # 1 lost of 98; clm lost 48
        (86.1, "86.1 %: it learned more Italian and kept most of its English."),  # 11.9, less than a quarter of 48
        (86.0, "86.0 %: it learned more Italian and lost less of its English."),
        (98.0, "98.0 %: it learned more Italian and kept its English."),
        (50.0, "50.0 %: it was not shown to learn more Italian and lost as much of its English."),
    ],
)
def test_what_was_kept_is_said_as_it_is(end: float, words: str) -> None:
    assert words in lesson(four(clm=50.0, bambino=50.0, best=end), TINY)[0]


def test_an_interval_that_holds_zero_is_called_no_difference() -> None:
    # Differences -0.1, 0.3, 0.1: mean 0.1, standard deviation 0.2, half width 4.30 * 0.2 / sqrt 3 = 0.497.
    results = [result("clm", seed, 1.0) for seed in (1, 2, 3)]
    results += [result("bambino", seed, excess) for seed, excess in ((1, 0.9), (2, 1.3), (3, 1.1))]
    assert "+0.100 against clm (± 0.497 over 3 seeds). No difference shown" in verdicts(results, TINY)[0]
    # Differences -0.3, -0.4, -0.5: mean -0.4, half width 4.30 * 0.1 / sqrt 3 = 0.248.
    results = [result("clm", seed, 1.0) for seed in (1, 2, 3)]
    results += [result("bambino", seed, excess) for seed, excess in ((1, 0.7), (2, 0.6), (3, 0.5))]
    assert verdicts(results, TINY)[0].endswith("-0.400 against clm (± 0.248 over 3 seeds). Better.")


def test_curves_are_drawn_at_equal_cycles() -> None:
    # In a cycle bambino takes 12 steps, clm 10 of them: both are then at 1.
    numbers = {"l2/excess": 1.0}
    ages = [Age(0, numbers, []), Age(10, numbers, [])]
    assert curve([Result("clm", 1, ages, {}, {}, 1.0)], "clm", "l2/excess").x == [0, 1]
    ages = [Age(0, numbers, []), Age(12, numbers, [])]
    assert curve([Result("bambino", 1, ages, {}, {}, 1.0)], "bambino", "l2/excess").x == [0, 1]


@pytest.mark.parametrize(
    ("prompt", "utterance", "has_ended", "words"),
    [
        ("il gat", "to dorme.", True, ["gatto", "dorme"]),
        ("il gatto", " sleeps qui.", True, ["sleeps", "qui"]),
        ("il gatto", " dorme su", False, ["dorme"]),
        ("il gatto", "", False, []),
        ("l'", "orso è l'", True, ["orso", "è", "l'"]),
    ],
)
def test_the_words_of_an_utterance_by_hand(prompt: str, utterance: str, has_ended: bool, words: list[str]) -> None:
    assert words_said(Grammar.load("it"), prompt, utterance, has_ended) == words


class Unspaced:
    """Words of two letters, no spaces, a mark that is not ours."""

    def split(self, text: str) -> tuple[str, ...]:
        return tuple(text[i : i + 2] for i in range(0, len(text), 2))


def test_words_are_the_grammars_where_there_are_no_spaces() -> None:
    unspaced: Any = Unspaced()
    # ka|to|ri|।: the prompt ends inside "to"; the danda is a mark.
    assert words_said(unspaced, "kat", "ori।", True) == ["to", "ri"]
    assert words_said(unspaced, "kat", "ori", False) == ["to"]


def test_languages_are_named_with_their_knobs() -> None:
    assert Design(l2="qel:order").named("{l1} and {l2}") == "English and Qelu:order"


def test_prompts_and_utterances_are_as_long_as_the_tokenizer_needs() -> None:
    assert (rollout_of(18).prompt_tokens, rollout_of(18).max_new_tokens) == (5, 24)
    assert (rollout_of(90).prompt_tokens, rollout_of(90).max_new_tokens) == (21, 120)


def base_scores(baby: tuple[float, float], parent: tuple[float, float]) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of both base models in (l1, l2)."""
    rows = {"baby": baby, "parent": parent}
    return {name: {role: {"pairs": p} for role, p in zip(("l1", "l2"), row, strict=True)} for name, row in rows.items()}


def test_base_models_that_know_too_little_or_too_much_are_named() -> None:
    assert base_lesson(base_scores((0.98, 0.5), (0.46, 0.99)), TINY).startswith("Each base model knows")
    words = base_lesson(base_scores((0.965, 0.5), (0.6, 0.99)), TINY)
    assert "the English baby gets 96.5 % of the English pairs right (above 97 wanted)" in words
    assert "the Italian parent gets 60.0 % of the English pairs right (45 to 55 wanted)" in words
    assert "99.0" not in words


def test_no_two_kinds_of_text_share_a_seed() -> None:
    seeds = [part_seed(seed, part) for seed in range(3) for part in (*range(8), 10)]
    assert len(set(seeds)) == len(seeds)


def test_the_cache_key_depends_on_language_size_and_seed() -> None:
    assert (
        len({cache_key(LARGE, 1), cache_key(LARGE, 2), cache_key(SMALL, 1), cache_key(replace(LARGE, l2="x"), 1)}) == 4
    )
    assert cache_key(LARGE, 1) == cache_key(LARGE, 1)


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "bambino"


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoError, match="not a demo"):
        make_room(tmp_path)
    assert main(["demo", "--output_dir", str(tmp_path)]) == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_wrong_words_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--seeds", "0"]) == 2
    assert main(["demo", "--language", "klingon"]) == 2
    assert main(["demo", "--language", "en"]) == 2
    assert "speaks already" in capsys.readouterr().err
    assert main(["demo", "--help"]) == 0
    assert "--seeds" in capsys.readouterr().out


def test_the_evaluations_divide_the_cycles() -> None:
    assert all(size.cycles % size.evaluations == 0 for size in (*SIZES.values(), TINY))


def test_the_size_that_suits_a_machine_is_the_largest_that_is_done_in_time() -> None:
    rates = [10.0, 40.0, 80.0, 150.0, 300.0, 1000.0]
    sizes = [proposed_size(rate) for rate in rates]
    assert sizes == sorted(sizes, key=list(SIZES).index)  # never smaller on a faster machine
    assert {sizes[0], sizes[-1]} == {"small", "large"}
    assert expected_minutes(proposed_size(150.0), 150.0) <= PATIENCE


def test_seeds_take_longer_and_base_models_that_are_there_take_nothing() -> None:
    minutes = {seeds: expected_minutes("medium", 150.0, seeds) for seeds in (1, 2, 3)}
    assert minutes[3] - minutes[2] == pytest.approx(minutes[2] - minutes[1])
    assert expected_minutes("medium", 150.0, 1, has_bases=True) < minutes[1]


def test_what_to_expect_is_said_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = []
    monkeypatch.setattr("bambino.demo.matrix_rate", lambda: 10_000.0)
    monkeypatch.setattr("bambino.demo.demo", lambda folder, design, *rest, **more: begun.append(design))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["demo", "--output_dir", str(tmp_path / "demo")]) == 0
    assert main(["demo", "--output_dir", str(tmp_path / "demo"), "--size", "small"]) == 0
    assert [design.size for design in begun] == ["large", "small"]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "This machine reaches 10000 GFLOP/s on two cores: size large, less than a minute."
    assert "size small" in said[1]


def test_a_prompt_is_shown_without_the_character_that_its_end_cut() -> None:
    said = [Age(0, {}, [("dov\ufffd", " va?"), ("dov", "'è?"), ("il", " gatto")])]
    results = [Result(condition, 1, said, {}, {}, 2.0) for condition in CONDITIONS]
    assert growing_up(results, 1, 0) == [[("dov", " va?")] * 3]
    assert shown_prompts(results, 1) == [0, 2]
