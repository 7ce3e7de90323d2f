"""Raising a model from scratch: tokenizer, shape, training, resume, and the command line."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from conftest import FAMILIES, italian_lines
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from bambino import BambinoTrainer
from bambino.cli.main import main
from bambino.errors import RecipeError, RunDirectoryError
from bambino.losses.clm import clm_loss
from bambino.models.newborn import train_tokenizer
from bambino.recipe.file import load_recipe
from bambino.recipe.model_settings import ShapeConfig
from bambino.recipe.settings import Recipe
from bambino.training.pretrain import newborn_trainer, pretrain

TINY = shlex.split(
    "--schedule.cycle '{clm: 1}' --max_steps 20 --batch_size 4 --text.mode packed --text.max_length 32 "
    "--shape.hidden_size 32 --shape.num_layers 1 --shape.num_heads 2 --shape.context 32 --shape.vocab_size 320 "
    "--clm.learning_rate 1e-2 --evaluation.utterances 0"
)


@pytest.fixture
def tiny(text_file: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """tiny("--seed", "3", ...): a recipe that raises a tiny model in a second."""

    def make(*overrides: str, output_dir: str = "run") -> Recipe:
        words = ["--text.sources", f"[{text_file}]", "--output_dir", str(tmp_path / output_dir)]
        return load_recipe(None, [*TINY, *words, *overrides])

    return make


@pytest.mark.parametrize("architecture", FAMILIES)
def test_each_architecture_learns_and_opens_with_auto_model(
    architecture: str, tiny: Callable[..., Recipe], tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = []
    pretrain(tiny("--shape.architecture", architecture), on_row=rows.append)
    losses = [row["clm/loss"] for row in rows if row["kind"] == "step"]
    # Random weights spread 1 over 320 tokens.
    assert losses[0] == pytest.approx(math.log(320), rel=0.05)
    assert losses[-1] < 0.7 * losses[0]
    lm = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    text = "il gatto, 1234 volte; perche\u0301 no?  Due  spazi \n\n e <pad>"
    newborn = PreTrainedTokenizerFast.from_pretrained(tmp_path / "run" / "newborn")
    assert tokenizer.get_vocab() == newborn.get_vocab()
    assert tokenizer(text)["input_ids"] == newborn(text)["input_ids"]
    assert lm.config.model_type == architecture
    assert lm.get_input_embeddings().weight.shape == (320, 32)
    assert tokenizer.decode(tokenizer("perché no? 日本")["input_ids"]) == "perché no? 日本"


def test_a_run_stopped_and_resumed_ends_in_the_same_bits(tiny: Callable[..., Recipe]) -> None:
    def weights(trainer: BambinoTrainer) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in trainer.baby.lm.parameters()])

    whole = weights(pretrain(tiny(output_dir="whole")))

    def stop(row: dict[str, Any]) -> None:
        stopped.stop_requested = row.get("step") == 7

    stopped = newborn_trainer(tiny(output_dir="parts"), on_row=stop)
    stopped.train()
    assert stopped.step == 7
    assert torch.equal(weights(pretrain(tiny(output_dir="parts"), resume=True)), whole)


def newborn(recipe: Recipe, lines: list[str] | None = None) -> Path:
    """The folder of the model that a run begins with."""
    newborn_trainer(recipe, train_dataset=lines)
    return Path(recipe.output_dir) / "newborn"


def test_the_same_seed_gives_the_same_newborn_and_another_seed_another(tiny: Callable[..., Recipe]) -> None:
    def bits(name: str, seed: str) -> bytes:
        return (newborn(tiny("--seed", seed, output_dir=name)) / "model.safetensors").read_bytes()

    assert bits("one", "1") == bits("again", "1") != bits("two", "2")


def test_the_tokenizer_is_trained_on_training_lines_only(tiny: Callable[..., Recipe]) -> None:
    # Of the lines only one is long enough; it has too little in it for 320 - 258 merges.
    lines = [*["il cane e il gatto " * 2] * 3, *[line[:30] for line in italian_lines(40)]]
    settings = ("--text.heldout_every", "null", "--text.max_length", "4")
    folders = [
        newborn(tiny(*settings, output_dir="all"), lines),
        newborn(tiny(*settings, "--text.min_chars", "35", output_dir="few"), lines),
    ]
    sizes = [len(AutoTokenizer.from_pretrained(folder)) for folder in folders]
    assert sizes[0] == 320
    assert sizes[1] < 290


def test_no_text_is_unknown_and_the_end_token_begins_and_ends() -> None:
    tokenizer = train_tokenizer(["ciao"], 258)
    assert (len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (258, 0, 0, 1)
    assert len(tokenizer("ciao日")["input_ids"]) == 4 + 3


def test_the_loss_by_hand() -> None:
    # A uniform model over 4 tokens gives each -ln 4.
    assert float(clm_loss(torch.zeros(1, 4), torch.tensor([2]))) == pytest.approx(math.log(4))
    # Logits (ln 3, 0): p = (3/4, 1/4); the sum over both targets.
    logits = torch.tensor([[math.log(3), 0.0]] * 2)
    by_hand = -(math.log(0.75) + math.log(0.25))
    assert float(clm_loss(logits, torch.tensor([0, 1]))) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--schedule.cycle", "{clm: 10, ppo: 2}"], "schedule.cycle"),
        (["--schedule.warmup", "{ppo: 1}"], "schedule.cycle"),
        (["--baby.model", "some"], "baby.model"),
    ],
)
def test_what_cannot_be_raised_from_scratch_is_refused(words: list[str], key: str, tiny: Callable[..., Recipe]) -> None:
    with pytest.raises(RecipeError) as error:
        newborn_trainer(tiny(*words))
    assert error.value.key == key


def test_a_newborn_of_somebody_elses_is_left_alone(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "run" / "newborn").mkdir(parents=True)
    (tmp_path / "run" / "newborn" / "photo.txt").write_text("mine")
    with pytest.raises(RunDirectoryError, match="holds newborn already"):
        newborn_trainer(tiny())
    assert (tmp_path / "run" / "newborn" / "photo.txt").read_text() == "mine"


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"shape.num_heads = 5 does not divide the hidden size 32."):
        ShapeConfig(hidden_size=32, num_heads=5)


def test_sizes_have_the_parameters_in_their_names() -> None:
    # A GPT-2 layer has 12 h^2 weights, biases left out: 4 layers of 128: 0.8 M; 6 of 256: 4.7 M; 8 of 384: 14.2 M.
    sizes: list[tuple[Literal["1m", "5m", "14m"], float]] = [("1m", 0.8), ("5m", 4.7), ("14m", 14.2)]
    for name, millions in sizes:
        shape = ShapeConfig(size=name)
        assert 12 * shape.width**2 * shape.layers / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_command_line_raises_and_goes_on(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--text.sources", f"[{text_file}]", "--output_dir", str(tmp_path / "run")]
    short = [word if word != "20" else "3" for word in TINY]
    assert main(["pretrain", "pretrain-small", *short, *words, "--clm.warmup_updates", "1"]) == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert "random weights" in (tmp_path / "run" / "model" / "README.md").read_text()
    assert main(["pretrain", "--resume", str(tmp_path / "run")]) == 0
    assert main(["pretrain", "--schedule.cycle", "{clm: 10, ppo: 2}"]) == 2
    assert "schedule.cycle '{clm: 1}'" in capsys.readouterr().err
