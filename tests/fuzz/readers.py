"""Everything that reads what others made: a valid input, the cases made of it, and the call that reads them."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from conftest import italian_lines, make_tokenizer, tiny_lm
from hypothesis import strategies as st

from bambino import Recipe, load_recipe
from bambino.analysis.acquisition import ORDERS, load_order
from bambino.analysis.feedback_meter import feedback_meter, read_measured
from bambino.analysis.interpolation import load_sweep
from bambino.analysis.results import load_results
from bambino.evaluation.babylm import reading
from bambino.evaluation.babylm.questions import load_questions
from bambino.evaluation.babylm.words import load_words
from bambino.evaluation.discovery import discover
from bambino.evaluation.pair_files import load_pair_set, load_terms
from bambino.evaluation.zero_shot.acceptability import LabelledSentences
from bambino.evaluation.zero_shot.prompts import content_free, filled, premise_of
from bambino.evaluation.zero_shot.school import load_school
from bambino.evaluation.zero_shot.task_data import load_items
from bambino.evaluation.zero_shot.task_definitions import load_task
from bambino.experiments.loading import load_experiment
from bambino.experiments.outcomes import read_results
from bambino.feedback.settings import KINDS
from bambino.feedback.written_recasts import WrittenByPeople
from bambino.models.loading import load_lm, load_tokenizer
from bambino.phases.kinds import PHASES
from bambino.recipe.file import setting_names, shipped
from bambino.recipe.model_settings import ModelConfig
from bambino.runs import checkpoint
from bambino.runs.record import read_run
from bambino.speaking.dreams import load_dreams
from bambino.text.json_lines import texts_of
from bambino.text.lines import load_corpus
from fuzz.strategies import ODD, damaged, edited, json_file, json_lines, yaml_file

Files = dict[str, bytes]
"""Path in a folder -> content."""


@dataclass(frozen=True)
class Reader:
    """One thing that bambino reads."""

    files: st.SearchStrategy[Files]
    """The files of a case."""
    read: Callable[[Path], object]
    """Reads them, in the folder where they lie."""
    beside: Callable[[], Path | None] = lambda: None
    """A folder whose files lie there too, where the case has none of that name."""

    @contextmanager
    def laid_out(self, files: Files, folder: Path) -> Iterator[None]:
        """Inside, a case's files lie in the folder, and what lies beside them; after, only the latter."""
        beside = self.beside()
        if beside is not None and not any(folder.iterdir()):
            shutil.copytree(beside, folder, dirs_exist_ok=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        try:
            yield
        finally:
            for name in files:
                if beside is not None and (beside / name).exists():
                    (folder / name).write_bytes((beside / name).read_bytes())
                else:
                    (folder / name).unlink()


# -------------------------------------------------------------------------------------------------------------- recipes


@cache
def _recipe() -> dict[str, Any]:
    """Every setting there is, with a value that it takes."""
    kinds = {name: settings().to_dict() for name, settings in KINDS.items() if not _required(settings)}
    return Recipe().to_dict() | {"feedback": kinds}


def _required(settings: type) -> bool:
    try:
        settings()
    except Exception:  # noqa: BLE001  it needs something
        return True
    return False


def _some_sections() -> st.SearchStrategy[dict[str, Any]]:
    """Some of a recipe's keys; all of them come up in turn."""
    keys = st.lists(st.sampled_from(sorted(_recipe())), min_size=1, max_size=4, unique=True)
    return keys.map(lambda chosen: {key: _recipe()[key] for key in chosen})


def _bombs() -> st.SearchStrategy[bytes]:
    """Small files of lists of lists of lists, by aliases or by brackets, that are huge or deep when they are read."""
    rows = ["&a0 [x, x]", *(f"&a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
    by_aliases = st.integers(1, 60).map(lambda depth: f"text: {{sources: [{', '.join(rows[:depth])}]}}")
    by_brackets = st.integers(1, 4000).map(lambda depth: "text: " + "[" * depth + "]" * depth)
    return st.one_of(by_aliases, by_brackets).map(str.encode)


def _read_recipe(path: Path | None, words: list[str] | None = None) -> None:
    recipe = load_recipe(path, words, kinds=KINDS, phases=PHASES)
    assert all(math.isfinite(number) for number in _numbers(recipe.to_dict()))


def _numbers(tree: Any) -> Iterator[float]:
    """Every number in a tree of lists and mappings."""
    for item in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(item, dict | list):
            yield from _numbers(item)
        elif isinstance(item, float):
            yield item


def _words(draw: st.DrawFn) -> bytes:
    """Overrides, one a line: a setting's name, or nearly, and an odd value or a piece of YAML."""
    names = st.one_of(st.sampled_from(sorted(setting_names(KINDS))), st.text("abcl.m_", max_size=12))
    values = st.one_of(
        ODD.map(str), st.sampled_from(["[a, b]", "{a: 1}", "&a [*a]", "{0: 1, 0.5: 2}", "!!binary x", "- a\n- b", "'"])
    )
    found = draw(st.lists(st.tuples(names, values), min_size=1, max_size=2))
    return json.dumps([word for name, value in found for word in (f"--{name}", value)]).encode()


def _read_words(folder: Path) -> None:
    _read_recipe(None, json.loads((folder / "words").read_text()))


# ---------------------------------------------------------------------------------------------------------------- texts

LINES = [*italian_lines(6), "", "perché sì", "今天天气很好", "مرحبا"]


def _text_files(draw: st.DrawFn) -> Files:
    content = draw(damaged("\n".join(LINES).encode(), most=6))
    rows = draw(json_lines([{"text": line, "id": i} for i, line in enumerate(LINES)]))
    return {"text/a.txt": content, "text/sub/b.jsonl": rows} if draw(st.booleans()) else {"text/c.txt": content}


def _read_texts(folder: Path) -> None:
    corpus = load_corpus([str(folder / "text")], min_chars=1, heldout_every=5)
    for report in corpus.reports:
        assert len(corpus.lines) + sum(report.dropped.values()) == report.lines
    assert all(map(_is_text, corpus.lines))


@cache
def _tables() -> Files:
    """The lines as tables and compressed."""
    content, parquet = "\n".join(LINES).encode(), io.BytesIO()
    pq.write_table(pa.table({"text": LINES, "id": range(len(LINES))}), parquet)
    table = "\n".join(f'"{line}",{i}' for i, line in enumerate(["text", *LINES]))
    return {
        "a.csv": table.encode(),
        "a.tsv": table.replace(",", "\t").encode(),
        "a.parquet": parquet.getvalue(),
        "a.txt.gz": gzip.compress(content),
        "a.txt.bz2": bz2.compress(content),
        "a.txt.zst": pa.compress(content, codec="zstd", asbytes=True),
    }


def _table_files(draw: st.DrawFn) -> Files:
    name = draw(st.sampled_from(sorted(_tables())))
    return {f"text/{name}": draw(damaged(_tables()[name]))}


def _read_texts_of_tests(folder: Path) -> None:
    assert all(map(_is_text, texts_of(folder / "t.jsonl")))


def _is_text(text: str) -> bool:
    """Something that a model may be trained on or measured by."""
    return bool(text.strip()) and "\0" not in text and not re.search("[\ud800-\udfff]", text)


# ---------------------------------------------------------------------------------------------------------------- tests

PAIRS = [
    {"sentence_good": "il gatto dorme", "sentence_bad": "il gatto dormono", "UID": "agreement", "field": "a/b"},
    {"prefix": "ho visto l'", "good_form": "amico", "bad_form": "amici", "phenomenon": "elision", "term": "t"},
    {"sen": "la casa", "wrong_sen": "il casa", "UID": "gender"},
]
TERMS = [{"UID": "agreement", "term": "subject-verb", "field": "syntax/semantics"}]
ITEMS = [{"sentence": f"frase {i}", "label": i % 2, "split": "validation"} for i in range(4)]


def _pair_files(draw: st.DrawFn) -> Files:
    rows = ["\t".join(PAIRS[0]), *["\t".join(PAIRS[0].values())] * 2]
    found = {
        "pairs.jsonl": draw(json_lines(PAIRS)),
        "rows.tsv": draw(damaged("\n".join(rows).encode())),
        "terms.jsonl": draw(json_lines(TERMS)),
    }
    name = draw(st.sampled_from([*found, "pairs.jsonl", "pairs.jsonl"]))
    return {name: found[name]}


def _read_pairs(folder: Path) -> None:
    (path,) = folder.iterdir()
    _all(lambda: load_terms(path) if path.stem == "terms" else _read_pair_set(path), lambda: discover(folder, {}))


def _read_pair_set(path: Path) -> None:
    assert all(_is_text(pair.good) and _is_text(pair.bad) for pair in load_pair_set(path).pairs)


SETS: dict[str, list[dict[str, Any]]] = {
    "questions.jsonl": [
        {"input_prefix": "Box 0 has", "options": [" a key.", " a hat."], "numops": 2},
        {"sentences": "She ricked.\tShe rock.", "ratio": 0.75},
        {"Domain": "d", "Context1": "It is near.", "Target1": "I see it.", "Target2": "I miss it."},
        {"prefix_acceptable": "a cat", "prefix_unacceptable": "a car", "property_phrase": "can sleep."},
    ],
    "school.jsonl": [
        {"Grado": "5", "question": "Chi?", "options": [{"scelta": "A. io"}, {"scelta": "B. tu"}], "answer": ["A"]},
    ],
    "labelled.csv": [{"Acceptability": n, "Sentence": 'il "gatto", dorme', "Simple": 1} for n in (0, 1)],
    "reading.csv": [dict.fromkeys(sorted(reading.COLUMNS), "1.5")] * 2,
}


def _set_files(draw: st.DrawFn) -> Files:
    name = draw(st.sampled_from([*SETS, "words.json"]))
    if name == "words.json":
        return {name: draw(json_file({"cat": [{"context": "I see a"}]}))}
    if name.endswith(".jsonl"):
        return {name: draw(json_lines(SETS[name]))}
    if draw(st.booleans()):
        return {name.replace(".csv", ".jsonl"): draw(json_lines(SETS[name]))}
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(SETS[name][0]), delimiter=draw(st.sampled_from(",;")))
    writer.writeheader()
    writer.writerows(SETS[name])
    return {name: draw(damaged(table.getvalue().encode()))}


def _read_set(folder: Path) -> None:
    (path,) = folder.iterdir()
    readers: dict[str, Callable[[Path], object]] = {
        "questions": load_questions,
        "school": load_school,
        "labelled": lambda path: LabelledSentences("labelled", path),
        "reading": reading.ReadingTimes,
        "words": load_words,
    }
    _all(lambda: readers[path.stem](path), lambda: path.suffix == ".json" or discover(folder, {}))


def _all(*reads: Callable[[], object]) -> None:
    """Make every call; the first refusal is raised at the end."""
    from bambino.errors import BambinoError

    refused: list[BambinoError] = []
    for read in reads:
        try:
            read()
        except BambinoError as error:
            refused.append(error)
    if refused:
        raise refused[0]


@cache
def _task() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((load_task.__globals__["_folder"]() / "cola.yaml").read_text())
    return found


def _task_files(draw: st.DrawFn) -> Files:
    """A damaged definition with good items, or the other way round."""
    if draw(st.booleans()):
        return {"task.yaml": draw(yaml_file(_task())), "cola.jsonl": b"\n".join(json.dumps(i).encode() for i in ITEMS)}
    return {"task.yaml": json.dumps(_task()).encode(), "cola.jsonl": draw(json_lines(ITEMS))}


def _read_task(folder: Path) -> None:
    task = load_task(folder / "task.yaml")
    for item in load_items(task, folder / "cola.jsonl").items:
        for template in task.templates:
            filled(task, template, item), premise_of(task, template, item), content_free(task, template, item)


# --------------------------------------------------------------------------------------------------------------- models


@cache
def model_folder() -> Path:
    """A tiny model with its tokenizer."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-model-"))
    tokenizer = make_tokenizer(vocab_size=280)
    tiny_lm("llama", len(tokenizer), seed=1, context=16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@cache
def _lm() -> Any:
    return load_lm(ModelConfig(str(model_folder())), "baby")


def _tokenizer_files(draw: st.DrawFn) -> Files:
    name = draw(st.sampled_from(["tokenizer.json", "tokenizer_config.json"]))
    content = (model_folder() / name).read_bytes()
    if draw(st.booleans()):
        return {name: draw(damaged(content))}
    tree = json.loads(content)
    if name == "tokenizer.json" and draw(st.booleans()):
        tree["model"] |= {"vocab": draw(edited(tree["model"]["vocab"]))}
        return {name: json.dumps(tree).encode()}
    return {name: draw(json_file(tree))}


def _read_tokenizer(folder: Path) -> None:
    tokenizer = load_tokenizer(ModelConfig(str(folder)), "baby", _lm())
    ids = tokenizer(LINES[0])["input_ids"]
    tokenizer.decode(ids)


def _model_files(draw: st.DrawFn) -> Files:
    name = draw(st.sampled_from(["config.json", "config.json", "generation_config.json", "model.safetensors"]))
    content = (model_folder() / name).read_bytes()
    if name == "model.safetensors":
        length = 8 + int.from_bytes(content[:8], "little")
        head = draw(damaged(content[:length]))
        return {name: head + content[length:]}
    return {name: draw(json_file(json.loads(content)))}


def _read_model(folder: Path) -> None:
    load_lm(ModelConfig(str(folder)), "baby")


# ----------------------------------------------------------------------------------------------------------------- runs


def _save_model(part: Path) -> None:
    part.mkdir()
    (part / "config.json").write_text("{}")


@cache
def checkpoint_folder() -> Path:
    """Two checkpoints of a small run."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-checkpoints-"))
    for step in (1, 2):
        tensors = {"value_head": {"weight": torch.full((2, 2), float(step))}}
        state = {"step": step, "kl_coef": 0.2, "log_offsets": {"metrics": 10}}
        checkpoint.save(folder / "checkpoints", step, _save_model, tensors, state, keep=2)
    return folder


def _checkpoint_files(draw: st.DrawFn) -> Files:
    """Some files of one or both checkpoints damaged; sometimes with a manifest that says that they are whole."""
    found: Files = {}
    is_signed = draw(st.booleans())
    for step in draw(st.sampled_from([[1], [2], [2], [1, 2]])):
        folder = checkpoint_folder() / f"checkpoints/step-{step:07d}"
        name = draw(st.sampled_from(["state.json", "manifest.json", "manifest.json", "value_head.safetensors"]))
        content = (folder / name).read_bytes()
        as_json = name.endswith(".json") and draw(st.booleans())
        found[f"{folder.relative_to(checkpoint_folder())}/{name}"] = (
            draw(json_file(json.loads(content))) if as_json else draw(damaged(content))
        )
        if is_signed and name != "manifest.json":
            manifest = json.loads((folder / "manifest.json").read_text())
            manifest[name] = hashlib.sha256(found[f"{folder.relative_to(checkpoint_folder())}/{name}"]).hexdigest()
            found[f"{folder.relative_to(checkpoint_folder())}/manifest.json"] = json.dumps(manifest).encode()
    return found


def _read_checkpoints(folder: Path) -> None:
    found = checkpoint.load_latest(folder / "checkpoints", lambda warning: None)
    assert found is not None
    written = checkpoint_folder() / "checkpoints" / found.path.name
    if (found.path / "manifest.json").read_bytes() == (written / "manifest.json").read_bytes():
        assert found.state == json.loads((written / "state.json").read_text())
        assert torch.equal(found.tensors["value_head"]["weight"], torch.full((2, 2), float(found.state["step"])))


ROWS = [
    {"kind": "evaluation", "step": 0, "eval/bits_per_byte/it": 3.2, "eval/pairs/it": 0.5},
    {"kind": "step", "step": 1, "phase": "clm", "clm/loss": 3.1, "clm/batch": 7, "total/clm_tokens": 40},
    {"kind": "evaluation", "step": 1, "eval/bits_per_byte/it": 3.0, "eval/pairs/it": None},
]
DATA = {"format": 2, "clm": [{"words": 10, "tokens": 20}], "rewards": ["parent_perplexity"]}
DREAMS = [{"text": "il gatto", "tokens": 3}]
RESULTS = {
    "model": "m",
    "tasks": {
        "pairs/it": {
            "scores": [
                {
                    "name": "pairs/it",
                    "value": 0.5,
                    "unit": "accuracy",
                    "items": 4,
                    "interval": {"low": 0.1, "high": 0.9},
                }
            ],
            "verdict": "",
        }
    },
    "left_out": {},
    "settings": {},
    "environment": {},
}


def _run_files(draw: st.DrawFn) -> Files:
    found = {
        "metrics.jsonl": json_lines(ROWS),
        "utterances.jsonl": json_lines([{"kind": "ppo", "step": 1, "prompt": "a", "utterance": "b"}]),
        "recipe.yaml": yaml_file({"seed": 1, "early_stopping": {"keep_best": True}}),
        "data.json": json_file(DATA),
        "environment.json": json_file({"packages": {"torch": "2"}}),
    }
    whole = {
        "metrics.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
        "utterances.jsonl": b"",
        "recipe.yaml": b"seed: 1\nearly_stopping: {keep_best: true}\n",
        "data.json": json.dumps(DATA).encode(),
        "environment.json": b"{}",
    }
    name = draw(st.sampled_from(list(found)))
    return whole | {name: draw(found[name])}


def _read_run(folder: Path) -> None:
    run = read_run(folder)
    _all(
        lambda: (run.steps, run.evaluations, run.steps_done, run.batches, run.totals),
        lambda: run.model_step,
        lambda: run.utterances,
        lambda: run.settings,
        lambda: run.format,
        lambda: run.environment,
        lambda: run.words_heard(1),
        lambda: run.word_account,
    )


RESULT = {
    "run": "clm-1",
    "fingerprint": "x",
    "evaluations": [{"step": 1, "eval/bits_per_byte/it": 2.5}],
    "model_step": 1,
    "costs": {"total/words_said": 3},
    "settings": {"seed": 1},
    "batches": "aa",
}
BLEND = {"share": 0.0, "scores": {"x": 1.0}, "l2_gain": 0.0, "l1_loss": 0.0}
SWEEP = {"first": "a", "last": "b", "l1": "en", "l2": "it", "measured": {}, "blends": [BLEND], "on_front": [0.0]}
EXPERIMENT = {
    "question": "q",
    "hypotheses": ["h"],
    "primary": "bits_per_byte/it",
    "settings": {"evaluation": {"eval_steps": 3, "texts": {"it": ["${it}"]}}},
    "conditions": {"clm": {"schedule.cycle": {"clm": 1}}, "paper": {}},
    "seeds": {"development": [1], "test": [2, 3]},
    "tuning": {"trials": 2, "conditions": {"clm": {"clm.learning_rate": [1e-3, 2e-3]}, "paper": "clm"}},
}


def _read_result_files(folder: Path) -> None:
    """A run's small result file, beside another's."""
    measure = "bits_per_byte/it"
    _all(
        lambda: read_results(folder),
        lambda: feedback_meter(read_measured([folder / "one.json", folder / "other.json"], measure), measure),
    )


def _files(make: Callable[[st.DrawFn], Files]) -> st.SearchStrategy[Files]:
    return st.composite(lambda draw: make(draw))()


READERS = {
    "recipe": Reader(
        st.one_of(_some_sections().flatmap(yaml_file), _bombs()).map(lambda content: {"r.yaml": content}),
        lambda folder: _read_recipe(folder / "r.yaml"),
    ),
    "shipped recipe, damaged": Reader(
        st.sampled_from(sorted(shipped().values()))
        .flatmap(lambda text: damaged(text.encode()))
        .map(lambda c: {"r.yaml": c}),
        lambda folder: _read_recipe(folder / "r.yaml"),
    ),
    "words of the command line": Reader(_files(lambda draw: {"words": _words(draw)}), _read_words),
    "text": Reader(_files(_text_files), _read_texts),
    "tables and compressed text": Reader(_files(_table_files), _read_texts),
    "pairs": Reader(_files(_pair_files), _read_pairs),
    "evaluation sets": Reader(_files(_set_files), _read_set),
    "task": Reader(_files(_task_files), _read_task),
    "texts of tests": Reader(
        json_lines([{"text": line} for line in LINES[:3]]).map(lambda c: {"t.jsonl": c}),
        _read_texts_of_tests,
    ),
    "recasts": Reader(
        json_lines([{"prompt": "il", "recast": "gatto"}]).map(lambda c: {"r.jsonl": c}),
        lambda folder: WrittenByPeople.read(str(folder / "r.jsonl"), 0.5),
    ),
    "order of acquisition": Reader(
        yaml_file(yaml.safe_load((ORDERS / "it.yaml").read_text(encoding="utf-8"))).map(lambda c: {"o.yaml": c}),
        lambda folder: load_order(folder / "o.yaml"),
    ),
    "tokenizer": Reader(_files(_tokenizer_files), _read_tokenizer, model_folder),
    "model": Reader(_files(_model_files), _read_model, model_folder),
    "checkpoints": Reader(_files(_checkpoint_files), _read_checkpoints, checkpoint_folder),
    "run": Reader(_files(_run_files), _read_run),
    "results": Reader(json_file(RESULTS).map(lambda c: {"results.json": c}), lambda folder: load_results(folder)),
    "result file": Reader(
        json_file(RESULT).map(
            lambda c: {
                "one.json": c,
                "other.json": json.dumps(RESULT | {"run": "paper-1", "fingerprint": "y"}).encode(),
            }
        ),
        _read_result_files,
    ),
    "interpolation": Reader(
        json_file(SWEEP).map(lambda c: {"interpolation.json": c}), lambda folder: load_sweep(folder)
    ),
    "experiment": Reader(
        yaml_file(EXPERIMENT).map(lambda c: {"e.yaml": c, "it.txt": b"ciao\n"}),
        lambda folder: load_experiment(folder / "e.yaml", {"it": str(folder / "it.txt")}),
    ),
    "dreams": Reader(
        json_lines(DREAMS).map(lambda c: {"dreams.jsonl": c}), lambda folder: load_dreams(folder / "dreams.jsonl")
    ),
}
"""Name -> what is read."""
