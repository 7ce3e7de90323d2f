"""Who takes part in a run: the baby and the parent, from a recipe or from Python, and whether they fit each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.errors import ModelError, RecipeError
from bambino.models.digests import weights_sha256
from bambino.models.loading import check_lm, check_tokenizer, load_lm, load_tokenizer
from bambino.models.reference import frozen
from bambino.recipe.model_settings import ModelConfig
from bambino.scoring.forward import context_length
from bambino.scoring.texts import bits_per_byte
from bambino.text.tokens import tokenizer_sha256

ModelLike: TypeAlias = PreTrainedModel | str | Path | None


@dataclass(frozen=True)
class Participants:
    """The models of a run and their tokenizers; no parent where nothing needs one."""

    baby: PreTrainedModel
    baby_tokenizer: PreTrainedTokenizerBase
    parent: PreTrainedModel | None
    parent_tokenizer: PreTrainedTokenizerBase | None
    digests: dict[str, str | None]
    """sha256 of what was opened: baby, baby_tokenizer, parent, parent_tokenizer; None for a model passed as an object
    (it may have been trained since it was opened) and where there is none."""


def load_participants(
    baby: ModelLike,
    baby_tokenizer: PreTrainedTokenizerBase | None,
    baby_config: ModelConfig,
    parent: ModelLike,
    parent_tokenizer: PreTrainedTokenizerBase | None,
    parent_config: ModelConfig,
    *,
    needs_parent: bool,
) -> Participants:
    """Open baby and parent; what is None comes from its settings. The parent is frozen.

    Args:
        needs_parent: whether there must be one.

    Raises:
        ModelError: a model that cannot be used, or one object for both.
    """
    lm, tokenizer = _model_and_tokenizer(baby, baby_tokenizer, baby_config, "baby")
    digests = {
        "baby": None if isinstance(baby, PreTrainedModel) else weights_sha256(lm),
        "baby_tokenizer": tokenizer_sha256(tokenizer),
        "parent": None,
        "parent_tokenizer": None,
    }
    if parent is None and parent_config.model is None and not needs_parent:
        return Participants(lm, tokenizer, None, None, digests)
    parent_lm, parent_tokenizer = _model_and_tokenizer(parent, parent_tokenizer, parent_config, "parent")
    if parent_lm is lm:
        raise ModelError(
            "parent: it is the very object that is the baby, and freezing one would freeze both. Pass a copy "
            "(copy.deepcopy), or its path."
        )
    digests["parent"] = None if isinstance(parent, PreTrainedModel) else weights_sha256(parent_lm)
    digests["parent_tokenizer"] = tokenizer_sha256(parent_tokenizer)
    return Participants(lm, tokenizer, frozen(parent_lm), parent_tokenizer, digests)


def check_given(model: Any, tokenizer: Any, role: Literal["baby", "parent"]) -> None:
    """Refuse what was passed in from Python as a model or a tokenizer and is none.

    Raises:
        ModelError: naming its class and the way out.
    """
    if model is not None and not isinstance(model, PreTrainedModel | str | Path):
        raise ModelError(
            f"{role}: a {type(model).__name__} is no Transformers model, path or hub name. Of torch.compile pass the "
            "model that was compiled, of PEFT model.merge_and_unload()."
        )
    if getattr(model, "_hf_peft_config_loaded", False):  # it would save its adapters alone
        raise ModelError(f"{role}: this {type(model).__name__} has adapters. Merge them into a whole model first.")
    if tokenizer is not None and not isinstance(tokenizer, PreTrainedTokenizerBase):
        name = {"baby": "processing_class", "parent": "parent_processing_class"}[role]
        raise ModelError(
            f"{name}: a {type(tokenizer).__name__} is no tokenizer. Pass one: AutoTokenizer.from_pretrained(PATH)."
        )


def check_context(lm: PreTrainedModel, needed: dict[str, int]) -> None:
    """Refuse rows longer than the baby's context.

    Args:
        needed: setting -> the tokens of a row that it asks for.

    Raises:
        RecipeError: naming the setting.
    """
    context = context_length(lm)
    for key, tokens in needed.items():
        if context is not None and tokens > context:
            raise RecipeError(
                key, f"{key}: rows of {tokens} tokens do not fit the baby's context of {context}. Use less."
            )


def check_parent(participants: Participants, rows: list[list[int]]) -> None:
    """Refuse a parent that models the L2 text worse than the baby it shall teach.

    Args:
        rows: some lines of the L2 text, in baby tokens.

    Raises:
        ModelError: the baby's bits per byte are lower than the parent's, or one's are no number.
    """
    if participants.parent is None or participants.parent_tokenizer is None:
        return
    sentences = [participants.baby_tokenizer.decode(row, skip_special_tokens=True) for row in rows]
    baby = _bits_per_byte("baby", participants.baby, participants.baby_tokenizer, sentences)
    parent = _bits_per_byte("parent", participants.parent, participants.parent_tokenizer, sentences)
    if baby < parent:
        raise ModelError(
            f"The baby already models the L2 text better ({baby:.2f} bits per byte) than the parent ({parent:.2f}). "
            "Are baby.model and parent.model swapped, or is text.sources not the parent's language? "
            "If it is meant so, set parent.must_know_l2 to false."
        )


def _bits_per_byte(
    role: Literal["baby", "parent"], lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentences: list[str]
) -> float:
    """Raises ModelError, naming the role, where they are no number."""
    try:
        bits = bits_per_byte(lm, tokenizer, sentences)
    except ModelError as error:
        raise ModelError(f"{role}.model: {error}") from None
    if not math.isfinite(bits):
        raise ModelError(f"{role}.model gives the L2 text {bits} bits per byte. Is it broken?")
    return bits


def _model_and_tokenizer(
    model: ModelLike,
    tokenizer: PreTrainedTokenizerBase | None,
    config: ModelConfig,
    role: Literal["baby", "parent"],
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Open a role's model and tokenizer, from what was passed in or from the recipe."""
    if isinstance(model, PreTrainedModel):
        check_lm(model, role)
        lm = model.float() if role == "baby" else model  # a bf16 Adam would lose small updates
        config = replace(config, model=model.name_or_path or config.model)
    else:
        if model is not None:
            config = replace(config, model=str(model))
        lm = load_lm(config, role)
    if tokenizer is None:
        return lm, load_tokenizer(config, role, lm)
    check_tokenizer(tokenizer, lm, role)
    return lm, tokenizer
