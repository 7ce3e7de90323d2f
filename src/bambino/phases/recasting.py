"""What phases that hear recasts share: prompts are answered with text, and the baby hears it after them.

The loss is on the recast's tokens only. A prompt is the beginning of a line that the baby hears anyway; were it a
target here too, a run with recasts would differ from one without by more exposure to beginnings as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bambino.errors import RecipeError
from bambino.feedback.answers import Recasts
from bambino.feedback.recasts import Recaster
from bambino.feedback.rewards import Kind
from bambino.losses.clm import clm_loss
from bambino.phases.dialogue import said_rows, speak
from bambino.phases.phase import Tools
from bambino.phases.recasts_ahead import RecastsAhead, block_size
from bambino.phases.updates import Term
from bambino.recipe.schedule import Place
from bambino.recipe.text_settings import TextConfig
from bambino.runs.log import Row
from bambino.scoring.perplexity import without_cut_word
from bambino.speaking.utterances import Utterances, decoded, to_text
from bambino.text.batches import TokenBatch, pad
from bambino.text.heldout import is_heldout
from bambino.text.replay import lines_before
from bambino.text.streams import LineStream
from bambino.text.tokens import encode_with_ends
from bambino.text.words import words_begun


@dataclass(frozen=True)
class RecastRows:
    """Prompts and recasts as rows of the baby's tokens."""

    batch: TokenBatch
    is_recast: Bool[Tensor, "B T"]
    """True on tokens that end after the prompt, an EOS included."""
    words: int
    """Words that begin in these tokens."""

    @property
    def targets(self) -> int:
        return int(self.is_recast.sum())

    def term(self, *, weight: float = 1.0, name: str = "") -> Term:
        """Next-token prediction on the recasts: mean over their tokens, in nats."""
        targets = self.targets

        def loss(logits: Tensor, _: Tensor, part: TokenBatch, rows: slice) -> dict[str, Tensor]:
            tokens = part.input_ids[self.is_recast[rows].to(part.input_ids.device)]
            return {"loss": clm_loss(logits, tokens) / targets}

        return Term(self.batch, loss, self.is_recast, weight, name)


@dataclass(frozen=True)
class Recasting:
    """A phase's recasts."""

    tools: Tools
    phase: str
    kind: Kind
    recaster: Recaster

    @cached_property
    def ahead(self) -> RecastsAhead | None:
        """Recasts of many prompts at a time; None where they answer the baby, or prompts change over training."""
        tools, tokens = self.tools, self.tools.recipe.rollout.prompt_tokens
        if self.recaster.needs_utterance or not isinstance(tokens, int) or tools.streams.is_single:
            return None
        vocabulary = len(tools.tokenizer if tools.parent is None else tools.parent.tokenizer)
        stream = tools.streams.prompts(self.phase)

        def texts(first: int, count: int) -> list[str]:
            return beginnings(stream, first, count, tokens, tools.tokenizer)

        size, name = block_size(tools.recipe.batch_size, vocabulary), f"{self.phase}/{self.kind.name}"
        return RecastsAhead(self.recaster, texts, size, tools.recipe.seed, name)

    @staticmethod
    def of(tools: Tools, phase: str) -> Recasting | None:
        """Of the one kind of recasts that is for the phase; None where there is none.

        Raises:
            RecipeError: there are two.
        """
        found = [
            Recasting(tools, phase, kind, kind.reward)
            for kind in tools.feedback_for(phase)
            if isinstance(kind.reward, Recaster)
        ]
        if len(found) > 1:
            one, other = (recasting.kind.name for recasting in found[:2])
            problem = f"feedback.{one} and feedback.{other} are both recasts for {phase}. Keep one"
            raise RecipeError(f"feedback.{other}.for", f"{problem}, or give one to another phase (recast, clm).")
        return found[0] if found else None

    def beside(self, at: Place) -> tuple[RecastRows | None, Row]:
        """The recasts beside the lines of a step: after n steps floor(share * batch_size * n) prompts were answered."""
        recipe, share = self.tools.recipe, self.recaster.share
        first, end = (lines_before(nth, share, share, recipe.batch_size, 1) for nth in (at.nth, at.nth + 1))
        if end == first:
            return None, {}
        tokens = recipe.rollout.at(at.progress).prompt_tokens
        prompts = self.tools.streams.prompts(self.phase).prompts(first, end - first, tokens)
        return self.rows(prompts, at, first)

    def rows(self, prompts: TokenBatch, at: Place, first: int) -> tuple[RecastRows | None, Row]:
        """Recasts of some prompts as rows, None where there is no recast, and metrics of them; the first process asks.

        Args:
            first: where they begin in the phase's stream of prompts.
        """
        tools = self.tools
        said = to_text(speak(tools, prompts, at), tools.tokenizer) if self.recaster.needs_utterance else None
        count = len(prompts.input_ids)
        return tools.learner.processes.from_first(lambda: self._rows(count, said, at, first))

    def _rows(self, count: int, said: Utterances | None, at: Place, first: int) -> tuple[RecastRows | None, Row]:
        tools = self.tools
        with tools.costs.time("reward"):
            recasts = self._recasts(count, said, at, first)
        tools.costs.written("people", recasts.prompts)
        if said is not None:
            tools.costs.written("baby", said.completions)
        writer: Literal["parent", "writer"] = "parent" if self.recaster.written_by == "parent" else "writer"
        tools.costs.written(writer, filter(None, recasts.texts))
        tools.log.utterances(self.phase, at.step + 1, _rows(recasts, said))
        rows = rows_of(recasts, tools.tokenizer, tools.recipe.text)
        if rows is not None:
            tools.costs.heard_words("recast", rows.words)
        return rows, _metrics(recasts)

    def _recasts(self, count: int, said: Utterances | None, at: Place, first: int) -> Recasts:
        tools, read = self.tools, self.tools.costs.read
        if self.ahead is not None:
            return self.ahead.of(first, count, read)
        if said is not None:
            texts = said.prompts
        else:
            stream, tokens = tools.streams.prompts(self.phase), tools.recipe.rollout.at(at.progress).prompt_tokens
            texts = beginnings(stream, first, count, tokens, tools.tokenizer)
        seed, name = tools.recipe.seed, f"{self.phase}/{self.kind.name}"
        return self.recaster.recasts(texts, said, seed=seed, stream=name, first=first, read=read)


def beginnings(
    stream: LineStream, first: int, count: int, tokens: int, tokenizer: PreTrainedTokenizerBase
) -> list[str]:
    """The texts of a stream's next prompts, without a last word that the token limit cut, so that who goes on begins
    with a word; as they are where nothing would be left, as in a script without spaces."""
    longer = stream.prompts(first, count, tokens + 1)
    rows = [ids[is_real].tolist() for ids, is_real in zip(longer.input_ids, longer.is_real, strict=True)]
    return [_whole_words(*(decoded(tokenizer, row[:end]) for end in (tokens, tokens + 1))) for row in rows]


def _whole_words(text: str, longer: str) -> str:
    """The text, without its last word where that goes on in the longer one."""
    goes_on = longer[len(text) : len(text) + 1].isalnum() and text[-1:].isalnum()
    return without_cut_word("", text) if goes_on else text


def rows_of(recasts: Recasts, tokenizer: PreTrainedTokenizerBase, text: TextConfig) -> RecastRows | None:
    """The recasts as rows, in order, but for held-out lines; None where there is none."""
    every = text.heldout_every
    given = [
        (prompt, recast, ended)
        for prompt, recast, ended in zip(recasts.prompts, recasts.texts, recasts.has_ended, strict=True)
        if recast is not None and not (every is not None and is_heldout(prompt + recast, every))
    ]
    rows = [row for row in encoded_after(given, tokenizer, text) if row is not None]
    if not rows:
        return None
    batch, is_after = after_prompts(rows)
    return RecastRows(batch, is_after, sum(row.words for row in rows))


class RowAfter(NamedTuple):
    """A prompt and a text after it as tokens."""

    ids: list[int]
    prompt_tokens: int
    """Tokens that end within the prompt, a start token included."""
    words: int
    """That begin after the prompt, in what is left of the text."""


def encoded_after(
    given: Sequence[tuple[str, str, bool]], tokenizer: PreTrainedTokenizerBase, text: TextConfig
) -> list[RowAfter | None]:
    """Prompts and texts after them, each encoded as one text and cut at text.max_length; None where the prompt alone
    fills the row.

    Args:
        given: prompt, text after it, and whether it ends there, so that EOS follows.
    """
    wholes = [prompt + after for prompt, after, _ in given]
    encoded = encode_with_ends(tokenizer, wholes, with_start=text.prepend_bos)
    eos = tokenizer.eos_token_id if text.append_eos else None
    rows: list[RowAfter | None] = []
    for (ids, ends), whole, (prompt, _, ended) in zip(encoded, wholes, given, strict=True):
        row = ([*ids, eos] if ended and eos is not None else ids)[: text.max_length]
        before = max(1, sum(end <= len(prompt) for end in ends))  # nothing predicts a row's first token
        words = sum(words_begun(whole, ends)[before : text.max_length])
        rows.append(RowAfter(row, before, words) if before < len(row) else None)
    return rows


def after_prompts(rows: Sequence[RowAfter]) -> tuple[TokenBatch, Bool[Tensor, "B T"]]:
    """Rows as a batch; True on tokens after the prompts."""
    batch = pad([row.ids for row in rows], 0)
    column, before = torch.arange(batch.input_ids.shape[1]), torch.tensor([row.prompt_tokens for row in rows])
    return batch, batch.is_real & (column >= before[:, None])


def _rows(recasts: Recasts, said: Utterances | None) -> list[Row]:
    """Rows of utterances.jsonl."""
    prompts = [{"prompt": prompt} for prompt in recasts.prompts] if said is None else said_rows(said)
    return [row | {"recast": text} for row, text in zip(prompts, recasts.texts, strict=True)]


def _metrics(recasts: Recasts) -> Row:
    """Share of prompts with a recast; of those, their mean bytes and the share that ended."""
    given = [(text, ended) for text, ended in zip(recasts.texts, recasts.has_ended, strict=True) if text is not None]
    if not given:
        return {"given": 0.0}
    return {
        "given": len(given) / len(recasts.texts),
        "bytes": fmean(len(text.encode("utf-8")) for text, _ in given),
        "ended": fmean(ended for _, ended in given),
    }
