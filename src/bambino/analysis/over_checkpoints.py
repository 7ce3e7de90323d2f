"""One run's results at several ages side by side: a curve for every score.

FOLDER/curves.json   steps, L2 words heard, and score name -> a value per step (null where it was not measured)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from bambino.analysis.results import Results
from bambino.files import finite, write_atomically


def save_curves(results: Mapping[int, Results], words_heard: Callable[[int], float], folder: Path) -> Path:
    """Write curves.json.

    Args:
        results: steps done -> what was found then, by rising steps.
        words_heard: L2 words by number of steps.
    """
    found = {
        step: {s.name: s.value for task in those.tasks.values() for s in task.scores} for step, those in results.items()
    }
    names = dict.fromkeys(name for scores in found.values() for name in scores)
    content = {
        "steps": list(results),
        "words": [words_heard(step) for step in results],
        "scores": {name: [scores.get(name, math.nan) for scores in found.values()] for name in names},
    }
    path = folder / "curves.json"
    write_atomically(path, json.dumps(finite(content), ensure_ascii=False, indent=1) + "\n")
    return path
