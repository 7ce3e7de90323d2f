"""Recipes in and out, and what a wrong one is told."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bambino import load_recipe
from bambino.errors import RecipeError
from bambino.feedback.settings import KINDS, ParentPerplexityConfig
from bambino.recipe import file
from bambino.recipe.checks import AtLeastOne
from bambino.recipe.file import dump_recipe, setting_names, shipped
from bambino.recipe.model_settings import BabyConfig
from bambino.recipe.phase_settings import CLMConfig, PPOConfig
from bambino.recipe.settings import EvaluationConfig, FeedbackConfig, Recipe, ScheduleConfig
from bambino.recipe.text_settings import TextConfig


@dataclasses.dataclass(frozen=True)
class EchoConfig(FeedbackConfig):
    """A kind of feedback of one's own."""

    ngram: AtLeastOne = 3

    def make(self, parent: Any) -> Any:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeedsConfig(EchoConfig):
    """A kind with a setting that must be given."""

    path: str


WITHOUT_SEED: dict[str, Any] = {"seed": None}
PPO_AS_A_DICT: dict[str, Any] = {"ppo": {"epochs": 1}}
OWN = {"echo": EchoConfig}


def load(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path, list(overrides))


def refusal(tmp_path: Path, text: str, *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text, *overrides)
    return caught.value


# ---------------------------------------------------------------------------------------------------------- loading


def test_a_recipes_settings_replace_defaults_and_the_rest_stays(tmp_path: Path) -> None:
    recipe = load(tmp_path, "max_steps: 600\nppo:\n  epochs: 2\n  kl_coef: 0.1\n")
    assert recipe == Recipe(max_steps=600, ppo=PPOConfig(epochs=2, kl_coef=0.1))


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_recipe_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Recipe()


def test_no_recipe_is_the_defaults() -> None:
    assert load_recipe() == Recipe()


def test_overrides_win_over_the_recipe(tmp_path: Path) -> None:
    recipe = load(tmp_path, "seed: 1\nppo:\n  epochs: 2\n  lam: 0.5\n", "--ppo.epochs", "3", "--seed=4")
    assert recipe == Recipe(seed=4, ppo=PPOConfig(epochs=3, lam=0.5))


def test_of_two_overrides_the_last_wins() -> None:
    assert load_recipe(None, ["--seed", "1", "--seed", "2"]).seed == 2


def test_lists_and_mappings_are_written_as_yaml_on_the_command_line() -> None:
    recipe = load_recipe(None, ["--text.sources", "[a.txt, b]", "--evaluation.texts", "{it: [a.txt], en: [c, d]}"])
    assert recipe.text.sources == ["a.txt", "b"]
    assert recipe.evaluation.texts == {"it": ["a.txt"], "en": ["c", "d"]}


def test_numbers_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    recipe = load(tmp_path, "clm:\n  learning_rate: 1e-3\nppo:\n  kl_coef: 1\n")
    assert (recipe.clm.learning_rate, recipe.ppo.kl_coef) == (0.001, 1.0)


def test_null_means_off_in_a_file_and_on_the_command_line(tmp_path: Path) -> None:
    assert load(tmp_path, "text:\n  heldout_every: null\n").text.heldout_every is None
    assert load_recipe(None, ["--text.heldout_every", "null"]).text.heldout_every is None


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_opens_by_its_name_and_says_something_of_its_own(name: str) -> None:
    assert load_recipe(name) != Recipe()


def test_recipes_are_shipped() -> None:
    assert list(shipped()) == [
        "best",
        "best-legal",
        "clm-tuned",
        "paper",
        "paper-tuned",
        "pretrain-small",
        "real-small",
    ]


def test_a_name_wins_over_a_file_of_that_name_and_a_path_opens_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paper").write_text("seed: 5\n")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("paper").seed == 347
    assert load_recipe("./paper").seed == 5


def test_an_error_in_a_shipped_recipe_names_recipe_and_line() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("paper", ["--batch_size", "3"])
    assert caught.value.key == "ppo.minibatch_size"
    line = shipped()["paper"].splitlines().index("  minibatch_size: 32             # release") + 1
    assert caught.value.where == f"paper.yaml of bambino, line {line}"


def test_the_papers_recipe_has_the_papers_numbers() -> None:
    recipe = load_recipe("paper")
    assert (recipe.schedule.cycle, recipe.batch_size) == ({"clm": 10, "ppo": 2}, 32)
    paper = recipe.feedback["parent_perplexity"]
    assert isinstance(paper, ParentPerplexityConfig)
    assert (paper.alpha, paper.beta, paper.tau, paper.for_) == (5.0, 0.001, 150.0, "ppo")
    assert (recipe.rollout.prompt_tokens, recipe.rollout.max_new_tokens, recipe.rollout.temperature) == (8, 16, 1.0)
    assert (recipe.clm.learning_rate, recipe.ppo.learning_rate) == (1.41e-5, 1.41e-5)


# --------------------------------------------------------------------------------------------------------- and back

UNUSUAL = Recipe(
    output_dir="runs/città: #1",
    max_steps=0,
    baby=BabyConfig("a/b", "1e3"),
    text=TextConfig(sources=["a.txt", "null"], weights=[0.5, 2.0], heldout_every=None, mode="packed"),
    schedule=ScheduleConfig({"clm": 2, "ppo": 3}, True, {"clm": 4}),
    clm=CLMConfig(learning_rate=1e-5, max_grad_norm=1.0),
    feedback={name: make() for name, make in KINDS.items()}
    | {"parent_perplexity": ParentPerplexityConfig(for_="clm", tau=None, beta_times_tau=3.0)}
    | {"missing_eos": KINDS["missing_eos"](weight=2.0)},
    evaluation=EvaluationConfig(texts={"it": ["a"], "no": ["b", "c"]}, pairs={"1": "p.jsonl"}),
)


@pytest.mark.parametrize("recipe", [Recipe(), UNUSUAL], ids=["defaults", "unusual"])
def test_a_dumped_recipe_loads_as_the_same_recipe(tmp_path: Path, recipe: Recipe) -> None:
    assert load(tmp_path, dump_recipe(recipe)) == recipe


def test_a_dumped_recipe_writes_every_setting_out() -> None:
    content = yaml.safe_load(dump_recipe(UNUSUAL))
    mappings = {"schedule.cycle", "schedule.warmup", "evaluation.texts", "evaluation.pairs"}

    def names(value: object, key: str) -> list[str]:
        inner = value.items() if isinstance(value, dict) and key not in mappings else []
        return [key, *(name for k, item in inner for name in names(item, f"{key}.{k}" if key else k))]

    assert sorted(names(content, "")[1:]) == sorted(setting_names(KINDS))
    assert content["feedback"]["parent_perplexity"]["for"] == "clm"


texts = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=9)


@settings(max_examples=25)  # 0.05 s each
@given(texts, texts, st.floats(1e-12, 1e6))
@example("1e3", "-1.5e-3", 1e-5)
@example("null", "2024-01-01", 1e22)
@example("yes", " # no", 1.0)
def test_any_name_and_number_survives_dumping(output_dir: str, source: str, rate: float) -> None:
    recipe = Recipe(
        output_dir=output_dir,
        text=TextConfig(sources=[source]),
        clm=CLMConfig(learning_rate=rate),
        evaluation=EvaluationConfig(pairs={source: output_dir}),
    )
    with tempfile.TemporaryDirectory() as folder:
        assert load(Path(folder), dump_recipe(recipe)) == recipe


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "key", "line", "hint"),
    [
        ("ppo:\n  kl_cef: 0.1\n", "ppo.kl_cef", 2, "Did you mean ppo.kl_coef?"),
        ("max_steps: 5\n\n# a comment\nbatchsize: 3\n", "batchsize", 4, "Did you mean batch_size?"),
        ("kl_coef: 0.1\n", "kl_coef", 1, "Did you mean ppo.kl_coef?"),
        ("clm:\n  epochs: 2\n", "clm.epochs", 2, "Did you mean ppo.epochs?"),
        ("zzzqqq: 3\n", "zzzqqq", 1, "`bambino train --help` lists all settings."),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_spelling(
    tmp_path: Path, text: str, key: str, line: int, hint: str
) -> None:
    error = refusal(tmp_path, text)
    assert error.key == key
    assert str(error) == f"There is no setting {key}. {hint}\n             ({tmp_path}/mine.yaml, line {line})"


@pytest.mark.parametrize(
    ("text", "key", "line", "wanted"),
    [
        ("seed: 1\nppo:\n  epochs: many\n", "ppo.epochs", 3, "int"),
        ("ppo:\n  epochs: 1.5\n", "ppo.epochs", 2, "int"),
        ("ppo:\n  epochs: true\n", "ppo.epochs", 2, "int"),
        ("ppo:\n  epochs: '3'\n", "ppo.epochs", 2, "int"),
        ("clm:\n  learning_rate: true\n", "clm.learning_rate", 2, "float"),
        ("schedule:\n  cycle: {clm: many}\n", "schedule.cycle", 2, "{clm: 10, ppo: 2}"),
        ("text:\n  sources: [[a.txt]]\n", "text.sources", 2, "a list of str"),
        ("clm:\n  learning_rate: fast\n", "clm.learning_rate", 2, "float"),
        ("ppo:\n  adaptive_kl: 1\n", "ppo.adaptive_kl", 2, "bool"),
        ("text:\n  mode: linez\n", "text.mode", 2, "'lines', 'packed'"),
        ("text:\n  sources: a.txt\n", "text.sources", 2, "list"),
        ("evaluation:\n  texts: [a.txt]\n", "evaluation.texts", 2, "mapping"),
        ("output_dir: [a]\n", "output_dir", 1, "str"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_line_and_what_it_should_be(
    tmp_path: Path, text: str, key: str, line: int, wanted: str
) -> None:
    error = refusal(tmp_path, text)
    assert error.key == key
    assert str(error).startswith(f"{key}: expected ")
    assert wanted in error.problem
    assert error.where == f"{tmp_path}/mine.yaml, line {line}"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (
            "batch_size: 32\nppo:\n  minibatch_size: 5\n",
            "ppo.minibatch_size = 5 does not divide batch_size = 32. Use one of 1, 2, 4, 8, 16, 32.",
            3,
        ),
        (
            "batch_size: 6\ngradient_accumulation_steps: 4\n",
            "gradient_accumulation_steps = 4 does not divide batch_size = 6. Use one of 1, 2, 3, 6.",
            2,
        ),
        (
            "batch_size: 8\ngradient_accumulation_steps: 8\nppo:\n  minibatch_size: 2\n",
            "gradient_accumulation_steps = 8 does not divide ppo.minibatch_size = 2. Use one of 1, 2.",
            2,
        ),
        ("max_steps: -1\n", "max_steps = -1 is too small. Use 0 or more.", 1),
        ("batch_size: 0\n", "batch_size = 0 is too small. Use 1 or more.", 1),
        ("save_steps: 0\n", "save_steps = 0 is too small. Use 1 or more.", 1),
        ("logging_steps: 0\n", "logging_steps = 0 is too small. Use 1 or more.", 1),
        ("text:\n  max_length: 1\n", "text.max_length = 1 is too small. Use 2 or more.", 2),
        ("text:\n  heldout_every: 1\n", "text.heldout_every = 1 is too small. Use 2 or more.", 2),
        ("text:\n  min_chars: -1\n", "text.min_chars = -1 is too small. Use 0 or more.", 2),
        ("text:\n  max_words: 0\n", "text.max_words = 0 is too small. Use 1 or more.", 2),
        (
            "text:\n  sources: [a, b]\n  weights: [1.0]\n",
            "text.weights = [1.0] has 1 numbers for 2 sources. Give one per source.",
            3,
        ),
        ("text:\n  sources: [a]\n  weights: [0]\n", "text.weights[0] = 0 must be above 0.", 3),
        ("schedule:\n  cycle: {clm: 0}\n", "schedule.cycle.clm = 0 is too small. Use 1 or more.", 2),
        ("schedule:\n  warmup: {clm: -1}\n", "schedule.warmup.clm = -1 is too small. Use 0 or more.", 2),
        (
            "schedule:\n  cycle: {}\n",
            "schedule.cycle = {} names no phase. Give steps, such as {clm: 10, ppo: 2}.",
            2,
        ),
        ("clm:\n  learning_rate: 0\n", "clm.learning_rate = 0 must be above 0.", 2),
        ("clm:\n  learning_rate: .nan\n", "clm.learning_rate = nan is not finite. Give a number.", 2),
        ("rollout:\n  temperature: .inf\n", "rollout.temperature = inf is not finite. Give a number.", 2),
        ("text:\n  sources: [a]\n  weights: [.inf]\n", "text.weights[0] = inf is not finite. Give a number.", 3),
        ("clm:\n  weight_decay: -1\n", "clm.weight_decay = -1 is too small. Use 0 or more.", 2),
        ("clm:\n  adam_beta1: 1\n", "clm.adam_beta1 = 1 is too large. Use less than 1.", 2),
        ("ppo:\n  adam_beta2: 1.5\n", "ppo.adam_beta2 = 1.5 is too large. Use less than 1.", 2),
        ("ppo:\n  adam_epsilon: -1\n", "ppo.adam_epsilon = -1 must be above 0.", 2),
        ("ppo:\n  max_grad_norm: 0\n", "ppo.max_grad_norm = 0 must be above 0.", 2),
        ("ppo:\n  warmup_updates: -1\n", "ppo.warmup_updates = -1 is too small. Use 0 or more.", 2),
        ("ppo:\n  ratio_threshold: 1\n", "ppo.ratio_threshold = 1 must be above 1.", 2),
        ("ppo:\n  epochs: 0\n", "ppo.epochs = 0 is too small. Use 1 or more.", 2),
        ("ppo:\n  gamma: 1.1\n", "ppo.gamma = 1.1 is too large. Use 1 or less.", 2),
        ("ppo:\n  kl_coef: -0.1\n", "ppo.kl_coef = -0.1 is too small. Use 0 or more.", 2),
        ("rollout:\n  top_p: 2\n", "rollout.top_p = 2 is too large. Use 1 or less.", 2),
        ("rollout:\n  top_k: 0\n", "rollout.top_k = 0 is too small. Use 1 or more.", 2),
        ("rollout:\n  temperature: 0\n", "rollout.temperature = 0 must be above 0.", 2),
        (
            "feedback:\n  parent_perplexity:\n    tau: 0\n",
            "feedback.parent_perplexity.tau = 0 must be above 0.",
            3,
        ),
        ("evaluation:\n  eval_steps: 0\n", "evaluation.eval_steps = 0 is too small. Use 1 or more.", 2),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_key_value_way_out_and_line(
    tmp_path: Path, text: str, message: str, line: int
) -> None:
    assert str(refusal(tmp_path, text)) == f"{message}\n             ({tmp_path}/mine.yaml, line {line})"


@pytest.mark.parametrize("setting", ["ppo.epochs", "seed", "text.sources", "evaluation.texts", "ppo.adaptive_kl"])
def test_null_is_refused_for_a_setting_that_cannot_be_off(tmp_path: Path, setting: str) -> None:
    *section, name = setting.split(".")
    text = f"{section[0]}:\n  {name}: null\n" if section else f"\n{name}: null\n"
    error = refusal(tmp_path, text)
    assert error.problem == f"{setting} cannot be null. Leave it out to keep its default."
    assert error.where.endswith("mine.yaml, line 2")


def test_loading_one_recipe_leaves_nothing_behind_for_the_next() -> None:
    load_recipe(None, ["--text.sources=[a.txt]", "--schedule.cycle", "{clm: 1}", "--seed", "5"])
    assert load_recipe() == Recipe()


@pytest.mark.parametrize("value", ["3", "", "null", "[1]", "text"])
def test_a_section_given_a_scalar_is_refused(tmp_path: Path, value: str) -> None:
    error = refusal(tmp_path, f"seed: 1\nppo: {value}\n")
    assert error.problem == "ppo is a section. Write its settings below it, indented."
    assert error.where.endswith("mine.yaml, line 2")


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("seed: 1\nmax_steps: 2\nseed: 2\n", "seed", 3),
        ("ppo:\n  epochs: 1\n  epochs: 1\n", "ppo.epochs", 3),
        ("ppo:\n  epochs: 1\nseed: 1\nppo:\n  lam: 1\n", "ppo", 4),
        ("ppo:\n  epochs: 1\nppo.epochs: 2\n", "ppo.epochs", 3),
    ],
)
def test_a_key_given_twice_is_refused_at_its_second_line(tmp_path: Path, text: str, key: str, line: int) -> None:
    error = refusal(tmp_path, text)
    assert error.problem == f"{key} is given twice. Keep one."
    assert error.where.endswith(f"mine.yaml, line {line}")


def test_what_is_not_yaml_is_refused_with_the_place(tmp_path: Path) -> None:
    message = str(refusal(tmp_path, "seed: 1\ntext: [a\n"))
    assert "mine.yaml is not YAML" in message
    assert "line 2, column 7" in message


@pytest.mark.parametrize("text", ["- seed\n", "seed\n", "3\n"])
def test_yaml_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "holds no settings. A recipe is a mapping such as `max_steps: 600`." in str(refusal(tmp_path, text))


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    # Were it run, the folder would be there.
    refusal(tmp_path, f"output_dir: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    assert not (tmp_path / "made").exists()


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"There is no recipe at .*nowhere\.yaml\. Give the path of a YAML file"):
        load_recipe(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", ["papr", "recipes/paper.yaml"])
def test_a_name_that_is_none_is_answered_with_the_names_there_are(name: str) -> None:
    with pytest.raises(
        RecipeError,
        match=rf"Did you mean paper\? .*shipped: {', '.join(shipped())}\.$",
    ):
        load_recipe(name)


def test_a_folder_or_a_binary_file_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "weights.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "weights.yaml"):
        with pytest.raises(RecipeError, match=f"The recipe {path} cannot be read"):
            load_recipe(path)


# ---------------------------------------------------------------------------------------- errors on the command line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["--ppo.epochs", "0"], "ppo.epochs = 0 is too small. Use 1 or more."),
        (["--ppo.epochs=0"], "ppo.epochs = 0 is too small. Use 1 or more."),
        (["--ppo.epochs", "x"], "ppo.epochs: expected an int. Got value: x"),
    ],
)
def test_an_error_of_the_command_line_claims_no_line_of_the_file(
    tmp_path: Path, override: list[str], message: str
) -> None:
    error = refusal(tmp_path, "ppo:\n  epochs: 3\n", *override)
    assert (str(error), error.where) == (message, "")


def test_an_override_may_put_the_files_value_in_the_wrong(tmp_path: Path) -> None:
    error = refusal(tmp_path, "batch_size: 8\nppo:\n  minibatch_size: 4\n", "--batch_size", "6")
    assert str(error).startswith("ppo.minibatch_size = 4 does not divide batch_size = 6.")
    assert error.where.endswith("mine.yaml, line 3")


@pytest.mark.parametrize("word", ["--ppo.epoch", "--ppo.epoch=2", "--ppo.ep"])
def test_an_unknown_or_shortened_override_is_refused_with_the_nearest_spelling(word: str) -> None:
    overrides = [word] if "=" in word else [word, "2"]
    with pytest.raises(RecipeError, match=r"There is no setting ppo\.ep\w*\. Did you mean ppo\.epochs\?$"):
        load_recipe(None, overrides)


@pytest.mark.parametrize("overrides", [["ppo.epochs", "2"], ["--seed=1", "2"]])
def test_a_word_that_belongs_to_no_setting_is_refused_with_an_example(overrides: list[str]) -> None:
    with pytest.raises(RecipeError, match=r"is no setting\. Overrides look like --ppo\.kl_coef 0\.1"):
        load_recipe(None, overrides)


def test_a_setting_without_its_value_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"--ppo\.kl_coef: expected one argument"):
        load_recipe(None, ["--ppo.kl_coef"])


# --------------------------------------------------------------------------------------------------------- feedback


def test_a_recipe_names_all_kinds_of_feedback_there_are(tmp_path: Path) -> None:
    assert load_recipe().feedback == {}
    text = "feedback:\n  parent_perplexity: {tau: null, for: clm}\n"
    assert load(tmp_path, text).feedback == {"parent_perplexity": ParentPerplexityConfig(for_="clm", tau=None)}


def test_an_override_sets_one_setting_of_one_kind_and_adds_the_kind_where_it_is_not_there(tmp_path: Path) -> None:
    text = "feedback:\n  parent_perplexity: {tau: null, alpha: 2}\n"
    one = load(tmp_path, text, "--feedback.parent_perplexity.alpha", "3").feedback
    assert one == {"parent_perplexity": ParentPerplexityConfig(tau=None, alpha=3.0)}
    assert load_recipe(None, ["--feedback.parent_perplexity.tau=null"]).feedback == {
        "parent_perplexity": ParentPerplexityConfig(tau=None)
    }


def test_feedback_or_a_kind_given_whole_replaces_what_was_there(tmp_path: Path) -> None:
    text = "feedback:\n  parent_perplexity: {tau: null, alpha: 2}\n"
    for override in (["--feedback", "{parent_perplexity: {beta: 1}}"], ["--feedback.parent_perplexity", "{beta: 1}"]):
        assert load(tmp_path, text, *override).feedback == {"parent_perplexity": ParentPerplexityConfig(beta=1.0)}
    assert load(tmp_path, text, "--feedback", "{}", "--schedule.cycle", "{clm: 1}").feedback == {}


def test_null_takes_a_kind_out_and_a_later_word_puts_it_back(tmp_path: Path) -> None:
    text = "feedback:\n  parent_perplexity: {tau: null}\n"
    out = ["--feedback.parent_perplexity", "null"]
    assert load(tmp_path, text, *out, "--schedule.cycle", "{clm: 1}").feedback == {}
    back = load(tmp_path, text, *out, "--feedback.parent_perplexity.alpha", "1").feedback
    assert back == {"parent_perplexity": ParentPerplexityConfig(alpha=1.0)}  # tau is the default again


def test_kinds_of_ones_own_are_read_checked_and_dumped_as_the_others(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("feedback:\n  echo: {weight: 0.5}\n  parent_perplexity: {}\n")
    recipe = load_recipe(path, ["--feedback.echo.ngram", "2"], kinds=OWN)
    assert recipe.feedback["echo"] == EchoConfig(weight=0.5, ngram=2)
    assert list(recipe.feedback) == ["echo", "parent_perplexity"]
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path, kinds=OWN) == recipe


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (
            "feedback:\n  ehco: {}\n",
            "There is no setting feedback.ehco. Did you mean feedback.echo?",
            2,
        ),
        (
            "feedback:\n  echo:\n    n_gram: 2\n",
            "There is no setting feedback.echo.n_gram. Did you mean feedback.echo.ngram?",
            3,
        ),
        ("feedback:\n  echo: {ngram: 0}\n", "feedback.echo.ngram = 0 is too small. Use 1 or more.", 2),
        ("feedback:\n  echo: {ngram: x}\n", "feedback.echo.ngram: expected an int. Got value: x", 2),
        (
            "feedback:\n  echo: {for: pp}\n",
            "feedback.echo.for names a phase pp, which there is not. Did you mean ppo?",
            2,
        ),
        (
            "feedback:\n  echo:\n",
            "feedback.echo is a section. Write its settings below it, indented.",
            2,
        ),
    ],
)
def test_wrong_kinds_and_wrong_settings_of_kinds_are_refused(
    tmp_path: Path, text: str, message: str, line: int
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, kinds=OWN)
    assert (caught.value.problem, caught.value.where) == (message, f"{path}, line {line}")


def test_a_setting_of_a_kind_that_has_no_default_must_be_given(tmp_path: Path) -> None:
    kinds = {"needs": NeedsConfig}
    path = tmp_path / "own.yaml"
    path.write_text("feedback:\n  needs: {}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, kinds=kinds)
    assert caught.value.problem == "feedback.needs.path is not given, and it has no default."
    assert caught.value.where == f"{path}, line 2"
    assert load_recipe(path, ["--feedback.needs.path", "x"], kinds=kinds).feedback["needs"].to_dict()["path"] == "x"


def test_a_kind_that_makes_no_feedback_is_refused() -> None:
    silent: Any = FeedbackConfig
    with pytest.raises(RecipeError, match=r"feedback.none: FeedbackConfig has no make\(self, parent\)."):
        load_recipe(kinds={"none": silent})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ppo.kl_coef", "1_"], "ppo.kl_coef: expected a float. Got value: 1_"),
        (["--batch_size", "1__0"], "batch_size: expected an int. Got value: 1__0"),
        (["--schedule.cycle", "{[a]: 1}"], "schedule.cycle has a name that is a list or a mapping."),
    ],
)
def test_what_is_almost_a_number_or_a_mapping_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(None, words)
    assert caught.value.problem.startswith(message)


def test_a_run_of_kinds_and_phases_that_are_not_here_can_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("baby: {model: a}\nfeedback: {strange: {x: 1}}\nschedule: {cycle: {dream: 1}}\n")
    recipe = file.load_recipe(path)
    assert (recipe.baby.model, recipe.feedback, recipe.schedule.cycle) == ("a", {}, {"dream": 1})


# ----------------------------------------------------------------------------------------------------------- phases


def test_overriding_the_cycle_replaces_it_whole(tmp_path: Path) -> None:
    text = "schedule:\n  cycle: {clm: 10, ppo: 2}\n  warmup: {clm: 3}\n"
    recipe = load(tmp_path, text, "--schedule.cycle", "{clm: 1}")
    assert recipe.schedule == ScheduleConfig({"clm": 1}, False, {"clm": 3})
    with pytest.raises(RecipeError, match=r"schedule\.cycle is one setting\. Give it whole: --schedule\.cycle"):
        load_recipe(None, ["--schedule.cycle.clm", "1"])


@pytest.mark.parametrize("name", ["cycle", "warmup"])
def test_a_phase_that_is_none_is_refused_with_the_nearest_name(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, f"seed: 1\nschedule:\n  {name}: {{clm: 1, pppo: 2}}\n")
    message = f"schedule.{name} names a phase pppo, which there is not. Did you mean ppo?"
    assert (error.problem, error.where) == (message, f"{tmp_path}/mine.yaml, line 3")
    assert "Phases are clm, ppo, " in refusal(tmp_path, f"schedule: {{{name}: {{dreaming: 1}}}}\n").problem


def test_phases_of_ones_own_may_be_named_when_they_are_handed_in() -> None:
    recipe = load_recipe(None, ["--schedule.cycle", "{clm: 1, dreaming: 2}"], phases=["dreaming"])
    assert recipe.schedule.phases == ["clm", "dreaming"]


# --------------------------------------------------------------------------------------------- settings that moved


@pytest.mark.parametrize(
    ("text", "key", "line", "place"),
    [
        ("schedule:\n  kind: clm\n", "schedule.kind", 2, "schedule.cycle: {clm: 1}"),
        ("schedule:\n  clm_steps: 10\n", "schedule.clm_steps", 2, "schedule.cycle: {clm: 10, ppo: 2}"),
        ("schedule:\n  ppo_steps: 2\n", "schedule.ppo_steps", 2, "schedule.cycle: {clm: 10, ppo: 2}"),
        ("schedule:\n  warmup_clm_steps: 2\n", "schedule.warmup_clm_steps", 2, "schedule.warmup: {clm: 300}"),
        ("reward:\n  tau: null\n", "reward.tau", 2, "feedback.parent_perplexity.tau"),
        ("reward:\n  tau_quantile: 0.5\n", "reward.tau_quantile", 2, "is the median"),
        ("reward: 3\n", "reward", 1, "feedback.parent_perplexity"),
        ("ppo:\n  missing_eos_penalty: 1\n", "ppo.missing_eos_penalty", 2, "feedback.missing_eos.weight"),
        ("clm:\n  label_smoothing: 0.1\n", "clm.label_smoothing", 2, "Leave it out."),
    ],
)
def test_a_setting_of_an_earlier_version_is_told_its_new_place(
    tmp_path: Path, text: str, key: str, line: int, place: str
) -> None:
    error = refusal(tmp_path, text)
    assert (error.key, error.where) == (key, f"{tmp_path}/mine.yaml, line {line}")
    assert error.problem.startswith(f"There is no setting {key}. ")
    assert place in error.problem
    with pytest.raises(RecipeError, match=error.problem.split(". ")[0]):
        load_recipe(None, [f"--{key}", "1"])


# --------------------------------------------------------------------------------------------------- from Python


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PPOConfig(epochs=0), "ppo.epochs = 0 is too small. Use 1 or more."),
        (lambda: PPOConfig(epochs=True), "ppo.epochs: expected an int. Got value: True"),
        (lambda: CLMConfig(learning_rate=float("nan")), "clm.learning_rate = nan is not finite. Give a number."),
        (lambda: Recipe(**WITHOUT_SEED), "seed cannot be null. Leave it out to keep its default."),
        (lambda: Recipe(**PPO_AS_A_DICT), "ppo: expected a PPOConfig. Got value: {'epochs': 1}"),
        (lambda: dataclasses.replace(Recipe(), batch_size=-1), "batch_size = -1 is too small. Use 1 or more."),
        (
            lambda: ParentPerplexityConfig(tau=0.0),
            "feedback.parent_perplexity.tau = 0.0 must be above 0.",
        ),
    ],
)
def test_settings_made_in_python_are_checked_as_those_of_a_file(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make()
    assert str(caught.value) == message


def test_an_int_for_a_float_becomes_one() -> None:
    assert isinstance(PPOConfig(kl_coef=1).kl_coef, float)
