"""What may import what, how long the algorithm may be, and that nothing here reads or writes a pickle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "bambino"

LAYERS = [
    {"config", "recipe_file", "schedule"},
    {"text", "streams", "prefix_trees", "prepacked", "scoring", "text_scores", "ppo"},
    {"models", "rewards", "rollout", "optimization"},
    {
        "checkpoint",
        "provenance",
        "run_directory",
        "run_log",
        "run_state",
        "phases",
        "participants",
        "model_card",
        "display",
        "evaluation",
        "evaluation.comparison",
        "evaluation.discovery",
        "evaluation.export",
        "evaluation.fluency",
        "evaluation.harness",
        "evaluation.in_training",
        "evaluation.json_lines",
        "evaluation.lm_eval_tasks",
        "evaluation.minimal_pairs",
        "evaluation.model_description",
        "evaluation.over_checkpoints",
        "evaluation.pair_files",
        "evaluation.plan",
        "evaluation.results",
        "evaluation.statistics",
        "evaluation.subject",
        "evaluation.suite",
        "evaluation.learning",
        "evaluation.learning.acquisition",
        "evaluation.learning.bilingual",
        "evaluation.learning.curves",
        "evaluation.learning.forgetting",
        "evaluation.learning.trade_offs",
        "evaluation.speech",
        "evaluation.speech.continuations",
        "evaluation.speech.generation",
        "evaluation.speech.language_id",
        "evaluation.speech.listening",
        "evaluation.speech.pro_drop",
        "evaluation.speech.vocabulary",
        "evaluation.zero_shot",
        "evaluation.zero_shot.choices",
        "evaluation.zero_shot.classification",
        "evaluation.zero_shot.confusion",
        "evaluation.zero_shot.prompts",
        "evaluation.zero_shot.ranking",
        "evaluation.zero_shot.task_data",
        "evaluation.zero_shot.task_definitions",
        "evaluation.zero_shot.verdicts",
    },
    {"trainer"},
    {
        "pretrain",
        "nursery",
        "nursery.concrete",
        "nursery.frames",
        "nursery.grammar",
        "nursery.knobs",
        "nursery.morphology",
        "nursery.notation",
        "nursery.pairs",
        "nursery.parser",
        "nursery.pcfg",
        "nursery.phenomena",
        "nursery.segmentation",
        "nursery.world",
    },
    {
        "cli",
        "cli_evaluate",
        "",
        "demo",
        *(f"demo.{part}" for part in ("exam", "oracle", "page", "plots", "results", "runs", "settings", "tables")),
    },
]
"""Layer -> modules, as docs/decisions.md tells it; "" is the package itself, which offers what users import."""

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in PACKAGE.rglob("*.py")
}


def imports_of(source: str) -> set[str]:
    """Modules of bambino that a source imports, inside functions too, but not for the type checker alone."""
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
    return {_module(name) for name in found if name.split(".")[0] == "bambino"}


def _module(name: str) -> str:
    """The module that an imported name lies in: bambino.config.Recipe -> config."""
    inner = name.removeprefix("bambino").removeprefix(".")
    while inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner


def layer_of(module: str) -> int:
    return next(number for number, modules in enumerate(LAYERS) if module in modules)


def test_imports_are_found_in_all_their_forms():
    source = """
import bambino.text
from bambino import ppo
from bambino.config import Recipe
if TYPE_CHECKING:
    from bambino.trainer import BambinoTrainer
def late():
    from bambino.evaluation.in_training import Evaluator
"""
    assert imports_of(source) == {"text", "ppo", "config", "evaluation.in_training"}


def test_every_module_has_exactly_one_layer():
    named = [module for modules in LAYERS for module in modules]
    assert sorted(named) == sorted(MODULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_its_own_layer_or_a_lower_one(module: str):
    for imported in imports_of(MODULES[module].read_text(encoding="utf-8")):
        assert layer_of(imported) <= layer_of(module), f"{module} imports {imported}"


def test_no_module_imports_itself_through_others():
    graph = {module: imports_of(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}
    while leaves := [module for module, imported in graph.items() if not imported]:
        for leaf in leaves:
            del graph[leaf]
        graph = {module: imported - set(leaves) for module, imported in graph.items()}
    assert graph == {}, "these import each other"


def test_the_algorithm_fits_on_one_screen():
    tree = ast.parse(MODULES["trainer"].read_text(encoding="utf-8"))
    trainer = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "BambinoTrainer")
    train = next(n for n in trainer.body if isinstance(n, ast.FunctionDef) and n.name == "train")
    assert train.end_lineno - train.lineno + 1 <= 40


@pytest.mark.parametrize(
    "path",
    sorted(p for folder in ("src", "benchmarks", "results") for p in (ROOT / folder).rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_source_reads_or_writes_pickles(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    called = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"torch.save", "torch.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"}
