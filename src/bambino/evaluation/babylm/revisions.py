"""A model at several ages: revisions by words seen, `chck_1M`, from a folder of folders or from branches on the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bambino.errors import PlanError
from bambino.evaluation.plan import Plan
from bambino.evaluation.subject import trained_model
from bambino.models.loading import is_on_hub
from bambino.recipe.model_settings import ModelConfig
from bambino.runs.directory import holds_run

MAIN = "main"
_NAME = re.compile(r"chck_\d+M")
SMALL = tuple(f"chck_{n}M" for n in (*range(1, 10), *range(10, 101, 10)))
"""What the collator asks for in strict-small."""
LARGE = (*SMALL, *(f"chck_{n}M" for n in range(200, 1001, 100)))
"""What it asks for in other tracks."""


@dataclass(frozen=True)
class Revisions:
    """Where a model lies at each of its ages."""

    main: ModelConfig
    """As it is now; of a folder of revisions alone, its oldest."""
    earlier: dict[str, ModelConfig]
    """By words seen, fewest first."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What the collator asks for beyond these: in strict-small, and where any is older than it goes, elsewhere."""
        asked = SMALL if set(self.earlier) <= set(SMALL) else LARGE
        return tuple(name for name in asked if name not in self.earlier)


def revisions_of(model: str, plan: Plan) -> Revisions:
    """A model and, where the plan wants all, its revisions.

    Args:
        model: a folder, which may hold folders named like revisions, itself or one level below; a run directory; a hub
            name, whose branches may be.

    Raises:
        PlanError: they are wanted and there is none.
    """
    every, trust, path = plan.revisions == "all", plan.trust_remote_code, Path(model).expanduser()
    if is_on_hub(model):
        names = _sorted(_branches(model)) if every else []
        earlier = {name: ModelConfig(model, name, trust) for name in names}
        main = ModelConfig(model, trust_remote_code=trust)
    else:
        folders = {one.name: one for one in [*path.glob("chck_*M"), *path.glob("*/chck_*M")] if one.is_dir()}
        earlier = {name: ModelConfig(str(folders[name]), trust_remote_code=trust) for name in _sorted(folders)}
        is_run = holds_run(path)
        main = ModelConfig(trained_model(path) if is_run else model, trust_remote_code=trust)
        if earlier and not is_run and not (path / "config.json").exists():
            main = list(earlier.values())[-1]
    if every and not earlier:
        raise PlanError(f"revisions = all: {model} has none. They are folders or branches named chck_1M, chck_2M, ...")
    return Revisions(main, earlier if every else {})


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted((n for n in names if _NAME.fullmatch(n)), key=lambda name: int(name[len("chck_") : -1]))


def _branches(model: str) -> list[str]:
    from huggingface_hub import list_repo_refs

    try:
        return [branch.name for branch in list_repo_refs(model).branches]
    except (OSError, ValueError) as error:  # what is not there, and no network, both
        raise PlanError(f"revisions = all: {model} cannot be asked for its branches on the hub: {error}") from None
