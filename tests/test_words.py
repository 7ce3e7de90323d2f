"""The word account: what counts as a word heard, said, written, by hand; and what BabyLM's rules say of each kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import make_tokenizer, tiny_lm
from hypothesis import given
from hypothesis import strategies as st
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase

from bambino import BambinoTrainer, FeedbackConfig, Recipe
from bambino.experiments.summary import summarize
from bambino.feedback.settings import KINDS
from bambino.recipe.text_settings import ReplayConfig, TextConfig
from bambino.runs.account import RULES, Text, account_of
from bambino.runs.costs import Costs, forward_flops
from bambino.runs.record import read_run
from bambino.text.lines import corpus_of
from bambino.text.replay import build_replay
from bambino.text.streams import LineStream, PackedStream, line_stream
from bambino.text.words import count_words, words_begun

Make = Callable[..., Recipe]
THREE = ["il gatto vede", "è bello qui", "sì"]
"""3, 3 and 1 words; in bytes 13, 12 and 3."""
HEARING = (
    "--schedule.cycle",
    "{clm: 1}",
    "--parent.model",
    "null",
    "--text.heldout_every",
    "null",
    "--text.min_chars",
    "0",
)


def stream(lines: Sequence[str], *, cut: bool = True, **settings: Any) -> LineStream:
    """Lines as single bytes, BOS before and EOS after each."""
    text = TextConfig(**settings)
    return line_stream(text, 0, corpus_of(lines, "lines"), make_tokenizer(vocab_size=1), "clm", cut=cut)


def rows_of(recipe: Recipe, log: str = "metrics") -> list[dict[str, Any]]:
    path = Path(recipe.output_dir) / f"{log}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# ------------------------------------------------------------------------------------------------------------- words


def test_a_word_counts_with_the_token_that_holds_its_first_byte() -> None:
    #        il | _gat | to | _è | _  (of two bytes, as NBSP has) | _qui
    ends = [2, 6, 8, 10, 11, 14]
    assert words_begun("il gatto è\u00a0qui", ends) == [1, 1, 0, 1, 0, 1]
    assert words_begun("il gatto", [0, 2, 6]) == [0, 1, 1]  # BOS ends at 0; what no token holds changes nothing
    assert words_begun("il gatto è", [2, 6]) == [1, 2]  # è was dropped by the tokenizer: it counts with the last
    assert words_begun("il", []) == []


@given(st.text(), st.lists(st.integers(0, 40)))
def test_over_the_tokens_of_a_text_each_word_counts_once(text: str, cuts: list[int]) -> None:
    ends = [*sorted(min(cut, len(text)) for cut in cuts), len(text)]
    assert sum(words_begun(text, ends)) == count_words(text)


@pytest.mark.parametrize(
    ("max_length", "words"),
    [
        (15, [3, 3, 1]),  # BOS, 13 bytes, EOS: all are whole
        (11, [3, 3, 1]),  # 10 bytes: "il gatto v", "è bello q"
        (10, [2, 2, 1]),  # 9 bytes: "il gatto ", "è bello "
        (2, [1, 1, 1]),  # 1 byte: "i", the first half of "è", "s"
    ],
)
def test_lines_that_are_cut_have_the_words_that_begin_in_what_is_kept(max_length: int, words: list[int]) -> None:
    corpus = corpus_of(THREE, "three")
    lines = line_stream(TextConfig(max_length=max_length), 0, corpus, make_tokenizer(vocab_size=1), "clm", cut=True)
    assert lines.rows.words.tolist() == words
    assert corpus.reports[0].words_cut == 7 - sum(words)


def test_a_batch_has_the_words_of_its_lines() -> None:
    lines = stream(THREE)
    by_line = [3, 3, 1]
    assert lines.words(0, 3) == lines.words(3, 3) == 7  # every epoch
    assert [lines.words(i, 1) for i in range(6)] == [by_line[i] for i in lines.indices(0, 6)]
    assert lines.words(2, 2) == sum(by_line[i] for i in lines.indices(2, 2))  # over the end of an epoch
    assert lines.words(0, 0) == 0


def test_packed_rows_have_the_words_that_begin_in_them() -> None:
    # BOS a b _ | c d _ e | EOS, which fills no row of four
    lines = stream(["ab cd e"], cut=False)
    assert [PackedStream(lines, 4).words(row, 1) for row in range(4)] == [1, 2, 1, 2]
    # BOS a | b _ | c d | _ e
    assert [PackedStream(lines, 2).words(row, 1) for row in range(4)] == [1, 0, 1, 1]
    assert PackedStream(lines, 2).words(0, 8) == 6


def test_packing_counts_each_word_of_an_epoch_once() -> None:
    packed = PackedStream(stream(THREE, cut=False), 2)
    assert packed.rows_in(0) == 17  # 34 tokens
    assert packed.words(0, 17) == packed.words(17, 17) == 7


def test_the_words_of_replay_are_those_of_its_lines(tmp_path: Path) -> None:
    english = tmp_path / "english.txt"
    english.write_text("one two three\nfour\n", encoding="utf-8")
    text, config = TextConfig(heldout_every=None, min_chars=0), ReplayConfig(sources=[str(english)], share=0.5)
    replay = build_replay(config, text, make_tokenizer(), seed=0, batch_size=2, steps=8)
    assert replay is not None
    assert sorted(replay.words(nth) for nth in (0, 1)) == [1, 3]  # a line beside each batch
    slow = ReplayConfig(sources=[str(english)], share=0.25)
    replay = build_replay(slow, text, make_tokenizer(), seed=0, batch_size=2, steps=8)
    assert replay is not None
    assert replay.words(0) == 0  # half a line is none


def test_words_are_counted_with_a_tokenizer_written_in_python() -> None:
    tokenizer: PreTrainedTokenizerBase = ByT5Tokenizer()
    assert not tokenizer.is_fast
    lines = line_stream(TextConfig(max_length=11), 0, corpus_of(THREE, "three"), tokenizer, "clm", cut=True)
    # EOS in place of BOS, then bytes, as above
    assert lines.rows.words.tolist() == [3, 3, 1]
    packed = line_stream(TextConfig(), 0, corpus_of(["ab cd è"], "one"), tokenizer, "clm", cut=False)
    # EOS a b _ c | d _ è (two bytes) EOS
    assert [PackedStream(packed, 5).words(row, 1) for row in range(2)] == [2, 1]


# ---------------------------------------------------------------------------------------------------------- of a run


def test_two_passes_over_three_lines(make_recipe: Make) -> None:
    recipe = make_recipe(*HEARING, "--batch_size", "3", "--max_steps", "2")
    BambinoTrainer(args=recipe, train_dataset=THREE).train()
    assert [row["total/words_heard"] for row in rows_of(recipe)] == [7, 14]
    run = read_run(recipe.output_dir)
    assert run.word_account == [
        ("L2 text", "7 words in 3 lines, 3 of them different"),
        ("L2 words heard", "14 (2.00 passes)"),
        ("words heard in all", "14"),
    ]
    assert [run.words_heard(step) for step in (0, 1, 2)] == [0, 7, 14]
    assert summarize(run)["words"] == run.word_account
    card = (Path(recipe.output_dir) / "model" / "README.md").read_text("utf-8")
    assert "| L2 words heard | 14 (2.00 passes) |" in card


def test_a_resumed_run_goes_on_counting(make_recipe: Make) -> None:
    recipe = make_recipe(*HEARING, "--batch_size", "2", "--max_steps", "3", "--text.mode", "packed")
    lines = [line * 9 for line in THREE]
    first = BambinoTrainer(
        args=recipe, train_dataset=lines, on_row=lambda row: setattr(first, "stop_requested", row.get("step") == 2)
    )
    first.train()
    BambinoTrainer(args=recipe, train_dataset=lines).train(resume_from_checkpoint=True)
    clm: Any = first.tools.streams.clm
    assert [row["total/words_heard"] for row in rows_of(recipe)] == [clm.words(0, 2 * n) for n in (1, 2, 3)]


def test_what_the_baby_reads_and_says_is_what_stands_in_its_utterances(make_recipe: Make) -> None:
    recipe = make_recipe("--feedback.missing_eos.weight", "1", "--feedback.parent_perplexity.tau", "null")
    trainer = BambinoTrainer(args=recipe)
    trainer.train()
    last, said = rows_of(recipe)[-1], rows_of(recipe, "utterances")
    assert last["total/words_said"] == sum(len(row["utterance"].split()) for row in said)
    assert last["total/words_of_prompts"] == sum(len(row["prompt"].split()) for row in said) > 0
    parent: Any = trainer.parent
    tokens = int(last["total/parent_tokens"])
    assert last["total/parent_flops"] == forward_flops(parent, tokens, tokens) < last["total/flops"]
    account = dict(read_run(recipe.output_dir).word_account)
    assert account["missing_eos by BabyLM's rules"] == "allowed"


def test_a_reward_of_ones_own_is_not_said_to_be_allowed(make_recipe: Make) -> None:
    def length(completions: list[str], **_: Any) -> list[float]:
        return [float(len(text)) for text in completions]

    recipe = make_recipe("--max_steps", "3", "--parent.model", "null")
    BambinoTrainer(args=recipe, reward_funcs=length).train()
    assert read_run(recipe.output_dir).word_account[-1] == ("length by BabyLM's rules", "not stated")


# ------------------------------------------------------------------------------------------------------- the account


def test_who_wrote_is_counted_apart() -> None:
    costs, lm = Costs(), tiny_lm("opt")
    costs.heard(lm, 10, 9, words=4)
    costs.heard(lm, 10, 9, "replay", words=3)
    costs.heard(lm, 10, 9, "review", words=2)
    costs.heard(lm, 10, 9, "recast")
    costs.heard_words("recast", 6)
    costs.heard_words("dream", 5)
    costs.written("people", ["il gatto", "la"])
    costs.written("baby", ["  vede  il", ""])
    costs.written("first_baby", ["the cat sees"])
    costs.written("parent", ["dorme"])
    costs.written("parent", ["e poi mangia"])
    words = {name: total for name, total in costs.totals.items() if name.startswith("words_")}
    assert words == {
        "words_heard": 4,
        "words_replayed": 3,
        "words_review": 2,
        "words_recast": 6,
        "words_dreamed": 5,
        "words_of_prompts": 3,
        "words_said": 2,
        "words_self_written": 3,
        "words_written_by_parent": 4,
    }


def source(kept: int, unique: int, words: int, words_cut: int) -> dict[str, int]:
    return {"kept": kept, "unique": unique, "words": words, "words_cut": words_cut}


def test_the_account_by_hand() -> None:
    data = {
        "clm": [source(100, 90, 1000, 40), source(50, 50, 500, 60)],
        "replay": [source(1000, 1000, 20_000, 0)],
        "rewards": ["parent_perplexity", "spans", "mine"],
        "babylm": {"parent_perplexity": "allowed", "spans": "parent_words_count"},
    }
    totals = {
        "words_heard": 2800,
        "words_replayed": 5000,
        "words_review": 200,
        "words_recast": 50,
        "words_said": 12_345,
        "words_written_by_parent": 60,
        "parent_tokens": 7,
    }
    assert account_of(data, totals) == [
        ("L2 text", "1,500 words in 150 lines, 140 of them different"),
        ("L2 words heard", "2,800 (2.00 passes)"),  # of 1500 - 100
        ("L1 text", "20,000 words in 1,000 lines, 1,000 of them different"),
        ("L1 words replayed", "5,000 (0.25 passes)"),
        ("words review heard", "200"),
        ("words of recasts heard", "50"),
        ("words heard in all", "8,050"),
        ("words said", "12,345"),
        ("words that the parent wrote", "60"),
        ("tokens that the parent read", "7"),
        ("parent_perplexity by BabyLM's rules", "allowed"),
        ("spans by BabyLM's rules", "allowed where the words that the parent was raised on are counted"),
        ("mine by BabyLM's rules", "not stated"),
    ]
    assert account_of(data, {"parent_tokens": 7}) == []  # a run that counted no words
    assert Text(1, 1, 5, 5).passes(0) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_babylms_rules_say_of_it(kind: str) -> None:
    settings = KINDS[kind]
    assert settings.babylm in RULES
    assert settings.babylm != FeedbackConfig.babylm, f"{settings.__name__} must state babylm; see FeedbackConfig"
