"""Preferences: what is better than what, which way the baby moves, and that a resumed run moves the same way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_tokenizer, tiny_lm
from known_models import bigram_lm, unigram_lm, word_tokenizer

from bambino import BambinoTrainer, Recipe
from bambino.errors import RecipeError
from bambino.feedback.answers import Preference
from bambino.feedback.preferences import BestOfK, RecastOverUtterance
from bambino.phases.prefer import pairs_of, preferred
from bambino.recipe.phase_settings import PreferConfig, RolloutConfig
from bambino.recipe.text_settings import TextConfig
from bambino.scoring.forward import logits_before, token_log_probs
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances

Make = Callable[..., Recipe]
BEST = ("--schedule.cycle", "{clm: 1, prefer: 2}", "--feedback.best_of_k.k", "2")
OVER = ("--schedule.cycle", "{clm: 1, prefer: 2}", "--feedback.recast_over_utterance.for", "prefer")


def said(*completions: str, prompt: str = "il", ended: bool = True) -> Utterances:
    texts = [prompt + completion for completion in completions]
    return Utterances([prompt] * len(texts), list(completions), texts, [ended] * len(texts))


def preferred_by(
    kind: BestOfK | RecastOverUtterance, utterances: Utterances
) -> tuple[list[Preference], dict[str, Any]]:
    columns: dict[str, Any] = {}
    found = kind.preferences(
        utterances, seed=1, stream="p", first=0, read=lambda lm, tokens: None, log_extra=columns.__setitem__
    )
    return list(found.pairs), columns


def rows(recipe: Recipe, file: str = "metrics.jsonl") -> list[dict[str, Any]]:
    lines = (Path(recipe.output_dir) / file).read_text(encoding="utf-8").splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if not k.startswith("time/") and k != "total/seconds"}
        for line in lines
    ]


# --------------------------------------------------------------------------------------------- what is better than what


def counting_parent() -> Speaker:
    """To it the words uno, due, tre have the probabilities 1/2, 1/4, 1/8, after anything."""
    tokenizer = word_tokenizer("il", "uno", "due", "tre", eos="</s>")
    return Speaker(unigram_lm([1 / 32, 1 / 32, 1 / 16, 1 / 2, 1 / 4, 1 / 8]), tokenizer)


def test_the_best_and_the_worst_of_k_by_hand() -> None:
    utterances = said(" due", " uno due", " tre uno", " tre")
    pairs, columns = preferred_by(BestOfK(counting_parent(), 4), utterances)
    # per token -ln 4, -(ln 2 + ln 4) / 2, -(ln 8 + ln 2) / 2, -ln 8: longer texts are not worse for being long
    ln2 = 0.6931472
    assert columns["parent_log_prob_per_token"] == pytest.approx([-2 * ln2, -1.5 * ln2, -2 * ln2, -3 * ln2])
    assert pairs == [Preference("il", " uno due", " tre", True, True)]


def test_each_prompt_has_a_pair_of_its_own_and_ties_and_silence_have_none() -> None:
    first, tied, silent, other = said(" tre", " uno"), said(" due", " due"), said(" uno", ""), said(" due", " tre")
    groups = [first, tied, silent, other]
    utterances = Utterances(
        [p for group in groups for p in group.prompts],
        [c for group in groups for c in group.completions],
        [t for group in groups for t in group.texts],
        [e for group in groups for e in group.has_ended],
    )
    pairs, _ = preferred_by(BestOfK(counting_parent(), 2), utterances)
    assert [(pair.better, pair.worse) for pair in pairs] == [(" uno", " tre"), (" due", " tre")]


def test_what_the_parent_says_is_better_than_what_the_baby_said() -> None:
    # After il the parent says uno and ends.
    probs = torch.zeros(6, 6)
    probs[:, 3] = 1.0
    probs[3], probs[3, 1] = 0.0, 1.0
    parent = Speaker(bigram_lm(probs), counting_parent().tokenizer)
    kind = RecastOverUtterance(parent, RolloutConfig(max_new_tokens=4))
    pairs, columns = preferred_by(kind, said(" due", "", " uno", " tre", ended=False))
    assert columns["recast"] == [" uno"] * 4
    # nothing is better than silence or than itself
    assert pairs == [Preference("il", " uno", " due", True, False), Preference("il", " uno", " tre", True, False)]


# ------------------------------------------------------------------------------------------------------------ the loss


PAIRS = [
    Preference("il gatto", " dorme qui.", " e e e", True, False),
    Preference("il cane", " vede il mare", " mare", False, True),
]


def test_the_loss_is_that_of_a_plain_computation() -> None:
    tokenizer, lm, other = make_tokenizer(), tiny_lm("llama", seed=3), tiny_lm("llama", seed=4)
    pairs = pairs_of(PAIRS, tokenizer, TextConfig())
    assert pairs is not None
    assert pairs.count == 2
    found = [token_log_probs(model, pairs.batch, pairs.is_after).sum(1).detach() for model in (lm, other)]
    log_probs, ref_log_probs = (values.double() for values in found)
    lengths = pairs.is_after.sum(1)
    logits = logits_before(lm, pairs.batch, pairs.is_after)

    dpo = preferred(pairs, ref_log_probs.float(), PreferConfig(beta=0.3, lm_weight=0.5))
    margins = 0.3 * ((log_probs - ref_log_probs)[::2] - (log_probs - ref_log_probs)[1::2])
    likelihood = -log_probs[::2].sum() / lengths[::2].sum()
    expected = -torch.sigmoid(margins).log().mean() + 0.5 * likelihood
    report = dpo.loss(logits, logits[:, 0], pairs.batch, slice(0, 4))
    assert float(report["loss"].detach()) == pytest.approx(float(expected), rel=1e-4)
    assert float(report["margin"]) == pytest.approx(float(margins.mean()), abs=1e-4)
    assert float(report["accuracy"]) == float((margins > 0).double().mean())

    simpo = preferred(pairs, None, PreferConfig(loss="simpo", gamma=0.7, lm_weight=0.0))
    ahead = 2.0 * (log_probs / lengths)[::2] - 2.0 * (log_probs / lengths)[1::2]  # 2 is usual
    report = simpo.loss(logits, logits[:, 0], pairs.batch, slice(0, 4))
    assert float(report["loss"].detach()) == pytest.approx(float(-torch.sigmoid(ahead - 0.7).log().mean()), rel=1e-4)


def test_a_pair_whose_prompt_fills_the_row_is_left_out() -> None:
    tokenizer = word_tokenizer("il", "uno", "due", eos="</s>")
    kept, left_out = Preference("il", " uno", " due", True, True), Preference("il due due", " uno", " due", True, True)
    pairs = pairs_of([left_out, kept], tokenizer, TextConfig(max_length=4))
    assert pairs is not None
    assert pairs.batch.input_ids.tolist() == [[0, 2, 3, 1], [0, 2, 4, 1]]
    assert pairs.is_after.int().tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert pairs_of([left_out], tokenizer, TextConfig(max_length=4)) is None


# ------------------------------------------------------------------------------------------------------------- training


def test_the_baby_comes_to_say_what_the_parent_prefers(make_recipe: Make) -> None:
    tokenizer = word_tokenizer("il", "uno", "due", "tre", eos="</s>")
    parent = counting_parent()
    recipe = make_recipe(
        *("--schedule.cycle", "{prefer: 1}", "--feedback.best_of_k.k", "4", "--batch_size", "16", "--max_steps", "40"),
        *("--prefer.learning_rate", "1e-2", "--prefer.lm_weight", "0", "--rollout.max_new_tokens", "1"),
        *("--rollout.prompt_tokens", "2", "--text.heldout_every", "null", "--text.min_chars", "1"),
    )
    baby = tiny_lm("llama", len(tokenizer), seed=5)
    lines = ["il uno", "il due", "il tre"]
    passed = {"processing_class": tokenizer, "parent_processing_class": parent.tokenizer}

    def log_odds() -> float:
        """Of uno, the likeliest to the parent, against tre."""
        logits = trainer.baby.lm(input_ids=torch.tensor([[0, 2]])).logits[0, -1]
        return float((logits[3] - logits[5]).detach())

    trainer = BambinoTrainer(baby, parent.lm, recipe, lines, **passed)
    before = log_odds()
    trainer.train()
    assert log_odds() > before + 1
    # sixteen utterances a step, after four prompts
    assert len(rows(recipe, "utterances.jsonl")) == 40 * 16
    assert all(0 <= row["prefer/pairs"] <= 4 for row in rows(recipe))


def test_computing_pairs_in_parts_changes_the_loss_by_rounding_only(make_recipe: Make) -> None:
    found = []
    for parts in ("1", "2", "4"):
        recipe = make_recipe(
            *OVER, "--schedule.cycle", "{prefer: 1}", "--gradient_accumulation_steps", parts, output_dir=parts
        )
        BambinoTrainer(args=recipe).train()
        found.append([row["prefer/grad_norm"] for row in rows(recipe)])
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    assert found[2] == pytest.approx(found[0], rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [BEST, OVER, (*OVER, "--prefer.reference", "ema"), (*BEST, "--prefer.loss", "simpo")],
    ids=["best of k", "recasts", "ema", "simpo"],
)
def test_a_run_stopped_and_resumed_ends_in_the_same_bits(make_recipe: Make, settings: tuple[str, ...]) -> None:
    learning = ("--prefer.learning_rate", "1e-3", "--save_steps", "2")
    whole, stopped = (make_recipe(*settings, *learning, output_dir=name) for name in ("whole", "stopped"))
    BambinoTrainer(args=whole).train()

    def stop(row: dict[str, Any]) -> None:
        first.stop_requested = row["kind"] == "step" and row["step"] == 4

    first = BambinoTrainer(args=stopped, on_row=stop)
    first.train()
    BambinoTrainer(args=stopped).train(resume_from_checkpoint=True)
    assert rows(stopped) == rows(whole)
    assert rows(stopped, "utterances.jsonl") == rows(whole, "utterances.jsonl")
    left, expected = (Path(run.output_dir) / "model" / "model.safetensors" for run in (stopped, whole))
    assert left.read_bytes() == expected.read_bytes()


# ------------------------------------------------------------------------------------------------------------- refusals


def test_the_prefer_phase_needs_one_kind_of_preferences_that_fits_the_batch(make_recipe: Make) -> None:
    only = ("--schedule.cycle", "{prefer: 1}")
    for more in ((), ("--feedback.repetition.for", "prefer"), (*BEST, *OVER)):
        with pytest.raises(RecipeError, match="learns from one kind of preferences"):
            BambinoTrainer(args=make_recipe(*only, *more))
    with pytest.raises(RecipeError, match=r"feedback\.best_of_k\.k = 3 does not divide batch_size = 4"):
        BambinoTrainer(args=make_recipe(*only, "--feedback.best_of_k.k", "3"))
