"""Every loss with the same data, encoders and budget: how well does what it trained retrieve?"""

import math
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.metrics import ranks_of_relevant
from lib.models.baselines import Heads, gradient_features, hashed_text_features
from lib.models.dual_encoder import build_network, device_of, image_tensor
from lib.models.tokenizer import Tokenizer
from lib.training.batches import PairStream
from lib.training.loop import History, Plan, Stream, Trainer
from lib.training.objectives import OBJECTIVES, Objective, objective
from lib.training.recipes import RECIPES

CORPORA = ("icons", "scenes")
ENCODERS = ("heads", "full")
DIRECTIONS = ("text_to_image", "image_to_text")
COSINES = ("cosine wrong", "cosine images", "cosine texts")
SIDE = 32  # pixels of what the small full encoders see
N_SCENES = 14_000  # training scenes, about as many as there are training icons
N_TEST_SCENES = 1_000
# In thousandths, per encoders and corpus in the order of the losses: of 0.3, 1 and 3 the best on
# the validation splits, at some batch sizes (see `trials.rates`).
_BEST = {
    ("heads", "icons"): {
        16: (1, 1, 1, 1, 1, 3),
        64: (3, 1, 1, 1, 1, 1),
        256: (1, 3, 3, 1, 3, 1),
        512: (1, 1, 1, 1, 3, 1),
    },
    ("heads", "scenes"): {
        16: (3, 3, 1, 1, 1, 1),
        64: (3, 3, 3, 3, 1, 1),
        256: (1, 1, 1, 1, 1, 0.3),
        512: (3, 1, 1, 1, 1, 0.3),
    },
    ("full", "icons"): {64: (3, 3, 3, 3, 3, 1), 256: (1, 3, 3, 3, 3, 0.3)},
    ("full", "scenes"): {64: (1, 1, 1, 1, 0.3, 0.3), 256: (1, 1, 1, 1, 3, 0.3)},
}
RATES = {
    (name, encoders, loss): {size: rates[at] / 1000 for size, rates in by_size.items()}
    for (encoders, name), by_size in _BEST.items()
    for at, loss in enumerate(OBJECTIVES)
}


@dataclass(frozen=True)
class Trial:
    """One training run.

    Args:
        corpus: "icons" or "scenes".
        encoders: "heads" (two layers per modality on hand-made features) or "full" (a small
            residual network and a transformer, from scratch).
        loss: a name of `lib.training.objectives.OBJECTIVES`.
        batch_size: pairs per step.
        seed: of weights, order of the pairs and damage.
        pairs: how many pairs are seen, whatever the batch size: the budget.
        noise, repeats, tell: see `PairStream`.
        rate: peak learning rate, as at a batch of 64; the tuned one by default.
    """

    corpus: str
    encoders: str
    loss: str
    batch_size: int
    seed: int
    pairs: int = 28_000
    noise: float = 0.0
    repeats: float = 0.0
    tell: bool = True
    rate: float | None = None

    @property
    def learning_rate(self) -> float:
        """Peak of the schedule. It grows with the root of the batch size, as is usual with Adam."""
        rate = tuned_rate(self) if self.rate is None else self.rate
        return rate * (self.batch_size / 64) ** 0.5


def tuned_rate(trial: Trial) -> float:
    """The best rate on the validation split for the trial's loss, at the tuned batch size nearest
    to its.
    """
    check_choice(trial.corpus, CORPORA, "corpus")
    check_choice(trial.encoders, ENCODERS, "encoders")
    by_size = RATES[trial.corpus, trial.encoders, check_choice(trial.loss, OBJECTIVES, "loss")]
    return by_size[min(by_size, key=lambda size: abs(math.log(size / trial.batch_size)))]


@dataclass(frozen=True)
class Corpus:
    """Training pairs and a task, as one kind of encoders reads them."""

    images: Tensor
    texts: Tensor
    text_ids: np.ndarray
    task: RetrievalTask
    task_images: Tensor
    task_texts: Tensor
    tokenizer: Tokenizer | None = None


@cache
def corpus(name: str, encoders: str, split: str = "test") -> Corpus:
    """Reads a corpus for a kind of encoders; `split` is what its task is taken from."""
    check_choice(name, CORPORA, "corpus")
    check_choice(encoders, ENCODERS, "encoders")
    if name == "icons":
        every = icons.load_icons()
        positions = every.positions("train")
        images, texts = (
            every.images[positions],
            [icons.phrase_of(every.names[i]) for i in positions],
        )
        task = icons.task(split)
    else:
        images, batch = scenes.training_batch(1, 0, N_SCENES)
        which = np.random.default_rng(1).integers(scenes.N_CAPTIONS, size=N_SCENES)
        texts, task = (
            scenes.caption_choice(batch, which),
            scenes.task(split, n_images=N_TEST_SCENES),
        )
    _, text_ids = np.unique(texts, return_inverse=True)
    if encoders == "heads":
        sides = [
            torch.from_numpy(make(side))
            for make, side in (
                (gradient_features, images),
                (hashed_text_features, texts),
                (gradient_features, task.gallery),
                (hashed_text_features, task.queries),
            )
        ]
        return Corpus(sides[0], sides[1], text_ids, task, sides[2], sides[3])
    tokenizer = RECIPES[name].tokenizer()
    tokens = [torch.from_numpy(tokenizer.encode(list(side))) for side in (texts, task.queries)]
    pixels = [_small(side) for side in (images, task.gallery)]
    return Corpus(pixels[0], tokens[0], text_ids, task, pixels[1], tokens[1], tokenizer)


def _small(images: np.ndarray) -> Tensor:
    channels = 1 if images.ndim == 3 else 3
    chunks = [
        F.interpolate(
            image_tensor(chunk, channels, images.shape[1]), size=(SIDE, SIDE), mode="area"
        )
        for chunk in np.array_split(images, max(1, len(images) // 1024))
    ]
    return torch.cat(chunks).contiguous(memory_format=torch.channels_last)


def _network(pairs: Corpus) -> nn.Module:
    if pairs.tokenizer is None:
        return Heads(pairs.images, pairs.texts.shape[1])
    channels = pairs.images.shape[1]
    pool = {"timm_proj": "linear"} if channels == 1 else {"timm_pool": "abs_attn", "timm_proj": ""}
    tower = "cm_resnet_small_gray" if channels == 1 else "cm_resnet_small_rgb"
    network = build_network(
        {
            "embed_dim": 128,
            "vision": {"timm_model_name": tower, "image_size": SIDE, **pool},
            "text": {"width": 96, "heads": 4, "layers": 1},
            "tokenizer": pairs.tokenizer.to_dict(),
        }
    )
    network.logit_bias = nn.Parameter(torch.tensor(0.0))
    return network


def train(
    trial: Trial,
    *,
    split: str = "validation",
    points: int = 1,
    target: Objective | None = None,
    stream: Stream | None = None,
) -> tuple[nn.Module, History]:
    """Trains one network and looks at it `points` times on the way, the last time at the end.

    Args:
        trial: what to train.
        split: where the looks are taken; they choose nothing, the last weights are kept.
        points: number of looks, evenly spaced.
        target: an objective of your own instead of the trial's loss.
        stream: batches of your own instead of the trial's; then its noise, repeats and tell are not
            read.

    Returns:
        The network, and what was logged: losses every ten steps, hit rates (percent) at every look.
    """
    pairs, target = corpus(trial.corpus, trial.encoders, split), target or objective(trial.loss)
    torch.manual_seed(trial.seed)
    network = _network(pairs)
    target.prepare(network, trial.batch_size)
    stream = stream or PairStream(
        pairs.images, pairs.texts, pairs.text_ids, trial.batch_size, trial.seed,
        noise=trial.noise, repeats=trial.repeats, tell=trial.tell,
    )  # fmt: skip
    steps = max(1, trial.pairs // trial.batch_size)
    plan = Plan(
        steps, trial.learning_rate, warmup=steps // 10, weight_decay=0.1, average=0.0,
        validate_every=max(1, steps // points), seed=trial.seed,
    )  # fmt: skip
    look = None if points == 1 else lambda network: hit_rates(ranks(network, pairs))
    trainer = Trainer(network, stream, target, plan, validate=look)
    return trainer.run(), trainer.history


def ranks(network: nn.Module, pairs: Corpus) -> dict[str, np.ndarray]:
    """`{direction: (n_queries,) rank of the first right item of the task, ties against it}`."""
    texts, images = encoded(network, pairs.task_images, pairs.task_texts)
    judged = pairs.task.qrels.at_least(pairs.task.hit_grade)
    sides = {"text_to_image": (texts, images, judged), "image_to_text": (images, texts, judged.T)}
    return {
        direction: ranks_of_relevant(*side, which="first").first_rank()
        for direction, side in sides.items()
    }


def run(trial: Trial, split: str = "test") -> dict[str, np.ndarray]:
    """Trains one network and returns its `ranks` and `closeness` on a split."""
    network, _ = train(trial, split=split)
    pairs = corpus(trial.corpus, trial.encoders, split)
    return ranks(network, pairs) | closeness(network, pairs)


def closeness(network: nn.Module, pairs: Corpus) -> dict[str, np.ndarray]:
    """Measures collapse: mean cosines of a text with its wrong images, of two images, and of two
    texts.

    A space that uses the whole sphere has all three near 0; in a collapsed one they are near 1.
    Wrong pairs alone could miss a collapse to one point per modality, hence the other two.
    """
    task = pairs.task
    sides = encoded(network, pairs.task_images, pairs.task_texts)
    texts, images = (side.astype(np.float64) for side in sides)
    judged = task.qrels.at_least(task.hit_grade)
    right = (texts[judged.query_index] * images[judged.items]).sum()
    found = {
        "wrong": (texts.sum(0) @ images.sum(0) - right)
        / (len(texts) * len(images) - judged.items.size)
    }
    for name, side in (("images", images), ("texts", texts)):
        found[name] = ((side.sum(0) ** 2).sum() - len(side)) / (len(side) * (len(side) - 1))
    return {f"cosine {name}": np.array(value) for name, value in found.items()}


@torch.inference_mode()
def encoded(network: nn.Module, images: Tensor, texts: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Unit texts and images of a trained network."""
    network.eval()
    sides = []
    for encode, inputs in ((network.encode_text, texts), (network.encode_image, images)):
        chunks = inputs.to(device_of(network)).split(512)
        sides.append(
            torch.cat([F.normalize(encode(chunk), dim=1) for chunk in chunks]).cpu().numpy()
        )
    return sides[0], sides[1]


def hit_rates(ranks: dict[str, np.ndarray]) -> dict[str, float]:
    """R@1 and R@10 of each direction, in percent."""
    return {
        f"R@{k} {direction}": 100 * float(np.mean(first <= k))
        for direction, first in ranks.items()
        if direction in DIRECTIONS
        for k in (1, 10)
    }


def row(trial: Trial, found: dict[str, np.ndarray]) -> dict:
    """A trial, its hit rates in percent and its mean cosines, from what `run` found."""
    cosines = {name: float(value) for name, value in found.items() if name in COSINES}
    return {**asdict(trial), "rate": trial.learning_rate, **hit_rates(found), **cosines}
