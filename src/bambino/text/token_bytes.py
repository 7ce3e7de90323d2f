"""Which bytes of a text each of its tokens stands for: what a tokenizer's pieces are, in context.

A token's bytes are not those of the token decoded alone: a leading space may be lost, a character may be spread over
several tokens. Byte-level and byte-fallback tokenizers say exactly which bytes a piece holds; for others the text is
decoded token by token, and a character goes to the token that makes it whole.
"""

from __future__ import annotations

import re
from functools import cache

from transformers import PreTrainedTokenizerBase

_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"


def token_bytes(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[bytes]:
    """The bytes that each id adds to the text that all of them decode to; special tokens add none.

    Together they are exactly the text's UTF-8. Bytes that make no whole character are replaced when they are decoded;
    there, too, each token has what it adds to the text.
    """
    text = _decoded(tokenizer, ids)
    for pieces in (_byte_level(tokenizer, ids), _sentence_pieces(tokenizer, ids)):
        if pieces is not None and b"".join(pieces) == text.encode("utf-8"):
            return pieces
    return _by_decoding(tokenizer, ids, text)


def pieces_of(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[bytes]:
    """The bytes of each id by itself, a space before it included; special tokens have none."""
    pieces = _byte_level(tokenizer, ids)
    return _written(tokenizer, ids) if pieces is None else pieces


def _byte_level(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[bytes] | None:
    """Pieces written in GPT-2's alphabet, a character a byte; None where some piece is not."""
    alphabet, pieces = _alphabet(), []
    special, added = set(tokenizer.all_special_ids), tokenizer.added_tokens_decoder
    for token, written in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True):
        if token in special:
            pieces.append(b"")
        elif token in added:
            pieces.append(written.encode("utf-8"))
        elif all(character in alphabet for character in written):
            pieces.append(bytes(alphabet[character] for character in written))
        else:
            return None
    return pieces


def _sentence_pieces(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[bytes]:
    """Pieces with a lower bar for a space, single bytes as <0x41>; a space before the first word may be left out."""
    pieces = _written(tokenizer, ids)
    first = next((i for i, piece in enumerate(pieces) if piece), None)
    if first is not None and pieces[first][:1] == b" " and not _decoded(tokenizer, ids).startswith(" "):
        pieces[first] = pieces[first][1:]
    return pieces


def _written(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[bytes]:
    """Pieces as they are written, a lower bar for a space and <0x41> for a byte; nothing left out."""
    pieces, special = [], set(tokenizer.all_special_ids)
    for token, written in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True):
        byte = _FALLBACK.fullmatch(written)
        if token in special:
            pieces.append(b"")
        elif byte is not None:
            pieces.append(bytes([int(byte.group(1), 16)]))
        else:
            pieces.append(written.replace(_SPACE, " ").encode("utf-8"))
    return pieces


def _by_decoding(tokenizer: PreTrainedTokenizerBase, ids: list[int], text: str) -> list[bytes]:
    """What each beginning of the ids has in common with the text, less what the beginning before it had."""
    whole, pieces, done = text.encode("utf-8"), [], 0
    for count in range(1, len(ids) + 1):
        end = len(_common(_decoded(tokenizer, ids[:count]), text).encode("utf-8")) if count < len(ids) else len(whole)
        end = max(end, done)
        pieces.append(whole[done:end])
        done = end
    return pieces


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def _common(one: str, other: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


@cache
def _alphabet() -> dict[str, int]:
    """GPT-2's printable character for each byte, the other way round (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
