"""What an evaluation is to measure: the options of `bambino evaluate`, checked before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

from bambino.errors import BambinoError, PlanError, shortened
from bambino.recipe.checks import AtLeastOne, AtLeastTwo, Count, Settings, Share
from bambino.recipe.plain_yaml import load

BABYLM = "babylm"
"""The suite that is scored and written as BabyLM's organizers ask for."""
CURVES = ("bits_per_byte/en", "bits_per_byte/it")
"""Measures of evaluations inside training that stand for L1 and L2."""


@dataclass(frozen=True)
class Suite:
    """A named choice of tests."""

    about: str
    tasks: tuple[str, ...] | None
    """None: every test that the data hold."""
    max_items: int | None


@dataclass(frozen=True)
class Plan(Settings):
    """The options of `bambino evaluate`."""

    data: str | None = None
    """A folder with tests: minimal pairs and classification tasks as .jsonl files, found by name and first line.
    Without it, the classification tasks named come from the Hugging Face hub."""
    suite: str = "all"
    """all: every test in the data. paper: BLiMP and the UINAUIL tasks. quick: all, 200 items each. babylm: the folders
    full_eval and fast_eval of BabyLM's data, as its organizers score them, and the files that their collator reads."""
    revisions: Literal["main", "all"] = "main"
    """Of the suite babylm. all: also every revision chck_1M, chck_2M, ... of the model (folders in its own, or branches
    on the hub), by fast_eval; main: the model itself, by full_eval."""
    tasks: list[str] = field(default_factory=list)
    """Only these tests: names of files or tasks, or paths of YAML files that define tasks of your own."""
    pairs: dict[str, str] = field(default_factory=dict)
    """Further minimal pairs: a name for each file (.jsonl, .tsv, .csv, .parquet), folder of such files, or data set of
    the Hugging Face hub with its configuration, like jumelet/multiblimp:ita."""
    l1_text: list[str] = field(default_factory=list)
    """Files or folders of L1 text: bits per byte on its held-out lines, and what L1 words look like."""
    l2_text: list[str] = field(default_factory=list)
    """Files or folders of L2 text: bits per byte on its held-out lines, and what L2 words look like. With a parent, its
    held-out lines also give the prompts that the baby goes on with."""
    parent: str | None = None
    """A causal LM of L2 that judges what the baby says; of a run directory, the run's parent by default."""
    revision: str | None = None
    """Which revision of the model: a branch, tag or commit on the hub; of a run directory one that it kept, such as
    chck_2M, then without the run's curves."""
    trust_remote_code: bool = False
    """Run the Python that comes with the model (auto_map in its config.json), with all your rights; false: refuse it.
    """
    parent_trust_remote_code: bool = False
    """Run the Python that comes with the parent, as trust_remote_code."""
    max_items: AtLeastOne | None = None
    """At most so many items of each test, spread evenly; smaller of this and the suite's."""
    max_lines: AtLeastOne = 1000
    """At most so many held-out lines of each text."""
    heldout_every: AtLeastTwo | None = 200
    """The held-out rule of training: lines whose sha256 is 0 modulo this number. null: all lines are held out. A run
    directory is measured by its own rule."""
    split: Literal["all", "dev", "test"] = "all"
    """Which held-out lines: all, or one half of them by a second hash."""
    prompts: Count = 128
    """Prompts that the baby goes on with; 0: it is not made to speak."""
    normalization: Literal["sum", "token", "byte", "power"] = "sum"
    """Minimal pairs: compare summed log-probs, their mean per token or per byte, or the sum over a power of the number
    of tokens, log P / tokens^alpha (SLLN-LP of ZhoBLiMP)."""
    alpha: Share | None = None
    """The power of `normalization: power`, from 0 (the sum) to 1 (the mean per token); null: 0.5."""
    untrained: str | None = None
    """Results of the untrained baby (a folder that `bambino evaluate` wrote): its scores and the gain over them."""
    references: list[str] = field(default_factory=list)
    """Results of models that ought to pass (the L1 baby, the L2 parent): classification tasks on which none of them is
    above chance are called uninformative."""
    pro_drop: bool = False
    """L2 is Italian: also how often the baby says a subject pronoun where Italian may drop it."""
    curves: list[str] = field(default_factory=lambda: list(CURVES))
    """Of a run directory: the measures of L1 and L2 in its evaluations, from which forgetting is computed."""
    levels: list[float] = field(default_factory=list)
    """Of a run directory: levels of the L2 measure; words that were heard until each was reached."""
    gains: list[float] = field(default_factory=list)
    """Of a run directory: gains in the L2 measure; what each had cost in the L1 measure."""
    checkpoints: bool = False
    """Of a run directory: measure the baby before it and every checkpoint that it kept (save_total_limit) as well."""
    child_order: str | None = None
    """Of a run directory: a published order of acquisition (it, en, or a YAML file) to compare with."""
    harness: list[str] = field(default_factory=list)
    """Tasks of lm-evaluation-harness to run as well (pip install 'bambino-lm[harness]')."""
    harness_include: str | None = None
    """A folder of task definitions in lm-eval's YAML; then lm-eval's own tasks are not indexed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.suite not in suites():
            raise PlanError(f"suite = {self.suite} is none. Use one of {', '.join(suites())}.")
        if len(self.curves) != 2:
            raise PlanError(f"curves = {self.curves} must name two measures, L1's and L2's.")
        for name, needed in (("parent", "l2_text"), ("pro_drop", "l2_text"), ("harness_include", "harness")):
            if getattr(self, name) and not getattr(self, needed):
                raise PlanError(f"{name} = {getattr(self, name)} is used with --{needed} only. Give that too.")
        if self.revisions == "all" and self.suite != BABYLM:
            raise PlanError("revisions = all is used with --suite babylm only. Give that too.")
        if self.suite == BABYLM:
            self._check_babylm()
        if self.alpha is not None and self.normalization != "power":
            raise PlanError(f"alpha = {self.alpha} is used with --normalization power only. Give that too.")
        if not (self.data or self.wanted or self.pairs or self.l1_text or self.l2_text or self.harness):
            raise PlanError(
                "Nothing to measure. Give --data FOLDER, --tasks '[...]', --pairs '{...}', --l1_text '[...]', "
                "--l2_text '[...]' or --harness '[...]'."
            )

    def _check_babylm(self) -> None:
        if self.data is None:
            raise PlanError("suite = babylm needs --data FOLDER, with BabyLM's full_eval and fast_eval.")
        at_rest = Plan(data=self.data).to_dict()
        for name, value in self.to_dict().items():
            if name not in ("suite", "revisions", "trust_remote_code") and value != at_rest[name]:
                raise PlanError(f"{name} = {shortened(value)} is not used with --suite {BABYLM}. Leave it out.")

    @classmethod
    def refusal(cls, key: str, problem: str) -> BambinoError:
        return PlanError(problem)

    @property
    def wanted(self) -> list[str] | None:
        """Names of the tests wanted; None: all there are."""
        if self.tasks:
            return self.tasks
        chosen = suites()[self.suite].tasks
        return None if chosen is None else list(chosen)

    @property
    def own_tasks(self) -> list[str]:
        """Those of `tasks` that are paths of one's own definitions."""
        return [name for name in self.tasks if name.endswith(".yaml")]

    @property
    def limit(self) -> int | None:
        """At most so many items of a test."""
        limits = [limit for limit in (self.max_items, suites()[self.suite].max_items) if limit is not None]
        return min(limits, default=None)

    @property
    def lines(self) -> int:
        """At most so many lines of a text."""
        return self.max_lines if self.limit is None else min(self.limit, self.max_lines)


def suites() -> dict[str, Suite]:
    """The suites that are shipped (`suites.yaml`)."""
    text = (resources.files("bambino.evaluation") / "suites.yaml").read_text("utf-8")
    raw: dict[str, Any] = load(text, "suites.yaml")
    return {
        name: Suite(entry["about"], tuple(entry["tasks"]) if "tasks" in entry else None, entry.get("max_items"))
        for name, entry in raw.items()
    }
