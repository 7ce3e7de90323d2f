"""What a tokenizer's tokens are as bytes, and how it splits bytes that are no whole text.

Two tokenizers share bytes and nothing else. Here a token is its bytes, whatever stands before it; a text may end, or
begin, inside a character.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property

import numpy as np
from transformers import PreTrainedTokenizerBase

from bambino.errors import TextError
from bambino.text.token_bytes import pieces_of
from bambino.text.tokens import encode

PROBES = ("Il gatto e l'Àquila", "È  così: «Perché no?» 35", "a B c")
"""What a tokenizer must give back as it was: capitals, accents, signs, two spaces."""
MARKS = ("\x02", "\n", "\u2758", "|", "#")
"""Characters that what follows may be split from; the first that a tokenizer splits so is used."""


class Vocabulary:
    """The tokens of a tokenizer as bytes.

    Args:
        tokenizer: byte-level, or of pieces whose spaces are written as a lower bar.
        size: tokens that the model knows, of which the tokenizer may name fewer; None: as many.

    Raises:
        TextError: a text cannot be put together from the tokens' bytes, as where a tokenizer lower-cases.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int | None = None) -> None:
        self.tokenizer = tokenizer
        named = len(tokenizer)
        self.pieces = pieces_of(tokenizer, list(range(named))) + [b""] * ((size or named) - named)
        """Bytes of each token; none of special ones."""
        self.lead = b""
        """What a text's tokens say before the text itself: a space, with some tokenizers."""
        if self._joined("a") == b" a":
            self.lead = b" "
        for probe in PROBES:
            if (found := self._joined(probe)) != self.lead + probe.encode():
                what = f"{type(tokenizer).__name__} makes {probe!r} to {found.decode(errors='replace')!r}"
                raise TextError(
                    f"{what}: texts cannot be put together from its tokens. Use a model of another tokenizer."
                )
        self._begins: dict[bytes, bool] = {}
        self._extensions: dict[bytes, np.ndarray] = {}
        self._splits: dict[bytes, list[int]] = {}

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max(map(len, self.pieces))

    @cached_property
    def may_join(self) -> np.ndarray:
        """(256, 256): whether some token holds these two bytes one after the other. Elsewhere tokens always end."""
        joined = np.zeros((256, 256), dtype=bool)
        for piece in self.pieces:
            values = np.frombuffer(piece, dtype=np.uint8)
            joined[values[:-1], values[1:]] = True
        return joined

    @cached_property
    def first_bytes(self) -> np.ndarray:
        """First byte of each token; 256 for those without bytes."""
        return np.array([piece[0] if piece else 256 for piece in self.pieces])

    def extensions(self, beginning: bytes) -> np.ndarray:
        """Tokens that begin with these bytes and go on."""
        if beginning not in self._extensions:
            pieces, ids = self._sorted
            self._extensions[beginning] = ids[bisect_right(pieces, beginning) : bisect_left(pieces, _after(beginning))]
        return self._extensions[beginning]

    def begins_a_longer(self, piece: bytes) -> bool:
        """Whether some token begins with these bytes and goes on."""
        if piece not in self._begins:
            pieces, _ = self._sorted
            i = bisect_right(pieces, piece)
            self._begins[piece] = i < len(pieces) and pieces[i].startswith(piece)
        return self._begins[piece]

    def begins_a_token(self, piece: bytes) -> bool:
        """Whether some token begins with these bytes, or is them: what follows may change how they are split."""
        return piece in self._by_bytes or self.begins_a_longer(piece)

    def split_beginnings(self, beginnings: list[bytes]) -> list[list[int]]:
        """Tokens of beginnings of texts, `lead` included; a character that is not whole is split by itself."""
        wholes = [_whole(beginning) for beginning in beginnings]
        rows = encode(self.tokenizer, [whole.decode()[len(self.lead) :] for whole in wholes], with_start=False)
        rows = [[token for token in row if self.pieces[token]] for row in rows]
        return [
            self._greedy(beginning) if whole == self.lead else row + self._greedy(beginning[len(whole) :])
            for row, whole, beginning in zip(rows, wholes, beginnings, strict=True)
        ]

    def split(self, inner: list[bytes]) -> list[list[int]]:
        """Tokens of bytes that stand inside a text; parts of characters at either end are split by themselves."""
        missing = [piece for piece in dict.fromkeys(inner) if piece not in self._splits]
        if missing:
            parts = [_parts(piece) for piece in missing]
            mark, offset = self._mark
            texts = [mark + whole.decode() if whole else "" for _, whole, _ in parts]
            rows = self._encoded(texts)
            for piece, (head, _, tail), row in zip(missing, parts, rows, strict=True):
                tokens = [token for token in row if self.pieces[token]][offset if row else 0 :]
                self._splits[piece] = [*self._greedy(head), *tokens, *self._greedy(tail)]
        return [self._splits[piece] for piece in inner]

    def bytes_of(self, ids: list[int]) -> bytes:
        """What tokens from a text's beginning on say, `lead` left out."""
        return b"".join([self.pieces[token] for token in ids]).removeprefix(self.lead)

    @cached_property
    def _sorted(self) -> tuple[list[bytes], np.ndarray]:
        """The tokens in the order of their bytes, those without bytes left out."""
        order = sorted((i for i, piece in enumerate(self.pieces) if piece), key=self.pieces.__getitem__)
        return [self.pieces[i] for i in order], np.array(order, dtype=np.int64)

    @cached_property
    def _by_bytes(self) -> dict[bytes, int]:
        return {piece: i for i, piece in reversed(list(enumerate(self.pieces))) if piece}

    @cached_property
    def _mark(self) -> tuple[str, int]:
        """What to put before bytes so that they are split as inside a text, and how many tokens it is."""
        if not self.lead:
            return "", 0
        for mark in MARKS:
            alone, after = (self._ids(text) for text in (mark, mark + "a b"))
            if after[: len(alone)] == alone and self._joined(mark) == self.lead + mark.encode():
                return mark, len(alone)
        raise TextError(f"{type(self.tokenizer).__name__} splits no character from what follows. Use another model.")

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        """Token ids of many short texts; a fast tokenizer is asked past its wrapper, which costs more than it does."""
        if not self.tokenizer.is_fast:
            return encode(self.tokenizer, texts, with_start=False)
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        return [found.ids for found in backend.encode_batch_fast(texts, add_special_tokens=False)]

    def _ids(self, text: str) -> list[int]:
        return [i for i in encode(self.tokenizer, [text], with_start=False)[0] if self.pieces[i]]

    def _joined(self, text: str) -> bytes:
        return b"".join(self.pieces[i] for i in self._ids(text))

    def _greedy(self, piece: bytes) -> list[int]:
        """The longest token that fits, again and again; bytes that no token has are left out."""
        ids, first = [], 0
        while first < len(piece):
            ends = range(len(piece), first, -1)
            end = next((end for end in ends if piece[first:end] in self._by_bytes), None)
            if end is not None:
                ids.append(self._by_bytes[piece[first:end]])
            first = end or first + 1
        return ids


def _after(beginning: bytes) -> bytes:
    """What comes after all bytes with this beginning, in order."""
    kept = beginning.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\xff" * 64


def _parts(piece: bytes) -> tuple[bytes, bytes, bytes]:
    """The end of a character, whole ones, the beginning of a character; bytes that are no text count as an end."""
    begin = next((i for i, byte in enumerate(piece) if byte & 0xC0 != 0x80), len(piece))
    whole = _whole(piece[begin:])
    try:
        whole.decode()
    except UnicodeDecodeError:
        return piece, b"", b""
    return piece[:begin], whole, piece[begin + len(whole) :]


def _whole(piece: bytes) -> bytes:
    """The bytes without a last character that is not whole."""
    for back in range(1, min(4, len(piece) + 1)):
        byte = piece[-back]
        if byte & 0xC0 != 0x80:
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return piece[:-back] if length > back else piece
    return piece
