"""What may import what, by folder; how long the algorithm may be; and that nothing here reads or writes a pickle."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from conftest import there

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "bambino"

ORDER = """
    printable errors randomness files stopping processes nursery losses recipe text scoring measures models speaking
    feedback runs phases training analysis evaluation report experiments demo cli __main__
""".split()  # noqa: SIM905
"""Folders and modules of the package; each imports only itself and what stands before it."""

NEVER = [
    ("training phases runs", "evaluation", "a measure is handed in"),
    ("runs", "training", "the directory does not know who fills it"),
    ("analysis", "evaluation models scoring speaking", "it reads files only"),
    ("evaluation", "feedback", "a perplexity is not a reward"),
    (
        "losses nursery",
        "recipe text scoring models speaking feedback runs files randomness",
        "they know nothing of ours",
    ),
]
"""(folders, what none of them imports, why)."""
NEVER_RECIPE = ["text", "scoring", "models", "speaking", "feedback"]
"""Folders that know their own section of a recipe only."""
ONLY_HERE = {"rich": {"cli", "report", "demo"}, "matplotlib": {"cli", "report", "demo"}}
"""Library -> the folders that may import it: the screen is an edge."""
NO_TORCH = ["analysis", "recipe", "nursery", "report"]

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in PACKAGE.rglob("*.py")
}


@cache
def imported(source: str) -> frozenset[str]:
    """Dotted names that a source imports, inside functions too, but not for the type checker alone."""
    tree = ast.parse(source)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def imports_of(source: str) -> set[str]:
    """Modules of bambino that a source imports."""
    return {_module(name) for name in imported(source) if name.split(".")[0] == "bambino"}


def _module(name: str) -> str:
    """The module that an imported name lies in: bambino.recipe.settings.Recipe -> recipe.settings."""
    inner = name.removeprefix("bambino").removeprefix(".")
    while inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner


def folder_of(module: str) -> str:
    return module.split(".")[0]


def sources(folders: str | list[str]) -> list[tuple[str, str]]:
    """Modules below some folders, with their source."""
    names = folders.split() if isinstance(folders, str) else folders
    return [(m, path.read_text(encoding="utf-8")) for m, path in sorted(MODULES.items()) if folder_of(m) in names]


def test_imports_are_found_in_all_their_forms() -> None:
    source = """
import bambino.text.lines
from bambino.losses import ppo
from bambino.recipe.settings import (Recipe)
if TYPE_CHECKING:
    from bambino.training.trainer import BambinoTrainer
def late():
    from bambino.evaluation.suite import evaluate
"""
    assert imports_of(source) == {"text.lines", "losses.ppo", "recipe.settings", "evaluation.suite"}


def test_every_folder_has_its_place() -> None:
    assert sorted({folder_of(module) for module in MODULES} - {""}) == sorted(ORDER)


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_only_what_stands_before_it(folder: str) -> None:
    for module, source in sources(folder):
        for other in imports_of(source) - {""}:
            assert ORDER.index(folder_of(other)) <= ORDER.index(folder), f"{module} imports {other}"


@pytest.mark.parametrize(("folders", "never", "why"), NEVER)
def test_never(folders: str, never: str, why: str) -> None:
    for module, source in sources(folders):
        assert not {other for other in imports_of(source) if folder_of(other) in never.split()}, f"{module}: {why}"


def test_parts_know_their_own_section_of_a_recipe_only() -> None:
    for module, source in sources(NEVER_RECIPE):
        names = imported(source)
        assert "bambino.recipe.settings.Recipe" not in names, f"{module}: else a setting travels everywhere"
        assert not {name for name in names if name.startswith(("bambino.recipe.file", "bambino.Recipe"))}


@pytest.mark.parametrize("library", ONLY_HERE)
def test_only_the_edges_draw(library: str) -> None:
    for module, path in MODULES.items():
        if folder_of(module) not in ONLY_HERE[library]:
            names = {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"))}
            assert library not in names, f"{module} imports {library}"


def test_what_reads_files_only_imports_no_torch() -> None:
    for module, source in sources(NO_TORCH):
        names = {name.split(".")[0] for name in imported(source)}
        assert not names & {"torch", "transformers", "accelerate"}, module


def test_nothing_draws_from_pythons_own_random_numbers() -> None:
    for module, path in MODULES.items():
        if folder_of(module) == "nursery":
            continue  # has generators of its own, each with its seed
        names = {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"))}
        assert "random" not in names, f"{module}: all randomness comes from words (randomness.py)"


def test_benchmarks_measure_the_library_not_its_experiments() -> None:
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        folders = {folder_of(module) for module in imports_of(path.read_text(encoding="utf-8"))}
        assert not folders & {"demo", "experiments"}, path.name


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: imports_of(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}
    while leaves := [module for module, others in graph.items() if not others]:
        for leaf in leaves:
            del graph[leaf]
        graph = {module: others - set(leaves) for module, others in graph.items()}
    assert graph == {}, "these import each other"


def test_the_algorithm_fits_on_one_screen() -> None:
    tree = ast.parse(MODULES["training.trainer"].read_text(encoding="utf-8"))
    trainer = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "BambinoTrainer")
    train = next(n for n in trainer.body if isinstance(n, ast.FunctionDef) and n.name == "train")
    assert there(train.end_lineno) - train.lineno + 1 <= 40


@pytest.mark.parametrize(
    "path",
    sorted(p for folder in ("src", "benchmarks", "results") for p in (ROOT / folder).rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_source_reads_or_writes_pickles(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not modules & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    called = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"torch.save", "torch.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"}
