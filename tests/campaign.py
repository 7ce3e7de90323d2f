"""A campaign against runs: kills, signals, full disks, damaged files, two processes, moved directories; counted.

    python tests/campaign.py --out campaign --trials 1000

Each trial disturbs a run of `bambino train` on tiny models, lets it go on, and compares what it leaves with a run that
nothing disturbed: the model's sha256, and the rows of both logs but for their times. Trials are a function of their
number and the seed. What came of each is in OUT/campaign.json, so that a campaign that was stopped goes on; a trial
that ended wrong leaves its folder and what was said.

Every process is a fork of one that has imported PyTorch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from conftest import italian_lines, make_tokenizer, tiny_lm

from bambino.files import write_json

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["warm"])
STEPS, PATIENCE = 12, 300.0
"""Steps of a run; seconds after which a process counts as hung."""
PARENT = "--feedback.parent_perplexity"
FOR_REINFORCE = ("--schedule.cycle", "{clm: 2, reinforce: 2}", f"{PARENT}.for", "reinforce")
NEWBORN = {"size": "1m", "hidden_size": 32, "num_layers": 2, "num_heads": 2, "context": 64, "vocab_size": 300}

CONDITIONS: dict[str, tuple[str, ...]] = {
    "clm": ("--schedule.cycle", "{clm: 1}"),
    "ppo, reference initial": (),
    "ppo, reference phase_start": ("--ppo.reference", "phase_start", "--ppo.kl_horizon", "20"),
    "ppo, reference ema": ("--ppo.reference", "ema", "--ppo.reference_decay", "0.7"),
    "ppo, reference none": ("--ppo.reference", "none"),
    "ppo, one optimizer": ("--optimizers", "shared"),
    "ppo, accumulation": ("--gradient_accumulation_steps", "2", "--ppo.minibatch_size", "2"),
    "ppo, calibrated tau": (f"{PARENT}.tau", "null", f"{PARENT}.beta_times_tau", "3"),
    "reinforce": (*FOR_REINFORCE, "--reinforce.group_size", "2"),
    "reinforce, reference ema": (*FOR_REINFORCE, "--reinforce.reference", "ema", "--reinforce.kl_coef", "0.1"),
    "distill": ("--schedule.cycle", "{clm: 1, distill: 1}", "--feedback.said_targets.for", "distill"),
    "recast": ("--schedule.cycle", "{clm: 2, recast: 1}", "--feedback.recast.for", "recast"),
    "prefer": ("--schedule.cycle", "{clm: 1, prefer: 1}", "--feedback.best_of_k.for", "prefer"),
    "averaged weights": ("--averaging.decay", "0.7", "--baby.dropout", "0.2"),
    "dreams": ("--dreaming.share", "0.5", "--dreaming.texts", "5", "--dreaming.max_new_tokens", "6"),
    "the best kept": (
        *("--evaluation.eval_steps", "2", "--evaluation.utterances", "3"),
        *("--early_stopping.metric", "speech/log_perplexity_with_prompt/baby"),
    ),
    "pretrain": ("--schedule.cycle", "{clm: 1}", *(w for k, v in NEWBORN.items() for w in (f"--shape.{k}", str(v)))),
}
"""What is tried -> its settings."""


def live(words: list[str], screen: Path, largest_file: int) -> None:
    """The command line, alone in this process; `screen` gets all it says, and no file may grow beyond a size."""
    import torch

    from bambino.cli.main import main

    for stream in (1, 2):
        os.dup2(os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    sys.exit(main(words))


@dataclass
class Run:
    """A run of a condition in a folder, in as many processes as it takes."""

    condition: str
    folder: Path
    materials: Path
    screens: list[Path] = field(default_factory=list)
    """What each of its processes said."""

    @property
    def words(self) -> list[str]:
        """The command that begins it, or goes on with it where it was begun."""
        if (self.folder / "recipe.yaml").exists():
            return [self.command, "--resume", str(self.folder)]
        return self.first_words

    @property
    def command(self) -> str:
        return "pretrain" if self.condition == "pretrain" else "train"

    @property
    def first_words(self) -> list[str]:
        settings = {
            **({} if self.command == "pretrain" else {"baby.model": "baby", "parent.model": "parent"}),
            **{"text.sources": "[italian.txt]", "text.heldout_every": 10, "text.max_length": 40},
            **{"parent.must_know_l2": "false", "batch_size": 4, "max_steps": STEPS, "save_steps": 2},
            **{"schedule.cycle": "{clm: 2, ppo: 2}", "clm.learning_rate": 1e-3, "ppo.learning_rate": 1e-3},
            **{"rollout.prompt_tokens": 4, "rollout.max_new_tokens": 5, "evaluation.utterances": 0},
        }
        for name in ("baby.model", "parent.model"):
            if name in settings:
                settings[name] = self.materials / str(settings[name])
        settings["text.sources"] = f"[{self.materials / 'italian.txt'}]"
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return [self.command, *words, *CONDITIONS[self.condition], "--output_dir", str(self.folder)]

    def start(self, words: list[str] | None = None, largest_file: int = 0) -> BaseProcess:
        self.screens.append(self.folder.with_name(f"{self.folder.name}-{len(self.screens)}.txt"))
        process: BaseProcess = FORKS.Process(target=live, args=(words or self.words, self.screens[-1], largest_file))
        process.start()
        return process

    def end(self, process: BaseProcess) -> int:
        """The exit status of a process that is left alone, checked for manners: no hang, no traceback."""
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            raise AssertionError("it hangs")
        assert "Traceback" not in self.said, "a traceback"
        return process.exitcode

    @property
    def said(self) -> str:
        """By the newest process."""
        return self.screens[-1].read_text(errors="replace") if self.screens[-1].exists() else ""

    def finish(self) -> None:
        """Let it come to its end."""
        status = self.end(self.start())
        assert status == 0, f"it does not go on: exit status {status}"

    @property
    def is_saving(self) -> bool:
        return any(self.folder.glob("**/.part-*"))

    def left(self) -> dict[str, Any]:
        """What it left, but for times: the same for every run of the condition."""
        return {
            "model": hashlib.sha256((self.folder / "model" / "model.safetensors").read_bytes()).hexdigest(),
            "metrics": [self._without_costs_of_tables(row) for row in _rows(self.folder / "metrics.jsonl")],
            "utterances": _rows(self.folder / "utterances.jsonl"),
        }

    def _without_costs_of_tables(self, row: dict[str, Any]) -> dict[str, Any]:
        """Targets look up what the parent expects after single tokens, once in each process: it is counted again."""
        costs = ("total/parent_tokens", "total/parent_flops", "total/flops") if self.condition == "distill" else ()
        return {name: value for name, value in row.items() if name not in costs}


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = map(json.loads, path.read_text(encoding="utf-8").split("\n")[:-1])
    return [{k: v for k, v in row.items() if not k.startswith("time/") and k != "total/seconds"} for row in rows]


class Campaign:
    """Trials in a folder, one after another."""

    def __init__(self, out: Path, seed: int) -> None:
        self.out, self.seed, self.materials = out, seed, out / "materials"
        out.mkdir(parents=True, exist_ok=True)
        if not (self.materials / "italian.txt").exists():
            _make_materials(self.materials)
        self.wholes: dict[str, tuple[Run, float]] = {}

    def whole(self, condition: str) -> tuple[Run, float]:
        """The run of a condition that nothing disturbs, and the seconds that it took."""
        if condition not in self.wholes:
            run = Run(condition, self.out / "whole" / condition.replace(" ", "-"), self.materials)
            shutil.rmtree(run.folder, ignore_errors=True)
            run.folder.parent.mkdir(exist_ok=True)
            began = time.monotonic()
            run.finish()
            self.wholes[condition] = run, time.monotonic() - began
        return self.wholes[condition]

    def trial(self, number: int) -> dict[str, Any]:
        """Do one trial; what came of it."""
        rng = random.Random(f"{self.seed}-{number}")
        kind, condition = KINDS[number % len(KINDS)], rng.choice(list(CONDITIONS))
        whole, seconds = self.whole(condition)
        place = self.out / f"trial-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        counts: Counter[str] = Counter()
        try:
            verdict = kind(Trial(Run(condition, place / "run", self.materials), whole, seconds, rng, counts, self))
            shutil.rmtree(place)
        except (AssertionError, OSError, ValueError) as error:
            verdict = f"WRONG: {type(error).__name__}: {error}"
        return {"kind": kind.__name__, "condition": condition, "verdict": verdict, "counts": dict(counts)}


@dataclass
class Trial:
    """One run that is disturbed."""

    run: Run
    whole: Run
    """The run that it is compared with."""
    seconds: float
    """How long that one took."""
    rng: random.Random
    counts: Counter[str]
    """What was done to it."""
    campaign: Campaign

    def sleep(self, share: float = 1.0) -> None:
        """Any moment of the run's wall time, loading included, is as likely as any other."""
        time.sleep(self.rng.uniform(0, share * self.seconds))

    def compare(self, run: Run | None = None, whole: Run | None = None) -> str:
        left, expected = (run or self.run).left(), (whole or self.whole).left()
        different = [name for name in left if left[name] != expected[name]]
        assert different == [], f"{', '.join(different)} differ from the run that nothing disturbed"
        return "same bits"


# ---------------------------------------------------------------------------------------------------------- trials


def kills(trial: Trial) -> str:
    """SIGKILL one to three times, a fifth of them while something is being saved."""
    run = trial.run
    for _ in range(trial.rng.randint(1, 3)):
        process = run.start()
        if trial.rng.random() < 0.2:
            while process.is_alive() and not run.is_saving:
                time.sleep(0.0002)
        else:
            trial.sleep()
        was_alive = process.is_alive()
        process.kill()
        process.join()
        trial.counts["SIGKILLs"] += was_alive
        trial.counts["inside saves"] += was_alive and run.is_saving
    run.finish()
    return trial.compare()


def signals(trial: Trial) -> str:
    """A signal that asks to stop, at any moment, once or twice."""
    number = trial.rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
    process = trial.run.start()
    for _ in range(trial.rng.choice([1, 1, 2])):
        trial.sleep()
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, number)
            trial.counts[number.name] += 1
    status = trial.run.end(process)
    assert status in (0, -number, 128 + number), f"exit status {status} after {number.name}"
    trial.run.finish()
    return trial.compare()


def full_disks(trial: Trial) -> str:
    """No file can grow beyond a size, from the beginning or from any moment on."""
    run, largest = trial.run, max(path.stat().st_size for path in trial.whole.folder.rglob("*"))
    if trial.rng.random() < 0.5:
        process = run.start()
        trial.sleep()
        process.kill()
        process.join()
    status = run.end(run.start(largest_file=int(1_000 * (1.2 * largest / 1_000) ** trial.rng.random())))
    assert status in (0, 1, 2), f"exit status {status}"
    if status:
        trial.counts["disks filled"] += 1
        assert "cannot be " in run.said, f"it said: {run.said}"
        assert not run.is_saving, "what was half written stays"
    run.finish()
    return trial.compare()


def damage(trial: Trial) -> str:
    """A file of a killed or a finished run is cut, deleted, or one of its bits is flipped."""
    run, rng = trial.run, trial.rng
    process = run.start()
    if rng.random() < 0.5:
        while process.is_alive() and not any(run.folder.glob("checkpoints/step-*")):
            time.sleep(0.01)
        trial.sleep(0.3)
        process.kill()
    process.join()
    file = rng.choice(sorted(path for path in run.folder.rglob("*") if path.is_file() and ".part-" not in str(path)))
    how = rng.choice(["cut", "deleted", "flipped"])
    damage_file(file, how, rng)
    trial.counts[f"files {how}"] += 1
    where = file.relative_to(run.folder)
    status = run.end(run.start())
    if status in (1, 2):
        assert run.said.startswith("bambino: ") or "\nbambino: " in run.said, f"{where} {how}: {run.said}"
        return "refused with a message"
    assert status == 0, f"{where} {how}: exit status {status}"
    if where.name in ("metrics.jsonl", "utterances.jsonl") and f"{where.name} " in run.said:
        assert run.left()["model"] == trial.whole.left()["model"], f"{where} {how}: other weights"
        return "same weights, rows said to be lost"
    return trial.compare()


def damage_file(file: Path, how: str, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if how == "deleted":
        file.unlink()
    elif how == "cut" or not content:
        file.write_bytes(content[: rng.randrange(len(content) or 1)])
    else:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)


def two_processes(trial: Trial) -> str:
    """Another process begins a run there, of this or another condition, or goes on with it, at any moment."""
    first, rng = trial.run, trial.rng
    other = rng.choice([first.condition, "clm", "ppo, reference none"])
    second = Run(other, first.folder, first.materials, [first.folder])
    one = first.start()
    trial.sleep()
    two = second.start(rng.choice([second.first_words, [first.command, "--resume", str(first.folder)]]))
    trial.counts["pairs of processes"] += 1
    statuses = first.end(one), second.end(two)
    assert 0 in statuses, f"exit statuses {statuses}"
    assert set(statuses) <= {0, 2}, f"exit statuses {statuses}"
    if 2 in statuses:
        refused = first if statuses[0] else second
        assert "in use" in refused.said or "holds" in refused.said, refused.said
        trial.counts["the second refused"] += 1
    return trial.compare() if statuses[0] == 0 else trial.compare(second, trial.campaign.whole(other)[0])


def moves(trial: Trial) -> str:
    """The directory is moved while the run goes on."""
    run = trial.run
    process = run.start()
    while process.is_alive() and not (run.folder / "recipe.yaml").exists():
        time.sleep(0.001)
    trial.sleep(0.5)
    elsewhere = Run(run.condition, run.folder.with_name("elsewhere"), run.materials)
    was_alive = process.is_alive()
    run.folder.rename(elsewhere.folder)
    status = run.end(process)
    assert status in ((0, 1) if was_alive else (0,)), f"exit status {status}"
    if status:
        trial.counts["runs moved"] += 1
        assert "moved, deleted or replaced" in run.said or "cannot be written" in run.said, run.said
    assert not run.folder.exists(), "it was made anew"
    elsewhere.finish()
    return trial.compare(elsewhere)


KINDS: tuple[Callable[[Trial], str], ...] = (
    *(kills, damage, full_disks, kills, signals, kills, damage, two_processes, kills, full_disks),
    *(kills, damage, signals, kills, moves, kills, damage, full_disks, kills, two_processes),
)
"""Again and again."""


# --------------------------------------------------------------------------------------------------------- command


def _make_materials(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, family, seed, size in (("baby", "opt", 1, 320), ("parent", "gpt2", 2, 400)):
        tokenizer = make_tokenizer(vocab_size=size)
        tiny_lm(family, len(tokenizer), seed=seed).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    (folder / "italian.txt").write_text("\n".join(italian_lines(400, seed=3)) + "\n", encoding="utf-8")


def table(trials: list[dict[str, Any]]) -> str:
    """Counts by kind of trial and by condition, in Markdown."""

    def counted(of: list[dict[str, Any]]) -> str:
        counts: Counter[str] = sum((Counter(trial["counts"]) for trial in of), Counter())
        ends = Counter("WRONG" if trial["verdict"].startswith("WRONG") else trial["verdict"] for trial in of)
        done = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
        return f"{len(of)} | {done} | {', '.join(f'{number} {what}' for what, number in ends.most_common())} |"

    lines = ["| trials | of them | what was done | how they ended |", "|---|---|---|---|"]
    for key in ("kind", "condition"):
        for name in dict.fromkeys(sorted(trial[key] for trial in trials)):
            lines.append(f"| {name.replace('_', ' ')} | {counted([t for t in trials if t[key] == name])}")
    return "\n".join([*lines, f"| **all** | {counted(trials)}"])


def go_on(out: Path, seed: int, until: int) -> Iterator[dict[str, Any]]:
    """The trials that are left, each written down when it is done; all trials are in OUT/campaign.json."""
    state = out / "campaign.json"
    campaign, trials = Campaign(out, seed), json.loads(state.read_text())["trials"] if state.exists() else []
    for number in range(len(trials), until):
        trials.append(campaign.trial(number))
        write_json(state, {"seed": seed, "trials": trials})
        yield trials[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description="Disturb runs and compare how they end; see the file's docstring.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the campaign; one that was stopped goes on")
    parser.add_argument("--trials", type=int, default=1000, help="how many in all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # where the process that others are forked from finds `warm`
    for trial in go_on(given.out.resolve(), given.seed, given.trials):
        print(f"{trial['kind']}, {trial['condition']}: {trial['verdict']}", flush=True)
    trials = json.loads((given.out / "campaign.json").read_text())["trials"]
    print(f"\n{table(trials)}")
    return int(any(trial["verdict"].startswith("WRONG") for trial in trials))


if __name__ == "__main__":
    sys.exit(main())
