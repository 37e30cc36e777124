"""Train one loss for a fixed budget of pairs and rank the test split with the result."""

import math
from collections.abc import Sequence
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
from lib.models.baselines import Heads, hashed_text_features
from lib.models.dual_encoder import build_network, device_of, image_tensor
from lib.models.gradients import gradient_features
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
# Tuned peak learning rates in thousandths, one for each loss in the order of OBJECTIVES: the best
# of 0.3, 1 and 3 on the validation splits (see `trial_grid.tune_rates`).
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
    """Describe one training run."""

    corpus: str  # one of `CORPORA`
    # "heads": two layers per modality on hand-made features; "full": a small residual network and
    # a transformer, from scratch.
    encoders: str
    loss: str  # one of `lib.training.objectives.OBJECTIVES`
    batch_size: int
    seed: int  # of weights, order of the pairs and damage
    pairs: int = 28_000  # budget: pairs that are seen, whatever the batch size
    noise: float = 0.0  # damage, as in `PairStream`
    repeats: float = 0.0
    tell: bool = True
    rate: float | None = None  # peak learning rate at a batch of 64; the tuned one by default

    @property
    def learning_rate(self) -> float:
        """Return the peak of the schedule: the rate times sqrt(B / 64), as usual with Adam."""
        rate = tuned_rate(self) if self.rate is None else self.rate
        return rate * (self.batch_size / 64) ** 0.5


def tuned_rate(trial: Trial) -> float:
    """Look up the tuned rate of the trial's loss at the nearest tuned batch size."""
    check_choice(trial.corpus, CORPORA, "corpus")
    check_choice(trial.encoders, ENCODERS, "encoders")
    by_size = RATES[trial.corpus, trial.encoders, check_choice(trial.loss, OBJECTIVES, "loss")]
    return by_size[min(by_size, key=lambda size: abs(math.log(size / trial.batch_size)))]


@dataclass(frozen=True)
class TrainingPairs:
    """Hold training pairs and a task, in the form that one kind of encoders reads."""

    images: Tensor
    texts: Tensor
    text_ids: np.ndarray
    task: RetrievalTask
    task_images: Tensor
    task_texts: Tensor
    tokenizer: Tokenizer | None = None


@cache
def training_pairs(name: str, encoders: str, split: str = "test") -> TrainingPairs:
    """Read a corpus for a kind of encoders; its task is that of `split`."""
    check_choice(name, CORPORA, "corpus")
    check_choice(encoders, ENCODERS, "encoders")
    pixels, tokens, text_ids = _training_sides(name, encoders)
    if name == "icons":
        task = icons.task(split)
    else:
        task = scenes.task(split, n_images=N_TEST_SCENES)
    task_images, task_texts = _inputs(name, encoders, task.gallery, task.queries)
    tokenizer = None if encoders == "heads" else RECIPES[name].tokenizer()
    return TrainingPairs(pixels, tokens, text_ids, task, task_images, task_texts, tokenizer)


@cache
def _training_sides(name: str, encoders: str) -> tuple[Tensor, Tensor, np.ndarray]:
    """Read the training pairs of a corpus, once for all splits: images, texts, ids of texts."""
    if name == "icons":
        all_icons = icons.load_icons()
        positions = all_icons.positions("train")
        images = all_icons.images[positions]
        texts = [icons.phrase_of(all_icons.names[i]) for i in positions]
    else:
        images, batch = scenes.training_batch(1, 0, N_SCENES)
        choice = np.random.default_rng(1).integers(scenes.N_CAPTIONS, size=N_SCENES)
        texts = scenes.caption_choice(batch, choice)
    _, text_ids = np.unique(texts, return_inverse=True)
    return *_inputs(name, encoders, images, texts), text_ids


def _inputs(
    name: str, encoders: str, images: np.ndarray, texts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Turn images and texts into what a kind of encoders reads."""
    if encoders == "heads":
        return (
            torch.from_numpy(gradient_features(images)),
            torch.from_numpy(hashed_text_features(texts)),
        )
    tokens = RECIPES[name].tokenizer().encode(list(texts))
    return _small(images), torch.from_numpy(tokens)


def _small(images: np.ndarray) -> Tensor:
    channels = 1 if images.ndim == 3 else 3
    chunks = [
        F.interpolate(image_tensor(chunk, channels, images.shape[1]), (SIDE, SIDE), mode="area")
        for chunk in np.array_split(images, max(1, len(images) // 1024))
    ]
    return torch.cat(chunks).contiguous(memory_format=torch.channels_last)


def _network(pairs: TrainingPairs) -> nn.Module:
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
    """Train one network and validate it `points` times, evenly spaced, the last time at the end.

    Args:
        trial: the setting.
        split: split of the validations; they choose nothing, the last weights are kept.
        points: number of validations.
        target: an objective instead of the trial's loss.
        stream: batches instead of the trial's; its noise, repeats and tell are then ignored.

    Returns:
        The network, and its history: losses every ten steps, hit rates in percent.
    """
    pairs = training_pairs(trial.corpus, trial.encoders, split)
    target = target or objective(trial.loss)
    torch.manual_seed(trial.seed)
    network = _network(pairs)
    target.prepare(network, trial.batch_size)
    stream = stream or PairStream(
        pairs.images, pairs.texts, pairs.text_ids, trial.batch_size, trial.seed,
        noise=trial.noise, repeats=trial.repeats, mark_positives=trial.tell,
    )  # fmt: skip
    steps = max(1, trial.pairs // trial.batch_size)
    plan = Plan(
        steps, trial.learning_rate, warmup=steps // 10, weight_decay=0.1, average=0.0,
        validate_every=max(1, steps // points), seed=trial.seed,
    )  # fmt: skip
    validate = None if points == 1 else lambda network: hit_rates(ranks(network, pairs))
    trainer = Trainer(network, stream, target, plan, validate=validate)
    return trainer.run(), trainer.history


def ranks(network: nn.Module, pairs: TrainingPairs) -> dict[str, np.ndarray]:
    """Rank the task: `{direction: (n_queries,) rank of the first right item, ties against it}`."""
    texts, images = encoded(network, pairs.task_images, pairs.task_texts)
    judged = pairs.task.qrels.at_least(pairs.task.hit_grade)
    sides = {"text_to_image": (texts, images, judged), "image_to_text": (images, texts, judged.T)}
    return {
        direction: ranks_of_relevant(*side, which="first").first_rank()
        for direction, side in sides.items()
    }


def run_trial(trial: Trial, split: str = "test") -> dict[str, np.ndarray]:
    """Train one network and return its `ranks` and `mean_cosines` on a split."""
    network, _ = train(trial, split=split)
    pairs = training_pairs(trial.corpus, trial.encoders, split)
    return ranks(network, pairs) | mean_cosines(network, pairs)


def mean_cosines(network: nn.Module, pairs: TrainingPairs) -> dict[str, np.ndarray]:
    """Measure collapse: mean cosine of wrong pairs, of two images, and of two texts.

    A space that uses the whole sphere has all three near 0, a collapsed one near 1. Wrong pairs
    alone would miss a collapse to one point per modality.
    """
    task = pairs.task
    sides = encoded(network, pairs.task_images, pairs.task_texts)
    texts, images = (side.astype(np.float64) for side in sides)
    judged = task.qrels.at_least(task.hit_grade)
    right = (texts[judged.query_index] * images[judged.items]).sum()
    n_wrong = len(texts) * len(images) - judged.items.size
    cosines = {"wrong": (texts.sum(0) @ images.sum(0) - right) / n_wrong}
    for name, side in (("images", images), ("texts", texts)):
        cosines[name] = ((side.sum(0) ** 2).sum() - len(side)) / (len(side) * (len(side) - 1))
    return {f"cosine {name}": np.array(value) for name, value in cosines.items()}


@torch.inference_mode()
def encoded(network: nn.Module, images: Tensor, texts: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Encode images and texts: unit rows of the texts, then of the images."""
    network.eval()
    sides = []
    for encode, inputs in ((network.encode_text, texts), (network.encode_image, images)):
        chunks = inputs.to(device_of(network)).split(512)
        rows = torch.cat([F.normalize(encode(chunk), dim=1) for chunk in chunks])
        sides.append(rows.cpu().numpy())
    return sides[0], sides[1]


def hit_rates(ranks: dict[str, np.ndarray]) -> dict[str, float]:
    """Compute R@1 and R@10 of each direction, in percent."""
    return {
        f"R@{k} {direction}": 100 * float(np.mean(first <= k))
        for direction, first in ranks.items()
        if direction in DIRECTIONS
        for k in (1, 10)
    }


def trial_row(trial: Trial, result: dict[str, np.ndarray]) -> dict:
    """Make the table row of a trial: setting, hit rates in percent, mean cosines."""
    cosines = {name: float(value) for name, value in result.items() if name in COSINES}
    return {**asdict(trial), "rate": trial.learning_rate, **hit_rates(result), **cosines}
