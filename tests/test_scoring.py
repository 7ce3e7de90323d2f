"""Perplexity, bits per byte and token log-probs against values known beforehand and plain Hugging Face forwards."""

import math

import pytest
import torch
from conftest import FAMILIES, italian_lines, make_tokenizer, tiny_lm
from known_models import bigram_lm, sharp_lm, uniform_lm, unigram_lm, word_tokenizer
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    MistralConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from bambino.scoring import texts as text_scores
from bambino.scoring.forward import eval_mode, hidden_states, positions_of, reads_packed_rows, token_log_probs
from bambino.scoring.texts import TextScore, bits_per_byte, score_texts
from bambino.text.batches import TokenBatch, pad

ROWS = [[1, 20, 30, 40, 50, 60], [1, 7, 9], [1, 5, 5, 5, 5, 5, 5, 5, 11], [1, 300]]


def plain_log_probs(lm: PreTrainedModel, row: list[int]) -> torch.Tensor:
    """Log-probs of tokens 1, 2, ... of one row without pads, by the model's own forward."""
    with torch.no_grad():
        logits: torch.Tensor = lm(input_ids=torch.tensor([row])).logits[0]
    return logits.log_softmax(-1)[torch.arange(len(row) - 1), torch.tensor(row[1:])]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Exactly the 256 bytes; byte 0, which the level spells "Ā", doubles as BOS."""
    return make_tokenizer(bos="Ā", eos=None, pad=None, vocab_size=256)


# ------------------------------------------------------------------------------------------------ perplexity and bits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("vocab_size", [320, 501])
def test_a_uniform_lm_has_perplexity_exactly_its_vocabulary(family: str, vocab_size: int) -> None:
    tokenizer = make_tokenizer()
    for score in score_texts(uniform_lm(family, vocab_size), tokenizer, ["il gatto", "è già tardi, perché?"]):
        assert score.perplexity == pytest.approx(vocab_size)


def test_perplexity_of_a_two_token_model_by_hand() -> None:
    # tokens: 0 BOS, 1 a, 2 b. p(a | BOS) = 1/4, p(a | a) = 1/4, p(b | a) = 1/2, p(a | b) = 1
    lm = bigram_lm(torch.tensor([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5], [0.0, 1.0, 0.0]]))
    (score,) = score_texts(lm, word_tokenizer("a", "b"), ["a a b a"])
    # 1/4 * 1/4 * 1/2 * 1 = 1/32 over 4 tokens: perplexity 32^(1/4) = 2^(5/4); 5 bits over 7 bytes
    assert score.log_prob == pytest.approx(-5 * math.log(2), rel=1e-5)
    assert score.tokens == 4
    assert score.tokens_read == 5
    assert score.perplexity == pytest.approx(2 ** (5 / 4), rel=1e-5)
    assert score.bits_per_byte == pytest.approx(5 / 7, rel=1e-5)


def test_a_uniform_byte_model_needs_eight_bits_per_byte() -> None:
    texts = ["abc", "perché è già tardi", "\N{GRINNING FACE} 我们"]
    lm = uniform_lm("gpt2", 256)
    assert bits_per_byte(lm, byte_tokenizer(), texts) == pytest.approx(8)
    assert [s.bits_per_byte for s in score_texts(lm, byte_tokenizer(), texts)] == pytest.approx([8, 8, 8])


@pytest.mark.parametrize("vocab_size", [256, 300, 320])
def test_bits_per_byte_do_not_depend_on_how_a_byte_model_is_tokenized(vocab_size: int) -> None:
    # each byte costs 10 bits in whatever token it comes: p(token of n bytes) = 1024^-n; the rest of the mass is BOS's
    tokenizer = byte_tokenizer() if vocab_size == 256 else make_tokenizer(vocab_size=vocab_size)
    probs = [0.0] * len(tokenizer)
    for token, i in tokenizer.get_vocab().items():
        if i not in tokenizer.all_special_ids:
            probs[i] = 1024.0 ** -len(token)  # the byte level spells each byte as one character
    probs[tokenizer.bos_token_id] = 1 - sum(probs)
    lines = italian_lines(5)
    assert len(tokenizer(lines[0])["input_ids"]) < len(lines[0].encode()) or vocab_size == 256
    assert bits_per_byte(unigram_lm(probs, context=512), tokenizer, lines) == pytest.approx(10)


def test_bits_per_byte_weigh_texts_by_their_bytes() -> None:
    # p(a) = 1/2: 1 bit over 1 byte; p(bbbb) = 1/4: 2 bits over 4 bytes. 3 bits / 5 bytes, not mean(1, 1/2)
    lm = unigram_lm([0.25, 0.5, 0.25])
    assert bits_per_byte(lm, word_tokenizer("a", "bbbb"), ["a", "bbbb"]) == pytest.approx(3 / 5)


def test_a_perplexity_too_large_for_a_float_is_infinite() -> None:
    (score,) = score_texts(unigram_lm([1.0, 0.0]), word_tokenizer("never"), ["never never"])
    assert score.perplexity == math.inf
    # the largest float is about e^709.8
    assert TextScore(-690.0, 1, 1, 1).perplexity == pytest.approx(math.exp(690))
    assert TextScore(-1420.0, 2, 1, 1).perplexity == math.inf


# -------------------------------------------------------------------------------------------- padding, batches, modes


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("left", "right"), [(0, 0), (3, 0), (0, 3), (5, 2)])
def test_token_log_probs_are_a_plain_forwards_whatever_the_padding(family: str, left: int, right: int) -> None:
    lm = sharp_lm(family)
    for side in ("left", "right"):
        batch = pad(ROWS, 0, side)
        batch = TokenBatch(
            torch.nn.functional.pad(batch.input_ids, (left, right), value=7),
            torch.nn.functional.pad(batch.is_real, (left, right), value=False),
        )
        result = token_log_probs(lm, batch)
        for i, row in enumerate(ROWS):
            torch.testing.assert_close(result[i][batch.is_target[i]], plain_log_probs(lm, row), rtol=0, atol=1e-5)
        assert (result[~batch.is_target] == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_32_scores_like_32_batches_of_1(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer, lines = sharp_lm(family), make_tokenizer(), [" ".join(x.split()[:8]) for x in italian_lines(32)]
    together = score_texts(lm, tokenizer, lines)
    for line, score in zip(lines, together, strict=True):
        (alone,) = score_texts(lm, tokenizer, [line])
        assert alone.log_prob == pytest.approx(score.log_prob, rel=1e-5)
        assert (alone.tokens, alone.num_bytes, alone.tokens_read) == (score.tokens, score.num_bytes, score.tokens_read)
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", 40)
    for few, many in zip(score_texts(lm, tokenizer, lines), together, strict=True):
        assert few.log_prob == pytest.approx(many.log_prob, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_rows_score_each_line_as_if_alone(family: str) -> None:
    lm = sharp_lm(family)
    batch = pad([ROWS[0] + ROWS[1] + ROWS[3], ROWS[2] + ROWS[3][:1]], 0)
    documents = torch.tensor([[0] * 6 + [1] * 3 + [2] * 2, [4] * 9 + [5] + [-1]])
    result = token_log_probs(lm, TokenBatch(batch.input_ids, batch.is_real, documents))
    alone = [torch.cat([torch.zeros(1), plain_log_probs(lm, row)]) for row in ROWS]
    expected = torch.stack([torch.cat([alone[0], alone[1], alone[3]]), torch.cat([alone[2], torch.zeros(2)])])
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_positions_count_real_tokens_and_begin_again_with_each_document() -> None:
    is_real = torch.tensor([[False, False, True, True, True], [True, True, True, False, False]])
    assert positions_of(is_real).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]]
    documents = torch.tensor([[3, 3, 4, 4, 5], [0, 1, 1, 1, 1]])
    assert positions_of(torch.ones(2, 5, dtype=torch.bool), documents).tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 2, 3]]


def test_a_model_without_position_ids_refuses_packed_rows() -> None:
    config = T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=1, decoder_start_token_id=0)
    ids = torch.zeros(1, 4, dtype=torch.long)
    with pytest.raises(
        ValueError, match=r"takes no position_ids, so it cannot read packed rows\. Use text\.mode lines"
    ):
        hidden_states(T5ForConditionalGeneration(config), ids, ids == 0, documents=ids)


def test_scoring_switches_dropout_off_and_leaves_the_mode_as_it_was() -> None:
    lm, tokenizer = sharp_lm("opt", dropout=0.5), make_tokenizer()
    expected = score_texts(lm, tokenizer, ["il gatto vede il cane"])
    lm.train()
    assert score_texts(lm, tokenizer, ["il gatto vede il cane"]) == expected
    assert lm.training
    assert all(module.training for module in lm.modules())
    lm.eval()
    score_texts(lm, tokenizer, ["il gatto"])
    assert not lm.training


def test_eval_mode_restores_the_mode_after_an_error() -> None:
    lm = tiny_lm("gpt2").train()
    with pytest.raises(AttributeError), eval_mode(lm):
        lm.no_such_thing()
    assert lm.training


# ----------------------------------------------------------------------------------------------------- windows, offsets


def test_texts_longer_than_the_context_are_read_in_windows_and_every_byte_counts() -> None:
    text = "abcdefghij" * 20  # 200 bytes; windows of BOS + 15 bytes: 13 of 15 and one of 5
    (score,) = score_texts(uniform_lm("gpt2", 256, context=16), byte_tokenizer(), [text])
    assert score.tokens == 200
    assert score.tokens_read == 214
    assert score.bits_per_byte == pytest.approx(8)


def test_each_window_begins_with_the_start_token() -> None:
    # after BOS a costs 1 bit, after a 3 bits. Context 4: BOS a a a | BOS a a: (1 + 3 + 3) + (1 + 3) = 11 bits
    lm = bigram_lm(torch.tensor([[0.5, 0.5], [0.875, 0.125]]), context=4)
    (score,) = score_texts(lm, word_tokenizer("a"), ["a a a a a"])
    assert score.log_prob == pytest.approx(-11 * math.log(2), rel=1e-5)


def test_only_tokens_that_end_after_the_offset_count() -> None:
    # p(a | BOS) = 1/2, p(b | a) = 1/4, p(cc | b) = 1/8; "a b cc": tokens end at characters 1, 3 and 6
    probs = torch.zeros(4, 4)
    probs[0, 1], probs[1, 2], probs[2, 3] = 0.5, 0.25, 0.125
    probs[:, 0] = 1 - probs.sum(1)
    lm, tokenizer = bigram_lm(probs), word_tokenizer("a", "b", "cc")
    bits = {0: (6, 3), 1: (5, 2), 2: (5, 2), 3: (3, 1), 4: (3, 1), 5: (3, 1), 6: (0, 0)}
    scores = score_texts(lm, tokenizer, ["a b cc"] * 7, count_from=list(bits))
    assert [round(-s.log_prob / math.log(2), 4) for s in scores] == [b for b, _ in bits.values()]
    assert [s.tokens for s in scores] == [n for _, n in bits.values()]
    assert scores[6].perplexity == math.inf


@pytest.mark.parametrize("prepends_bos", [False, True])
def test_offsets_are_right_whether_or_not_the_tokenizer_prepends_its_start_token(prepends_bos: bool) -> None:
    lm, tokenizer = sharp_lm("gpt2"), make_tokenizer(prepends_bos=prepends_bos)
    text = "il gatto vede"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    last = len(tokenizer.decode(ids[-1:]))
    (score,) = score_texts(lm, tokenizer, [text], count_from=[len(text) - last])
    assert score.tokens == 1
    assert score.log_prob == pytest.approx(plain_log_probs(lm, [1, *ids])[-1].item(), rel=1e-5)


def test_offsets_count_across_windows() -> None:
    # 10 one-byte tokens in windows of 3; those that end after character 4 are the last 6
    text = "abcdefghij"
    (score,) = score_texts(uniform_lm("gpt2", 256, context=4), byte_tokenizer(), [text], count_from=[4])
    assert score.tokens == 6
    assert score.perplexity == pytest.approx(256)


@pytest.mark.parametrize("spelled", ["ciao</s>", "ciao</s></s>", "</s>ciao", "ciao</s>a", "</s>", "</s></s>"])
def test_a_text_that_spells_a_special_token_is_scored_with_an_offset_too(spelled: str) -> None:
    lm, tokenizer = sharp_lm("opt"), make_tokenizer()
    (whole,) = score_texts(lm, tokenizer, [spelled])
    (from_start,) = score_texts(lm, tokenizer, [spelled], count_from=[0])
    assert from_start == whole


def test_a_spelled_special_token_does_not_shift_the_offsets() -> None:
    # "a b </s>": the final EOS is left out of the text; after character 1 only b counts: p(b) = 1/4
    lm, tokenizer = unigram_lm([0.125, 0.125, 0.5, 0.25]), word_tokenizer("a", "b", eos="</s>")
    (score,) = score_texts(lm, tokenizer, ["a b </s>"], count_from=[1])
    assert score.tokens == 1
    assert score.perplexity == pytest.approx(4)


# --------------------------------------------------------------------------------------------------------- edge cases


def test_an_empty_text_has_no_token_and_infinite_perplexity() -> None:
    empty, full = score_texts(tiny_lm("opt"), make_tokenizer(), ["", "ciao"])
    assert (empty.log_prob, empty.tokens, empty.num_bytes, empty.tokens_read) == (0.0, 0, 0, 0)
    assert empty.perplexity == math.inf
    assert math.isnan(empty.bits_per_byte)
    assert full.tokens > 0
    assert score_texts(tiny_lm("opt"), make_tokenizer(), [""])[0] == empty
    assert score_texts(tiny_lm("opt"), make_tokenizer(), []) == []


def test_without_any_start_token_the_first_token_is_context_only() -> None:
    # p(b | a) = 1/4 counts, a does not: nothing comes before it
    lm = bigram_lm(torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    tokenizer = word_tokenizer("a", "b", bos=None)
    (score, single) = score_texts(lm, tokenizer, ["a b", "a"])
    assert (score.tokens, score.tokens_read) == (1, 2)
    assert score.perplexity == pytest.approx(4)
    assert single.perplexity == math.inf


def test_a_tokenizer_without_bos_begins_texts_with_eos() -> None:
    # tokens: 0 EOS, 1 a; p(a | EOS) = 1/8
    lm = bigram_lm(torch.tensor([[0.875, 0.125], [0.5, 0.5]]))
    (score,) = score_texts(lm, word_tokenizer("a", bos=None, eos="</s>"), ["a"])
    assert score.perplexity == pytest.approx(8)


def test_a_tokenizer_without_pad_scores_batches_of_unequal_length() -> None:
    tokenizer = make_tokenizer(bos=None, eos="</s>", pad=None)
    lm, texts = sharp_lm("llama"), ["il", "il gatto vede"]
    for text, score in zip(texts, score_texts(lm, tokenizer, texts), strict=True):
        row = [tokenizer.eos_token_id, *tokenizer(text)["input_ids"]]
        assert score.log_prob == pytest.approx(plain_log_probs(lm, row).sum().item(), rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_we_name_keep_packed_lines_apart(family: str) -> None:
    assert reads_packed_rows(tiny_lm(family), 40)


def test_models_that_cannot_keep_packed_lines_apart_are_found_out() -> None:
    sizes = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    window = MistralConfig(**sizes, intermediate_size=64, num_key_value_heads=1, sliding_window=8)
    windowed = AutoModelForCausalLM.from_config(window)
    assert reads_packed_rows(windowed, 8)
    assert not reads_packed_rows(windowed, 9)  # a row may be longer than the window
    bloom = BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=2)  # takes no positions
    assert not reads_packed_rows(AutoModelForCausalLM.from_config(bloom), 8)
