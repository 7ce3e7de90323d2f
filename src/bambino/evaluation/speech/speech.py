"""What the baby says after human prompts, beside what the human wrote and what the parent would have said.

All continuations are at most as long as `utterance_tokens` baby tokens, so that lengths compare. The prompts are the
first baby tokens of held-out L2 lines: babies with other tokenizers get other prompts; do not compare their numbers.

**Exploitation.** For each prompt, the parent's mean log-perplexity per parent token of the baby's utterance less that
of the human continuation. The perplexity ratio is exp of the mean difference: a ratio of geometric means. Below 1, the
baby says what the parent likes better than human language: it has learned the parent's weaknesses.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from bambino.evaluation.model_description import describe_model
from bambino.evaluation.speech.continuations import (
    Scope,
    SpeechSettings,
    check_room,
    continuations,
    cut_line,
    parent_says,
    prompt_rows,
)
from bambino.evaluation.speech.generation import Said, variety
from bambino.evaluation.speech.opinion import GAP, Opinion, log_perplexity, opinion, perplexities_of
from bambino.evaluation.speech.vocabulary import novel_words, spelling, vocabulary
from bambino.measures import Score, TaskResult
from bambino.speaking.speaker import Speaker
from bambino.text.language_id import LanguageIdentifier


@dataclass(frozen=True)
class Example:
    """One prompt and its continuations, for a reader."""

    prompt: str
    baby: str
    human: str
    parent: str
    """The first of the parent's samples; empty without a parent."""
    has_ended: bool
    baby_perplexity: float | None
    """The parent's, of the baby's continuation given the prompt; infinite for silence."""
    human_perplexity: float | None
    words: list[tuple[str, str]]
    """The baby's words and what each looks like: L1, L2 or unsure; empty without corpora."""


@dataclass(frozen=True)
class Spoken:
    """Scores, and what they were computed from."""

    result: TaskResult
    examples: list[Example]
    novel: list[str]
    """The baby's words that neither corpus holds."""
    said: dict[str, list[Said]]
    """baby, human and, where there is one, parent -> their continuations, prompt by prompt."""


class Speech:
    """Lets the baby speak and measures it. Scores are named speech/WHAT/WHO.

    Perplexities, their ratio and overlaps need the parent; shares of words need `languages`, trained on both corpora
    without these lines.
    """

    name = "speech"

    def __init__(
        self,
        lines: Sequence[str] | Callable[[], Sequence[str]],
        *,
        parent: Speaker | Callable[[], Speaker | None] | None = None,
        languages: LanguageIdentifier | None = None,
        settings: SpeechSettings | None = None,
        brief: bool = False,
        trained_on: bool = False,
    ) -> None:
        """
        Args:
            lines: held-out L2 text, or what gives it when it is first needed.
            parent: or what opens it when it is first needed.
            brief: only how varied the baby's utterances are and how likely the parent finds them and human ones: what
                training follows.
            trained_on: whether the baby is trained on these lines.
        """
        self._lines, self._parent = lines, parent
        self.languages, self.settings, self.brief = languages, settings or SpeechSettings(), brief
        self.depends_on: dict[str, Any] = _described(self.settings)
        if not callable(lines):
            self.depends_on["sha256"] = hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()
        if trained_on:
            self.depends_on["trained_on"] = True
        self._human: tuple[PreTrainedTokenizerBase, _Human] | None = None

    @cached_property
    def lines(self) -> list[str]:
        """Held-out L2 text that prompts are cut from."""
        return list(self._lines() if callable(self._lines) else self._lines)

    @cached_property
    def parent(self) -> Speaker | None:
        """Whose opinion is asked for."""
        return self._parent() if callable(self._parent) else self._parent

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now.

        Raises:
            TextError: no line is longer than a prompt.
            ValueError: prompt and utterance are longer than the baby's context.
        """
        return self._result_in_brief(baby) if self.brief else self.spoken(baby).result

    def spoken(self, baby: Speaker) -> Spoken:
        """The result with what was said. Raises: as `__call__`."""
        check_room(baby.lm, self.settings)
        human = self._human_of(baby.tokenizer)
        said, settings, languages = self._say(baby, human), self.settings, self.languages
        found = Opinion.none()
        if self.parent is not None:
            samples = parent_says(baby, self.parent, human.said, settings)
            found = opinion(self.parent, said, human.said, human.perplexities, samples, settings)
        scores = [*found.scores, *variety(said, "baby"), *variety(human.said, "human")]
        novel: list[str] = []
        if languages is not None:
            whole = [Said("", line, True) for line in self.lines]
            scores += [*vocabulary(said, "baby", languages), *vocabulary(human.said, "human", languages)]
            scores += spelling(said, "baby", whole, languages)
            novel = novel_words([word for one in said for word in one.words], languages)
        items = {
            "speech/words/baby": [float(len(one.completion.split())) for one in said],
            "speech/ended/baby": [float(one.has_ended) for one in said],
        }
        if found.gaps:
            items[GAP] = found.gaps
        result = TaskResult("speech", scores, self._details(baby, human.said), found.verdict, items)
        spoken = {"baby": said, "human": human.said} | ({"parent": found.parent} if found.parent else {})
        return Spoken(result, _examples(said, human.said, found, languages), novel, spoken)

    def _result_in_brief(self, baby: Speaker) -> TaskResult:
        human = self._human_of(baby.tokenizer)
        said = self._say(baby, human)
        scores: list[Score] = []
        rows: list[dict[str, Any]] = [{"prompt": one.prompt, "utterance": one.completion} for one in said]
        if self.parent is not None:
            for scope, of_human in human.perplexities.items():
                found = perplexities_of(self.parent, said, scope, self.settings, with_words=True)
                scores += [log_perplexity("baby", scope, found.values), log_perplexity("human", scope, of_human)]
                rows = [row | found.row(i) for i, row in enumerate(rows)]
        return TaskResult("speech", [*scores, *variety(said, "baby")], self.depends_on, said=rows)

    def _say(self, baby: Speaker, human: _Human) -> list[Said]:
        return continuations(baby, human.prompts, self.settings, self.settings.stream)

    def _human_of(self, tokenizer: PreTrainedTokenizerBase) -> _Human:
        """Prompts and what humans wrote after them, in the baby's tokens; computed once for each tokenizer in use."""
        if self._human is None or self._human[0] is not tokenizer:
            rows = prompt_rows(tokenizer, self.lines, self.settings)
            said = [cut_line(tokenizer, row, self.settings) for row in rows]
            found = {}
            if self.parent is not None:
                found = {s: perplexities_of(self.parent, said, s, self.settings).values for s in self.settings.scopes}
            self._human = tokenizer, _Human([row[: self.settings.prompt_tokens] for row in rows], said, found)
        return self._human[1]

    def _details(self, baby: Speaker, human: list[Said]) -> dict[str, Any]:
        """What the scores depend on."""
        details = _described(self.settings)
        if self.languages is not None:
            details["language_id"] = dataclasses.asdict(self.languages.settings)
            words = (self.languages.l1_words.total(), self.languages.l2_words.total())
            details["corpus_words"] = dict(zip(("L1", "L2"), words, strict=True))
        said = "\n".join(one.text for one in human).encode("utf-8")
        return details | describe_model(baby) | {"sha256": hashlib.sha256(said).hexdigest()}


@dataclass(frozen=True)
class _Human:
    """What humans wrote, by one tokenizer."""

    prompts: list[list[int]]
    said: list[Said]
    perplexities: dict[Scope, list[float]]
    """Scope -> the parent's perplexity of each continuation."""


def _described(settings: SpeechSettings) -> dict[str, Any]:
    return dataclasses.asdict(settings) | {"scopes": list(settings.scopes)}


def _examples(
    said: list[Said], human: list[Said], found: Opinion, languages: LanguageIdentifier | None
) -> list[Example]:
    examples = []
    for i, one in enumerate(said):
        words = [] if languages is None else [(word, str(languages.language(word))) for word in one.words]
        examples.append(
            Example(
                prompt=one.prompt,
                baby=one.completion,
                human=human[i].completion,
                parent=found.parent[i].completion if found.parent else "",
                has_ended=one.has_ended,
                baby_perplexity=found.perplexities["baby"][i] if found.perplexities else None,
                human_perplexity=found.perplexities["human"][i] if found.perplexities else None,
                words=words,
            )
        )
    return examples
