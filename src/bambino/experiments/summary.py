"""Small result files from run directories: what is committed under results/ so that experiments can go on from them.

    python -m bambino.experiments.summary --out results/NAME RUN_DIRECTORY...

Per run: the settings that differ from the defaults (paths cut to their last part), versions, every evaluation row
(without parts: single paradigms of minimal pairs, ...) and the L2 words heard until then, a byte for each clm batch
(`clm/batch`), means of the clm and ppo metrics (ppo also over the last tenth of its steps), costs, the word account,
and utterances at three ages.
`fingerprint` stands for all settings, so that a file counts only for a run of the very same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from bambino import Recipe
from bambino.feedback.settings import KINDS
from bambino.files import finite
from bambino.recipe.checks import required
from bambino.runs.names import is_part
from bambino.runs.provenance import FREE_ON_RESUME
from bambino.runs.record import RunRecord, read_run

MADE_OF = ("baby", "baby_tokenizer", "parent", "parent_tokenizer")
"""Parts of data.json that are sha256 of models."""


def different(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The settings that are not the defaults, sections inside; a setting that is a mapping is kept whole."""
    result = {}
    for key, value in settings.items():
        if isinstance(value, dict) and isinstance(defaults.get(key), dict) and defaults[key]:
            inner = {name: without_folders(one) for name, one in value.items() if one != defaults[key].get(name)}
            if inner:
                result[key] = inner
        elif value != defaults.get(key):
            result[key] = without_folders(value)
    return result


def without_folders(value: Any) -> Any:
    """A setting with every path cut to its last part."""
    if isinstance(value, str):
        return Path(value).name if "/" in value else value
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return {key: without_folders(item) for key, item in value.items()} if isinstance(value, dict) else value


def fingerprint(settings: dict[str, Any]) -> str:
    """The sha256 of all settings of a run that may change its results: two runs that share it are one.

    Paths count by their last part, so that it is the same on every machine; defaults do not count, so that a setting
    that comes later leaves it as it is. Before the text is read, and after, it is the same (`passes`).
    """
    settings = {key: value for key, value in settings.items() if key not in FREE_ON_RESUME}
    if settings.get("passes") is not None:
        settings.pop("max_steps")
    feedback = settings.pop("feedback", None) or {"parent_perplexity": {}}
    counted = different(settings, Recipe().to_dict())
    counted["feedback"] = {kind: without_folders(_not_default(kind, given)) for kind, given in feedback.items()}
    flat = {
        f"{section}.{name}": value
        for section, those in counted.items()
        for name, value in (those.items() if isinstance(those, dict) else [("", those)])
        if f"{section}.{name}" not in FREE_ON_RESUME
    }
    return hashlib.sha256(json.dumps(sorted(flat.items()), ensure_ascii=False).encode()).hexdigest()


def _not_default(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """A kind of feedback's settings that are not the defaults; of a kind of the user's own, all."""
    known = KINDS.get(kind)
    defaults = {} if known is None or required(known) else known().to_dict()
    return {name: value for name, value in given.items() if name not in defaults or value != defaults[name]}


def means(rows: list[dict[str, Any]], prefix: str) -> dict[str, dict[str, float]]:
    """Mean and extremes of each metric over the rows that have it."""
    names = sorted({key for row in rows for key in row if key.startswith(prefix)})
    columns = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    return {name: {"mean": fmean(v), "min": min(v), "max": max(v)} for name, v in columns.items() if v}


def summarize(run: RunRecord) -> dict[str, Any]:
    """What is kept of a run."""
    steps = run.steps
    evaluations = [{key: value for key, value in row.items() if not is_part(key)} for row in run.evaluations]
    ppo = [row for row in steps if row["phase"] == "ppo"]
    late = ppo[-max(1, len(ppo) // 10) :]
    hearing = [row for row in steps if row["phase"] == "clm"]
    ages = sorted({row["step"] for row in evaluations})
    ages = sorted({ages[0], ages[len(ages) // 2], ages[-1]}) if ages else []
    said = [row for row in run.utterances if row["kind"] == "evaluation"]
    return {
        "run": run.path.name,
        "fingerprint": fingerprint(run.settings),
        "made_of": {part: run.data.get(part) for part in MADE_OF},
        "settings": different(run.settings, Recipe().to_dict()),
        "environment": run.environment,
        "model_step": run.model_step,
        "evaluations": evaluations,
        "words_heard": finite([run.words_heard(row["step"]) for row in evaluations]),
        "batches": run.batches,
        "clm_means": means([{k: v for k, v in row.items() if k != "clm/batch"} for row in hearing], "clm/"),
        "ppo_means": means(ppo, "ppo/"),
        "late_ppo_means": means(late, "ppo/"),
        "costs": {f"total/{name}": value for name, value in run.totals.items()},
        "words": run.word_account,
        "utterances": {str(age): [row for row in said if row["step"] == age][:10] for age in ages},
    }


def main() -> None:
    """The command line: a file per run directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for run in arguments.runs:
        text = json.dumps(summarize(read_run(run)), indent=1, ensure_ascii=False)
        (arguments.out / f"{run.name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
