"""Recipes of the committed models, and the door to train them again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, pictures, scenes
from lib.metrics.geometry import to_int8
from lib.models.dual_encoder import DualEncoder
from lib.models.published_tokenizer import PublishedTokenizer
from lib.models.published_weights import WEIGHTS, published_tower
from lib.models.text_tower import TextStates, frozen_states
from lib.models.tokenizer import Tokenizer
from lib.models.trained_models import Model
from lib.search import encode_task
from lib.training.batches import IconStream, PairStream, SceneStream
from lib.training.hum_recipe import HumRecipe
from lib.training.loop import Plan, Stream
from lib.training.objectives import MATRYOSHKA_DIMS, MATRYOSHKA_WEIGHTS
from lib.training.picture_batches import PictureStream
from lib.training.picture_recipe import PictureRecipe, picture_embeddings
from lib.training.recipe import DualRecipe, InteractionRecipe, Recipe
from lib.training.sketch_recipe import SketchRecipe

TEXT_TOWER = "sentence-transformers/all-MiniLM-L6-v2"
# Of an image tower for drawings, whose training split is small.
DRAWINGS = {"timm_proj": "linear", "timm_drop": 0.1, "timm_drop_path": 0.05}
MATRYOSHKA_LOSS = (
    "two-way InfoNCE, learnt temperature, several positives, Matryoshka"
    f" {MATRYOSHKA_DIMS} weighted {MATRYOSHKA_WEIGHTS}"
)


def train_model(
    name: str,
    *,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda step, steps: None,
    folder: Path | None = None,
    device: str = "cpu",
) -> Model:
    """Train one committed model again, measure it on its test split, and write it with its card.

    A stopped run continues from its last validation, stored in `data/cache/`.

    Args:
        name: a key of `RECIPES`.
        log: called with one line per validation.
        progress: called with the step and the number of steps.
        folder: where to write; `data/artifacts/<name>` by default.
        device: where to train, such as `"cuda"`. Measurements are made on the CPU.

    Returns:
        The trained model, its weights rounded as they are stored.
    """
    recipe = RECIPES[check_choice(name, RECIPES, "artifact")]
    return recipe.build(name, log=log, progress=progress, folder=folder, device=device)


# ---- dual encoders


@cache
def _icons_tokenizer() -> Tokenizer:
    corpus = icons.load_icons()
    names = [icons.phrase_of(corpus.names[i]) for i in corpus.positions("train")]
    return Tokenizer.train(names, 6000, 16)


def _scenes_tokenizer() -> Tokenizer:
    # The world has 77 words. Given twice, every word is merged to the end: one token each.
    return Tokenizer.train(scenes.words() * 2, 10_000, 24)


def _config(name: str, channels: int, size: int, vision: dict, text: dict) -> Callable:
    def config(tokenizer: Tokenizer) -> dict:
        return {
            "name": name,
            "embed_dim": 256,
            "channels": channels,
            "image_size": size,
            "dims": list(MATRYOSHKA_DIMS),
            "vision": {**vision, "image_size": size},
            "text": text,
            "tokenizer": tokenizer.to_dict(),
        }

    return config


def _pictures_config(tokenizer: PublishedTokenizer) -> dict:
    make = _config(
        "pictures",
        channels=3,
        size=pictures.SIZE,
        vision={"timm_model_name": "cm_resnet_on_white", **DRAWINGS},
        text={
            "hf_model_name": TEXT_TOWER,
            "sha256": published_tower(TEXT_TOWER).sha256[WEIGHTS],
            "width": 256,
            "heads": 4,
            "layers": 2,
            "dropout": 0.1,
        },
    )
    return make(tokenizer)


def _picture_states(tokenizer: PublishedTokenizer) -> Callable[[Sequence[str]], TextStates]:
    return lambda texts: frozen_states(TEXT_TOWER, tokenizer.encode(texts, cut=True))


def _pictures_stream(tokenizer: PublishedTokenizer, recipe: DualRecipe) -> PictureStream:
    return PictureStream(
        pictures.load_training_pictures(),
        recipe.states(tokenizer),
        recipe.batch_size,
        recipe.plan.steps,
        recipe.plan.seed,
    )


def _icons_export(encoder: DualEncoder) -> dict:
    corpus, task = icons.load_icons(), icons.task("test")
    images = to_int8(encoder.encode_image(corpus.images))
    return {
        "all_image": images,
        "test_image": images[corpus.positions("test")],
        "test_text": to_int8(encoder.encode_text(task.queries)),
    }


def _scenes_export(encoder: DualEncoder) -> dict:
    text, image = encode_task(encoder, scenes.task("test"))
    return {"test_text": text, "test_image": image}


DUAL_RECIPES = {
    "icons": DualRecipe(
        data="icons, train split",
        loss=MATRYOSHKA_LOSS,
        batch_size=128,
        bits=8,  # 5 MB instead of 10, at the same R@1 within two queries in a thousand
        decorrelation=0.03,
        plan=Plan(4440, 2e-3, weight_decay=0.3, max_scale=50.0, validate_every=222),
        tokenizer=_icons_tokenizer,
        config=_config(
            "icons",
            channels=1,
            size=icons.SIZE,
            vision={"timm_model_name": "cm_resnet_gray", **DRAWINGS},
            text={"width": 192, "heads": 4, "layers": 2},
        ),
        stream=lambda tokenizer, recipe: IconStream(
            icons.load_icons(), tokenizer, recipe.batch_size, recipe.plan.steps, recipe.plan.seed
        ),
        task=icons.task,
        export=_icons_export,
    ),
    "scenes": DualRecipe(
        data="scenes, endless train stream, one of five captions at random",
        loss=MATRYOSHKA_LOSS,
        batch_size=256,
        decorrelation=0.0,
        plan=Plan(1000, 2e-3, weight_decay=0.1, average=0.995, validate_every=100),
        tokenizer=_scenes_tokenizer,
        config=_config(
            "scenes",
            channels=3,
            size=scenes.SIZE,
            # Attention pooling knows its position on the 4 x 4 map; an average loses left and
            # right.
            vision={"timm_model_name": "cm_resnet_rgb", "timm_pool": "abs_attn", "timm_proj": ""},
            text={"width": 128, "heads": 4, "layers": 3},
        ),
        stream=lambda tokenizer, recipe: SceneStream(
            tokenizer, recipe.batch_size, recipe.plan.seed
        ),
        task=scenes.task,
        export=_scenes_export,
    ),
    "pictures": PictureRecipe(
        data="pictures, train split: icons, emoji in colour and as lines, with further captions,"
        " and drawings of nine further icon families",
        loss=MATRYOSHKA_LOSS,
        batch_size=256,
        bits=8,
        decorrelation=0.03,
        plan=Plan(4800, 2e-3, weight_decay=0.3, max_scale=50.0, validate_every=480, seed=1),
        tokenizer=lambda: PublishedTokenizer(TEXT_TOWER, 32),
        config=_pictures_config,
        stream=_pictures_stream,
        states=_picture_states,
        tuning=Plan(400, 3e-4, warmup=50, weight_decay=0.1, average=0.99, seed=1),
        task=partial(pictures.task, source="icons"),
        export=picture_embeddings,
    ),
}


# ---- models with interaction


def _scene_tasks(split: str, n_validation: int = 100) -> list[RetrievalTask]:
    """Make the tasks: the hard split decides, the usual one is reported beside it."""
    n = n_validation if split == "validation" else scenes.N_HARD
    return [scenes.hard_task(split, n_scenes=n), scenes.task(split, n_images=2 * n)]


def _scene_stream(model: Model, recipe: InteractionRecipe) -> Stream:
    # Not the seed of the dual encoder's stream: these scenes are new to its towers too.
    tokenizer = Tokenizer.from_dict(model.config["tokenizer"])
    return SceneStream(tokenizer, recipe.batch_size, recipe.plan.seed + 1, twins=True)


def _icon_features(model: Model, recipe: InteractionRecipe) -> Stream:
    """Make pairs of features of the training icons; fit the scale of a fresh model to them."""
    corpus = icons.load_icons()
    positions = corpus.positions("train")
    names = [icons.phrase_of(corpus.names[i]) for i in positions]
    images = model.network.images_in(corpus.images[positions])
    if "shared" not in model.config:
        model.network.fit_scale(images)
    _, same_name = np.unique(names, return_inverse=True)
    texts = torch.from_numpy(model.network.texts_in(names))
    return PairStream(images, texts, same_name, recipe.batch_size, recipe.plan.seed)


FILIP_LOSS = "two-way InfoNCE of both FILIP scores, learnt temperature, several positives"
MATCHING_LOSS = "binary cross-entropy, two wrong pairs for each right one, hard by"
SCENES = {
    "data": "scenes, endless train stream, half of each batch twins of the other half",
    "base": "scenes",
    "batch_size": 128,
    "stream": _scene_stream,
    "tasks": _scene_tasks,
}
SCENE_PATCHES = {
    "maps": 1, "patches": 16, "image_width": 192, "width": 128, "heads": 4, "dropout": 0.0
}  # fmt: skip
SCENE_PLAN = Plan(800, 1e-3, weight_decay=0.1, average=0.99, validate_every=100)
ICONS = {
    "data": "icons, train split, hand-made features of drawings and names",
    "base": "icons",
    "batch_size": 256,
    "stream": _icon_features,
    "tasks": lambda split: [icons.task(split)],
}
ICON_FEATURES = {"reads": "features", "features": 64 * 9, "hashed": 4096, "patches": 8, "dim": 128}
ICON_PLAN = Plan(2200, 2e-3, weight_decay=0.3, average=0.99, validate_every=220)

INTERACTION_RECIPES = {
    recipe.name: recipe
    for recipe in (
        InteractionRecipe(
            name="scenes_late",
            kind="late_interaction",
            loss=FILIP_LOSS,
            plan=SCENE_PLAN,
            interaction={**SCENE_PATCHES, "layers": 1, "dim": 64},
            **SCENES,
        ),
        InteractionRecipe(
            name="scenes_twins",
            kind="dual_encoder",
            loss=MATRYOSHKA_LOSS,
            plan=SCENE_PLAN,
            interaction={},
            **SCENES,
        ),
        InteractionRecipe(
            name="icons_late",
            kind="late_interaction",
            loss=FILIP_LOSS,
            plan=ICON_PLAN,
            interaction={**ICON_FEATURES, "width": 256, "dropout": 0.3},
            **ICONS,
        ),
        InteractionRecipe(
            name="icons_cross",
            kind="cross_encoder",
            # Not trained further: with 14,000 pairs it would overfit.
            towers="icons_late",
            loss=f"{MATCHING_LOSS} late interaction",
            plan=replace(ICON_PLAN, steps=800, learning_rate=1e-3, validate_every=200),
            interaction={
                **ICON_FEATURES,
                "hidden": 256,
                "dropout": 0.1,
                "width": 128,
                "heads": 4,
                "layers": 2,
            },
            **ICONS,
        ),
        InteractionRecipe(
            name="scenes_cross",
            kind="cross_encoder",
            # The states of the dual encoder's own towers do not encode left and right: training
            # from them is several times slower.
            towers="scenes_late",
            loss=f"{MATCHING_LOSS} the dual encoder",
            plan=replace(SCENE_PLAN, steps=1200, validate_every=200),
            interaction={**SCENE_PATCHES, "layers": 2},
            depth=20,
            **{**SCENES, "tasks": partial(_scene_tasks, n_validation=50)},
        ),
    )
}

SKETCH_RECIPE = SketchRecipe(
    data=(
        "sketches, train split: line drawings of emoji by the measured hand, new in each batch, and"
        " icons, bent, half of them as outlines"
    ),
    loss="InfoNCE with frozen pictures, names and icons of `pictures`, temperature 1 / 30",
    batch_size=160,
    plan=Plan(
        steps=700, learning_rate=8e-4, warmup=30, weight_decay=0.05, average=0.99,
        validate_every=100, seed=1,
    ),
)  # fmt: skip

HUM_RECIPE = HumRecipe(
    data=(
        "tunes, train split, free collections alone: hums of 3.2, 4.8, 7.2 and 10.8 seconds in"
        " turn, with the singing errors of none to 1.3 times those of level hard, new in each batch"
    ),
    loss="two-way InfoNCE of hums and windows of other families, learnt temperature",
    batch_size=256,
    plan=Plan(
        steps=1200, learning_rate=2e-3, warmup=60, weight_decay=0.05, average=0.99,
        max_scale=50.0, validate_every=400,
    ),
)  # fmt: skip

# A model with interaction, and the tower of sketches, start from a dual encoder, which comes first.
RECIPES: dict[str, Recipe] = {
    **DUAL_RECIPES,
    **INTERACTION_RECIPES,
    "sketches": SKETCH_RECIPE,
    "hums": HUM_RECIPE,
}
