"""The model card that lies beside a trained baby."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bambino.printable import as_code, in_markdown
from bambino.recipe.settings import Recipe
from bambino.runs.account import Lines
from bambino.runs.names import NEWBORN, is_headline

CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [bambino, babylm, bilingual, continual-pretraining]
---

{story}

| | |
|---|---|
| baby | {baby} |
| parent | {parent} |
| text | {sources} |
| steps done | {step} of {max_steps}, batches of {batch_size} |
| schedule | {schedule} |
| learning rates | clm {clm_lr:g}, ppo {ppo_lr:g} |
| reference | {reference} |
| seed | {seed} |

{evaluation}{words}
The recipe with every setting is `recipe.yaml` in the run directory.

    from transformers import AutoModelForCausalLM, AutoTokenizer
    model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")

Check the licences of the baby, the parent and the text before you share this model.
"""


IN_PYTHON = "passed in Python"


BILINGUAL = """# A bilingual baby language model

Raised with [bambino](https://arxiv.org/abs/2406.11418) (BAMBINO-LM, Algorithm 1): a baby pretrained on a first language
went on to a second one by exposure (clm) and by a parent's feedback (ppo)."""


FROM_SCRATCH = """# A small language model raised from scratch

Raised with [bambino](https://arxiv.org/abs/2406.11418) (`bambino pretrain`): tokenizer and weights began with this
text."""


def is_model_card(path: Path) -> bool:
    """Whether a README.md is one of ours."""
    return path.read_text(encoding="utf-8", errors="replace").startswith(CARD.partition("{")[0])


def model_card(
    recipe: Recipe, step: int, evaluation: dict[str, Any], evaluated_at: int, words: Lines, *, has_parent: bool
) -> str:
    """README.md of a saved model: what it was made from and how; what was measured last, at step `evaluated_at`; the
    run's word account."""
    shown = {name.removeprefix("eval/"): value for name, value in evaluation.items() if is_headline(name)}
    rows = "\n".join(f"| {in_markdown(name)} | {value:.4g} |" for name, value in shown.items())
    counted = "\n".join(f"| {in_markdown(what)} | {count} |" for what, count in words)
    schedule = recipe.schedule
    is_newborn = (Path(recipe.output_dir).expanduser() / NEWBORN).is_dir()
    baby = as_code(recipe.baby.model) if recipe.baby.model else IN_PYTHON
    cycle = " : ".join(f"{steps} {in_markdown(phase)}" for phase, steps in schedule.cycle.items())
    return CARD.format(
        story=FROM_SCRATCH if is_newborn else BILINGUAL,
        baby="random weights" if is_newborn else f"{baby}, with random weights" if recipe.baby.random_weights else baby,
        parent=as_code(recipe.parent.model) if recipe.parent.model else (IN_PYTHON if has_parent else "none"),
        sources=", ".join(map(as_code, recipe.text.sources)) or "a dataset passed in Python",
        step=step,
        max_steps=recipe.max_steps,
        batch_size=recipe.batch_size,
        schedule=("blocked, " if schedule.blocked else "") + cycle,
        clm_lr=recipe.clm.learning_rate,
        ppo_lr=recipe.ppo.learning_rate,
        reference=recipe.ppo.reference,
        seed=recipe.seed,
        evaluation=f"| evaluation at step {evaluated_at} | |\n|---|---|\n{rows}\n" if rows else "",
        words=f"\n| words | |\n|---|---|\n{counted}\n" if counted else "",
    )
