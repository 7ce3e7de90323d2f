"""Text that a model writes: its laws, and the command."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from known_models import bigram_lm, word_tokenizer

from bambino.cli.main import main
from bambino.errors import ModelError
from bambino.recipe.phase_settings import RolloutConfig
from bambino.speaking.speaker import Speaker
from bambino.speaking.written import AT_ONCE, up_to, written

# <s> 0, </s> 1, uno 2, due 3: it begins with uno, of which due, uno and the end follow with 1/2, 1/4, 1/4; due ends.
PROBS = torch.tensor([[0, 0, 1, 0], [0, 0, 1, 0], [0, 0.25, 0.25, 0.5], [0, 1, 0, 0]])


def counting() -> Speaker:
    return Speaker(bigram_lm(PROBS), word_tokenizer("uno", "due", eos="</s>"))


def test_lines_are_sampled_from_the_model() -> None:
    lines = list(islice(written(counting(), RolloutConfig(max_new_tokens=20), seed=3), 2000))
    assert set(lines) <= {" ".join(["uno"] * n + last) for n in range(1, 21) for last in ([], ["due"])}
    # P(uno due) = 1/2, P(uno) = 1/4; three standard deviations of 2000 draws are 0.034 and 0.029
    assert lines.count("uno due") / 2000 == pytest.approx(0.5, abs=0.034)
    assert lines.count("uno") / 2000 == pytest.approx(0.25, abs=0.029)


def test_a_seed_writes_one_text_whatever_is_taken_of_it() -> None:
    how = RolloutConfig(max_new_tokens=6)
    first, again, other = (list(islice(written(counting(), how, seed=seed), 3 * AT_ONCE)) for seed in (1, 1, 2))
    assert first == again != other
    assert list(islice(written(counting(), how, seed=1), 5)) == first[:5]


def test_a_line_that_the_limit_cut_loses_its_last_word_and_an_empty_one_is_left_out() -> None:
    # After two tokens: "uno" ended, "uno due" and "uno uno" not. After one token nothing is whole.
    assert set(islice(written(counting(), RolloutConfig(max_new_tokens=2), seed=1), 100)) == {"uno"}
    with pytest.raises(ModelError, match="None of 64 texts holds a whole word"):
        next(written(counting(), RolloutConfig(max_new_tokens=1), seed=1))


def test_a_model_without_a_token_that_begins_a_text_is_refused() -> None:
    speaker = Speaker(bigram_lm(PROBS[2:, 2:]), word_tokenizer("uno", "due", bos=None))
    with pytest.raises(ModelError, match="nothing begins a text"):
        next(written(speaker, RolloutConfig(), seed=1))


def test_lines_are_taken_until_they_hold_the_words() -> None:
    lines = ["uno due", "uno", "uno uno due", "uno"]
    assert up_to(iter(lines), max_words=3) == lines[:2]
    assert up_to(iter(lines), max_words=4) == lines[:3]  # the last line is whole
    assert up_to(iter(lines), max_lines=1) == lines[:1]


def test_the_command_writes_a_file(tmp_path: Path, parent_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "parent.txt"
    assert main(["write", str(parent_folder), "--words", "40", "--out", str(out), "--max_new_tokens", "20"]) == 0
    lines = out.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    words = sum(len(line.split()) for line in lines)
    assert words >= 40 > words - len(lines[-1].split())
    assert capsys.readouterr().out == f"Wrote {out}: {len(lines)} lines, {words} words\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--words", "0"], "--words 0 is too few"),
        (["--lines", "3", "--top_p", "2"], "top_p"),
        (["--lines", "3", "--out", "/dev/null/at/all.txt"], "/dev/null/at cannot be written to (Not a directory)"),
        ([], "one of the arguments --lines --words is required"),
    ],
)
def test_what_cannot_be_written_is_refused(
    parent_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    assert main(["write", str(parent_folder), "--out", "said.txt", *words]) == 2
    assert problem in capsys.readouterr().err
