"""What a program hands over in place of files and kinds: lists of texts and rewards, and what is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import italian_lines

from bambino import BambinoTrainer
from bambino.errors import RewardError, TextError
from bambino.evaluation.in_training import measures_of
from bambino.feedback.rewards import Kind, Moment, answer_of, rewards_of
from bambino.recipe.settings import Recipe
from bambino.recipe.text_settings import ReplayConfig, TextConfig
from bambino.speaking.utterances import Utterances
from bambino.text.datasets import texts_of
from bambino.text.lines import corpus_of
from bambino.training.pretrain import newborn_trainer

# -------------------------------------------------------------------------------------------------------------- texts


class DatasetDict(dict[str, Any]):
    """Like that of the library datasets."""


class DataFrame:
    """Like that of pandas: who goes through it gets the names of its columns."""

    columns = ("id", "text")

    def __iter__(self) -> Any:
        return iter(self.columns)


NO_TEXTS: list[tuple[Any, str]] = [
    ("corpus.txt", r"'corpus.txt' is no list of texts. A path goes to text.sources"),
    (Path("corpus.txt"), r"A path goes to text.sources"),
    (b"uno", r"is no list of texts"),
    (DatasetDict(train=[], test=[]), r"is a DatasetDict of train, test.*Pass one of these: dataset\['train'\]"),
    ({"text": ["uno"]}, r"is a dict of text.*dataset\['text'\]"),
    (DataFrame(), r"is a DataFrame, a table. Pass its column of texts: list\(table\['text'\]\)"),
    (3, r"of the type int, no list of texts"),
    ([{"id": 1, "frase": "uno"}], r"row 0: no text; there are id, frase. Set text.jsonl_field"),
    (["uno", ["due"]], r"row 1: \['due'\] is of the type list, no text"),
    ([{"text": ["uno"]}], r"row 0: \['uno'\] is of the type list, no text"),
    ([b"uno"], r"row 0: b'uno' is of the type bytes, no text"),
]


@pytest.mark.parametrize(("dataset", "problem"), NO_TEXTS)
def test_what_is_no_list_of_texts_is_refused_with_the_way_out(dataset: Any, problem: str) -> None:
    with pytest.raises(TextError, match=problem):
        texts_of(dataset, "text")


def test_whoever_takes_a_dataset_refuses_what_is_none(tmp_path: Path) -> None:
    recipe = Recipe(output_dir=str(tmp_path / "run"))
    from_scratch = Recipe(output_dir=recipe.output_dir, schedule=type(recipe.schedule)(cycle={"clm": 1}))
    takers: list[Callable[[], object]] = [
        lambda: BambinoTrainer(args=recipe, train_dataset=DataFrame()),
        lambda: newborn_trainer(from_scratch, train_dataset=DataFrame()),
        lambda: measures_of(recipe, dataset=DataFrame()),
    ]
    for taker in takers:
        with pytest.raises(TextError, match="DataFrame, a table"):
            taker()
    assert not (tmp_path / "run").exists()


def test_texts_are_strings_or_rows_in_whatever_can_be_gone_through() -> None:
    expected = ["uno", None, "due"]
    rows: list[dict[str, Any]] = [{"text": "uno"}, {"text": None}, {"text": "due", "id": 3}]
    given: list[Iterable[Any]] = [expected, rows, tuple(rows), iter(rows), ["uno", float("nan"), "due"]]
    assert [texts_of(dataset, "text") for dataset in given] == [expected] * 5
    assert texts_of(None, "text") is None


def test_nulls_are_dropped_and_counted() -> None:
    report = corpus_of(["uno", None, "", None], "mine").reports[0]
    assert (report.lines, report.dropped) == (4, {"null": 2, "empty": 1})
    with pytest.raises(TextError, match=r"mine has no usable text: 1 read, dropped \{'null': 1\}"):
        corpus_of([None], "mine")


def test_a_run_hears_a_dataset_with_nulls(make_recipe: Callable[..., Recipe]) -> None:
    texts = italian_lines(200, seed=7)
    recipe = make_recipe("--max_steps", "1", "--text.sources", "[]", "--evaluation.utterances", "3")
    dataset = [{"text": text} for text in texts] + [{"text": None}]
    trainer = BambinoTrainer(args=recipe, train_dataset=dataset, measures=measures_of(recipe, dataset=dataset))
    trainer.train()
    assert trainer.tools.streams.manifest["clm"][0]["dropped"]["null"] == 1
    assert trainer.evaluate()


def test_a_text_that_is_none_is_refused_before_a_model_is_opened(tmp_path: Path) -> None:
    texts = [TextConfig([""]), TextConfig(["nowhere.txt"]), TextConfig(prompt_sources=["nowhere.txt"])]
    for text in texts:
        recipe = Recipe(output_dir=str(tmp_path / "run"), text=text)
        with pytest.raises(TextError, match=r"name of a text is empty|no text at nowhere\.txt"):
            BambinoTrainer("no/such/model", args=recipe)
    replayed = Recipe(replay=ReplayConfig(sources=["nowhere.txt"], share=0.5))
    with pytest.raises(TextError, match=r"no text at nowhere\.txt"):
        BambinoTrainer("no/such/model", args=replayed)


# ------------------------------------------------------------------------------------------------------------ rewards


def length(completions: list[str], **_: Any) -> list[float]:
    return [float(len(text)) for text in completions]


def of_tokens(completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [float(len(ids)) for ids in completion_ids]


def of_a_column(prompts: list[str], completions: list[str], solution: list[str], **_: Any) -> list[float]:
    return [float(text in those) for text, those in zip(completions, solution, strict=True)]


def without_more(prompts: list[str], completions: list[str]) -> list[float]:
    return length(completions)


NO_REWARDS: list[tuple[Any, str]] = [
    ([], "reward_funcs is empty, so there is no reward"),
    ("accuracy", "reward_funcs = 'accuracy' is a str, no reward"),
    ({"length": length}, "is a dict, no reward"),
    (3, "is a int, no reward"),
    ([length, None], r"reward_funcs\[1\] = None is no function"),
    ([None, None], r"reward_funcs\[0\] = None is no function"),
    (["accuracy"], r"reward_funcs\[0\] = 'accuracy' is no function"),
    (of_tokens, "The reward of_tokens cannot be called: .*'completion_ids'.*A reward is given prompts, completions, "),
    ([length, of_a_column], "The reward of_a_column cannot be called: .*'solution'"),
    (without_more, r"The reward without_more cannot be called: .*unexpected.*end with \*\*kwargs"),
]


@pytest.mark.parametrize(("rewards", "problem"), NO_REWARDS)
def test_what_is_no_reward_is_refused_with_the_way_out(rewards: Any, problem: str) -> None:
    with pytest.raises(RewardError, match=problem):
        rewards_of(rewards)


def test_a_trainer_refuses_them_before_anything_is_written(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    none: list[Any] = [[], of_tokens]
    for rewards in none:
        with pytest.raises(RewardError):
            BambinoTrainer(args=recipe, reward_funcs=rewards)
    assert not Path(recipe.output_dir).exists()


def test_a_reward_is_a_function_or_several() -> None:
    class Length:
        def __call__(self, *, completions: list[str], mine: float = 1.0, **_: Any) -> list[float]:
            return [mine] * len(completions)

    one = Length()
    assert rewards_of(length) == [length]
    assert rewards_of((length, one)) == [length, one]


def answered(*rewards: Any) -> list[float]:
    said = Utterances(["Il "] * 2, ["gatto", "cane"], ["Il gatto", "Il cane"], [True] * 2)
    kinds = [Kind(f"kind {number}", reward) for number, reward in enumerate(rewards)]
    return answer_of(kinds, said, lambda lm, tokens: None, Moment(step=7)).rewards


def test_none_from_every_reward_for_every_utterance_stops_the_run() -> None:
    def nothing(completions: list[str], **_: Any) -> list[None]:
        return [None] * len(completions)

    with pytest.raises(RewardError, match=r"No utterance of step 7 got a number: all is None \(kind 0, kind 1\)"):
        answered(nothing, nothing)
    assert answered(nothing, length) == [5.0, 4.0]
    assert answered(lambda **_: [None, 2.0]) == [0.0, 2.0]
