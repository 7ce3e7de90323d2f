"""Evaluation inside training: the same held-out text, pairs, prompts and random numbers at every evaluation.

So the forgetting curve exists from step 0, and two evaluations differ only by the baby.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bambino.errors import TaskError, TextError
from bambino.evaluation.fluency import BitsPerByte
from bambino.evaluation.minimal_pairs import MinimalPairs
from bambino.evaluation.pair_files import load_pair_set
from bambino.evaluation.speech.continuations import SpeechSettings
from bambino.evaluation.speech.speech import Speech
from bambino.evaluation.zero_shot.classification import Classification
from bambino.evaluation.zero_shot.task_definitions import load_task
from bambino.measures import Measure, check_names
from bambino.recipe.settings import Recipe
from bambino.speaking.speaker import Speaker, open_speaker
from bambino.text.datasets import texts_of
from bambino.text.heldout import spread
from bambino.text.lines import SourceReport, heldout_in, load_heldout
from bambino.text.sources import find_files

Parent = Speaker | Callable[[], Speaker | None] | None
"""The parent, what gives it when it is first needed, or none."""


def measures_of(args: Recipe, *, parent: Parent = None, dataset: Iterable[Any] | None = None) -> list[Measure]:
    """What a recipe's `evaluation` asks for, ready to be handed to the trainer.

    Everything is loaded once, here, so that bad input is refused before the first step. Prompts, which nobody asked
    for by name, are loaded at the first evaluation where no step is to be evaluated.

    Args:
        parent: or what gives it; None: `parent.model` is opened when the baby first speaks.
        dataset: texts in memory that replace text.sources; prompts come from its held-out ones.

    Raises:
        TextError, TaskError: something that is to be measured on cannot be used. EvaluationError: two of one name.
    """
    measures: list[Measure] = [*_texts(args), *_pairs(args), *_tasks(args)]
    check_names(measures)
    texts = texts_of(dataset, args.text.jsonl_field)
    if args.evaluation.utterances and (args.text.sources or texts is not None):
        measures.append(_speech(args, parent, texts))
    return measures


def _texts(args: Recipe) -> list[BitsPerByte]:
    config, text = args.evaluation, args.text
    wanted = [(name, name, config.split) for name in config.texts]
    wanted += [
        (f"{name}/dev", name, "dev") for name in config.texts if args.stopping_metric == f"bits_per_byte/{name}/dev"
    ]
    found = []
    for measure, name, split in wanted:
        sources = config.texts[name]
        report = SourceReport(path="")
        lines = load_heldout(
            sources,
            heldout_every=text.heldout_every,
            split=split,
            max_lines=config.max_lines,
            jsonl_field=text.jsonl_field,
            normalization=text.normalization,
            line_breaks=text.line_breaks,
            streaming=text.streaming,
            report=report,
            cache=text.cache,
        )
        about: dict[str, Any] = {"split": split}
        if report.reading.normalized:
            about["normalized"] = report.reading.normalized
        if text.heldout_every is None and _heard(args) & _paths(sources):
            about["trained_on"] = True
        found.append(BitsPerByte(measure, lines, about))
    return found


def _pairs(args: Recipe) -> list[MinimalPairs]:
    config = args.evaluation
    return [MinimalPairs(name, load_pair_set(source).spread(config.max_pairs)) for name, source in config.pairs.items()]


def _tasks(args: Recipe) -> list[Classification]:
    config = args.evaluation
    try:
        tasks = [load_task(name) for name in config.tasks]
    except TaskError as error:
        raise TaskError(f"evaluation.tasks: {error}") from None
    return [Classification(task, config.data, max_items=config.max_items, brief=True) for task in tasks]


def _speech(args: Recipe, parent: Parent, dataset: list[str | None] | None) -> Speech:
    config, rollout = args.evaluation, args.rollout.largest

    def lines() -> list[str]:
        way_out = "Without prompts nothing is said: evaluation.utterances: 0."
        if dataset is None:
            for source in args.text.prompt_sources or args.text.sources:
                find_files(source)  # where there is none, that is all that is wrong
        try:
            found = [line for line in _heldout_lines(args, dataset) if len(line) >= args.text.min_chars]
        except TextError as error:
            raise TextError(f"{error} {way_out}") from None
        if not found:
            problem = f"No held-out line has {args.text.min_chars} characters, so there is no prompt to evaluate on."
            more = f"Give more text, or a smaller text.heldout_every than {args.text.heldout_every} (null: all lines)."
            raise TextError(f"{problem} {more} {way_out}")
        return spread(found, config.utterances)

    def answering() -> Speaker | None:
        given = parent() if callable(parent) else parent
        return given if given is not None or args.parent.model is None else open_speaker(args.parent, "parent")

    settings = SpeechSettings(
        prompts=config.utterances,
        short_lines=True,
        with_start=args.text.prepend_bos,
        prompt_tokens=rollout.prompt_tokens,
        utterance_tokens=rollout.max_new_tokens,
        temperature=rollout.temperature,
        top_k=rollout.top_k,
        top_p=rollout.top_p,
        scopes=(config.scope,),
        until=config.until,
        batch_size=args.batch_size,
        seed=args.seed,
        stream="evaluation",
    )
    return Speech(
        lines if config.eval_steps is None else lines(),
        parent=answering,
        settings=settings,
        brief=True,
        trained_on=args.text.heldout_every is None,
    )


def _heldout_lines(args: Recipe, dataset: list[str | None] | None) -> list[str]:
    """Held-out L2 lines that prompts may be cut from."""
    config, text = args.evaluation, args.text
    if dataset is not None and text.prompt_sources is None:
        return heldout_in(dataset, text.heldout_every, config.split, text.normalization, text.line_breaks)
    return load_heldout(
        text.prompt_sources or text.sources,
        heldout_every=text.heldout_every,
        split=config.split,
        max_lines=1 << 30,
        jsonl_field=text.jsonl_field,
        normalization=text.normalization,
        line_breaks=text.line_breaks,
        streaming=text.streaming,
        cache=text.cache,
    )


def _heard(args: Recipe) -> set[Path]:
    """Files that the baby hears or is prompted from."""
    return _paths([*args.text.sources, *(args.text.prompt_sources or [])])


def _paths(sources: list[str]) -> set[Path]:
    return {path.resolve() for source in sources for path in find_files(source) or [Path(source)]}
