"""The budget of a run: its ledger while it goes on, what rules refuse at its start, and when they end it.

A budget is kept, not found passed: what the next step is sure to hear is known, what it may make the baby say or the
parent write is taken at its most (a word a token). A run ends before a step that could pass a limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bambino.errors import RecipeError
from bambino.feedback.recasts import Recaster
from bambino.phases.phase import Tools
from bambino.recipe.rules import LIMITS, rules_of
from bambino.recipe.schedule import Place
from bambino.runs.account import heard_in_all
from bambino.runs.costs import HEARD, WRITTEN
from bambino.runs.directory import holds_run
from bambino.runs.ledger import BASE, Ledger, as_json, ledger_from, run_ledger, texts_of
from bambino.runs.life import life_of, texts_of_life
from bambino.runs.names import NEWBORN
from bambino.runs.record import read_run
from bambino.text.mixture import mean_weights
from bambino.text.replay import lines_before
from bambino.training.parts import feedback_of

BYTES_OF_A_TOKEN = 32
"""More than nearly all tokens have."""


class Budget:
    """What a baby's life may have of everything, and what it has had."""

    def __init__(self, tools: Tools) -> None:
        self.tools, self.args, self.rules = tools, tools.recipe, rules_of(tools.recipe.rules)
        self.stopped: str | None = None
        """Which limit ended the run, in a sentence."""

    @cached_property
    def base(self) -> dict[str, Any]:
        """What the ledger is made of beside costs, for data.json; of a run that goes on, what stands there."""
        if holds_run(self.args.output_dir) and (kept := read_run(self.args.output_dir).data.get(BASE)) is not None:
            return dict(kept)
        args, streams, replay = self.args, self.tools.streams, self.tools.replay
        sources: dict[str, list[Any]] = dict(streams.manifest)
        sources |= {} if replay is None else {"replay": replay.manifest}
        reports = [*streams.reports, *([] if replay is None else replay.reports)]
        sizes = iter([report.reading.bytes for report in reports])  # in the order of sources
        languages = {"clm": args.text.language, "prompts": args.text.language, "replay": args.replay.language}
        choice = f"{args.seed}/{args.text.max_lines}/{args.text.max_words}"
        texts = {
            part: texts_of(
                those,
                [next(sizes) for _ in those],
                languages[part],
                mean_weights(args.text.weights) if part == "clm" and args.text.weights else None,
                choice,
            )
            for part, those in sources.items()
        }
        before, parent = self._before(), texts_of_life(self._life("parent"))
        return {
            "texts": {part: [asdict(text) for text in those] for part, those in texts.items()},
            "languages": languages,
            "before": None if before is None else as_json(before),
            "parent": None if parent is None else [asdict(text) for text in parent],
            "shown": bool(self._showing),
        }

    def ledger(self, more: Mapping[str, float] | None = None) -> Ledger:
        """The baby's whole life so far, and some more costs."""
        totals = dict(self.tools.costs.totals)
        for name, amount in (more or {}).items():
            totals[name] = totals.get(name, 0.0) + amount
        return run_ledger({BASE: self.base}, totals)

    @property
    def seen(self) -> float:
        """Words heard in the whole life, in the unit that revisions are counted in."""
        return self.ledger().heard.counted("words" if self.rules is None else self.rules.unit)

    @property
    def revisions(self) -> int | None:
        """Words of the first revision; None: none is kept."""
        return self.args.revisions or (None if self.rules is None else self.rules.revisions)

    def row(self) -> dict[str, float]:
        """For the row of a step: words heard in the baby's whole life, where what it heard before is known."""
        if self._heard_before is None:
            return {}
        return {"ledger/words_heard": self._heard_before + heard_in_all(self.tools.costs.totals)}

    @cached_property
    def _heard_before(self) -> float | None:
        before = self.base["before"]
        known = None if before is None else ledger_from(before)
        return None if known is None or not known.is_whole else known.heard.words

    # --------------------------------------------------------------------------------------------------- at the start

    def check(self) -> None:
        """Refuse what the rules forbid, before the first step.

        Raises:
            RecipeError: naming the setting, the limit and the way out.
        """
        if self.args.revisions is not None and self._heard_before is None:
            problem = "but nobody says what the baby had heard before this run. State it: baby.words, baby.words_heard."
            raise RecipeError("revisions", f"revisions = {self.args.revisions} counts words of a whole life, {problem}")
        if self.rules is None:
            return
        ledger = self.ledger(self._planned())
        self._check_known(ledger)
        if ledger.shown and ledger.parent is None:
            kinds = ", ".join(self._showing) or "the baby before this run"
            problem = "show distributions of a parent, which is allowed only where its own words are inside the budget"
            way_out = "Use a parent that bambino pretrain raised, state parent.words, or take these kinds out."
            self._refuse("parent.words", f"{kinds} {problem} ({self.rules.sources['distributions']}). {way_out}")
        ways_out = {
            "text": ("text.sources", "Use less text (text.max_words), or a parent raised on the same text."),
            "passes": ("passes", "Give passes, or fewer of them (max_steps counts where it is null)."),
        }
        for limit, (key, way_out) in ways_out.items():
            if (passed := self._passed(ledger, (limit,))) is not None:
                self._refuse(key, f"{passed} {way_out}")

    def _check_known(self, ledger: Ledger) -> None:
        assert self.rules is not None
        if not ledger.is_whole:
            problem = "Nobody says what the baby had heard before this run: no ledger.json lies beside baby.model"
            self._refuse("baby.words", f"{problem}. State it: baby.words, baby.words_heard.")
        allowed, in_equivalents = self.rules.languages, self.rules.unit == "equivalents"
        hears = {"text": True, "replay": self.tools.replay is not None or self.tools.dreaming is not None}
        for section, language in (("text", self.args.text.language), ("replay", self.args.replay.language)):
            is_strange = in_equivalents if language is None else bool(allowed) and language not in allowed
            if hears[section] and is_strange:
                way_out = f"Budgets are in English equivalents; give {section}.language, one of {', '.join(allowed)}."
                self._refuse(f"{section}.language", f"{section}.language = {language}. {way_out}")
        if in_equivalents and None in (ledger.text.equivalents, ledger.heard.equivalents, ledger.written.equivalents):
            problem = "English equivalents of what the baby or its parent heard before are not known"
            self._refuse("baby.words", f"{problem}. State them: baby.words, parent.words.")

    def _refuse(self, key: str, problem: str) -> None:
        raise RecipeError(key, f"rules = {self.args.rules}: {problem}")

    def _planned(self) -> dict[str, float]:
        """Words that the run is to hear of its texts, but for its last batch, which may run over the end of a pass."""
        clm, replay, texts = self.tools.streams.clm, self.tools.replay, self.base["texts"]
        steps = max(0, self.tools.schedule.count("clm", self.args.max_steps) - 1)
        weights = mean_weights(self.args.text.weights or [1.0] * len(texts["clm"]))
        epoch = sum(weight * text["audible"] for weight, text in zip(weights, texts["clm"], strict=True))
        planned = {HEARD["clm"]: steps * self.args.batch_size / clm.epoch_size * epoch}
        if replay is not None:
            lines = lines_before(steps, replay.share, replay.last_share, replay.batch_size, replay.steps)
            heard = lines / replay.lines.epoch_size * sum(text["audible"] for text in texts["replay"])
            planned[HEARD["replay"]] = heard
        return planned

    # ------------------------------------------------------------------------------------------------ while it goes on

    def ends_at(self, step: int) -> bool:
        """Whether the run ends after so many steps, as the next could pass a limit; `stopped` then says which."""
        if self.rules is None or step >= self.args.max_steps:
            return False
        self.stopped = self._passed(self.ledger(self._most(self.tools.schedule.at(step))), tuple(LIMITS))
        return self.stopped is not None

    def _passed(self, ledger: Ledger, limits: tuple[str, ...]) -> str | None:
        rules = self.rules
        assert rules is not None
        for limit in limits:
            most, count = rules.limits.get(limit, math.inf), counted(ledger, limit, rules.unit)
            if count > most * (1 + 1e-12):
                unit = " in English equivalents" if rules.unit == "equivalents" and limit not in UNITLESS else ""
                return f"{LIMITS[limit]}{unit}: {shown(limit, count)} of {most:,} ({rules.sources[limit]})."
        return None

    def _most(self, at: Place) -> dict[str, float]:
        """What a step may cost at most."""
        args, tools = self.args, self.tools
        kinds = [config for config in feedback_of(args).values() if config.for_ == at.phase]
        shares = [kind.reward.share for kind in tools.feedback_for(at.phase) if isinstance(kind.reward, Recaster)]
        lines = args.batch_size * max([1.0, *shares])
        row, speech = lines * args.text.max_length, lines * args.rollout.largest.max_new_tokens
        most: dict[str, float] = {}
        if at.phase == "clm":
            most |= {HEARD["clm"]: tools.streams.clm_words(at)}
            most |= {HEARD[name]: stream.words(at.nth) for name, stream in tools.beside.items()}
        else:
            most |= {WRITTEN["baby"]: speech, "rewards": args.batch_size * max(1, len(tools.feedback_for(at.phase)))}
        if any(kind.babylm == "text_counts" for kind in kinds):
            most |= {HEARD["recast"]: row, WRITTEN["parent"]: row, WRITTEN["baby"]: speech}
        if at.phase == "recast" and args.recast.replay:
            most |= {HEARD[name]: row * max(stream.share, stream.last_share) for name, stream in tools.beside.items()}
        written = {name: amount for name, amount in most.items() if name in WRITTEN.values()}
        return most | {name.replace("words", "bytes", 1): BYTES_OF_A_TOKEN * amount for name, amount in written.items()}

    # ---------------------------------------------------------------------------------------------- what it began with

    @property
    def _showing(self) -> list[str]:
        """Kinds of feedback that show the parent's distributions."""
        return [name for name, config in feedback_of(self.args).items() if config.babylm == "parent_words_count"]

    def _before(self) -> Ledger | None:
        """The baby's life before the run; None: nobody says it."""
        if self.args.baby.model is None and (Path(self.args.output_dir).expanduser() / NEWBORN).is_dir():
            return Ledger()
        life = self._life("baby")
        if life is None or not self.args.baby.random_weights:
            return life
        return Ledger([replace(text, heard=0.0) for text in life.texts], is_whole=life.is_whole)  # of its tokenizer

    def _life(self, role: Literal["baby", "parent"]) -> Ledger | None:
        if role == "parent" and self.tools.parent is None:
            return None
        try:
            return life_of(self.args.baby if role == "baby" else self.args.parent, role)
        except (OSError, ValueError):  # passed in from Python, and not there by its name
            return None


def shown(limit: str, count: float) -> str:
    """What a limit counts, for a reader."""
    return f"{count:,.2f}" if limit == "passes" else f"{count:,.0f}"


UNITLESS = ("passes", "rewards")
"""Limits that count no words."""


def counted(ledger: Ledger, limit: str, unit: Literal["words", "equivalents"]) -> float:
    """What a limit of LIMITS counts."""
    if limit in UNITLESS:
        return ledger.passes if limit == "passes" else ledger.rewards
    amount = {"text": ledger.text, "heard": ledger.heard, "said": ledger.written}[limit]
    return amount.counted(unit)
