"""Files that are almost right: each kind of file that users write, changed at random and given to its reader.

Its reader may read it or refuse it, with a `BambinoError`; anything else is a fault of ours. What comes of case `n` is
a function of the kind and `n`. By hand, so many cases of every kind, with what they found:

    python tests/broken_files.py 10000
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from bambino import load_recipe
from bambino.analysis.acquisition import load_order
from bambino.analysis.feedback_meter import feedback_meter, read_measured
from bambino.analysis.interpolation import load_sweep
from bambino.analysis.results import load_results
from bambino.errors import BambinoError
from bambino.evaluation.lm_eval_tasks import write_pair_tasks
from bambino.evaluation.pair_files import load_pair_set, load_terms
from bambino.evaluation.zero_shot.prompts import content_free, filled, premise_of
from bambino.evaluation.zero_shot.task_data import load_items
from bambino.evaluation.zero_shot.task_definitions import load_task
from bambino.experiments.design import load_experiment
from bambino.experiments.outcomes import read_results
from bambino.feedback.settings import KINDS
from bambino.recipe.names import Names
from bambino.recipe.settings import Recipe
from bambino.report.tables import remarks, results_table
from bambino.runs.record import newest_step, read_run
from bambino.text.json_lines import texts_of

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, 1e308, float("nan"), float("inf"), 10**60, 10**400),
    *(
        "",
        "a",
        " ",
        "\n",
        "\0",
        "\ud800",
        "l'",
        "那",
        "{",
        "}",
        "{text}",
        "{0}",
        "x" * 3000,
        "\u202e",
        "a/b",
        "..",
        "010",
    ),
    *(
        "..",
        "010",
        [],
        [1],
        ["a"],
        [[]],
        {},
        {"a": 1},
        {"a": "b"},
        {"0": 1, "0.5": 2},
        "shortest",
        "field:x",
        "1:30",
        "yes",
    ),
]
"""Values that stand where others should."""


def changed(random: Random, value: Any) -> Any:
    """A value with parts left out, renamed, doubled, or replaced by odd ones."""
    if random.random() < 0.12:
        return random.choice(ODD)
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if random.random() > 0.04}
        found = {
            str(random.choice(ODD)) if random.random() < 0.03 else name: changed(random, item)
            if random.random() < 0.4
            else item
            for name, item in kept.items()
        }
        return found | ({str(random.choice(ODD)): random.choice(ODD)} if random.random() < 0.05 else {})
    if isinstance(value, list):
        found = [changed(random, item) if random.random() < 0.3 else item for item in value]
        return found + [random.choice(ODD)] * (random.random() < 0.1)
    return value


def flipped(random: Random, content: bytes) -> bytes:
    """Bytes of which some are others, gone, or new; most often none."""
    found = bytearray(content)
    for _ in range(max(0, random.randint(-3, 3))):
        place = random.randrange(len(found) + 1)
        new = random.choice(
            [bytes([random.randrange(256)]), bytes(random.choices(b"{}[]:,\"'\n\t\\&*!#-~ ", k=2)), b""]
        )
        found[place : place + random.choice([0, 1, 9])] = new
    return bytes(found)


def as_json(random: Random, *rows: Any) -> bytes:
    lines = (json.dumps(changed(random, row), ensure_ascii=False).encode("utf-8", "surrogatepass") for row in rows)
    return flipped(random, b"\n".join(lines))


def as_yaml(random: Random, content: Any) -> bytes:
    return flipped(
        random, yaml.safe_dump(changed(random, content), allow_unicode=True).encode("utf-8", "surrogatepass")
    )


PAIRS = [
    {"sentence_good": "il gatto", "sentence_bad": "la gatto", "UID": "n"},
    {"prefix": "l'", "good_form": "amico", "bad_form": "amici", "UID": "m", "field": "x/y", "term": "t"},
    {"sen": "a b", "wrong_sen": "b a", "phenomenon": "p"},
]
TASK = {
    "name": "mood",
    "language": "it",
    "citation": "nobody",
    "local": {"source": "mood.jsonl", "split": "test"},
    "fields": {"text": "text"},
    "label": "mood",
    "labels": {"glad": 1, "sad": 0},
    "cut": "text",
    "templates": [{"prompt": "{text} È", "premise": "È", "options": {"glad": "lieto", "sad": "triste"}}],
}
ITEMS = [{"text": f"ciao {n}", "mood": n % 2, "split": "test"} for n in range(4)]
SCORE = {
    "name": "pairs/x",
    "value": 0.5,
    "unit": "share",
    "items": 2,
    "interval": {"low": 0.1, "high": 0.9},
    "chance": 0.5,
}
RESULTS = {
    "model": "m",
    "tasks": {"pairs/x": {"task": "pairs/x", "scores": [SCORE], "settings": {}, "verdict": "", "said": []}},
    "left_out": {},
    "settings": {},
    "environment": {},
}
RESULT = {
    "run": "clm-1",
    "evaluations": [{"step": 1, "eval/bits_per_byte/it": 2.5}],
    "costs": {"total/words_said": 3},
    "settings": {"seed": 1},
    "model_step": 1,
    "batches": "aa",
    "fingerprint": "x",
}
BLEND = {"share": 0.0, "scores": {"x": 1.0}, "l2_gain": 0.0, "l1_loss": 0.0}
SWEEP = {"first": "a", "last": "b", "l1": "en", "l2": "it", "measured": {}, "blends": [BLEND], "on_front": [0.0]}
ROWS = [
    {"kind": "step", "step": 1, "phase": "clm", "clm/batch": 3, "total/clm_tokens": 3},
    {"kind": "evaluation", "step": 1, "eval/bits_per_byte/it": 2.0},
]
ORDER = {"language": "it", "stages": [{"a": ["x"]}, {"b": ["y", "z"]}], "sources": ["s"], "checked": "no"}
EXPERIMENT = {
    "question": "q",
    "hypotheses": ["h"],
    "primary": "bits_per_byte/it",
    "settings": {"evaluation": {"eval_steps": 3, "texts": {"it": ["${it}"]}}},
    "conditions": {"clm": {"schedule.cycle": {"clm": 1}}, "paper": {}},
    "seeds": {"development": [1], "test": [2, 3]},
    "tuning": {"trials": 2, "conditions": {"clm": {"clm.learning_rate": [1e-3, 2e-3]}, "paper": "clm"}},
}
WHOLE = Recipe().to_dict()
"""Every setting with its default; kinds of feedback are named by `SETTINGS` alone."""
SETTINGS = [*Names.of(Recipe, KINDS).all(), "ppo.kl_cef", "x"]


def _value(random: Random, name: str) -> Any:
    """A setting's default, or an odd value."""
    section, _, last = name.rpartition(".")
    there = WHOLE.get(section, {}) if section else WHOLE
    return there[last] if last in there and random.random() < 0.7 else random.choice(ODD)


def recipe(random: Random, folder: Path) -> None:
    given = {name: _value(random, name) for name in random.choices(SETTINGS, k=2)}
    if random.random() < 0.5:
        load_recipe(None, [f"--{name}={json.dumps(value)}" for name, value in given.items()], kinds=KINDS)
    nested: dict[str, Any] = {}
    for name, value in given.items():
        *sections, last = name.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
            inner = inner if isinstance(inner, dict) else {}
        inner[last] = value
    (folder / "recipe.yaml").write_bytes(as_yaml(random, nested))
    load_recipe(folder / "recipe.yaml", kinds=KINDS)


def pairs(random: Random, folder: Path) -> None:
    (folder / "pairs.jsonl").write_bytes(as_json(random, *random.choices(PAIRS, k=3)))
    (folder / "pairs.tsv").write_bytes(flipped(random, b'sen\twrong_sen\tphenomenon\na b\tb a\tp\n"x"\ty\tz\n'))
    write_pair_tasks(folder / "tasks", "it", load_pair_set(folder / random.choice(["pairs.jsonl", "pairs.tsv"])))


def terms(random: Random, folder: Path) -> None:
    (folder / "terms.jsonl").write_bytes(as_json(random, {"UID": "n", "term": "t", "field": "f"}))
    load_terms(folder / "terms.jsonl")


def texts(random: Random, folder: Path) -> None:
    (folder / "texts.jsonl").write_bytes(as_json(random, {"text": "ciao"}, {"text": "ciao\nciao"}))
    texts_of(folder / "texts.jsonl")


def task(random: Random, folder: Path) -> None:
    (folder / "mood.yaml").write_bytes(as_yaml(random, TASK))
    load_task(folder / "mood.yaml")


def items(random: Random, folder: Path) -> None:
    (folder / "mood.yaml").write_text(yaml.safe_dump(TASK))
    (folder / "mood.jsonl").write_bytes(as_json(random, *ITEMS))
    mood = load_task(folder / "mood.yaml")
    for item in load_items(mood, folder).items:
        for ask in (filled, premise_of, content_free):
            ask(mood, mood.templates[0], item)


def results(random: Random, folder: Path) -> None:
    (folder / "results.json").write_bytes(as_json(random, RESULTS))
    (folder / "items.json").write_bytes(as_json(random, {"pairs/x": {"pairs/x": [1.0, None]}}))
    found = load_results(folder)
    results_table(found)
    remarks(found)


def result_files(random: Random, folder: Path) -> None:
    (folder / "clm-1.json").write_bytes(as_json(random, RESULT))
    (folder / "paper-1.json").write_text(json.dumps(RESULT | {"run": "paper-1"}))
    read_results(folder)
    feedback_meter(
        read_measured([folder / "clm-1.json", folder / "paper-1.json"], "bits_per_byte/it"), "bits_per_byte/it"
    )


def sweep(random: Random, folder: Path) -> None:
    (folder / "interpolation.json").write_bytes(as_json(random, SWEEP))
    load_sweep(folder)


def run(random: Random, folder: Path) -> None:
    (folder / "metrics.jsonl").write_bytes(as_json(random, *ROWS, *ROWS) + b"\n")
    (folder / "recipe.yaml").write_bytes(as_yaml(random, {"seed": 1, "early_stopping": {"keep_best": True}}))
    (folder / "data.json").write_bytes(as_json(random, {"format": 2, "clm": [{"words": 1, "tokens": 2}]}))
    newest_step(folder)
    found = read_run(folder)
    _ = (found.evaluations, found.batches, found.totals, found.model_step, found.settings, found.words_heard(1))


def order(random: Random, folder: Path) -> None:
    (folder / "order.yaml").write_bytes(as_yaml(random, ORDER))
    load_order(folder / "order.yaml")


def experiment(random: Random, folder: Path) -> None:
    (folder / "experiment.yaml").write_bytes(as_yaml(random, EXPERIMENT))
    (folder / "it.txt").write_text("ciao\n")
    load_experiment(folder / "experiment.yaml", {"it": str(folder / "it.txt")})


Case = Callable[[Random, Path], None]
CASES: list[Case] = [
    *(recipe, experiment, task, order, pairs, terms, texts, items, results, result_files, sweep, run),
]


def faults(case: Case, count: int) -> tuple[Counter[str], dict[str, int]]:
    """How many of so many cases were read and refused; and what else was raised, with the number of the last such."""
    outcomes: Counter[str] = Counter()
    found: dict[str, int] = {}
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                case(Random(f"{case.__name__} {number}"), Path(folder))
                outcomes["read"] += 1
            except BambinoError:
                outcomes["refused"] += 1
            except Exception as error:  # noqa: BLE001
                outcomes["faults"] += 1
                found[f"{type(error).__name__}: {str(error)[:100]}"] = number
    return outcomes, found


if __name__ == "__main__":
    for each in CASES:
        counted, wrong = faults(each, int(sys.argv[1]))
        print(f"{each.__name__:<14}{dict(counted)} {wrong or ''}", flush=True)
