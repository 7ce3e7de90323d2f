"""Credit by hand, and its laws for any two tokenizers: sums are kept, judgements land at their last byte."""

from __future__ import annotations

import pytest
import torch
from conftest import italian_lines, make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from known_models import word_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from bambino.errors import RewardError
from bambino.feedback.answers import Recasts, Scores, Span, Spans
from bambino.feedback.credit import credit, utterance_ends
from bambino.speaking.rollout import Rollout
from bambino.speaking.utterances import to_text
from bambino.text.batches import pad
from bambino.text.token_bytes import token_bytes

TEXTS = [
    "perché è così",
    "il gatto 我们去 casa",
    "გამარჯობა მსოფლიო",
    "naïve — «sì»!",
    " due  spazi",
    "a\nb",
    "👶🏽 bimbo",
]
quick = settings(max_examples=60)


def sentence_pieces() -> PreTrainedTokenizerFast:
    """Metaspace pieces with single bytes to fall back on, as Llama's and Gemma's tokenizers have."""
    vocabulary = [
        (piece, -5.0) for piece in ("<unk>", "</s>", "▁", "▁il", "▁gatto", "gat", "to", "a", "è", "▁我们", "s", "i")
    ]
    vocabulary += [(f"<0x{byte:02X}>", -10.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="</s>")


def word_pieces() -> PreTrainedTokenizerFast:
    """Neither byte-level nor metaspace: spaces come from decoding."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    special = ["[UNK]", "[SEP]"]
    tokenizer.train_from_iterator(
        italian_lines(50) + TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[SEP]", bos_token="[SEP]")


TOKENIZERS = {"bytes": make_tokenizer(), "sentence pieces": sentence_pieces(), "word pieces": word_pieces()}


def rollout_of(prompts: list[list[int]], said: list[list[int]], ended: bool = False) -> Rollout:
    """Utterances that were said, whatever the model."""
    utterances = pad(said, 0)
    zeros = torch.zeros(utterances.input_ids.shape)
    has_ended = torch.full((len(said),), ended)
    return Rollout(pad(prompts, 0, "left"), utterances.input_ids, utterances.is_real, zeros, zeros, has_ended)


# ------------------------------------------------------------------------------------------------------------ by hand


def test_scores_go_to_the_last_token_of_each_utterance() -> None:
    rollout = rollout_of([[1], [1]], [[5, 6, 7], [8]])
    found = credit(Scores([2.0, -1.0]), rollout, TOKENIZERS["bytes"])
    assert found.tolist() == [[0, 0, 2], [-1, 0, 0]]


def test_a_span_goes_to_the_token_that_holds_its_last_byte() -> None:
    # words are tokens: "il" | " gatto" " mangia" " oggi"; bytes of the utterance 0-6, 6-13, 13-18
    tokenizer = word_tokenizer("il", "gatto", "mangia", "oggi")
    ids = tokenizer("il gatto mangia oggi")["input_ids"]
    rollout = rollout_of([ids[:1]], [ids[1:]])
    assert to_text(rollout, tokenizer).completions == [" gatto mangia oggi"]
    spans = [(0, 6, 1.0), (1, 3, 2.0), (4, 7, 4.0), (6, 13, 8.0), (17, 18, 16.0)]
    # 1 and 2 end in gatto; 4 ends with mangia's space, 8 with mangia; 16 with oggi
    assert credit(Spans([spans]), rollout, tokenizer).tolist() == [[3.0, 12.0, 16.0]]


def test_a_judgement_of_the_end_goes_to_eos() -> None:
    tokenizer = TOKENIZERS["bytes"]
    said = [*tokenizer("è")["input_ids"], tokenizer.eos_token_id]
    rollout = rollout_of([[tokenizer.eos_token_id]], [said], ended=True)
    found = credit(Spans([[Span(0, 2, 1.0), Span(2, 2, 5.0)]]), rollout, tokenizer)
    assert found[0, -1] == 5.0
    assert found.sum() == 6.0


@pytest.mark.parametrize("span", [(0, 0, 1.0), (-1, 2, 1.0), (2, 1, 1.0), (0, 9, 1.0)])
def test_a_span_outside_the_utterance_is_refused(span: tuple[int, int, float]) -> None:
    tokenizer = TOKENIZERS["bytes"]
    rollout = rollout_of([[1]], [tokenizer("gatto")["input_ids"]])
    with pytest.raises(RewardError, match=r"lies outside the utterance's 5 bytes, or is empty"):
        credit(Spans([[span]]), rollout, tokenizer)


def test_of_a_character_that_the_token_limit_cut_no_reward_knows_and_the_end_is_still_the_last_token() -> None:
    tokenizer = TOKENIZERS["bytes"]
    said = tokenizer("c漢")["input_ids"][:-1]
    rollout = rollout_of([[tokenizer("a")["input_ids"][0]]], [said])
    assert to_text(rollout, tokenizer).completions == ["c"]
    assert credit(Spans([[Span(0, 1, 1.0), Span(1, 1, 5.0)]]), rollout, tokenizer).tolist() == [
        [1.0, *[0.0] * (len(said) - 2), 5.0]
    ]
    assert len(said) > 1
    with pytest.raises(RewardError, match="lies outside the utterance's 1 bytes"):
        credit(Spans([[Span(0, 2, 1.0)]]), rollout, tokenizer)


def test_feedback_that_is_text_rewards_no_tokens() -> None:
    with pytest.raises(RewardError, match="Recasts reward no tokens"):
        credit(Recasts(["il"], [" gatto"], [True]), rollout_of([[1]], [[5]]), TOKENIZERS["bytes"])


# --------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_the_tokens_are_those_of_the_text(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = tokenizer(text)["input_ids"]
    assert b"".join(token_bytes(tokenizer, ids)) == tokenizer.decode(ids, skip_special_tokens=True).encode("utf-8")


def test_a_character_of_several_tokens_gives_each_its_own_bytes() -> None:
    for name in ("bytes", "sentence pieces"):
        tokenizer = TOKENIZERS[name]
        ids = tokenizer("გ")["input_ids"]
        assert [len(piece) for piece in token_bytes(tokenizer, ids)][-3:] == [1, 1, 1]


@quick
@given(st.sampled_from(sorted(TOKENIZERS)), st.data())
def test_whatever_ids_are_said_their_bytes_add_up_to_the_text(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), min_size=1, max_size=12))
    pieces = token_bytes(tokenizer, ids)
    assert len(pieces) == len(ids)
    assert b"".join(pieces) == tokenizer.decode(ids, skip_special_tokens=True).encode("utf-8")


@quick
@given(
    st.sampled_from(sorted(TOKENIZERS)),
    st.sampled_from(sorted(TOKENIZERS)),
    st.sampled_from(TEXTS),
    st.integers(1, 6),
    st.data(),
)
def test_judgements_by_another_tokenizer_keep_their_sum_and_land_at_their_last_byte(
    baby: str, parent: str, text: str, prompt_tokens: int, data: st.DataObject
) -> None:
    tokenizer = TOKENIZERS[baby]
    ids = tokenizer(text)["input_ids"]
    prompt_tokens = min(prompt_tokens, len(ids) - 1)
    if prompt_tokens < 1:
        return
    rollout = rollout_of([ids[:prompt_tokens]], [ids[prompt_tokens:]])
    said = to_text(rollout, tokenizer)
    spans = spans_of(TOKENIZERS[parent], said.completions[0], data)
    found = credit(Spans([spans]), rollout, tokenizer)
    assert float(found.sum()) == pytest.approx(sum(value for *_, value in spans), abs=1e-4)
    expected = torch.zeros_like(found)
    ends = utterance_ends(rollout, 0, said.prompts[0], tokenizer)
    for _, end, value in spans:
        expected[0, next(u for u, token_end in enumerate(ends) if token_end >= end)] += value
    torch.testing.assert_close(found, expected)


def spans_of(parent: PreTrainedTokenizerFast, utterance: str, data: st.DataObject) -> list[Span]:
    """A judgement of each piece of the utterance, as a parent's own tokenizer cuts it."""
    offsets = parent(utterance, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    spans = []
    for first, end in offsets:
        begin, stop = (len(utterance[:at].encode("utf-8")) for at in (first, end))
        if begin < stop:
            spans.append(Span(begin, stop, data.draw(st.floats(-5, 5, width=32))))
    return spans
