"""Minimal pairs: does the model give the grammatical sentence the higher probability?

A sentence's score is its summed token log-prob after the start token, or that sum per token, per UTF-8 byte, or over a
power of its number of tokens (`Linking`). The pair counts 1 where the good sentence scores higher, 0 where the bad one
does and 1/2 where they tie, so a model that tells nothing apart scores 1/2. Scores tie when they differ by no more than
TIE times the smaller: what the company that a sentence is read in can change by rounding; sentences of the same tokens
tie exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.analysis.statistics import bootstrap
from bambino.evaluation.model_description import describe_model
from bambino.evaluation.pair_files import Pair, PairSet
from bambino.measures import Interval, Score, TaskResult
from bambino.scoring.forward import context_length
from bambino.scoring.texts import require_tokens, score_texts
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import encode_with_ends

TIE = 5e-6
"""Relative: several times what the company of other texts changes in fp32 sums on real weights, at most 8e-7
(`benchmarks/rounding.py`)."""
CHANCE = 0.5

Normalization = Literal["sum", "token", "byte", "power"]


@dataclass(frozen=True)
class Linking:
    """How a sentence's log-prob becomes its score."""

    normalization: Normalization = "sum"
    """By what the sum is divided: nothing, its tokens, its UTF-8 bytes, or its tokens to the power of alpha."""
    alpha: float = 0.5
    """Of `power` (SLLN-LP; Liu et al. 2024, ZhoBLiMP): at 0 it is the sum, at 1 the mean per token."""

    def lengths(self, tokens: np.ndarray, num_bytes: np.ndarray) -> np.ndarray:
        """What to divide sums over so many tokens, of so many bytes, by."""
        tokens = np.maximum(tokens, 1)
        by = {"sum": np.ones(len(tokens)), "token": tokens, "byte": num_bytes, "power": tokens**self.alpha}
        return by[self.normalization]

    @property
    def described(self) -> str:
        """For the settings of results."""
        return f"power {self.alpha:g}" if self.normalization == "power" else self.normalization


SUM = Linking()


@dataclass(frozen=True)
class PairScores:
    """What a model makes of some pairs; one entry per pair."""

    good: np.ndarray
    """Summed log-prob of the good sentence (of its form, where a prefix is given), in nats."""
    bad: np.ndarray
    good_tokens: np.ndarray
    """Tokens in that sum."""
    bad_tokens: np.ndarray
    good_bytes: np.ndarray
    """UTF-8 bytes of what was scored, without the space before a form."""
    bad_bytes: np.ndarray
    too_long: int
    """Sentences longer than the model's context: read in windows, each beginning with the start token."""

    def points(self, linking: Linking = SUM) -> np.ndarray:
        """1, 0 or 1/2 per pair."""
        good, bad = self._lengths(linking)
        return points_of(self.good / good, self.bad / bad)

    def points_of_a_uniform_model(self, linking: Linking = SUM) -> np.ndarray:
        """What the same pairs are worth when every token has the same probability everywhere: fewer tokens win."""
        good, bad = self._lengths(linking)
        return points_of(-self.good_tokens / good, -self.bad_tokens / bad)

    def _lengths(self, linking: Linking) -> tuple[np.ndarray, np.ndarray]:
        return linking.lengths(self.good_tokens, self.good_bytes), linking.lengths(self.bad_tokens, self.bad_bytes)


def score_pairs(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]) -> PairScores:
    """Score both sentences of every pair; each distinct sentence once.

    Raises:
        ModelError: the model's log-probs are no numbers.
        TextError: a sentence (a form, where a prefix is given) of which no token counts.
    """
    begins = _begins(tokenizer, pairs)
    sentences = [
        sentence
        for pair, both in zip(pairs, begins, strict=True)
        for sentence in zip(pair.sentences, both, strict=True)
    ]
    distinct = {sentence: i for i, sentence in enumerate(dict.fromkeys(sentences))}
    offsets = [given for _, given in distinct] if any(given for _, given in distinct) else None
    scores = score_texts(lm, tokenizer, [text for text, _ in distinct], count_from=offsets)
    require_tokens(scores, (text for text, _ in distinct))
    where = np.array([distinct[sentence] for sentence in sentences]).reshape(-1, 2).T
    log_probs = np.array([score.log_prob for score in scores])
    tokens = np.array([score.tokens for score in scores])
    num_bytes = np.array([[len(text.encode("utf-8")) for text in pair.scored] for pair in pairs]).reshape(-1, 2)
    longest = context_length(lm) or 1 << 30
    too_long = sum(score.tokens_read > longest for score in scores)
    good, bad = where
    return PairScores(
        log_probs[good], log_probs[bad], tokens[good], tokens[bad], num_bytes[:, 0], num_bytes[:, 1], too_long
    )


def _begins(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    """Where in its sentences each pair begins to count, in characters: after its context, or earlier where a token lies
    across the end of a context of both in one sentence alone, at the last place up to which they have the same tokens.
    """
    begins = [pair.begins for pair in pairs]
    within = [i for i, pair in enumerate(pairs) if pair.given and pair.given_bad is None]
    rows = encode_with_ends(tokenizer, [text for i in within for text in pairs[i].sentences])
    for i, good, bad in zip(within, rows[::2], rows[1::2], strict=True):
        firsts = [next((n for n, end in enumerate(ends) if end > pairs[i].given), len(ends)) for _, ends in (good, bad)]
        agree = next(
            (n for n, (one, other) in enumerate(zip(good[0], bad[0], strict=False)) if one != other), max(firsts)
        )
        if min(*firsts, agree) < max(firsts):
            before = [_last_end(ends, min(*firsts, agree)) for _, ends in (good, bad)]
            begins[i] = (min(*before, pairs[i].given),) * 2
    return begins


def _last_end(ends: Sequence[int], first: int) -> int:
    """Where the last token ends that has wholly ended before a token."""
    return max((end for end in ends[:first] if first == len(ends) or end < ends[first]), default=0)


class MinimalPairs:
    """Accuracy over all pairs, by paradigm (`/UID`), term (`/term:...`) and field (`/field:...`), with intervals.

    `pairs/NAME/shortest` is what a model would score that gives every token the same probability.
    """

    def __init__(self, name: str, data: PairSet, linking: Linking = SUM) -> None:
        """
        Args:
            name: of the pairs, such as `blimp`; the main score is `pairs/blimp`.
        """
        self.name, self.data, self.linking = f"pairs/{name}", data, linking
        self.depends_on: dict[str, Any] = {
            "data": data.source,
            "sha256": data.sha256,
            "normalization": self.linking.described,
        }

    def __call__(self, baby: Speaker) -> TaskResult:
        """Measure a model as it is now."""
        pairs = self.data.pairs
        scored = score_pairs(baby.lm, baby.tokenizer, pairs)
        points = scored.points(self.linking)
        shortest = scored.points_of_a_uniform_model(self.linking)
        beside = Score(f"{self.name}/shortest", float(shortest.mean()), "share", len(shortest), chance=CHANCE)
        scores = [_score(self.name, points), beside, *self._parts(points)]
        settings = {
            **self.depends_on,
            "ties": f"half a point; equal within {TIE:g} of the score",
            "tied": int((points == 0.5).sum()),
            "identical": sum(pair.good == pair.bad for pair in pairs),
            "longer_than_context": f"{scored.too_long} sentences, read in windows",
            **describe_model(baby),
        }
        items = {
            self.name: points.tolist(),
            f"{self.name}/log_prob_good": scored.good.tolist(),
            f"{self.name}/log_prob_bad": scored.bad.tolist(),
        }
        return TaskResult(self.name, scores, settings, _verdict(scores[0].interval), items)

    def _parts(self, points: np.ndarray) -> list[Score]:
        """Accuracy by field, term and paradigm, where the pairs name them."""
        parts: list[tuple[str, Callable[[Pair], str]]] = [
            ("field:", lambda pair: pair.field),
            ("term:", lambda pair: pair.term),
            ("", lambda pair: pair.uid),
        ]
        scores = []
        for prefix, part_of in parts:
            labels = np.array([part_of(pair) for pair in self.data.pairs])
            named = [part for part in np.unique(labels) if part]
            scores += [_score(f"{self.name}/{prefix}{part}", points[labels == part]) for part in named]
        return scores


def points_of(good: Sequence[float] | np.ndarray, bad: Sequence[float] | np.ndarray) -> np.ndarray:
    """1 where the good score is higher, 0 where the bad one is, 1/2 where they tie."""
    good, bad = np.asarray(good, dtype=float), np.asarray(bad, dtype=float)
    with np.errstate(invalid="ignore"):  # both may be minus infinity
        ties = (good == bad) | (np.abs(good - bad) <= TIE * np.minimum(np.abs(good), np.abs(bad)))
    return np.where(ties, 0.5, (good > bad).astype(float))


def _score(name: str, points: np.ndarray) -> Score:
    return Score(name, float(points.mean()), "share", len(points), bootstrap(points.tolist()), CHANCE)


def _verdict(interval: Interval | None) -> str:
    assert interval is not None
    if interval.holds(CHANCE):
        return "not distinguishable from chance"
    return "above chance" if interval.low > CHANCE else "below chance"
