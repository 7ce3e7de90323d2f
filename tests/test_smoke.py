from bambino import BambinoTrainer


def test_a_tiny_run_ends_and_leaves_a_model(make_recipe):
    recipe = make_recipe()
    BambinoTrainer(args=recipe).train()
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(f"{recipe.output_dir}/model")
