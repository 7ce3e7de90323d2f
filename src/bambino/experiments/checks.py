"""What can be seen of an experiment before it runs: every recipe can begin, and measures what it is about."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bambino.errors import TaskError
from bambino.evaluation.zero_shot.task_definitions import load_task
from bambino.experiments.design import Experiment, ExperimentRun
from bambino.feedback.settings import ParentPerplexityConfig
from bambino.recipe.settings import Recipe
from bambino.text.sources import find_files


def check(experiment: Experiment) -> None:
    """Look at the recipe of every run, and whether its texts are there.

    Raises:
        ExperimentError: naming the condition, what is wrong and the way out.
        TextError: a text that is not there.
    """
    untuned = experiment.test_runs(dict.fromkeys(experiment.conditions, ()))
    sources: set[str] = set()
    known: dict[str, ExperimentRun] = {}
    for run in [*experiment.trial_runs(), *untuned]:
        like = known.setdefault(run.fingerprint, run)
        if _paths_of(run.recipe) != _paths_of(like.recipe):
            problem = (
                f"{run.name} and {like.name} differ in the folders of their models or texts alone, and would count"
            )
            raise experiment.wrong(f"conditions.{run.condition}", f"{problem} as one. Give these other names.")
        where, recipe = f"conditions.{run.condition}", run.recipe
        if problem := _missing(recipe):
            raise experiment.wrong(where, problem)
        if recipe.evaluation.eval_steps is None:
            raise experiment.wrong(
                where, "evaluation.eval_steps is null, so nothing is measured. Give a number of steps."
            )
        for task in recipe.evaluation.tasks:
            try:
                load_task(task)
            except TaskError as error:
                raise experiment.wrong(where, f"evaluation.tasks: {error}") from None
        compared = [experiment.primary, experiment.tuning_metric, *experiment.secondary, *(experiment.languages or ())]
        for metric in compared:
            if problem := _unmeasured(metric, recipe):
                raise experiment.wrong(where, problem)
        replayed = recipe.replay.sources if recipe.replay.share or recipe.replay.last_share else []
        sources.update(recipe.text.sources, recipe.text.prompt_sources or [], replayed)
        sources.update(source for those in recipe.evaluation.texts.values() for source in those)
    for source in sorted(sources):
        find_files(source)


def _paths_of(recipe: Recipe) -> list[Any]:
    """What a recipe opens; of a path the fingerprint knows the last part only."""
    models = [recipe.baby.model, recipe.parent.model]
    texts = [recipe.text.sources, recipe.text.prompt_sources, recipe.replay.sources]
    return [*models, *texts, recipe.evaluation.texts, recipe.evaluation.pairs, recipe.evaluation.data]


def _missing(recipe: Recipe) -> str:
    """What a run of the recipe could not begin without; empty where nothing is missing."""
    kinds = recipe.feedback or {"parent_perplexity": ParentPerplexityConfig()}
    needs_parent = any(kind.needs_parent and kind.for_ in recipe.schedule.phases for kind in kinds.values())
    replays = bool(recipe.replay.share or recipe.replay.last_share)
    needed = {
        "--baby.model PATH": recipe.baby.model,
        "--parent.model PATH": recipe.parent.model or not needs_parent,
        "--text.sources '[TEXT]'": recipe.text.sources,
        "--replay.sources '[TEXT]'": recipe.replay.sources or not replays,
    }
    option = next((option for option, value in needed.items() if not value), None)
    return f"{option.split()[0][2:]} is not given. Write it in the recipe, or give {option}." if option else ""


def _unmeasured(metric: str, recipe: Recipe) -> str:
    """Why a recipe gives no number of that name; empty where it does, or nobody can tell."""
    group, _, name = metric.partition("/")
    measured: dict[str, Collection[str]] = {
        "bits_per_byte": recipe.evaluation.texts,
        "pairs": recipe.evaluation.pairs,
        "tasks": recipe.evaluation.tasks,
    }
    if group not in measured or name.split("/")[0] in measured[group]:
        return ""
    setting = "texts" if group == "bits_per_byte" else group
    there = ", ".join(measured[group]) or "none"
    return f"{metric} is not measured: evaluation.{setting} names {there}."
