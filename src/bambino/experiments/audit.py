"""The reward audit: what each kind of feedback of a recipe likes, before anything is trained.

A kind grades what the baby says to the prompts of its first steps, batch by batch as in training; then texts of known
quality (`audit_texts.py`), each set in one batch, from where what the baby said had brought it (a calibrated tau, say).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from bambino.analysis.reward_audit import (
    KindAudit,
    accuracy,
    batch_spread,
    dead_share,
    distinct,
    entropy,
    preferences,
    rank_correlation,
)
from bambino.errors import RecipeError, RewardError, TextError
from bambino.evaluation.pair_files import load_pair_set
from bambino.experiments.audit_texts import FEWEST, Continuation, continuation, corrupted, made_worse, members, said
from bambino.feedback.rewards import Kind, Moment, Reward, StatefulReward, answer_of, is_dead, reward_name
from bambino.feedback.settings import ParentPerplexityConfig
from bambino.models.random_weights import randomize_weights
from bambino.recipe.settings import Recipe
from bambino.speaking.speak import speak
from bambino.speaking.speaker import Speaker, open_speaker
from bambino.speaking.utterances import Utterances
from bambino.text.heldout import spread
from bambino.text.lines import load_heldout
from bambino.text.streams import build_streams
from bambino.text.tokens import encode


@dataclass(frozen=True)
class AuditPlan:
    """What rewards are tried on, beside what the recipe says."""

    pairs: dict[str, str] = field(default_factory=dict)
    """Minimal pairs of L2: a name for each file (.jsonl, .tsv) or data set of the Hugging Face hub with its
    configuration; none: the recipe's evaluation.pairs."""
    other_text: list[str] = field(default_factory=list)
    """Files or folders of text in another language, such as L1; none: the recipe's replay.sources."""
    lines: int = 256
    """At most so many held-out lines of text.sources are continued, corrupted and graded."""
    utterances: int = 1024
    """Utterances of the baby."""


@dataclass(frozen=True)
class Material:
    """What every kind grades."""

    utterances: list[Utterances]
    """Of the baby, in batches."""
    pairs: dict[str, tuple[Utterances, Utterances]]
    """Pairs file -> good and bad members."""
    continuations: dict[str, list[Continuation]]
    """From the best to the worst."""
    corrupted: dict[str, dict[float, list[Continuation]]]
    """How -> share of words corrupted -> lines."""


def audit(
    recipe: Recipe, plan: AuditPlan, rewards: Sequence[Reward] | None = None
) -> tuple[list[KindAudit], dict[str, str]]:
    """An audit of each kind of feedback that the recipe names, or of the rewards given in their place; and the kinds
    left out, with the reason.

    Raises:
        BambinoError: a model, a text or a kind that cannot be used, or no kind that grades texts.
    """
    baby = open_speaker(recipe.baby, "baby")
    if recipe.baby.random_weights:
        randomize_weights(baby.lm, recipe.seed)
    kinds = made_kinds(recipe) if rewards is None else [Kind(reward_name(reward), reward) for reward in rewards]
    left_out = {kind.name: "it grades no texts" for kind in kinds if not callable(kind.reward)}
    material = gathered(recipe, plan, baby)
    audits = []
    for kind in kinds:
        if kind.name not in left_out:
            try:
                audits.append(audit_kind(kind, material, recipe.seed))
            except RewardError as error:
                left_out[kind.name] = str(error)
    if not audits:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise RecipeError("feedback", f"No kind of feedback can be audited. {reasons}")
    return audits, left_out


def made_kinds(recipe: Recipe) -> list[Kind]:
    """The kinds of feedback, whatever phase they are for, each with a weight of 1: it is looked at alone."""
    kinds = recipe.feedback or {"parent_perplexity": ParentPerplexityConfig()}
    has_parent = recipe.parent.model is not None or any(config.needs_parent for config in kinds.values())
    parent = open_speaker(recipe.parent, "parent") if has_parent else None
    return [Kind(name, config.make(parent), config.for_) for name, config in kinds.items()]


def audit_kind(kind: Kind, material: Material, seed: int) -> KindAudit:
    """What one kind makes of the material."""
    rewards = [
        reward for step, batch in enumerate(material.utterances) for reward in graded(kind, batch, Moment(seed, step))
    ]
    now = Moment(seed, len(material.utterances))
    texts = [text for batch in material.utterances for text in batch.completions]
    size = len(material.utterances[0].texts)

    def grades(*sets: Utterances) -> list[list[float]]:
        """All sets in one batch, so that they are graded by the same measure."""
        with unmoved(kind.reward):
            found = iter(graded(kind, together(*sets), now))
        return [[next(found) for _ in one.texts] for one in sets]

    pairs = {name: grades(*both) for name, both in material.pairs.items()}
    continued = grades(*map(said, material.continuations.values()))
    corruption = {
        how: dict(zip(by_share, map(fmean, grades(*map(said, by_share.values()))), strict=True))
        for how, by_share in material.corrupted.items()
    }
    return KindAudit(
        kind.name,
        {name: accuracy(*both) for name, both in pairs.items()},
        preferences(dict(zip(material.continuations, continued, strict=True))),
        rank_correlation(rewards, [len(text.encode("utf-8")) for text in texts]),
        rank_correlation(rewards, [len(text.split()) for text in texts]),
        corruption,
        entropy(rewards),
        distinct(rewards),
        batch_spread(rewards, len(rewards)),
        batch_spread(rewards, size),
        dead_share(rewards, size, lambda batch: is_dead(batch, [kind])),
    )


def graded(kind: Kind, batch: Utterances, at: Moment) -> list[float]:
    """What each utterance earns in all."""
    return answer_of([kind], batch, lambda lm, tokens: None, at).rewards


@contextmanager
def unmoved(reward: Any) -> Iterator[None]:
    """What a reward learns inside is forgotten after."""
    state = copy.deepcopy(reward.state_dict()) if isinstance(reward, StatefulReward) else None
    yield
    if state is not None:
        reward.load_state_dict(state)


def together(*sets: Utterances) -> Utterances:
    """Several batches as one."""
    return Utterances(
        [prompt for one in sets for prompt in one.prompts],
        [completion for one in sets for completion in one.completions],
        [text for one in sets for text in one.texts],
        [ended for one in sets for ended in one.has_ended],
    )


def gathered(recipe: Recipe, plan: AuditPlan, baby: Speaker) -> Material:
    """Texts to grade.

    Raises:
        TextError: text that is missing, or too little of it.
    """
    pairs = plan.pairs or recipe.evaluation.pairs
    sources = plan.other_text or recipe.replay.sources
    rollout, text = recipe.rollout.at(0.0), recipe.text
    rows = [row for row in heldout_rows(recipe, baby) if len(row) > rollout.prompt_tokens]
    usable = [
        row
        for row in rows
        if len(continuation(baby.tokenizer, row, rollout.prompt_tokens, rollout.max_new_tokens).words) >= FEWEST
    ]
    if not usable:
        problem = f"No held-out line of text.sources has {FEWEST} words between spaces after its prompt"
        raise TextError(f"{problem}, of {len(rows)} that are long enough. Give more text.")
    chosen = spread(usable, plan.lines)
    short, whole = (
        [continuation(baby.tokenizer, row, rollout.prompt_tokens, tokens) for row in chosen]
        for tokens in (rollout.max_new_tokens, text.max_length)
    )
    loaded = {name: load_pair_set(source).spread(recipe.evaluation.max_pairs) for name, source in pairs.items()}
    return Material(
        spoken(recipe, baby, plan.utterances),
        {name: members(one.pairs) for name, one in loaded.items()},
        made_worse(short, heldout_lines(recipe, sources) if sources else [], recipe.seed),
        corrupted(whole, recipe.seed),
    )


def heldout_lines(recipe: Recipe, sources: list[str]) -> list[str]:
    """All held-out lines of the half that the recipe evaluates on."""
    return load_heldout(
        sources,
        heldout_every=recipe.text.heldout_every,
        split=recipe.evaluation.split,
        max_lines=1 << 30,
        jsonl_field=recipe.text.jsonl_field,
        normalization=recipe.text.normalization,
        line_breaks=recipe.text.line_breaks,
        streaming=recipe.text.streaming,
        cache=recipe.text.cache,
    )


def heldout_rows(recipe: Recipe, baby: Speaker) -> list[list[int]]:
    """Held-out lines that prompts may be cut from, as the baby's tokens."""
    lines = [
        line
        for line in heldout_lines(recipe, recipe.text.prompt_sources or recipe.text.sources)
        if len(line) >= recipe.text.min_chars
    ]
    return encode(baby.tokenizer, lines, with_start=recipe.text.prepend_bos)


def spoken(recipe: Recipe, baby: Speaker, count: int) -> list[Utterances]:
    """What the baby says to the prompts of its first ppo steps, in batches as in training."""
    rollout, size = recipe.rollout.at(0.0), recipe.batch_size
    tokens = rollout.prompt_tokens
    streams = build_streams(recipe.text, baby.tokenizer, seed=recipe.seed, batch_size=size, prompt_tokens=tokens)
    batches = []
    for step, first in enumerate(range(0, count, size)):
        prompts = streams.prompts("ppo").prompts(first, min(size, count - first), tokens)
        rows = [ids[real].tolist() for ids, real in zip(prompts.input_ids, prompts.is_real, strict=True)]
        batches.append(speak(baby, rows, rollout, seed=recipe.seed, stream="audit", step=step, batch_size=size))
    return batches
