"""The page and the panels: text stays text, the page needs nothing else, curves are means with bands."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.table import Table

from bambino.analysis.comparison import Comparison
from bambino.analysis.statistics import Difference
from bambino.measures import Interval
from bambino.report import page as pages
from bambino.report.page import Items, Page, Plot, Sayings, Section, Words, write_page
from bambino.report.plots import Panel, PlottedCurve, draw, save
from bambino.report.screen import Screen
from bambino.report.tables import comparison_table, table


@pytest.fixture
def page(tmp_path: Path) -> str:
    svg = tmp_path / "plot.svg"
    svg.write_text('<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg><g/></svg>\n')
    sections = [
        Section("", [Words("1 < 2 & 3"), Words("Look here.", "strong"), Words("in passing", "small")]),
        Section("Numbers <b>", [pages.Table([["what", "clm"], ["bits", "0.1 ± 0.2"]]), Items(["one", "<i>two</i>"])]),
        Section("Said", [Sayings(["age", "clm"], [("0 of 1", [("il <", "gatto")])]), Plot.read(svg)]),
    ]
    path = write_page(tmp_path / "index.html", Page("a tab", "A heading", sections))
    return re.sub(r"\n\s*", "", path.read_text(encoding="utf-8"))


def test_what_is_put_in_is_text_and_a_plot_is_drawn(page: str) -> None:
    assert page.startswith("<!DOCTYPE html>")
    assert "<p>1 &lt; 2 &amp; 3</p>" in page
    assert "<p><strong>Look here.</strong></p>" in page
    assert '<p class="small">in passing</p>' in page
    assert "<h2>Numbers &lt;b&gt;</h2>" in page
    assert "<ul><li>one</li><li>&lt;i&gt;two&lt;/i&gt;</li></ul>" in page
    assert "<svg><g/></svg>" in page
    assert "<?xml" not in page


def test_tables_have_a_heading_and_prompts_are_grey(page: str) -> None:
    assert "<thead><tr><th>what</th><th>clm</th></tr></thead><tbody><tr><td>bits</td><td>0.1 ± 0.2</td></tr>" in page
    assert '<tr><td>0 of 1</td><td dir="auto"><span class="prompt">il &lt;</span>gatto</td></tr>' in page


def test_a_section_without_a_title_has_none(page: str) -> None:
    assert page.count("<h2>") == 2
    assert not re.search(r"<script|@import|<link|src=|href=", page)


PANELS = [
    Panel("bits", [PlottedCurve("clm", "#112233", "o", [0, 12], [[3.0, 1.0], [5.0, 1.5]])]),
    Panel(
        "share",
        [PlottedCurve("clm", "#112233", "o", [0, 12], [[3.0, 1.0]])],
        level=(2.0, "human"),
        reaches=(-1.0, 10.0),
    ),
    Panel("log", [PlottedCurve("clm", "#112233", "o", [0, 12], [[3.0, 1.0]])], is_log=True),
]


def test_a_line_is_the_mean_of_its_runs_and_a_band_reaches_from_the_lowest_to_the_highest() -> None:
    bits, share, log, _ = draw(PANELS, [(10, 12)], "step").axes
    assert np.asarray(bits.lines[0].get_xydata()).tolist() == [[0, 4.0], [12, 1.25]]
    (band,) = bits.collections
    # Along the lowest values and back along the highest.
    assert {tuple(point) for point in np.asarray(band.get_paths()[0].vertices).tolist()} == {
        (0, 3),
        (12, 1),
        (0, 5),
        (12, 1.5),
    }
    assert not share.collections  # one run has no band
    assert share.get_ylim()[0] <= -1 < 10 <= share.get_ylim()[1]
    assert share.lines[1].get_ydata() == [2.0, 2.0]
    assert log.get_yscale() == "log"


def test_stretches_are_shaded_in_every_panel() -> None:
    for axes in draw(PANELS, [(10, 12), (22, 24)], "step").axes[:3]:
        patches: Any = axes.patches
        assert [(patch.get_x(), patch.get_width()) for patch in patches] == [(10, 2), (22, 2)]


def test_the_same_figure_is_the_same_bytes(tmp_path: Path) -> None:
    written = [save(draw(PANELS, [], "step"), tmp_path, name).read_bytes() for name in ("one", "other")]
    assert written[0] == written[1]
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


NAMES = [
    "pairs/it_determiner_noun_gender",
    "speech/perplexity_under_parent",
    "bambino-with-replay-25",
    "bits_per_byte/it",
]


def on_80_columns(shown: Table) -> str:
    screen = io.StringIO()
    Screen(file=screen, width=80).print(shown)
    return screen.getvalue()


def test_at_80_columns_a_name_is_broken_between_its_parts_and_no_column_is_lost() -> None:
    rows = [["share", *NAMES, "L2 gain", "L1 loss", "front"], ["0.5", *["1.234"] * 4, "0.111", "-0.010", "*"]]
    said = on_80_columns(table(rows))
    for part in re.split(r"(?<=[/_-])|\s", " ".join([*rows[0], *rows[1]])):
        assert part in said
    assert max(map(len, said.splitlines())) <= 80
    turned = on_80_columns(table([list(column) for column in zip(*rows, strict=True)]))
    for name in NAMES:  # where there is room, in one piece
        assert f" {name} " in turned


def test_a_comparison_at_80_columns_has_whole_parts_of_names() -> None:
    difference = Difference(-0.1, Interval(-0.2, 0.1), 0.01)
    said = on_80_columns(
        comparison_table([Comparison(name, 0.5, 0.6, difference, "McNemar") for name in NAMES], "a", "b")
    )
    for name in NAMES:
        for part in re.split(r"(?<=[/_-])", name):
            assert part in said
    assert "McNemar" in said
