"""The demo's page: one HTML file that needs nothing else."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from bambino.demo.tables import (
    LEARNING,
    base_lesson,
    base_rows,
    growing_up,
    lesson,
    phenomena_rows,
    result_rows,
    shown_prompts,
)
from bambino.experiments.nursery.designs import Design
from bambino.experiments.nursery.results import Result
from bambino.report.tables import Rows

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #888; }
.said td, .said th { text-align: left; } .said td { width: 30%; } .said td:first-child { width: 10%; }
.prompt { color: #777; } svg { width: 100%; height: auto; }
.wide { overflow-x: auto; } .small { color: #555; font-size: .9rem; }
"""


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>bambino: the demo</title><style>{style}</style></head><body>
<h1>A baby that grows up with a second language</h1>
<p>Two small models, a baby ({l1}) and a parent ({l2}), were raised from scratch on the nursery: a small world whose
sentences have known probabilities. Then the baby learned {l2} from {lines:,} sentences: by hearing them (clm), by
its parent's opinion of what it said (ppo), or by both in turn (bambino, ten steps of one and two of the other).
clm and bambino heard the same batches in the same order.</p>
<h2>Before</h2>
<p>{knows} The true entropy is {truth_l1:.3f} bits per byte for the exam's {l1} sentences and {truth_l2:.3f} for its
{l2} ones; excess is what a model needs above that.</p>
{before}
<h2>After</h2>
{after}
<h2>What it shows, and what it does not</h2>
<p><strong>{headline}</strong></p>
<ul>{lessons}</ul>
<h2>Learning and forgetting</h2>
<p class="small">clm and ppo alone take fewer steps in a cycle; they are stretched so that all have been through equally
many cycles at one place. {bands}</p>
{plot}
<h2>Growing up: the same beginnings at several ages</h2>
<p class="small">The baby goes on after the grey words, with the same random numbers at every age{of_seed}.</p>
{sayings}
<h2>Minimal pairs by phenomenon</h2>
<div class="wide">{phenomena}</div>
<p class="small">All numbers are in demo.json, the runs in runs/ (metrics.jsonl, utterances.jsonl, model). Repetition
is the number of words in the longest phrase said twice. Perplexities are per token of the parent's, prompt
included.</p>
</body></html>
"""


def write_page(
    output_dir: Path, results: list[Result], bases: dict[str, Any], truth: dict[str, float], design: Design
) -> Path:
    """Write index.html, with curves.svg inside; returns its path."""
    headline, *lessons = lesson(results, design)
    seeds = sorted({result.seed for result in results})
    svg = (output_dir / "curves.svg").read_text(encoding="utf-8")
    html = PAGE.format(
        style=STYLE,
        l1=design.named("{l1}"),
        l2=design.named("{l2}"),
        lines=design.l2_lines,
        knows=escape(base_lesson(bases, design)),
        truth_l1=truth["l1"],
        truth_l2=truth["l2"],
        before=_table(base_rows(bases, design)),
        after=f'<div class="wide">{_table(result_rows(results, design))}</div>',
        headline=escape(headline),
        lessons="".join(f"<li>{escape(sentence.strip())}</li>" for sentence in lessons),
        bands="Bands reach from the lowest to the highest seed." if len(seeds) > 1 else "One seed.",
        plot=re.sub(r"^.*?(?=<svg)", "", svg, flags=re.DOTALL),
        of_seed=f" (seed {seeds[0]})" if len(seeds) > 1 else "",
        sayings="".join(_sayings(results, number, seeds[0]) for number in shown_prompts(results, seeds[0])),
        phenomena=_table(phenomena_rows(results, design)),
    )
    path = output_dir / "index.html"
    path.write_text(html, encoding="utf-8")
    return path


def _sayings(results: list[Result], number: int, seed: int) -> str:
    """One prompt: a row per age, a column per condition that learns."""
    ages = growing_up(results, seed, number)
    rows = []
    for place, age in enumerate(ages):
        cells = "".join(f"<td>{_saying(*one)}</td>" for one in age)
        rows.append(f"<tr><td>{place} of {len(ages) - 1}</td>{cells}</tr>")
    heading = "".join(f"<th>{name}</th>" for name in LEARNING)
    head = f"<thead><tr><th>age</th>{heading}</tr></thead>"
    return f'<div class="wide"><table class="said">{head}<tbody>{"".join(rows)}</tbody></table></div><br>'


def _saying(prompt: str, said: str) -> str:
    return f'<span class="prompt">{escape(prompt)}</span>{escape(said)}'


def _table(rows: Rows) -> str:
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"
