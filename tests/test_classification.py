"""Options scored, calibrated and judged: known models, hand-worked counts, ties, truncation, padding and order."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FAMILIES, italian_lines, make_tokenizer, there, tiny_lm
from known_models import bigram_lm, sharp_lm, uniform_lm, word_tokenizer
from test_task_data import TAGGED, definition, write
from tokenizers import Tokenizer, models
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bambino.errors import TextError
from bambino.evaluation.zero_shot import classification
from bambino.evaluation.zero_shot.choices import Choice, choice_lengths, choice_log_probs
from bambino.evaluation.zero_shot.classification import SCORINGS, Classification, log_mean_share
from bambino.evaluation.zero_shot.confusion import Confusion, always, credits_of, guessing, shares_of
from bambino.evaluation.zero_shot.prompts import shortened
from bambino.evaluation.zero_shot.ranking import ranking
from bambino.evaluation.zero_shot.task_data import load_items
from bambino.evaluation.zero_shot.task_definitions import load_task
from bambino.measures import TaskResult
from bambino.scoring import texts as text_scores
from bambino.speaking.speaker import Speaker
from bambino.text.tokens import count_after, encode, encode_with_ends

# -------------------------------------------------------------------------------------------------------- log-probs


def made_up_choices(count: int, seed: int = 0) -> list[Choice]:
    random_ = random.Random(seed)
    lines = italian_lines(count, seed=seed)
    options = ["gatto", "gatto nero", "il", "perché", "mare", "mareggiata lunga"]
    return [Choice(line[: random_.randint(1, 40)], tuple(random_.sample(options, 3))) for line in lines]


def expected(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, choices: list[Choice]) -> list[list[float]]:
    """Each option scored as a text of its own, by the model's own forward."""
    return [[alone(lm, tokenizer, choice.prompt, f" {option}") for option in choice.options] for choice in choices]


def alone(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompt: str, option: str) -> float:
    """Tokens that end after the prompt, their log-probs from a plain forward of the whole row."""
    (row,) = encode(tokenizer, [prompt + option])
    ends = tokenizer(prompt + option, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    counted = min(sum(end > len(prompt) for _, end in ends), len(row) - 1)
    with torch.no_grad():
        log_probs = lm(input_ids=torch.tensor([row])).logits[0].double().log_softmax(-1)
    return sum(float(log_probs[at - 1, row[at]]) for at in range(len(row) - counted, len(row)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_read_once_gives_what_each_text_alone_gives(family: str) -> None:
    lm, tokenizer = sharp_lm(family), make_tokenizer()
    choices = made_up_choices(12)
    scores = choice_log_probs(lm, tokenizer, choices)
    np.testing.assert_allclose(scores, expected(lm, tokenizer, choices), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tokenizer", [make_tokenizer(bos=None, eos=None), make_tokenizer(prepends_bos=True)])
def test_likewise_without_a_start_token_and_with_one_that_the_tokenizer_prepends(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    lm, choices = sharp_lm("llama"), [*made_up_choices(6), Choice("", ("il gatto", "il cane", "mare"))]
    scores = choice_log_probs(lm, tokenizer, choices)
    np.testing.assert_allclose(scores, expected(lm, tokenizer, choices), rtol=1e-4, atol=1e-4)


def test_a_token_across_the_space_between_prompt_and_option_counts_for_the_option() -> None:
    # after the prompt "a": option b becomes the one token "a b", option c leaves "a" alone and adds " c"
    vocabulary = {token: i for i, token in enumerate(["<s>", "a", "b", "c", " ", " b", "a b", " c"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [(" ", "b"), ("a", " b"), (" ", "c")]))
    probs = torch.full((8, 8), 1 / 8)
    probs[0] = torch.tensor([1, 1, 1, 1, 1, 1, 4, 6]) / 16  # after <s> "a b" has 1/4
    probs[1] = torch.tensor([1, 1, 1, 1, 1, 1, 2, 8]) / 16  # after "a" " c" has 1/2
    lm, fast = bigram_lm(probs), PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    choice = Choice("a", ("b", "c"))
    rows = encode_with_ends(fast, choice.texts)
    assert [(row, count_after(ends, 1)) for row, ends in rows] == [([0, 6], 1), ([0, 1, 7], 1)]
    assert choice_lengths(fast, [choice, choice]) == [3, 3]
    assert choice_log_probs(lm, fast, [choice]) == [pytest.approx([math.log(1 / 4), math.log(1 / 2)])]


def test_a_model_that_cannot_share_a_prompt_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer, choices = sharp_lm("gpt2"), make_tokenizer(), made_up_choices(9)
    shared = choice_log_probs(lm, tokenizer, choices)
    monkeypatch.setattr(text_scores, "reads_trees", lambda *_: False)
    np.testing.assert_allclose(choice_log_probs(lm, tokenizer, choices), shared, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bound", [1, 30, 200])
def test_neither_the_order_nor_the_batches_change_anything(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer, choices = sharp_lm("opt"), make_tokenizer(), made_up_choices(20)
    scores = choice_log_probs(lm, tokenizer, choices)
    order = random.Random(1).sample(range(20), 20)
    monkeypatch.setattr(text_scores, "TOKENS_PER_FORWARD", bound)
    shuffled = choice_log_probs(lm, tokenizer, [choices[i] for i in order])
    np.testing.assert_allclose(shuffled, [scores[i] for i in order], rtol=1e-4, atol=1e-4)


def test_an_option_that_begins_like_another_keeps_its_own_tokens() -> None:
    # p(next | any) = 1/2, 1/4, 1/8, 1/8 for <s>, a, b, c: "a" has 2 bits, "a b" 5, "a b c" 8
    lm = bigram_lm(torch.tensor([0.5, 0.25, 0.125, 0.125]).expand(4, -1))
    (scores,) = choice_log_probs(lm, word_tokenizer("a", "b", "c"), [Choice("c", ("a", "a b", "a b c"))])
    assert scores == pytest.approx([-2 * math.log(2), -5 * math.log(2), -8 * math.log(2)])


def test_dropout_is_off_and_the_mode_comes_back() -> None:
    lm, tokenizer, choices = sharp_lm("gpt2", dropout=0.5), make_tokenizer(), made_up_choices(3)
    lm.train()
    assert choice_log_probs(lm, tokenizer, choices) == choice_log_probs(lm, tokenizer, choices)
    assert lm.training


def test_the_head_does_not_run_over_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer, choices = tiny_lm("gpt2"), make_tokenizer(), made_up_choices(12)
    places: list[int] = []
    handle = lm.get_output_embeddings().register_forward_hook(lambda *args: places.append(len(args[2])))
    choice_log_probs(lm, tokenizer, choices)
    handle.remove()
    texts = [text for choice in choices for text in choice.texts]
    rows, prompts = (
        encode_with_ends(tokenizer, texts),
        [len(choice.prompt) for choice in choices for _ in choice.options],
    )
    counted = sum(count_after(ends, prompt) for (_, ends), prompt in zip(rows, prompts, strict=True))
    assert sum(places) <= counted < sum(len(row) for row, _ in rows) / 2


# ----------------------------------------------------------------------------------------------------------- counting


def test_options_that_tie_share_the_answer() -> None:
    scores = np.array([[-1.0, -2.0, -3.0], [-1.0, -1.0, -3.0], [-2.0, -2.0, -2.0], [-1.0, -1.0 - 1e-6, -1.1]])
    third = 1 / 3
    assert credits_of(scores).tolist() == [[1, 0, 0], [0.5, 0.5, 0], [third, third, third], [0.5, 0.5, 0]]


ANSWERS = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 1], [1, 0]])
TRUTH = np.array([0, 0, 0, 1, 1])


def test_accuracy_balanced_accuracy_and_macro_f1_by_hand() -> None:
    # class 0: 3 items, 1 + 1/2 right, answered 2 1/2 times; class 1: 2 items, 1 right, answered 2 1/2 times
    result = shares_of(ANSWERS, TRUTH)
    assert result.accuracy == pytest.approx(2.5 / 5)
    assert result.balanced_accuracy == pytest.approx((1.5 / 3 + 1 / 2) / 2)
    assert result.macro_f1 == pytest.approx((3 / 5.5 + 2 / 4.5) / 2)


def test_shares_are_means_over_templates() -> None:
    other = np.array([[1, 0]] * 5)  # accuracy 3/5, balanced 1/2, F1 (6/8 + 0) / 2
    both = Confusion(np.stack([ANSWERS, other]), TRUTH, np.arange(5)).shares()
    assert both.accuracy == pytest.approx((2.5 / 5 + 3 / 5) / 2)
    assert both.balanced_accuracy == pytest.approx(1 / 2)
    assert both.macro_f1 == pytest.approx(((3 / 5.5 + 2 / 4.5) / 2 + 3 / 8) / 2)


def test_picked_groups_count_as_often_as_they_are_picked() -> None:
    confusion = Confusion(ANSWERS[None], TRUTH, np.array([7, 7, 8, 9, 9]))
    picked = confusion.shares(np.array([0, 0, 2]))  # items 0 1 0 1 3 4
    again = shares_of(ANSWERS[[0, 1, 0, 1, 3, 4]], TRUTH[[0, 1, 0, 1, 3, 4]])
    assert picked == again


def test_a_class_that_was_not_drawn_counts_as_in_all_items_so_one_answer_for_everything_stays_at_chance() -> None:
    constant = np.tile([0.0, 0.0, 1.0], (6, 1))
    confusion = Confusion(constant[None], np.array([0, 0, 1, 1, 2, 2]), np.arange(6))
    for picks in ([0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0], [4, 4, 4, 4, 5, 5], [0, 2, 2, 4, 4, 4]):
        assert confusion.shares(np.array(picks)).balanced_accuracy == pytest.approx(1 / 3)


def test_guessing_and_one_answer_for_everything_by_hand() -> None:
    # 3 of class 0, 1 of class 1. Guessing: F1 of 0 is 2 * 1.5 / (2 + 3), of 1 it is 2 * 0.5 / (2 + 1)
    truth = np.array([0, 0, 1, 0])
    guessed = guessing(truth, 2)
    assert (guessed.accuracy, guessed.balanced_accuracy) == (0.5, 0.5)
    assert guessed.macro_f1 == pytest.approx((3 / 5 + 1 / 3) / 2)
    majority = always(0, truth, 2)
    assert (majority.accuracy, majority.balanced_accuracy) == (0.75, 0.5)
    assert majority.macro_f1 == pytest.approx((2 * 3 / 7 + 0) / 2)
    # four options of which two occur: guessing finds 1/4, one of the two always 1/2
    assert guessing(truth, 4).balanced_accuracy == 0.25
    assert always(1, truth, 4).balanced_accuracy == 0.5


def test_the_mean_share_of_content_free_items_by_hand() -> None:
    # shares 1/4 3/4 and 1/2 1/2: mean 3/8 5/8
    log_probs = np.log([[[0.1, 0.3], [0.2, 0.2]]])
    np.testing.assert_allclose(log_mean_share(log_probs), np.log([[3 / 8, 5 / 8]]))


# ------------------------------------------------------------------------------------------------------- whole tasks

KNOWN = {
    "<s>": (0.1, 0.3),
    "a": (0.3, 0.1),
    "b": (0.1, 0.3),
    "c": (0.4, 0.05),
    "d": (0.25, 0.3),
    "N/A": (0.3, 0.1),
    "[MASK]": (0.2, 0.2),
    "glad": (0.2, 0.2),
    "sad": (0.2, 0.2),
}
"""Word -> probability of glad and of sad after it; the rest is spread evenly."""


def known_model(context: int = 64) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    rows = [[(1 - glad - sad) / 7] * 7 + [glad, sad] for glad, sad in KNOWN.values()]
    return bigram_lm(torch.tensor(rows), context), word_tokenizer(*list(KNOWN)[1:])


def known_task(tmp_path: Path, **changes: Any) -> Any:
    templates = [{"prompt": "{text}", "premise": "c", "options": {"glad": "glad", "sad": "sad"}}]
    return load_task(definition(tmp_path, **{"templates": templates, **changes}))


def known_file(tmp_path: Path, *items: tuple[str, str]) -> Path:
    return write(tmp_path / "mood.jsonl", *({"text": text, "mood": mood} for text, mood in items))


def values(result: TaskResult) -> dict[str, float]:
    return {score.name: score.value for score in result.scores}


def test_every_score_of_a_known_model_by_hand(tmp_path: Path) -> None:
    lm, tokenizer = known_model()
    data = known_file(tmp_path, ("a", "glad"), ("b", "sad"), ("a", "sad"), ("c", "glad"), ("d", "sad"))
    result = Classification(known_task(tmp_path), data)(Speaker(lm, tokenizer))
    found = values(result)
    # sum: a glad, b sad, a glad (wrong), c glad, d sad
    assert found["tasks/mood/accuracy"] == pytest.approx(4 / 5)
    assert found["tasks/mood"] == pytest.approx((2 / 2 + 2 / 3) / 2)
    # glad: 2 right, answered 3 times, true twice; sad: 2 right, answered twice, true 3 times
    assert found["tasks/mood/macro_f1"] == pytest.approx((2 * 2 / 5 + 2 * 2 / 5) / 2)
    # per byte, 4 and 3: a ln .3 / 4 = -.30 beats ln .1 / 3 = -.77; b ln .1 / 4 = -.58 loses to ln .3 / 3 = -.40;
    # c glad; d ln .25 / 4 = -.35 beats ln .3 / 3 = -.40 (wrong)
    assert found["tasks/mood/accuracy/per_byte"] == pytest.approx(3 / 5)
    # pmi against c (.4, .05): a .3/.4 < .1/.05 sad (wrong); b sad; a sad; c 1 = 1 a tie; d .25/.4 < .3/.05 sad
    assert found["tasks/mood/accuracy/pmi"] == pytest.approx((0 + 1 + 1 + 0.5 + 1) / 5)
    # content-free: N/A 3/4 1/4, nothing (after <s>) 1/4 3/4, [MASK] 1/2 1/2, mean 1/2 1/2: as sum
    assert found["tasks/mood/accuracy/calibrated"] == pytest.approx(4 / 5)
    # sad is both the majority and the shortest option
    assert found["tasks/mood/accuracy/majority"] == found["tasks/mood/accuracy/shortest"] == pytest.approx(3 / 5)
    assert result.item_scores["tasks/mood/accuracy"] == [1, 1, 0, 1, 1]
    assert result.item_scores["tasks/mood/accuracy/pmi"] == [0, 1, 1, 0.5, 1]
    assert result.settings["answers"]["pmi"] == [{"glad": 0.1, "sad": 0.9}]
    assert result.scores[0].name == "tasks/mood"
    assert result.scores[0].chance == 0.5


def test_calibration_moves_the_threshold_by_hand(tmp_path: Path) -> None:
    # content-free shares of glad: N/A 3/4, <s> 1/4, [MASK] .39/.4: mean .6583; odds of c are 8, of a 3, of [MASK] 39
    lm, tokenizer = known_model()
    with torch.no_grad():
        at_mask = lm.lm_head.weight[:, 6]
        scale = at_mask[7] / math.log(0.2)
        at_mask[7], at_mask[8] = math.log(0.39) * scale, math.log(0.01) * scale
    data = known_file(tmp_path, ("a", "glad"), ("b", "sad"), ("c", "glad"), ("glad", "glad"))
    found = values(Classification(known_task(tmp_path), data)(Speaker(lm, tokenizer)))
    # after "glad" both have .2: a tie by sum, but sad once glad is known to be favoured (odds 1.93)
    assert found["tasks/mood/accuracy"] == pytest.approx(3.5 / 4)
    assert found["tasks/mood/accuracy/calibrated"] == pytest.approx(3 / 4)


def test_items_scored_in_parts_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm, tokenizer = known_model()
    data = known_file(tmp_path, ("a", "glad"), ("b", "sad"), ("a", "sad"), ("c", "glad"), ("d", "sad"))
    together = Classification(known_task(tmp_path), data)(Speaker(lm, tokenizer))
    monkeypatch.setattr(classification, "ITEMS_AT_ONCE", 2)
    assert Classification(known_task(tmp_path), data)(Speaker(lm, tokenizer)) == together


def test_the_item_scores_average_to_the_scores(tmp_path: Path) -> None:
    lm, tokenizer = known_model()
    data = known_file(tmp_path, ("a", "glad"), ("b", "sad"), ("a", "sad"), ("c", "glad"), ("b", "glad"))
    result = Classification(known_task(tmp_path), data)(Speaker(lm, tokenizer))
    found = values(result)
    assert len(result.item_scores) == 2 * len(SCORINGS)
    for name, scores in result.item_scores.items():
        assert sum(scores) / len(scores) == pytest.approx(found[name])


@pytest.mark.parametrize("family", ["opt", "gpt2"])
def test_a_uniform_model_scores_exactly_chance_on_options_of_equal_length(family: str, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    lm = uniform_lm(family, len(tokenizer))
    options = {"glad": "cane", "sad": "pane"}
    lengths = [len(tokenizer(f" {option}")["input_ids"]) for option in options.values()]
    assert lengths[0] == lengths[1]
    templates = [{"prompt": "{text} ecco", "premise": "ecco", "options": options}]
    lines = italian_lines(12)
    data = known_file(tmp_path, *((line, "glad" if i < 8 else "sad") for i, line in enumerate(lines)))
    result = Classification(known_task(tmp_path, templates=templates), data)(Speaker(lm, tokenizer))
    main = [score for score in result.scores if score.interval is not None]
    assert len(main) == 3 * len(SCORINGS)
    for score in main:
        assert score.value == pytest.approx(score.chance, abs=1e-12)
        if "macro_f1" not in score.name:
            assert score.chance == 0.5
            assert (there(score.interval).low, there(score.interval).high) == pytest.approx((0.5, 0.5), abs=1e-12)
    assert result.verdict.startswith("not distinguishable from chance; accuracy below the majority class")


def test_a_long_text_loses_words_at_its_beginning_and_is_counted(tmp_path: Path) -> None:
    templates = [{"prompt": "{text} c", "premise": "c", "options": {"glad": "glad", "sad": "sad"}}] * 2
    templates[1] = {**templates[1], "prompt": "{text}"}
    lm, tokenizer = known_model(context=8)
    long = "b b b a b b"  # <s>, 6 words, c and the option: 9 tokens, one too many; without c they fit
    data = known_file(tmp_path, (long, "glad"), ("a", "glad"), ("b", "sad"))
    result = Classification(known_task(tmp_path, templates=templates), data)(Speaker(lm, tokenizer))
    assert result.settings["truncated"] == [1, 0]
    assert values(result)["tasks/mood/accuracy/sum/template_1"] == pytest.approx(2 / 3)  # after c always glad


def test_no_more_is_cut_than_must_be_and_the_template_stays_whole(tmp_path: Path) -> None:
    lm, tokenizer = sharp_lm("llama"), make_tokenizer()
    task = load_task("ironita")
    lines = [" ".join(italian_lines(40, seed=1)), "Che bello!"]
    data = write(tmp_path / "ironita.jsonl", *({"text": line, "irony": i} for i, line in enumerate(lines)))
    lm.config.max_position_embeddings = 128
    item = load_items(task, data).items[0]
    for template in task.templates:
        choice, dropped = shortened(tokenizer, task, template, item, 128)
        end = template.prompts[""].split("{text}")[1]
        words = item.fields["text"].split()
        assert choice.prompt.endswith(" ".join(words[dropped:]) + end)
        assert choice.prompt.startswith(template.prompts[""].split("{text}")[0])
        one_more = Choice(template.prompts[""].format(text=" ".join(words[dropped - 1 :])), choice.options)
        fits, does_not = choice_lengths(tokenizer, [choice, one_more])
        assert fits <= 128 < does_not
    assert Classification(task, data)(Speaker(lm, tokenizer)).settings["truncated"] == [1, 1, 1]


def test_a_template_longer_than_the_context_is_refused_with_the_line(tmp_path: Path) -> None:
    lm, tokenizer = sharp_lm("llama"), make_tokenizer()
    lm.config.max_position_embeddings = 12
    rows = [{"text": "Uffa.", "irony": 0}, {"text": "Che bello!", "irony": 1}]
    data = write(tmp_path / "ironita.jsonl", *rows)
    with pytest.raises(
        TextError, match=r"line 1: even without its text the question has \d+ tokens; the model reads 12"
    ):
        Classification("ironita", data)(Speaker(lm, tokenizer))


def test_tagging_a_few_lines(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    lm = tiny_lm("gpt2", len(tokenizer), context=512)
    result = Classification("eventi", write(tmp_path / "eventi.jsonl", *TAGGED))(Speaker(lm, tokenizer))
    found = values(result)
    # 10 tokens with text: 6 O and one of each of 4 tags; 15 tags to choose from, of which 5 occur
    assert {score.items for score in result.scores} == {10}
    chances = {score.name: score.chance for score in result.scores}
    assert chances["tasks/eventi/accuracy"] == pytest.approx(1 / 15)
    assert chances["tasks/eventi"] == pytest.approx(1 / 5)
    assert found["tasks/eventi/accuracy/majority"] == pytest.approx(6 / 10)
    assert found["tasks/eventi/majority"] == pytest.approx(1 / 5)
    assert result.settings["empty_tokens"] == 1
    assert len(result.item_scores["tasks/eventi/accuracy"]) == 10
    assert set(result.settings["labels"]) == set(load_task("eventi").labels)


def test_data_and_policies_are_recorded(tmp_path: Path) -> None:
    lm, tokenizer = known_model()
    data = known_file(tmp_path, ("a", "glad"), ("b", "sad"), ("a", "sad"), ("c", "glad"))
    settings = Classification(known_task(tmp_path), data, max_items=3)(Speaker(lm, tokenizer)).settings
    assert settings["data"] == str(data)
    assert (settings["items"], settings["max_items"]) == (3, 3)
    assert len(settings["sha256"]) == 64
    assert settings["dtype"].startswith("float32; ")
    assert settings["tokenizer"]["vocabulary"] == len(tokenizer)
    assert settings["start_token"] == "<s>"
    assert "share the answer" in settings["tie"]


def test_auc_by_hand() -> None:
    # positives -1, -2, -4 against negatives -2, -3: 2 + (1/2 + 1) + 0 of 6 pairs
    score = ranking("x/auc", np.array([-1.0, -2.0, -4.0, -2.0, -3.0]), np.array([True, True, True, False, False]))
    assert score.value == pytest.approx(3.5 / 6)
    assert (score.items, score.chance) == (5, 0.5)
    assert there(score.interval).low < 3.5 / 6 < there(score.interval).high
    flat = ranking("x/auc", np.zeros(6), np.array([True] * 4 + [False] * 2))
    assert (flat.value, there(flat.interval).low, there(flat.interval).high) == (0.5, 0.5, 0.5)
    perfect = ranking("x/auc", np.array([1.0, 1.0, 0.0]), np.array([True, True, False]))
    assert (perfect.value, there(perfect.interval).low, there(perfect.interval).high) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="both kinds"):
        ranking("x/auc", np.zeros(2), np.array([True, True]))


def test_acceptability_is_also_ranked_by_probability_per_byte(tmp_path: Path) -> None:
    # after any token: glad (4 bytes) 1/4, sad (3 bytes) 3/16; per byte ln 4 / 4 = .35 against ln (16/3) / 3 = .56
    tokenizer = word_tokenizer("glad", "sad", "N/A", "[MASK]")
    lm = bigram_lm(torch.tensor([[7 / 16, 4 / 16, 3 / 16, 1 / 16, 1 / 16]]).expand(5, -1))
    templates = [{"prompt": "{text}", "premise": "glad", "options": {"glad": "glad", "sad": "sad"}}]
    task = known_task(tmp_path, templates=templates, ranked="text")
    data = known_file(tmp_path, ("glad", "glad"), ("sad", "sad"))
    result = Classification(task, data)(Speaker(lm, tokenizer))
    assert values(result)["tasks/mood/auc"] == 0.0  # sad, the last label, should be likelier and is not
    assert result.verdict.endswith("; AUC below chance")
