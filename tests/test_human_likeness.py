"""Order of acquisition against children's, and overt subject pronouns in Italian, by hand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats

from bambino.analysis.acquisition import AcquisitionSettings, acquired_at, acquisition_order, agreement, load_order
from bambino.analysis.curves import Curve
from bambino.errors import CurveError, OrderError
from bambino.evaluation.speech.generation import Said
from bambino.evaluation.speech.pro_drop import FINITE, PRONOUNS, FiniteVerb, finite_verbs, overt_subjects
from bambino.measures import TaskResult
from bambino.nursery.knobs import Language
from bambino.nursery.phenomena import phenomena


def value(result: TaskResult, name: str) -> float:
    return next(score.value for score in result.scores if score.name == name)


# ------------------------------------------------------------------------------------------------- two orders compared


def test_the_same_and_the_opposite_order_by_hand() -> None:
    same = agreement([10, 20, 30], [0, 1, 2])
    assert same.tau == 1
    assert same.p_value == pytest.approx(1 / 6)  # one of 3! orders agrees so well
    opposite = agreement([30, 20, 10], [0, 1, 2])
    assert opposite.tau == -1
    assert opposite.p_value == 1
    # 20 10 30: two pairs agree, one does not: (2 - 1) / 3; three of six orders have at least two pairs in order
    swapped = agreement([20, 10, 30], [0, 1, 2])
    assert swapped.tau == pytest.approx(1 / 3)
    assert swapped.p_value == pytest.approx(3 / 6)


def test_ties_and_what_was_never_acquired_come_last() -> None:
    # of 6 pairs 5 are untied in places 1, 2, never, never and 4 in stages 0 0 1 1; these 4 agree: tau-b 4 / sqrt(5 * 4)
    assert agreement([1, 2, math.inf, math.inf], [0, 0, 1, 1]).tau == pytest.approx(4 / math.sqrt(5 * 4))
    assert agreement([1, 1, math.inf, math.inf], [0, 0, 1, 1]).tau == 1
    # of the 6 ways to deal two earlies to four places, one agrees so well
    assert agreement([1, 1, math.inf, math.inf], [0, 0, 1, 1]).p_value == pytest.approx(1 / 6)
    for nothing in (agreement([1, 1], [0, 1]), agreement([math.inf, math.inf], [0, 1]), agreement([1], [0])):
        assert math.isnan(nothing.tau)
        assert math.isnan(nothing.p_value)


def test_many_phenomena_are_compared_with_random_orders() -> None:
    places = [float(i) for i in range(9)]
    result = agreement(places, places)
    assert result.tau == 1
    assert result.p_value == pytest.approx(1 / 10_000)
    assert agreement(places, places) == result
    mixed = [3.0, 1, 2, 0, 5, 4, 8, 6, 7]
    assert agreement(mixed, places).p_value == pytest.approx(
        stats.kendalltau(mixed, places, alternative="greater", method="exact").pvalue, abs=0.01
    )


def test_when_a_phenomenon_is_acquired() -> None:
    curve = Curve("pairs/x", (0, 10, 20), (0, 0, 0), (0.5, 0.7, 0.8))
    assert acquired_at(curve, AcquisitionSettings(level=0.75)) == pytest.approx(15)
    assert acquired_at(curve, AcquisitionSettings(level=0.9)) == math.inf
    # half way from chance to 0.8 is 0.65: three quarters of the way to the second evaluation
    assert acquired_at(curve, AcquisitionSettings(level=None)) == pytest.approx(7.5)
    assert acquired_at(curve, AcquisitionSettings(level=None, least_best=0.85)) == math.inf
    with pytest.raises(ValueError, match=r"level = 0\.5 must lie above chance"):
        AcquisitionSettings(level=0.5)
    with pytest.raises(ValueError, match=r"least_best = 0\.4"):
        AcquisitionSettings(least_best=0.4)


# ------------------------------------------------------------------------------------------------------ child orders


@pytest.mark.parametrize("language", ["it", "en"])
def test_the_orders_that_come_along_name_pairs_of_the_nursery_and_their_sources(language: str) -> None:
    order = load_order(language)
    assert order.language == language
    assert order.sources
    assert order.checked
    nursery = {f"{language}_{name}" for name in phenomena(Language(language))}
    named = {uid for phenomenon in order.phenomena for uid in phenomenon.pairs}
    assert {uid for uid in named if uid.startswith(f"{language}_")} <= nursery
    assert len({p.stage for p in order.phenomena}) >= 3


def write_order(path: Path, **changes: Any) -> Path:
    content = {"language": "it", "stages": [{"early": ["a"]}, {"late": ["b", "c"]}], "sources": ["x"], "checked": "no"}
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": {"early": ["a"]}}, "stages must be a list"),
        ({"sources": None}, "sources must be a list, not None"),
        ({"checked": ["a"]}, r"checked must be a str, not \['a'\]"),
        ({"stages": [["a"]]}, r"stage 1 must map phenomena to lists of pairs, not \['a'\]"),
        ({"stages": [{"early": "a"}]}, "early in stage 1 must be a list of names, not 'a'"),
        ({"stages": [{"early": ["a"]}, {"late": ["a"]}]}, "a is named twice"),
        ({"stages": [{"early": ["a"]}, {"early": ["b"]}]}, "early is named twice"),
    ],
)
def test_an_order_that_cannot_be_read_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_order(tmp_path / "order.yaml", **changes)
    with pytest.raises(OrderError, match=message) as caught:
        load_order(path)
    assert str(path) in str(caught.value)


def test_a_missing_order_and_what_is_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(OrderError, match=r"no order of acquisition xx\. Use one of en, it"):
        load_order("xx")
    path = tmp_path / "order.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(OrderError, match="is not YAML"):
        load_order(path)
    path.write_text("- a", encoding="utf-8")
    with pytest.raises(OrderError, match="must hold language"):
        load_order(path)


def run_directory(path: Path, accuracies: dict[str, list[float]], prefix: str = "eval/pairs/") -> Path:
    """accuracies: UID -> one accuracy per evaluation, ten steps apart."""
    path.mkdir(exist_ok=True)
    count = len(next(iter(accuracies.values())))
    rows = [
        {"kind": "evaluation", "step": 10 * i} | {prefix + uid: those[i] for uid, those in accuracies.items()}
        for i in range(count)
    ]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    (path / "data.json").write_text(json.dumps({"clm": [{"words": 1, "tokens": 2}]}), encoding="utf-8")
    return path


@pytest.mark.parametrize("prefix", ["eval/pairs/", "eval/pairs/nursery/"])
def test_the_order_of_a_run_by_hand(prefix: str, tmp_path: Path) -> None:
    order = load_order(write_order(tmp_path / "order.yaml"))
    run = run_directory(tmp_path / "run", {"a": [0.5, 1, 1], "b": [0.5, 0.5, 1], "c": [0.5, 0.6, 1]}, prefix)
    result = acquisition_order(run, order)
    assert value(result, "acquisition/tau") == 1
    assert value(result, "acquisition/p_value") == pytest.approx(1 / 2)
    assert value(result, "acquisition/step/early") == pytest.approx(5)
    # late is the mean of b and c: 0.5, 0.55, 1; 0.75 is 0.2 / 0.45 of the way from step 10 to 20
    assert value(result, "acquisition/step/late") == pytest.approx(10 + 10 * 0.2 / 0.45)
    assert value(result, "acquisition/last/late") == 1
    assert result.verdict == "2 of 2 phenomena acquired, not shown to be in the children's order (tau 1.00, p 0.50)"


def test_phenomena_that_were_not_evaluated_are_named_and_two_are_needed(tmp_path: Path) -> None:
    order = load_order("it")
    pairs = {"it_determiner_noun_gender": [0.5, 0.9], "it_clitic_gender": [0.5, 0.6]}
    result = acquisition_order(run_directory(tmp_path / "run", pairs), order)
    assert result.settings["not_evaluated"] == [
        "determiner_noun_number",
        "subject_verb_number",
        "subject_verb_person",
        "clitic_number",
    ]
    assert value(result, "acquisition/step/clitic_gender") == math.inf
    alone = run_directory(tmp_path / "alone", {"it_clitic_gender": [0.5, 0.6]})
    with pytest.raises(CurveError, match="pairs of 1 phenomena of the it order; it takes two"):
        acquisition_order(alone, order)


# ------------------------------------------------------------------------------------------------------ overt subjects


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Io ho fame.", [FiniteVerb("ho", "io")]),
        ("Ho fame.", [FiniteVerb("ho", None)]),
        ("lei non glielo dice", [FiniteVerb("dice", None)]),  # glielo is not listed
        ("lei non lo dice mai, e lui l'ha visto", [FiniteVerb("dice", "lei"), FiniteVerb("ha", "lui")]),
        ("Con lui ha parlato", [FiniteVerb("ha", None)]),
        ("il loro è rosso", [FiniteVerb("è", None)]),
        ("loro hanno", [FiniteVerb("hanno", "loro")]),
        ("C'è un gatto, c'erano due cani", []),
        ("io stesso sono qui", [FiniteVerb("sono", "io")]),
        ("il gatto è nero", [FiniteVerb("è", None)]),
        ("corro e tu corri", []),  # not in the list
    ],
)
def test_finite_verbs_and_their_pronouns_by_hand(text: str, expected: list[FiniteVerb]) -> None:
    assert finite_verbs(Said("", text, True)) == expected


def test_a_pronoun_may_stand_in_the_prompt_and_a_cut_verb_does_not_count() -> None:
    assert finite_verbs(Said("Io", "Io non ho", True)) == [FiniteVerb("ho", "io")]
    assert finite_verbs(Said("Io", "Io non ho", False)) == []  # it may have gone on: hotel
    assert finite_verbs(Said("Io ho", "Io ho fame", True)) == []  # the human said ho


def test_rates_of_several_speakers_by_hand() -> None:
    baby = [Said("", "io ho e io sono", True), Said("", "è", True)]
    human = [Said("", "ho fame", True), Said("", "", True)]
    result = overt_subjects({"baby": baby, "human": human})
    assert value(result, "overt_subjects/baby") == pytest.approx(2 / 3)
    assert value(result, "overt_subjects/human") == 0
    assert [score.items for score in result.scores] == [3, 1]
    assert math.isnan(value(overt_subjects({"baby": [Said("", "no", True)]}), "overt_subjects/baby"))
    with pytest.raises(ValueError, match="at least one speaker"):
        overt_subjects({"baby": []})


def test_no_form_is_both_verb_and_pronoun() -> None:
    assert not FINITE & PRONOUNS
