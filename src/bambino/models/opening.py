"""What is looked at before Transformers opens a model, and what becomes of its errors.

A folder that a stranger made runs nothing here: no Python of its own unless a setting allows it, no pickle at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils.hub import cached_file

from bambino.errors import ModelError, shortened
from bambino.files import json_of

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MOST_LAYERS = 10_000
"""More than any model has."""


@contextmanager
def opening(name: str, problem: str, way_out: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes one message: a broken file raises anything, in Transformers and below.

    Args:
        name: the setting and its value, `baby.model = PATH`.

    Raises:
        ModelError: name, problem, the error's first line, way out.
    """
    try:
        yield
    except (ModelError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic in Rust, below tokenizers, is no Exception
        raise ModelError(f"{shortened(name)} {problem}: {in_a_line(error)}. {way_out}") from None


def check_files(source: str, name: str, key: str, *, trust_remote_code: bool, revision: str | None = None) -> None:
    """Refuse a folder or hub name that would run code or unpickle something, or that holds an adapter alone.

    Args:
        key: the setting that allows Python of the model's own.
        trust_remote_code: what that setting says.

    Raises:
        ModelError: naming the file and the way out.
    """
    config, tokenizer, adapter = (
        _content(source, file, revision) for file in ("config.json", "tokenizer_config.json", "adapter_config.json")
    )
    for file, content in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        if "auto_map" in content and not trust_remote_code:
            raise ModelError(
                f"{shortened(name)} wants to run Python of its own ({file} has an auto_map). Read it first: {key} true "
                "runs it with all your rights. Where Transformers has a class for the model, take auto_map out instead."
            )
    if adapter:
        way_out = "Merge it into its base model and save that: model.merge_and_unload().save_pretrained(FOLDER)."
        raise ModelError(f"{shortened(name)} holds an adapter (adapter_config.json), not a whole model. {way_out}")
    for layers in ("num_hidden_layers", "num_layers", "n_layer"):
        if isinstance(config.get(layers), int) and config[layers] > MOST_LAYERS:  # to make them all would take hours
            raise ModelError(f"{shortened(name)} asks for {layers} = {config[layers]} in config.json. Is it damaged?")
    shards = _content(source, INDEX, revision).get("weight_map", {}).values()
    for file in (config.get("transformers_weights") or WEIGHTS, *shards):
        if not file.endswith(".safetensors"):
            raise ModelError(f"{shortened(name)} names weights in {shortened(file)}. {_convert(source)}")
    if _holds_pickles_alone(Path(source)):
        raise ModelError(f"{shortened(name)} has its weights in pytorch_model.bin alone. {_convert(source)}")


def check_finite(model: nn.Module, name: str) -> None:
    """Refuse a model with a weight that is no number.

    Raises:
        ModelError: naming the first tensor, and how many of its numbers are NaN or infinite.
    """
    named = list(model.named_parameters())
    finite = torch.stack([weight.isfinite().all() for _, weight in named]).tolist()  # a GPU is waited for once
    if not all(finite):
        which, weight = named[finite.index(False)]
        bad = int((~weight.isfinite()).sum())
        raise ModelError(
            f"{shortened(name)} has weights that are no numbers: {bad} of {weight.numel()} in {which} are NaN or "
            "infinite. Was it saved by a run that diverged? Use an earlier checkpoint, or another model."
        )


def in_a_line(error: BaseException) -> str:
    """An error's first line, the next one too where that only announces it, with its kind where that says more."""
    first, *more = [line.strip() for line in str(error).strip().splitlines()] or [""]
    line = shortened(f"{first} {more[0]}" if first.endswith(":") and more else first).rstrip(".")
    return line if isinstance(error, OSError | ValueError | RuntimeError) and line else f"{type(error).__name__} {line}"


def _content(source: str, file: str, revision: str | None) -> dict[str, Any]:
    """A JSON object beside the model; empty where there is no such file."""
    path = cached_file(
        source,
        file,
        revision=revision or "main",
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if path is None:
        return {}
    try:
        content = json_of(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON in UTF-8: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds no JSON object.")
    return content


def _holds_pickles_alone(folder: Path) -> bool:
    return any(folder.glob("pytorch_model*.bin")) and not any(folder.glob("*.safetensors"))


def _convert(source: str) -> str:
    return (
        "Only safetensors are opened: a pickle can run code. Where you trust it, convert it once, in Python: "
        f"AutoModelForCausalLM.from_pretrained({source!r}).save_pretrained({source!r})"
    )
