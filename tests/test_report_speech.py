"""The sections of a report about what was said, alarms and words: by hand, from run directories alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import there

from bambino.errors import RunDirectoryError
from bambino.files import json_of
from bambino.report.page import Folded, Items, Page, Table, Words, write_page
from bambino.report.reported import Reported, read_reported
from bambino.report.sections.alarms import alarms
from bambino.report.sections.ledger import ledger
from bambino.report.sections.utterances import SpokenAge, SpokenLine, SpokenWord, UtteranceBrowser, evenly, utterances

Rows = Sequence[dict[str, Any]]
TEXT = {"kept": 4, "unique": 3, "words": 12, "words_cut": 2, "tokens": 20}


def step(number: int, **totals: float) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": number,
        "phase": "clm",
        **{f"total/{name}": value for name, value in totals.items()},
    }


def said(number: int, prompt: str, utterance: str, surprisal: Any = None, kind: str = "evaluation") -> dict[str, Any]:
    row = {"step": number, "kind": kind, "prompt": prompt, "utterance": utterance}
    return row if surprisal is None else row | {"surprisal": surprisal}


def write_run(folder: Path, metrics: Rows = (), spoken: Rows = (), text: str = "it", seed: int = 1) -> None:
    folder.mkdir(parents=True)
    settings = {"seed": seed, "text": {"sources": ["it.txt"]}, "evaluation": {"texts": {text: ["it.txt"]}}}
    data = {"format": 2, "clm": [TEXT], "rewards": ["mine"], "babylm": {"mine": "text_counts"}}
    files = {"recipe.yaml": settings, "data.json": data, "environment.json": {}}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for name, rows in (("metrics.jsonl", metrics), ("utterances.jsonl", spoken)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def age(step: int, heard: int, *words: SpokenWord) -> SpokenAge:
    """What was said after "il"."""
    return SpokenAge(step, heard, [SpokenLine("il", words, "it")])


def shown(reported: Reported) -> UtteranceBrowser:
    """The part with the slider."""
    (part,) = (part for part in there(utterances(reported)).parts if isinstance(part, UtteranceBrowser))
    return part


# ---------------------------------------------------------------------------------------------------------- utterances


def test_a_run_says_at_each_age_what_it_said_at_the_last_evaluation_until_then(tmp_path: Path) -> None:
    metrics = [step(number, words_heard=10 * number, clm_tokens=1) for number in (1, 2, 3, 4)]
    write_run(tmp_path / "a-1", metrics, [said(0, "il", " uno"), said(4, "il", " \n")])
    write_run(tmp_path / "b-1", metrics, [said(2, "il", " due", [[" due", 7.25]]), said(2, "", "x", kind="ppo")])
    part = shown(read_reported([tmp_path]))
    assert part.ages == [0, 2, 4]
    assert part.speakers == {
        "a": {1: [age(0, 0, SpokenWord(" uno", None)), age(4, 40)]},
        "b": {1: [age(2, 20, SpokenWord(" due", 7.2))]},
    }
    assert part.has_surprisal
    assert part.data == {
        "ages": [0, 2, 4],
        "levels": (4, 8, 12, 16, 20),
        "prompts": [("il", "it")],
        "speakers": [
            {
                1: [
                    {"step": 0, "heard": 0, "said": [[0, " uno", None]]},
                    {"step": 4, "heard": 40, "said": [[0]]},
                ]
            },
            {1: [{"step": 2, "heard": 20, "said": [[0, " due", 7.2]]}]},
        ],
    }


def test_a_tint_is_a_number_of_bits() -> None:
    levels = {0.0: 0, 3.9: 0, 4.0: 1, 8.0: 2, 12.0: 3, 16.0: 4, 19.9: 4, 20.0: 5, 99.0: 5, None: 0}
    assert {bits: SpokenWord(" a", bits).level for bits in levels} == levels


def test_much_is_thinned_to_twenty_ages_and_twelve_prompts_the_first_and_last_among_them(tmp_path: Path) -> None:
    write_run(tmp_path / "a-1", (), [said(age, f"{i}", " e") for age in range(50) for i in range(30)])
    (ages,) = shown(read_reported([tmp_path])).speakers["a"].values()
    assert (len(ages), ages[0].step, ages[-1].step) == (20, 0, 49)
    prompts = [line.prompt for line in ages[0].lines]
    assert (len(prompts), prompts[0], prompts[-1]) == (12, "0", "29")
    assert all([line.prompt for line in age.lines] == prompts for age in ages)
    assert evenly([1, 2, 3], 3) == [1, 2, 3]
    assert evenly(list(range(5)), 3) == [0, 2, 4]


def test_what_others_write_beside_is_passed_over(tmp_path: Path) -> None:
    """A measure of one's own says something else; a reward of one's own calls something else surprisal."""
    rows = [{"step": 0, "kind": "evaluation", "drawing": "o"}, said(0, "il", " cane", 3.5)]
    rows += [said(0, "il", " cane", [[" gatto", 1.0]]), said(0, "il", " cane", [[" cane", None]])]
    write_run(tmp_path / "a-1", (), rows)
    part = shown(read_reported([tmp_path]))
    (age,) = part.speakers["a"][1]
    assert [line.words for line in age.lines] == [(SpokenWord(" cane", None),)] * 3
    assert not part.has_surprisal


def test_runs_that_did_not_speak_have_no_section(tmp_path: Path) -> None:
    write_run(tmp_path / "a-1", [step(1)])
    assert utterances(read_reported([tmp_path])) is None


@pytest.mark.parametrize(
    ("prompt", "name", "language"),
    [("il gatto", "it", "it"), ("小猫", "l2", "zh"), ("ねこ", "l2", "ja"), ("고양이", "l2", "ko"), ("il", "l2", "")],
)
def test_the_language_is_the_texts_or_told_by_its_letters(
    tmp_path: Path, prompt: str, name: str, language: str
) -> None:
    write_run(tmp_path / "a-1", (), [said(0, prompt, "")], text=name)
    assert shown(read_reported([tmp_path])).speakers["a"][1][0].lines[0].language == language


def test_what_was_said_acts_on_no_page(tmp_path: Path) -> None:
    evil = "</script><script>\u202e\x1b"
    write_run(tmp_path / "a-1", (), [said(0, evil, evil, [[evil, 5.0]])])
    section = there(utterances(read_reported([tmp_path])))
    page = write_page(tmp_path / "page.html", Page("p", "p", [section])).read_text(encoding="utf-8")
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert page.count("<script") == page.count("</script>") == 2  # the data and the slider
    assert r"&lt;/script&gt;&lt;script&gt;\u202e\x1b</span>" in page


# ------------------------------------------------------------------------------------------------------ alarms, ledger


def alarm(number: int, value: float | None) -> dict[str, Any]:
    text = "kl: ppo/kl is 501 (alarms.kl: 500). The policy runs away. Lower the rate."
    about = {"alarm": "kl", "metric": "ppo/kl", "value": value, "threshold": 500.0, "text": text}
    return {"kind": "alarm", "step": number, **about}


def test_alarms_are_told_with_their_place_and_once_with_their_meaning(tmp_path: Path) -> None:
    write_run(tmp_path / "a-1", [alarm(1200, 501.2), alarm(2000, None)])
    write_run(tmp_path / "a-2", seed=2)
    words, table, meanings = alarms(read_reported([tmp_path])).parts
    assert words == Words("Alarms came on in 1 of 2 runs.")
    assert isinstance(table, Table)
    assert table.rows[1:] == [
        ["a", "1", "1,200", "kl", "501", "500", "ppo/kl"],
        ["a", "1", "2,000", "kl", "not finite", "500", "ppo/kl"],
    ]
    assert meanings == Items(["kl: The policy runs away. Lower the rate."])


def test_many_alarms_are_folded_and_none_is_said(tmp_path: Path) -> None:
    write_run(tmp_path / "many" / "a-1", [alarm(number, 501.0) for number in range(1, 20)])
    _, table, folded, _ = alarms(read_reported([tmp_path / "many"])).parts
    assert isinstance(table, Table)
    assert isinstance(folded, Folded)
    assert (len(table.rows), folded.title) == (13, "7 more")
    write_run(tmp_path / "none" / "a-1")
    assert alarms(read_reported([tmp_path / "none"])).parts == [Words("No alarm came on in 1 run.")]


def test_the_ledger_is_the_mean_over_seeds(tmp_path: Path) -> None:
    for seed, heard in ((1, 10.0), (2, 30.0)):
        write_run(
            tmp_path / f"a-{seed}", [step(1, words_heard=heard, words_written_by_parent=4, flops=2e10)], seed=seed
        )
    write_run(tmp_path / "b-1", [step(1, words_heard=10, clm_tokens=1500)])
    write_run(tmp_path / "c-1")  # has done no step yet
    texts, _, table = there(ledger(read_reported([tmp_path]))).parts
    assert texts == Items(["L2 text: 12 words in 4 lines, 3 of them different"])
    assert isinstance(table, Table)
    assert table.rows == [
        ["", "a", "b"],
        ["runs", "2", "1"],
        ["L2 words heard", "20 (2.00 passes)", "10 (1.00 passes)"],  # of 12 words less 2 that were cut
        ["words heard in all", "20", "10"],
        ["words that the parent wrote", "4", ""],
        ["mine by BabyLM's rules", *["allowed, the words written for the baby counted"] * 2],
        ["FLOPs", "2e+10", ""],
        ["L2 tokens heard", "", "1,500"],
    ]


def test_many_conditions_stand_one_below_the_other(tmp_path: Path) -> None:
    for name in "abcdefg":
        write_run(tmp_path / f"{name}-1", [step(1, words_heard=10)])
    *_, table = there(ledger(read_reported([tmp_path]))).parts
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["", *"abcdefg"]


@pytest.mark.parametrize("clm", [5, [5], [{"kept": "x"}]])
def test_a_ledger_of_damaged_data_is_refused_by_the_runs_name(tmp_path: Path, clm: Any) -> None:
    write_run(tmp_path / "a-1", [step(1, words_heard=10)])
    data = {"format": 2, "clm": clm, "rewards": [], "babylm": {}}
    (tmp_path / "a-1" / "data.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"a-1: .*Is it the directory of a bambino run\?"):
        ledger(read_reported([tmp_path]))


@pytest.mark.parametrize("settings", [{"text": 5}, {"evaluation": {"texts": 5}}, {"evaluation": {"texts": {"it": 5}}}])
def test_utterances_of_a_damaged_recipe_are_refused_by_the_runs_name(tmp_path: Path, settings: dict[str, Any]) -> None:
    write_run(tmp_path / "a-1", (), [said(0, "il", "")])
    (tmp_path / "a-1" / "recipe.yaml").write_text(json.dumps({"seed": 1, **settings}), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"a-1: .*Is it the directory of a bambino run\?"):
        utterances(read_reported([tmp_path]))


def test_only_rows_of_evaluations_are_read_of_a_log(tmp_path: Path) -> None:
    rows = [said(1, '"kind": "evaluation"', "", kind="ppo"), said(1, "a", "b"), said(2, "c", "d", kind="ppo")]
    write_run(tmp_path / "a-1", (), rows)
    log = tmp_path / "a-1" / "utterances.jsonl"
    log.write_bytes(b'{"kind": "ppo", broken\n' + log.read_bytes())
    (run,) = read_reported([tmp_path]).runs
    assert run.record.said_at_evaluations == [json_of(json.dumps(rows[1]).encode())]
