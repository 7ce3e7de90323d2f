"""Does a baby acquire phenomena in the order in which children do? Reads run directories and an order; no model.

A phenomenon is acquired when its minimal-pair accuracy first reaches a level (linear between evaluations). The order is
compared with a published one by Kendall's tau-b, which allows ties on both sides; phenomena never acquired are tied for
last. With so few phenomena the p-value is by permutation (exact up to seven), one-sided: how often would a random order
agree with the children's at least as well? It treats phenomena as independent, which related ones are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy import stats

from bambino.analysis.curves import Curve, reach, read_curves
from bambino.errors import CurveError, OrderError, YamlError, shortened
from bambino.measures import Score, TaskResult
from bambino.recipe.plain_yaml import as_written, compose, text_of

ORDERS = Path(__file__).parent / "orders"
"""Published child orders that come with bambino: LANGUAGE.yaml."""


CHANCE = 0.5


PERMUTATIONS = 9999
"""Random orders tried where there are too many to try all."""


@dataclass(frozen=True)
class Phenomenon:
    """What children master at some point."""

    name: str
    stage: int
    """0 is earliest; the same number is a tie."""
    pairs: tuple[str, ...]
    """Names of the minimal pairs that measure it."""


@dataclass(frozen=True)
class ChildOrder:
    """A published order of acquisition."""

    language: str
    phenomena: tuple[Phenomenon, ...]
    sources: tuple[str, ...]
    checked: str
    """How far the sources were checked."""


@dataclass(frozen=True)
class AcquisitionSettings:
    """When a phenomenon counts as acquired."""

    level: float | None = 0.75
    """Accuracy to reach; None: half way from chance to the phenomenon's own best, which also orders weak babies."""
    least_best: float = 0.6
    """With level None: a phenomenon whose best accuracy is below this was never acquired."""

    def __post_init__(self) -> None:
        if self.level is not None and not CHANCE < self.level <= 1:
            raise ValueError(f"acquisition: level = {self.level} must lie above chance, {CHANCE}, and at most at 1.")
        if not CHANCE < self.least_best <= 1:
            raise ValueError(f"acquisition: least_best = {self.least_best} must lie above {CHANCE} and at most at 1.")


@dataclass(frozen=True)
class Agreement:
    """Two orders of the same things compared."""

    tau: float
    """Kendall's tau-b, -1 to 1; NaN when either order is one single tie."""
    p_value: float
    """One-sided: of agreeing so well by chance; NaN likewise."""


def load_order(name: str | Path) -> ChildOrder:
    """A child order by language (`it`, `en`) or from a YAML file in the same form.

    Raises:
        OrderError: no such order, no YAML, a missing or wrong key, a phenomenon or pair named twice.
    """
    known = sorted(path.stem for path in ORDERS.glob("*.yaml"))
    path = ORDERS / f"{name}.yaml" if str(name) in known else Path(name).expanduser()
    try:
        root = compose(text_of(path), str(path))
    except FileNotFoundError:
        way_out = f"Use one of {', '.join(known)}, or a YAML file in their form."
        raise OrderError(f"There is no order of acquisition {shortened(name)}. {way_out}") from None
    except YamlError as error:
        raise OrderError(str(error)) from None
    content = None if root is None else as_written(root)
    if not isinstance(content, dict):
        raise OrderError(f"{path} must hold language, stages, sources and checked.")
    for key, kind in (("language", str), ("stages", list), ("sources", list), ("checked", str)):
        if not isinstance(content.get(key), kind):
            raise OrderError(f"{path}: {key} must be a {kind.__name__}, not {shortened(repr(content.get(key)))}.")
    phenomena = _phenomena(path, content["stages"])
    return ChildOrder(content["language"], phenomena, tuple(map(str, content["sources"])), content["checked"])


def agreement(one: list[float], other: list[float]) -> Agreement:
    """How well two orders agree; infinite places are last. For fewer than two things NaN."""
    ranks, others = stats.rankdata(one), stats.rankdata(other)
    if len(ranks) < 2 or len(set(ranks)) < 2 or len(set(others)) < 2:
        return Agreement(math.nan, math.nan)
    tested = stats.permutation_test(
        (ranks,),
        lambda shuffled: _concordance(shuffled, others),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=PERMUTATIONS,
        rng=np.random.default_rng(0),
    )
    return Agreement(float(stats.kendalltau(ranks, others).statistic), float(tested.pvalue))


def acquired_at(curve: Curve, settings: AcquisitionSettings) -> float:
    """The step at which a phenomenon is acquired; infinite when it never is."""
    level, best = settings.level, max(curve.values)
    if level is None:
        if best < settings.least_best:
            return math.inf
        level = (CHANCE + best) / 2
    reached = reach(curve, level)
    return math.inf if reached is None else reached.step


def acquisition_order(
    run_dir: str | Path, order: ChildOrder, settings: AcquisitionSettings | None = None
) -> TaskResult:
    """Compare a run's order of acquisition with the children's.

    The run must have evaluated the phenomena's pairs, as `eval/pairs/UID` (a file per phenomenon in evaluation.pairs)
    or `eval/pairs/FILE/UID`. Phenomena without any are left out and named in the settings.

    Raises:
        CurveError: fewer than two phenomena were evaluated.
    """
    settings = settings or AcquisitionSettings()
    curves = _phenomenon_curves(read_curves(run_dir), order)
    if len(curves) < 2:
        wanted = ", ".join(uid for phenomenon in order.phenomena for uid in phenomenon.pairs)
        raise CurveError(
            f"{run_dir} evaluated pairs of {len(curves)} phenomena of the {order.language} order; it takes two. "
            f"Give evaluation.pairs a file for each of some of: {wanted}."
        )
    found = [p for p in order.phenomena if p.name in curves]
    steps = [acquired_at(curves[p.name], settings) for p in found]
    result = agreement(steps, [float(p.stage) for p in found])
    scores = [
        Score("acquisition/tau", result.tau, "Kendall's tau-b", len(found), chance=0.0),
        Score("acquisition/p_value", result.p_value, "probability", len(found)),
    ]
    for phenomenon, step in zip(found, steps, strict=True):
        curve = curves[phenomenon.name]
        evaluations = len(curve.steps)
        scores.append(Score(f"acquisition/step/{phenomenon.name}", step, "steps", evaluations))
        scores.append(
            Score(f"acquisition/last/{phenomenon.name}", curve.values[-1], "share", evaluations, chance=CHANCE)
        )
    missing = [p.name for p in order.phenomena if p.name not in curves]
    details: dict[str, Any] = {
        "level": settings.level,
        "order": [[p.name, p.stage] for p in found],
        "not_evaluated": missing,
    }
    details |= {"sources": list(order.sources), "checked": order.checked}
    return TaskResult("acquisition", scores, details, _verdict(result, steps))


def _verdict(result: Agreement, steps: list[float]) -> str:
    acquired = sum(math.isfinite(step) for step in steps)
    if math.isnan(result.tau):
        return f"{acquired} of {len(steps)} phenomena acquired: there is no order to compare"
    likeness = "in the children's order" if result.p_value < 0.05 else "not shown to be in the children's order"
    return f"{acquired} of {len(steps)} phenomena acquired, {likeness} (tau {result.tau:.2f}, p {result.p_value:.2f})"


def _concordance(one: np.ndarray, other: np.ndarray) -> float:
    """Pairs in the same order less pairs in opposite order: tau's numerator; the rest is the same in any order."""
    signs = np.sign(one[:, None] - one[None, :]) * np.sign(other[:, None] - other[None, :])
    return float(signs.sum() / 2)


def _phenomenon_curves(curves: Mapping[str, Curve], order: ChildOrder) -> dict[str, Curve]:
    """Phenomenon -> mean accuracy over those of its pairs that were evaluated."""
    by_uid = {name.rsplit("/", 1)[-1]: curve for name, curve in curves.items() if name.startswith("pairs/")}
    result = {}
    for phenomenon in order.phenomena:
        found = [by_uid[uid] for uid in phenomenon.pairs if uid in by_uid]
        if not found:
            continue
        if any(curve.steps != found[0].steps for curve in found):
            raise CurveError(f"The pairs of {phenomenon.name} were not evaluated at the same steps.")
        values = tuple(map(fmean, zip(*(curve.values for curve in found), strict=True)))
        result[phenomenon.name] = Curve(f"pairs/{phenomenon.name}", found[0].steps, found[0].words, values)
    return result


def _phenomena(path: Path, stages: list[Any]) -> tuple[Phenomenon, ...]:
    phenomena: list[Phenomenon] = []
    for number, stage in enumerate(stages):
        if not isinstance(stage, dict) or not stage:
            raise OrderError(
                f"{path}: stage {number + 1} must map phenomena to lists of pairs, not {shortened(repr(stage))}."
            )
        for name, pairs in stage.items():
            if not isinstance(pairs, list) or not pairs or not all(isinstance(uid, str) for uid in pairs):
                raise OrderError(
                    f"{path}: {name} in stage {number + 1} must be a list of names, not {shortened(repr(pairs))}."
                )
            phenomena.append(Phenomenon(str(name), number, tuple(pairs)))
    for names in ([p.name for p in phenomena], [uid for p in phenomena for uid in p.pairs]):
        if twice := sorted(name for name in set(names) if names.count(name) > 1):
            raise OrderError(f"{path}: {twice[0]} is named twice.")
    return tuple(phenomena)
