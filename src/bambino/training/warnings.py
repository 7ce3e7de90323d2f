"""What may be run but is perhaps not meant, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bambino.measures import Measure
from bambino.phases.phase import Tools
from bambino.recipe.settings import Recipe
from bambino.text.unknown import Unknown


def warnings_of(
    args: Recipe, tools: Tools, measures: Sequence[Measure], unknown: Mapping[str, Unknown]
) -> Iterator[str]:
    """Warnings of a run before its first step.

    Args:
        unknown: role -> what of the L2 text its model cannot spell.
    """
    is_measured = args.evaluation.eval_steps is not None
    if is_measured and not measures:
        way_out = "Pass measures=measures_of(args) to BambinoTrainer, or set evaluation.eval_steps to null."
        yield f"evaluation.eval_steps is set, but there is nothing to measure the baby by. {way_out}"
    heard = [measure.name for measure in measures if measure.depends_on.get("trained_on")]
    if is_measured and heard:
        yield f"text.heldout_every is null, so these measure lines trained on: {', '.join(heard)}."
    for role, part in unknown.items():
        if not part.is_comparable:
            what = f"The {role}'s tokenizer does not know all of the L2 text: {part}"
            problem = "Its bits per byte are too low, and it can neither learn nor judge what it does not read"
            yield f"{what}. {problem}. Use a {role} whose tokenizer was made for L2."
    if args.text.append_eos and tools.tokenizer.eos_token_id is None:
        yield "The baby's tokenizer has no EOS, so text.append_eos does nothing: the baby cannot learn to stop."
