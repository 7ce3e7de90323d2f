"""What a tokenizer cannot spell is counted, said, and kept out of comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import make_tokenizer, tiny_lm
from known_models import unigram_lm
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from bambino import BambinoTrainer
from bambino.analysis.bilingual import bilingual
from bambino.analysis.comparison import compare, compare_over_seeds, not_compared
from bambino.analysis.results import Results
from bambino.analysis.verdicts import with_baseline
from bambino.errors import CurveError, ResultsError, TextError
from bambino.evaluation.fluency import BitsPerByte
from bambino.evaluation.in_training import measures_of
from bambino.measures import TaskResult
from bambino.recipe.settings import Recipe
from bambino.speaking.speaker import Speaker
from bambino.text.unknown import Unknown, unknown_in


def characters(known: str, unknown: str | None = "<unk>") -> PreTrainedTokenizerFast:
    """A token for each of these characters; others are <unk>, or in no token."""
    special = ["<s>", *([] if unknown is None else [unknown])]
    vocabulary = {token: i for i, token in enumerate([*special, *known])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token=unknown)


ITALIAN = characters("abcdefghilmnopqrstuvz ")
LINES = ["perché è così", "una casa"]  # é è ì of 11 + 7 visible characters, of 13 + 8 tokens


def test_unknown_tokens_and_characters_by_hand() -> None:
    assert unknown_in(ITALIAN, LINES) == Unknown(3, 21, 3, 18)
    assert unknown_in(ITALIAN, ["una casa"]) == Unknown(0, 8, 0, 7)
    assert unknown_in(make_tokenizer(), [*LINES, "那个 😀"]).characters == 0  # bytes spell everything


def test_characters_that_are_in_no_token_count_though_no_token_is_unknown() -> None:
    found = unknown_in(characters("abcdefghilmnopqrstuvz ", unknown=None), LINES)
    assert (found.tokens, found.characters, found.of_characters) == (0, 3, 18)
    assert not found.is_comparable


def test_a_text_that_a_tokenizer_cannot_read_is_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"una": 0}, unk_token="<unk>"))  # a token that it has not
    with pytest.raises(TextError, match=r"The tokenizer cannot read a text: .*Use one that knows bytes"):
        unknown_in(PreTrainedTokenizerFast(tokenizer_object=tokenizer), ["una", "casa"])


def test_tokens_are_counted_with_a_tokenizer_written_in_python() -> None:
    tokenizer: PreTrainedTokenizerBase = ByT5Tokenizer()
    assert not tokenizer.is_fast
    assert unknown_in(tokenizer, LINES) == Unknown(0, 24, 0, 18)  # a token for each byte


def test_a_thousandth_is_the_most_that_compares() -> None:
    assert Unknown(1, 1000, 1, 1000).is_comparable
    assert not Unknown(2, 1000, 2, 1000).is_comparable
    assert str(Unknown(2, 8, 1, 10)) == (
        "25.0% of the tokens are unknown (<unk>), and 10.0% of the characters are not read"
    )


def measured(tokenizer: PreTrainedTokenizerFast, lines: list[str], text: str = "l2") -> TaskResult:
    size = len(tokenizer)
    return BitsPerByte(text, lines)(Speaker(unigram_lm([1 / size] * size), tokenizer))


def results(name: str, *tasks: TaskResult) -> Results:
    return Results(name, {task.task: task for task in tasks})


def test_bits_per_byte_say_what_was_not_read() -> None:
    result = measured(ITALIAN, LINES)
    assert result.settings["unknown_tokens"] == 3
    assert "not comparable with other tokenizers: 14.3% of the tokens are unknown" in result.verdict
    read = measured(ITALIAN, ["una casa"])
    assert (read.settings["unknown_tokens"], "unread" in read.settings) == (0, False)
    assert "comparable" not in read.verdict


def test_bits_per_byte_of_one_who_does_not_read_everything_are_compared_with_none_of_another_tokenizer() -> None:
    lines = [*LINES, "il gatto è già qui", "che dà"]
    other = make_tokenizer(vocab_size=1)
    blind, seeing = measured(ITALIAN, lines), measured(other, lines)
    both = measured(ITALIAN, ["una casa", "il gatto"], "l1"), measured(other, ["una casa", "il gatto"], "l1")
    one, two = results("one", blind, both[0]), results("two", seeing, both[1])
    assert [found.score for found in compare(one, two)] == ["bits_per_byte/l1"]
    assert [found.score for found in compare_over_seeds([one] * 2, [two] * 2)] == ["bits_per_byte/l1"]
    (said,) = not_compared([one], [two])
    assert said.startswith("bits_per_byte/l2 is not compared, for one tokenizer does not know what another reads: ")
    with pytest.raises(ResultsError, match="of the characters are not read"):
        compare(results("one", blind), results("two", seeing))
    with pytest.raises(ResultsError, match="of the characters are not read"):
        with_baseline(blind, seeing)
    models = [{task.task: task for task in tasks} for tasks in ((blind, both[0]), (seeing, both[1]))]
    with pytest.raises(CurveError, match="do not compare"):
        bilingual(models[0], models[0], models[1])


def test_one_tokenizer_hides_the_same_from_both_models() -> None:
    lines = [*LINES, "il gatto è già qui", "che dà"]
    one, two = results("one", measured(ITALIAN, lines)), results("two", measured(ITALIAN, lines))
    assert [found.score for found in compare(one, two)] == ["bits_per_byte/l2"]
    assert not_compared([one], [two]) == []


def test_a_run_warns_of_a_tokenizer_that_does_not_know_its_text(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    text = tmp_path / "it.txt"
    text.write_text("\n".join(f"perché {number} è così" for number in "abcdefghil" * 20), encoding="utf-8")
    recipe = make_recipe(
        *("--text.sources", f"[{text}]", "--text.min_chars", "1", "--max_steps", "1", "--schedule.cycle", "{clm: 1}"),
        *("--evaluation.eval_steps", "1", "--evaluation.texts", f"{{it: [{text}]}}"),
    )
    rows: list[dict[str, Any]] = []
    size = len(ITALIAN)
    BambinoTrainer(
        tiny_lm("gpt2", size),
        args=recipe,
        processing_class=ITALIAN,
        measures=measures_of(recipe),
        on_row=rows.append,
    ).train()
    warned = [row["text"] for row in rows if row["kind"] == "warning" and "of the tokens are unknown" in row["text"]]
    assert len(warned) == 2  # of two evaluations the first warns
    assert warned[1].startswith("bits_per_byte/it is too low, and not comparable with other tokenizers: 20.0% of")
    # é è ì of perché, a letter, è, così: 3 of 12 visible characters, of 15 tokens
    assert warned[0].startswith("The baby's tokenizer does not know all of the L2 text: 20.0% of the tokens")
    data = json.loads((Path(recipe.output_dir) / "data.json").read_text())
    share = data["unknown"]["baby"]["characters"] / data["unknown"]["baby"]["of_characters"]
    assert share == 3 / 12
    assert "normalized" not in data["evaluation"]["bits_per_byte/it"]
    assert data["unknown"]["parent"]["tokens"] == 0
