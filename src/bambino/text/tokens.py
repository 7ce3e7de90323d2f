"""Lines -> token ids: what begins a text, what counts of it, rows stored flat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import tokenizers
import transformers
from transformers import PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.text.heldout import spread
from bambino.text.lines import Corpus
from bambino.text.stored import Columns, stored
from bambino.text.stored_lines import BLOCK, StoredLines, blocks_of, shown
from bambino.text.token_bytes import token_bytes
from bambino.text.words import count_words, words_begun

TYPES = {"ids": "<i4", "lengths": "<i4", "is_truncated": "?", "words": "<i4", "begun": "<i2"}
"""Columns of tokens: of each token its id and, where lines are whole, the words that begin in it; of each line the
rest."""
SAMPLE = 200
"""Lines whose tokens are part of what a tokenizer is known by."""


@dataclass(frozen=True)
class TokenRows:
    """Token ids of lines, stored flat; EOS not included."""

    ids: np.ndarray
    offsets: np.ndarray
    """Row i is ids[offsets[i] : offsets[i + 1]]."""
    is_truncated: np.ndarray
    """Whether row i was cut at max_length."""
    words: np.ndarray
    """How many words begin in row i."""
    begun: np.ndarray | None
    """How many words begin in each token, aligned with ids; None where lines were cut, for they are not packed."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.ids[self.offsets[i] : self.offsets[i + 1]]


def start_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """What begins a text: BOS, or EOS where a tokenizer has no BOS (it ends the text before), or None."""
    bos: int | None = tokenizer.bos_token_id
    eos: int | None = tokenizer.eos_token_id
    return eos if bos is None else bos


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], *, with_start: bool = True) -> list[list[int]]:
    """Token ids of each text: what the tokenizer prepends, plus the start token if it prepends none; never EOS, nor
    whatever else the tokenizer appends.

    A text that spells a special token ("</s>") is read as those characters. with_start=False leaves everything to the
    tokenizer, except that what it appends is taken off.
    """
    if not texts:
        return []
    encoded = encoded_by(tokenizer, texts)
    start = start_token(tokenizer) if with_start else None
    rows = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
    return [_with_start(_without_appended(list(row), mask, tokenizer), start) for row, mask in rows]


def count_after(ends: list[int], offset: int) -> int:
    """How many of a text's last tokens end after a character offset, by the ends that `encode_with_ends` gives.

    A token that lies across the offset counts; what is prepended never does.
    """
    return next((i for i, end in enumerate(reversed(ends)) if end <= offset), len(ends))


def encode_with_ends(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], *, with_start: bool = True
) -> list[tuple[list[int], list[int]]]:
    """Token ids as `encode` gives them, and where each one's text ends, in characters; of what is prepended, 0.

    Several tokens of one character end where it ends. Tokenizers written in Python do not know: there, places in the
    text that the ids decode to, and the tokens before a character is whole may end before it.
    """
    if not texts:
        return []
    if not tokenizer.is_fast:
        return [(row, _ends_decoded(tokenizer, row)) for row in encode(tokenizer, texts, with_start=with_start)]
    encoded = encoded_by(tokenizer, texts, return_offsets_mapping=True)
    start = start_token(tokenizer) if with_start else None
    result = []
    columns = (encoded[name] for name in ("input_ids", "special_tokens_mask", "offset_mapping"))
    for ids, mask, spans in zip(*columns, strict=True):
        own = _without_appended(list(ids), mask, tokenizer)
        row = _with_start(own, start)
        result.append((row, [0] * (len(row) - len(own)) + [end for _, end in spans[: len(own)]]))
    return result


def encoded_by(tokenizer: PreTrainedTokenizerBase, texts: list[str], **more: bool) -> Mapping[str, Any]:
    """What the tokenizer makes of texts, and which tokens it put there of its own accord.

    Raises:
        TextError: it cannot read one of them (a word that it has no token for).
    """
    wanted = {"return_special_tokens_mask": True, "return_attention_mask": False, **more}
    try:
        encoded: Mapping[str, Any] = tokenizer(texts, split_special_tokens=True, verbose=False, **wanted)
    except Exception as error:  # noqa: BLE001 - tokenizers raises nothing more special
        raise TextError(f"The tokenizer cannot read a text: {error}. Use one that knows bytes, or <unk>.") from None
    return encoded


def _ends_decoded(tokenizer: PreTrainedTokenizerBase, row: list[int]) -> list[int]:
    """Where each token's text ends in what they decode to, as far as `token_bytes` knows."""
    pieces = token_bytes(tokenizer, row)
    begins = np.array([byte & 0xC0 != 0x80 for byte in b"".join(pieces)])
    ends: list[int] = np.concatenate([[0], np.cumsum(begins)])[np.cumsum([len(piece) for piece in pieces])].tolist()
    return ends


def _without_appended(row: list[int], is_special: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """A row without what the tokenizer's template put at its end: EOS, or another token ([SEP]); one token stays."""
    end = len(row)
    while end > 1 and is_special[end - 1]:
        end -= 1
    return row[: end - 1] if end > 1 and row[end - 1] == tokenizer.eos_token_id else row[:end]


def _with_start(row: list[int], start: int | None) -> list[int]:
    return row if start is None or row[:1] == [start] else [start, *row]


def tokenize(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None,
    append_eos: bool,
    prepend_bos: bool,
    cache: str | None = None,
) -> TokenRows:
    """Tokenize a corpus once; fills `truncated`, `tokens`, `words_cut` of its reports. max_length None: nothing is cut.

    A line is truncated when it, with the EOS that would follow, is longer than max_length; then it is cut to
    max_length tokens and no EOS follows.

    Args:
        cache: the folder that keeps what was made of lines that lie on disk.

    Raises:
        TextError: the tokenizer cannot read a line. StorageError: the cache cannot be written.
    """
    split = partial(_split, tokenizer=tokenizer, max_length=max_length, append_eos=append_eos, prepend_bos=prepend_bos)
    if cache is not None and isinstance(corpus.lines, StoredLines):
        how: dict[str, Any] = {"max_length": max_length, "append_eos": append_eos, "prepend_bos": prepend_bos}
        read_by = {
            "tokenizer": tokenizer_sha256(tokenizer),
            "versions": [tokenizers.__version__, transformers.__version__],
        }
        sample = encode(tokenizer, spread(corpus.lines, SAMPLE))
        made_of = {"tokens": corpus.lines.digest, **how, **read_by, "sample": sample}
        columns = stored(cache, made_of, TYPES, partial(_write, lines=corpus.lines, split=split)).arrays
    else:
        blocks = [split(block) for block in blocks_of(corpus.lines, BLOCK)]
        columns = {name: np.concatenate([block[name] for block in blocks]) for name in TYPES}
    offsets = np.concatenate([[0], np.cumsum(columns["lengths"], dtype=np.int64)])
    begun = columns["begun"] if max_length is None else None
    rows = TokenRows(columns["ids"], offsets, columns["is_truncated"], columns["words"], begun)
    for s, report in enumerate(corpus.reports):
        mine = corpus.source_of == s
        report.truncated = int(rows.is_truncated[mine].sum())
        report.words_cut = int(corpus.words[mine].sum()) - int(rows.words[mine].sum())
        report.tokens = int(columns["lengths"][mine].sum()) + append_eos * (int(mine.sum()) - report.truncated)
    return rows


def _write(columns: Columns, lines: StoredLines, split: Callable[[list[str]], dict[str, np.ndarray]]) -> dict[str, Any]:
    """Fill the columns of `TYPES`."""
    for block in shown(blocks_of(lines, BLOCK), "Tokenizing", len(lines)):
        columns.append(split(block))
    return {}


def _split(
    lines: list[str], tokenizer: PreTrainedTokenizerBase, max_length: int | None, append_eos: bool, prepend_bos: bool
) -> dict[str, np.ndarray]:
    """What a tokenizer makes of some lines, in columns; it splits them in parallel."""
    begun: list[int] = []
    if max_length is None:
        whole = encode_with_ends(tokenizer, lines, with_start=prepend_bos)
        rows = [row for row, _ in whole]
        for line, (_, ends) in zip(lines, whole, strict=True):
            begun += words_begun(line, ends)
    else:  # ends cost half as much again as ids
        rows = encode(tokenizer, lines, with_start=prepend_bos)
    words = np.array([count_words(line) for line in lines], dtype=np.int32)
    is_cut = np.array([max_length is not None and len(row) + append_eos > max_length for row in rows])
    cut = np.flatnonzero(is_cut).tolist()
    for i, (_, ends) in zip(
        cut, encode_with_ends(tokenizer, [lines[i] for i in cut], with_start=prepend_bos), strict=True
    ):
        words[i] = sum(words_begun(lines[i], ends)[:max_length])
        rows[i] = rows[i][:max_length]
    ids = np.fromiter(chain.from_iterable(rows), np.int32)
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    return {"ids": ids, "lengths": lengths, "is_truncated": is_cut, "words": words, "begun": np.array(begun, np.int16)}


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Of all that decides which ids a text has."""
    content = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else tokenizer.get_vocab()
    for set_by_calls in ("truncation", "padding"):
        content.pop(set_by_calls, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
