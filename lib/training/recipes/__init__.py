"""How each committed artifact is made: data, model, loss, plan, and what is measured afterwards."""

from collections.abc import Callable
from pathlib import Path

from lib.core.checks import check_choice
from lib.models.trained_models import Model
from lib.training.recipes.base import Recipe
from lib.training.recipes.dual import DUAL_RECIPES, DualRecipe, contrastive
from lib.training.recipes.interaction import INTERACTION_RECIPES, InteractionRecipe

# A model with interaction grows from a dual encoder, so those come first.
RECIPES: dict[str, Recipe] = {**DUAL_RECIPES, **INTERACTION_RECIPES}

__all__ = [
    "DUAL_RECIPES",
    "RECIPES",
    "DualRecipe",
    "InteractionRecipe",
    "Recipe",
    "build",
    "contrastive",
]


def build(
    name: str,
    *,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda step, steps: None,
    folder: Path | None = None,
) -> Model:
    """Trains one artifact, measures it on its test split and writes model, card and arrays.

    A run that was stopped goes on from its last validation: the state lies in `data/cache/` until
    it is done.

    Args:
        name: a key of `RECIPES`.
        log: takes one line per validation.
        progress: takes the step and the number of steps.
        folder: where to write; `data/artifacts/<name>` by default.

    Returns:
        The trained model, its weights rounded as they are stored.
    """
    recipe = RECIPES[check_choice(name, RECIPES, "artifact")]
    return recipe.build(name, log=log, progress=progress, folder=folder)
