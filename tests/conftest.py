"""Tiny random models, tokenizers and text, built here; no network, no files from outside.

The process that only hands tests out to others imports this too, so PyTorch and Transformers are imported where they
are used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gc
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from bambino import Recipe, load_recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

settings.register_profile("untimed", deadline=None)  # what a busy machine makes slow is no failure
settings.load_profile("untimed")

T = TypeVar("T")

FAMILIES = ("opt", "gpt2", "llama", "qwen2", "gpt_neox")

NOUNS = ["gatto", "cane", "bambino", "libro", "fiore", "treno", "pane", "sole", "mare", "cuore"]
VERBS = ["vede", "ama", "cerca", "trova", "guarda", "porta", "prende", "lascia"]
ENDINGS = ["nel giardino della città.", "perché è già tardi.", "con la nonna e lo zio.", "ogni mattina presto."]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays to the end: nobody searches it for garbage, neither now nor in each test."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _one_quiet_thread() -> None:
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fresh_accelerator_state() -> Iterator[None]:
    """Accelerate keeps its precision for the life of a process; each test chooses its own."""
    from accelerate.state import AcceleratorState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def there(value: T | None) -> T:
    """A value that the test knows to be there."""
    assert value is not None
    return value


def italian_lines(count: int, seed: int = 0) -> list[str]:
    """Made-up sentences of varying length, all different."""
    rng = random.Random(seed)
    lines: dict[str, None] = {}
    while len(lines) < count:
        clauses = [
            f"il {rng.choice(NOUNS)} {rng.choice(VERBS)} il {rng.choice(NOUNS)} {rng.choice(ENDINGS)}"
            for _ in range(rng.choice([1, 1, 2, 3]))
        ]
        lines[" e poi ".join(clauses)] = None
    return list(lines)


def make_tokenizer(
    *,
    bos: str | None = "</s>",
    eos: str | None = "</s>",
    pad: str | None = "<pad>",
    prepends_bos: bool = False,
    vocab_size: int = 320,
) -> PreTrainedTokenizerFast:
    """A byte-level BPE with the special tokens asked for."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token in dict.fromkeys([pad, bos, eos]) if token is not None]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(italian_lines(200), trainer)
    if prepends_bos:
        assert bos is not None
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad)


def tiny_lm(family: str, vocab_size: int = 320, seed: int = 0, context: int = 64, **settings: Any) -> PreTrainedModel:
    """A random model of a family: width 32, two layers, in eval mode."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, LlamaConfig, OPTConfig, Qwen2Config

    shared = {"vocab_size": vocab_size, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    wide = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": context,
    }
    configs = {
        "opt": lambda: OPTConfig(**shared, **wide, ffn_dim=64, word_embed_proj_dim=32, dropout=0.1, **settings),
        "gpt2": lambda: GPT2Config(**shared, n_embd=32, n_layer=2, n_head=2, n_positions=context, **settings),
        "llama": lambda: LlamaConfig(**shared, **wide, intermediate_size=64, **settings),
        "qwen2": lambda: Qwen2Config(**shared, **wide, intermediate_size=64, num_key_value_heads=1, **settings),
        "gpt_neox": lambda: GPTNeoXConfig(**shared, **wide, intermediate_size=64, **settings),
    }
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(configs[family]()).eval()


@pytest.fixture(scope="session")
def baby_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny OPT baby with its tokenizer, in Hugging Face format."""
    folder = tmp_path_factory.mktemp("baby")
    tokenizer = make_tokenizer()
    tiny_lm("opt", len(tokenizer), seed=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def parent_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 parent with a tokenizer of its own and no pad token."""
    folder = tmp_path_factory.mktemp("parent")
    tokenizer = make_tokenizer(bos="<|end|>", eos="<|end|>", pad=None, vocab_size=400)
    tiny_lm("gpt2", len(tokenizer), seed=2).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_text_model(make: type[PreTrainedModel], folder: Path, seed: int = 4) -> None:
    """A tiny BERT (a classifier of two labels, bad and good, or a plain one) with its tokenizer, in a folder."""
    import torch
    from transformers import BertConfig

    tokenizer = make_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=tokenizer.pad_token_id,
        id2label={0: "bad", 1: "good"},
        label2id={"bad": 0, "good": 1},
        initializer_range=0.5,
    )
    torch.manual_seed(seed)
    make(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier with the labels bad and good."""
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("classifier")
    save_text_model(BertForSequenceClassification, folder)
    return folder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of sentences."""
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("encoder")
    save_text_model(BertModel, folder)
    return folder


def with_own_code(like: Path, folder: Path, config: str, model: str, opener: str) -> Path:
    """A copy of a model that brings its own Python, of which Transformers has no class: a subclass of its class.

    Whenever that Python runs it leaves a file `ran` in the folder.
    """
    shutil.copytree(like, folder)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", opener: "own.Own"}}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    code = f"""from transformers import {config}, {model}
open({str(folder / "ran")!r}, "w").close()
class OwnConfig({config}):
    model_type = "own"
class Own({model}):
    config_class = OwnConfig
"""
    (folder / "own.py").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 lines of made-up Italian."""
    path = tmp_path_factory.mktemp("text") / "italian.txt"
    path.write_text("\n".join(italian_lines(120, seed=3)) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def make_recipe(baby_folder: Path, parent_folder: Path, text_file: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """make_recipe("--ppo.epochs", "2", ...): a recipe for a run of a few seconds on the tiny models."""

    def make(*overrides: str, output_dir: str = "run") -> Recipe:
        base = {
            "--baby.model": baby_folder,
            "--parent.model": parent_folder,
            "--parent.must_know_l2": "false",
            "--text.sources": f"[{text_file}]",
            "--text.heldout_every": "10",
            "--text.max_length": "40",
            "--batch_size": "4",
            "--max_steps": "6",
            "--schedule.cycle": "{clm: 2, ppo: 1}",
            "--clm.learning_rate": "1e-3",
            "--ppo.learning_rate": "1e-3",
            "--rollout.prompt_tokens": "4",
            "--rollout.max_new_tokens": "5",
            "--evaluation.utterances": "0",
            "--output_dir": tmp_path / output_dir,
        }
        words = [word for name, value in base.items() for word in (name, str(value))]
        return load_recipe(None, [*words, *overrides])

    return make
