"""Variety of utterances by hand, and evaluation inside training."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import italian_lines, tiny_lm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bambino import BambinoTrainer, Recipe
from bambino.errors import EvaluationError, ModelError, TextError
from bambino.evaluation.in_training import measures_of
from bambino.evaluation.minimal_pairs import score_pairs
from bambino.evaluation.pair_files import load_pairs
from bambino.evaluation.speech.generation import distinct_n, longest_repeat
from bambino.evaluation.zero_shot.classification import Classification
from bambino.measures import Measure
from bambino.models.loading import load_lm, load_tokenizer
from bambino.runs.record import read_run
from bambino.scoring.perplexity import mean_log, perplexities
from bambino.scoring.texts import bits_per_byte
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import Utterances
from bambino.text.lines import load_heldout


def write_pairs(path: Path, *items: dict[str, Any]) -> Path:
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
def test_distinct_n_by_hand(utterances: list[str], n: int, expected: float) -> None:
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
def test_longest_repeat_by_hand(utterance: str, expected: int) -> None:
    assert longest_repeat(utterance) == expected


def test_mean_log_leaves_infinite_perplexities_out() -> None:
    assert mean_log([math.e, math.e**3, math.inf]) == pytest.approx(2)
    assert math.isnan(mean_log([math.inf]))
    assert math.isnan(mean_log([]))


# ------------------------------------------------------------------------------------------------------ in training


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    lines = italian_lines(12, seed=8)
    items = [{"sentence_good": line, "sentence_bad": " ".join(reversed(line.split()))} for line in lines]
    return write_pairs(tmp_path / "pairs.jsonl", *items)


@pytest.fixture
def evaluated_recipe(make_recipe: Callable[..., Recipe], text_file: Path, pairs_file: Path) -> Callable[..., Recipe]:
    def make(*overrides: str, **settings: Any) -> Recipe:
        return make_recipe(
            *("--evaluation.texts", json.dumps({"it": [str(text_file)]})),
            *("--evaluation.pairs", json.dumps({"order": str(pairs_file)})),
            *("--evaluation.utterances", "6"),
            *overrides,
            **settings,
        )

    return make


def evaluation_of(recipe: Recipe) -> tuple[list[Measure], Speaker]:
    """The recipe's measures, what they find of a baby as a row, and the baby."""
    measures = measures_of(recipe)
    return measures, Speaker(*loaded(recipe.baby, "baby"))


def loaded(config: Any, role: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    lm = load_lm(config, role)
    return lm, load_tokenizer(config, role, lm)


def row_of(measures: Sequence[Measure], baby: Speaker) -> dict[str, float]:
    return {score.name: score.value for measure in measures for score in measure(baby).scores}


def said_in(measures: Sequence[Measure], baby: Speaker) -> list[dict[str, Any]]:
    return next(measure for measure in measures if measure.name == "speech")(baby).said


def test_two_evaluations_of_the_same_baby_give_the_same_numbers(evaluated_recipe: Callable[..., Recipe]) -> None:
    measures, baby = evaluation_of(evaluated_recipe())
    baby.lm.train()  # dropout would show
    first, second = ([measure(baby) for measure in measures] for _ in range(2))
    assert first == second
    again, same_baby = evaluation_of(evaluated_recipe())
    assert row_of(again, same_baby) == row_of(measures, baby)
    other = row_of(measures, Speaker(tiny_lm("opt", seed=9), baby.tokenizer))
    assert all(other[name] != row_of(measures, baby)[name] for name in ("bits_per_byte/it", "pairs/order"))


def test_an_evaluation_leaves_the_mode_and_the_global_randomness_alone(evaluated_recipe: Callable[..., Recipe]) -> None:
    measures, baby = evaluation_of(evaluated_recipe())
    baby.lm.train()
    row_of(measures, baby)  # opens the parent
    before = torch.get_rng_state(), repr(np.random.get_state())  # Python's own is beartype's here, and nobody else's
    row_of(measures, baby)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
    assert all(module.training for module in baby.lm.modules())
    baby.lm.eval()
    row_of(measures, baby)
    assert not any(module.training for module in baby.lm.modules())
    assert all(p.grad is None for p in baby.lm.parameters())


def test_what_an_evaluation_measures(
    evaluated_recipe: Callable[..., Recipe], text_file: Path, pairs_file: Path
) -> None:
    recipe = evaluated_recipe("--evaluation.max_lines", "5", "--evaluation.max_pairs", "4")
    measures, baby = evaluation_of(recipe)
    row, said = row_of(measures, baby), said_in(measures, baby)
    heldout = load_heldout([str(text_file)], heldout_every=10, max_lines=5)
    assert len(heldout) == 5
    # one sums nats and divides once, the other bits: the last digit may differ
    assert row["bits_per_byte/it"] == pytest.approx(bits_per_byte(baby.lm, baby.tokenizer, heldout), rel=1e-14)
    pairs = [load_pairs(pairs_file)[i] for i in (0, 3, 6, 9)]  # 4 of 12, evenly spread
    assert row["pairs/order"] == score_pairs(baby.lm, baby.tokenizer, pairs).points().mean()
    utterances, perplexities = ([one[key] for one in said] for key in ("utterance", "parent_perplexity"))
    assert len(utterances) == 6
    assert row["speech/distinct_1/baby"] == distinct_n(utterances, 1)
    assert row["speech/distinct_2/baby"] == distinct_n(utterances, 2)
    assert row["speech/longest_repeat/baby"] == sum(map(longest_repeat, utterances)) / 6
    assert row["speech/words/baby"] == pytest.approx(sum(len(text.split()) for text in utterances) / 6)
    assert row["speech/log_perplexity_with_prompt/baby"] == pytest.approx(sum(map(math.log, perplexities)) / 6)


def test_prompts_are_held_out_lines_and_the_human_perplexity_is_of_cuts_of_the_same_length(
    evaluated_recipe: Callable[..., Recipe], text_file: Path
) -> None:
    recipe = evaluated_recipe()
    measures, baby = evaluation_of(recipe)
    lines = load_heldout([str(text_file)], heldout_every=10, max_lines=1 << 30)
    lines = [lines[i * len(lines) // 6] for i in range(6)]
    rows = [baby.tokenizer(line)["input_ids"] for line in lines]
    # a prompt of 4 tokens: BOS and 3 of the line; an utterance of 5
    prompts, cuts = ([baby.tokenizer.decode(row[:end]) for row in rows] for end in (3, 8))
    assert not any("\ufffd" in cut for cut in prompts + cuts)
    assert [one["prompt"] for one in said_in(measures, baby)] == prompts
    found = perplexities(*loaded(recipe.parent, "parent"), prompts, cuts, [False] * 6).values
    human = row_of(measures, baby)["speech/log_perplexity_with_prompt/human"]
    assert human == pytest.approx(sum(map(math.log, found)) / 6)


def test_scope_and_until_of_the_evaluation_are_its_own(evaluated_recipe: Callable[..., Recipe]) -> None:
    alone = evaluated_recipe("--evaluation.scope", "utterance", "--evaluation.until", "last_word")
    measures, baby = evaluation_of(alone)
    row, said = row_of(measures, baby), said_in(measures, baby)
    assert "speech/log_perplexity_with_prompt/baby" not in row
    prompts, utterances = ([one[key] for one in said] for key in ("prompt", "utterance"))
    texts = [prompt + utterance for prompt, utterance in zip(prompts, utterances, strict=True)]
    ended = row["speech/ended/baby"]
    assert ended == 0.0  # so that every last word may have been cut
    parent = loaded(alone.parent, "parent")
    found = perplexities(*parent, prompts, texts, [False] * 6, scope="utterance", until="last_word").values
    assert row["speech/log_perplexity/baby"] == pytest.approx(mean_log(found))


def test_silent_utterances_are_counted_because_their_perplexity_is_left_out(
    evaluated_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    measures, baby = evaluation_of(evaluated_recipe())
    said = Utterances(["Il"] * 4, [" gatto", "", "  ", " cane"], ["Il gatto", "Il", "Il  ", "Il cane"], [True] * 4)
    monkeypatch.setattr("bambino.evaluation.speech.continuations.speak", lambda *_, **__: said)
    row, rows = row_of(measures, baby), said_in(measures, baby)
    assert row["speech/silent/baby"] == 0.5
    heard = [math.log(rows[i]["parent_perplexity"]) for i in (0, 3)]
    assert row["speech/log_perplexity_with_prompt/baby"] == pytest.approx(sum(heard) / 2)


@pytest.mark.parametrize("heldout_every", ["null", "10"])
def test_evaluating_on_lines_that_are_trained_on_is_warned_of(
    evaluated_recipe: Callable[..., Recipe], text_file: Path, tmp_path: Path, heldout_every: str
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("\n".join(italian_lines(60, seed=9)), encoding="utf-8")
    texts = json.dumps({"it": [str(text_file.parent)], "other": [str(other)]})
    settings = ("--evaluation.texts", texts, "--text.heldout_every", heldout_every, "--max_steps", "0")
    rows: list[dict[str, Any]] = []
    recipe = evaluated_recipe(*settings, "--evaluation.eval_steps", "1")
    BambinoTrainer(args=recipe, measures=measures_of(recipe), on_row=rows.append).train()
    warnings = [row["text"] for row in rows if row["kind"] == "warning"]
    assert len(warnings) == (heldout_every == "null")
    for warning in warnings:
        assert "trained on: bits_per_byte/it, speech." in warning


def test_nothing_to_evaluate_measures_nothing(make_recipe: Callable[..., Recipe]) -> None:
    assert measures_of(make_recipe()) == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--evaluation.pairs", "{a: PAIRS, a/b: PAIRS}"], "pairs/a and pairs/a/b"),
        (["--evaluation.pairs", "{a/b: PAIRS, a: PAIRS}"], "pairs/a/b and pairs/a"),
    ],
)
def test_measures_whose_scores_would_have_the_same_names_are_refused(
    make_recipe: Callable[..., Recipe], tmp_path: Path, words: list[str], names: str
) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", {"sentence_good": "il gatto", "sentence_bad": "la gatto", "UID": "b"})
    with pytest.raises(EvaluationError, match=f"{names}: their scores would have the same names. Rename one"):
        measures_of(make_recipe(*[word.replace("PAIRS", str(pairs)) for word in words]))


def test_a_parent_is_opened_only_when_the_baby_first_speaks_and_only_where_none_is_given(
    evaluated_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = evaluated_recipe()
    parent = Speaker(*loaded(recipe.parent, "parent"))
    gone = replace(recipe, parent=replace(recipe.parent, model=str(tmp_path / "gone")))
    baby = Speaker(*loaded(recipe.baby, "baby"))
    assert row_of(measures_of(gone, parent=parent), baby) == row_of(measures_of(recipe), baby)
    measures = measures_of(gone)
    with pytest.raises(ModelError, match="gone"):
        row_of(measures, baby)


def test_bad_evaluation_input_is_refused_when_measures_are_made(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    pairs = json.dumps({"order": str(tmp_path / "nowhere.jsonl")})
    with pytest.raises(TextError, match=r"nowhere\.jsonl"):
        measures_of(make_recipe("--evaluation.pairs", pairs))
    texts = json.dumps({"it": [str(tmp_path / "nowhere.txt")]})
    with pytest.raises(TextError, match=r"nowhere\.txt"):
        measures_of(make_recipe("--evaluation.texts", texts))


def test_prompts_that_nobody_evaluates_on_are_not_asked_for(evaluated_recipe: Callable[..., Recipe]) -> None:
    settings = ("--evaluation.utterances", "6", "--text.min_chars", "100000")
    measures, baby = evaluation_of(evaluated_recipe(*settings, "--evaluation.eval_steps", "null"))
    with pytest.raises(TextError, match="No held-out line has 100000 characters"):
        row_of(measures, baby)
    with pytest.raises(TextError, match="No held-out line has 100000 characters"):
        measures_of(evaluated_recipe(*settings, "--evaluation.eval_steps", "2"))


def test_a_shipped_task_is_followed_by_its_three_measures(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    irony = [{"text": line, "irony": i % 2, "split": "test"} for i, line in enumerate(italian_lines(6))]
    write_pairs(tmp_path / "ironita2018.jsonl", *irony)
    recipe = make_recipe("--evaluation.tasks", "[ironita]", "--evaluation.data", str(tmp_path))
    (measure,), baby = evaluation_of(recipe)
    brief, whole = measure(baby), Classification("ironita", tmp_path, max_items=recipe.evaluation.max_items)(baby)
    names = ["tasks/ironita", "tasks/ironita/accuracy", "tasks/ironita/macro_f1"]
    assert [score.name for score in brief.scores] == names
    values = {score.name: (score.value, score.chance) for score in whole.scores}
    assert all((score.value, score.chance) == values[score.name] for score in brief.scores)


def test_evaluating_at_every_step_does_not_change_what_is_learned(evaluated_recipe: Callable[..., Recipe]) -> None:
    weights = []
    for i, every in enumerate(("null", "1")):
        tau = ("--feedback.parent_perplexity.tau", "null")
        recipe = evaluated_recipe("--evaluation.eval_steps", every, *tau, output_dir=f"run{i}")
        trainer = BambinoTrainer(args=recipe, measures=measures_of(recipe))
        trainer.train()
        weights.append({name: p.detach() for name, p in trainer.baby.named_parameters()})
        evaluations = [row["step"] for row in read_run(recipe.output_dir).evaluations]
        assert evaluations == ([] if every == "null" else [0, 1, 2, 3, 4, 5, 6])
    assert all(torch.equal(p, weights[1][name]) for name, p in weights[0].items())


def test_evaluate_on_a_trainer_measures_the_baby_as_it_is(evaluated_recipe: Callable[..., Recipe]) -> None:
    recipe = evaluated_recipe("--evaluation.eval_steps", "6")
    trainer = BambinoTrainer(args=recipe, measures=measures_of(recipe))
    before = trainer.evaluate()
    last = trainer.train()
    assert trainer.evaluate() == last
    assert last["eval/bits_per_byte/it"] != before["eval/bits_per_byte/it"]


def test_what_the_baby_says_does_not_depend_on_the_batch_size(evaluated_recipe: Callable[..., Recipe]) -> None:
    said = [
        [one["utterance"] for one in said_in(*evaluation_of(evaluated_recipe("--batch_size", size)))]
        for size in ("4", "6")
    ]
    assert said[0] == said[1]
