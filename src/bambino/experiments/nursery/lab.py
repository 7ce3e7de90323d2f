"""The nursery as a laboratory: more conditions than the demo's, several base models and seeds, in resumable pieces.

    python -m bambino.experiments.nursery.lab tune --lab LAB --out results/NAME     trials: other seeds and test set
    python -m bambino.experiments.nursery.lab run --lab LAB --out results/NAME --bases 1 2 3 --seeds 1 2
    python -m bambino.experiments.nursery.lab show results/NAME                     tables and paired tests, in markdown

LAB gets what is large (base models, run directories), results/NAME a small file per base seed and run. What is whole
is not done again; what was stopped, killed included, goes on from its last checkpoint. Several processes may work in
one LAB, with one thread each: every one takes what no other holds. `--bases` seed the base models (their text, weights
and order) and the test set; seed s of base b stands for 10 b + s, which seeds the L2 text, its order and the sampling.

Conditions beside the demo's four:

    ppo                feedback alone
    clm-flops          clm on the same text for as many steps as cost the FLOPs of the same cell's bambino
    bambino-oracle     the grammar's own probability in the parent's place (bambino.feedback.oracle)
    ppo-oracle         likewise, without hearing
    bambino-parent30   the parent was trained on the first 30 % of its text, with as many steps
    bambino-parent10   likewise 10 %

Whoever answered the baby, what the baby says is scored by the parent that was trained on everything (`perplexity`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bambino import Recipe
from bambino.experiments.nursery.designs import BASES, CONDITIONS, SIZES, Base, Condition, Design, Tuning
from bambino.experiments.nursery.results import read_result
from bambino.experiments.nursery.runs import Run, prepare_process, run_condition, train_base
from bambino.experiments.nursery.tables import comparisons_markdown, results_markdown, trials_markdown
from bambino.experiments.nursery.test_set import DEVELOPMENT, REPORTED, read_truth, write_test_set
from bambino.experiments.summary import different, means
from bambino.files import write_atomically, write_json
from bambino.runs.record import read_run

CLM, BAMBINO, PPO = CONDITIONS["clm"], CONDITIONS["bambino"], Condition("ppo", 0, 2)
LAB_BASES = BASES | {f"parent{percent}": Base(f"parent{percent}", "l2", percent / 100) for percent in (30, 10)}
LAB_CONDITIONS = CONDITIONS | {
    one.name: one
    for one in (
        PPO,
        replace(CLM, name="clm-flops"),
        replace(BAMBINO, name="bambino-oracle", is_oracle=True),
        replace(PPO, name="ppo-oracle", is_oracle=True),
        replace(BAMBINO, name="bambino-parent30", parent="parent30"),
        replace(BAMBINO, name="bambino-parent10", parent="parent10"),
    )
}
"""In the order they are run: clm-flops must come after clm and bambino."""


def _trials() -> dict[str, Condition]:
    """Eight for each: clm has one setting to choose, bambino several."""
    found = {
        f"clm-{rate}": replace(CLM, tuning=Tuning(clm_learning_rate=rate))
        for rate in (2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3, 1.2e-2)
    }
    tunings = (
        Tuning(3e-3, 1e-4, ppo_schedule="constant"),
        Tuning(5e-3, 1e-4, ppo_schedule="constant"),
        Tuning(8e-3, 1e-4, ppo_schedule="constant"),
        Tuning(3e-3, 3e-5, ppo_schedule="constant"),
        Tuning(5e-3, 3e-5, ppo_schedule="constant"),
        Tuning(8e-3, 3e-5, ppo_schedule="constant"),
        Tuning(6e-3, 3e-5, ppo_schedule="cosine"),
        Tuning(6e-3, 1e-4, ppo_schedule="cosine"),
    )
    for one in tunings:
        name = f"bambino-{one.clm_learning_rate}-{one.ppo_learning_rate}-{one.ppo_schedule}"
        found[name] = replace(BAMBINO, tuning=one)
    return found


TRIALS = _trials()
TUNING_BASES, TUNING_SEEDS = [11, 12], [1]
"""Never those of a report."""


@dataclass(frozen=True)
class Lab:
    """Where everything is, and what all runs have in common."""

    folder: Path
    out: Path
    design: Design
    part: int = REPORTED
    """Which test set, see `write_test_set`."""
    save_steps: int = 100

    def __post_init__(self) -> None:
        path, design = self.folder / "design.json", dataclasses.asdict(self.design)
        if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != design:
            raise SystemExit(f"{self.folder} is the lab of another design (design.json). Use another --lab.")
        for folder in (self.folder, self.out):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(design, indent=1))

    def bases(self, base: int) -> Path:
        """The folder of the base models of a seed."""
        return self.folder / "bases" / str(base)

    def test_set(self, base: int) -> Path:
        return self.bases(base) / ("test-set" if self.part == REPORTED else "test-set-development")

    def run(self, name: str, condition: Condition, base: int, seed: int) -> Run | None:
        """A run, whole or not; None where it must wait for others."""
        folder = self.folder / "runs" / f"{name}-{base}-{seed}"
        run = Run(condition, self.design, 10 * base + seed, self.bases(base), self.test_set(base), folder, base)
        run = replace(run, save_steps=self.save_steps)
        if name != "clm-flops":
            return run
        steps = self._steps_of_equal_flops(base, seed)
        return None if steps is None else replace(run, steps=steps)

    def _steps_of_equal_flops(self, base: int, seed: int) -> int | None:
        """clm steps that cost what this cell's bambino cost; None until its clm and bambino are whole."""
        runs = [self.run(one.name, one, base, seed) for one in (CLM, BAMBINO)]
        flops: list[float] = []
        for run in runs:
            if run is None or not run.is_whole:
                return None
            flops.append(read_run(run.folder).steps[-1]["total/flops"])
        return round(CLM.cycle_steps * self.design.cycles * flops[1] / flops[0])


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether this process may work in the folder now; a claim falls with its process."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.claim"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


Task = Callable[[], bool]
"""Does its work if it can; whether it is done."""


def tasks(lab: Lab, conditions: dict[str, Condition], bases: list[int], seeds: list[int]) -> dict[str, Task]:
    """Everything to be done, base by base."""
    needed = ["baby", "parent", *dict.fromkeys(c.parent for c in conditions.values() if c.parent != "parent")]
    found: dict[str, Task] = {}
    for base in bases:
        for name in needed:
            found[f"base {name}-{base}"] = partial(base_trained, lab, LAB_BASES[name], base)
        found[f"base-{base}.json"] = partial(base_written, lab, needed, base)
        for seed in seeds:
            for name, one in conditions.items():
                found[f"run {name}-{base}-{seed}"] = partial(ran, lab, name, one, base, seed)
    return found


def work(left: dict[str, Task]) -> None:
    """Go over what is left until all is done; wait where others hold it."""
    while left:
        begin = time.perf_counter()
        done = [name for name, task in left.items() if _told(name, task)]
        left = {name: task for name, task in left.items() if name not in done}
        if left and not done:
            time.sleep(max(0.0, 10 - (time.perf_counter() - begin)))


def _told(name: str, task: Task) -> bool:
    begin, cpu = time.perf_counter(), time.process_time()
    is_done = task()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    if is_done and seconds > 1:
        print(f"{name}: {seconds:.0f} s ({cpu:.0f} CPU-seconds)", flush=True)
    return is_done


def base_trained(lab: Lab, base: Base, seed: int) -> bool:
    """Write the test set and train one base model, unless that is done or another process is at it."""
    bases, test_set = lab.bases(seed), lab.test_set(seed)
    with claimed(test_set) as mine:
        if mine and not (test_set / "truth.json").is_file():  # written last
            write_test_set(test_set, lab.design, seed, lab.part)
        elif not mine:
            return False
    folder = bases / base.name
    with claimed(folder) as mine:
        if mine and not (folder / "knowledge.json").is_file():
            train_base(base, lab.design, seed, test_set, folder, 4 * lab.save_steps)
        return mine


def base_written(lab: Lab, names: list[str], seed: int) -> bool:
    """Write the small file of a seed's base models, once those named are whole."""
    folders = {
        name: lab.bases(seed) / name for name in LAB_BASES if (lab.bases(seed) / name / "knowledge.json").is_file()
    }
    if not folders.keys() >= set(names):
        return False
    content = {
        "base": seed,
        "design": dataclasses.asdict(lab.design),
        "true_bits_per_byte": read_truth(lab.test_set(seed)),
        "models": {name: _read(folder / "knowledge.json") for name, folder in folders.items()},
        "environment": _read(folders["baby"] / "environment.json"),
    }
    with claimed(lab.bases(seed)) as mine:
        if mine:
            write_json(lab.out / f"base-{seed}.json", content)
        return mine


def ran(lab: Lab, name: str, condition: Condition, base: int, seed: int) -> bool:
    """Run one cell and write its small file, unless that is done or must wait."""
    run = lab.run(name, condition, base, seed)
    models = {"baby", "parent", condition.parent}
    if run is None or not all((run.bases / model / "knowledge.json").is_file() for model in models):
        return False
    with claimed(run.folder) as mine:
        if mine and not run.is_whole:
            run_condition(run)
        if mine:
            write_json(lab.out / f"{run.folder.name}.json", summary(run, name, base, seed))
        return mine


def summary(run: Run, name: str, base: int, seed: int) -> dict[str, Any]:
    """What is kept of a run: numbers at the end and at every age, how ppo went, some of what was said."""
    result = read_result(run.condition.name, run.seed, run.folder, read_truth(run.test_set))
    record = read_run(run.folder)
    ppo = [row for row in record.steps if row["phase"] == "ppo"]
    return {
        "name": name,
        "condition": run.condition.name,
        "base": base,
        "seed": seed,
        "language": run.design.l2,
        "test_set": run.test_set.name,
        "tuning": dataclasses.asdict(run.condition.tuning),
        "numbers": result.numbers,
        "human_perplexity": result.human_perplexity,
        "phenomena": result.phenomena,
        "ages": [{"step": age.step, **age.numbers} for age in result.ages],
        "sayings": {age.step: age.sayings[:5] for age in result.ages[:: max(1, len(result.ages) // 2)]},
        "ppo_means": means(ppo, "ppo/"),
        "late_ppo_means": means(ppo[-max(1, len(ppo) // 10) :], "ppo/"),
        "settings": different(record.settings, Recipe().to_dict()),
        "environment": record.environment,
    }


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def show(folder: Path) -> str:
    """All tables of a folder of small files, in markdown."""
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    bases = [one for one in found if "models" in one]
    runs = [one for one in found if "numbers" in one]
    trials = [one for one in runs if _is_trial(one)]
    reported = [one for one in runs if not _is_trial(one)]
    parts = []
    if trials:
        parts.append(trials_markdown(trials))
    if reported:
        parts += [results_markdown(bases, reported, list(LAB_CONDITIONS)), comparisons_markdown(reported)]
    return "\n\n".join(parts)


def _is_trial(one: dict[str, Any]) -> bool:
    """Whether a small file is of a run on the development sentences; earlier versions had another name for the key."""
    return str(one.get("test_set") or one["exam"]).endswith("development")


def main(words: list[str] | None = None) -> None:
    """The command line: tune, run, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, choices in (("tune", TRIALS), ("run", LAB_CONDITIONS)):
        one = commands.add_parser(command)
        one.add_argument("--lab", type=Path, required=True)
        one.add_argument("--out", type=Path, required=True)
        one.add_argument("--language", default="it")
        one.add_argument("--size", choices=list(SIZES), default="large", help="as of bambino demo (default: large)")
        one.add_argument("--conditions", nargs="+", choices=list(choices), default=list(choices), metavar="NAME")
        one.add_argument("--bases", nargs="+", type=int, default=TUNING_BASES if command == "tune" else [1, 2])
        one.add_argument("--seeds", nargs="+", type=int, default=TUNING_SEEDS if command == "tune" else [1, 2, 3])
    commands.add_parser("show").add_argument("folder", type=Path)
    given = parser.parse_args(words)
    if given.command == "show":
        print(show(given.folder))
        return
    is_tuning = given.command == "tune"
    if not is_tuning and set(given.bases) & set(TUNING_BASES):
        raise SystemExit(f"The base models {TUNING_BASES} are for tuning. Report others.")
    prepare_process()
    design = replace(SIZES[given.size], l2=given.language)
    lab = Lab(given.lab.resolve(), given.out, design, DEVELOPMENT if is_tuning else REPORTED)
    chosen = {name: (TRIALS if is_tuning else LAB_CONDITIONS)[name] for name in given.conditions}
    work(tasks(lab, chosen, given.bases, given.seeds))


if __name__ == "__main__":
    main()
