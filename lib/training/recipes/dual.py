"""The dual encoders: how each is trained from fresh weights, and what is measured afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.losses import decorrelation_loss, infonce_loss, matryoshka_loss
from lib.metrics.geometry import to_int8
from lib.models.dual_encoder import DualEncoder, text_features
from lib.models.tokenizer import Tokenizer
from lib.search import encode_task, evaluate_task
from lib.training.batches import Batch, IconStream, SceneStream
from lib.training.loop import Plan, Stream
from lib.training.recipes.base import Objective, Recipe

DIMS = (16, 32, 64, 128, 256)
# The short prefixes are the hardest to train; at equal weights they cost the full embedding much
# recall.
WEIGHTS = (0.1, 0.1, 0.2, 0.4, 1.0)


def contrastive(network: nn.Module, batch: Batch, decorrelation: float = 0.0) -> Tensor:
    """CLIP's two-way InfoNCE, every right pair a positive, Matryoshka sizes weighted by `WEIGHTS`.

    `decorrelation` weighs a penalty on coordinates that repeat each other, in both modalities. On
    icons the space otherwise stays at some nine effective dimensions of 256 and learns several
    times more slowly.
    """
    images = network.encode_image(batch.images).float()
    texts = text_features(network, batch.tokens).float()
    loss = matryoshka_loss(
        infonce_loss, images, texts, DIMS,
        weights=[weight / sum(WEIGHTS) for weight in WEIGHTS],
        temperature=1 / network.logit_scale.exp(),
        direction="both",
        positives=batch.positives,
    )  # fmt: skip
    if decorrelation:
        loss = loss + decorrelation * (decorrelation_loss(images) + decorrelation_loss(texts))
    return loss


@dataclass(frozen=True, kw_only=True)
class DualRecipe(Recipe):
    """A dual encoder from fresh weights.

    Args:
        decorrelation: weight of the penalty on repeated coordinates, see `contrastive`.
        config: tokenizer -> config of the `DualEncoder`.
        tokenizer: () -> Tokenizer.
        stream: (tokenizer, recipe) -> training batches.
        task: (split, direction) -> RetrievalTask.
        export: encoder -> named int8 arrays to store beside the model; `test_text` and `test_image`
            at least.
    """

    decorrelation: float
    config: Callable[[Tokenizer], dict]
    tokenizer: Callable[[], Tokenizer]
    stream: Callable[[Tokenizer, DualRecipe], Stream]
    task: Callable[..., RetrievalTask]
    export: Callable[[DualEncoder], dict]

    @property
    def identity(self) -> dict[str, object]:
        return {**super().identity, "decorrelation": self.decorrelation}

    def start(self) -> tuple[DualEncoder, Stream]:
        tokenizer = self.tokenizer()
        return DualEncoder(self.config(tokenizer)), self.stream(tokenizer, self)

    def objective(self) -> Objective:
        return partial(contrastive, decorrelation=self.decorrelation)

    def validation(self) -> Callable[[DualEncoder], dict[str, float]]:
        task = self.task("validation", "text_to_image")

        def validate(encoder: DualEncoder) -> dict[str, float]:
            report = evaluate_task(*encode_task(encoder, task), task)
            found = {name: report.mean(name) for name in ("R@1", "R@10")}
            # Both ends of the list count; R@1 alone is noisy on some 700 queries.
            return {**found, "score": found["R@1"] + found["R@10"]}

        return validate

    def measure(self, encoder: DualEncoder) -> tuple[list[dict], dict]:
        arrays, rows = self.export(encoder), []
        for direction, sides in (
            ("text_to_image", ("text", "image")),
            ("image_to_text", ("image", "text")),
        ):
            task = self.task("test", direction)
            rows += evaluate_task(
                arrays[f"test_{sides[0]}"], arrays[f"test_{sides[1]}"], task
            ).rows()
        return rows, arrays


LOSS = (
    f"two-way InfoNCE, learnt temperature, several positives, Matryoshka {DIMS} weighted {WEIGHTS}"
)


def _icons_tokenizer() -> Tokenizer:
    corpus = icons.load_icons()
    return Tokenizer.train(
        [icons.phrase_of(corpus.names[i]) for i in corpus.positions("train")], 6000, 16
    )


def _icons_config(tokenizer: Tokenizer) -> dict:
    return {
        "name": "icons",
        "embed_dim": 256,
        "channels": 1,
        "image_size": icons.SIZE,
        "dims": list(DIMS),
        "vision": {
            "timm_model_name": "cm_resnet_gray",
            "image_size": icons.SIZE,
            "timm_proj": "linear",
            "timm_drop": 0.1,
            "timm_drop_path": 0.05,
        },
        "text": {"width": 192, "heads": 4, "layers": 2},
        "tokenizer": tokenizer.to_dict(),
    }


def _icons_export(encoder: DualEncoder) -> dict:
    corpus, task = icons.load_icons(), icons.task("test")
    every = to_int8(encoder.encode_image(corpus.images))
    return {
        "all_image": every,
        "test_image": every[corpus.positions("test")],
        "test_text": to_int8(encoder.encode_text(task.queries)),
    }


def _scenes_tokenizer() -> Tokenizer:
    # The world has 77 words. Given twice, every word is merged to the end: one token each.
    return Tokenizer.train(scenes.words() * 2, 10_000, 24)


def _scenes_config(tokenizer: Tokenizer) -> dict:
    return {
        "name": "scenes",
        "embed_dim": 256,
        "channels": 3,
        "image_size": scenes.SIZE,
        "dims": list(DIMS),
        # Attention pooling knows where on the 4 x 4 map it looks; an average forgets what is left
        # of what.
        "vision": {
            "timm_model_name": "cm_resnet_rgb",
            "image_size": scenes.SIZE,
            "timm_pool": "abs_attn",
            "timm_proj": "",
        },
        "text": {"width": 128, "heads": 4, "layers": 3},
        "tokenizer": tokenizer.to_dict(),
    }


def _scenes_export(encoder: DualEncoder) -> dict:
    text, image = encode_task(encoder, scenes.task("test"))
    return {"test_text": text, "test_image": image}


DUAL_RECIPES = {
    "icons": DualRecipe(
        data="icons, train split",
        loss=LOSS,
        batch_size=128,
        bits=8,  # 5 MB instead of 10, at the same R@1 within two queries in a thousand
        decorrelation=0.03,
        plan=Plan(
            steps=4440, learning_rate=2e-3, weight_decay=0.3, max_scale=50.0, validate_every=222
        ),
        config=_icons_config,
        tokenizer=_icons_tokenizer,
        stream=lambda tokenizer, recipe: IconStream(
            icons.load_icons(), tokenizer, recipe.batch_size, recipe.plan.steps, recipe.plan.seed
        ),
        task=icons.task,
        export=_icons_export,
    ),
    "scenes": DualRecipe(
        data="scenes, endless train stream, one of five captions at random",
        loss=LOSS,
        batch_size=256,
        decorrelation=0.0,
        plan=Plan(
            steps=1000, learning_rate=2e-3, weight_decay=0.1, average=0.995, validate_every=100
        ),
        config=_scenes_config,
        tokenizer=_scenes_tokenizer,
        stream=lambda tokenizer, recipe: SceneStream(
            tokenizer, recipe.batch_size, recipe.plan.seed
        ),
        task=scenes.task,
        export=_scenes_export,
    ),
}
