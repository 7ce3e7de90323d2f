"""How likely text is that begins with given bytes: by covers, against sums over all rows of tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from conftest import make_tokenizer, tiny_lm
from known_models import bigram_lm
from test_credit import sentence_pieces
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bambino.errors import TextError
from bambino.scoring.covers import Covers
from bambino.scoring.texts import score_texts
from bambino.text.vocabulary import Vocabulary

ALPHABET = "ab "
MERGES = [("a", "b"), ("Ġ", "a"), ("ab", "b"), ("b", "a"), ("Ġa", "b"), ("Ġab", "ab")]
OTHER_MERGES = [("b", "a"), ("Ġ", "b"), ("a", "ba"), ("Ġb", "a"), ("b", "b"), ("Ġba", "bb")]


def toy_tokenizer(merges: list[tuple[str, str]]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of all bytes and these merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["</s>", *letters, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="</s>", eos_token="</s>")


def toy_probs(tokenizer: PreTrainedTokenizerFast, seed: int = 0, ends: float = 0.25) -> torch.Tensor:
    """p(next | last) of a language over a few letters that gives something to rows only that the tokenizer gives."""
    pieces = Vocabulary(tokenizer).pieces
    used = [i for i, piece in enumerate(pieces) if piece and set(piece.decode("latin-1")) <= set(ALPHABET)]
    generator = torch.Generator().manual_seed(seed)
    probs = torch.zeros(len(pieces), len(pieces))
    for last in range(len(pieces)):
        for token in [0, *used]:
            row = [i for i in (last, token) if i]
            if tokenizer(b"".join(pieces[i] for i in row).decode("latin-1"))["input_ids"] == row:
                probs[last, token] = torch.rand(1, generator=generator).item() + (token == 0) * ends
        probs[last, 0] += 1e-3
    return probs / probs.sum(1, keepdim=True)


def log_prefix_prob(probs: torch.Tensor, pieces: list[bytes], text: bytes) -> float:
    """log P(text begins so), summed over all rows of tokens that can begin it."""
    p, used = probs.double().numpy(), np.flatnonzero(probs.sum(0))

    @cache
    def following(last: int, rest: bytes) -> float:
        if not rest:
            return 1.0
        total = 0.0
        for token in used:
            piece = pieces[token]
            if piece and rest.startswith(piece):
                total += p[last, token] * following(token, rest[len(piece) :])
            elif piece.startswith(rest):
                total += p[last, token]
        return total

    found = following(0, text)
    return math.log(found) if found else -math.inf


def toy(seed: int = 0, ends: float = 0.25) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, torch.Tensor]:
    tokenizer = toy_tokenizer(MERGES)
    probs = toy_probs(tokenizer, seed, ends)
    return bigram_lm(probs), tokenizer, probs


def test_prefix_probabilities_are_sums_over_all_rows_of_tokens() -> None:
    lm, tokenizer, probs = toy()
    pieces = Vocabulary(tokenizer).pieces
    texts = ["".join(letters).encode() for letters in product(ALPHABET, repeat=5)]
    found = Covers(lm, tokenizer).log_prefix_probs(texts, [range(6)] * len(texts))
    for text, of in zip(texts, found, strict=True):
        expected = [log_prefix_prob(probs, pieces, text[:end]) for end in range(6)]
        assert of.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4), text


def test_a_beginning_is_as_likely_as_its_end_and_all_that_can_follow() -> None:
    lm, tokenizer, probs = toy(seed=1)
    begun = ["".join(letters) for letters in product(ALPHABET, repeat=3)]
    texts = [(beginning + letter).encode() for beginning in begun for letter in ALPHABET]
    longer = Covers(lm, tokenizer).log_prefix_probs(texts, [[3, 4]] * len(texts))
    for i, beginning in enumerate(begun):
        ids = [0, *tokenizer(beginning)["input_ids"], 0]
        ends = math.prod(float(probs[a, b]) for a, b in pairwise(ids))
        follows = sum(math.exp(of[1]) for of in longer[3 * i : 3 * i + 3])
        assert math.exp(longer[3 * i][0]) == pytest.approx(ends + follows, rel=1e-4)


@pytest.mark.parametrize("text", ["perché è così", "我们去", "გამარჯობა"])
def test_a_whole_text_begins_itself_and_every_beginning_is_likelier(text: str) -> None:
    tokenizer = make_tokenizer()
    lm = tiny_lm("gpt2", len(tokenizer), context=64)
    whole = text.encode()
    (found,) = Covers(lm, tokenizer).log_prefix_probs([whole], [range(len(whole) + 1)])
    assert found[0] == pytest.approx(0.0, abs=1e-6)
    assert found[-1] >= score_texts(lm, tokenizer, [text])[0].log_prob - 1e-4


def test_a_model_that_cannot_read_trees_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer, _ = toy()
    texts = [b"ab ab", b"abba"]
    on_trees = Covers(lm, tokenizer).log_prefix_probs(texts, [[0, 3, 5], [1, 4]])
    monkeypatch.setattr("bambino.scoring.covers.reads_trees", lambda *_: False)
    in_rows = Covers(lm, tokenizer).log_prefix_probs(texts, [[0, 3, 5], [1, 4]])
    for one, other in zip(on_trees, in_rows, strict=True):
        assert one.tolist() == pytest.approx(other.tolist(), abs=1e-5)


def test_beyond_the_context_there_is_nothing() -> None:
    tokenizer = toy_tokenizer([])
    lm = bigram_lm(toy_probs(tokenizer), context=8)
    (found,) = Covers(lm, tokenizer).log_prefix_probs([b"abababababab"], [[7, 8]])
    assert math.isfinite(found[0])
    assert found[1] == -math.inf


def test_a_tokenizer_that_lower_cases_is_refused() -> None:
    tokenizer = toy_tokenizer(MERGES)
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(TextError, match="cannot be put together"):
        Vocabulary(tokenizer)


@pytest.mark.parametrize("text", ["il gatto 我们去 casa", "perché è così", "გამარჯობა"])
@pytest.mark.parametrize("make", [make_tokenizer, sentence_pieces])
def test_beginnings_of_texts_and_what_stands_inside_are_split_into_their_bytes(
    text: str, make: Callable[[], PreTrainedTokenizerFast]
) -> None:
    vocabulary = Vocabulary(make())
    whole = vocabulary.lead + text.encode()
    for end in range(len(whole) + 1):
        (row,) = vocabulary.split_beginnings([whole[:end]])
        assert b"".join(vocabulary.pieces[i] for i in row) == whole[:end]
        (row,) = vocabulary.split([whole[end:]])
        assert b"".join(vocabulary.pieces[i] for i in row) == whole[end:]
