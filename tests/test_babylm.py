"""BabyLM's evaluation: questions by their columns, scores as its organizers count, and every file of its collator."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from conftest import make_tokenizer, tiny_lm
from known_models import unigram_lm, word_tokenizer
from test_readers import COMPS, EWOK, write

from bambino.analysis.results import load_results
from bambino.cli.main import main
from bambino.errors import PlanError, TextError
from bambino.evaluation.babylm.likelihood import end_log_probs
from bambino.evaluation.babylm.questions import Question, load_questions
from bambino.evaluation.babylm.ranking import Ranking
from bambino.evaluation.babylm.reading import ReadingTimes, explained, word_log_probs
from bambino.evaluation.babylm.revisions import revisions_of
from bambino.evaluation.babylm.words import WordInContext, age_of_acquisition, child_age, model_age
from bambino.evaluation.plan import Plan
from bambino.speaking.speaker import Speaker

BLIMP = {"sentence_good": "It sleeps.", "sentence_bad": "It sleep.", "field": "syntax", "UID": "agreement"}
SUPPLEMENT = {"sentence_good": "A: Who?\nB: Me.", "sentence_bad": "A: Who?\nB: Red."}
TRACKING = {"input_prefix": "Box 0 has a", "options": [" key.", " hat.", " cup."], "numops": 2}
WUG = {"sentences": "She ricked.\tShe rock.", "ratio": 0.75}
READING = {
    "item": "The",
    "word": " cat",
    "prev_item": "",
    "prev_word": "",
    "Subtlex_log10": 3.5,
    "length": 3,
    "context_length": 1,
    "prev_length": 3,
    "RTfirstfix": 200.0,
    "RTfirstpass": 210.0,
    "RTgopast": 220.0,
    "RTrightbound": 230.0,
    "self_paced_reading_time": 300.0,
}


# ----------------------------------------------------------------------------------------------------------- questions


def _whole(uid: str, *sentences: str, ratio: float | None = None) -> Question:
    """A question whose sentences are scored from their first word on."""
    return Question(uid, sentences, sentences, ratio)


@pytest.mark.parametrize(
    ("name", "row", "question"),
    [
        ("a", BLIMP, _whole("agreement", "It sleeps.", "It sleep.")),
        ("turns", SUPPLEMENT, _whole("turns", "A: Who?\nB: Me.", "A: Who?\nB: Red.")),
        (
            "a",
            EWOK,
            Question(
                "spatial-relations",
                ("It is near. I see it.", "It is near. I miss it."),
                (" I see it.", " I miss it."),
            ),
        ),
        (
            "comps_wugs_dist-before",
            COMPS,
            Question(
                "wugs_dist_before",
                ("a cat can sleep.", "a red car can sleep."),
                ("can sleep.", "can sleep."),
                answers_whole=True,
            ),
        ),
        (
            "regular",
            TRACKING,
            Question(
                "regular_2_ops",
                ("Box 0 has a key.", "Box 0 has a hat.", "Box 0 has a cup."),
                (" key.", " hat.", " cup."),
            ),
        ),
        ("wug", WUG, _whole("wug_past", "She ricked.", "She rock.", ratio=0.75)),
    ],
)
def test_questions_are_told_by_their_columns(
    name: str, row: dict[str, Any], question: Question, tmp_path: Path
) -> None:
    assert load_questions(write(tmp_path / f"{name}.jsonl", [row]), "wug_past") == [question]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"sentence": "a"}, "line 1: no question, by its columns sentence. Known are sentence_good, sentence_bad; or"),
        (WUG | {"ratio": "most"}, "ratio = 'most' must be a number"),
        (WUG | {"sentences": "alone"}, "it takes two answers"),
        (TRACKING | {"options": "key"}, "options = 'key' must be a list of strings"),
        (TRACKING | {"options": ["", "key"]}, "an option = '' must be a non-empty string"),
        (TRACKING | {"options": ["a\0", "key"]}, "of whole characters"),
        (WUG | {"sentences": "She ricked.\t"}, "it takes two answers, none of them empty"),
        (BLIMP | {"sentence_bad": None}, "sentence_bad = None must be a non-empty string"),
    ],
)
def test_what_is_no_question_is_named(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(TextError, match=said):
        load_questions(write(tmp_path / "set.jsonl", [row]))


# ------------------------------------------------------------------------------------------------------------- scoring


def plain_log_prob(speaker: Speaker, sentence: str, end: str) -> float:
    """Of the tokens of a sentence that end after the beginning of its end, by Transformers alone."""
    encoded = speaker.tokenizer(sentence, return_offsets_mapping=True)
    ids = torch.tensor([encoded["input_ids"]])
    with torch.no_grad():
        log_probs = speaker.lm(input_ids=ids).logits[0, :-1].log_softmax(-1)
    begin = len(sentence) - len(end)
    places = [i for i, (_, stop) in enumerate(encoded["offset_mapping"]) if i and stop > begin]
    return float(sum(log_probs[i - 1, ids[0, i]] for i in places))


@pytest.mark.parametrize("prepends_bos", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_scores_are_those_of_a_few_lines_of_transformers(family: str, prepends_bos: bool) -> None:
    tokenizer = make_tokenizer(prepends_bos=prepends_bos)
    speaker = Speaker(tiny_lm(family, len(tokenizer)), tokenizer)
    ends = [" il gatto vede.", "ama il cane.", "il cuore"]
    sentences = ["La nonna dice: il gatto vede.", "Il bambino ama il cane.", "il cuore"]
    expected = [plain_log_prob(speaker, sentence, end) for sentence, end in zip(sentences, ends, strict=True)]
    np.testing.assert_allclose(end_log_probs(speaker, sentences, ends), expected, rtol=1e-5)


def test_a_first_token_that_nothing_comes_before_is_not_scored() -> None:
    lm, tokenizer = unigram_lm([0.25, 0.25, 0.5]), word_tokenizer("a", "b")
    found = end_log_probs(Speaker(lm, tokenizer), ["a b", "b a"], ["a b", "b a"])
    np.testing.assert_allclose(found, [math.log(0.5), math.log(0.25)], rtol=1e-5)


def test_a_sentence_beyond_the_context_is_refused() -> None:
    tokenizer = make_tokenizer()
    with pytest.raises(TextError, match="longer than the model's context, 64"):
        end_log_probs(Speaker(tiny_lm("gpt2", len(tokenizer)), tokenizer), ["xy " * 64], ["xy " * 64])


def test_uids_weigh_alike_and_operations_within_a_kind_by_hand() -> None:
    # the likelier second word is right in a and wrong in b: regular (1 + 0) / 2, ambiref 0; their mean is 1/4
    lm, tokenizer = unigram_lm([0.25, 0.5, 0.25]), word_tokenizer("a", "b")
    right, wrong = (("a a", "a b"), (" a", " b")), (("a b", "a a"), (" b", " a"))
    questions = [Question("regular_0_ops", *right)] * 3
    questions += [Question("regular_1_ops", *wrong), Question("ambiref_0_ops", *wrong)]
    result = Ranking("entity_tracking", questions, "memory")(Speaker(lm, tokenizer))
    assert [(score.name, score.value) for score in result.scores] == [
        ("babylm/entity_tracking", 0.25),
        ("babylm/entity_tracking/regular_0_ops", 1.0),
        ("babylm/entity_tracking/regular_1_ops", 0.0),
        ("babylm/entity_tracking/ambiref_0_ops", 0.0),
    ]
    assert result.main.chance == 0.5


def test_wugs_are_correlated_with_people_by_hand() -> None:
    # p(first of both): 1/2 against 1/4 is 2/3, a tie 1/2, 1/4 against 1/2 is 1/3; people say the same, then the reverse
    lm, tokenizer = unigram_lm([0.125, 0.5, 0.25, 0.125]), word_tokenizer("a", "b", "c")
    sentences = [("c a", "c b"), ("c a", "c a"), ("c b", "c a")]
    for ratios, rho in (((0.9, 0.6, 0.1), 1.0), ((0.1, 0.6, 0.9), -1.0)):
        questions = [Question("wug_past", s, s, ratio) for s, ratio in zip(sentences, ratios, strict=True)]
        ranking = Ranking("wug_past_tense", questions, "memory")
        result = ranking(Speaker(lm, tokenizer))
        assert result.main.value == pytest.approx(rho)
        rows = ranking.predictions(result)["wug_past"]["predictions"]
        assert [row["pred"] for row in rows] == ["c a", "c a", "c a"]
        assert [row["prob"] for row in rows] == pytest.approx([2 / 3, 1 / 2, 1 / 3])


# ------------------------------------------------------------------------------------------------------- reading times


def test_surprisal_explains_what_is_left_by_hand() -> None:
    # known: a column of no use. times 0 1 2 3 about their mean: 5 in squares. Surprisal 0 0 1 1 explains 4 of them
    times, nothing = np.array([0.0, 1, 2, 3, math.nan]), np.zeros((5, 1))
    assert explained(times, nothing, np.array([0.0, 0, 1, 1, 9])) == pytest.approx(0.8)
    assert explained(times, nothing, np.array([0.0, 1, 1, 0, 9])) == pytest.approx(0)


def test_products_of_what_is_known_are_known() -> None:
    random = np.random.default_rng(0)
    known, rest = random.normal(size=(50, 3)), random.normal(size=50)
    product = known[:, 0] * known[:, 2]
    assert explained(product + rest, known, product) == pytest.approx(0, abs=1e-9)
    assert explained(product + rest, known, rest) == pytest.approx(1)


def test_a_word_of_several_tokens_after_its_context() -> None:
    tokenizer = make_tokenizer()
    speaker = Speaker(tiny_lm("gpt2", len(tokenizer)), tokenizer)
    (found,) = word_log_probs(speaker, [("La nonna", " abracadabra")])
    assert found == pytest.approx(plain_log_prob(speaker, "La nonna abracadabra", " abracadabra"), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"RTgopast": "slow"}, r"line 2: RTgopast = 'slow' must be a number"),
        ({"word": ""}, "word = '' must be a non-empty string"),
        ({"prev_item": "The", "prev_word": ""}, "prev_word = '' must be"),
    ],
)
def test_a_damaged_reading_time_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(TextError, match=said):
        ReadingTimes(write(tmp_path / "reading.csv", [READING | change]))
    fewer = {name: cell for name, cell in READING.items() if name not in ("word", "prev_length")}
    with pytest.raises(TextError, match=r"no prev_length, word\. Reading times have"):
        ReadingTimes(write(tmp_path / "reading.csv", [fewer]))


# -------------------------------------------------------------------------------------------------- age of acquisition


def test_ages_are_where_sigmoids_cross_by_hand() -> None:
    # children: 1 / (1 + exp(-(month - 22))) is one half at 22
    months = np.arange(16.0, 31)
    assert child_age(months, 1 / (1 + np.exp(-(months - 22)))) == pytest.approx(22, abs=1e-3)
    assert child_age(months, np.full(15, 0.2)) is None
    # a model: log2(300 000) = 18.19 knows nothing; negative surprisal -18.19 + 18.19 s(4 (x - 7)) is half way at 7
    seen = np.linspace(6, 8, 21)
    nothing = math.log2(300_000)
    learned = nothing - nothing / (1 + np.exp(-4 * (seen - 7)))
    assert model_age(seen, learned[None]) == pytest.approx(7, abs=0.02)
    assert model_age(seen, np.stack([learned, learned])) == pytest.approx(7, abs=0.02)
    assert model_age(seen[:2], learned[None, :2]) is None


def test_words_that_children_learn_late_and_the_model_too(tmp_path: Path) -> None:
    months, names = np.arange(16.0, 31), [f"chck_{n}M" for n in (*range(1, 10), *range(10, 101, 10))]
    seen, nothing = np.array([math.log10(int(name[5:-1]) * 1e6) for name in names]), math.log2(300_000)
    words = [WordInContext(word, 0, "a") for word in ("mamma", "pane", "virtù", "unknown")]
    places = [6.8, 7.1, 7.4, 7.0]
    table = np.stack([nothing - nothing / (1 + np.exp(-6 * (seen - place))) for place in places], axis=1)
    rows = [
        {"word": word.word} | {str(int(m)): 1 / (1 + math.exp(-(m - age))) for m in months}
        for word, age in zip(words[:3], (19, 22, 25), strict=True)
    ]
    result = age_of_acquisition(
        words, dict(zip(names, table.tolist(), strict=True)), write(tmp_path / "cdi_human.csv", rows)
    )
    assert result.main.value == pytest.approx(1, abs=0.01)
    assert result.main.items == 3


# -------------------------------------------------------------------------------------------------------- a submission

SETS: dict[str, dict[str, dict[str, Any]]] = {
    "full_eval": {
        "blimp_filtered/agreement": BLIMP,
        "supplement_filtered/turn_taking": SUPPLEMENT,
        "ewok_filtered/spatial-relations": EWOK,
        "entity_tracking/regular": TRACKING,
        "wug_adj_nominalization/wug_adj_nominalization": WUG,
        "wug_past_tense/wug_past_tense": WUG,
        "comps/comps_base": COMPS,
    },
    "fast_eval": {
        "blimp_fast/agreement": BLIMP,
        "supplement_fast/turn_taking": SUPPLEMENT,
        "ewok_fast/spatial-relations": EWOK,
        "entity_tracking_fast/regular": TRACKING,
        "wug_adj_nominalization/wug_adj_nominalization": WUG,
        "wug_past_tense/wug_past_tense": WUG,
    },
}
"""The folders and files of BabyLM's evaluation_data, with a question of our own in each."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for part, files in SETS.items():
        for name, row in files.items():
            write(tmp_path / "data" / part / f"{name}.jsonl", [row, row])
        words = [READING | {"length": n, "word": f" c{'a' * n}"} for n in range(1, 9)]
        words[1] |= {"prev_item": "The", "prev_word": " old"}
        write(tmp_path / "data" / part / "reading" / "reading_data.csv", words)
    aoa = tmp_path / "data" / "full_eval" / "aoa"
    aoa.mkdir()
    (aoa / "cdi_childes.json").write_text(json.dumps({"cat": [{"context": "I see a "}], "a": [{"context": "no"}]}))
    write(aoa / "cdi_human.csv", [{"word": "cat", "16": 0.1, "22": 0.5, "30": 0.9}])
    return tmp_path / "data"


@pytest.fixture
def model(baby_folder: Path, tmp_path: Path) -> Path:
    """A model with two revisions beside it."""
    folder = tmp_path / "tiny"
    for place in (folder, folder / "revisions" / "chck_10M", folder / "revisions" / "chck_2M"):
        shutil.copytree(baby_folder, place, dirs_exist_ok=True)
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_file_of_the_collator_field_by_field(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(model), "--suite", "babylm", "--data", str(data), "--revisions", "all"]
    assert main([*words, "--output_dir", str(tmp_path / "out")]) == 0
    out = tmp_path / "out" / "tiny"
    assert sorted(path.name for path in out.iterdir()) == ["chck_10M", "chck_2M", "main"]
    scored = {
        "main": "blimp/blimp_filtered blimp/supplement_filtered ewok/ewok_filtered entity_tracking/entity_tracking "
        "wug_adj/wug_adj_nominalization wug_past/wug_past_tense comps/comps reading",
        "chck_2M": "blimp/blimp_fast blimp/supplement_fast ewok/ewok_fast entity_tracking/entity_tracking_fast "
        "wug_adj/wug_adj_nominalization wug_past/wug_past_tense reading",
    }
    for revision, places in scored.items():
        top = out / revision / "zero_shot" / "causal"
        written = sorted(str(path.parent.relative_to(top)) for path in top.rglob("predictions.json"))
        assert written == sorted(places.split())

    top = out / "main" / "zero_shot" / "causal"
    for place, uid, answers in (
        ("blimp/blimp_filtered", "agreement", ("It sleeps.", "It sleep.")),
        ("blimp/supplement_filtered", "turn_taking", ("A: Who?\nB: Me.", "A: Who?\nB: Red.")),
        ("ewok/ewok_filtered", "spatial-relations", (" I see it.", " I miss it.")),
        ("entity_tracking/entity_tracking", "regular_2_ops", (" key.", " hat.", " cup.")),
        ("comps/comps", "base", ("a cat can sleep.", "a red car can sleep.")),
        ("wug_adj/wug_adj_nominalization", "wug_adj", ("She ricked.", "She rock.")),
        ("wug_past/wug_past_tense", "wug_past", ("She ricked.", "She rock.")),
    ):
        found = read(top / place / "predictions.json")
        assert list(found) == [uid]
        assert list(found[uid]) == ["predictions"]
        rows = found[uid]["predictions"]
        assert [row["id"] for row in rows] == [f"{uid}_0", f"{uid}_1"]
        assert {row["pred"] for row in rows} <= set(answers)
        assert set(rows[0]) == ({"id", "pred", "prob"} if uid.startswith("wug") else {"id", "pred"})

    rows = read(top / "reading" / "predictions.json")["reading"]["predictions"]
    assert [row["id"] for row in rows] == list(range(8))
    assert set(rows[0]) == {"id", "pred", "prev_pred"}
    assert [math.isnan(row["prev_pred"]) for row in rows] == [n != 1 for n in range(8)]
    assert all(row["pred"] > 0 for row in rows)

    found = read(top / "AoA_word" / "surprisal.json")
    assert found["metadata"] == {"model_name": "tiny", "use_bos_only": False, "total_steps": 2, "completed_steps": 2}
    assert [(row["step"], row["word_count"]) for row in found["results"]] == [
        ("chck_2M", 2_000_000),
        ("chck_10M", 10_000_000),
    ]
    row = found["results"][0]
    assert (row["target_word"], row["context_id"], row["context"]) == ("cat", 0, "I see a ")
    assert row["surprisal"] > 0

    results = load_results(out / "main")
    assert results.tasks["babylm/age_of_acquisition"].main.items == 0  # two revisions are too few for a curve
    assert set(results.left_out) == {"GLUE", "revisions"}
    assert "chck_2M" not in results.left_out["revisions"]
    assert "chck_1M, chck_3M" in results.left_out["revisions"]
    assert "chck_2M babylm/blimp_fast" in capsys.readouterr().out

    at_first = load_results(out / "chck_2M").tasks["babylm/words"]
    assert at_first.item_scores["babylm/words"] == [row["surprisal"]]

    before = {path: path.stat().st_mtime_ns for path in out.rglob("results.json")}
    write(data / "full_eval" / "comps" / "comps_wugs.jsonl", [COMPS])
    assert main([*words, "--output_dir", str(tmp_path / "out"), "--resume"]) == 0
    anew = {path.parent.name for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert anew == {"main"}


def test_revisions_of_a_hub_name_are_its_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    branches = [SimpleNamespace(name=name) for name in ("main", "chck_200M", "chck_10M", "chck_9M", "chck_xM", "v1")]
    monkeypatch.setattr(huggingface_hub, "list_repo_refs", lambda name: SimpleNamespace(branches=branches))
    found = revisions_of("somebody/baby", Plan(data="d", suite="babylm", revisions="all"))
    assert (found.main.model, found.main.revision) == ("somebody/baby", None)
    assert [(name, one.model, one.revision) for name, one in found.earlier.items()] == [
        (name, "somebody/baby", name) for name in ("chck_9M", "chck_10M", "chck_200M")
    ]
    assert len(found.missing) == 28 - 3

    def offline(name: str) -> None:
        raise huggingface_hub.errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub, "list_repo_refs", offline)
    with pytest.raises(PlanError, match="somebody/baby cannot be asked for its branches on the hub: offline"):
        revisions_of("somebody/baby", Plan(data="d", suite="babylm", revisions="all"))


def test_a_folder_of_revisions_alone_ends_in_its_last(model: Path, data: Path, tmp_path: Path) -> None:
    words = ["--suite", "babylm", "--data", str(data), "--output_dir", str(tmp_path / "out")]
    shutil.rmtree(data / "fast_eval")
    (model / "revisions" / "chck_2M" / "config.json").unlink()  # it is not opened
    assert main(["evaluate", str(model / "revisions"), *words]) == 0
    results = load_results(tmp_path / "out" / "revisions" / "main")
    assert "age of acquisition" in results.left_out
    assert results.tasks["babylm/blimp_filtered"].settings["start_token"].startswith("as the tokenizer")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"suite": "babylm"}, "suite = babylm needs --data FOLDER"),
        ({"suite": "babylm", "data": "d", "max_items": 9}, "max_items = 9 is not used with --suite babylm"),
        ({"data": "d", "revisions": "all"}, "revisions = all is used with --suite babylm only"),
        ({"data": "d", "alpha": 0.3}, "alpha = 0.3 is used with --normalization power only"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        Plan(**options)


def test_what_is_not_there_is_said(
    baby_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(baby_folder), "--suite", "babylm", "--output_dir", str(tmp_path / "out")]
    assert main([*words, "--data", str(data), "--revisions", "all"]) == 2
    assert "has none. They are folders or branches named chck_1M" in capsys.readouterr().err
    assert main([*words, "--data", str(tmp_path)]) == 2
    assert "holds neither full_eval nor fast_eval" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
