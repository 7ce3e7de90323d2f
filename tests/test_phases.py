"""The two phases against slow, obvious implementations (`slow_phases.py`), and the guards around them."""

from __future__ import annotations

import copy
import math
import statistics
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from conftest import there
from known_models import sharp_lm
from slow_phases import Slow, flat, gradient_of, slow_clm
from torch import Tensor
from torch.testing import assert_close
from transformers import PreTrainedTokenizerBase

import bambino.phases.learner
import bambino.phases.ppo
from bambino.errors import TrainingError
from bambino.losses.advantages import at_last_token
from bambino.models.baby import Baby
from bambino.models.reference import Reference
from bambino.phases.clm import CLMPhase, heard
from bambino.phases.learner import Learner
from bambino.phases.phase import Tools
from bambino.phases.ppo import PPOPhase, minibatches, reference_log_probs
from bambino.phases.sampler_law import check_sampler
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import CLMConfig, PhaseConfig, PPOConfig, RolloutConfig
from bambino.recipe.schedule import Place, Schedule
from bambino.recipe.settings import Recipe, ScheduleConfig
from bambino.runs.costs import Costs
from bambino.runs.log import RunLog
from bambino.scoring.forward import token_log_probs
from bambino.speaking.rollout import Rollout, sample
from bambino.text.batches import TokenBatch, pad
from bambino.text.streams import Streams

VOCABULARY, EOS = 13, 1
PROMPTS = [[1, 5, 7, 3], [1, 6], [1, 2, 9], [1, 11, 4, 8]]
LINES = [[1, 5, 7, 3, 12, 1], [1, 6], [1, 2, 9, 4, 4, 10, 8, 3, 1], [1, 11, 4, 1]]
REWARDS = [1.5, -0.5, 3.0, 0.25]
KL_COEF = 0.3
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 2e-6}
"""fp32 against fp64; gradients here reach 2, and come out within 4e-7."""


@dataclass
class Update:
    """What an optimizer step was given, and at which weights."""

    weights: dict[str, Tensor]
    gradient: dict[str, Tensor]


def recorded(learner: Learner) -> list[Update]:
    """Every step of the learner's optimizers from now on."""
    updates: list[Update] = []
    for optimizer in learner.optimizers.by_phase.values():
        optimizer.register_step_pre_hook(
            lambda *_: updates.append(Update(weights_of(learner.baby), gradient_of(learner.baby)))
        )
    return updates


def tools_of(learner: Learner) -> Tools:
    """What a phase works with, as far as updates on given batches need it."""
    return Tools(
        learner.recipe,
        learner.schedule,
        learner,
        Mock(spec=Streams),
        Mock(spec=PreTrainedTokenizerBase),
        None,
        [],
        Costs(),
        RunLog(lambda row: None),
    )


def ppo_phase(learner: Learner, reference: Reference, kl_coef: float = KL_COEF) -> PPOPhase:
    phase = PPOPhase(tools_of(learner))
    phase.reference, phase.kl_coef = reference, kl_coef
    return phase


def place(phase: str, nth: int = 0, *, ends: bool = False) -> Place:
    return Place(nth, phase, nth, begins=nth == 0, ends=ends, progress=0.0)


def ppo_step(phase: PPOPhase, rollout: Rollout, rewards: Tensor, nth: int = 0) -> dict[str, float]:
    """All updates on one rollout whose utterances earned these rewards at their ends."""
    return phase.update(rollout, at_last_token(rewards, rollout.is_real), place("ppo", nth))


def clm_step(learner: Learner, batch: TokenBatch, *, keep_gradient: bool = False) -> dict[str, float]:
    return CLMPhase(tools_of(learner)).hear([heard(batch)], place("clm", ends=keep_gradient))


def weights_of(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def make_learner(family: str = "opt", *, dropout: float = 0.0, **settings: Any) -> Learner:
    """A sharp little baby with a value head that has opinions."""
    settings = {"clm": CLMConfig(learning_rate=0.01), "ppo": PPOConfig(learning_rate=0.01), **settings}
    recipe = Recipe(batch_size=4, max_steps=4, schedule=ScheduleConfig(cycle={"ppo": 1}), **settings)
    baby = Baby(sharp_lm(family, VOCABULARY, seed=1, dropout=dropout))
    torch.nn.init.normal_(baby.value_head.weight, std=0.2)
    torch.nn.init.constant_(baby.value_head.bias, 0.1)
    return Learner(recipe, baby, Schedule(recipe.schedule, recipe.max_steps), Accelerator(cpu=True))


def make_reference(family: str = "opt") -> Reference:
    """Another model than the baby."""
    return Reference("initial", 0.99, sharp_lm(family, VOCABULARY, seed=2))


def speak(learner: Learner) -> Rollout:
    """The first draw with utterances of three lengths, some ended by EOS, some cut; prompts have three lengths too."""
    for step in range(200):
        random = uniforms(4, 5, seed=0, stream="sampling", step=step)
        rollout = sample(
            learner.baby.lm, pad(PROMPTS, 0, "left"), random, learner.recipe.rollout, EOS, values_of=learner.baby.values
        )
        if not rollout.has_ended.all() and len(set(rollout.is_real.sum(1).tolist())) == 3:
            return rollout
    raise AssertionError("no such draw")


# ---------------------------------------------------------------------------------------------------------------- ppo


VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "opt": ("opt", {}, {}),
    "gpt2": ("gpt2", {}, {}),
    "tempered, truncated, discounted, with entropy": (
        "opt",
        {"gamma": 0.9, "lam": 0.7, "entropy_coef": 0.05, "cliprange": 0.1, "cliprange_value": 0.3, "vf_coef": 0.5},
        {"temperature": 1.5, "top_k": 11},
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("parts", [1, 2])
def test_ppo_step_equals_a_slow_implementation_at_every_update(
    variant: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, ppo_settings, rollout_settings = VARIANTS[variant]
    learner = make_learner(
        family,
        ppo=PPOConfig(learning_rate=0.01, epochs=3, minibatch_size=2, ratio_threshold=100, **ppo_settings),
        rollout=RolloutConfig(max_new_tokens=5, **rollout_settings),
        gradient_accumulation_steps=parts,
    )
    rollout, reference = speak(learner), make_reference(family)
    order = [[0, 1], [2, 3], [3, 1], [0, 2], [2, 1], [0, 3]]
    monkeypatch.setattr(
        bambino.phases.ppo, "minibatches", lambda recipe, e, step: iter(torch.tensor(order[2 * e : 2 * e + 2]))
    )
    phase = ppo_phase(learner, reference)
    updates, losses = recorded(learner), spy_on_losses(phase, monkeypatch)
    slow = Slow(learner, rollout, REWARDS, reference, KL_COEF)

    metrics = ppo_step(phase, rollout, torch.tensor(REWARDS))

    assert metrics["ppo/clip_fraction"] > 0.1
    assert metrics["ppo/value_clip_fraction"] > 0.1
    assert len(updates) == 6
    for update, rows, loss in zip(updates, order, losses, strict=True):
        assert_close(torch.tensor(loss, dtype=torch.float64), slow.loss(update.weights, rows).double(), **CLOSE)
        assert_close(update.gradient, gradient_of(slow.baby), **CLOSE)


def spy_on_losses(phase: PPOPhase, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loss of every minibatch, as it is computed."""
    losses: list[float] = []
    take = phase.updates.take

    def spy(*args: Any, **kwargs: Any) -> Any:
        report = take(*args, **kwargs)
        losses.append(report["loss"])
        return report

    monkeypatch.setattr(phase.updates, "take", spy)
    return losses


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_reference_log_probs_kl_and_means_equal_the_slow_implementation(parts: int) -> None:
    learner = make_learner(gradient_accumulation_steps=parts)
    rollout, reference = speak(learner), make_reference()
    slow = Slow(learner, rollout, REWARDS, reference, KL_COEF)

    ref_log_probs = reference_log_probs(learner, rollout, reference)
    metrics = ppo_step(ppo_phase(learner, reference), rollout, torch.tensor(REWARDS))

    assert_close(ref_log_probs[rollout.is_real], torch.tensor(flat(slow.ref)), **CLOSE)
    # the KL of an utterance is a sum over its tokens, that of a batch a mean over utterances
    kl = statistics.fmean(
        sum(p - q for p, q in zip(*pair, strict=True)) for pair in zip(slow.old, slow.ref, strict=True)
    )
    assert metrics["ppo/kl"] == pytest.approx(kl, rel=1e-4)
    assert metrics["ppo/returns"] == pytest.approx(statistics.fmean(flat(slow.returns)), rel=1e-4)
    assert metrics["ppo/values"] == pytest.approx(statistics.fmean(flat(slow.old_values)), rel=1e-4)
    assert metrics["ppo/kl_coef"] == KL_COEF


def test_without_a_reference_there_is_neither_kl_nor_penalty() -> None:
    # gamma 1 and lam 1: the return of every token is the sum of token rewards to come, here the reward
    learner = make_learner(ppo=PPOConfig(lam=1.0))
    none = Reference("none", 0.99, learner.baby.lm)
    metrics = ppo_step(ppo_phase(learner, none, 9.0), speak(learner), torch.full((4,), 2.5))
    assert "ppo/kl" not in metrics
    assert metrics["ppo/returns"] == pytest.approx(2.5, rel=1e-6)


def test_the_reference_never_moves_and_the_baby_does() -> None:
    learner, reference = make_learner(), make_reference()
    before, baby = weights_of(there(reference.lm)), weights_of(learner.baby)
    ppo_step(ppo_phase(learner, reference), speak(learner), torch.tensor(REWARDS))
    assert_close(weights_of(there(reference.lm)), before, rtol=0, atol=0)
    assert moved(learner.baby, baby)


@pytest.mark.parametrize("parts", [2, 4])
def test_ppo_in_parts_has_the_gradient_of_the_whole(parts: int) -> None:
    reference = make_reference()
    gradients, reports = [], []
    for n in (1, parts):
        learner = make_learner(gradient_accumulation_steps=n, ppo=PPOConfig(epochs=1))
        phase = ppo_phase(learner, reference)
        updates = recorded(learner)
        reports.append(ppo_step(phase, speak(learner), torch.tensor(REWARDS)))
        gradients.append(updates[0].gradient)
    assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-6)
    assert reports[1] == pytest.approx(reports[0], rel=1e-4, abs=1e-6)


def test_minibatches_of_an_epoch_are_the_batch_in_an_order_of_their_own() -> None:
    orders = set()
    for seed, step in ((1, 5), (1, 6), (2, 5)):
        recipe = Recipe(seed=seed, batch_size=32, ppo=PPOConfig(minibatch_size=8))
        for epoch in range(3):
            found = [rows.tolist() for rows in minibatches(recipe, epoch, step)]
            assert [len(rows) for rows in found] == [8, 8, 8, 8]
            assert sorted(flat(found)) == list(range(32))
            assert found == [rows.tolist() for rows in minibatches(recipe, epoch, step)]
            orders.add(tuple(flat(found)))
    assert len(orders) == 9


def test_ppo_updates_are_numbered_on_from_the_steps_before_skipped_ones_included(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # two epochs of two minibatches after two such steps; the second update is made to look too far off
    learner = make_learner(ppo=PPOConfig(epochs=2, minibatch_size=2, learning_rate=1e-4))
    phase = ppo_phase(learner, make_reference())
    numbers: list[int] = []

    def numbered(config: PhaseConfig, number: int, total: int) -> float:
        numbers.append(number)
        return 1e-4

    is_too_far = iter([False, True, False, False])
    monkeypatch.setattr(phase, "_is_too_far", lambda report: next(is_too_far))
    monkeypatch.setattr(bambino.phases.learner, "learning_rate", numbered)
    metrics = ppo_step(phase, speak(learner), torch.tensor(REWARDS), nth=2)
    assert numbers == [8, 10, 11]
    assert metrics["ppo/skipped_updates"] == 1


def test_update_norm_and_cosine_say_how_far_and_which_way_the_weights_went() -> None:
    learner, reference = make_learner(), make_reference()
    before = torch.cat([w.flatten() for w in weights_of(learner.baby.lm).values()])
    learner.kept_gradient = [
        torch.randn(p.shape, generator=torch.Generator().manual_seed(3)) for p in learner.baby.lm.parameters()
    ]
    metrics = ppo_step(ppo_phase(learner, reference), speak(learner), torch.tensor(REWARDS))
    delta = torch.cat([w.flatten() for w in weights_of(learner.baby.lm).values()]) - before
    gradient = torch.cat([g.flatten() for g in learner.kept_gradient])
    assert metrics["ppo/update_norm"] == pytest.approx(float(delta.norm()), rel=1e-4)
    cosine = float(torch.nn.functional.cosine_similarity(delta, -gradient, dim=0))
    assert metrics["ppo/cosine_with_clm"] == pytest.approx(cosine, rel=1e-3)


# --------------------------------------------------------------------------------------------------------------- clm


PACKED = TokenBatch(  # LINES in another order, two to a row
    torch.tensor([LINES[2] + [0], LINES[0] + LINES[3]]),
    torch.tensor([[True] * 9 + [False], [True] * 10]),
    torch.tensor([[7] * 9 + [-1], [0] * 6 + [1] * 4]),
)


@pytest.mark.parametrize("family", ["opt", "gpt2"])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_clm_step_equals_one_line_at_a_time(family: str, parts: int) -> None:
    learner = make_learner(family, gradient_accumulation_steps=parts)
    loss, gradient = slow_clm(learner, LINES)
    metrics = clm_step(learner, pad(LINES, 0), keep_gradient=True)
    assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["targets"] == 17  # 5 + 1 + 8 + 3
    names = [name for name, _ in learner.baby.lm.named_parameters()]
    ours = dict(zip(names, [g.double() for g in there(learner.kept_gradient)], strict=True))
    assert_close(ours, gradient, **CLOSE)


@pytest.mark.parametrize("family", ["opt", "gpt2"])
def test_packed_rows_are_learned_from_like_lines(family: str) -> None:
    learner = make_learner(family)
    loss, gradient = slow_clm(learner, [LINES[2], LINES[0], LINES[3]])
    metrics = clm_step(learner, PACKED, keep_gradient=True)
    assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["targets"] == 16  # 8 + 5 + 3
    for ours, slow in zip(there(learner.kept_gradient), gradient.values(), strict=True):
        assert_close(ours.double(), slow, **CLOSE)


@pytest.mark.parametrize("family", ["opt", "gpt2"])
def test_packed_rows_and_lines_have_the_same_per_token_log_probs(family: str) -> None:
    lm = sharp_lm(family, VOCABULARY, seed=1)
    lines, packed = token_log_probs(lm, pad(LINES, 0)), token_log_probs(lm, PACKED)
    assert_close(packed[0, :9], lines[2, :9])
    assert_close(packed[1, :6], lines[0, :6])
    assert_close(packed[1, 6:], lines[3, :4])
    assert [float(packed[at]) for at in ((0, 9), (1, 0), (1, 6))] == [0, 0, 0]  # a pad and two first tokens: no targets


def test_clm_forgets_the_gradient_unless_asked_to_keep_it() -> None:
    learner = make_learner()
    clm_step(learner, pad(LINES, 0))
    assert learner.kept_gradient is None
    assert all(parameter.grad is None for parameter in learner.baby.parameters())


def test_clm_runs_with_the_models_dropout_and_ppo_without() -> None:
    clm, ppo, reference = [], [], make_reference()
    for seed in (0, 1):
        learner = make_learner(dropout=0.3, ppo=PPOConfig(epochs=1))
        rollout = speak(learner)
        learner.baby.train()
        torch.manual_seed(seed)
        phase = ppo_phase(learner, reference)
        updates = recorded(learner)
        ppo_step(phase, rollout, torch.tensor(REWARDS))
        assert learner.baby.training
        ppo.append(updates[0].gradient)
        clm.append(clm_step(learner, pad(LINES, 0))["loss"])
    assert_close(ppo[0], ppo[1], rtol=0, atol=0)
    assert abs(clm[0] - clm[1]) > 0.01


# ------------------------------------------------------------------------------------------------------------ guards


def moved(baby: Baby, before: dict[str, Tensor]) -> bool:
    return any(not torch.equal(parameter, before[name]) for name, parameter in baby.named_parameters())


def adam_state(learner: Learner) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in learner.optimizers.state()["optimizer-ppo"].items()}


def with_log_ratio(rollout: Rollout, log_ratio: float) -> Rollout:
    """The same utterances, as if the baby had been so much less inclined to them when it spoke."""
    return replace(rollout, log_probs=torch.where(rollout.is_real, rollout.log_probs - log_ratio, 0.0))


def test_an_update_whose_mean_ratio_exceeds_the_threshold_moves_neither_weights_nor_adam() -> None:
    learner, reference = make_learner(ppo=PPOConfig(epochs=3, learning_rate=0.01)), make_reference()
    rollout = speak(learner)
    phase = ppo_phase(learner, reference)
    ppo_step(phase, rollout, torch.tensor(REWARDS))
    weights, adam, rollout = weights_of(learner.baby), adam_state(learner), speak(learner)
    assert any(bool(tensor.any()) for name, tensor in adam.items() if name.endswith("exp_avg")), "no momentum to fear"

    too_far = with_log_ratio(rollout, math.log(10.1))
    metrics = ppo_step(phase, too_far, torch.tensor(REWARDS), nth=1)

    assert metrics["ppo/skipped_updates"] == 3
    assert metrics["ppo/ratio"] == pytest.approx(10.1, rel=1e-3)
    assert metrics["ppo/update_norm"] == 0
    of_the_rollout = {"ppo/kl", "ppo/kl_coef", "ppo/returns", "ppo/values"}
    # no loss, no entropy, no clip fraction of an update that was not made
    assert metrics.keys() == of_the_rollout | {"ppo/ratio", "ppo/update_norm", "ppo/skipped_updates"}
    assert not moved(learner.baby, weights)
    assert_close(adam_state(learner), adam, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in learner.baby.parameters())


def test_the_ratio_of_a_skipped_update_is_over_all_its_parts() -> None:
    # Ratios 30 in the first part of two rows, 2 in the second: the first alone already exceeds the threshold.
    learner = make_learner(ppo=PPOConfig(epochs=1), gradient_accumulation_steps=2)
    rollout, weights = speak(learner), weights_of(learner.baby)
    lengths = rollout.is_real.sum(1).tolist()
    shift = torch.tensor([30.0, 30.0, 2.0, 2.0]).log()[:, None]
    far = replace(rollout, log_probs=torch.where(rollout.is_real, rollout.log_probs - shift, 0.0))
    metrics = ppo_step(ppo_phase(learner, make_reference()), far, torch.tensor(REWARDS))
    by_hand = (30 * (lengths[0] + lengths[1]) + 2 * (lengths[2] + lengths[3])) / sum(lengths)
    assert metrics["ppo/ratio"] == pytest.approx(by_hand, rel=1e-3)
    assert metrics["ppo/skipped_updates"] == 1
    assert "ppo/loss" not in metrics
    assert not moved(learner.baby, weights)


def test_means_are_over_the_updates_that_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make_learner(ppo=PPOConfig(epochs=2, minibatch_size=4))
    phase = ppo_phase(learner, make_reference())
    reports = iter([{"ratio": 1.0, "loss": 0.5, "grad_norm": 1.0}, {"ratio": 11.0, "loss": 9.0}])
    monkeypatch.setattr(phase.updates, "take", lambda *args, **kwargs: next(reports))
    metrics = ppo_step(phase, speak(learner), torch.tensor(REWARDS))
    assert (metrics["ppo/loss"], metrics["ppo/ratio"], metrics["ppo/skipped_updates"]) == (0.5, 6.0, 1)


def test_an_update_whose_mean_ratio_is_just_below_the_threshold_is_made() -> None:
    learner = make_learner(ppo=PPOConfig(epochs=1))
    rollout, weights = speak(learner), weights_of(learner.baby)
    almost = with_log_ratio(rollout, math.log(9.9))
    metrics = ppo_step(ppo_phase(learner, make_reference()), almost, torch.tensor(REWARDS))
    assert metrics["ppo/skipped_updates"] == 0
    assert moved(learner.baby, weights)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_before_the_weights_move(bad: float) -> None:
    learner, reference = make_learner(), make_reference()
    rollout, weights = speak(learner), weights_of(learner.baby)
    with pytest.raises(TrainingError, match="ppo: the loss is"):
        ppo_step(ppo_phase(learner, reference), rollout, torch.tensor([1.0, bad, 1.0, 1.0]))
    assert_close(learner.last_read, [rollout.sequences.input_ids])
    assert not moved(learner.baby, weights)

    with torch.no_grad():
        learner.baby.lm.get_input_embeddings().weight[12] = bad
    weights = weights_of(learner.baby)
    with pytest.raises(TrainingError, match="clm: the loss is"):
        clm_step(learner, pad(LINES, 0))
    assert_close(weights_of(learner.baby), weights, rtol=0, atol=0, equal_nan=True)


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_weights_move() -> None:
    learner, reference = make_learner(), make_reference()
    rollout, weights = speak(learner), weights_of(learner.baby)
    learner.baby.lm.get_input_embeddings().weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match=r"clm: the gradient's norm is (inf|nan)"):
        clm_step(learner, pad(LINES, 0))
    with pytest.raises(TrainingError, match=r"ppo: the gradient's norm is (inf|nan)"):
        ppo_step(ppo_phase(learner, reference), rollout, torch.tensor(REWARDS))
    assert not moved(learner.baby, weights)


@pytest.mark.parametrize("parts", [1, 4])
def test_check_sampler_measures_the_gap_and_the_kl_over_the_whole_vocabulary(parts: int) -> None:
    learner, reference = make_learner("gpt2", gradient_accumulation_steps=parts), make_reference("gpt2")
    rollout = speak(learner)
    slow = Slow(learner, rollout, REWARDS, reference, KL_COEF)
    everything, kl = list(range(VOCABULARY)), 0.0
    for i in range(4):
        ref = copy.deepcopy(there(reference.lm)).double()
        for mine, theirs in zip(slow.read(slow.baby.lm, i)[0], slow.read(ref, i)[0], strict=True):
            p, q = slow.policy(mine, everything).detach(), slow.policy(theirs, everything).detach()
            kl += float((p.exp() * (p - q)).sum()) / 4
    metrics = check_sampler(learner, rollout, reference, "ppo")
    assert metrics["ppo/kl_exact"] == pytest.approx(kl, rel=1e-4)
    assert metrics["ppo/sampler_gap"] < 1e-4


def test_check_sampler_stops_a_run_whose_sampler_is_off_at_a_single_token() -> None:
    learner = make_learner(gradient_accumulation_steps=4)
    rollout = speak(learner)
    rollout.log_probs[2, 0] += 0.01
    with pytest.raises(TrainingError, match=r"differ by 0\.01 nats") as caught:
        check_sampler(learner, rollout, make_reference(), "ppo")
    assert caught.value.details["gap"] == pytest.approx(0.01, rel=0.01)


def test_an_infinite_ratio_skips_the_update_and_moves_nothing() -> None:
    # a token the old policy gave e^-200: exp(log ratio) overflows fp32
    learner = make_learner(ppo=PPOConfig(epochs=1, learning_rate=0.01))
    rollout = speak(learner)
    rollout.log_probs[0, 0] = -200.0
    before = weights_of(learner.baby)
    metrics = ppo_step(ppo_phase(learner, make_reference()), rollout, torch.tensor(REWARDS))
    assert metrics["ppo/skipped_updates"] == 1
    assert metrics["ppo/ratio"] == math.inf
    assert all(torch.equal(before[name], weight) for name, weight in weights_of(learner.baby).items())


# ------------------------------------------------------------------------------------------------------------- terms


def test_terms_of_an_update_are_summed_into_one_gradient_by_their_weights() -> None:
    learner = make_learner("gpt2")
    _, first = slow_clm(learner, LINES[:2])
    _, second = slow_clm(learner, LINES[2:])
    updates = learner.updates("clm", PhaseConfig(learning_rate=0.01), 1)
    steps = recorded(learner)
    beside = replace(heard(pad(LINES[2:], 0)), weight=0.25, name="replay")
    report = updates.take(0, [heard(pad(LINES[:2], 0)), beside])
    for name, gradient in steps[0].gradient.items():
        if name.startswith("lm."):
            inner = name.removeprefix("lm.")
            assert_close(gradient, first[inner] + 0.25 * second[inner], **CLOSE)
    assert len(steps) == 1
    assert report.keys() == {"loss", "replay_loss", "grad_norm", "learning_rate"}
