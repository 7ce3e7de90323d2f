"""The parent's surprisal word by word: by hand, and the law that the words add up to the utterance."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_tokenizer
from known_models import bigram_lm, byte_speaker, sharp_lm, word_tokenizer
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from bambino import BambinoTrainer, Recipe
from bambino.evaluation.in_training import measures_of
from bambino.scoring.perplexity import perplexities
from bambino.scoring.surprisal import Word
from bambino.scoring.texts import score_texts
from bambino.speaking.speaker import Speaker

SAID = [
    ("il gatto", " vede il cane"),
    ("il ga", "tto dorme.\nPoi\tmangia  pane "),  # the prompt ends within a word
    ("小猫", "看见了一只狗。"),
    ("小", "猫 runs 快"),
    ("เด็ก", "กินข้าว"),
    ("הילד", " רואה את הכלב"),
    ("القط", " يرى الكلب"),
    ("ciao", " 👩‍👧🙂<script>"),
    ("", "il gatto"),
    ("il", ""),
    ("il", "  "),
]


def words(parent: Speaker, prompt: str, said: str, has_ended: bool = True, **how: object) -> list[Word]:
    """The words of one utterance."""
    found = perplexities(parent.lm, parent.tokenizer, [prompt], [prompt + said], [has_ended], with_words=True, **how)  # type: ignore[arg-type]
    assert found.words is not None
    return found.words[0]


@pytest.mark.parametrize("prepends_bos", [False, True])
@pytest.mark.parametrize("scope", ["whole", "utterance"])
def test_the_words_are_the_utterance_and_their_surprisal_is_its_own(scope: str, prepends_bos: bool) -> None:
    tokenizer = make_tokenizer(prepends_bos=prepends_bos)
    parent = Speaker(sharp_lm("gpt2", len(tokenizer)), tokenizer)
    prompts, texts = [prompt for prompt, _ in SAID], [prompt + said for prompt, said in SAID]
    found = perplexities(parent.lm, tokenizer, prompts, texts, [True] * len(SAID), scope=scope, with_words=True)  # type: ignore[arg-type]
    scores = score_texts(parent.lm, tokenizer, texts, count_from=[len(prompt) for prompt in prompts])
    assert found.words is not None
    for (_, said), of, score in zip(SAID, found.words, scores, strict=True):
        assert "".join(word for word, _ in of) == said
        assert sum(bits for _, bits in of) * math.log(2) == pytest.approx(-score.log_prob, abs=1e-4)
    without = perplexities(parent.lm, tokenizer, prompts, texts, [True] * len(SAID), scope=scope)  # type: ignore[arg-type]
    assert (found.values, found.tokens_read, without.words) == (without.values, without.tokens_read, None)


def test_words_are_cut_before_spaces_and_between_characters_that_are_written_without() -> None:
    parent = byte_speaker()[0]  # a token is a byte, so nothing is cut for a token's sake
    found = [[word for word, _ in words(parent, prompt, said)] for prompt, said in SAID]
    assert found == [
        [" vede", " il", " cane"],
        ["tto", " dorme.", "\nPoi", "\tmangia", "  pane", " "],
        ["看", "见", "了", "一", "只", "狗", "。"],
        ["猫", " runs", " 快"],
        ["กิ", "น", "ข้", "า", "ว"],  # a vowel or tone that is a mark stays with its letter
        [" רואה", " את", " הכלב"],
        [" يرى", " الكلب"],
        [" 👩‍👧🙂<script>"],
        ["il", " gatto"],
        [],
        ["  "],
    ]


def test_surprisal_by_hand() -> None:
    # p(a | <s>) = 1/2, p(b | a) = 1/4, p(cc | b) = 1/8
    probs = torch.zeros(4, 4)
    probs[0, 1], probs[1, 2], probs[2, 3] = 0.5, 0.25, 0.125
    probs[:, 0] = 1 - probs.sum(1)
    parent = Speaker(bigram_lm(probs), word_tokenizer("a", "b", "cc"))
    assert words(parent, "a", " b cc") == [[" b", pytest.approx(2)], [" cc", pytest.approx(3)]]
    assert words(parent, "", "a b") == [["a", pytest.approx(1)], [" b", pytest.approx(2)]]
    # the token limit may have cut cc, which is not read then
    assert words(parent, "a", " b cc", has_ended=False, until="last_word") == [[" b", pytest.approx(2)], [" cc", None]]
    assert words(parent, "a", "") == []


def test_a_token_of_two_words_keeps_them_together_and_one_across_the_prompts_end_is_the_utterances() -> None:
    # "a b" is one token of probability 1/4, " c" another of 1/2 after it
    vocabulary = {token: i for i, token in enumerate(["<s>", "a", "b", "c", " ", " b", "a b", " c"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [(" ", "b"), ("a", " b"), (" ", "c")]))
    probs = torch.full((8, 8), 1 / 8)
    probs[0] = torch.tensor([1, 1, 1, 1, 1, 1, 4, 6]) / 16
    probs[6] = torch.tensor([1, 1, 1, 1, 1, 1, 2, 8]) / 16
    parent = Speaker(bigram_lm(probs), PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>"))
    assert words(parent, "", "a b c") == [["a b", pytest.approx(2)], [" c", pytest.approx(1)]]
    assert words(parent, "a", " b c") == [[" b", pytest.approx(2)], [" c", pytest.approx(1)]]


def test_a_run_logs_the_parents_surprisal_and_a_run_without_a_parent_none(make_recipe: Callable[..., Recipe]) -> None:
    evaluated = ("--evaluation.eval_steps", "3", "--evaluation.utterances", "2", "--max_steps", "3")
    recipe, alone = (
        make_recipe(*evaluated),
        make_recipe(*evaluated, "--parent.model", "null", "--schedule.cycle", "{clm: 1}", output_dir="alone"),
    )
    for one in (recipe, alone):
        BambinoTrainer(args=one, measures=measures_of(one)).train()
    rows = said_in(recipe)
    assert [row["kind"] for row in rows] == ["evaluation"] * 2 + ["ppo"] * 4 + ["evaluation"] * 2
    assert all("".join(word for word, _ in row["surprisal"]) == row["utterance"] for row in rows)
    assert all("surprisal" not in row for row in said_in(alone))


def said_in(recipe: Recipe) -> list[dict[str, Any]]:
    """The rows of utterances.jsonl."""
    lines = (Path(recipe.output_dir) / "utterances.jsonl").read_text("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
