"""The ledger of a baby's whole life, by hand; what rules refuse, and that a run ends before a budget is passed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bambino import BambinoTrainer, Recipe
from bambino.errors import RecipeError, RunDirectoryError
from bambino.files import json_of
from bambino.recipe.rules import LIMITS, equivalents, rule_names, rules_of
from bambino.runs.ledger import (
    BASE,
    LEDGER,
    Amount,
    HeardText,
    Ledger,
    as_json,
    ledger_from,
    read_ledger,
    run_ledger,
    stated,
    texts_of,
)
from bambino.runs.life import ledger_beside, texts_of_life
from bambino.runs.record import read_run
from bambino.training.pretrain import pretrain

Make = Callable[..., Recipe]
SMALL = "babylm-2026-strict-small"
ENGLISH = 5.43
"""Bytes of an English word."""
CLM = ("--schedule.cycle", "{clm: 1}", "--parent.model", "null")


def source(name: str, words: int, cut: int = 0, **dropped: int) -> dict[str, Any]:
    return {"path": name, "sha256": name, "words": words, "words_cut": cut, "dropped": dropped}


def text(name: str, words: float, heard: float = 0.0) -> HeardText:
    return HeardText(name, name, "eng", Amount(words, words), words, heard)


def rows_of(recipe: Recipe) -> list[dict[str, Any]]:
    path = Path(recipe.output_dir) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def with_life(baby: Path, folder: Path, life: Ledger) -> str:
    """A copy of a baby that has lived."""
    shutil.copytree(baby, folder)
    (folder / LEDGER).write_text(json.dumps(as_json(life)))
    return str(folder)


# ---------------------------------------------------------------------------------------------------------- by hand


def test_english_equivalents_are_bytes_over_premium_over_the_bytes_of_an_english_word() -> None:
    assert equivalents(543e6, "eng") == pytest.approx(100e6)
    assert equivalents(543e6 * 1.06688693, "ita") == pytest.approx(100e6)
    assert equivalents(1000 * ENGLISH * 0.935966392, "zho") == pytest.approx(1000)
    assert Amount.of(2, None, "ita") == Amount.of(2, 9.0, None) == Amount(2, None)
    assert (Amount(2, None) + Amount(3, 4.0)).equivalents is None


def test_the_ledger_of_a_run_by_hand() -> None:
    l2 = texts_of([source("a", 100, 20), source("b", 40)], [100 * ENGLISH, 80 * ENGLISH], "eng", [1.0, 2.0])
    l1 = texts_of([source("c", 50)], [50 * ENGLISH], "eng")
    base = {
        "texts": {
            part: [vars(t) | {"size": vars(t.size)} for t in those] for part, those in {"clm": l2, "replay": l1}.items()
        },
        "languages": {"clm": "eng", "replay": "eng"},
        "before": as_json(Ledger([text("c", 50, 300)], said=Amount(7, 7.0))),
        "parent": [vars(t) | {"size": vars(t.size)} for t in [text("a", 100), text("d", 1000)]],
        "shown": False,
    }
    totals = {
        "words_heard": 320.0,  # of 80 + 2 * 40 words an epoch: two
        "words_replayed": 25.0,
        "words_recast": 12.0,
        "words_review": 10.0,
        "words_said": 5.0,
        "bytes_said": 10 * ENGLISH,
        "words_written_by_parent": 6.0,
        "bytes_written_by_parent": 12 * ENGLISH,
        "rewards": 4.0,
    }
    ledger = run_ledger({BASE: base}, totals)
    by_name = {one.path: one for one in ledger.texts}
    assert {name: (one.heard, one.passes) for name, one in by_name.items()} == {
        "c": (325, 6.5),  # 300 before the run, 25 in it
        "a": (160, 2),
        "b": (160, 4),
    }
    assert ledger.passes == 6.5
    # 160 words of a, 160 of b at two equivalents a word, 325 of c; recasts at 2, 10 review words as L2's 180 for 140.
    assert ledger.heard.words == 320 + 325 + 12 + 10
    assert ledger.heard.equivalents == pytest.approx(160 + 320 + 325 + 24 + 10 * 180 / 140)
    assert ledger.said.words == 12
    assert ledger.said.equivalents == pytest.approx(17)
    assert ledger.text.words == 100 + 40 + 50 + 6
    assert ledger.rewards == 4
    assert replace(ledger, shown=True).text.words == 100 + 40 + 50 + 6 + 1000  # the parent's a is the baby's
    assert ledger_from(json_of(json.dumps(as_json(ledger)))) == ledger


def test_texts_of_which_other_lines_were_chosen_are_not_the_same() -> None:
    whole, some = source("a", 100), source("a", 10) | {"dropped": {"over the budget": 9}}
    (one,), (other,) = texts_of([whole], [None], None), texts_of([some], [None], None, None, "1/null/10")
    assert one.id != other.id
    assert Ledger([one, other, one]).text.words == 110


def test_what_a_parent_was_raised_on_is_known_only_where_all_of_it_is() -> None:
    life = Ledger([text("a", 10)], told=Amount(3, 3.0))
    assert [(one.path, one.size.words) for one in texts_of_life(life) or []] == [
        ("a", 10),
        ("written for the parent", 3),
    ]
    assert texts_of_life(replace(life, is_whole=False)) is None
    assert texts_of_life(replace(life, shown=True)) is None
    assert len(texts_of_life(replace(life, shown=True, parent=[text("b", 1)])) or []) == 3


@pytest.mark.parametrize("name", rule_names()[1:])
def test_every_limit_says_where_it_is_written_and_when(name: str) -> None:
    rules = rules_of(name)
    assert rules is not None
    assert set(rules.limits) <= set(LIMITS)
    assert set(rules.sources) == {*rules.limits, "distributions"}
    for where in rules.sources.values():
        date.fromisoformat(where.rpartition("(")[2].rstrip(")"))
    assert rules.limits["heard"] == 10 * rules.limits["text"]


def test_a_ledger_that_is_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text('{"texts": 3}')
    with pytest.raises(RunDirectoryError, match=r"is no ledger .* baby.words"):
        read_ledger(tmp_path / LEDGER)


# ------------------------------------------------------------------------------------------------------- whole lives


def test_a_life_goes_on_from_the_run_that_raised_the_baby(make_recipe: Make, text_file: Path) -> None:
    shape = ("--shape.hidden_size", "32", "--shape.num_layers", "1", "--shape.num_heads", "2", "--shape.context", "64")
    words = ("--shape.vocab_size", "300", "--baby.model", "null", "--text.language", "ita", "--save_steps", "1")
    first = make_recipe(*CLM, *shape, *words, "--max_steps", "2", output_dir="first")
    pretrain(first)
    heard = [row["ledger/words_heard"] for row in rows_of(first)]
    assert heard == [row["total/words_heard"] for row in rows_of(first)]
    model, early = (Path(first.output_dir) / place for place in ("model", "checkpoints/step-0000001/model"))
    assert ledger_beside(model) == read_ledger(model / LEDGER)
    for folder, words_heard in ((model, heard[1]), (early, heard[0])):
        (folder / LEDGER).unlink()  # as earlier versions left it
        life = ledger_beside(folder)
        assert life is not None
        assert life.is_whole
        assert life.heard.words == words_heard
    second = make_recipe(*CLM, "--baby.model", str(model), "--max_steps", "2", output_dir="second")
    BambinoTrainer(args=second).train()
    last = rows_of(second)[-1]
    assert last["ledger/words_heard"] == heard[1] + last["total/words_heard"]
    ledger = read_ledger(Path(second.output_dir) / "model" / LEDGER)
    (one,) = ledger.texts  # both heard the same file
    assert one.heard == last["ledger/words_heard"]
    account = dict(read_run(second.output_dir).word_account)
    assert account["words heard before the run"] == f"{heard[1]:,.0f}"
    assert account["words heard in the whole life"] == f"{one.heard:,.0f}"


def test_a_life_may_be_stated_and_else_is_not_known(make_recipe: Make) -> None:
    recipe = make_recipe(*CLM, "--max_steps", "1", "--baby.words", "100", "--baby.words_heard", "250")
    BambinoTrainer(args=recipe).train()
    row = rows_of(recipe)[-1]
    assert row["ledger/words_heard"] == 250 + row["total/words_heard"]
    assert stated(100, 250, "baby.words").heard == Amount(250, 250.0)
    unknown = make_recipe(*CLM, "--max_steps", "1", output_dir="unknown")
    BambinoTrainer(args=unknown).train()
    assert "ledger/words_heard" not in rows_of(unknown)[-1]
    assert not read_ledger(Path(unknown.output_dir) / "model" / LEDGER).is_whole


# ------------------------------------------------------------------------------------------------------------- rules

LIVED = ("--baby.words", "100", "--max_steps", "3")
SPANS = ("--schedule.cycle", "{clm: 1, reinforce: 1}", "--feedback.parent_spans.weight", "1")
BATCH = ("--reinforce.baseline", "batch")


@pytest.mark.parametrize(
    ("rules", "words", "message"),
    [
        (SMALL, ("--max_steps", "3"), "Nobody says what the baby had heard before this run.*baby.words"),
        (SMALL, (*LIVED, *SPANS, *BATCH), "parent_spans show distributions of a parent.*2025-03-02.*parent.words"),
        (
            SMALL,
            (*LIVED, *SPANS, *BATCH, "--parent.words", "10000000"),
            "text that the baby .* of 10,000,000 .*max_words",
        ),
        (SMALL, ("--baby.words", "10000000", "--max_steps", "3"), "words of text that the baby.*2026-07-20"),
        (SMALL, ("--baby.words", "100", *CLM, "--passes", "10.5"), "passes over a text: 10.50 of 10 .*Give passes"),
        (SMALL, ("--baby.words", "100", "--baby.words_heard", "1001", "--max_steps", "3"), "passes over a text: 10.01"),
        ("babylm-2026-multilingual", LIVED, "text.language = None.*one of eng, nld, zho"),
        ("babylm-2026-multilingual", (*LIVED, "--text.language", "ita"), "text.language = ita.*one of eng"),
    ],
)
def test_what_rules_forbid_is_refused_at_the_start(
    make_recipe: Make, rules: str, words: tuple[str, ...], message: str
) -> None:
    recipe = make_recipe("--rules", rules, *words)
    with pytest.raises(RecipeError, match=message):
        BambinoTrainer(args=recipe).train()
    assert not Path(recipe.output_dir).exists()


def test_rules_that_there_are_not_are_refused_by_name(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match=r"rules = babylm is none. Use one of none, babylm-2026-multilingual"):
        make_recipe("--rules", "babylm")
    with pytest.raises(RecipeError, match=r"text.language = it has no byte premium here. Use one of"):
        make_recipe("--text.language", "it")
    with pytest.raises(
        RecipeError, match=r"text.weights = .* change over training, and rules = babylm-2026-strict counts"
    ):
        make_recipe("--rules", "babylm-2026-strict", "--text.weights", "[{0: 1, 1: 2}]")
    with pytest.raises(RecipeError, match=r"baby.words_heard = 3 needs the words of the texts"):
        make_recipe("--baby.words_heard", "3")


def test_spans_of_a_parent_that_was_raised_on_the_babys_text_are_inside_the_budget(
    make_recipe: Make, parent_folder: Path, text_file: Path, tmp_path: Path
) -> None:
    plain = make_recipe(*CLM, "--max_steps", "1", output_dir="plain")
    BambinoTrainer(args=plain).train()
    (heard,) = read_ledger(Path(plain.output_dir) / "model" / LEDGER).texts
    parent = with_life(parent_folder, tmp_path / "raised", Ledger([heard]))
    recipe = make_recipe("--rules", SMALL, *LIVED, *SPANS, *BATCH, "--parent.model", parent)
    BambinoTrainer(args=recipe).train()
    ledger = read_ledger(Path(recipe.output_dir) / "model" / LEDGER)
    assert ledger.shown
    assert ledger.text.words == 100 + heard.size.words


def test_ten_passes_end_before_a_batch_that_would_run_over(
    make_recipe: Make, baby_folder: Path, tmp_path: Path
) -> None:
    # 10 lines, 100 lines in ten passes, 8 a step: the thirteenth step would end at 104.
    recipe = make_recipe(
        "--rules", SMALL, "--baby.words", "100", *CLM, "--batch_size", "8", "--passes", "10", "--text.max_lines", "10"
    )
    trainer = BambinoTrainer(args=recipe)
    trainer.train()
    assert (trainer.args.max_steps, trainer.step, trainer.is_over) == (13, 12, True)
    assert read_ledger(Path(recipe.output_dir) / "model" / LEDGER).passes <= 10


@pytest.mark.parametrize(
    ("life", "steps", "message"),
    [
        (
            Ledger(rewards=9_999_990),
            8,
            "scalar rewards: 10,000,002 of 10,000,000",
        ),  # 4 in each third step: 8, and no third
        (
            Ledger(said=Amount(100_000_000 - 39, 0.0)),
            2,
            "words that the baby said or wrote for itself: 100,000,001 of 100,000,000",
        ),  # 4 * 5 * 2 = 40 could be
        (Ledger(beside=Amount(99_999_999, 0.0)), 0, "words heard, repetitions included: 100,000,0"),
    ],
)
def test_a_run_ends_before_a_budget_is_passed_and_says_which(
    make_recipe: Make, baby_folder: Path, tmp_path: Path, life: Ledger, steps: int, message: str
) -> None:
    told: list[str] = []

    def note(row: dict[str, Any]) -> None:
        told.extend([row["text"]] if row["kind"] == "warning" else [])

    baby = with_life(baby_folder, tmp_path / "lived", life)
    recipe = make_recipe("--rules", SMALL, "--baby.model", baby, "--max_steps", "9", "--rollout.max_new_tokens", "10")
    trainer = BambinoTrainer(args=recipe, on_row=note)
    trainer.train()
    assert trainer.is_over
    assert trainer.step == steps
    assert any(line.startswith(f"The run ends after step {steps}. The next could pass {message}") for line in told)
    run = Path(recipe.output_dir)
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"step-{steps:07d}"]
    assert "The run ended before its last step" in (run / "model" / "DATASHEET.md").read_text("utf-8")
    again = BambinoTrainer(args=recipe)
    again.train(resume_from_checkpoint=True)
    assert (again.is_over, again.step) == (True, steps)


def test_the_datasheet_and_what_the_parent_wrote_lie_beside_the_model(make_recipe: Make) -> None:
    words = ("--schedule.cycle", "{clm: 1, recast: 1}", "--feedback.recast.for", "recast", "--text.language", "ita")
    recipe = make_recipe("--rules", "babylm-2026-strict", *LIVED, *words)
    BambinoTrainer(args=recipe).train()
    model = Path(recipe.output_dir) / "model"
    written = [json.loads(line) for line in (model / "parent_text.jsonl").read_text("utf-8").splitlines()]
    total = rows_of(recipe)[-1]["total/words_written_by_parent"]
    assert sum(len(row["text"].split()) for row in written) == total > 0
    sheet = (model / "DATASHEET.md").read_text("utf-8")
    assert "| text | " in sheet
    assert "| 100,000,000 | https://babylm.github.io/guidelines.html (2026-07-20) |" in sheet
    assert "- recast: allowed, the words written for the baby counted." in sheet
    assert "`parent_text.jsonl`" in sheet
    ledger = read_ledger(model / LEDGER)
    assert ledger.told.words == total
    assert ledger.heard.equivalents is not None
    plain = make_recipe(*CLM, "--max_steps", "1", output_dir="plain")
    BambinoTrainer(args=plain).train()
    assert not (Path(plain.output_dir) / "model" / "DATASHEET.md").exists()
