"""Settings that change over training: by hand, in a recipe, in a run that is resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bambino import BambinoTrainer, Recipe, load_recipe
from bambino.errors import RecipeError
from bambino.feedback.rewards import Kind
from bambino.feedback.settings import KINDS, ParentPerplexityConfig
from bambino.recipe.curricula import at, largest
from bambino.recipe.file import dump_recipe
from bambino.recipe.phase_settings import RolloutConfig, RolloutCurriculum
from bambino.training.parts import kind_of

# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("progress", "expected"),
    # from 4 at 0.2 to 9 at 0.7: 1 more for each 0.1
    [(0.0, 4), (0.2, 4), (0.29, 4), (0.3, 5), (0.45, 6), (0.69, 8), (0.7, 9), (0.99, 9)],
)
def test_whole_numbers_rise_in_whole_steps(progress: float, expected: int) -> None:
    found = at({0.7: 9, 0.2: 4}, progress)
    assert (found, type(found)) == (expected, int)


def test_numbers_move_linearly_from_point_to_point() -> None:
    weight = {0.0: 0.0, 0.5: 1.0, 1.0: -1.0}
    assert [at(weight, share) for share in (0.0, 0.25, 0.5, 0.75, 0.875)] == [0.0, 0.5, 1.0, 0.0, -0.5]


def test_a_number_is_the_same_at_all_times() -> None:
    assert [at(7, share) for share in (0.0, 0.5, 1.0)] == [7, 7, 7]
    assert [at({0.5: 7}, share) for share in (0.0, 0.5, 1.0)] == [7, 7, 7]


def test_the_largest_value_is_found_wherever_it_stands() -> None:
    assert (largest(3), largest({0.0: 2, 0.5: 8, 1.0: 4})) == (3, 8)
    rollout = RolloutCurriculum(prompt_tokens={0.0: 9, 1.0: 3}, max_new_tokens={0.0: 4, 1.0: 16}, top_k=5)
    assert rollout.largest == RolloutConfig(9, 16, top_k=5)
    assert rollout.at(0.5) == RolloutConfig(6, 10, top_k=5)


def test_a_kind_has_the_weight_of_its_time() -> None:
    made = kind_of("random", KINDS["random"](weight={0.5: 0.0, 1.0: 2.0}), None)
    assert [made.at(share).weight for share in (0.0, 0.5, 0.75)] == [0.0, 0.0, 1.0]
    always = Kind("random", made.reward, weight=3.0)
    assert always.at(0.9) is always


def test_the_perplexity_that_earns_half_moves() -> None:
    # the same perplexity against tau = 200, 150, 100: further and further above it
    from test_rewards import counting_parent

    reward = counting_parent(tau={0.0: 4.0, 1.0: 2.0}, beta=1.0)
    said: dict[str, Any] = {"prompts": [""], "completions": ["quattro"]}  # perplexity 4
    assert [round(reward(**said, progress=share).values[0], 4) for share in (0.0, 0.5, 1.0)] == [
        2.5,  # 5 / 2
        1.3447,  # 5 / (1 + e)
        0.596,  # 5 / (1 + e^2)
    ]


# -------------------------------------------------------------------------------------------------------- in a recipe


def test_a_recipe_with_curricula_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "rollout:\n  max_new_tokens: {0: 4, 0.5: 16}\n"
        "feedback:\n  parent_perplexity: {tau: {0: 1000, 1: 1.5e2}, weight: {0.2: 0, 0.4: 1}}\n"
    )
    recipe = load_recipe(path, ["--rollout.prompt_tokens", "{0: 12, 5e-1: 4}"], kinds=KINDS)
    assert recipe.rollout == RolloutCurriculum(prompt_tokens={0.0: 12, 0.5: 4}, max_new_tokens={0.0: 4, 0.5: 16})
    parent = recipe.feedback["parent_perplexity"]
    assert isinstance(parent, ParentPerplexityConfig)
    assert (parent.tau, parent.weight) == ({0.0: 1000.0, 1.0: 150.0}, {0.2: 0.0, 0.4: 1.0})
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path, kinds=KINDS) == recipe
    assert json.loads(json.dumps(recipe.to_dict()))["rollout"]["max_new_tokens"] == {"0.0": 4, "0.5": 16}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("0", "rollout.max_new_tokens = 0 is too small. Use 1 or more."),
        ("{0: 4, 0.5: 0}", "rollout.max_new_tokens.0.5 = 0 is too small. Use 1 or more."),
        ("{0: 4, 2: 8}", "rollout.max_new_tokens (a share of the run) = 2.0 is too large. Use 1 or less."),
        ("{0: 4, -1: 8}", "rollout.max_new_tokens (a share of the run) = -1.0 is too small. Use 0 or more."),
        (
            "{0: many}",
            "rollout.max_new_tokens: expected an int, or its values over training like {0: 4, 0.5: 8}. Got value: ",
        ),
        ("{}", "rollout.max_new_tokens: expected an int, or its values over training like {0: 4, 0.5: 8}."),
        ("{late: 4}", "rollout.max_new_tokens: expected an int, or its values over training"),
        ("{0: 4, 0.0: 5}", "rollout.max_new_tokens names 0.0 twice. Keep one."),
        ("many", "rollout.max_new_tokens: expected an int, or its values over training"),
        ("[4, 8]", "rollout.max_new_tokens: expected an int, or its values over training"),
        ("null", "rollout.max_new_tokens cannot be null. Leave it out to keep its default."),
    ],
)
def test_what_is_no_curriculum_is_refused(value: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(None, ["--rollout.max_new_tokens", value])
    assert str(caught.value).startswith(problem)


# ----------------------------------------------------------------------------------------------------------- in a run

CHILD = (
    "--max_steps", "8", "--schedule.cycle", "{clm: 1, ppo: 1}", "--rollout.prompt_tokens", "{0: 6, 0.75: 3}",
    "--rollout.max_new_tokens", "{0: 1, 0.75: 4}",
    "--feedback", "{constant: {weight: {0: 0, 1: 8}}, parent_perplexity: {tau: {0: 100, 1: 900}}}",
)  # fmt: skip


def rows_of(recipe: Recipe, name: str) -> list[dict[str, Any]]:
    lines = (Path(recipe.output_dir) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_baby_says_more_and_is_paid_more_as_it_grows(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(*CHILD)
    BambinoTrainer(args=recipe).train()
    steps = [row for row in rows_of(recipe, "metrics") if row.get("phase") == "ppo"]
    # the ppo steps are the second, fourth, sixth and eighth of eight: 1/8, 3/8, 5/8 and 7/8 are done before them
    assert [row["ppo/tau"] for row in steps] == [200.0, 400.0, 600.0, 800.0]
    # 1 + 3 * (1/8) / 0.75 = 1.5, 2.5, 3.5, and 4 from 0.75 on; nothing ends early but by EOS
    assert all(row["ppo/utterance_tokens"] <= most for row, most in zip(steps, (1, 2, 3, 4), strict=True))
    assert [round(row["ppo/utterance_tokens"]) for row in steps] == [1, 2, 3, 4]
    kinds = [row["ppo/reward"] - row["ppo/feedback/parent_perplexity"] for row in steps]
    assert kinds == pytest.approx([1.0, 3.0, 5.0, 7.0])  # 8 times the share done, times 1


def test_a_run_with_curricula_that_is_resumed_ends_in_the_same_bits(make_recipe: Callable[..., Recipe]) -> None:
    whole, stopped = (make_recipe(*CHILD, output_dir=name) for name in ("whole", "stopped"))
    BambinoTrainer(args=whole).train()

    def stop(row: dict[str, Any]) -> None:
        trainer.stop_requested = row["step"] == 5

    trainer = BambinoTrainer(args=stopped, on_row=stop)
    trainer.train()
    assert trainer.step == 5
    recipe = load_recipe(Path(stopped.output_dir) / "recipe.yaml", kinds=KINDS)
    BambinoTrainer(args=recipe).train(resume_from_checkpoint=True)
    one, other = (Path(recipe.output_dir) for recipe in (whole, stopped))
    for name in ("model/model.safetensors", "utterances.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
