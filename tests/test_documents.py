"""Documents say what is there: links lead somewhere, names of modules and settings exist, a decision has one number."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from bambino.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src"
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
OF_NOW = [path for path in DOCUMENTS if path.name not in ("LOG.md", "CHANGELOG.md")]
"""The log and the changelog also name what was once there."""


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """A document without its fenced blocks and `code`."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def links(text: str) -> list[str]:
    """Targets of links to files."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    return [target for target in targets if not target.startswith(("http://", "https://", "mailto:"))]


def code(text: str) -> list[str]:
    """All `code` in running text."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def headings(text: str) -> set[str]:
    """Anchors of a document's headings, as GitHub and mkdocs make them."""
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def commands(text: str) -> list[list[str]]:
    """Lines of code that begin with a command of bambino, as words; without what the shell does with their output, and
    without those that use its variables or leave something out (`...`)."""
    name = "|".join(command.name for command in COMMANDS)
    lines = re.findall(rf"^(?: {{4}}| {{8}}|)bambino ((?:{name})\b.*)$", text.replace("\\\n", " "), flags=re.MULTILINE)
    whole = [re.split(r" [|>] | {2,}(?=\w)", line)[0] for line in lines if not re.search(r"\$|\.\.\.|^\w+ \(", line)]
    return [shlex.split(line, comments=True) for line in whole if line.count("'") % 2 == 0]


def definitions(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Names that a module's or a class's statements define."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
        elif isinstance(node, ast.If):
            found |= definitions(node.body)
    return found


def defines(module: Path, name: str) -> bool:
    """Whether a module has a name, such as `Rollout` or `Rollout.rows`."""
    body = tree_of(module).body
    for part in name.split("."):
        node = definitions(body).get(part)
        if node is None:
            return False
        body = node.body if isinstance(node, ast.ClassDef) else []
    return True


def exists(dotted: str) -> bool:
    """Whether `bambino.x.y.Name` is a module or a name in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        folder = SOURCES.joinpath(*parts[:length])
        rest = ".".join(parts[length:])
        for module in (folder / "__init__.py", folder.with_suffix(".py")):
            if module.is_file() and (not rest or defines(module, rest)):
                return True
    return False


def settings() -> dict[str, set[str]]:
    """Section of a recipe -> names of its settings; `feedback.KIND` too. Read from the source, so from any library."""
    classes = {
        node.name: node
        for path in [*(SOURCES / "bambino" / "recipe").glob("*.py"), *(SOURCES / "bambino" / "feedback").glob("*.py")]
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef)
    }

    def fields(name: str) -> set[str]:
        own = {node.target.id.removesuffix("_") for node in classes[name].body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]
        bases = [ast.unparse(base) for base in classes[name].bases]
        return own.union(*(fields(base) for base in bases if base in classes))

    sections = {
        node.target.id: ast.unparse(node.annotation)
        for node in classes["Recipe"].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    found = {section: fields(kind) for section, kind in sections.items() if kind in classes}
    for name in classes:
        if "FeedbackConfig" in ancestors(name, classes):
            kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Config")).lower()
            found[f"feedback.{kind}"] = fields(name)
    return found


def ancestors(name: str, classes: dict[str, ast.ClassDef]) -> set[str]:
    bases = {ast.unparse(base) for base in classes[name].bases}
    return bases.union(*(ancestors(base, classes) for base in bases if base in classes))


@each(DOCUMENTS)
def test_links_lead_somewhere_inside_the_repository(path: Path) -> None:
    for target in links(text_of(path)):
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        assert place.is_relative_to(ROOT), target
        assert place.exists(), target
        if anchor:
            assert anchor in headings(text_of(place)), target


@each(OF_NOW)
def test_files_that_a_document_names_are_there(path: Path) -> None:
    for name in {
        n for piece in code(text_of(path)) for n in re.findall(r"(?<![\w/.-])(?:\w+/)+\w+\.(?:py|sh|yaml|md)\b", piece)
    }:
        places = (ROOT / name, SOURCES / "bambino" / name)
        assert any(place.is_file() for place in places), name


@each(OF_NOW)
def test_folders_of_the_package_that_a_document_names_are_there(path: Path) -> None:
    if path.parent != DOCS or path.name == "metrics.md":
        return
    for name in {n for piece in code(text_of(path)) for n in re.findall(r"^(?:\w+/)+$", piece)} - {"runs/", "site/"}:
        assert any((place / name).is_dir() for place in (ROOT, SOURCES / "bambino")), name


@each(OF_NOW)
def test_a_name_said_to_be_in_a_module_is_in_it(path: Path) -> None:
    for file, name in re.findall(r"`((?:\w+/)*\w+\.py)`: `([\w.]+)`", text_of(path)):
        assert defines(SOURCES / "bambino" / file, name), f"{file}: {name}"


@each(OF_NOW)
def test_dotted_names_of_the_package_exist(path: Path) -> None:
    text = text_of(path)
    dotted = set(re.findall(r"\bbambino(?:\.[A-Za-z_]\w*)+", text))
    for module, names in re.findall(r"from (bambino[\w.]*) import ([\w, ]+)", text):
        dotted |= {f"{module}.{name.strip()}" for name in names.split(",")}
    for name in dotted:
        assert exists(name), name


@each(OF_NOW)
def test_settings_that_a_document_names_are_there(path: Path) -> None:
    if path.parent.name == "decisions":
        return  # a decision may say what was taken out
    known = settings()
    sections = "|".join(sorted(known, key=len, reverse=True)).replace(".", r"\.")
    for section, name in re.findall(rf"(?<![\w./])(?:--)?({sections})\.([a-z]\w*)", "\n".join(code(text_of(path)))):
        if name not in ("py", "md", "json", "jsonl", "yaml", "txt"):
            assert name in known[section] or f"{section}.{name}" in known, f"{section}.{name}"


@each(OF_NOW)
def test_tests_that_a_document_names_are_there(path: Path) -> None:
    named = re.findall(r"`(test_\w+)::(test_\w+)`", text_of(path))
    assert not [f"{file}::{test}" for file, test in named if not defines(ROOT / "tests" / f"{file}.py", test)]


@each(DOCUMENTS)
def test_no_document_names_a_place_on_somebodys_machine(path: Path) -> None:
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        assert not re.search(
            r"(?<![\w.])/(?:work|home|root|Users|mnt|tmp)/|file://|shared/(?:design|tools|cases)", line
        ), f"line {number}"


def test_every_decision_has_one_number_and_a_line_in_the_list() -> None:
    found = [
        (int(number), title, path.name)
        for path in sorted((DOCS / "decisions").glob("*.md"))
        for number, title in re.findall(r"^## (\d+)\. (.*)$", text_of(path), flags=re.MULTILINE)
    ]
    assert sorted(number for number, _, _ in found) == list(range(1, len(found) + 1))
    rows = re.findall(
        r"^\| (\d+) \| (.*?)(?: \(superseded\))? \| \[.*\]\((.*)\) \|$",
        text_of(DOCS / "decisions" / "README.md"),
        re.MULTILINE,
    )
    assert [(int(number), title, file) for number, title, file in rows] == sorted(found)


@each([path for path in OF_NOW if commands(text_of(path))])
def test_commands_that_a_document_gives_are_understood(path: Path) -> None:
    read = {command.name: command.read for command in COMMANDS}
    for name, *words in commands(text_of(path)):
        if "--ppo.kl_coeff" not in words:  # README shows how that is answered
            assert isinstance(read[name](words), argparse.Namespace)
