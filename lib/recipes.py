"""How each committed artifact is made: data, model, loss, plan, and what is measured afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.checks import check_choice
from lib.datasets import icons, scenes
from lib.files import artifacts_dir, cache_dir
from lib.geometry import to_int8
from lib.losses import decorrelation_loss, infonce_loss, matryoshka_loss
from lib.models.artifacts import save_embeddings, save_model
from lib.models.dual_encoder import DualEncoder, build_network, text_features
from lib.models.tokenizer import Tokenizer
from lib.retrieval import encode_task, evaluate_task
from lib.streams import Batch, IconStream, SceneStream
from lib.task import RetrievalTask
from lib.training import Plan, Trainer

DIMS = (16, 32, 64, 128, 256)
# The short prefixes are the hardest to train; at equal weights they cost the full embedding much recall.
WEIGHTS = (0.1, 0.1, 0.2, 0.4, 1.0)


def contrastive(network: nn.Module, batch: Batch, decorrelation: float = 0.0) -> Tensor:
    """CLIP's two-way InfoNCE, every right pair a positive, Matryoshka sizes weighted by `WEIGHTS`.

    `decorrelation` weighs a penalty on coordinates that repeat each other, in both modalities. On icons the
    space otherwise stays at some nine effective dimensions of 256 and learns several times more slowly.
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


def _validation(config: dict, task: RetrievalTask) -> Callable[[nn.Module], dict]:
    def validate(network: nn.Module) -> dict:
        report = evaluate_task(*encode_task(DualEncoder(config, network), task), task)
        found = {name: report.mean(name) for name in ("R@1", "R@10")}
        # Both ends of the list count; R@1 alone is noisy on some 700 queries.
        return {**found, "score": found["R@1"] + found["R@10"]}

    return validate


@dataclass(frozen=True)
class Recipe:
    """Everything that makes one artifact.

    Args:
        data, loss: for the model card.
        batch_size: pairs per step.
        decorrelation: weight of the penalty on repeated coordinates, see `contrastive`.
        plan: see `lib.training.Plan`.
        config: tokenizer -> config of the `DualEncoder`.
        tokenizer: () -> Tokenizer.
        stream: (tokenizer, recipe) -> training batches.
        task: (split, direction) -> RetrievalTask.
        export: encoder -> named int8 arrays to store beside the model; `test_text` and `test_image` at least.
    """

    data: str
    loss: str
    batch_size: int
    decorrelation: float
    plan: Plan
    config: Callable[[Tokenizer], dict]
    tokenizer: Callable[[], Tokenizer]
    stream: Callable[[Tokenizer, Recipe], object]
    task: Callable[..., RetrievalTask]
    export: Callable[[DualEncoder], dict]


LOSS = f"two-way InfoNCE, learnt temperature, several positives, Matryoshka {DIMS} weighted {WEIGHTS}"


def _icons_tokenizer() -> Tokenizer:
    corpus = icons.load()
    return Tokenizer.train([icons.phrase_of(corpus.names[i]) for i in corpus.positions("train")], 6000, 16)


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
    corpus, task = icons.load(), icons.task("test")
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
        # Attention pooling knows where on the 4 x 4 map it looks; an average forgets what is left of what.
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


RECIPES = {
    "icons": Recipe(
        data="icons, train split",
        loss=LOSS,
        batch_size=128,
        decorrelation=0.03,
        plan=Plan(steps=4440, learning_rate=2e-3, weight_decay=0.3, max_scale=50.0, validate_every=222),
        config=_icons_config,
        tokenizer=_icons_tokenizer,
        stream=lambda tokenizer, recipe: IconStream(
            icons.load(), tokenizer, recipe.batch_size, recipe.plan.steps, recipe.plan.seed
        ),
        task=icons.task,
        export=_icons_export,
    ),
    "scenes": Recipe(
        data="scenes, endless train stream, one of five captions at random",
        loss=LOSS,
        batch_size=256,
        decorrelation=0.0,
        plan=Plan(steps=1000, learning_rate=2e-3, weight_decay=0.1, average=0.995, validate_every=100),
        config=_scenes_config,
        tokenizer=_scenes_tokenizer,
        stream=lambda tokenizer, recipe: SceneStream(tokenizer, recipe.batch_size, recipe.plan.seed),
        task=scenes.task,
        export=_scenes_export,
    ),
}


def build(
    name: str,
    *,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda step, steps: None,
    folder: Path | None = None,
) -> DualEncoder:
    """Trains one artifact, measures it on its test split and writes model, card and embeddings.

    A run that was stopped goes on from its last validation: the state lies in `data/cache/` until it is done.

    Args:
        name: a key of `RECIPES`.
        log: takes one line per validation.
        progress: takes the step and the number of steps.
        folder: where to write; `data/artifacts/<name>` by default.

    Returns:
        The trained encoder.
    """
    recipe = RECIPES[check_choice(name, RECIPES, "artifact")]
    started = time.monotonic()
    tokenizer = recipe.tokenizer()
    config = recipe.config(tokenizer)
    torch.manual_seed(recipe.plan.seed)
    checkpoint = cache_dir() / f"train-{name}.pt"
    identity = {
        "data": recipe.data,
        "loss": recipe.loss,
        "batch_size": recipe.batch_size,
        "decorrelation": recipe.decorrelation,
    }
    trainer = Trainer(
        build_network(config),
        recipe.stream(tokenizer, recipe),
        partial(contrastive, decorrelation=recipe.decorrelation),
        recipe.plan,
        validate=_validation(config, recipe.task("validation", "text_to_image")),
        checkpoint=checkpoint,
        identity=identity,
        log=log,
    )
    encoder = DualEncoder(config, trainer.run(lambda step: progress(step, recipe.plan.steps)))
    folder = folder or artifacts_dir() / name
    arrays = recipe.export(encoder)
    rows = []
    for direction, sides in (("text_to_image", ("text", "image")), ("image_to_text", ("image", "text"))):
        task = recipe.task("test", direction)
        rows += evaluate_task(arrays[f"test_{sides[0]}"], arrays[f"test_{sides[1]}"], task).rows()
    card = {
        **identity,
        "plan": asdict(recipe.plan),
        "kept_step": trainer.best_step,
        "minutes_last_run": round((time.monotonic() - started) / 60, 1),
        "torch": torch.__version__.split("+")[0],
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in encoder.network.parameters()),
        "history": asdict(trainer.history),
        "metrics": rows,
    }
    save_model(encoder, folder, card)
    save_embeddings(name, folder, **arrays)
    for leftover in cache_dir().glob(checkpoint.name + "*"):
        leftover.unlink()
    return encoder
