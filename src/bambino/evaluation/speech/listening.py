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
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from bambino.analysis.statistics import bootstrap, paired_bootstrap
from bambino.evaluation.model_description import describe_model
from bambino.evaluation.speech.continuations import (
    Speaker,
    SpeechSettings,
    check_room,
    cut_line,
    parent_says,
    prompt_rows,
    sample_continuations,
)
from bambino.evaluation.speech.generation import Said, overlap, variety
from bambino.evaluation.speech.language_id import LanguageIdentifier
from bambino.evaluation.speech.vocabulary import novel_words, spelling, vocabulary
from bambino.feedback.parent_perplexity import ParentPerplexity
from bambino.measures import Interval, Score, TaskResult
from bambino.recipe.settings import RewardConfig

GAP = "speech/log_perplexity_gap/baby"
"""The parent's log-perplexity of the baby less that of the human continuation, prompt by prompt: log of the ratio."""


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
class Speech:
    """Scores, and what they were computed from."""

    result: TaskResult
    examples: list[Example]
    novel: list[str]
    """The baby's words that neither corpus holds."""
    said: dict[str, list[Said]]
    """baby, human and, where there is one, parent -> their continuations, prompt by prompt."""


def speech(
    baby: Speaker,
    lines: Sequence[str],
    *,
    parent: Speaker | None = None,
    languages: LanguageIdentifier | None = None,
    settings: SpeechSettings | None = None,
) -> Speech:
    """Let the baby speak and measure it.

    Scores are named speech/WHAT/WHO. Perplexities, their ratio and overlaps need the parent; shares of words need
    `languages`, trained on both corpora without these lines.

    Args:
        lines: held-out L2 text.

    Raises:
        TextError: no line is longer than a prompt.
        ValueError: prompt and utterance are longer than the baby's context.
    """
    settings = settings or SpeechSettings()
    check_room(baby.lm, settings)
    rows = prompt_rows(baby.tokenizer, lines, settings)
    human = [cut_line(baby.tokenizer, row, settings) for row in rows]
    prompts = [row[: settings.prompt_tokens] for row in rows]
    said = sample_continuations(baby, prompts, settings, "speech")
    judged = _Judged(scores=[], gaps=[], verdict="", perplexities={}, parent=[])
    if parent is not None:
        judged = _judge(baby, parent, said, human, settings)
    scores = [*judged.scores, *variety(said, "baby"), *variety(human, "human")]
    novel: list[str] = []
    if languages is not None:
        whole = [Said("", line, True) for line in lines]
        scores += [*vocabulary(said, "baby", languages), *vocabulary(human, "human", languages)]
        scores += spelling(said, "baby", whole, languages)
        novel = novel_words([word for one in said for word in one.words], languages)
    items = {
        "speech/words/baby": [float(len(one.completion.split())) for one in said],
        "speech/ended/baby": [float(one.has_ended) for one in said],
    }
    if judged.gaps:
        items[GAP] = judged.gaps
    details = _settings(settings, languages) | describe_model(baby.lm, baby.tokenizer)
    details["sha256"] = hashlib.sha256("\n".join(one.text for one in human).encode("utf-8")).hexdigest()
    result = TaskResult("speech", scores, details, judged.verdict, items)
    spoken = {"baby": said, "human": human} | ({"parent": judged.parent} if judged.parent else {})
    return Speech(result, _examples(said, human, judged, languages), novel, spoken)


# --------------------------------------------------------------------------------------------- the parent's opinion


@dataclass(frozen=True)
class _Judged:
    """What comparing with a parent gave; empty without one."""

    scores: list[Score]
    gaps: list[float]
    """Log-perplexity of baby less human by prompt; NaN where either was silent."""
    verdict: str
    perplexities: dict[str, list[float]]
    """baby, human, parent -> the parent's perplexity of each continuation, given the prompt."""
    parent: list[Said]
    """The first of its samples."""


def _judge(baby: Speaker, parent: Speaker, said: list[Said], human: list[Said], settings: SpeechSettings) -> _Judged:
    samples = parent_says(baby, parent, human, settings)
    speakers = {"baby": said, "human": human, "parent": samples[0]}
    given = {name: _perplexities(parent, those, "utterance", settings) for name, those in speakers.items()}
    whole = {name: _perplexities(parent, those, "whole", settings) for name, those in speakers.items()}
    ratio, verdict = _ratio("speech/perplexity_ratio/baby", given["baby"], given["human"])
    scores = [
        ratio,
        replace(
            ratio, name=GAP, value=math.log(ratio.value), unit="nats per parent token", interval=_log(ratio.interval)
        ),
        _ratio("speech/perplexity_ratio_with_prompt/baby", whole["baby"], whole["human"])[0],
        *(_log_perplexity(f"speech/log_perplexity/{name}", given[name]) for name in speakers),
        *(_log_perplexity(f"speech/log_perplexity_with_prompt/{name}", whole[name]) for name in speakers),
    ]
    for name in ("baby", "human"):
        silent = [float(math.isinf(value)) for value in given[name]]
        scores.append(Score(f"speech/silent/{name}", fmean(silent), "share", len(silent), bootstrap(silent)))
    for n in (1, 2):
        scores += _overlaps(said, human, samples, n)
    gaps = [
        math.log(one) - math.log(other) if math.isfinite(one) and math.isfinite(other) else math.nan
        for one, other in zip(given["baby"], given["human"], strict=True)
    ]
    return _Judged(scores, gaps, verdict, given, samples[0])


def _perplexities(
    parent: Speaker, said: list[Said], scope: Literal["whole", "utterance"], settings: SpeechSettings
) -> list[float]:
    judge = ParentPerplexity(parent.lm, parent.tokenizer, RewardConfig(scope=scope, until=settings.until))
    return judge.perplexities([s.prompt for s in said], [s.text for s in said], [s.has_ended for s in said])


def _ratio(name: str, said: list[float], human: list[float]) -> tuple[Score, str]:
    """exp of the mean difference of log-perplexities over the prompts where both said something, and what it means."""
    pairs = [
        (math.log(a), math.log(b)) for a, b in zip(said, human, strict=True) if math.isfinite(a) and math.isfinite(b)
    ]
    if len(pairs) < 2:
        return Score(name, math.nan, "ratio", len(pairs)), "silent: nothing to compare with human continuations"
    gap = paired_bootstrap([a for a, _ in pairs], [b for _, b in pairs])
    interval = Interval(math.exp(gap.interval.low), math.exp(gap.interval.high))
    if interval.high < 1:
        verdict = "exploitation: the parent finds the baby likelier than humans"
    elif interval.low > 1:
        verdict = "the parent finds the baby less likely than humans"
    else:
        verdict = "the parent finds the baby about as likely as humans"
    return Score(name, math.exp(gap.mean), "ratio", len(pairs), interval), verdict


def _log(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(math.log(interval.low), math.log(interval.high))


def _log_perplexity(name: str, perplexities: list[float]) -> Score:
    values = [math.log(value) for value in perplexities if math.isfinite(value)]
    if not values:
        return Score(name, math.nan, "nats per parent token", 0)
    return Score(name, fmean(values), "nats per parent token", len(values), bootstrap(values))


def _overlaps(said: list[Said], human: list[Said], samples: list[list[Said]], n: int) -> list[Score]:
    """Overlap with the parent's samples, mean over them: of the baby, of humans, and of the parent with itself."""
    spoken = [[one.words for one in those] for those in samples]
    pairs = {
        "baby": [([one.words for one in said], other) for other in spoken],
        "human": [([one.words for one in human], other) for other in spoken],
        "parent": [(one, other) for i, one in enumerate(spoken) for other in spoken[i + 1 :]],
    }
    scores = []
    for name, those in pairs.items():
        values = [fmean(overlap(ones[i], others[i], n) for ones, others in those) for i in range(len(said))]
        scores.append(Score(f"speech/overlap_{n}/{name}", fmean(values), "F1", len(values), bootstrap(values)))
    return scores


# --------------------------------------------------------------------------------------------------- for a reader


def _examples(
    said: list[Said], human: list[Said], judged: _Judged, languages: LanguageIdentifier | None
) -> list[Example]:
    examples = []
    for i, one in enumerate(said):
        words = [] if languages is None else [(word, str(languages.language(word))) for word in one.words]
        examples.append(
            Example(
                prompt=one.prompt,
                baby=one.completion,
                human=human[i].completion,
                parent=judged.parent[i].completion if judged.parent else "",
                has_ended=one.has_ended,
                baby_perplexity=judged.perplexities["baby"][i] if judged.perplexities else None,
                human_perplexity=judged.perplexities["human"][i] if judged.perplexities else None,
                words=words,
            )
        )
    return examples


def _settings(settings: SpeechSettings, languages: LanguageIdentifier | None) -> dict[str, Any]:
    """What the scores depend on."""
    result: dict[str, Any] = dataclasses.asdict(settings)
    if languages is not None:
        result["language_id"] = dataclasses.asdict(languages.settings)
        result["corpus_words"] = {"L1": languages.l1_words.total(), "L2": languages.l2_words.total()}
    return result
