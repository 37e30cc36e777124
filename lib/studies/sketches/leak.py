"""The usual mistake, measured: training and test split by drawing instead of by concept.

Features of the frozen picture tower are taken once, in front of its last layer. Two heads are then
trained in seconds from the same start and with the same settings: one on the drawings of the
training concepts, one on the drawings of the test concepts too, each deformed otherwise than in the
test. Both are measured on the same test sketches.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.task import RetrievalTask
from lib.datasets import sketches
from lib.metrics.geometry import to_int8
from lib.models.dual_encoder import DualEncoder, image_tensor
from lib.models.trained_models import load_model
from lib.search import evaluate_task
from lib.training.sketch_recipe import load_answers

VARIANTS, FIRST_VARIANT = 6, 100  # deformations of each training drawing; the test has variant 0
STEPS, BATCH, RATE, SCALE = 400, 256, 1e-3, 30.0
SPLITS_BY = ("concept", "drawing")


@dataclass(frozen=True)
class LeakSet:
    """Sketches, deformed several times, as features of the frozen tower.

    Args:
        features: (n, 896).
        rows: int64 (n,), the answer of each among `shown`.
        shown: int (n_shown,), places of emoji.
    """

    features: Tensor
    rows: Tensor
    shown: np.ndarray


@torch.inference_mode()
def tower_features(encoder: DualEncoder, images: np.ndarray) -> Tensor:
    """Compute what the last layer of an image tower reads, (n, 896)."""
    chunks = [images[start : start + 256] for start in range(0, len(images), 256)]
    trunk = encoder.network.visual.trunk
    return torch.cat([trunk(image_tensor(chunk, 3, 64)) for chunk in chunks]).clone()


def make_training_set(encoder: DualEncoder, split_by: str) -> LeakSet:
    """Deform the training drawings several times and take their features."""
    places = sketches.training_places(split_by)
    shown = np.union1d(sketches.emoji_places("train"), places)
    features = []
    for variant in range(FIRST_VARIANT, FIRST_VARIANT + VARIANTS):
        drawn = sketches.draw_sketches(sketches.sketch_strokes(places, variant=variant))
        features.append(tower_features(encoder, drawn))
    rows = torch.from_numpy(np.tile(np.searchsorted(shown, places), VARIANTS))
    return LeakSet(torch.cat(features), rows, shown)


def train_head(start: nn.Linear, training: LeakSet, vectors: Tensor, steps: int = STEPS) -> Tensor:
    """Train a head (dim, 896) by InfoNCE with the frozen vectors of colour pictures."""
    weight = start.weight.detach().clone().requires_grad_()
    optimizer = torch.optim.AdamW([weight], lr=RATE, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(len(training.rows), (BATCH,), generator=generator)
        sketch = F.normalize(training.features[chosen] @ weight.T, dim=1)
        loss = F.cross_entropy(SCALE * sketch @ vectors.T, training.rows[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weight.detach()


def leak_rows(log: Callable[[str], None] = print) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Measure the head before training, after honest training, and after the leak.

    Returns:
        Rows, and `leak|<training>|rank`, the rank of the answer for every query.
    """
    encoder = load_model("pictures")
    task: RetrievalTask = sketches.task("test", gallery="all")
    tested = tower_features(encoder, task.queries)
    gallery = encoder.encode_image(task.gallery)
    heads = {"none": encoder.network.visual.head.proj.weight.detach()}
    for split_by in SPLITS_BY:
        training = make_training_set(encoder, split_by)
        vectors = load_answers(encoder, training.shown).emoji
        heads[split_by] = train_head(encoder.network.visual.head.proj, training, vectors)
        log(f"head trained, split by {split_by}")
    rows, arrays = [], {}
    for name, head in heads.items():
        queries = F.normalize(tested @ head.T, dim=1).numpy()
        report = evaluate_task(
            to_int8(queries), to_int8(gallery), task, depth=len(gallery), ks=(1, 10)
        )
        arrays[f"leak|{name}|rank"] = report.first_ranks.astype(np.int16)
        for row in report.rows(["R@1", "R@10"]):
            kept = ("metric", "value", "low", "high", "n_queries", "n_gallery")
            rows.append({"split by": name} | {key: row[key] for key in kept})
    return rows, arrays
