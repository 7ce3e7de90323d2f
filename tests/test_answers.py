"""An experiment's answer: by hand, and what must hold whatever was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest
from conftest import there
from hypothesis import given
from hypothesis import strategies as st

from bambino.analysis.answers import Outcome, Outcomes, answer, effects
from bambino.analysis.curves import Curve
from bambino.printable import in_latex
from bambino.report.answer import latex, markdown, tables_of

L1, L2, PAIRS = "bits_per_byte/en", "bits_per_byte/it", "pairs/blimp"
Ends = Mapping[str, Mapping[int, float]]


def run(l2: float, l1: float = 1.0, **totals: float) -> Outcome:
    """A run that begins with L2 at 4 and L1 at 1, straight to its end at step 2 after 20 words."""
    curves = {
        name: Curve(name, (0, 1, 2), (0.0, 10.0, 20.0), (start, (start + end) / 2, end))
        for name, start, end in ((L1, 1.0, l1), (L2, 4.0, l2))
    }
    return Outcome({L1: l1, L2: l2, "total/flops": 5.0}, curves, {"words_heard": 20.0, "flops": 100.0, **totals})


def outcomes(runs: Mapping[str, Mapping[int, Outcome]], seeds: Sequence[int] = (11, 12, 13)) -> Outcomes:
    asked = ("Does feedback help?", ("It does not.",), L2, (L1, "total/flops"), (L1, L2))
    return Outcomes("help", *asked, next(iter(runs)), tuple(seeds), runs)


def of_ends(ends: Ends) -> Outcomes:
    seeds = sorted({seed for those in ends.values() for seed in those})
    return outcomes({name: {seed: run(end) for seed, end in those.items()} for name, those in ends.items()}, seeds)


BY_HAND = {
    "clm": {11: 2.0, 12: 2.2, 13: 2.4},
    "best": {11: 1.0, 12: 1.1, 13: 1.2},  # less clm: -1.0, -1.1, -1.2
    "paper": {11: 2.1, 12: 2.1, 13: 2.6},  # +0.1, -0.1, +0.2
    "worse": {11: 3.0, 12: 3.1, 13: 3.5},  # +1.0, +0.9, +1.1
}


def test_every_condition_against_the_baseline_by_hand() -> None:
    """With 2 degrees of freedom t(0.975) = 4.3027 and p = 1 - t / sqrt(2 + t^2)."""
    found = answer(of_ends(BY_HAND))
    best, paper, worse = (there(found.conditions[name].metrics[L2].effect) for name in ("best", "paper", "worse"))
    # Standard error 0.1 / sqrt(3) = 0.057735. best: t = 1.1 / 0.057735 = 19.053, p = 0.0027435.
    # worse: t = 1 / 0.057735 = 17.321, p = 0.0033168.
    assert best.difference.mean == pytest.approx(-1.1)
    assert there(best.difference.interval).low == pytest.approx(-1.1 - 4.3027 * 0.057735, abs=1e-4)
    assert there(best.difference.interval).high == pytest.approx(-1.1 + 4.3027 * 0.057735, abs=1e-4)
    # paper: mean 0.0667, standard deviation 0.15275, standard error 0.088192, t = 0.75593, p = 0.52860.
    p_values = [there(one.p_value) for one in (best, paper, worse)]
    assert p_values == pytest.approx([0.0027435, 0.5286, 0.0033168], abs=1e-5)
    # Holm: 3 x 0.0027435; 2 x 0.0033168 = 0.0066 may not be below 0.0082; 1 x 0.5286.
    corrected = [there(one.corrected_p) for one in (best, paper, worse)]
    assert corrected == pytest.approx([0.0082305, 0.5286, 0.0082305], abs=1e-5)
    assert [one.better for one in (best, paper, worse)] == [1, -1, -1]
    assert [one.tests for one in (best, paper, worse)] == [3, 3, 3]
    assert found.conditions["clm"].metrics[L2].effect is None
    assert there(found.conditions["clm"].metrics[L2].mean).mean == pytest.approx(2.2)
    assert found.conditions["best"].verdict == (
        "best is better than clm by 1.100 bits per byte [0.852, 1.348] (bits_per_byte/it, n = 3 seeds, paired t-test, "
        "p = 0.008 after Holm over 3 tests)."
    )
    assert found.conditions["paper"].verdict.startswith(
        "paper is not distinguishable from clm: by the mean worse than it by 0.067 bits per byte [-0.313, 0.446]"
    )
    assert "worse is worse than clm by 1.000 bits per byte" in found.conditions["worse"].verdict


def test_a_difference_that_many_tests_may_find_is_told_apart_from_one() -> None:
    """p of +0.3, +0.35, +0.5: mean 0.38333, standard error 0.060093, t = 6.379, p = 0.02371; twice that is 0.0474."""
    one = {"clm": dict.fromkeys((1, 2, 3), 2.0), "a": {1: 2.3, 2: 2.35, 3: 2.5}}
    assert "a is worse than clm" in answer(of_ends(one)).conditions["a"].verdict
    assert "p = 0.024)" in answer(of_ends(one)).conditions["a"].verdict
    three = {**one, "b": one["a"], "c": one["a"]}
    verdict = answer(of_ends(three)).conditions["a"].verdict
    assert "a is not distinguishable from clm" in verdict
    assert "p = 0.071 after Holm over 3 tests, 0.024 before" in verdict


def test_what_is_paid_at_equal_gain_by_hand() -> None:
    """Both runs of seed 11 reach a gain of 1: clm loses 0.8 for 2, so 0.4 for 1; best 0.2 for 1. Lines are straight:
    mean gap (0.2 - 0.4) / 2 = -0.1. With seed 12 best loses 0.1 for 1: (0.1 - 0.4) / 2 = -0.15."""
    found = answer(
        outcomes(
            {"clm": {11: run(2.0, 1.8), 12: run(2.0, 1.8)}, "best": {11: run(3.0, 1.2), 12: run(3.0, 1.1)}}, (11, 12)
        )
    )
    equal = there(found.conditions["best"].equal_gain)
    assert equal.up_to == pytest.approx(1.0)
    assert equal.gap.difference.mean == pytest.approx(-0.125)
    # Standard error 0.025: t = 5 with 1 degree of freedom, p = 2 arctan(1 / 5) / pi.
    assert there(equal.gap.p_value) == pytest.approx(2 * math.atan(0.2) / math.pi)
    end = there(found.conditions["best"].end)
    assert (end.l2_gain.mean, end.l1_loss.mean) == pytest.approx((1.0, 0.15))
    assert end.on_front
    assert there(found.conditions["clm"].end).on_front  # it gains more, for more
    said = "its loss in bits_per_byte/en is not distinguishable: by the mean smaller by 0.125 bits per byte"
    assert said in found.conditions["best"].remarks[0]


def test_gains_of_another_baby_are_not_set_beside_the_baselines() -> None:
    """A baby with random weights begins far off, and gains much that way."""
    other = run(3.0, 1.2)
    far = {
        name: replace(curve, values=(2 * curve.values[0], *curve.values[1:])) for name, curve in other.curves.items()
    }
    found = answer(outcomes({"clm": {11: run(2.0, 1.8)}, "scratch": {11: replace(other, curves=far)}}, (11,)))
    scratch = found.conditions["scratch"]
    assert (scratch.equal_gain, scratch.end) == (None, None)
    assert there(found.conditions["clm"].end).on_front
    assert "scratch is worse than clm by 1.000" in scratch.verdict


def test_what_does_not_compare_is_said_and_what_does_is_compared() -> None:
    runs = {
        "clm": {11: run(2.0), 12: run(2.2)},
        "half": {11: run(1.0)},
        "none": {},
        "apart": {13: run(1.0)},
    }
    found = answer(outcomes(runs))
    half, none, apart = (found.conditions[name] for name in ("half", "none", "apart"))
    assert half.verdict == (
        "half is better than clm by 1.000 bits per byte (bits_per_byte/it, seed 11); "
        "with one seed nothing can be tested."
    )
    assert half.remarks[-1] == "Not paired, for one of the two lacks it: seeds 12, 13."
    assert half.missing == (12, 13)
    assert none.verdict == "none is not compared with clm: no seed of none is finished."
    assert apart.verdict == "apart is not compared with clm: they share no seed with a number."
    assert none.budget == {}
    without = answer(replace(outcomes(runs), baseline="none"))
    assert without.conditions["half"].verdict == "half is not compared with none: no seed of none is finished."
    for shown in (found, without):
        assert markdown(shown)
        assert latex(shown)


def test_the_same_difference_with_each_seed_is_no_proof() -> None:
    """Of few items, shares often differ alike by chance; a t-test of no spread would say p = 0."""
    found = answer(of_ends({"clm": {1: 2.1, 2: 2.2}, "a": {1: 2.0, 2: 2.1}, "same": {1: 2.1, 2: 2.2}}))
    assert "a is better than clm by 0.100" in found.conditions["a"].verdict
    assert found.conditions["a"].verdict.endswith("with each of 2 seeds); seeds do not differ, so there is no t-test.")
    assert "same is not distinguishable from clm: by the mean equal to it" in found.conditions["same"].verdict


def test_costs_are_told_and_not_tested() -> None:
    """40 of 20 L2 words, 60 of 20 in all, as many FLOPs."""
    dear = run(1.9, words_heard=40.0, words_recast=20.0, words_said=7.0)
    found = answer(outcomes({"clm": {11: run(2.0)}, "a": {11: dear}}, (11,)))
    cost = there(found.conditions["a"].metrics["total/flops"].effect)
    assert (cost.p_value, cost.better) == (None, 0)
    assert found.conditions["a"].budget == {
        "words_heard": 40.0,
        "flops": 100.0,
        "words_recast": 20.0,
        "words_said": 7.0,
    }
    assert found.conditions["clm"].budget["words_said"] == 0.0
    assert found.conditions["a"].remarks[-1] == (
        "Its budget: 2.00 times the L2 words heard, 3.00 times the words heard in all, as many FLOPs."
    )


NUMBERS = st.floats(-3, 3).map(lambda number: round(number, 3))
SEEDS = st.dictionaries(st.integers(0, 9), NUMBERS, max_size=5)


@given(SEEDS, SEEDS, SEEDS, st.randoms())
def test_turned_numbers_turn_the_verdict_and_the_order_of_seeds_changes_nothing(
    one: dict[int, float], other: dict[int, float], base: dict[int, float], random: Random
) -> None:
    values = {"base": base, "one": one, "other": other}
    found = effects(values, "base", 1)
    turned = effects({name: {seed: -v for seed, v in those.items()} for name, those in values.items()}, "base", 1)
    less = effects(values, "base", -1)
    for name, effect in found.items():
        assert turned[name].difference.mean == pytest.approx(-effect.difference.mean)
        assert turned[name].p_value == pytest.approx(effect.p_value)
        assert turned[name].better == less[name].better == -effect.better
        assert set(effect.seeds) == values[name].keys() & base.keys()
    shuffled = {name: dict(random.sample(list(those.items()), len(those))) for name, those in values.items()}
    again = effects(shuffled, "base", 1)
    for name, effect in found.items():
        assert again[name].difference.mean == pytest.approx(effect.difference.mean)
        assert again[name].corrected_p == pytest.approx(effect.corrected_p)


def test_tables_hold_every_condition_and_latex_is_escaped() -> None:
    found = answer(replace(of_ends({"a_b": {1: 2.0, 2: 2.5}, "c&d": {1: 1.9, 2: 2.1}}), question="100 % of {x}_1 | y?"))
    titled = tables_of(found)
    assert [len(one.rows) for one in titled] == [3] * 4  # L2, L1, the trade-off, costs
    assert titled[0].rows[1][:2] == ["a_b", "2"]
    assert titled[0].rows[2][3] == "-0.250 [-2.156, +1.656]"  # -0.1, -0.4: standard error 0.15, t(0.975, 1) = 12.706
    written = latex(found)
    assert r"c\&d & 2 & " in written
    assert r"difference from a\_b" in written
    assert r"$-$0.250 [$-$2.156, +1.656]" in written
    assert written.count(r"\begin{tabular}") == written.count(r"\bottomrule") == 4
    assert r"100 % of {x}\_1 \| y?" in markdown(found)


def test_nothing_in_a_text_is_a_command_of_latex() -> None:
    assert in_latex(r"\input{x} $1$ & 2_3 ~ ^ # % <|> -4") == (
        r"\textbackslash{}input\{x\} \$1\$ \& 2\_3 \textasciitilde{} \textasciicircum{} \# \% "
        r"\textless{}\textbar{}\textgreater{} $-$4"
    )
    assert in_latex("clm-16 [-0.1, 1e-3]\x1b") == r"clm-16 [$-$0.1, 1e-3]\textbackslash{}x1b"
