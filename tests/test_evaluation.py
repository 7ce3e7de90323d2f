"""Variety of utterances by hand, and evaluation inside training."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import italian_lines, tiny_lm

from bambino import BambinoTrainer
from bambino.errors import TextError
from bambino.evaluation.in_training import Evaluator, mean_log
from bambino.evaluation.minimal_pairs import accuracy
from bambino.evaluation.pair_files import load_pairs
from bambino.evaluation.speech.generation import distinct_n, longest_repeat
from bambino.feedback.parent_perplexity import ParentPerplexity
from bambino.models.baby import Baby
from bambino.models.loading import load_lm, load_tokenizer
from bambino.scoring.texts import bits_per_byte
from bambino.speaking.utterances import Utterances
from bambino.text.lines import load_heldout


def write_pairs(path, *items):
    path.write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------------------- variety


@pytest.mark.parametrize(
    ("utterances", "n", "expected"),
    [
        (["il gatto il cane"], 1, 3 / 4),
        (["il gatto", "il cane"], 1, 3 / 4),
        (["il gatto il gatto"], 2, 2 / 3),  # il gatto, gatto il, il gatto
        (["il gatto", "il gatto"], 2, 1 / 2),
        (["il", "gatto"], 2, 0.0),  # bigrams do not cross utterances
        (["Il il"], 1, 1.0),
        (["", ""], 1, 0.0),
        ([], 1, 0.0),
        (["a  b\nc"], 3, 1.0),
    ],
)
def test_distinct_n_by_hand(utterances, n, expected):
    assert distinct_n(utterances, n) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("utterance", "expected"),
    [
        ("", 0),
        ("il", 0),
        ("il gatto vede", 0),
        ("il gatto il", 1),
        ("il gatto e il gatto", 2),
        ("a a a", 2),  # a a occurs twice, overlapping
        ("a b a b a", 3),  # a b a, overlapping
        ("a b c d a b c e a b", 3),
    ],
)
def test_longest_repeat_by_hand(utterance, expected):
    assert longest_repeat(utterance) == expected


def test_mean_log_leaves_infinite_perplexities_out():
    assert mean_log([math.e, math.e**3, math.inf]) == pytest.approx(2)
    assert math.isnan(mean_log([math.inf]))
    assert math.isnan(mean_log([]))


# ------------------------------------------------------------------------------------------------------ in training


@pytest.fixture
def pairs_file(tmp_path):
    lines = italian_lines(12, seed=8)
    items = [{"sentence_good": line, "sentence_bad": " ".join(reversed(line.split()))} for line in lines]
    return write_pairs(tmp_path / "pairs.jsonl", *items)


@pytest.fixture
def evaluated_recipe(make_recipe, text_file, pairs_file):
    def make(*overrides, **settings):
        return make_recipe(
            *("--evaluation.texts", json.dumps({"it": [str(text_file)]})),
            *("--evaluation.pairs", json.dumps({"order": str(pairs_file)})),
            *("--evaluation.utterances", "6"),
            *overrides,
            **settings,
        )

    return make


def evaluator_of(recipe):
    baby_lm = load_lm(recipe.baby, "baby")
    tokenizer = load_tokenizer(recipe.baby, "baby", baby_lm)
    parent = load_lm(recipe.parent, "parent")
    feedback = ParentPerplexity(parent, load_tokenizer(recipe.parent, "parent", parent), recipe.reward)
    return Evaluator(recipe, tokenizer, feedback), Baby(baby_lm), tokenizer


def test_two_evaluations_of_the_same_baby_give_the_same_numbers(evaluated_recipe):
    evaluator, baby, _ = evaluator_of(evaluated_recipe())
    baby.train()  # dropout would show
    first, second = evaluator.evaluate(baby), evaluator.evaluate(baby)
    assert first == second
    again, same_baby, _ = evaluator_of(evaluated_recipe())
    assert again.evaluate(same_baby) == first
    other = evaluator.evaluate(Baby(tiny_lm("opt", seed=9)))
    assert all(other.metrics[name] != first.metrics[name] for name in ("eval/bits_per_byte/it", "eval/pairs/order"))


def test_an_evaluation_leaves_the_mode_and_the_global_randomness_alone(evaluated_recipe):
    evaluator, baby, _ = evaluator_of(evaluated_recipe())
    baby.train()
    before = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
    evaluator.evaluate(baby)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), repr(np.random.get_state())) == before[1:]
    assert all(module.training for module in baby.modules())
    baby.eval()
    evaluator.evaluate(baby)
    assert not any(module.training for module in baby.modules())
    assert all(p.grad is None for p in baby.parameters())


def test_what_an_evaluation_measures(evaluated_recipe, text_file, pairs_file):
    recipe = evaluated_recipe("--evaluation.max_lines", "5", "--evaluation.max_pairs", "4")
    evaluator, baby, tokenizer = evaluator_of(recipe)
    result = evaluator.evaluate(baby)
    heldout = load_heldout([str(text_file)], heldout_every=10, max_lines=5)
    assert len(heldout) == 5
    assert result.metrics["eval/bits_per_byte/it"] == bits_per_byte(baby.lm, tokenizer, heldout)
    pairs = [load_pairs(pairs_file)[i] for i in (0, 3, 6, 9)]  # 4 of 12, evenly spread
    assert result.metrics["eval/pairs/order"] == accuracy(baby.lm, tokenizer, pairs)
    assert len(result.utterances.texts) == len(result.perplexities) == 6
    said = result.utterances.completions
    assert result.metrics["eval/utterances/distinct_1"] == distinct_n(said, 1)
    assert result.metrics["eval/utterances/distinct_2"] == distinct_n(said, 2)
    assert result.metrics["eval/utterances/longest_repeat"] == sum(map(longest_repeat, said)) / 6
    assert result.metrics["eval/utterances/words"] == pytest.approx(sum(len(text.split()) for text in said) / 6)
    assert result.metrics["eval/utterances/parent_log_perplexity"] == pytest.approx(
        sum(map(math.log, result.perplexities)) / 6
    )


def test_prompts_are_held_out_lines_and_the_human_perplexity_is_of_cuts_of_the_same_length(evaluated_recipe, text_file):
    recipe = evaluated_recipe()
    evaluator, baby, tokenizer = evaluator_of(recipe)
    lines = load_heldout([str(text_file)], heldout_every=10, max_lines=1 << 30)
    lines = [lines[i * len(lines) // 6] for i in range(6)]
    rows = [tokenizer(line)["input_ids"] for line in lines]
    # a prompt of 4 tokens: BOS and 3 of the line; an utterance of 5
    prompts, cuts = [tokenizer.decode(row[:3]) for row in rows], [tokenizer.decode(row[:8]) for row in rows]
    assert not any("\ufffd" in cut for cut in prompts + cuts)
    result = evaluator.evaluate(baby)
    assert result.utterances.prompts == prompts
    perplexities = evaluator.feedback.perplexities(prompts, cuts, [False] * 6)
    assert result.metrics["eval/human/parent_log_perplexity"] == pytest.approx(sum(map(math.log, perplexities)) / 6)


def test_silent_utterances_are_counted_because_their_perplexity_is_left_out(evaluated_recipe, monkeypatch):
    evaluator, baby, _ = evaluator_of(evaluated_recipe())
    said = Utterances(["Il"] * 4, [" gatto", "", "  ", " cane"], ["Il gatto", "Il", "Il  ", "Il cane"], [True] * 4)
    monkeypatch.setattr(evaluator, "_listen", lambda baby, prompts: said)
    result = evaluator.evaluate(baby)
    assert result.metrics["eval/utterances/silent"] == 0.5
    heard = [math.log(result.perplexities[i]) for i in (0, 3)]
    assert result.metrics["eval/utterances/parent_log_perplexity"] == pytest.approx(sum(heard) / 2)


@pytest.mark.parametrize("heldout_every", ["null", "10"])
def test_evaluating_on_lines_that_are_trained_on_is_warned_of(evaluated_recipe, text_file, tmp_path, heldout_every):
    other = tmp_path / "other.txt"
    other.write_text("\n".join(italian_lines(60, seed=9)), encoding="utf-8")
    texts = json.dumps({"it": [str(text_file.parent)], "other": [str(other)]})
    settings = ("--evaluation.texts", texts, "--text.heldout_every", heldout_every, "--max_steps", "0")
    rows = []
    BambinoTrainer(args=evaluated_recipe(*settings, "--evaluation.eval_steps", "1"), on_row=rows.append).train()
    warnings = [row["text"] for row in rows if row["kind"] == "warning"]
    problem = "text.heldout_every is null, so these are evaluated on lines trained on: it, the prompts of utterances."
    assert warnings == ([problem] if heldout_every == "null" else [])


def test_nothing_to_evaluate_measures_nothing(make_recipe):
    evaluator, baby, _ = evaluator_of(make_recipe())
    result = evaluator.evaluate(baby)
    assert (result.metrics, result.utterances, result.perplexities) == ({}, None, [])


def test_bad_evaluation_input_is_refused_before_the_first_step(make_recipe, tmp_path):
    pairs = json.dumps({"order": str(tmp_path / "nowhere.jsonl")})
    with pytest.raises(TextError, match=r"nowhere\.jsonl"):
        BambinoTrainer(args=make_recipe("--evaluation.pairs", pairs))
    texts = json.dumps({"it": [str(tmp_path / "nowhere.txt")]})
    with pytest.raises(TextError, match=r"nowhere\.txt"):
        BambinoTrainer(args=make_recipe("--evaluation.texts", texts))


def test_evaluating_at_every_step_does_not_change_what_is_learned(evaluated_recipe):
    weights = []
    for i, every in enumerate(("null", "1")):
        recipe = evaluated_recipe("--evaluation.eval_steps", every, "--reward.tau", "null", output_dir=f"run{i}")
        trainer = BambinoTrainer(args=recipe)
        trainer.train()
        weights.append({name: p.detach() for name, p in trainer.baby.named_parameters()})
        rows = (Path(recipe.output_dir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        evaluations = [row["step"] for row in map(json.loads, rows) if row["kind"] == "evaluation"]
        assert evaluations == ([] if every == "null" else [0, 1, 2, 3, 4, 5, 6])
    assert all(torch.equal(p, weights[1][name]) for name, p in weights[0].items())


def test_evaluate_on_a_trainer_measures_the_baby_as_it_is(evaluated_recipe):
    recipe = evaluated_recipe("--evaluation.eval_steps", "6")
    trainer = BambinoTrainer(args=recipe)
    before = trainer.evaluate()
    last = trainer.train()
    assert trainer.evaluate() == last
    assert last["eval/bits_per_byte/it"] != before["eval/bits_per_byte/it"]


def test_what_the_baby_says_does_not_depend_on_the_batch_size(evaluated_recipe):
    said = []
    for batch_size in ("4", "6"):
        evaluator, baby, _ = evaluator_of(evaluated_recipe("--batch_size", batch_size))
        said.append(evaluator.evaluate(baby).utterances)
    assert said[0] == said[1]
