"""Evaluation inside training: the same held-out text, pairs, prompts and random numbers at every evaluation.

So the forgetting curve exists from step 0, and two evaluations differ only by the baby.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from transformers import PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.evaluation.minimal_pairs import pair_scores
from bambino.evaluation.pair_files import Pair, load_pair_set
from bambino.evaluation.speech.generation import distinct_n, longest_repeat
from bambino.evaluation.zero_shot.classification import balanced_accuracy
from bambino.evaluation.zero_shot.task_data import TaskData, load_items
from bambino.evaluation.zero_shot.task_definitions import Task, load_task
from bambino.feedback.parent_perplexity import ParentPerplexity
from bambino.models.baby import Baby
from bambino.randomness import uniforms
from bambino.recipe.settings import Recipe
from bambino.scoring.texts import bits_per_byte
from bambino.speaking.rollout import sample
from bambino.speaking.utterances import Utterances, to_text, without_cut_character
from bambino.text.batches import TokenBatch, pad
from bambino.text.heldout import heldout_of, spread
from bambino.text.lines import as_line, find_files, load_heldout, source_sha256
from bambino.text.tokens import encode


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation measured."""

    metrics: dict[str, float]
    utterances: Utterances | None
    perplexities: list[float]
    """The parent's, one per utterance."""


class Evaluator:
    """Loads everything once, so that bad input is refused before the first step.

    Prompts, which nobody asked for by name, are loaded at the first evaluation where no step is to be evaluated.
    """

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: PreTrainedTokenizerBase,
        feedback: ParentPerplexity | None,
        dataset: list[str] | None = None,
    ) -> None:
        """`dataset`: texts in memory that replace text.sources; prompts come from its held-out ones."""
        config, text = recipe.evaluation, recipe.text
        self.recipe, self.tokenizer, self.feedback = recipe, tokenizer, feedback
        self.texts = {
            name: load_heldout(
                sources,
                heldout_every=text.heldout_every,
                split=config.split,
                max_lines=config.max_lines,
                jsonl_field=text.jsonl_field,
            )
            for name, sources in config.texts.items()
        }
        pair_sets = {name: load_pair_set(source) for name, source in config.pairs.items()}
        self.pairs: dict[str, list[Pair]] = {
            name: spread(found.pairs, config.max_pairs) for name, found in pair_sets.items()
        }
        self.tasks: dict[str, tuple[Task, TaskData]] = {}
        for name in config.tasks:
            task = load_task(name)
            self.tasks[task.name] = (task, load_items(task, config.data, config.max_items))
        self.manifest = {
            "texts": {name: [source_sha256(source) for source in sources] for name, sources in config.texts.items()},
            "pairs": {name: found.sha256 for name, found in pair_sets.items()},
            "tasks": {name: data.sha256 for name, (_, data) in self.tasks.items()},
        }
        """What is measured on, for data.json."""
        self.dataset = dataset
        self.prompts: list[list[int]] | None = None
        """None: not loaded yet."""
        self.human_log_perplexity: float | None = None
        if config.eval_steps is not None:
            self._load_prompts()

    def evaluate(self, baby: Baby) -> Evaluation:
        """Measure the baby. Draws no global randomness, leaves the baby's mode as it was."""
        metrics: dict[str, float] = {}
        for name, lines in self.texts.items():
            metrics[f"eval/bits_per_byte/{name}"] = bits_per_byte(baby.lm, self.tokenizer, lines)
        for name, pairs in self.pairs.items():
            metrics |= _pair_metrics(name, pairs, pair_scores(baby.lm, self.tokenizer, pairs))
        for name, (task, data) in self.tasks.items():
            metrics[f"eval/tasks/{name}"] = balanced_accuracy(baby.lm, self.tokenizer, task, data.items)
        if self.prompts is None:
            self._load_prompts()
        if not self.prompts:
            return Evaluation(metrics, None, [])
        utterances = self._listen(baby, self.prompts)
        said = utterances.completions
        metrics["eval/utterances/distinct_1"] = distinct_n(said, 1)
        metrics["eval/utterances/distinct_2"] = distinct_n(said, 2)
        metrics["eval/utterances/longest_repeat"] = fmean(longest_repeat(text) for text in said)
        metrics["eval/utterances/words"] = fmean(len(text.split()) for text in said)
        metrics["eval/utterances/silent"] = fmean(not text.strip() for text in said)
        metrics["eval/utterances/ended"] = fmean(utterances.has_ended)
        perplexities: list[float] = []
        if self.feedback is not None and self.human_log_perplexity is not None:
            perplexities = self.feedback.perplexities(utterances.prompts, utterances.texts, utterances.has_ended)
            metrics["eval/utterances/parent_log_perplexity"] = mean_log(perplexities)
            metrics["eval/human/parent_log_perplexity"] = self.human_log_perplexity
        return Evaluation(metrics, utterances, perplexities)

    def trained_on(self) -> list[str]:
        """What is measured on lines that are also trained on: names of texts, and the prompts."""
        text = self.recipe.text
        if text.heldout_every is not None:
            return []
        heard = _paths([*text.sources, *(text.prompt_sources or [])])
        names = [name for name, sources in self.recipe.evaluation.texts.items() if heard & _paths(sources)]
        return names + (["the prompts of utterances"] if self.prompts else [])

    def _heldout_lines(self) -> list[str]:
        """Held-out L2 lines that prompts may be cut from."""
        config, text = self.recipe.evaluation, self.recipe.text
        if self.dataset is not None and text.prompt_sources is None:
            return heldout_of(map(as_line, self.dataset), text.heldout_every, config.split)
        return load_heldout(
            text.prompt_sources or text.sources,
            heldout_every=text.heldout_every,
            split=config.split,
            max_lines=1 << 30,
            jsonl_field=text.jsonl_field,
        )

    def _load_prompts(self) -> None:
        """Prompts, and the human continuations of the same length that the parent's opinion is compared with."""
        config, text, rollout = self.recipe.evaluation, self.recipe.text, self.recipe.rollout
        if config.utterances == 0 or not (text.sources or self.dataset is not None):
            self.prompts = []
            return
        lines = spread([line for line in self._heldout_lines() if len(line) >= text.min_chars], config.utterances)
        rows = encode(self.tokenizer, lines, with_start=text.prepend_bos)
        if not rows:
            raise TextError(f"No held-out line has {text.min_chars} characters, so there is no prompt to evaluate on.")
        self.prompts = [row[: rollout.prompt_tokens] for row in rows]
        if self.feedback is not None:
            ends = [row[: rollout.prompt_tokens + rollout.max_new_tokens] for row in rows]
            human = [self._decode(row) for row in ends]
            prompts = [self._decode(prompt) for prompt in self.prompts]
            has_ended = [len(end) == len(row) for end, row in zip(ends, rows, strict=True)]
            self.human_log_perplexity = mean_log(self.feedback.perplexities(prompts, human, has_ended))

    def _decode(self, row: list[int]) -> str:
        text = self.tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return without_cut_character(text)

    def _listen(self, baby: Baby, prompts: list[list[int]]) -> Utterances:
        config = self.recipe.rollout
        random = uniforms(len(prompts), config.max_new_tokens, seed=self.recipe.seed, stream="evaluation", step=0)
        parts = []
        for first in range(0, len(prompts), self.recipe.batch_size):
            rows = slice(first, first + self.recipe.batch_size)
            batch: TokenBatch = pad(prompts[rows], 0, "left").to(baby.lm.device)
            rollout = sample(baby, batch, random[rows], config, self.tokenizer.eos_token_id)
            parts.append(to_text(rollout, self.tokenizer))
        return Utterances(
            [p for part in parts for p in part.prompts],
            [c for part in parts for c in part.completions],
            [t for part in parts for t in part.texts],
            [e for part in parts for e in part.has_ended],
        )


def _paths(sources: list[str]) -> set[Path]:
    return {path.resolve() for source in sources for path in find_files(source)}


def _pair_metrics(name: str, pairs: list[Pair], points: list[float]) -> dict[str, float]:
    """Accuracy over all pairs, and by paradigm where the file holds several."""
    by_paradigm: dict[str, list[float]] = {}
    for pair, point in zip(pairs, points, strict=True):
        by_paradigm.setdefault(pair.uid, []).append(point)
    metrics = {f"eval/pairs/{name}": fmean(points)}
    if len(by_paradigm) > 1:
        metrics |= {f"eval/pairs/{name}/{uid}": fmean(those) for uid, those in by_paradigm.items()}
    return metrics


def mean_log(perplexities: list[float]) -> float:
    """Mean log-perplexity in nats, over the finite ones."""
    finite = [math.log(p) for p in perplexities if math.isfinite(p)]
    return fmean(finite) if finite else math.nan
