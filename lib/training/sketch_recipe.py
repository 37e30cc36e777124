"""Recipe of `sketches`: a tower that brings sketches to the frozen vectors of `pictures`."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.datasets import emoji, pictures, sketches
from lib.index.exact import topk_exact
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import load_embeddings
from lib.models.dual_encoder import DualEncoder
from lib.models.sketch_tower import KIND, SketchEncoder, SketchNetwork, retrained_names
from lib.models.trained_models import load_model
from lib.search import evaluate_run
from lib.training.recipe import Recipe
from lib.training.sketch_batches import SketchBatch, SketchStream

NAME, SHARED = "sketches", "pictures"
SCALE = 30.0  # 1 / temperature
WORDS, ICONS, BENT = 0.3, 0.3, 0.5  # weights of the losses beside that of the picture
VALIDATION_VARIANTS = 3  # sketches of each drawing: 80 drawings are few
METRICS = ("R@1", "R@10", "MAP")


@dataclass(frozen=True)
class Answers:
    """Frozen unit vectors of what training sketches shall find, and which of them are right.

    Args:
        emoji: (n_emoji, dim), colour pictures, in the order of `SketchStream.shown`.
        names: (n_emoji, dim), their English names.
        icons: (n_icons, dim), icons of the training split.
        emoji_groups, icon_groups: concept group of each.
    """

    emoji: Tensor
    names: Tensor
    icons: Tensor
    emoji_groups: Tensor
    icon_groups: Tensor


def load_answers(encoder: DualEncoder, shown: np.ndarray) -> Answers:
    """Take the vectors of pictures and icons from the shared artifact, and encode the names."""
    corpus, groups = pictures.load_pictures(), sketches.emoji_groups()
    vectors = torch.from_numpy(load_embeddings(SHARED)["all_image"]).float()
    vectors = F.normalize(vectors, dim=1)
    coloured = corpus.positions(sources=["emoji"])[shown]
    icons = corpus.positions("train", ["icons"])
    names = emoji.load_emoji().names["en"]
    texts = encoder.encode_text([names[place].lower() for place in shown.tolist()])
    return Answers(
        vectors[coloured],
        torch.from_numpy(texts),
        vectors[icons],
        torch.from_numpy(groups[shown]),
        torch.from_numpy(corpus.groups[icons]),
    )


@dataclass(frozen=True)
class SketchObjective:
    """InfoNCE of sketches with frozen answers; see `__call__`."""

    answers: Answers

    def __call__(self, network: SketchNetwork, batch: SketchBatch) -> Tensor:
        """Compute the loss of a batch.

            loss = L_picture + 0.3 L_name + 0.3 L_icons + 0.5 L_bent

        Each is -log of the softmax share of what is right, with temperature 1 / 30: of the colour
        picture among all pictures and icons but those of its concept, of the name among names, of
        all icons of the concept among icons (where there are any), and for a bent icon of the icon
        itself among icons and pictures but those of its concept.
        """
        right, n = self.answers, len(batch.places)
        vectors = SCALE * F.normalize(network.encode_sketch(batch.images).float(), dim=1)
        drawn, bent = vectors[:n], vectors[n:]
        to_emoji, to_icons = drawn @ right.emoji.T, drawn @ right.icons.T
        alike = right.emoji_groups[batch.places][:, None] == right.icon_groups
        others = to_icons.masked_fill(alike, -torch.inf)
        loss = F.cross_entropy(torch.cat([to_emoji, others], dim=1), batch.places)
        loss = loss + WORDS * F.cross_entropy(drawn @ right.names.T, batch.places)
        has = alike.any(dim=1)
        chosen = to_icons[has].masked_fill(~alike[has], -torch.inf).logsumexp(dim=1)
        loss = loss + ICONS * (to_icons[has].logsumexp(dim=1) - chosen).sum() / n
        if len(bent):
            groups = torch.cat([right.icon_groups, right.emoji_groups])
            hidden = right.icon_groups[batch.icons][:, None] == groups
            hidden[torch.arange(len(bent)), batch.icons] = False
            to_all = bent @ torch.cat([right.icons, right.emoji]).T
            loss = loss + BENT * F.cross_entropy(
                to_all.masked_fill(hidden, -torch.inf), batch.icons
            )
        return loss


@dataclass(frozen=True, kw_only=True)
class SketchRecipe(Recipe):
    """Recipe of the sketch tower: which drawings it is trained on, and how many at a time.

    Args:
        split_by: `"concept"`; `"drawing"` leaks the test drawings, see
            `lib.datasets.sketches.training_places`.
        n_icons: bent icons in a batch; the others are line drawings.
    """

    split_by: str = "concept"
    n_icons: int = 64
    bits: int = 8

    @property
    def identity(self) -> dict[str, object]:
        return {**super().identity, "split_by": self.split_by, "bent icons": self.n_icons}

    def start(self) -> tuple[SketchEncoder, SketchStream]:
        source = load_model(SHARED)
        config = {
            **source.config,
            "name": NAME,
            "kind": KIND,
            "shared": SHARED,
            "retrained": retrained_names(source.network.visual),
        }
        encoder = SketchEncoder(config)
        encoder.network.start_from(source.network)
        stream = SketchStream(
            self.batch_size - self.n_icons,
            self.n_icons,
            self.plan.seed,
            places=sketches.training_places(self.split_by),
        )
        return encoder, stream

    def objective(self) -> Callable[[nn.Module, SketchBatch], Tensor]:
        shown = np.union1d(sketches.emoji_places("train"), sketches.training_places(self.split_by))
        return SketchObjective(load_answers(load_model(SHARED), shown))

    def validation(self) -> Callable[[SketchEncoder], dict[str, float]]:
        places = sketches.query_places("validation", "sketch_to_picture")
        variants = range(1, VALIDATION_VARIANTS + 1)
        drawn = [sketches.sketch_strokes(places, variant=variant) for variant in variants]
        images = np.concatenate([sketches.draw_sketches(strokes) for strokes in drawn])
        task = sketches.task("validation", gallery="all")
        rows = np.tile(np.arange(len(places)), VALIDATION_VARIANTS)
        task = replace(task.take_queries(rows), queries=images)
        gallery = _emoji_vectors()

        def validate(encoder: SketchEncoder) -> dict[str, float]:
            run = topk_exact(to_int8(encoder.encode_sketch(images)), gallery, 100, metric="cosine")
            report = evaluate_run(run, task, metrics=("R@1", "R@10"))
            results = {name: report.mean(name) for name in ("R@1", "R@10")}
            return {**results, "score": sum(results.values())}

        return validate

    def measure(self, encoder: SketchEncoder) -> tuple[list[dict], dict]:
        rows = []
        vectors = load_embeddings(SHARED)["all_image"]
        corpus = pictures.load_pictures()
        for direction, gallery in (
            ("sketch_to_picture", "split"),
            ("sketch_to_picture", "all"),
            ("sketch_to_icon", "split"),
        ):
            task = sketches.task("test", direction, gallery=gallery)
            source = "icons" if direction == "sketch_to_icon" else "emoji"
            positions = corpus.positions("test" if gallery == "split" else None, [source])
            queries = to_int8(encoder.encode_sketch(task.queries))
            run = topk_exact(queries, vectors[positions], len(positions), metric="cosine")
            report = evaluate_run(run, task, metrics=METRICS)
            rows += [{"corpus": task.name, **row} for row in report.rows()]
        return rows, {}


def _emoji_vectors() -> np.ndarray:
    """Stored int8 vectors of all emoji in colour."""
    positions = pictures.load_pictures().positions(sources=["emoji"])
    return load_embeddings(SHARED)["all_image"][positions]
