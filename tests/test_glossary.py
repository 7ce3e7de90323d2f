"""One word for one thing (docs/style.md, "Words"): other words for it stand in no name and no docstring of ours."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "bambino"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

NOWHERE = {
    "student": "baby",
    "teacher": "parent",
    "episode": "rollout or cycle",
    "response": "utterance",
    "query": "prompt",
    "exam": "evaluation",
    "examine": "evaluate",
    "examination": "evaluation",
    "listen": "evaluate",
    "listener": "measure",
    "processor": "CPU",
    "nest": "base models",
}
"""Word -> what to say instead; in names and docstrings, in all their endings."""
NO_VERB = {"judge": "evaluate", "ask": "evaluate", "raise": "train"}
"""Word -> what to say instead; only functions and classes are not called so."""
ALLOWED: dict[tuple[str, str], str] = {
    ("analysis/answers.py", "student"): "Student's t",
    ("analysis/statistics.py", "student"): "Student's t",
    ("evaluation/harness.py", "processor"): "a tokenizer's post_processor is called so in tokenizers",
    ("nursery/concrete.py", "ask"): "in a grammar a word asks for a form",
}
"""(module, word) -> why it may stand there."""
TWICE_ALLOWED: dict[str, str] = {}
"""Public class name that two modules have -> why."""


def words_of_name(name: str) -> list[str]:
    """check_isListened, HTTPError -> check is listened, http error."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)


def stem(word: str, forbidden: set[str]) -> str | None:
    """The forbidden word that this one is a form of: asked, asks, asking are forms of ask."""
    word = word.lower()
    for base in forbidden:
        short = base.removesuffix("e")
        if base == "nest" and word == "nested":
            continue  # a list in a list
        if word in {base, f"{base}s", f"{base}es", f"{base}d", f"{short}ed", f"{short}ing", f"{short}ies"}:
            return base
        if base.endswith("y") and word in {f"{base[:-1]}ies", f"{base[:-1]}ied"}:
            return base
    return None


def names(tree: ast.AST) -> Iterator[str]:
    """Names that a source defines: functions, classes, arguments, variables, attributes of self."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def docstrings(tree: ast.AST) -> Iterator[str]:
    """Strings that stand as statements: docstrings of modules, classes, functions and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def found_in(source: str, file: str = "") -> set[str]:
    """Forbidden words in a source and in its file's name."""
    tree = ast.parse(source)
    found = set()
    for name in [*names(tree), *re.findall(r"\w+", file.removesuffix(".py"))]:
        found |= {stem(word, set(NOWHERE)) for word in words_of_name(name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found |= {stem(word, set(NO_VERB)) for word in words_of_name(node.name)}
    for text in docstrings(tree):
        found |= {stem(word, set(NOWHERE)) for word in re.findall(r"[A-Za-z]+", text)}
    return {word for word in found if word is not None}


def all_found() -> set[tuple[str, str]]:
    return {(file, word) for file, path in MODULES.items() for word in found_in(path.read_text("utf-8"), file)}


def public_classes() -> dict[str, list[str]]:
    """Name of a public class -> modules that define one."""
    places = defaultdict(list)
    for file, path in MODULES.items():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(file)
    return places


@pytest.mark.parametrize("file", MODULES)
def test_a_thing_is_called_by_its_word(file: str) -> None:
    wrong = found_in(MODULES[file].read_text("utf-8"), file)
    wrong -= {word for place, word in ALLOWED if place == file}
    instead = NOWHERE | NO_VERB
    assert not wrong, ", ".join(f"{word}: say {instead[word]}" for word in sorted(wrong))


def test_no_two_public_classes_have_one_name() -> None:
    twice = {name: files for name, files in public_classes().items() if len(files) > 1}
    assert not {name: twice[name] for name in twice.keys() - TWICE_ALLOWED.keys()}


def test_lists_of_exceptions_name_only_what_is_there() -> None:
    twice = {name for name, files in public_classes().items() if len(files) > 1}
    assert not ALLOWED.keys() - all_found(), "take these out"
    assert not TWICE_ALLOWED.keys() - twice, "take these out"


def test_words_are_found_in_names_and_docstrings_in_all_their_forms() -> None:
    assert words_of_name("check_isListened") == ["check", "is", "Listened"]
    assert words_of_name("HTTPError") == ["HTTP", "Error"]
    assert found_in("def asked(x): ...") == {"ask"}
    assert found_in('def f(x):\n    """What is asked of it."""') == set()
    assert found_in('def f(x):\n    """What examining queries of a teacher gives."""') == {
        "examine",
        "query",
        "teacher",
    }
    assert found_in("asked = 1") == set()
    assert found_in("nested = 1\nhonest = 2\nprocessing_class = 3\ntask = 4") == set()
    assert found_in("", "speech/listening.py") == {"listen"}
    assert found_in('def f():\n    """Raises:\n    ValueError: x."""\n    raise ValueError') == set()
