"""Models and tokenizers of other kinds: windows over columns, a state in place of a cache, templates that append."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_tokenizer
from known_models import unigram_lm, word_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    GPTNeoConfig,
    MambaConfig,
    MiniMaxConfig,
    MistralConfig,
    OpenAIGPTConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RwkvConfig,
)

from bambino import BambinoTrainer, Recipe
from bambino.errors import ModelError, TextError
from bambino.evaluation.fluency import BitsPerByte
from bambino.evaluation.minimal_pairs import score_pairs
from bambino.evaluation.pair_files import Pair
from bambino.evaluation.plan import Plan
from bambino.evaluation.suite import evaluate
from bambino.evaluation.zero_shot.choices import Choice, choice_log_probs
from bambino.scoring.forward import reads_packed_rows, reads_trees
from bambino.scoring.texts import row_log_probs, score_texts
from bambino.speaking.rollout import check_speaks, law_gap
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import count_after, encode, encode_with_ends


def plain_log_probs(lm: PreTrainedModel, row: list[int]) -> torch.Tensor:
    """Log-probs of tokens 1, 2, ... of one row, by the model's own forward."""
    with torch.no_grad():
        logits: torch.Tensor = lm(input_ids=torch.tensor([row])).logits[0]
    return logits.log_softmax(-1)[torch.arange(len(row) - 1), torch.tensor(row[1:])]


# ---------------------------------------------------------------------------------------------- windows over columns


def windowed_neo(window: int, seed: int = 0) -> PreTrainedModel:
    """A GPT-Neo, every second layer of which sees so many columns, whatever a mask says."""
    torch.manual_seed(seed)
    kinds = {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 2}
    config = GPTNeoConfig(vocab_size=64, hidden_size=32, window_size=window, max_position_embeddings=512, **kinds)
    lm = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in lm.parameters():
            if parameter.dim() == 2:
                parameter.mul_(5)
    return lm


@pytest.mark.parametrize("count", [2, 8, 30])
@pytest.mark.parametrize("window", [6, 48, 256])
def test_texts_that_begin_alike_are_scored_as_alone_by_a_model_whose_window_is_over_columns(
    window: int, count: int
) -> None:
    # On a tree the last of n rows stands 20 + 10 n columns after what all begin with.
    lm, rng = windowed_neo(window), random.Random(count)
    head = [rng.randrange(64) for _ in range(20)]
    rows = [head + [rng.randrange(64) for _ in range(10)] for _ in range(count)]
    scores = row_log_probs(lm, rows).reshape(count, 30)[:, 1:]
    alone = torch.stack([plain_log_probs(lm, row) for row in rows])
    torch.testing.assert_close(torch.from_numpy(scores).float(), alone, rtol=0, atol=1e-4)


def test_a_window_over_columns_is_found_out_where_rows_are_far_apart_only() -> None:
    lm = windowed_neo(48)
    assert reads_trees(lm, 30, 16)
    assert not reads_trees(lm, 30, 100)
    assert not reads_trees(lm, 30, 400)
    assert reads_trees(lm, 20, 16)
    assert reads_packed_rows(lm, 60)  # a packed line is as wide as the line alone


def test_what_is_left_of_two_kinds_of_windows() -> None:
    # Under a mask of one's own Mistral has no window; GPT-Neo has its own besides.
    sizes = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = MistralConfig(**sizes, intermediate_size=64, num_key_value_heads=1, sliding_window=20)
    torch.manual_seed(0)
    mistral = AutoModelForCausalLM.from_config(config)
    assert reads_trees(mistral, 20, 300)
    assert not reads_trees(mistral, 21, 60)


# ------------------------------------------------------------------------------------------ a state in place of a cache


SIZES = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2, "bos_token_id": 1, "eos_token_id": 1}
STATEFUL: dict[str, Callable[[], PreTrainedConfig]] = {
    "MambaForCausalLM (mamba)": lambda: MambaConfig(**SIZES, state_size=8),
    "RwkvForCausalLM (rwkv)": lambda: RwkvConfig(**SIZES, attention_hidden_size=32, context_length=64),
    "OpenAIGPTLMHeadModel (openai-gpt)": lambda: OpenAIGPTConfig(
        vocab_size=320, n_embd=32, n_layer=2, n_head=2, n_positions=64
    ),
    "MiniMaxForCausalLM (minimax)": lambda: MiniMaxConfig(
        **SIZES,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=64,
        head_dim=16,
        num_local_experts=2,
    ),
}


def strange_lm(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(STATEFUL[name]()).eval()


@pytest.mark.parametrize("name", STATEFUL)
def test_a_model_that_cannot_speak_is_refused_by_name_and_its_texts_are_scored_as_alone(name: str) -> None:
    lm, rng = strange_lm(name), random.Random(0)
    for _ in range(2):  # the second time nothing is left of the first
        with pytest.raises(ModelError) as caught:
            check_speaks(lm)
        assert str(caught.value).startswith(f"{name} cannot speak here")
    rows = [[rng.randrange(320) for _ in range(size)] for size in (3, 12, 7)]
    alone = torch.cat([torch.cat([torch.zeros(1), plain_log_probs(lm, row)]) for row in rows])
    torch.testing.assert_close(torch.from_numpy(row_log_probs(lm, rows)).float(), alone, rtol=0, atol=1e-4)


def saved(name: str, folder: Path) -> Path:
    strange_lm(name).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", STATEFUL)
def test_evaluation_lets_no_model_speak_that_forgets_what_it_has_read(
    name: str, text_file: Path, tmp_path: Path
) -> None:
    folder = saved(name, tmp_path / "model")
    text: dict[str, Any] = {"l2_text": [str(text_file)], "heldout_every": 10, "max_lines": 4}
    with pytest.raises(ModelError, match=r"cannot speak here.*bambino evaluate --prompts 0"):
        evaluate(str(folder), Plan(**text, prompts=2))
    scores = evaluate(str(folder), Plan(**text, prompts=0)).results.tasks["bits_per_byte/l2"]
    assert math.isfinite(scores.main.value)


@pytest.mark.parametrize("cycle", ["{clm: 2, ppo: 1}", "{clm: 2, reinforce: 1}", "{clm: 1}"])
def test_a_baby_that_cannot_speak_is_refused_before_step_0_and_hears_where_it_need_not(
    cycle: str, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    folder = saved("MambaForCausalLM (mamba)", tmp_path / "model")
    phase = "reinforce" if "reinforce" in cycle else "ppo"
    kind = f"{{length: {{for: {phase}}}}}"
    recipe = make_recipe("--baby.model", str(folder), "--schedule.cycle", cycle, "--feedback", kind)
    if cycle == "{clm: 1}":
        BambinoTrainer(args=recipe).train()
        measured = make_recipe(
            *("--baby.model", str(folder), "--schedule.cycle", cycle),
            *("--evaluation.eval_steps", "2", "--evaluation.utterances", "2"),
        )
        with pytest.raises(ModelError, match=r"^MambaForCausalLM"):
            BambinoTrainer(args=measured)
        return
    with pytest.raises(ModelError, match=r"^MambaForCausalLM \(.*model\) cannot speak here: .* differ by .* nats"):
        BambinoTrainer(args=recipe)
    assert not Path(recipe.output_dir).exists()


def test_a_parent_that_cannot_speak_answers_by_its_scores_alone(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    parent = str(saved("RwkvForCausalLM (rwkv)", tmp_path / "parent"))
    scored = make_recipe("--parent.model", parent, "--feedback", "{parent_log_perplexity: {}}")
    BambinoTrainer(args=scored).train()
    kinds = "{parent_log_perplexity: {relative: true}}", "{recast: {for: clm}, length: {}}"
    for kind in kinds:
        with pytest.raises(ModelError, match=r"^RwkvForCausalLM .* cannot speak here"):
            BambinoTrainer(args=make_recipe("--parent.model", parent, "--feedback", kind))


def test_the_law_of_a_model_that_speaks_holds_to_rounding() -> None:
    lm = windowed_neo(6)  # shorter than what it is tried out on
    assert law_gap(lm) < 1e-5
    check_speaks(lm)


# --------------------------------------------------------------------------------------------- what a tokenizer appends


def framing_tokenizer(*letters: str) -> PreTrainedTokenizerFast:
    """One token a letter, none for others, [CLS] before each text and [SEP] after it; neither is BOS or EOS."""
    vocabulary = {letter: i for i, letter in enumerate(["[CLS]", "[SEP]", *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]")


def test_what_a_tokenizer_appends_is_no_text() -> None:
    # [CLS] 1/2, [SEP] 1/4, a 1/8, b 1/8: "a b" is ln 1/64, and nothing of [SEP]
    lm, tokenizer = unigram_lm([0.5, 0.25, 0.125, 0.125]), framing_tokenizer("a", "b")
    assert encode(tokenizer, ["a b", "b", ""]) == [[0, 2, 3], [0, 3], [0]]
    ((row, ends),) = encode_with_ends(tokenizer, ["a b"])
    assert (row, count_after(ends, 1)) == ([0, 2, 3], 1)
    whole, form = score_texts(lm, tokenizer, ["a b"])[0], score_texts(lm, tokenizer, ["a b"], count_from=[1])[0]
    assert (whole.tokens, form.tokens) == (2, 1)
    assert whole.log_prob == pytest.approx(math.log(1 / 64))
    assert form.log_prob == pytest.approx(math.log(1 / 8))


def test_pairs_are_told_apart_by_a_tokenizer_that_appends_something() -> None:
    lm, tokenizer = unigram_lm([0.25, 0.25, 0.375, 0.125]), framing_tokenizer("a", "b")
    scores = score_pairs(lm, tokenizer, [Pair("b a", "b b", "", given=1), Pair("a a", "a b", "", given=1)])
    assert scores.points().tolist() == [1.0, 1.0]
    assert scores.good_tokens.tolist() == [1, 1]


def test_a_set_with_a_text_of_which_no_token_counts_is_refused() -> None:
    lm, tokenizer = unigram_lm([0.25, 0.25, 0.25, 0.25]), framing_tokenizer("a", "b")
    with pytest.raises(TextError, match="No token of 'a c' counts"):  # no token says c
        score_pairs(lm, tokenizer, [Pair("a b", "a c", "", given=1)])
    with pytest.raises(TextError, match="No token of 'a c' counts"):
        choice_log_probs(lm, tokenizer, [Choice("a", ("b", "c"))])
    with pytest.raises(TextError, match="No token of 'c' counts"):
        BitsPerByte("it", ["a b", "c"])(Speaker(lm, tokenizer))


def test_a_tokenizer_that_knows_no_token_for_a_word_says_so() -> None:
    with pytest.raises(TextError, match=r"^The tokenizer cannot read a text: .*UNK"):
        encode(word_tokenizer("a", "b"), ["a c"])
