"""Task definitions and their items: what is shipped, what is read, and how bad input is refused."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bambino.errors import TaskError, TextError
from bambino.evaluation.zero_shot.prompts import content_free, filled, premise_of
from bambino.evaluation.zero_shot.task_data import find_data, load_items
from bambino.evaluation.zero_shot.task_definitions import FieldText, load_task, task_names

DEFINITION: dict[str, Any] = {
    "name": "mood",
    "language": "it",
    "citation": "nobody",
    "local": {"source": "mood.jsonl", "split": "test", "train_split": "train"},
    "fields": {"text": ["text", "full_text"]},
    "label": ["mood", "glad+sad"],
    "labels": {"glad": ["glad", "1+0"], "sad": ["sad", "0+1"]},
    "cut": "text",
    "templates": [{"prompt": "{text} È", "premise": "È", "options": {"glad": "lieto", "sad": "triste"}}],
}


def definition(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "mood.yaml"
    path.write_text(yaml.safe_dump({**DEFINITION, **changes}, allow_unicode=True), encoding="utf-8")
    return path


def write(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


GLAD, SAD = {"text": "Che bello!", "mood": "glad"}, {"text": "Uffa.", "mood": "sad"}


# ---------------------------------------------------------------------------------------------------------- definitions


@pytest.mark.parametrize("name", task_names())
def test_every_shipped_task_loads_and_asks_in_at_least_three_ways_with_distinct_options(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.citation
    assert task.language in ("it", "en")
    assert len(task.templates) >= 3
    assert len({tuple(template.prompts.values()) for template in task.templates}) == len(task.templates)
    for template in task.templates:
        assert list(template.options) == list(task.labels)
        assert len(set(template.options.values())) == len(task.labels) >= 2
        assert all(premise for premise in template.premises.values())
        assert all(any(f"{{{field}" in text for field in task.cut) for text in template.prompts.values())


def test_the_paper_s_tasks_their_stand_in_and_their_english_counterparts_are_shipped() -> None:
    italian = {"sentipolc", "ironita", "haspeede", "textual_entailment", "eventi", "facta"}
    italian |= {"rte3_it", "itacola", "xcopa_it"}
    english = {"sst2", "irony_en", "hate_en", "rte_en", "cola", "copa"}
    assert {name for name in task_names() if load_task(name).language == "it"} == italian
    assert {name for name in task_names() if load_task(name).language == "en"} == english


def test_a_task_that_is_not_there() -> None:
    with pytest.raises(TaskError, match=r"no task 'mood'\. Shipped: cola, copa"):
        load_task("mood")
    with pytest.raises(TaskError, match=r"no task 'sentipolcc'\. Did you mean sentipolc\? Shipped"):
        load_task("sentipolcc")
    with pytest.raises(TaskError, match=r"no task definition at nowhere\.yaml"):
        load_task("nowhere.yaml")


TEMPLATE = DEFINITION["templates"][0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"labels": {"glad": 1}}, "options for glad, sad, but the labels are glad"),
        ({"kind": "images"}, "kind is 'images'"),
        ({"templates": []}, "templates is empty"),
        ({"templates": [{**TEMPLATE, "prompt": "{txt} È"}]}, r"template 1 asks for \{txt\}; the fields are text"),
        ({"templates": [{**TEMPLATE, "prompt": "{text} È "}]}, "must not end in a space"),
        ({"templates": [{**TEMPLATE, "options": {"glad": "x", "sad": "x"}}]}, "two labels the same text"),
        ({"templates": [{**TEMPLATE, "prompt": {"cause": "{text} perché"}}]}, "one text for each value"),
        ({"templates": [{"prompt": "{text}"}]}, r"template 1: options is missing"),
        ({"ranked": "colour"}, "ranked is .colour.; the fields are text"),
        ({"colour": "red"}, "unknown key colour"),
        ({"local": {"source": "mood.jsonl", "split": "test", "colour": "red"}}, r"unknown key local\.colour"),
        (
            {"templates": [{**TEMPLATE, "prompt": "{text È"}]},
            r"template 1 has the text '\{text È', whose braces do not fit",
        ),
        ({"templates": [{**TEMPLATE, "prompt": "text} È"}]}, "whose braces do not fit"),
        ({"templates": [{**TEMPLATE, "options": {"glad": "{", "sad": "x"}}]}, "whose braces do not fit"),
        ({"templates": [{**TEMPLATE, "prompt": "{text!r} È"}]}, r"asks for \{text\} in a form that there is not"),
        ({"templates": [{**TEMPLATE, "prompt": "{text:>9} È"}]}, r"Use \{text:lower\} or \{text:unended\}"),
        ({"templates": [{**TEMPLATE, "premise": "{text} È"}]}, "It stands without an item, so it has no braces"),
        ({"templates": [{**TEMPLATE, "prompt": "È"}]}, r"asks for none of text \(cut\)"),
        ({"templates": [{**TEMPLATE, "options": {"glad": "", "sad": "x"}}]}, "options.glad =  must be a text"),
        ({"templates": [{**TEMPLATE, "options": {"glad": None, "sad": "x"}}]}, "options.glad = None must be a text"),
        ({"templates": ["{text}"]}, "template 1 must be a mapping"),
        ({"templates": "{text}"}, "templates is empty"),
        ({"label": []}, r"label = \[\] must be a name, or a list of names"),
        ({"label": None}, "label = None must be a name"),
        ({"label": {"a": "b"}}, "label = .* must be a name"),
        ({"fields": {"text": []}}, r"fields\.text = \[\] must be a name"),
        ({"fields": []}, "fields must be a mapping"),
        ({"labels": {"glad": [], "sad": 0}}, r"labels\.glad = \[\] must be a name"),
        ({"labels": {"glad": [0, 1], "sad": 0}}, "labels: 0 stands for two of them"),
        ({"cut": []}, "cut = .* must be a name"),
        ({"cut": "colour"}, "cut is 'colour'; the fields are text"),
        ({"name": "../mood"}, "name = ../mood names scores and files"),
        ({"name": None}, "name = None must be a text"),
        ({"local": "mood.jsonl"}, "local must be a mapping"),
        ({"local": {"source": "mood.jsonl"}}, r"local\.split is missing"),
        ({"local": {"source": ["mood.jsonl"], "split": "test"}}, r"local\.source = \['mood\.jsonl'\] must be a text"),
    ],
)
def test_a_definition_that_cannot_work_is_refused(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = definition(tmp_path, **changes)
    with pytest.raises(TaskError, match=problem) as caught:
        load_task(path)
    assert str(caught.value).startswith(str(path))


# ---------------------------------------------------------------------------------------------------------------- items


def items_of(tmp_path: Path, *rows: Any, max_items: int | None = None, **changes: Any) -> Any:
    write(tmp_path / "mood.jsonl", *rows)
    return load_items(load_task(definition(tmp_path, **changes)), tmp_path, max_items)


def test_items_of_the_evaluated_split_and_the_majority_of_the_other(tmp_path: Path) -> None:
    train = [{**SAD, "split": "train"}, {**SAD, "split": "train"}, {**GLAD, "split": "train"}]
    data = items_of(tmp_path, *train, b"", {**GLAD, "split": "test"}, {**SAD, "split": "test"}, {**GLAD, "split": "x"})
    assert [(item.fields["text"], item.label, item.group) for item in data.items] == [
        ("Che bello!", 0, 0),
        ("Uffa.", 1, 1),
    ]
    assert data.items[0].place == f"{tmp_path / 'mood.jsonl'}, line 5"
    assert data.train_majority == 1
    assert len(data.sha256) == 64


def test_a_file_without_splits_is_read_whole_by_the_names_it_uses_and_bom_and_newlines_do_no_harm(
    tmp_path: Path,
) -> None:
    joined = {"full_text": " Che\nbello! ", "glad": 1, "sad": 0}
    data = items_of(tmp_path, b"\xef\xbb\xbf" + json.dumps(joined).encode(), SAD)
    assert [(item.fields["text"], item.label) for item in data.items] == [("Che bello!", 0), ("Uffa.", 1)]
    assert data.train_majority is None


def test_max_items_are_spread_evenly(tmp_path: Path) -> None:
    rows = [{**(GLAD if i < 4 else SAD), "text": str(i)} for i in range(9)]
    items = items_of(tmp_path, *rows, max_items=4).items
    assert [item.fields["text"] for item in items] == ["0", "2", "4", "6"]  # 0, 9/4, 18/4, 27/4


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"text": "Uffa."}', "no field 'mood' or 'glad+sad'; there are 'text'"),
        (b'{"mood": "sad"}', "no field 'text' or 'full_text'; there are 'mood'"),
        (b'{"text": "", "mood": "sad"}', "text is empty"),
        (b'{"text": " ", "mood": "sad"}', "text is empty"),
        (b'{"text": 3, "mood": "sad"}', "text must be a text, not 3"),
        (b'{"text": null, "mood": "sad"}', "text must be a text, not None"),
        (b'{"text": "Uffa.", "mood": "angry"}', "unknown label 'angry'. The task mood knows glad, 1+0, sad, 0+1."),
        (b'{"text": "Uffa.", "glad": 1, "sad": 1}', "unknown label '1+1'"),
        (b'{"text": "perch\xe9", "mood": "sad"}', "not UTF-8"),
        (b'{"text": "a\\u0000b", "mood": "sad"}', "holds NUL"),
        (b'{"text": "a\\ud83d", "mood": "sad"}', "half a character"),
        (b'{"text": "Uffa."', "not JSON"),
        (b'["Uffa.", "sad"]', "no JSON object"),
        (b'{"text": "Uffa.", "mood": []}', "0 labels, but the item has one text. Give one label."),
        (b'{"text": "Uffa.", "mood": ["sad", "glad"]}', "2 labels, but the item has one text"),
        (b'{"text": "Uffa.", "mood": {"a": 1}}', "unknown label"),
    ],
)
def test_a_line_that_is_no_item_is_named(line: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(TextError) as caught:
        items_of(tmp_path, GLAD, b"", line, SAD)
    assert str(caught.value).startswith(f"{tmp_path / 'mood.jsonl'}, line 3: ")
    assert problem in str(caught.value)


def test_a_bad_label_in_the_training_split_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"line 3: unknown label 'angry'"):
        items_of(tmp_path, GLAD | {"split": "test"}, SAD | {"split": "test"}, {"split": "train", "mood": "angry"})


def test_no_file_no_item_and_nothing_to_tell_apart(tmp_path: Path) -> None:
    task = load_task(definition(tmp_path))
    with pytest.raises(TextError, match=r"There is no mood\.jsonl in .*, which the task mood reads"):
        load_items(task, tmp_path)
    with pytest.raises(TextError, match=r"not on the hub\. Give a folder that holds mood\.jsonl"):
        load_items(task, None)
    with pytest.raises(TextError, match="holds no item"):
        items_of(tmp_path)
    with pytest.raises(TextError, match="no item whose split is test; it has dev"):
        items_of(tmp_path, {**GLAD, "split": "dev"})
    with pytest.raises(TextError, match="all 2 items have the same label"):
        items_of(tmp_path, GLAD, GLAD)


def test_data_is_a_file_a_folder_or_a_folder_of_languages(tmp_path: Path) -> None:
    task = load_task(definition(tmp_path))
    assert find_data(task, tmp_path) is None
    (tmp_path / "it").mkdir()
    below = write(tmp_path / "it" / "mood.jsonl", GLAD, SAD)
    assert find_data(task, tmp_path) == below
    beside = write(tmp_path / "mood.jsonl", GLAD, SAD)
    assert find_data(task, tmp_path) == beside
    other = write(tmp_path / "other.jsonl", GLAD, SAD)
    assert find_data(task, other) == other


# ------------------------------------------------------------------------------------------------------------------ hub


HUB = {"source": "someone/mood", "config": "it", "split": "validation", "train_split": "train", "label": "answer"}


def fake_hub(monkeypatch: pytest.MonkeyPatch, load: Callable[..., Any]) -> None:
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load))


def test_items_from_the_hub_by_the_names_used_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"validation": [{"text": "A.", "answer": "sad"}, {"text": "B.", "answer": "glad"}]}
    splits["train"] = [{"text": "C.", "answer": "sad"}]

    def load(source: str, config: Any, *, split: str, revision: str | None) -> Any:
        assert (source, config, revision) == ("someone/mood", "it", None)
        return splits[split]

    fake_hub(monkeypatch, load)
    data = load_items(load_task(definition(tmp_path, hub=HUB)), None)
    assert [(item.fields["text"], item.label) for item in data.items] == [("A.", 1), ("B.", 0)]
    assert data.items[1].place == "someone/mood on the hub, validation, row 1"
    assert data.train_majority == 1
    splits["validation"][0]["text"] = "Another."
    assert load_items(load_task(definition(tmp_path, hub=HUB)), None).sha256 != data.sha256


def test_a_hub_that_cannot_be_reached_or_a_missing_package_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("offline")

    task = load_task(definition(tmp_path, hub=HUB))
    fake_hub(monkeypatch, load)
    with pytest.raises(TextError, match=r"someone/mood .*ConnectionError: offline\. Without a network, give a folder"):
        load_items(task, None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TextError, match="pip install datasets"):
        load_items(task, None)


# -------------------------------------------------------------------------------------------------------------- prompts


def test_questions_of_copa_by_hand(tmp_path: Path) -> None:
    row = {
        "premise": "L'uomo cadde.",
        "choice1": "Si fece male.",
        "choice2": "Rideva.",
        "question": "effect",
        "label": 0,
    }
    other = {**row, "question": "cause", "label": 1}
    task = load_task("xcopa_it")
    effect, cause = load_items(task, write(tmp_path / "xcopa.jsonl", row, other)).items
    first, _, last = task.templates
    assert filled(task, first, effect).prompt == "L'uomo cadde, quindi"
    assert filled(task, first, effect).options == ("si fece male.", "rideva.")
    assert filled(task, first, cause).prompt == "L'uomo cadde perché"
    assert filled(task, last, effect).options == ("Si fece male.", "Rideva.")
    assert premise_of(task, first, cause).prompt == "perché"
    assert premise_of(task, first, cause).options == ("si fece male.", "rideva.")
    assert [choice.prompt for choice in content_free(task, first, cause)] == ["N/A perché", " perché", "[MASK] perché"]
    assert {choice.options for choice in content_free(task, first, cause)} == {("si fece male.", "rideva.")}
    unasked = write(tmp_path / "bad.jsonl", row, {**row, "question": "why"})
    with pytest.raises(TextError, match=r"line 2: question is 'why'\. Use one of cause, effect"):
        load_items(task, unasked)


def test_fields_can_be_put_into_a_sentence_and_braces_in_them_are_text() -> None:
    assert f"{FieldText('È vero?!'):unended}" == "È vero"
    assert f"{FieldText('È vero.'):lower}" == "è vero."
    assert f"{FieldText(''):lower}|{FieldText(''):unended}" == "|"
    assert "{text}".format_map({"text": FieldText("{a} {0}")}) == "{a} {0}"


# -------------------------------------------------------------------------------------------------------------- tagging

TAGGED: tuple[dict[str, Any], ...] = (
    {
        "id": "a_0",
        "tokens": ["Ieri", "ha", "cominciato", "a", "piovere", "."],
        "labels": ["O", "O", "B-ASPECTUAL", "O", "B-OCCURRENCE", "O"],
    },
    {"id": "a_1", "tokens": ["", "C'", "è", "il", "sole"], "labels": ["O", "B-STATE", "I-STATE", "O", "O"]},
)


def test_tokens_in_their_sentences_as_uinauil_writes_them(tmp_path: Path) -> None:
    task = load_task("eventi")
    data = load_items(task, write(tmp_path / "eventi.jsonl", *TAGGED))
    labels = list(task.labels)
    assert [labels[item.label] for item in data.items] == TAGGED[0]["labels"] + TAGGED[1]["labels"][1:]
    assert [item.group for item in data.items] == [0] * 6 + [1] * 4
    assert data.empty_tokens == 1
    assert data.items[2].fields == {
        "sentence": "Ieri ha cominciato a piovere .",
        "marked": "Ieri ha «cominciato» a piovere .",
        "token": "cominciato",
    }
    assert data.items[6].fields["marked"] == "«C'» è il sole"
    first, second, third = task.templates
    assert filled(task, first, data.items[8]).prompt == 'Frase: "C\' è il sole" In questa frase la parola "il" esprime'
    assert filled(task, second, data.items[8]).prompt == "C' è «il» sole La parola tra virgolette indica"
    assert filled(task, third, data.items[8]).options == tuple(labels)


def test_max_items_are_sentences_in_tagging(tmp_path: Path) -> None:
    path = write(tmp_path / "eventi.jsonl", *TAGGED, *TAGGED)
    assert len(load_items(load_task("eventi"), path, max_items=2).items) == 12  # sentences 0 and 2


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"tokens": ["Piove"], "labels": ["O", "O"]}, "1 tokens but 2 labels"),
        ({"tokens": [], "labels": []}, "tokens must be a list of words"),
        ({"tokens": "Piove", "labels": ["O"]}, "tokens must be a list of words"),
        ({"tokens": ["Piove"], "labels": ["B-CERTAIN"]}, "unknown label 'B-CERTAIN'"),
        ({"tokens": ["Piove"]}, "no field 'labels'"),
        ({"tokens": [3], "labels": ["O"]}, "token must be a text, not 3"),
    ],
)
def test_a_sentence_that_cannot_be_tagged_is_named(row: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(TextError) as caught:
        load_items(load_task("eventi"), write(tmp_path / "eventi.jsonl", TAGGED[0], row))
    assert f"line 2: {problem}" in str(caught.value)
