"""What the runs are made of: recipes and where they differ, texts and models, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bambino.report.page import Folded, Listing, Part, Section, Table, Words
from bambino.report.reported import Reported, SeedRun
from bambino.report.tables import Rows

OURS = ("output_dir", "seed")
"""Settings in which runs always differ."""
BY_SEED = "differs by seed"
TEXTS = {"clm": "L2", "replay": "L1"}
"""Part of data.json -> whose text it is."""
MODELS = ("baby", "baby_tokenizer", "parent", "parent_tokenizer")
DIGITS = 12
"""Of a sha256."""


def recipes(reported: Reported) -> Section:
    """Where the conditions differ; then each whole recipe."""
    parts: list[Part] = []
    if len(reported.conditions) > 1:
        rows = differences(reported)
        parts.append(Table(rows) if len(rows) > 1 else Words("The conditions have the same settings."))
    for condition in reported.conditions:
        run = reported.of(condition)[0]
        text = (run.record.path / "recipe.yaml").read_text(encoding="utf-8", errors="replace")
        parts.append(Folded(f"The recipe of {condition}, seed {run.seed}", [Listing(text)]))
    return Section("Recipes", parts)


def differences(reported: Reported) -> Rows:
    """A row for each setting that is not the same in all conditions."""
    by_condition = {name: _settings([run.record.settings for run in reported.of(name)]) for name in reported.conditions}
    names = dict.fromkeys(name for settings in by_condition.values() for name in settings)
    rows = [["setting", *by_condition]]
    for name in names:
        cells = [settings.get(name, "") for settings in by_condition.values()]
        if len(set(cells)) > 1:
            rows.append([name, *cells])
    return rows


def _settings(recipes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The settings of a condition by their dotted names."""
    flat = [dict(_flat(recipe)) for recipe in recipes]
    names = dict.fromkeys(name for one in flat for name in one)
    found = {name: {one.get(name, "") for one in flat} for name in names if name not in OURS}
    return {name: values.pop() if len(values) == 1 else BY_SEED for name, values in found.items()}


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for key, value in settings.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, _word(value)


def _word(value: Any) -> str:
    """A setting as a word; a path by its last part, since folders differ from machine to machine."""
    if isinstance(value, str):
        return Path(value).name if "/" in value else value
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == {} else str(value)


def data(reported: Reported) -> Section:
    """Texts, models and evaluations by their sha256, and which conditions have them."""
    texts: dict[tuple[str, ...], dict[str, set[str]]] = {}
    others: dict[tuple[str, str], set[str]] = {}
    for run in reported.runs:
        for file, row in _texts(run):
            found = texts.setdefault(row, {"files": set(), "conditions": set()})
            found["files"].add(file)
            found["conditions"].add(run.condition)
        for what in _models_and_measures(run):
            others.setdefault(what, set()).add(run.condition)
    parts: list[Part] = []
    if texts:
        heading = ["text", "lines", "kept", "different", "words", "tokens", "sha256", "files", "conditions"]
        body = [[*row, _few(found["files"]), _who(reported, found["conditions"])] for row, found in texts.items()]
        parts.append(Table([heading, *body]))
    rows = [[*what, _who(reported, those)] for what, those in others.items()]
    parts.append(Folded("Models and evaluations", [Table([["what", "sha256", "conditions"], *rows])]))
    return Section("Texts and models", parts)


def _texts(run: SeedRun) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Name of the file, and what does not depend on where it lies."""
    for part, language in TEXTS.items():
        for source in run.record.data.get(part) or []:
            counts = [source.get(name) for name in ("lines", "kept", "unique", "words", "tokens")]
            numbers = ["" if count is None else f"{count:,}" for count in counts]
            yield Path(str(source.get("path", ""))).name, (language, *numbers, _short(source.get("sha256")))


def _few(names: set[str]) -> str:
    """The first of several names, and how many more there are."""
    first, *others = sorted(names)
    return f"{first} and {len(others)} more" if others else first


def _models_and_measures(run: SeedRun) -> Iterable[tuple[str, str]]:
    found = run.record.data
    yield from ((name.replace("_", "'s "), _short(found[name])) for name in MODELS if found.get(name))
    for measure, about in (found.get("evaluation") or {}).items():
        if isinstance(about, Mapping) and about.get("sha256"):
            yield measure, _short(about["sha256"])


def _short(digest: Any) -> str:
    return str(digest or "")[:DIGITS]


def _who(reported: Reported, conditions: set[str]) -> str:
    names = [name for name in reported.conditions if name in conditions]
    return "all" if len(names) == len(reported.conditions) else ", ".join(names)


def versions(reported: Reported) -> Section:
    """What computed the runs; of what was not the same for all, every value with its runs."""
    found: dict[str, Counter[str]] = {}
    for run in reported.runs:
        environment = run.record.environment
        alone = {name: value for name, value in environment.items() if name not in ("packages", "resumed")}
        for name, value in {**alone, **(environment.get("packages") or {})}.items():
            found.setdefault(name, Counter())[_plain(value)] += 1
    rows = [["", "version"], *([name.replace("_", " "), _values(those)] for name, those in found.items())]
    parts: list[Part] = [Table(rows)]
    if resumed := sum(bool(run.record.environment.get("resumed")) for run in reported.runs):
        parts.append(Words(f"{resumed} of the runs went on elsewhere than they began (environment.json).", "small"))
    return Section("Versions", parts)


def _values(those: Counter[str]) -> str:
    if len(those) == 1:
        return next(iter(those))
    return "; ".join(f"{value} ({count} run{'s' * (count > 1)})" for value, count in those.items())


def _plain(value: Any) -> str:
    return ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, Mapping) else str(value)
