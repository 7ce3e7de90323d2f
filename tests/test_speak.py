"""The one loop from prompts to utterances: it is `sample` on padded prompts, however the prompts are split."""

from __future__ import annotations

import numpy as np
import torch
from conftest import make_tokenizer
from known_models import sharp_lm

from bambino.models.baby import Baby
from bambino.randomness import uniforms
from bambino.recipe.phase_settings import RolloutConfig
from bambino.speaking.rollout import sample
from bambino.speaking.speak import speak
from bambino.speaking.speaker import Speaker
from bambino.speaking.utterances import to_text
from bambino.text.batches import pad

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12], [13, 14]]
CONFIG = RolloutConfig(max_new_tokens=6)


def speaker() -> Speaker:
    tokenizer = make_tokenizer()
    return Speaker(sharp_lm("llama", vocab_size=len(tokenizer)), tokenizer)


def test_to_speak_is_to_sample_by_the_numbers_of_seed_stream_and_step() -> None:
    one = speaker()
    numbers = uniforms(4, 6, seed=3, stream="here", step=2)
    rollout = sample(one.lm, pad(PROMPTS, 0, "left"), numbers, CONFIG, one.tokenizer.eos_token_id)
    said = speak(one, PROMPTS, CONFIG, seed=3, stream="here", step=2)
    assert said == to_text(rollout, one.tokenizer)
    others = [("there", 3, 2), ("here", 4, 2), ("here", 3, 1)]
    assert all(
        speak(one, PROMPTS, CONFIG, seed=seed, stream=stream, step=step) != said for stream, seed, step in others
    )


def test_prompts_may_be_split_in_any_way() -> None:
    one = speaker()
    whole = speak(one, PROMPTS, CONFIG, seed=0, stream="x")
    assert all(speak(one, PROMPTS, CONFIG, seed=0, stream="x", batch_size=size) == whole for size in (1, 3, 4))


def test_to_speak_draws_no_global_randomness_and_leaves_the_mode() -> None:
    one = speaker()
    one.lm.train()
    speak(one, PROMPTS, CONFIG, seed=0, stream="x")  # transformers imports what it needs at the first time
    before = torch.get_rng_state(), repr(np.random.get_state())  # Python's own is beartype's here, and nobody else's
    speak(one, PROMPTS, CONFIG, seed=0, stream="x")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
    assert all(module.training for module in one.lm.modules())


def test_a_value_head_changes_nothing_that_is_said() -> None:
    one = speaker()
    baby, numbers = Baby(one.lm), uniforms(4, 6, seed=0, stream="x", step=0)
    torch.nn.init.ones_(baby.value_head.weight)
    plain = sample(one.lm, pad(PROMPTS, 0, "left"), numbers, CONFIG, None)
    valued = sample(one.lm, pad(PROMPTS, 0, "left"), numbers, CONFIG, None, values_of=baby.values)
    assert torch.equal(plain.utterance_ids, valued.utterance_ids)
    assert torch.equal(plain.log_probs, valued.log_probs)
    assert not plain.values.any()
    assert valued.values.all()
