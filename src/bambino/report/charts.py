"""Charts as Vega-Lite, made by Altair: lines with bands, paths from one measure to another, bars.

Colours are the page's own (CSS variables --c0 to --c7), so that they follow light, dark and print. Data are columns,
unfolded in the browser, so that names are not repeated; a chart is made once and filled with the data of many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import altair as alt

from bambino.printable import printable
from bambino.report.series import Band, Block, Walk

COLOURS = 8
DASHES: list[list[float]] = [[1, 0], [6, 3], [1.5, 2.5], [7, 2, 2, 2]]
"""Of the first so many conditions, of the next, ...; as in the page's legend (templates/parts/charts.html)."""
HEIGHT = 210
"""Of a chart, in pixels."""
DIGITS = 5
"""Of a number in the page's data."""
REACH = 90
"""Area of a point, in square pixels, within which the pointer finds it."""
FEW = 25
"""Points of a line up to which each is seen."""
ALONG = {"step": "steps", "words": "words heard of L2", "flops": "FLOPs", "cycle": "cycles"}
"""Field -> what stands along x."""
IN_TIME = ("step", "cycle")
"""Fields along which blocks of a phase can be shaded."""
INK, SOFT = "currentColor", "var(--soft)"

Spec = dict[str, Any]


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
        blocks: shaded where steps or cycles stand along x.
        level: a dashed line across.
    """
    levels = [] if level is None else [level]
    low, high = min(min((*one.low, *levels)) for one in bands), max(max(one.high) for one in bands)
    shape = _lines(
        tuple(along),
        _shown(conditions),
        has_bands=any(one.low != one.high for one in bands),
        has_blocks=bool(blocks) and any(field in along for field in IN_TIME),
        level=level,
        is_log=low > 0 and high / low >= 100,
        is_sparse=max(len(one.step) for one in bands) <= FEW,
    )
    rows = [_columns(one, {name: those[one.condition] for name, those in along.items()}) for one in bands]
    shades = [{"x": one.begin, "end": one.end, "phase": printable(one.phase)} for one in blocks]
    return _filled(shape, lines=rows, blocks=shades)


@cache
def _lines(
    along: tuple[str, ...],
    conditions: tuple[str, ...],
    *,
    has_bands: bool,
    has_blocks: bool,
    level: float | None,
    is_log: bool,
    is_sparse: bool,
) -> Spec:
    """The chart without its data: log where positive numbers span more than two powers of ten."""
    scale = alt.Scale(type="log") if is_log else alt.Scale(zero=False)
    axis = alt.Axis(tickCount=4, format="~g" if is_log else "~r")
    x = alt.X("x:Q", title=ALONG[along[0]], axis=_x_axis(grid=False), scale=alt.Scale(nice=False))
    base = (
        alt.Chart(alt.NamedData("lines"))
        .transform_flatten([*along, "mean", "low", "high", "seeds"])
        .transform_calculate(x="datum[along]")
        .encode(x=x, color=_colours(conditions))
    )
    y = alt.Y("mean:Q", title=None, scale=scale, axis=axis)
    layers: list[Any] = []
    if has_blocks:
        shade = alt.Chart(alt.NamedData("blocks")).mark_rect(fill=INK, opacity=0.07)
        layers.append(shade.encode(x=x, x2="end:Q", tooltip=["phase:N"]))
    if has_bands:
        area = base.mark_area(opacity=0.16, strokeWidth=0)
        layers.append(area.encode(y=alt.Y("low:Q", title=None, scale=scale, axis=axis), y2="high:Q"))
    layers.append(base.mark_line(strokeWidth=1.8, strokeJoin="round").encode(y=y, strokeDash=_dashes(conditions)))
    if level is not None:
        rule = alt.Chart(alt.InlineData(values=[{"level": level}])).mark_rule(strokeDash=[4, 4], color=SOFT)
        layers.append(rule.encode(y=alt.Y("level:Q", title=None)))
    if is_sparse:
        layers.append(base.mark_point(filled=True, size=14, opacity=1).encode(y=y))
    layers.append(_hovered(base.encode(y=y), along))
    return _spec(alt.layer(*layers).add_params(alt.param(name="along", value=along[0])))


def _hovered(base: Any, along: Sequence[str]) -> Any:
    """Points that are seen when the pointer comes near, and say what they are."""
    near = alt.selection_point(
        name="near", fields=["condition", "x"], on="pointerover", clear="pointerout", empty=False
    )
    tooltip = [
        alt.Tooltip("condition:N"),
        alt.Tooltip("mean:Q", format=".4~r"),
        alt.Tooltip("low:Q", title="lowest", format=".4~r"),
        alt.Tooltip("high:Q", title="highest", format=".4~r"),
        alt.Tooltip("seeds:Q"),
        *(alt.Tooltip(f"{name}:Q", title=ALONG[name], format=".3~s" if name == "flops" else ",.0f") for name in along),
    ]
    opacity = alt.condition(near, alt.value(1), alt.value(0))
    return base.mark_point(filled=True, size=REACH).encode(opacity=opacity, tooltip=tooltip).add_params(near)


def paths(walks: Sequence[Walk], conditions: Sequence[str], x_title: str, y_title: str) -> Spec:
    """Where each condition goes over time: a line through its means, a large dot where it ends, and a circle where
    each of its seeds does."""
    walked = [
        {"condition": printable(one.condition), "x": _rounded(x), "y": _rounded(y), "step": step, "left": left}
        for one in walks
        for left, step, x, y in zip(range(len(one.step) - 1, -1, -1), one.step, one.x, one.y, strict=True)
    ]
    ends = [
        {"condition": printable(one.condition), "x": _rounded(x), "y": _rounded(y), "seed": seed}
        for one in walks
        for seed, (x, y) in one.ends.items()
    ]
    shape = _paths(_shown(conditions), printable(x_title), printable(y_title))
    return _filled(shape, walked=walked, ends=ends)


@cache
def _paths(conditions: tuple[str, ...], x_title: str, y_title: str) -> Spec:
    axis = alt.Axis(tickCount=5, format="~r")
    x, y = alt.X("x:Q", title=x_title, axis=axis), alt.Y("y:Q", title=y_title, axis=axis)
    where = {"x": x, "y": y, "color": _colours(conditions)}
    tooltip = [
        alt.Tooltip("condition:N"),
        alt.Tooltip("x:Q", title="gained of L2", format="+.3f"),
        alt.Tooltip("y:Q", title="lost of L1", format="+.3f"),
    ]
    walked, ends = (alt.Chart(alt.NamedData(name)) for name in ("walked", "ends"))
    zero = alt.Chart(alt.InlineData(values=[{"y": 0}])).mark_rule(strokeDash=[4, 4], color=SOFT).encode(y=y)
    line = walked.mark_line(strokeWidth=1.8).encode(**where, order="step:Q", strokeDash=_dashes(conditions))
    dots = walked.mark_point(filled=True, size=18, opacity=1).encode(**where, tooltip=[*tooltip, "step:Q"])
    last = walked.transform_filter("datum.left == 0").mark_point(filled=True, size=130, opacity=1)
    seeds = ends.mark_point(size=40, opacity=0.8, strokeWidth=1.2).encode(**where, tooltip=[*tooltip, "seed:O"])
    return _spec(alt.layer(zero, line, dots, seeds, last.encode(**where, tooltip=[*tooltip, "step:Q"])), height=340)


def bars(rows: Sequence[Mapping[str, Any]], conditions: Sequence[str], title: str, level: float | None = None) -> Spec:
    """An amount for each of several parts, a bar a condition.

    Args:
        rows: condition, part, amount.
        level: a dashed line across.
    """
    shown = [
        {
            **row,
            "condition": printable(row["condition"]),
            "part": printable(row["part"]),
            "amount": _rounded(row["amount"]),
        }
        for row in rows
    ]
    parts = list(dict.fromkeys(row["part"] for row in shown))
    there = {row["condition"] for row in shown}
    names = _shown(conditions)
    y = alt.Y("part:N", title=None, sort=parts, axis=alt.Axis(grid=False, ticks=False, domain=False, labelLimit=140))
    base = alt.Chart(alt.NamedData("bars"))
    chart = base.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("amount:Q", title=title, axis=_x_axis()),
        y=y,
        yOffset=alt.YOffset("condition:N", sort=[name for name in names if name in there]),
        color=_colours(names),
        tooltip=["condition:N", "part:N", alt.Tooltip("amount:Q", title=title, format=".4~r")],
    )
    layers = [chart]
    if level is not None:
        rule = alt.Chart(alt.InlineData(values=[{"level": level}])).mark_rule(strokeDash=[4, 4], color=SOFT)
        layers.append(rule.encode(x=alt.X("level:Q", title=title)))
    height = len(parts) * (max(4, 11 - len(there)) * len(there) + 10)
    return _filled(_spec(alt.layer(*layers), height), bars=shown)


def dots(rows: Sequence[Mapping[str, Any]], conditions: Sequence[str], title: str, level: float) -> Spec:
    """A number for each of several parts, a dot a condition, with a line over its interval where it has one.

    Args:
        rows: condition, part, amount; low and high, or NaN.
        level: a dashed line down.
    """
    shown = [
        {
            **{name: printable(row[name]) for name in ("condition", "part")},
            **{name: _rounded(row.get(name, math.nan)) for name in ("amount", "low", "high")},
        }
        for row in rows
    ]
    parts = list(dict.fromkeys(printable(row["part"]) for row in rows))
    names = _shown(conditions)
    there = [name for name in names if any(row["condition"] == name for row in shown)]
    is_shared = len(shown) > len(parts)
    scale = alt.Scale(zero=False, padding=8)
    x = alt.X("amount:Q", title=title, axis=alt.Axis(format="~r", tickCount=5), scale=scale)
    base = alt.Chart(alt.NamedData("dots")).encode(
        y=alt.Y("part:N", title=None, sort=parts, axis=alt.Axis(ticks=False, domain=False, labelLimit=175)),
        color=_colours(names),
    )
    if is_shared:
        base = base.encode(yOffset=alt.YOffset("condition:N", sort=there))
    numbers = [alt.Tooltip(f"{name}:Q", format=".4~r") for name in ("amount", "low", "high")]
    line = alt.Chart(alt.InlineData(values=[{"level": level}])).mark_rule(strokeDash=[4, 4], color=SOFT)
    points = base.mark_point(filled=True, opacity=1, size=70).encode(x=x, tooltip=["condition:N", "part:N", *numbers])
    layers = [line.encode(x=alt.X("level:Q", title=title, scale=scale)), points]
    if any(row["low"] is not None for row in shown):
        whiskers = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
        layers.insert(1, whiskers.encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"))
    height = len(parts) * (9 * len(there) + 8 if is_shared else 26)
    return _filled(_spec(alt.layer(*layers), height), dots=shown)


def _x_axis(*, grid: bool = True) -> alt.Axis:
    return alt.Axis(format="~s", tickCount=5, grid=grid, labelExpr="datum.value == 0 ? '0' : datum.label")


def _shown(conditions: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(printable, conditions))


def _colours(conditions: Sequence[str]) -> Any:
    """Condition -> the page's colour of that place."""
    values = [f"var(--c{i % COLOURS})" for i in range(len(conditions))]
    return alt.Color("condition:N", scale=alt.Scale(domain=list(conditions), range=values), legend=None)


def _dashes(conditions: Sequence[str]) -> Any:
    """Conditions beyond the number of colours are dashed, each time otherwise."""
    values: list[Any] = [DASHES[i // COLOURS % len(DASHES)] for i in range(len(conditions))]
    return alt.StrokeDash("condition:N", scale=alt.Scale(domain=list(conditions), range=values), legend=None)


def _columns(one: Band, along: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    numbers = {"mean": one.mean, "low": one.low, "high": one.high, **along}
    rounded = {name: list(map(_rounded, values)) for name, values in numbers.items()}
    return {"condition": printable(one.condition), "seeds": one.seeds, **rounded}


def _rounded(value: float) -> float | int | None:
    """Few digits, which is all that is drawn; None for what is no number."""
    if not math.isfinite(value):
        return None
    found = float(f"{value:.{DIGITS}g}")
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def _spec(chart: Any, height: int = HEIGHT) -> Spec:
    """As wide as its place on the page."""
    found: Spec = chart.properties(width="container", height=height).to_dict()
    del found["config"]
    return {**found, "autosize": {"type": "fit-x", "contains": "padding"}}


def _filled(shape: Spec, **datasets: Sequence[Mapping[str, Any]]) -> Spec:
    """A chart with its data, beside what it holds already."""
    return {**shape, "datasets": {**shape.get("datasets", {}), **datasets}}
