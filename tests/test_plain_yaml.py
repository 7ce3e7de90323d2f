"""YAML without surprises: what words mean, what is refused, and that nothing makes a reader wait."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import bambino
from bambino import load_recipe
from bambino.analysis.acquisition import load_order
from bambino.errors import BambinoError, ExperimentError, OrderError, RecipeError, TaskError, YamlError
from bambino.evaluation.zero_shot.task_definitions import load_task
from bambino.experiments.loading import load_experiment
from bambino.feedback.settings import KINDS
from bambino.recipe.checks import may_change, plain_type
from bambino.recipe.names import Names
from bambino.recipe.plain_yaml import as_written, compose, load
from bambino.recipe.settings import Recipe

PACKAGE = Path(bambino.__file__).parent
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Some 300 bytes that stand for 9 ** 9 words."""


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("10", 10),
        ("-3", -3),
        ("1_000", 1000),
        ("1e-3", 0.001),
        ("1.5", 1.5),
        ("-.inf", -math.inf),
        ("true", True),
        ("null", None),
        ("~", None),
        # what YAML 1.1 takes for 8, 8, 90, 5400, 31, 5, a day and truths
        *(
            (word, word)
            for word in ("010", "0o10", "1:30", "1:30:00", "0x1F", "0b101", "2024-01-01", "yes", "No", "off")
        ),
        *((word, word) for word in ("inf", "nan", "00.5", "1__0", "٣", "9" * 101)),
        ("'10'", "10"),
    ],
)
def test_a_word_is_a_number_where_it_is_written_as_a_decimal_one(word: str, value: Any) -> None:
    read = load(f"a: {word}", "it")["a"]
    assert (read, type(read)) == (value, type(value))


def test_a_tree_as_written_is_of_texts() -> None:
    root = compose("{no: [010, yes, 1.50], other: null, nested: {1: a}}", "it")
    assert root is not None
    assert as_written(root) == {"no": ["010", "yes", "1.50"], "other": None, "nested": {"1": "a"}}


SHIPPED = [path for path in sorted(PACKAGE.rglob("*.yaml")) if path.parent.name != "nursery"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_shipped_file_is_read_otherwise_than_yaml_reads_it(path: Path) -> None:
    text = path.read_text("utf-8")
    theirs = yaml.safe_load(text)
    assert load(text, path.name) == theirs or path.parent.name == "recipes"  # 1e-3 is a text to YAML 1.1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: {c: 1, c: 2}", "it, line 2: b.c is given twice. Keep one."),
        ("a: 1\na: 2", "it, line 2: a is given twice. Keep one."),
        ("a:\n  ? [b]\n  : 1", "it, line 2: a has a name that is a list or a mapping. Names are plain words."),
        ("a: {<<: {b: 1}}", "it, line 1: a has <<, a merge. Write the names out."),
        ("a: &a [*a]", "it cannot be read: more than 100,000 values, or more than 40 levels, once aliases are"),
        (BOMB, "it cannot be read: more than 100,000 values"),
        ("[" * 5000, "it is not YAML: deeper than 40 levels"),
        ("{a: " * 41 + "1" + "}" * 41, "it is not YAML: deeper than 40 levels"),
        ("a: !!float 1", "it is not YAML: the tag tag:yaml.org,2002:float is not read"),
        ("a: !!python/object/apply:os.getcwd []", "it is not YAML: the tag"),
        ("? " + "a" * 300 + "\n: 1", "it, line 1: The file has a name of 300 characters."),
        ('a: "\\0"', "it, line 1: a holds NUL or half a character."),
        ('a:\n- "\\uD800"', "it, line 2: a holds NUL or half a character."),
        ("a: *b", "it is not YAML: found undefined alias"),
        ("a: 1\n---\nb: 2", "it is not YAML: expected a single document"),
    ],
)
def test_what_would_surprise_is_refused(text: str, problem: str) -> None:
    with pytest.raises(YamlError) as caught:
        compose(text, "it")
    assert str(caught.value).startswith(problem)


def test_aliases_are_read_where_they_stand_for_little() -> None:
    assert load("a: &a [1, 2]\nb: *a\n", "it") == {"a": [1, 2], "b": [1, 2]}


@settings(max_examples=200)
@given(st.text(st.sampled_from("ab1:-,[]{}&*!?|>'\"#% \n\t\0~<.é\ud800"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(YamlError):
        load(text, "it")


# --------------------------------------------------------------------------------------------------- all who read it


def order(path: Path) -> Any:
    return load_order(path)


READERS = [
    (load_recipe, RecipeError),
    (load_experiment, ExperimentError),
    (load_task, TaskError),
    (order, OrderError),
]


@pytest.mark.parametrize(("read", "error"), READERS)
@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfea\x00",
        "name: perché".encode("latin-1"),
        "name: a".encode("utf-16"),
        b"name: a\nname: b\n",
        BOMB.encode(),
        b"[" * 5000,
        b"#" * 1_000_001,
        b"name: \x00",
        b"- a",
        b"a",
        b"a: [",
    ],
)
def test_every_reader_refuses_it_and_names_the_file(
    read: Any, error: type[BambinoError], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(error, match=r"mine\.yaml"):
        read(path)


@pytest.mark.parametrize(("read", "error"), READERS)
def test_a_folder_a_missing_file_and_a_name_too_long_are_no_files(
    read: Any, error: type[BambinoError], tmp_path: Path
) -> None:
    (tmp_path / "folder.yaml").mkdir()
    for path in (tmp_path / "folder.yaml", tmp_path / "nowhere.yaml", tmp_path / ("a" * 300 + ".yaml")):
        with pytest.raises(error):
            read(path)


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"key{i}: {i}\n" for i in range(20_000)),
        "schedule:\n  cycle:\n" + "".join(f"    key{i}: a\n" for i in range(5_000)),
        "evaluation: {pairs: [" + "a, " * 20_000 + "]}",
        "seed: " + "9" * 100_000,
        "batch_size: 100000000\nppo: {minibatch_size: 3}",
        "batch_size: 9000000000000000000\ngradient_accumulation_steps: 7",
        BOMB,
    ],
    ids=["unknown", "phases", "list", "digits", "divisors", "more divisors", "bomb"],
)
def test_no_recipe_makes_its_reader_wait_or_fills_the_screen(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    begin = time.process_time()
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert time.process_time() - begin < 10  # 2 on an idle core; each took minutes, or for ever
    assert len(str(caught.value)) < 1000


NUMERIC = [key for key, hint in Names.of(Recipe, KINDS).types.items() if plain_type(hint) in (int, float)]
CHANGING = [key for key in NUMERIC if may_change(Names.of(Recipe, KINDS).types[key])]


@pytest.mark.parametrize("word", [".inf", "-.inf", ".nan", "1e999", "010", "1:30", "0x10", "1" + "0" * 5000])
def test_no_numeric_setting_takes_what_is_no_number(word: str) -> None:
    assert len(NUMERIC) > 100
    for key in NUMERIC:
        with pytest.raises(RecipeError, match=key):
            load_recipe(None, [f"--{key}={word}"], kinds=KINDS)
    for key in CHANGING:
        for over_training in (f"{{0: {word}}}", f"{{{word}: 1}}"):
            with pytest.raises(RecipeError, match=key):
                load_recipe(None, [f"--{key}={over_training}"], kinds=KINDS)
