"""Small result files from run directories: what is committed under results/ so that experiments can go on from them.

    python -m bambino.experiments.summary --out results/NAME RUN_DIRECTORY...

Per run: the settings that differ from the defaults (paths cut to their last part), versions, every evaluation row
(without parts: single paradigms of minimal pairs, ...),
means of the clm and ppo metrics (ppo also over the last tenth of its steps), costs, the word account, and utterances at
three ages.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from bambino import Recipe
from bambino.runs.names import is_part
from bambino.runs.record import RunRecord, read_run


def different(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The settings that are not the defaults, sections inside."""
    result = {}
    for key, value in settings.items():
        if isinstance(value, dict) and isinstance(defaults.get(key), dict) and defaults[key]:
            inner = different(value, defaults[key])
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
        "settings": different(run.settings, Recipe().to_dict()),
        "environment": run.environment,
        "evaluations": evaluations,
        "clm_means": means(hearing, "clm/"),
        "ppo_means": means(ppo, "ppo/"),
        "late_ppo_means": means(late, "ppo/"),
        "costs": {key: value for key, value in steps[-1].items() if key.startswith("total/")},
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
