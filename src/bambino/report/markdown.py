"""Main scores of several evaluations as one markdown table, and small copies of them for results/.

    python -m bambino.report.markdown [--keep results/NAME] FOLDER...

FOLDER is what `bambino evaluate` wrote; its name heads its column. Scores are given with 95 % intervals over items.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bambino.analysis.results import Results, load_results
from bambino.files import finite, write_atomically
from bambino.measures import Score
from bambino.printable import in_markdown
from bambino.report.documents import markdown_table
from bambino.report.tables import Rows

BESIDE = ("speech/", "forgetting/", "overt_subjects/")
"""Tasks of which every score of the baby is shown, not the main one alone."""


def rows(found: dict[str, Results]) -> Rows:
    """A row per score that any of the models has."""
    by_model = {name: shown(results) for name, results in found.items()}
    scores = dict.fromkeys(score for those in by_model.values() for score in those)
    table = [["score", "chance", *found]]
    for score in scores:
        cells = [by_model[name].get(score) for name in found]
        chance = next((cell.chance for cell in cells if cell is not None and cell.chance is not None), None)
        table.append([score, "" if chance is None else f"{chance:.2f}", *map(one_cell, cells)])
    return table


def shown(results: Results) -> dict[str, Score]:
    """The main score of each task; of BESIDE all that the baby has, but for what only repeats the untrained baby."""
    kept = {task.main.name: task.main for task in results.tasks.values()}
    for task in results.tasks.values():
        for score in task.scores:
            is_of_baby = score.name.endswith("/baby") or score.name.startswith("forgetting/")
            if score.name.startswith(BESIDE) and is_of_baby:
                kept[score.name] = score
    return kept


def one_cell(score: Score | None) -> str:
    """A score with its interval; nothing where there is none."""
    if score is None:
        return ""
    interval = "" if score.interval is None else f" [{score.interval.low:.3f}, {score.interval.high:.3f}]"
    return f"{score.value:.3f}{interval}"


def kept(results: Results) -> dict[str, Any]:
    """What goes to results/: every score that has an interval, verdicts, environment; no paths."""
    tasks = {
        name: {
            "verdict": task.verdict,
            "scores": [asdict(score) for score in task.scores if score.interval is not None],
        }
        for name, task in results.tasks.items()
    }
    return {"tasks": tasks, "left_out": list(results.left_out), "environment": results.environment}


def main() -> None:
    """The command line: tables of evaluations, and small copies to commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--keep", type=Path, help="write small copies here, named like the folders")
    arguments = parser.parse_args()
    found = {folder.name: load_results(folder) for folder in arguments.folders}
    print(markdown_table(rows(found)))
    for name, results in found.items():
        verdicts = "; ".join(f"{task}: {one.verdict}" for task, one in results.tasks.items() if one.verdict)
        print(f"\n{in_markdown(name)}: {in_markdown(verdicts)}")
        if arguments.keep is not None:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            content = json.dumps(finite(kept(results)), ensure_ascii=False, separators=(",", ":"))
            write_atomically(arguments.keep / f"{name}.json", content + "\n")


if __name__ == "__main__":
    main()
