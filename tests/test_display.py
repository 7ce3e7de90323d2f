"""What a run shows: numbers by hand, one line per utterance, plain lines and the live panel."""

from __future__ import annotations

import io
from typing import Any

import pytest
from conftest import there

from bambino import Recipe
from bambino.cli.display import LiveDisplay, PlainDisplay, Progress, display_for, duration, one_line
from bambino.report.screen import Screen
from bambino.stopping import Stopped

SAID: dict[str, Any] = {"step": 2, "kind": "ppo", "prompt": "il gatto", "utterance": " vede\nil mare"}
SAID |= {"reward": 2.345, "parent_perplexity": 1234.5}


def step_row(step: int, seconds: float, clm_tokens: int, phase: str = "clm", **metrics: float) -> dict[str, Any]:
    totals = {"total/seconds": seconds, "total/clm_tokens": clm_tokens}
    return {"kind": "step", "step": step, "phase": phase, **metrics, **totals}


def plain(rows: list[dict[str, Any]], **settings: Any) -> str:
    file = io.StringIO()
    with PlainDisplay(Recipe(**settings), Screen(file=file, width=40)) as display:
        for row in rows:
            display(row)
    return file.getvalue()


def live(rows: list[dict[str, Any]], width: int = 100, **settings: Any) -> str:
    """What the panel shows after the rows, without colours and frame."""
    console = Screen(file=io.StringIO(), force_terminal=True, width=width, record=True)
    display = LiveDisplay(Recipe(**settings), console)
    for row in rows:
        display(row)
    console.print(display.live.get_renderable())
    return " ".join(console.export_text().replace("\u00a0", " ").replace("│", " ").split())


# -------------------------------------------------------------------------------------------------------- Progress


def test_speed_and_time_left_by_hand() -> None:
    progress = Progress(Recipe(max_steps=100))
    progress.take(step_row(10, 5.0, 1000))
    progress.take(step_row(11, 6.0, 1200) | {"total/prompt_tokens": 30, "total/utterance_tokens": 70})
    progress.take(step_row(12, 9.0, 1400) | {"total/prompt_tokens": 60, "total/utterance_tokens": 140})
    # (1400 + 60 + 140 - 1000) tokens in 9 - 5 seconds
    assert progress.tokens_per_second == 150.0
    # 4 seconds for 2 steps, 88 steps to go
    assert progress.seconds_left == 176.0


def test_speed_is_that_of_the_last_36_steps() -> None:
    progress = Progress(Recipe(max_steps=100))
    progress.take(step_row(1, 1000.0, 0))  # a slow start
    for step in range(2, 39):
        progress.take(step_row(step, 1000.0 + step, 50 * step))
    assert progress.tokens_per_second == 50.0
    assert progress.seconds_left == 62.0


def test_one_step_says_nothing_of_speed() -> None:
    progress = Progress(Recipe())
    assert (progress.tokens_per_second, progress.seconds_left) == (None, None)
    progress.take(step_row(1, 1.0, 10))
    assert (progress.tokens_per_second, progress.seconds_left) == (None, None)
    progress.take(step_row(2, 1.0, 20))  # no time went by
    assert progress.tokens_per_second is None
    assert progress.numbers() == [("left", "0:00")]


def test_numbers_of_both_phases_stay_and_missing_ones_are_left_out() -> None:
    progress = Progress(Recipe())
    progress.take(step_row(1, 1.0, 10, "clm", **{"clm/loss": 3.14159, "clm/update_norm": 0.01234}))
    progress.take(step_row(2, 1.0, 10, "ppo", **{"ppo/reward": 2.5, "ppo/kl": 0.06, "ppo/kl_coef": 0.2}))
    assert progress.phase == "ppo"
    assert progress.numbers() == [
        ("clm loss", "3.142"),
        ("reward", "2.500"),
        ("KL", "0.06"),
        ("kl_coef", "0.2"),
        ("clm update", "0.012"),
        ("left", "0:00"),
    ]


def test_an_evaluation_is_kept_and_shown_without_its_prefix() -> None:
    progress = Progress(Recipe())
    progress.take({"kind": "evaluation", "step": 4, "eval/bits_per_byte/it": 2.0, "eval/pairs/it": 0.51234})
    progress.take(step_row(5, 1.0, 10))
    assert progress.step == 5
    assert progress.evaluation() == [("bits_per_byte/it", "2.000"), ("pairs/it", "0.512")]


def test_utterances_are_shown_in_turn() -> None:
    progress = Progress(Recipe())
    rows = [SAID | {"utterance": str(i)} for i in range(4)]
    progress.take({"kind": "utterances", "step": 6, "rows": rows})
    assert there(progress.said)["utterance"] == "2"  # 6 modulo 4


def test_rows_without_seconds_or_utterances_are_taken() -> None:
    progress = Progress(Recipe(max_steps=12))
    progress.take({"kind": "utterances", "step": 1, "rows": []})
    progress.take({"kind": "step", "step": 1, "phase": "recast"})
    assert (progress.said, progress.step, progress.phase) == (None, 1, "recast")
    progress.take(step_row(2, 3.0, 60))
    assert (progress.tokens_per_second, progress.seconds_left) == (20.0, 30.0)


def test_a_warning_changes_no_number() -> None:
    progress = Progress(Recipe())
    progress.take({"kind": "warning", "text": "mind the step"})
    assert (progress.step, progress.metrics, progress.said) == (0, {}, None)


# ----------------------------------------------------------------------------------------------------------- words


def test_one_line_has_prompt_utterance_reward_and_the_parents_opinion() -> None:
    assert one_line(SAID) == "il gatto → vede il mare   (reward 2.35, parent perplexity 1,234)"


@pytest.mark.parametrize("perplexity", [None, float("inf"), float("nan")])
def test_one_line_leaves_out_an_opinion_that_is_none(perplexity: float | None) -> None:
    assert one_line(SAID | {"parent_perplexity": perplexity}) == "il gatto → vede il mare   (reward 2.35)"


def test_one_line_of_an_evaluation_has_no_reward() -> None:
    said = {key: value for key, value in SAID.items() if key != "reward"} | {"kind": "evaluation"}
    assert one_line(said) == "il gatto → vede il mare   (evaluation at step 2, parent perplexity 1,234)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (59.9, "0:59"),
        (60, "1:00"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (3723, "1:02:03"),
        (1e5, "27:46:40"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# ------------------------------------------------------------------------------------------------------ plain lines


def test_plain_lines_come_every_logging_steps_and_at_the_end() -> None:
    rows = [step_row(step, float(step), 10 * step, "clm", **{"clm/loss": 10.0 / step}) for step in range(1, 6)]
    assert plain(rows, max_steps=5, logging_steps=2) == (
        "step 2/5 clm  clm loss 5.000  tokens/s 10  left 0:03\n"
        "step 4/5 clm  clm loss 2.500  tokens/s 10  left 0:01\n"
        "step 5/5 clm  clm loss 2.000  tokens/s 10  left 0:00\n"
    )


def test_an_utterance_is_printed_once() -> None:
    rows = [{"kind": "utterances", "step": 1, "rows": [SAID]}, step_row(1, 1.0, 1), step_row(2, 2.0, 2)]
    assert plain(rows, max_steps=9, logging_steps=1) == (
        "step 1/9 clm  \n"
        "    il gatto → vede il mare   (reward 2.35, parent perplexity 1,234)\n"
        "step 2/9 clm  tokens/s 1  left 0:07\n"
    )


def test_evaluations_and_warnings_are_printed_as_they_come() -> None:
    rows: list[dict[str, Any]] = [
        {"kind": "evaluation", "step": 3, "eval/pairs/it": 0.5},
        {"kind": "warning", "text": "[red]mind[/red]"},
    ]
    assert plain(rows, logging_steps=100) == "step 3: pairs/it 0.500\nwarning: [red]mind[/red]\n"


def test_alarms_are_shown_as_they_come() -> None:
    alarm = {"kind": "alarm", "step": 7, "alarm": "kl", "text": "kl: ppo/kl is 612 (alarms.kl: 500). Lower it."}
    assert plain([alarm], logging_steps=100) == f"alarm: {alarm['text']}\n"
    assert f"alarm at step 7: {alarm['text']}" in live([alarm])


# ------------------------------------------------------------------------------------------------------- live panel


def test_the_panel_shows_step_phase_numbers_evaluation_utterance_and_warning() -> None:
    rows = [
        {"kind": "evaluation", "step": 0, "eval/bits_per_byte/it": 2.125},
        step_row(1, 1.0, 100, "clm", **{"clm/loss": 4.5}),
        {"kind": "utterances", "step": 2, "rows": [SAID]},
        step_row(2, 3.0, 200, "ppo", **{"ppo/reward": 2.5}),
        {"kind": "warning", "text": "[mind] the step"},
    ]
    text = live(rows, max_steps=10)
    assert "step 2 of 10 ppo" in text
    assert "clm loss 4.500 reward 2.500 tokens/s 50 left 0:16" in text
    assert "last evaluation bits_per_byte/it 2.125" in text
    assert "il gatto → vede il mare (reward 2.35, parent perplexity 1,234)" in text
    assert "[mind] the step" in text


def test_the_panel_shows_every_number_on_a_narrow_terminal() -> None:
    metrics = ("clm/loss", "ppo/reward", "ppo/kl", "ppo/kl_coef", "ppo/entropy", "clm/update_norm", "ppo/update_norm")
    rows = [step_row(1, 1.0, 1), step_row(2, 2.0, 2, "clm", **dict.fromkeys(metrics, 0.5))]
    text = live(rows, width=40)
    for label in ("clm loss", "reward", "KL", "kl_coef", "entropy", "clm update", "ppo update", "tokens/s", "left"):
        assert f"{label} " in text


def test_the_panel_stays_on_the_terminal_as_it_was_at_the_end() -> None:
    file = io.StringIO()
    with LiveDisplay(Recipe(max_steps=3), Screen(file=file, force_terminal=True, width=80)) as display:
        display(step_row(3, 1.0, 1))
    assert "step 3 of 3  clm" in file.getvalue()


def test_the_cursor_comes_back_when_a_run_is_stopped_at_once() -> None:
    file = io.StringIO()
    with pytest.raises(Stopped), LiveDisplay(Recipe(), Screen(file=file, force_terminal=True)):
        raise Stopped(15)
    shown = file.getvalue()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_a_terminal_gets_the_panel_and_a_file_gets_lines() -> None:
    assert isinstance(display_for(Recipe(), Screen(file=io.StringIO(), force_terminal=True)), LiveDisplay)
    assert isinstance(display_for(Recipe(), Screen(file=io.StringIO(), force_terminal=False)), PlainDisplay)
