"""What the parent makes of the baby's utterances, beside human continuations and its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from bambino.analysis.statistics import bootstrap, paired_bootstrap
from bambino.evaluation.speech.continuations import Scope, SpeechSettings
from bambino.evaluation.speech.generation import Said, overlap
from bambino.measures import Interval, Score
from bambino.scoring.perplexity import Perplexities, mean_log, perplexities
from bambino.speaking.speaker import Speaker

GAP = "speech/log_perplexity_gap/baby"
"""The parent's log-perplexity of the baby less that of the human continuation, prompt by prompt: log of the ratio."""
SCOPES: tuple[Scope, Scope] = ("utterance", "whole")


@dataclass(frozen=True)
class Opinion:
    """What comparing with a parent gave; empty without one."""

    scores: list[Score]
    gaps: list[float]
    """Log-perplexity of baby less human by prompt; NaN where either was silent."""
    verdict: str
    perplexities: dict[str, list[float]]
    """baby, human, parent -> the parent's perplexity of each continuation, given the prompt."""
    parent: list[Said]
    """The first of its samples."""

    @classmethod
    def none(cls) -> Opinion:
        """Of no parent."""
        return cls([], [], "", {}, [])


def opinion(
    parent: Speaker,
    said: list[Said],
    human: list[Said],
    of_human: Mapping[Scope, list[float]],
    samples: list[list[Said]],
    settings: SpeechSettings,
) -> Opinion:
    """Compare what was said with human continuations and with the parent's own.

    Args:
        of_human: scope -> the parent's perplexity of each human continuation.
        samples: the parent's continuations of every prompt, several times.
    """
    given, whole = (
        {
            "baby": perplexities_of(parent, said, scope, settings).values,
            "human": of_human[scope],
            "parent": perplexities_of(parent, samples[0], scope, settings).values,
        }
        for scope in SCOPES
    )
    ratio, verdict = _ratio("speech/perplexity_ratio/baby", given["baby"], given["human"])
    gap = replace(
        ratio, name=GAP, value=math.log(ratio.value), unit="nats per parent token", interval=_log(ratio.interval)
    )
    scores = [
        ratio,
        gap,
        _ratio("speech/perplexity_ratio_with_prompt/baby", whole["baby"], whole["human"])[0],
        *(log_perplexity(name, "utterance", given[name]) for name in given),
        *(log_perplexity(name, "whole", whole[name]) for name in given),
    ]
    for n in (1, 2):
        scores += _overlaps(said, human, samples, n)
    gaps = [
        math.log(one) - math.log(other) if math.isfinite(one) and math.isfinite(other) else math.nan
        for one, other in zip(given["baby"], given["human"], strict=True)
    ]
    return Opinion(scores, gaps, verdict, given, samples[0])


def perplexities_of(
    parent: Speaker, said: list[Said], scope: Scope, settings: SpeechSettings, *, with_words: bool = False
) -> Perplexities:
    """The parent's perplexity of each continuation, and where asked for its surprisal word by word."""
    texts = ([s.prompt for s in said], [s.text for s in said], [s.has_ended for s in said])
    return perplexities(parent.lm, parent.tokenizer, *texts, scope=scope, until=settings.until, with_words=with_words)


def log_perplexity(who: str, scope: Scope, values: list[float]) -> Score:
    """The mean log-perplexity of a speaker's continuations, silent ones left out."""
    name = f"speech/log_perplexity{'' if scope == 'utterance' else '_with_prompt'}/{who}"
    finite = [math.log(value) for value in values if math.isfinite(value)]
    interval = bootstrap(finite) if finite else None
    return Score(name, mean_log(values), "nats per parent token", len(finite), interval)


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
