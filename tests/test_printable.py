"""Text of others acts on nothing where it is shown: terminal, card, table, page, plot, message."""

from __future__ import annotations

import ast
import io
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from rich.text import Text

from bambino import BambinoError, BambinoTrainer, Recipe
from bambino.cli.display import LiveDisplay, PlainDisplay
from bambino.cli.main import main
from bambino.printable import as_code, in_markdown, printable
from bambino.report import audit, plots
from bambino.report.page import Page, Sayings, Section, Table, Words, write_page
from bambino.report.screen import Screen
from bambino.report.tables import table

PACKAGE = Path(__file__).parent.parent / "src" / "bambino"
TITLE = "\x1b]0;owned\x07"
EVIL = (
    f"{TITLE}[red]no[/red] :smile: \x9b31m\u202egatto <img src=x onerror=alert(1)> [a](http://evil) `x` | *b* __c__ $d$"
)
BELL = r"\x07"
"""rich leaves it out of a text that has become its own."""
SHOWN = r"\x1b]0;owned\x07[red]no[/red] :smile: \x9b31m\u202egatto <img src=x onerror=alert(1)> [a](http://evil)"
"""How EVIL begins on a screen."""


def test_what_acts_is_escaped_as_python_writes_it_and_every_script_stays() -> None:
    assert printable("\x1b]0;t\x07 \x7f\x85\x9b\r") == r"\x1b]0;t\x07 \x7f\x85\x9b\r"
    assert printable("\u202e\u2066\u2028\ufeff") == r"\u202e\u2066\u2028\ufeff"
    assert printable(os.fsdecode(b"caff\xe8.txt")) == r"caff\udce8.txt"
    kept = "perché: 今天天气很好, مرحبا, שלום, हिन्दी, 👩‍👩‍👧 «amico»\u00a0«sì»\n\tfine"
    assert printable(kept) == kept


@given(st.text())
@settings(max_examples=200)
def test_nothing_that_acts_is_left_and_what_is_left_is_as_it_was(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown if c not in "\n\t")
    assert not any(
        unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI") for c in shown
    )
    assert printable(shown) == shown
    if "\\" not in text:
        assert re.sub(r"\\(x..|u....|r)", lambda found: ast.literal_eval(f"'{found[0]}'"), shown) == text


# ------------------------------------------------------------------------------------------------------------- terminal


def on_screen(show: Callable[[Screen], object], **settings: Any) -> str:
    file = io.StringIO()
    show(Screen(file=file, width=300, **settings))
    return file.getvalue()


@pytest.mark.parametrize("as_text", [False, True])
def test_a_screen_shows_text_as_text(as_text: bool) -> None:
    text: Any = Text(EVIL) if as_text else EVIL
    for show in (lambda screen: screen.print(text), lambda screen: screen.print(table([["name", "n"], [EVIL, "1"]]))):
        said = on_screen(show)
        assert (SHOWN.replace(BELL, "") if as_text and "name" not in said else SHOWN) in said
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)


@pytest.mark.parametrize("is_live", [False, True])
def test_an_utterance_and_a_warning_do_nothing_to_the_terminal(is_live: bool) -> None:
    said = {"step": 1, "kind": "ppo", "prompt": EVIL, "utterance": EVIL, "reward": 1.0}
    rows: list[dict[str, Any]] = [
        {"kind": "utterances", "step": 1, "rows": [said]},
        {"kind": "warning", "text": EVIL},
        {"kind": "step", "step": 1, "phase": "clm", "clm/loss": 3.0, "total/seconds": 1.0},
    ]

    def show(screen: Screen) -> None:
        display = (LiveDisplay if is_live else PlainDisplay)(Recipe(logging_steps=1), screen)
        for row in rows:
            display(row)
        if isinstance(display, LiveDisplay):
            screen.print(display.live.get_renderable())

    shown = on_screen(show, force_terminal=is_live)
    assert TITLE not in shown
    assert "\x9b" not in shown
    assert "[red]no[/red]" in shown
    assert r"\x1b]0;owned\x07" in shown


def test_a_file_name_does_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{TITLE}[b].yaml").write_text("max_step: 3\n")
    assert main(["train", str(tmp_path / f"{TITLE}[b].yaml")]) == 2
    assert main(["train", f"{TITLE}.yaml"]) == 2
    assert main([EVIL]) == 2
    assert main(["nursery", "--lang", "it", "--lines", "1", "--out", str(tmp_path / f"{TITLE}[red].txt")]) == 0
    assert main(["compare", str(tmp_path / TITLE), str(tmp_path / TITLE)]) == 2
    assert main(["train", "--text.sources", f"['{EVIL}']", "--baby.model", f"./{EVIL}"]) == 2
    out, err = capfd.readouterr()
    assert out == f"Wrote {tmp_path}/\\x1b]0;owned\\x07[red].txt\n"
    assert r"\x1b]0;owned\x07[b].yaml, line 1" in err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out + err)


def test_an_error_is_safe_to_show_wherever_it_is_caught() -> None:
    assert str(BambinoError(f"no {TITLE}.txt")) == r"no \x1b]0;owned\x07.txt"


def test_commands_and_demo_print_through_what_escapes() -> None:
    """A new `print` or rich console elsewhere would be a hole."""
    for path in [p for folder in ("cli", "demo", "report") for p in sorted((PACKAGE / folder).rglob("*.py"))]:
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {call.id for call in calls if isinstance(call, ast.Name)}
        if path.name not in ("console.py", "screen.py", "markdown.py"):
            assert not names & {"print", "Console"}, path
        assert "markup=True" not in path.read_text(), path


# ------------------------------------------------------------------------------------------------------ cards and pages


def rendered(markdown: str) -> str:
    """As a reader of Markdown shows it: HTML in it would act, tables are tables."""
    html: str = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    return html


@given(st.one_of(st.text(max_size=30), st.text(alphabet="`|\\*_[]()<>&~$#! \n\x1bab", max_size=30)))
@settings(max_examples=300)
def test_in_markdown_a_text_is_words_or_code_and_one_cell(text: str) -> None:
    for escaped in (in_markdown(text), as_code(text)):
        html = rendered(f"| a | b |\n|---|---|\n| {escaped} | 7 |\n")
        assert html.count("<td>") == 2
        assert html.count("<") == html.count(">") == 18 + 2 * html.count("<code>")
        assert "<td>7</td>" in html


def test_names_in_a_model_card_are_code(make_recipe: Callable[..., Recipe], tmp_path: Path, text_file: Path) -> None:
    source = tmp_path / f"`|<b>{TITLE}.txt"
    source.write_bytes(text_file.read_bytes())
    recipe = make_recipe("--max_steps", "1")
    recipe = replace(recipe, text=replace(recipe.text, sources=[str(source)]))
    BambinoTrainer(args=recipe).train()
    card = (Path(recipe.output_dir) / "model" / "README.md").read_text(encoding="utf-8")
    html = rendered(card.partition("---\n\n")[2])
    assert r"`|&lt;b&gt;\x1b]0;owned\x07.txt</code></td>" in html
    assert "<b>" not in html
    assert "\x1b" not in card


def test_a_table_for_a_document_escapes_its_cells() -> None:
    html = rendered(audit.markdown([["kind", EVIL], [EVIL, "0.5"]]))
    assert html.count("<td>") == 2
    assert html.count("<th>") == 2
    assert not re.search(r"<(img|a|em|strong|code)\b", html)


def test_a_page_shows_control_characters_and_html_as_text(tmp_path: Path) -> None:
    sayings = Sayings(["age", EVIL], [(EVIL, [(EVIL, EVIL)])])
    page = Page(EVIL, EVIL, [Section(EVIL, [Words(EVIL), Table([[EVIL, "b"], [EVIL, "1"]]), sayings])])
    html = write_page(tmp_path / "index.html", page).read_text(encoding="utf-8")
    assert html.count(r"\x1b]0;owned\x07[red]") == 10
    assert "<img" not in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", html)


def test_a_name_in_a_plot_is_no_formula(tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], label="a $\\frac{ b")
    axes.set_title(f"$x^{{$ {TITLE}")
    axes.set_yticks([1, 2], ["$\\bad$", "b"])
    axes.annotate("$\\worse$", (1, 1))
    axes.legend()
    assert plots.save(figure, tmp_path, "plot").stat().st_size > 1000


def test_powers_of_ten_at_an_axis_stay_formulas(tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [1, 1000])
    axes.set_yscale("log")
    plots.save(figure, tmp_path, "plot")
    assert all(label.get_parse_math() for label in axes.yaxis.get_ticklabels())
