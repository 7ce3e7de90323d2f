"""`bambino recipes`: the recipes that come with bambino, to run by name or to begin a recipe of one's own from."""

from __future__ import annotations

from argparse import Namespace

from bambino.cli.console import DONE, Command, Parser, say
from bambino.errors import RecipeError
from bambino.recipe.file import shipped
from bambino.recipe.names import nearest

EXAMPLES = """examples:
  bambino recipes
  bambino recipes paper > mine.yaml
  bambino train mine.yaml"""


def _read(words: list[str]) -> Namespace:
    about = "List the recipes that are shipped, or print one, to begin a recipe of your own from."
    parser = Parser("bambino recipes", about, EXAMPLES)
    parser.add_argument("name", nargs="?", metavar="NAME", help="the recipe to print (default: list all)")
    return parser.parse_args(words)


def _run(given: Namespace) -> int:
    recipes = shipped()
    if given.name is None:
        for name, text in recipes.items():
            say(f"{name:<{max(map(len, recipes))}}  {text.splitlines()[0].removeprefix('# ')}")
    elif given.name in recipes:
        say(recipes[given.name], end="")
    else:
        near = nearest(given.name, list(recipes))
        hint = f"Did you mean {near}?" if near else f"There are {', '.join(recipes)}."
        raise RecipeError("", f"No recipe {given.name} is shipped. {hint}")
    return DONE


RECIPES = Command("recipes", "list the recipes that are shipped, or print one", _read, _run)
