"""Minimal pairs: does the model give the grammatical sentence the higher probability?

Files are JSONL with `sentence_good` and `sentence_bad` (BLiMP's format; `UID` names the paradigm). A sentence's score
is its summed token log-prob, the start token prepended; a tie counts one half.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.scoring import score_texts
from bambino.text import TextError


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in grammaticality only."""

    good: str
    bad: str
    uid: str
    """The paradigm; empty when the file names none."""


def load_pairs(path: str | Path) -> list[Pair]:
    """Read a JSONL file of pairs.

    Raises:
        TextError: no such file, no pair, a line that is no JSON object with two non-empty sentences (line named).
    """
    path = Path(path)
    if not path.is_file():
        raise TextError(f"There are no minimal pairs at {path}. Give the path of a .jsonl file.")
    pairs = []
    for number, raw in enumerate(path.read_bytes().splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            item = json.loads(raw.decode("utf-8"))
            good, bad = item["sentence_good"], item["sentence_bad"]
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            way_out = 'Each line must be {"sentence_good": ..., "sentence_bad": ...}.'
            raise TextError(f"{path}, line {number}: {type(error).__name__}: {error}. {way_out}") from None
        if not (isinstance(good, str) and isinstance(bad, str) and good.strip() and bad.strip()):
            raise TextError(f"{path}, line {number}: sentence_good and sentence_bad must be non-empty strings.")
        pairs.append(Pair(good, bad, str(item.get("UID", ""))))
    if not pairs:
        raise TextError(f"{path} holds no pair.")
    return pairs


def pair_scores(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: list[Pair]) -> list[float]:
    """1 where the good sentence is likelier, 0 where the bad one is, 1/2 for a tie; one number per pair."""
    sentences = list(dict.fromkeys(sentence for pair in pairs for sentence in (pair.good, pair.bad)))
    scores = dict(zip(sentences, (score.log_prob for score in score_texts(lm, tokenizer, sentences)), strict=True))
    return [_score(scores[pair.good], scores[pair.bad]) for pair in pairs]


def _score(good: float, bad: float) -> float:
    return 0.5 if good == bad else float(good > bad)


def accuracy(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: list[Pair]) -> float:
    """Mean of `pair_scores`; chance is 1/2."""
    return sum(pair_scores(lm, tokenizer, pairs)) / len(pairs)
