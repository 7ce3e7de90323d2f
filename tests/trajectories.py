"""Short runs of the shipped recipes on tiny models, as numbers that are committed: `tests/trajectories/RECIPE.json`.

`python tests/trajectories.py` writes them anew; do that only when the arithmetic was meant to change, and say so in the
commit. They are held to a tolerance, not to the bit: another CPU rounds differently.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from conftest import italian_lines, make_tokenizer, tiny_lm

from bambino import BambinoTrainer, load_recipe, measures_of
from bambino.training.pretrain import newborn_trainer

FOLDER = Path(__file__).parent / "trajectories"
STEPS = 14
"""A cycle of ten clm and two ppo steps, and the beginning of the next."""
COMMON = {
    "--max_steps": STEPS,
    "--batch_size": 4,
    "--text.heldout_every": 10,
    "--text.max_length": 40,
    "--evaluation.eval_steps": 7,
}
BILINGUAL = {
    "--parent.must_know_l2": "false",
    "--rollout.prompt_tokens": 4,
    "--rollout.max_new_tokens": 5,
    "--evaluation.utterances": 8,
    "--clm.learning_rate": 1e-3,
    "--ppo.learning_rate": 1e-3,
}
SCARCE = BILINGUAL | {"--clm.warmup_updates": 2, "--passes": "null"}
OVERRIDES: dict[str, dict[str, Any]] = {
    "best": SCARCE | {"--feedback.recast.max_new_tokens": 6},
    "best-legal": SCARCE | {"--feedback.recast.max_new_tokens": 6},
    "clm-tuned": SCARCE,
    "paper-tuned": SCARCE,
    "paper": BILINGUAL | {"--ppo.minibatch_size": 4, "--clm.learning_rate": 1e-3, "--parent.must_know_l2": "false"},
    "real-small": BILINGUAL | {"--clm.warmup_updates": 2},
    "pretrain-small": {"--shape.size": "1m", "--shape.hidden_size": 32, "--shape.num_layers": 2, "--shape.num_heads": 2}
    | {"--shape.context": 64, "--shape.vocab_size": 320, "--clm.warmup_updates": 2, "--evaluation.utterances": 0},
}
"""Recipe -> what makes it small."""


def trajectory(recipe: str, folder: Path) -> list[dict[str, Any]]:
    """The rows of a recipe's run, without times."""
    text = folder / "italian.txt"
    text.write_text("\n".join(italian_lines(400, seed=3)) + "\n", encoding="utf-8")
    settings = COMMON | OVERRIDES[recipe] | {"--output_dir": folder / "run", "--text.sources": f"[{text}]"}
    if recipe != "pretrain-small":
        settings |= {
            "--baby.model": _saved(folder / "baby", "opt", 1),
            "--parent.model": _saved(folder / "parent", "gpt2", 2),
        }
        settings |= {"--evaluation.texts": f"{{it: [{text}]}}"}
    if recipe.startswith("best"):
        settings |= {"--replay.sources": f"[{text}]"}
    words = [str(word) for setting in settings.items() for word in setting]
    args = load_recipe(recipe, words)
    rows: list[dict[str, Any]] = []
    if args.baby.model is None:
        trainer = newborn_trainer(args, on_row=rows.append)
    else:
        trainer = BambinoTrainer(args=args, measures=measures_of(args), on_row=rows.append)
    trainer.train()
    return [_numbers(row) for row in rows if row["kind"] in ("step", "evaluation")]


def _saved(folder: Path, family: str, seed: int) -> Path:
    tokenizer = (
        make_tokenizer() if family == "opt" else make_tokenizer(bos="<|end|>", eos="<|end|>", pad=None, vocab_size=400)
    )
    tiny_lm(family, len(tokenizer), seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    left_out = ("time/", "total/seconds", "total/bytes_", "total/rewards", "ledger/", "clm/batch")
    return {name: value for name, value in row.items() if not name.startswith(left_out)}


def main() -> None:
    for recipe in sys.argv[1:] or OVERRIDES:
        with tempfile.TemporaryDirectory() as folder:
            rows = trajectory(recipe, Path(folder))
        lines = ",\n".join(json.dumps(row) for row in rows)
        (FOLDER / f"{recipe}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"{recipe}: {len(rows)} rows")


if __name__ == "__main__":
    main()
