"""Measure models on the line from a first baby to a last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bambino.analysis.curves import direction
from bambino.analysis.interpolation import Sweep, swept
from bambino.errors import ModelError, PlanError
from bambino.measures import Measure
from bambino.models.averaging import interpolated
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import tokenizer_sha256


def between(first: Speaker, last: Speaker, share: float) -> Speaker:
    """The speaker so much of the way from the first to the last.

    Raises:
        ModelError: they are not of one shape, or their tokenizers differ.
    """
    if tokenizer_sha256(first.tokenizer) != tokenizer_sha256(last.tokenizer):
        raise ModelError("The two models' tokenizers differ, so there is nothing between them.")
    return Speaker(interpolated(first.lm, last.lm, share), last.tokenizer)


def sweep(
    first: Speaker,
    last: Speaker,
    measures: Sequence[Measure],
    shares: Sequence[float],
    curves: tuple[str, str],
    on_score: Callable[[float, str, float], None] = lambda share, name, value: None,
) -> Sweep:
    """Measure the models at these shares of the way, and at 0, which gains and losses are over.

    Args:
        curves: the measures that stand for L1 and L2.
        on_score: told each share, measure and score as it is known.

    Raises:
        PlanError: L1's or L2's measure is not among those given.
        ModelError: as `between`.
    """
    l1, l2 = curves
    names = [measure.name for measure in measures]
    for name in curves:
        direction(name)
        if name not in names:
            found = ", ".join(names) or "none"
            raise PlanError(f"curves: {name} is not measured. Measures are: {found}. Name two of them: --curves L1 L2")
    scores: dict[float, dict[str, float]] = {}
    for share in sorted({0.0, *shares}):
        speaker, scores[share] = between(first, last, share), {}
        for measure in measures:
            scores[share][measure.name] = value = measure(speaker).main.value
            on_score(share, measure.name, value)
    ends = {"first": first.lm.name_or_path, "last": last.lm.name_or_path}
    about = {measure.name: measure.depends_on for measure in measures}
    return swept(scores, **ends, l1=l1, l2=l2, measured=about)
