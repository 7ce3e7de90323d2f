"""lm-evaluation-harness agrees with our scores item by item, on our tasks and on its own."""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import FAMILIES, italian_lines, make_tokenizer
from known_models import sharp_lm, uniform_lm, word_tokenizer
from torch.utils import collect_env
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bambino.errors import HarnessError, TextError
from bambino.evaluation.harness import Harness, HarnessConfig, with_start
from bambino.evaluation.lm_eval_tasks import beginning_for, pair_points, write_choice_task, write_pair_tasks
from bambino.evaluation.minimal_pairs import MinimalPairs, score_pairs
from bambino.evaluation.pair_files import Pair, PairSet
from bambino.evaluation.zero_shot.choices import Choice, choice_log_probs
from bambino.speaking.speaker import Speaker

LINES = [" ".join(line.split()[:8]) for line in italian_lines(8, seed=6)]
PAIRS = [
    *(Pair(line, " ".join(reversed(line.split())), "order") for line in LINES),
    *(Pair(line, line, "same") for line in LINES[:2]),
    *(Pair(f"{line} gatto", f"{line} gatti", "form", given=len(line)) for line in LINES),
    Pair("il gatto", "il gatti", "form"),  # after an empty prefix
    *(Pair(f"{line} l'amico", f"{line} l'amici", "form", given=len(line) + 3) for line in LINES[:3]),
]

packages = functools.cache(collect_env.get_pip_packages)
"""What is installed. lm-eval asks pip for it at each evaluation, which takes longer than that; here it asks once."""


@pytest.fixture(autouse=True)
def _packages_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_env, "get_pip_packages", packages)


@pytest.fixture(autouse=True)
def _data_sets_in_the_tests_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("lm_eval")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def with_our_start(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Any:
    """The model as `Harness` hands it to lm-eval."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=lm, tokenizer=with_start(tokenizer), batch_size=5)


def lm_eval_scores(model: Any, folder: Path, *tasks: str) -> Any:
    """Task -> log-likelihoods of its options, one list per item."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False, include_path=folder)
    found = simple_evaluate(model, tasks=list(tasks), task_manager=manager, bootstrap_iters=0)
    return {
        task: [[ll for ll, _ in item["filtered_resps"]] for item in sorted(items, key=lambda item: item["doc_id"])]
        for task, items in found["samples"].items()
    }


@pytest.mark.parametrize(
    ("family", "prepends_bos"),
    [
        *((family, False) for family in FAMILIES),
        ("opt", True),
        *(pytest.param(family, True, marks=pytest.mark.slow) for family in FAMILIES if family != "opt"),
    ],
)
def test_every_log_prob_of_a_pair_is_lm_evals(family: str, prepends_bos: bool, tmp_path: Path) -> None:
    lm, tokenizer = sharp_lm(family), make_tokenizer(prepends_bos=prepends_bos)
    assert write_pair_tasks(tmp_path, "it", PairSet(PAIRS, "memory", "")) == ["it_order", "it_same", "it_form"]
    theirs = lm_eval_scores(with_our_start(lm, tokenizer), tmp_path, "it")
    together = np.array(theirs["it_order"] + theirs["it_same"] + theirs["it_form"])
    ours = score_pairs(lm, tokenizer, PAIRS)
    # both in fp32, in other batches: sums of about 100 nats
    np.testing.assert_allclose(together[:, 0], ours.good, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(together[:, 1], ours.bad, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_for_a_tokenizer_without_bos_tasks_say_its_eos_and_lm_eval_agrees(family: str, tmp_path: Path) -> None:
    from lm_eval.models.huggingface import HFLM

    lm, tokenizer = sharp_lm(family), make_tokenizer(bos=None)
    beginning = beginning_for(tokenizer)
    assert (tokenizer.bos_token, beginning, beginning_for(make_tokenizer())) == (None, "</s>", "")
    choices = [Choice(f"{line}?", ("sì", "no")) for line in LINES[:4]]
    write_pair_tasks(tmp_path, "it", PairSet(PAIRS, "memory", ""), beginning)
    write_choice_task(tmp_path, "risposte", choices, [0, 1, 0, 1], beginning)
    model = HFLM(pretrained=lm, tokenizer=tokenizer, add_bos_token=True, batch_size=5)  # as lm_eval opens it itself
    theirs = lm_eval_scores(model, tmp_path, "it_order", "it_form", "risposte")
    ours = score_pairs(lm, tokenizer, [pair for pair in PAIRS if pair.uid != "same"])
    together = np.array(theirs["it_order"] + theirs["it_form"])
    np.testing.assert_allclose(together, np.array([ours.good, ours.bad]).T, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(theirs["risposte"], choice_log_probs(lm, tokenizer, choices), rtol=1e-6, atol=1e-5)
    with pytest.raises(HarnessError, match="neither BOS nor EOS"):
        beginning_for(word_tokenizer("a", bos=None))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_log_prob_of_an_option_is_lm_evals(family: str, tmp_path: Path) -> None:
    lm, tokenizer = sharp_lm(family), make_tokenizer()
    choices = [Choice(f"{line}?", ("sì", "no", "il gatto")) for line in LINES[:4]]
    write_choice_task(tmp_path, "risposte", choices, [0, 1, 2, 0])
    theirs = lm_eval_scores(with_our_start(lm, tokenizer), tmp_path, "risposte")["risposte"]
    ours = choice_log_probs(lm, tokenizer, choices)
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-5)
    best = [int(np.argmax(scores)) for scores in ours]
    result = Harness(HarnessConfig(("risposte",), tmp_path)).run(Speaker(lm, tokenizer))["harness/risposte"]
    assert result.item_scores["harness/risposte/acc"] == [
        float(b == label) for b, label in zip(best, [0, 1, 2, 0], strict=True)
    ]
    assert result.scores[0].chance == pytest.approx(1 / 3)


def test_our_tasks_have_our_accuracy_in_lm_eval_paradigm_by_paradigm(tmp_path: Path) -> None:
    lm, tokenizer = sharp_lm("opt"), make_tokenizer()
    data = PairSet(PAIRS, "memory", "")
    write_pair_tasks(tmp_path, "it", data)
    config = HarnessConfig(("it",), tmp_path, batch_size=3)
    theirs = Harness(config).run(Speaker(lm, tokenizer))
    ours = {score.name: score for score in MinimalPairs("it", data)(Speaker(lm, tokenizer)).scores}
    for uid in ("order", "same", "form"):
        (score,) = theirs[f"harness/it_{uid}"].scores
        mine = ours[f"pairs/it/{uid}"]
        assert (score.value, score.items, score.interval) == (mine.value, mine.items, mine.interval)
        assert (score.name, score.unit, score.chance) == (f"harness/it_{uid}/acc", "share", 0.5)
    assert ours["pairs/it/same"].value == 0.5  # ties
    assert theirs["harness/it"].scores[0].value == pytest.approx(ours["pairs/it"].value)
    settings = theirs["harness/it_order"].settings
    assert settings["harness"].startswith("lm-eval 0.4")
    assert (settings["start_token"], settings["version"], settings["fewshot"]) == ("</s>", 1, 0)


def test_a_limit_leaves_the_first_items(tmp_path: Path) -> None:
    lm, tokenizer = uniform_lm("gpt2", 320), make_tokenizer()
    write_pair_tasks(tmp_path, "it", PairSet(PAIRS, "memory", ""))
    config = HarnessConfig(("it_same", "it_ord*"), tmp_path, limit=1)
    results = Harness(config).run(Speaker(lm, tokenizer))
    assert {name: result.scores[0].items for name, result in results.items()} == {
        "harness/it_same": 1,
        "harness/it_order": 1,
    }
    assert results["harness/it_same"].item_scores["harness/it_same/acc"] == [0.5]


def test_lm_evals_own_blimp_has_a_space_before_each_sentence_and_gives_ties_to_the_good_one(tmp_path: Path) -> None:
    # its template, on a file of ours
    data = tmp_path / "own.jsonl"
    pairs = [PAIRS[0], PAIRS[8]]
    data.write_text("\n".join(json.dumps({"sentence_good": p.good, "sentence_bad": p.bad}) for p in pairs))
    config = {
        "task": "own",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"train": str(data)}},
        "validation_split": "train",
        "output_type": "multiple_choice",
        "doc_to_text": "",
        "doc_to_target": 0,
        "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
        "metric_list": [{"metric": "acc"}],
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    lm, tokenizer = sharp_lm("gpt2"), make_tokenizer()
    theirs = np.array(lm_eval_scores(with_our_start(lm, tokenizer), tmp_path, "own")["own"])
    spaced = score_pairs(lm, tokenizer, [Pair(f" {p.good}", f" {p.bad}", "") for p in pairs])
    np.testing.assert_allclose(theirs[:, 0], spaced.good, rtol=1e-6)
    assert abs(theirs[0, 0] - score_pairs(lm, tokenizer, pairs).good[0]) > 0.1
    result = Harness(HarnessConfig(("own",), tmp_path)).run(Speaker(lm, tokenizer))["harness/own"]
    assert result.item_scores["harness/own/acc"][1] == 1.0


def test_points_of_a_pair_as_lm_eval_asks_for_them() -> None:
    assert pair_points({}, [(-3.0, False), (-4.0, True)]) == {"acc": 1.0}
    assert pair_points({}, [(-4.0, False), (-3.0, True)]) == {"acc": 0.0}
    assert pair_points({}, [(-4.0, False), (-4.0, False)]) == {"acc": 0.5}


def test_tasks_that_cannot_be_written(tmp_path: Path) -> None:
    alike = PairSet([Pair("il gatto", "la gatto", "a/b"), Pair("il gatto", "la gatto", "a b")], "pairs.jsonl", "")
    with pytest.raises(TextError, match="two paradigms have the same name"):
        write_pair_tasks(tmp_path, "it", alike)


def test_the_start_token_is_prepended_once_whoever_does_it() -> None:
    ids = make_tokenizer()("il gatto")["input_ids"]
    for prepends_bos in (False, True):
        tokenizer = make_tokenizer(prepends_bos=prepends_bos)
        assert with_start(tokenizer)("il gatto")["input_ids"] == [1, *ids]
        assert tokenizer("il gatto")["input_ids"] == [1] * prepends_bos + ids  # the tokenizer itself is as it was
    assert with_start(make_tokenizer(bos=None))("il gatto")["input_ids"][0] == make_tokenizer(bos=None).eos_token_id


def test_a_tokenizer_without_any_start_token_is_refused() -> None:
    with pytest.raises(HarnessError, match="neither BOS nor EOS"):
        Harness(HarnessConfig(())).run(Speaker(sharp_lm("opt"), word_tokenizer("a", bos=None)))


def test_an_unknown_task_is_named(tmp_path: Path) -> None:
    write_pair_tasks(tmp_path, "it", PairSet(PAIRS, "memory", ""))
    config = HarnessConfig(("it_order", "it_odrer"), tmp_path)
    with pytest.raises(HarnessError, match=rf"finds no task it_odrer in {tmp_path}"):
        Harness(config).run(Speaker(sharp_lm("opt"), make_tokenizer()))
    with pytest.raises(HarnessError, match=r"finds no task blimp \(neither its own tasks nor a folder"):
        Harness(HarnessConfig(("blimp",))).run(Speaker(sharp_lm("opt"), make_tokenizer()))


@pytest.mark.slow
def test_lm_evals_own_tasks_are_found_when_asked_for() -> None:
    with pytest.raises(HarnessError, match="finds no task blimp_adjunct_iland among its own"):
        Harness(HarnessConfig(("blimp_adjunct_iland",), include_defaults=True)).run(
            Speaker(sharp_lm("opt"), make_tokenizer())
        )
    with pytest.raises(HarnessError, match="cannot read the data of blimp_adjunct_island"):  # offline
        Harness(HarnessConfig(("blimp_adjunct_island",), include_defaults=True)).run(
            Speaker(sharp_lm("opt"), make_tokenizer())
        )


def test_data_that_are_not_here_are_named(tmp_path: Path) -> None:
    write_pair_tasks(tmp_path, "it", PairSet(PAIRS, "memory", ""))
    (tmp_path / "it_form.jsonl").unlink()
    config = HarnessConfig(("it_form",), tmp_path)
    with pytest.raises(HarnessError, match=r"cannot read the data of it_form: .*it_form\.jsonl"):
        Harness(config).run(Speaker(sharp_lm("opt"), make_tokenizer()))


def test_without_lm_eval_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(HarnessError, match=r"Install it: pip install 'bambino-lm\[harness\]'"):
        Harness(HarnessConfig(("blimp",))).run(Speaker(sharp_lm("opt"), make_tokenizer()))
