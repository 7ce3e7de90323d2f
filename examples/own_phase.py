"""A phase of one's own, without touching the package: the parent goes on after each prompt, and the baby hears that.

    python examples/own_phase.py --baby PATH --parent PATH --text italian.txt --output_dir runs/imitate
    python examples/own_phase.py ... --resume

What the parent says is text that the baby learns from by next-token prediction, so a step of this phase is a step of
exposure to words that the parent wrote, after eight steps of hearing and before two of feedback by ppo. (bambino's own
phase `recast` does this with the prompt left out of the loss; here it is how a phase is written.)
"""

from __future__ import annotations

import argparse

from bambino import BambinoTrainer, Place, RolloutConfig, State, Tools, load_recipe, measures_of
from bambino.errors import RecipeError
from bambino.phases.clm import heard
from bambino.speaking.speak import speak
from bambino.text.batches import pad
from bambino.text.tokens import encode
from bambino.text.words import count_words


class ImitatePhase:
    """The parent says how it would have gone on."""

    name = "imitate"
    updates_per_step = 1

    def __init__(self, tools: Tools) -> None:
        if tools.parent is None:
            raise RecipeError("parent.model", "The phase imitate needs a parent. Set parent.model.")
        self.tools, self.parent = tools, tools.parent
        self.updates = tools.learner.updates(self.name, tools.recipe.clm, self.updates_per_step)
        self.words = 0
        """Words that the parent wrote so far: a checkpoint holds it."""

    def begin_block(self) -> None:
        """Nothing to do."""

    def step(self, at: Place) -> dict[str, float]:
        """Draw prompts, let the parent go on after each, hear it."""
        recipe, tokenizer = self.tools.recipe, self.tools.tokenizer
        prompts = self.tools.streams.prompt_batch(self.name, at)
        rows = zip(prompts.input_ids, prompts.is_real, strict=True)
        texts = [tokenizer.decode(ids[real], skip_special_tokens=True) for ids, real in rows]
        parent, costs, lm = self.parent, self.tools.costs, self.tools.learner.baby.lm
        config = RolloutConfig(max_new_tokens=24)
        with costs.time(self.name):
            said = speak(
                parent, encode(parent.tokenizer, texts), config, seed=recipe.seed, stream=self.name, step=at.step
            )
            self.words += sum(map(count_words, said.completions))
            term = heard(pad(encode(tokenizer, said.texts, with_start=recipe.text.prepend_bos), 0))
            report = self.updates.take(at.nth, [term], with_dropout=True)
        costs.read(parent.lm, sum(map(len, encode(parent.tokenizer, said.texts))))
        costs.written("parent", said.completions)
        words = sum(map(count_words, said.texts))
        costs.heard(lm, term.tokens, term.num_targets, self.name, words=words)
        pairs = zip(said.prompts, said.completions, strict=True)
        self.tools.log.utterances(self.name, at.step + 1, [{"prompt": p, "utterance": text} for p, text in pairs])
        return {f"imitate/{name}": value for name, value in report.items()} | {"imitate/words": self.words}

    def end_step(self) -> None:
        """Nothing to do."""

    def state(self) -> State:
        """The words so far."""
        return State(numbers={"words": self.words})

    def restore(self, state: State) -> None:
        """Put them back."""
        self.words = state.numbers["words"]


PHASES = {"imitate": ImitatePhase}
"""What `bambino train --code examples/own_phase.py` takes from here."""


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("baby", "parent", "text", "output_dir"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--steps", default="22")
    parser.add_argument("--resume", action="store_true")
    given, more = parser.parse_known_args(words)
    settings = ["--baby.model", given.baby, "--parent.model", given.parent, "--text.sources", f"[{given.text}]"]
    settings += ["--output_dir", given.output_dir, "--max_steps", given.steps]
    settings += ["--schedule.cycle", "{clm: 8, imitate: 1, ppo: 2}"]
    args = load_recipe("real-small", [*settings, *more], phases=PHASES)
    trainer = BambinoTrainer(args=args, phases=PHASES, measures=measures_of(args))
    trainer.train(resume_from_checkpoint=given.resume)


if __name__ == "__main__":
    main()
