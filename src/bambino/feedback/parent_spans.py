"""What the parent finds of each piece of what was said, against what the baby itself finds of it.

    d_s = log pi(s) - [F(end of s) - F(start of s)]

log pi(s) sums the log-probs of the sampled tokens of the span s; F(x) is the parent's log-probability that a text
begins with the bytes x (`scoring/covers.py`), so any boundary of the baby's tokens is fair, whatever the parent's.
Spans are rows of sampled tokens, so none crosses from the prompt into the utterance, and nothing is encoded anew.
Tokens without bytes (EOS, other special tokens) are in no span: the parent has no say in them.

Over an utterance's spans the F's telescope: the sum of d_s is log pi(utterance) - [F(all) - F(prompt)], a sample of
the KL from baby to parent (on-policy distillation: Agarwal et al. 2024, arXiv 2306.13649; here of bytes). F counts all
texts that begin so, so a span with which many words begin looks likelier than it is as a word, and the next span makes
up for it. Words suffer less from this than tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from transformers import PreTrainedModel

from bambino.errors import RewardError
from bambino.feedback.answers import Span, Spans
from bambino.feedback.credit import SaidTokens
from bambino.scoring.covers import Covers
from bambino.speaking.speaker import Speaker

if TYPE_CHECKING:
    from bambino.feedback.settings import ParentSpansConfig


class Piece(NamedTuple):
    """Bytes first .. end - 1 of an utterance, and the baby's log-prob of their tokens."""

    first: int
    end: int
    log_prob: float


class ParentSpans:
    """Minus d_s, clipped, for each span of an utterance."""

    def __init__(self, parent: Speaker, config: ParentSpansConfig) -> None:
        self.parent, self.config = parent, config
        self.covers = Covers(parent.lm, parent.tokenizer)

    def __call__(
        self,
        *,
        prompts: list[str],
        completions: list[str],
        texts: list[str],
        has_ended: list[bool],
        tokens: Callable[[], list[SaidTokens]] | None = None,
        log_extra: Callable[[str, list[Any]], None] = lambda column, values: None,
        log_metric: Callable[[str, float], None] = lambda name, value: None,
        read: Callable[[PreTrainedModel, int], None] = lambda lm, tokens: None,
        **_: Any,
    ) -> Spans:
        """The judgements of each utterance, by TRL's signature (`feedback/rewards.py`).

        Raises:
            RewardError: the utterances were not sampled just now, so the baby's log-probs are not known.
        """
        if tokens is None:
            raise RewardError("parent_spans judges what the baby just sampled, with its log-probs; not any text.")
        clip, unit = self.config.clip, self.config.unit
        said = zip(completions, tokens(), strict=True)
        pieces = [pieces_of(completion.encode(), of, unit) for completion, of in said]
        found = self.divergences(prompts, texts, pieces, lambda count: read(self.parent.lm, count))
        known = [
            [one for one in zip(*each, strict=True) if math.isfinite(one[1])]
            for each in zip(pieces, found, strict=True)
        ]
        totals = [sum(d for _, d in of) for of in known]
        lengths = [sum(piece.end - piece.first for piece, _ in of) for of in known]
        log_extra("reverse_kl", [total / max(1, length) for total, length in zip(totals, lengths, strict=True)])
        log_metric("reverse_kl", sum(totals) / max(1, sum(lengths)))
        return Spans(
            [
                [
                    Span(piece.first, piece.end, -clipped(d, clip, piece))
                    for piece, d in of
                    if ended or piece != all_of[-1]
                ]
                for of, all_of, ended in zip(known, pieces, [end or unit == "token" for end in has_ended], strict=True)
            ]
        )

    def divergences(
        self, prompts: list[str], texts: list[str], pieces: list[list[Piece]], read: Callable[[int], None]
    ) -> list[list[float]]:
        """d_s of each piece, in nats; not finite where the parent cannot read so far."""
        begins = [len(prompt.encode()) for prompt in prompts]
        bounds = [sorted({bound for piece in of for bound in (piece.first, piece.end)}) for of in pieces]
        ends = [[begin + bound for bound in of] for begin, of in zip(begins, bounds, strict=True)]
        found = self.covers.log_prefix_probs([text.encode() for text in texts], ends, read)
        f = [dict(zip(of, log_probs.tolist(), strict=True)) for of, log_probs in zip(bounds, found, strict=True)]
        return [
            [piece.log_prob - (at[piece.end] - at[piece.first]) for piece in of]
            for of, at in zip(pieces, f, strict=True)
        ]


def pieces_of(said: bytes, tokens: SaidTokens, unit: Literal["word", "token"]) -> list[Piece]:
    """The spans of an utterance: its tokens, or those from a space to before the next one together.

    A token without bytes ends a word; a token beyond the text, whose character the token limit cut, is in no span.
    """
    pieces: list[Piece] = []
    goes_on = False
    for (first, end), log_prob in zip(pairwise(tokens.bounds), tokens.log_probs, strict=True):
        if not first < end <= len(said):
            goes_on = False
        elif goes_on and not said[first : first + 1].isspace():
            pieces[-1] = Piece(pieces[-1].first, end, pieces[-1].log_prob + log_prob)
        else:
            pieces.append(Piece(first, end, log_prob))
            goes_on = unit == "word"
    return pieces


def clipped(divergence: float, clip: float, piece: Piece) -> float:
    """Held within so many nats per byte."""
    limit = clip * (piece.end - piece.first)
    return min(max(divergence, -limit), limit)
