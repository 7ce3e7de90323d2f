"""Data sets by their names on the hub, read by `datasets` itself from folders laid out like the hub's repositories.

`datasets` looks for a folder of a data set's name before it asks the hub, so from here on both are the same to it.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import there

from bambino.analysis.results import load_results
from bambino.cli.main import main
from bambino.errors import TextError
from bambino.evaluation.pair_files import Pair, load_pair_set
from bambino.evaluation.zero_shot.task_data import load_items
from bambino.evaluation.zero_shot.task_definitions import load_task

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose sub-folders are OWNER/NAME of data sets."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    datasets.disable_progress_bars()
    return tmp_path


def publish(hub: Path, name: str, files: dict[str, dict[str, str]]) -> Path:
    """A repository's card: configuration -> split -> file."""
    folder = hub / name
    folder.mkdir(parents=True)
    configs = [
        {"config_name": config, "data_files": [{"split": split, "path": path} for split, path in splits.items()]}
        for config, splits in files.items()
    ]
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n", encoding="utf-8")
    return folder


def write_table(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------- pairs

AGREEMENT = {"sen": "Il gatto dorme.", "wrong_sen": "Il gatto dormono.", "phenomenon": "SV-#", "lang": "ita"}
PERSON = {"sen": "Io dormo.", "wrong_sen": "Io dorme.", "phenomenon": "SV-P", "lang": "ita"}


@pytest.fixture
def multiblimp(hub: Path) -> Path:
    folder = publish(hub, "jumelet/multiblimp", {"ita": {"train": "ita/data.tsv"}, "eng": {"train": "eng/data.tsv"}})
    write_table(folder / "ita" / "data.tsv", [AGREEMENT, PERSON], delimiter="\t")
    write_table(folder / "eng" / "data.tsv", [{**AGREEMENT, "sen": "It sleeps.", "wrong_sen": "It sleep."}], "\t")
    return folder


def test_multiblimp_by_its_name_on_the_hub(multiblimp: Path) -> None:
    data = load_pair_set("jumelet/multiblimp:ita")
    assert data.pairs == [
        Pair("Il gatto dorme.", "Il gatto dormono.", "SV-#", term="SV-#"),
        Pair("Io dormo.", "Io dorme.", "SV-P", term="SV-P"),
    ]
    assert data.source == "jumelet/multiblimp:ita"
    assert len(load_pair_set("jumelet/multiblimp:eng").pairs) == 1
    assert load_pair_set(f"{multiblimp}:ita").sha256 == data.sha256
    with pytest.raises(
        TextError, match=r"jumelet/multiblimp \(configuration deu\) could not be read .*'deu' not found"
    ):
        load_pair_set("jumelet/multiblimp:deu")


def test_multiblimp_from_the_command_line(
    multiblimp: Path, baby_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--pairs", "{multiblimp_it: 'jumelet/multiblimp:ita'}", "--output_dir", str(tmp_path / "out")]
    assert main(["evaluate", str(baby_folder), *words]) == 0
    task = load_results(tmp_path / "out").tasks["pairs/multiblimp_it"]
    assert [score.name for score in task.scores if "SV" in score.name] == [
        "pairs/multiblimp_it/term:SV-#",
        "pairs/multiblimp_it/term:SV-P",
        "pairs/multiblimp_it/SV-#",
        "pairs/multiblimp_it/SV-P",
    ]
    assert task.main.items == 2


def test_a_data_set_that_is_not_there_says_what_to_do_without_a_network() -> None:
    with pytest.raises(TextError, match=r"nobody/pairs .* could not be read from the hub: .* Without a network, give"):
        load_pair_set("nobody/pairs")


# ---------------------------------------------------------------------------------------------------------------- tasks

SENTIPOLC = {
    "twitterid": 1,
    "text": "Che bello!",
    "subj": 1,
    "opos": 1,
    "oneg": 0,
    "iro": 0,
    "lpos": 1,
    "lneg": 0,
    "top": 0,
}
HATE = {"id": 1, "full_text": "Siete tutti uguali", "hs": 1, "stereotype": 0, "source": "tweet"}
CAUSE = {"premise": "Piove.", "choice1": "Esco.", "choice2": "Resto.", "question": "effect", "label": 1, "idx": 0}


def test_uinauil_tasks_by_their_configurations_on_the_hub(hub: Path) -> None:
    splits = {"train": "train.csv", "test": "test.csv"}
    tasks = {"sentipolc": SENTIPOLC, "haspeede2": HATE}
    files = {name: {split: f"{name}/{file}" for split, file in splits.items()} for name in tasks}
    folder = publish(hub, "RiTA-nlp/UINAUIL", files)
    other = {"sentipolc": {"opos": 0, "oneg": 1}, "haspeede2": {"hs": 0}}
    for name, row in tasks.items():
        write_table(folder / name / "test.csv", [row, row | other[name]])
        write_table(folder / name / "train.csv", [row | other[name]])
    sentipolc, haspeede = load_items(load_task("sentipolc"), None), load_items(load_task("haspeede"), None)
    names = list(load_task("sentipolc").labels)
    assert [names[item.label] for item in sentipolc.items] == ["positive", "negative"]
    assert names[there(sentipolc.train_majority)] == "negative"
    assert sentipolc.source == "RiTA-nlp/UINAUIL on the hub, test"
    assert [(item.fields["text"], item.label) for item in haspeede.items] == [("Siete tutti uguali", n) for n in (1, 0)]


def test_textual_entailment_and_xcopa_by_their_names_on_the_hub(hub: Path) -> None:
    pair = {"text1": "Roma è in Italia.", "text2": "Roma è una città.", "entailment": "SI"}
    folder = publish(hub, "evalitahf/textual_entailment", {"default": {"dev": "valid.jsonl", "test": "test.jsonl"}})
    write_lines(folder / "valid.jsonl", [pair])
    write_lines(folder / "test.jsonl", [pair, pair | {"entailment": "NO"}])
    data = load_items(load_task("textual_entailment"), None)
    assert [(i.fields["premise"], i.label) for i in data.items] == [(pair["text1"], 1), (pair["text1"], 0)]
    folder = publish(hub, "cambridgeltl/xcopa", {"it": {"validation": "val.jsonl", "test": "test.jsonl"}})
    write_lines(folder / "val.jsonl", [CAUSE])
    write_lines(folder / "test.jsonl", [CAUSE, CAUSE | {"label": 0}])
    assert [item.label for item in load_items(load_task("xcopa_it"), None).items] == [1, 0]


def test_english_counterparts_by_their_configurations_on_the_hub(hub: Path) -> None:
    splits = {"train": "train.jsonl", "validation": "validation.jsonl"}
    files = {name: {split: f"{name}/{file}" for split, file in splits.items()} for name in ("cola", "sst2", "rte")}
    folder = publish(hub, "nyu-mll/glue", files)
    sentence = {"sentence": "They sat down.", "idx": 0}
    rows = {"cola": sentence, "sst2": sentence, "rte": {"sentence1": "It rains.", "sentence2": "It is wet.", "idx": 0}}
    for name, row in rows.items():
        (folder / name).mkdir()
        for file in splits.values():
            write_lines(folder / name / file, [row | {"label": 0}, row | {"label": 1}])
    found = {name: load_items(load_task(name), None).items for name in ("cola", "sst2", "rte_en")}
    labels = {name: [list(load_task(name).labels)[item.label] for item in items] for name, items in found.items()}
    assert labels == {
        "cola": ["unacceptable", "acceptable"],
        "sst2": ["negative", "positive"],
        "rte_en": ["entailed", "open"],
    }


def test_a_task_from_the_hub_on_the_command_line(hub: Path, baby_folder: Path, tmp_path: Path) -> None:
    folder = publish(hub, "cambridgeltl/xcopa", {"it": {"validation": "val.jsonl", "test": "test.jsonl"}})
    for file in ("val.jsonl", "test.jsonl"):
        write_lines(folder / file, [CAUSE, CAUSE | {"label": 0}])
    out = tmp_path / "out"
    assert main(["evaluate", str(baby_folder), "--tasks", "[xcopa_it]", "--output_dir", str(out)]) == 0
    assert load_results(out).tasks["tasks/xcopa_it"].settings["data"] == "cambridgeltl/xcopa on the hub, test"
