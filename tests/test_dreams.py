"""Dreams: what they are, how they are heard, and that a resumed run dreams nothing new."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer, there, tiny_lm

from bambino import BambinoTrainer, Recipe, RecipeError
from bambino.errors import RunDirectoryError
from bambino.recipe.text_settings import DreamingConfig
from bambino.speaking.dreams import Dream, Dreaming, Dreams, dream, dreaming_of, load_dreams
from bambino.speaking.speaker import Speaker
from bambino.text.heldout import is_heldout

Make = Callable[..., Recipe]
CONFIG = DreamingConfig(share=0.5, texts=70, max_new_tokens=12)
EOS = 1


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    """A baby that often says EOS."""
    lm, tokenizer = tiny_lm("gpt2", seed=5), make_tokenizer()
    assert tokenizer.eos_token_id == EOS
    with torch.no_grad():
        lm.get_output_embeddings().weight[EOS] *= 8  # tied, so its embedding as well
    return Speaker(lm, tokenizer)


def heard(dreams: Dreams, speaker: Speaker, *, steps: int = 5, heldout_every: int | None = None) -> Dreaming:
    settings = {"seed": 1, "batch_size": 4, "steps": steps}
    return dreaming_of(dreams, CONFIG, speaker.tokenizer, heldout_every=heldout_every, **settings)


# ------------------------------------------------------------------------------------------------------------ dreaming


def test_dreams_are_a_function_of_the_seed(speaker: Speaker) -> None:
    one, again, other = (dream(speaker, CONFIG, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one.all) == 70
    assert dream(speaker, replace(CONFIG, texts=3), seed=1) != one


def test_a_dream_is_its_tokens_without_start_and_eos(speaker: Speaker) -> None:
    dreams = dream(speaker, CONFIG, seed=1).all
    assert {one.has_ended for one in dreams} == {True, False}
    for one in dreams:
        assert EOS not in one.ids
        assert len(one.ids) == 12 if not one.has_ended else len(one.ids) < 12
        assert speaker.tokenizer.decode(one.ids, skip_special_tokens=True).startswith(one.text)


def test_words_and_tokens_by_hand() -> None:
    dreams = Dreams([Dream("the cat sees", [5, 6, 7, 8], True), Dream("", [], True), Dream("a dog", [9, 10], False)])
    assert dreams.words == 3 + 0 + 2
    assert dreams.tokens == 5 + 1 + 2  # an EOS each where the baby ended
    assert dreams.manifest.keys() == {"texts", "ended", "words", "tokens", "sha256"}
    assert (dreams.manifest["texts"], dreams.manifest["ended"]) == (3, 2)


def test_a_colder_baby_dreams_what_it_finds_likely(speaker: Speaker) -> None:
    cold = dream(speaker, replace(CONFIG, temperature=0.01), seed=1)
    assert len({tuple(one.ids) for one in cold.all}) < len(
        {tuple(one.ids) for one in dream(speaker, CONFIG, seed=1).all}
    )
    narrow = dream(speaker, replace(CONFIG, top_p=1e-6), seed=1)
    assert len({tuple(one.ids) for one in narrow.all}) == 1


def test_a_baby_that_cannot_begin_cannot_dream() -> None:
    speaker = Speaker(tiny_lm("gpt2"), make_tokenizer(bos=None, eos=None))
    with pytest.raises(RecipeError, match="neither BOS nor EOS, so nothing begins a dream"):
        dream(speaker, CONFIG, seed=1)


# ------------------------------------------------------------------------------------------------------------- hearing


def test_a_dream_is_heard_from_its_start_with_eos_where_the_baby_said_it(speaker: Speaker) -> None:
    stream = heard(Dreams([Dream("a", [5, 6], True), Dream("b", [7, 8], False)]), speaker).heard
    rows = {tuple(row.tolist()) for nth in range(5) for row in there(stream.batch(nth)).input_ids}
    start = speaker.tokenizer.bos_token_id
    assert rows == {(start, 5, 6, EOS), (start, 7, 8, 0)}
    # half of 4 lines at each step
    assert [len(there(stream.batch(nth)).input_ids) for nth in range(5)] == [2] * 5


def test_a_held_out_line_is_not_heard_in_a_dream_either(speaker: Speaker) -> None:
    dreams = [Dream(f"line {i}", [5 + i], True) for i in range(20)]
    rows = heard(Dreams(dreams), speaker, heldout_every=3).heard.lines.rows
    kept = [one.ids for one in dreams if not is_heldout(one.text, 3)]
    assert 0 < len(kept) < 20
    assert [rows[i][1:].tolist() for i in range(len(rows))] == kept
    never = next(one for one in dreams if is_heldout(one.text, 3))
    with pytest.raises(RecipeError, match=r"All 1 dreams are held-out lines \(text\.heldout_every = 3\)"):
        heard(Dreams([never]), speaker, heldout_every=3)


def test_dreams_are_read_as_they_were_written(speaker: Speaker, tmp_path: Path) -> None:
    dreams = dream(speaker, CONFIG, seed=1)
    dreams.save(tmp_path / "dreams.jsonl")
    assert load_dreams(tmp_path / "dreams.jsonl") == dreams
    (tmp_path / "dreams.jsonl").write_text('{"text": "half', encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"dreams\.jsonl cannot be read"):
        load_dreams(tmp_path / "dreams.jsonl")


# ---------------------------------------------------------------------------------------------------------------- runs


SETTINGS = (
    *("--schedule.cycle", "{clm: 1}", "--max_steps", "3"),
    *("--dreaming.share", "0.5", "--dreaming.texts", "6", "--dreaming.max_new_tokens", "8"),
)


def test_a_run_keeps_its_dreams_and_counts_them(make_recipe: Make) -> None:
    recipe = make_recipe(*SETTINGS)
    BambinoTrainer(args=recipe).train()
    folder = Path(recipe.output_dir)
    dreams = load_dreams(folder / "dreams.jsonl")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert json.loads((folder / "data.json").read_text())["dreaming"] == dreams.manifest
    assert rows[0]["time/dreaming"] > 0
    assert rows[-1]["total/words_self_written"] == rows[-1]["total/words_dreamed"] == dreams.words
    # 2 of 4 lines at each of three steps: all six, each once, with its start token
    assert rows[-1]["total/dream_tokens"] == dreams.tokens + 6
    assert all(row["clm/dream_loss"] > 0 for row in rows)


def test_dreams_are_the_first_babys_also_when_a_trained_one_goes_on(make_recipe: Make) -> None:
    whole = make_recipe(*SETTINGS, output_dir="whole")
    BambinoTrainer(args=whole).train()
    recipe = make_recipe(*SETTINGS, output_dir="stopped")
    first = BambinoTrainer(args=recipe, on_row=lambda row: setattr(first, "stop_requested", row.get("step") == 2))
    first.train()
    second = BambinoTrainer(first.baby.lm, args=recipe, processing_class=first.processing_class)
    second.train(resume_from_checkpoint=True)
    models = [Path(one.output_dir) / "model" / "model.safetensors" for one in (whole, recipe)]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_other_dreams_than_those_the_run_began_with_are_refused(make_recipe: Make) -> None:
    recipe = make_recipe(*SETTINGS)
    first = BambinoTrainer(args=recipe, on_row=lambda row: setattr(first, "stop_requested", row.get("step") == 2))
    first.train()
    Dreams([Dream("quite another", [7, 8, 9], True)]).save(Path(recipe.output_dir) / "dreams.jsonl")
    with pytest.raises(RecipeError, match=r"dreams\.jsonl is not what the run in .* began with"):
        BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)


def test_dreams_longer_than_the_context_are_refused(make_recipe: Make) -> None:
    with pytest.raises(RecipeError, match=r"dreaming\.max_new_tokens: rows of 65 tokens do not fit"):
        BambinoTrainer(args=make_recipe("--dreaming.share", "1", "--dreaming.max_new_tokens", "64"))
