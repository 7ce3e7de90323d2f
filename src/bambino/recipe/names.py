"""Which settings there are, by dotted name; what a wrong name is told."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from bambino.errors import RecipeError
from bambino.recipe.checks import Settings, types_of, written
from bambino.recipe.settings import FeedbackConfig, Recipe

Kinds = Mapping[str, type[FeedbackConfig]]
"""Name of a kind of feedback -> its settings."""

MOVED = {
    "schedule.kind": "Write the steps of a cycle: schedule.cycle: {clm: 1} hears only, {ppo: 1} is answered only; "
    "schedule.blocked: true plays the phases one after the other.",
    "schedule.clm_steps": "Write schedule.cycle: {clm: 10, ppo: 2}.",
    "schedule.ppo_steps": "Write schedule.cycle: {clm: 10, ppo: 2}.",
    "schedule.warmup_clm_steps": "Write schedule.warmup: {clm: 300}.",
    "reward": "Feedback has kinds, each with its settings: write feedback.parent_perplexity.",
    "reward.alpha": "Write feedback.parent_perplexity.alpha.",
    "reward.beta": "Write feedback.parent_perplexity.beta.",
    "reward.beta_times_tau": "Write feedback.parent_perplexity.beta_times_tau.",
    "reward.tau": "Write feedback.parent_perplexity.tau.",
    "reward.scope": "Write feedback.parent_perplexity.scope.",
    "reward.until": "Write feedback.parent_perplexity.until.",
    "reward.tau_quantile": "A calibrated tau (feedback.parent_perplexity.tau: null) is the median.",
    "reward.tau_window": "A calibrated tau (feedback.parent_perplexity.tau: null) is that of the last 512 utterances.",
    "reward.tau_freeze_after": "A calibrated tau (feedback.parent_perplexity.tau: null) keeps following the baby.",
    "ppo.missing_eos_penalty": "Write feedback.missing_eos.weight.",
    "clm.label_smoothing": "Leave it out.",
}
"""Settings of earlier versions -> what stands in their place."""


@dataclass(frozen=True)
class Names:
    """Every setting that can be given, by dotted name as a recipe writes it."""

    types: dict[str, Any]
    """Setting -> its type, with bounds."""
    sections: dict[str, type[Settings] | None]
    """Section -> its class; None: `feedback`, whose settings are kinds."""
    command: str = "bambino train"
    """The command whose help lists them."""
    beside: tuple[str, ...] = ()
    """Options of the command that are no settings."""

    @classmethod
    def of(
        cls,
        root: type[Settings],
        kinds: Kinds | None = None,
        command: str = "bambino train",
        beside: tuple[str, ...] = (),
    ) -> Names:
        """Names of the settings below a class, `feedback` with the settings of the kinds there are."""
        names = cls({}, {}, command, beside)
        names._add(root, "", kinds or {})
        return names

    def _add(self, section: type[Settings], prefix: str, kinds: Kinds) -> None:
        for name, hint in types_of(section).items():
            key = prefix + written(name)
            if isinstance(hint, type) and issubclass(hint, Settings):
                self.sections[key] = hint
                self._add(hint, f"{key}.", kinds)
            elif section is Recipe and name == "feedback":
                self.sections[key] = None
                for kind, settings in kinds.items():
                    self.sections[f"{key}.{kind}"] = settings
                    self._add(settings, f"{key}.{kind}.", {})
            else:
                self.types[key] = hint

    def all(self) -> list[str]:
        return [*self.sections, *self.types]

    def check(self, key: str, where: str = "") -> None:
        """Refuse a name that is none.

        Raises:
            RecipeError: with what stands in its place, or the nearest spelling.
        """
        if key not in self.types and key not in self.sections:
            raise RecipeError(key, f"There is no setting {key}. {self._hint(key)}", where)

    def refuse_option(self, key: str) -> NoReturn:
        """Refuse an option of the command line that the command does not take."""
        self.check(key)
        section = self.sections[key]
        first = written(next(iter(types_of(section)))) if section is not None else "parent_perplexity.tau"
        raise RecipeError(key, f"{key} is a section of settings. Give them one by one, such as --{key}.{first}.")

    def _hint(self, key: str) -> str:
        if key in MOVED:
            return MOVED[key]
        section, _, last = key.rpartition(".")
        if section in self.types:
            return f"{section} is one setting. Give it whole: --{section} '{{...}}'"
        if near := nearest(key, [*self.all(), *self.beside]):
            return f"Did you mean {near}?"
        same = [name for name in self.all() if name.split(".")[-1] == last]
        return f"Did you mean {same[0]}?" if same else f"`{self.command} --help` lists all settings."


def nearest(word: str, known: list[str]) -> str | None:
    """The known word that it may be a misspelling of."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None


def setting_names(kinds: Kinds | None = None) -> list[str]:
    """Dotted names of all settings and sections of a recipe."""
    return Names.of(Recipe, kinds).all()
