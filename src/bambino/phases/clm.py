"""The clm phase: the baby hears L2, one next-token update a step."""

from __future__ import annotations

from bambino.losses.clm import smoothed_loss
from bambino.phases.learner import Learner, _finite, _update
from bambino.phases.updates import UpdateMeter, gradient_of
from bambino.scoring.forward import log_probs_of
from bambino.text.batches import TokenBatch, without_pads


def clm_step(learner: Learner, batch: TokenBatch, update: int, *, keep_gradient: bool) -> dict[str, float]:
    """One next-token update on a batch of L2 text, with the model's own dropout."""
    targets = int(batch.is_target.sum())
    learner.baby.train()
    meter = UpdateMeter(learner.baby.lm)
    total = 0.0
    for rows in learner.parts(len(batch.input_ids)):
        part = without_pads(batch.rows(rows)) if learner.can_pack else batch.rows(rows)
        part = part.to(learner.accelerator.device)
        logits, _ = learner.baby(part, part.is_target)
        heard = part.input_ids[part.is_target]
        nll = -log_probs_of(logits, heard).sum() / max(1, targets)
        total += _finite(float(nll.detach()), "clm loss", part)
        smoothing = learner.recipe.clm.label_smoothing
        loss = nll if smoothing == 0 else smoothed_loss(logits, heard, smoothing) / max(1, targets)
        learner.accelerator.backward(loss)
    if keep_gradient:
        learner.clm_gradient = gradient_of(learner.baby.lm)
    grad_norm, rate = _update(learner, "clm", update, batch)
    return {
        "clm/loss": total,
        "clm/targets": targets,
        "clm/grad_norm": grad_norm,
        "clm/update_norm": meter.norm(),
        "clm/learning_rate": rate,
    }
