"""Step -> phase and update -> learning rate, against tables written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bambino.recipe.phase_settings import PhaseConfig
from bambino.recipe.schedule import Schedule, learning_rate, steps_for
from bambino.recipe.settings import ScheduleConfig


def phases(max_steps: int, **settings: Any) -> str:
    """The phases of a run as a word: c for clm, p for ppo."""
    schedule = Schedule(ScheduleConfig(**settings), max_steps)
    return "".join(schedule.at(step).phase[0] for step in range(max_steps))


schedules = st.builds(
    Schedule,
    st.builds(
        ScheduleConfig,
        cycle=st.dictionaries(st.sampled_from(["clm", "ppo", "recast"]), st.integers(1, 12), min_size=1),
        blocked=st.booleans(),
        warmup=st.dictionaries(st.sampled_from(["clm", "ppo"]), st.integers(0, 15)),
    ),
    st.integers(0, 80),
)


def test_the_papers_cycle_is_ten_clm_steps_then_two_ppo_steps() -> None:
    assert phases(30) == "ccccccccccpp" + "ccccccccccpp" + "cccccc"


def test_warmup_steps_come_before_the_first_cycle() -> None:
    assert phases(12, cycle={"clm": 2, "ppo": 1}, warmup={"clm": 3}) == "ccc" + "ccp" + "ccp" + "ccp"


def test_a_cycle_may_have_more_ppo_than_clm_steps() -> None:
    assert phases(9, cycle={"clm": 1, "ppo": 3}) == "cppp" + "cppp" + "c"


def test_a_run_may_stop_inside_the_ppo_steps_of_a_cycle() -> None:
    assert phases(6, cycle={"clm": 2, "ppo": 3}) == "ccppp" + "c"
    assert phases(9, cycle={"clm": 2, "ppo": 3}) == "ccppp" + "ccpp"


def test_phases_come_in_the_order_of_the_cycle() -> None:
    assert phases(10, cycle={"recast": 1, "clm": 2, "ppo": 1}) == "rccp" + "rccp" + "rc"
    assert phases(9, cycle={"clm": 2}, warmup={"ppo": 2, "clm": 1}) == "ppc" + "cccccc"


def test_blocked_hears_everything_first() -> None:
    # As a cycle: cc ccp ccp cc, i.e. 2 ppo steps out of 10.
    settings = {"cycle": {"clm": 2, "ppo": 1}, "warmup": {"clm": 2}}
    assert phases(10, **settings, blocked=True) == "cccccccc" + "pp"


def test_one_phase_alone_with_and_without_another_before_it() -> None:
    assert phases(5, cycle={"clm": 1}, warmup={"clm": 2}) == "ccccc"
    assert phases(5, cycle={"ppo": 1}) == "ppppp"
    assert phases(5, cycle={"ppo": 1}, warmup={"clm": 2}) == "ccppp"


@pytest.mark.parametrize("blocked", [False, True])
def test_a_warmup_longer_than_the_run_is_all_there_is(blocked: bool) -> None:
    assert phases(4, cycle={"clm": 1, "ppo": 1}, warmup={"clm": 9}, blocked=blocked) == "cccc"


@given(schedules)
def test_blocked_has_as_many_steps_of_each_phase_as_the_cycle(schedule: Schedule) -> None:
    config = schedule.config
    one, other = (
        Schedule(ScheduleConfig(config.cycle, blocked, config.warmup), schedule.max_steps) for blocked in (False, True)
    )
    for phase in config.phases:
        assert one.count(phase, schedule.max_steps) == other.count(phase, schedule.max_steps)


@given(schedules)
def test_count_is_how_often_a_phase_occurred_before_a_step(schedule: Schedule) -> None:
    seen = dict.fromkeys(schedule.config.phases, 0)
    for step in range(schedule.max_steps):
        assert {phase: schedule.count(phase, step) for phase in seen} == seen
        at = schedule.at(step)
        assert at.nth == seen[at.phase]
        seen[at.phase] += 1
    assert {phase: schedule.count(phase, schedule.max_steps) for phase in seen} == seen


def test_a_block_begins_at_step_0_and_wherever_the_step_before_was_another_phases() -> None:
    schedule = Schedule(ScheduleConfig({"clm": 2, "ppo": 2}), 9)
    places = [schedule.at(step) for step in range(9)]
    assert [at.begins for at in places] == [True, False] * 4 + [True]
    assert [at.ends for at in places] == [False, True] * 4 + [False]  # nothing comes after the last step
    assert [at.progress for at in places[:3]] == [0, 1 / 9, 2 / 9]


def steps_of(wanted: int, **settings: Any) -> int:
    return steps_for(ScheduleConfig(**settings), "clm", wanted)


def test_a_run_of_so_many_clm_steps_ends_with_its_last_cycle() -> None:
    # ccp ccp; ccp c
    assert [steps_of(wanted, cycle={"clm": 2, "ppo": 1}) for wanted in (4, 3)] == [6, 4]
    # pcc pcc; pcc pc: what would come next is another cycle's
    assert [steps_of(wanted, cycle={"ppo": 1, "clm": 2}) for wanted in (4, 3)] == [6, 5]
    # ppccc ccp; ppccc; ppc
    warm = {"cycle": {"clm": 2, "ppo": 1}, "warmup": {"ppo": 2, "clm": 3}}
    assert [steps_of(wanted, **warm) for wanted in (5, 3, 1)] == [8, 5, 3]


@given(schedules, st.integers(1, 40))
def test_steps_for_a_phase_give_it_just_so_many(schedule: Schedule, wanted: int) -> None:
    for phase in schedule.config.cycle:
        steps = steps_for(schedule.config, phase, wanted)
        assert Schedule(schedule.config, steps).count(phase, steps) == wanted


def rates(total: int, **settings: Any) -> list[float]:
    return [learning_rate(PhaseConfig(learning_rate=1.0, **settings), update, total) for update in range(total)]


def test_a_constant_learning_rate_stays() -> None:
    assert rates(3) == [1.0, 1.0, 1.0]


def test_warmup_rises_linearly_and_reaches_the_peak_with_its_last_update() -> None:
    assert rates(6, warmup_updates=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_linear_falls_from_the_peak_to_zero_after_the_last_update() -> None:
    # 4 updates left after warm-up: 1 - 0/4, 1 - 1/4, 1 - 2/4, 1 - 3/4.
    assert rates(6, warmup_updates=2, lr_scheduler_type="linear") == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]


def test_cosine_falls_by_half_a_wave_after_warmup() -> None:
    # (1 + cos(pi * i / 4)) / 2 for i = 0..3; cos(pi/4) = 0.70710678.
    expected = [0.5, 1.0, 1.0, 0.85355339, 0.5, 0.14644661]
    assert rates(6, warmup_updates=2, lr_scheduler_type="cosine") == pytest.approx(expected)


def test_linear_and_cosine_fall_to_a_share_of_the_peak() -> None:
    # 0.2 + 0.8 * what is left: 1, 0.75, 0.5, 0.25, and by half a wave 1, 0.85355339, 0.5, 0.14644661
    floor: dict[str, Any] = {"warmup_updates": 2, "min_lr_share": 0.2}
    assert rates(6, lr_scheduler_type="linear", **floor) == pytest.approx([0.5, 1.0, 1.0, 0.8, 0.6, 0.4])
    cosine = [0.5, 1.0, 1.0, 0.88284271, 0.6, 0.31715729]
    assert rates(6, lr_scheduler_type="cosine", **floor) == pytest.approx(cosine)
    assert rates(3, lr_scheduler_type="constant", min_lr_share=0.2) == [1.0, 1.0, 1.0]
    config = PhaseConfig(learning_rate=1.0, lr_scheduler_type="cosine", min_lr_share=0.2)
    assert learning_rate(config, 400, 4) == pytest.approx(0.2)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_the_learning_rate_is_zero_past_the_end_and_never_negative(shape: Any) -> None:
    config = PhaseConfig(learning_rate=1.0, lr_scheduler_type=shape)
    assert [learning_rate(config, update, 4) for update in (4, 5, 400)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
def test_a_run_that_ends_within_its_warmup_only_rises(shape: Any) -> None:
    assert rates(2, warmup_updates=4, lr_scheduler_type=shape) == [0.25, 0.5]
