"""Train encoders: batches, objectives, one loop, and the recipes of the committed models."""

from lib.training.batches import Batch, IconStream, PairStream, SceneStream
from lib.training.loop import History, Plan, Trainer
from lib.training.objectives import OBJECTIVES, Objective, objective
from lib.training.recipes import INTERACTION_RECIPES, RECIPES, train_model

__all__ = [
    "INTERACTION_RECIPES",
    "OBJECTIVES",
    "RECIPES",
    "Batch",
    "History",
    "IconStream",
    "Objective",
    "PairStream",
    "Plan",
    "SceneStream",
    "Trainer",
    "objective",
    "train_model",
]
