"""Charts as Vega-Lite, made by Altair: lines with bands, paths from one measure to another, bars.

Colours are the page's own (CSS variables --c0 to --c7), so that they follow light, dark and print. Data are columns,
unfolded in the browser, so that names are not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bambino.printable import printable
from bambino.report.series import Band, Block

COLOURS = 8
HEIGHT = 210
"""Of a chart, in pixels."""
DIGITS = 5
"""Of a number in the page's data."""
ALONG = {"step": "steps", "words": "words heard of L2", "flops": "FLOPs"}
"""Field -> what stands along x."""
INK = "currentColor"

Spec = dict[str, Any]


def colours(conditions: Sequence[str]) -> Any:
    """Condition -> the page's colour of that place."""
    names = [printable(name) for name in conditions]
    values = [f"var(--c{i % COLOURS})" for i in range(len(names))]
    return alt.Color("condition:N", scale=alt.Scale(domain=names, range=values), legend=None)


def dashes(conditions: Sequence[str]) -> Any:
    """Conditions beyond the number of colours are dashed."""
    names = [printable(name) for name in conditions]
    values = [[1, 0] if i < COLOURS else [5, 3] for i in range(len(names))]
    return alt.StrokeDash("condition:N", scale=alt.Scale(domain=names, range=values), legend=None)


def lines(
    bands: Sequence[Band],
    conditions: Sequence[str],
    along: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    blocks: Sequence[Block] = (),
    level: float | None = None,
) -> Spec:
    """A line a condition, the mean over its seeds, in a band from the lowest to the highest; values on hovering.

    Args:
        conditions: of the whole page; a condition's place is its colour.
        along: field -> condition -> what stands along x at the band's points; the first is shown at first.
        blocks: shaded where steps stand along x.
        level: a dashed line across.
    """
    names = ["mean", "low", "high", "seeds"]
    data = alt.Data(values=[_columns(one, {name: those[one.condition] for name, those in along.items()}) for one in bands])
    first = next(iter(along))
    x = alt.X("x:Q", title=ALONG[first], axis=alt.Axis(format="~s", tickCount=5, grid=False), scale=alt.Scale(nice=False))
    scale = _scale(bands)
    y = alt.Y("mean:Q", title=None, scale=scale, axis=_axis(scale))
    base = (
        alt.Chart(data).transform_flatten([*along, *names]).transform_calculate(x="datum[along]").encode(x=x, color=colours(conditions))
    )
    layers: list[Any] = [_shade(blocks, x)] if blocks and "step" in along else []
    if any(low < high for one in bands for low, high in zip(one.low, one.high, strict=True)):
        layers.append(base.mark_area(opacity=0.16, strokeWidth=0).encode(y=alt.Y("low:Q", title=None, scale=scale, axis=_axis(scale)), y2="high:Q"))
    layers.append(base.mark_line(strokeWidth=1.8, strokeJoin="round").encode(y=y, strokeDash=dashes(conditions)))
    if level is not None:
        rule = alt.Chart(alt.Data(values=[{"level": level}])).mark_rule(strokeDash=[4, 4], color="var(--soft)")
        layers.append(rule.encode(y=alt.Y("level:Q", title=None)))
    layers.append(_hovered(base.encode(y=y), along, few=max(len(one.step) for one in bands) <= 25))
    return _spec(alt.layer(*layers).add_params(alt.param(name="along", value=first)))


def _columns(one: Band, along: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    numbers = {"mean": one.mean, "low": one.low, "high": one.high, **along}
    return {
        "condition": printable(one.condition),
        "seeds": list(one.seeds),
        **{name: [_rounded(value) for value in values] for name, values in numbers.items()},
    }


def _rounded(value: float) -> float | int | None:
    """Few digits, which is all that is drawn; None for what is no number."""
    if not math.isfinite(value):
        return None
    found = float(f"{value:.{DIGITS}g}")
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def _scale(bands: Sequence[Band]) -> alt.Scale:
    """Logarithmic where positive numbers span more than two powers of ten."""
    low, high = min(min(one.low) for one in bands), max(max(one.high) for one in bands)
    return alt.Scale(type="log") if low > 0 and high / low >= 100 else alt.Scale(zero=False)


def _axis(scale: alt.Scale) -> alt.Axis:
    return alt.Axis(tickCount=4, format="~g" if scale.to_dict().get("type") == "log" else "~r")


def _shade(blocks: Sequence[Block], x: alt.X) -> Any:
    """Where something else is done than hearing."""
    data = alt.Data(values=[{"x": one.begin, "end": one.end, "phase": printable(one.phase)} for one in blocks])
    return (
        alt.Chart(data)
        .transform_filter("along == 'step'")
        .mark_rect(fill=INK, opacity=0.07)
        .encode(x=x, x2="end:Q", tooltip=["phase:N"])
    )


def _hovered(base: Any, along: Mapping[str, Any], *, few: bool) -> Any:
    """The point nearest to the pointer, and what it says; of few points all are seen."""
    nearest = alt.selection_point(name="near", nearest=True, on="pointerover", clear="pointerout", empty=False)
    tooltip = [
        alt.Tooltip("condition:N"),
        alt.Tooltip("mean:Q", format=".4~r"),
        alt.Tooltip("low:Q", title="lowest", format=".4~r"),
        alt.Tooltip("high:Q", title="highest", format=".4~r"),
        alt.Tooltip("seeds:Q"),
        *(alt.Tooltip(f"{name}:Q", title=ALONG[name], format=",.0f" if name != "flops" else ".3~s") for name in along),
    ]
    size = alt.condition(nearest, alt.value(70), alt.value(14 if few else 0))
    return base.mark_point(filled=True, opacity=1).encode(size=size, tooltip=tooltip).add_params(nearest)


def _spec(chart: Any, height: int = HEIGHT) -> Spec:
    """As wide as its place on the page."""
    found: Spec = chart.properties(width="container", height=height).to_dict()
    del found["config"]
    found["autosize"] = {"type": "fit-x", "contains": "padding"}
    return found
