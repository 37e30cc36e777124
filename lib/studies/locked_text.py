"""Train a locked, an unlocked and a fresh text tower beside the same image side; same budget.

The image side is two layers on gradient features, as in the comparison of losses: it learns in
seconds, so that the text tower decides the result.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.datasets import icons
from lib.metrics import ranks_of_relevant
from lib.models.baselines import Heads
from lib.models.dual_encoder import build_network
from lib.models.published_tokenizer import PublishedTokenizer
from lib.models.published_weights import WEIGHTS, published_tower
from lib.models.text_tower import TextStates, frozen_states
from lib.models.tokenizer import Tokenizer, words_of
from lib.studies.losses.train_trial import TrainingPairs, encoded, training_pairs
from lib.training.batches import Batch, PairStream
from lib.training.loop import Plan, Trainer
from lib.training.objectives import objective
from lib.training.recipes import RECIPES, TEXT_TOWER

STORE = ResultStore("locked_text", "crossmodal bench locked-text")
SEEDS = 3
SPLIT = "validation"  # nothing is chosen by it: the last weights are measured
LOSS, DIM = "InfoNCE", 128  # dimension of the space
WORDS = {"width": 192, "heads": 4, "layers": 2}  # the trained transformer of every setting


@dataclass(frozen=True)
class TextSetting:
    """Describe the text tower of a setting.

    Args:
        head: options of the transformer that starts from random weights.
        published: whether it reads the states of the published tower, or pieces learnt here.
        unlocked_layers: layers of the published tower that are trained too.
        rate_factor: their learning rate in parts of the rate of the other weights.
    """

    head: dict = field(default_factory=lambda: dict(WORDS))
    published: bool = True
    unlocked_layers: int = 0
    rate_factor: float = 1.0


SETTINGS = {
    "from scratch": TextSetting(published=False),
    "locked, mean of states": TextSetting({**WORDS, "layers": 0, "pooling": "mean"}),
    "locked": TextSetting(),
    "2 layers unlocked": TextSetting(unlocked_layers=2, rate_factor=0.05),
}


@dataclass(frozen=True)
class TextTrial:
    """Describe one training run; every setting sees the same pairs in the same order."""

    setting: str  # a key of `SETTINGS`
    seed: int
    steps: int = 160
    batch_size: int = 64
    rate: float = 2e-3


def trials(steps: int = TextTrial.steps) -> Iterator[TextTrial]:
    """Yield all trials, seed by seed."""
    return (TextTrial(name, seed, steps) for seed, name in product(range(SEEDS), SETTINGS))


# ---- one trial


def _pairs() -> TrainingPairs:
    return training_pairs("icons", "heads", SPLIT)


@cache
def _tokenizer(published: bool) -> PublishedTokenizer | Tokenizer:
    learnt = RECIPES["icons"].tokenizer()
    return PublishedTokenizer(TEXT_TOWER, learnt.context_length) if published else learnt


@cache
def _training_texts() -> tuple[list[str], np.ndarray]:
    """Return the names of the training icons, each once, and the name of each icon."""
    corpus = icons.load_icons()
    names = [icons.phrase_of(corpus.names[i]) for i in corpus.positions("train")]
    texts, rows = np.unique(names, return_inverse=True)
    return texts.tolist(), rows


@cache
def _states() -> TextStates:
    """Read all training names once: a locked tower gives the same states in every step."""
    return frozen_states(TEXT_TOWER, _tokenizer(True).encode(_training_texts()[0], cut=True))


def build_towers(setting: str) -> Heads:
    """Build the image side and the text tower of a setting, weights from torch's seed."""
    chosen = SETTINGS[check_choice(setting, SETTINGS, "setting")]
    network, text = Heads(_pairs().images, 1, dim=DIM), dict(chosen.head)
    if chosen.published:
        sha256 = published_tower(TEXT_TOWER).sha256[WEIGHTS]
        text |= {"hf_model_name": TEXT_TOWER, "sha256": sha256}
        text |= {"unlocked_layers": chosen.unlocked_layers}
    config = RECIPES["icons"].config(_tokenizer(chosen.published))
    network.text = build_network({**config, "embed_dim": DIM, "text": text}).text
    objective(LOSS).prepare(network, TextTrial.batch_size)
    return network


@dataclass(frozen=True)
class NamesStream:
    """Give the batches of a `PairStream` with the texts that a setting reads.

    Args:
        pairs: a stream of rows; its batches hold positions of images and texts.
        images: (n, image_dim) features.
        texts: positions of texts -> tokens, or frozen states.
    """

    pairs: PairStream
    images: Tensor
    texts: Callable[[np.ndarray], Tensor | tuple[Tensor, Tensor, Tensor]]

    def batch(self, step: int) -> Batch:
        chosen = self.pairs.batch(step)
        return Batch(
            self.images[chosen.images], self.texts(chosen.tokens.numpy()), chosen.positives
        )


def _stream(trial: TextTrial) -> NamesStream:
    chosen, (texts, rows) = SETTINGS[trial.setting], _training_texts()
    if chosen.published and not chosen.unlocked_layers:
        read = _states().batch
    else:
        tokens = torch.from_numpy(_tokenizer(chosen.published).encode(texts))
        read = tokens.__getitem__
    order = PairStream(
        torch.arange(len(rows)), torch.from_numpy(rows), rows, trial.batch_size, trial.seed
    )
    return NamesStream(order, _pairs().images, read)


def run_trial(trial: TextTrial) -> dict[str, np.ndarray]:
    """Train one network; return the rank of the first right icon of each validation name.

    Returns:
        `ranks` int64 (n_queries,), and `minutes` of processor time in training.
    """
    chosen = SETTINGS[trial.setting]
    stream = _stream(trial)
    torch.manual_seed(trial.seed)
    network = build_towers(trial.setting)
    plan = Plan(
        trial.steps, trial.rate, warmup=trial.steps // 10, weight_decay=0.1, average=0.0,
        validate_every=trial.steps, seed=trial.seed,
    )  # fmt: skip
    factors = {"text.unlocked.": chosen.rate_factor}
    started = time.process_time()
    network = Trainer(network, stream, objective(LOSS), plan, rate_factors=factors).run()
    minutes = (time.process_time() - started) / 60
    task = validation_task()
    tokens = torch.from_numpy(_tokenizer(chosen.published).encode(task.queries))
    texts, images = encoded(network, _pairs().task_images, tokens)
    right = task.qrels.at_least(task.hit_grade)
    return {
        "ranks": ranks_of_relevant(texts, images, right, which="first").first_rank(),
        "minutes": np.array(minutes),
    }


# ---- all trials


def run_trials(
    steps: int = TextTrial.steps,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[TextTrial, dict[str, np.ndarray]]]:
    """Run all trials; cached ones are not run again."""
    chosen = list(trials(steps))
    jobs = [(asdict(trial), partial(run_trial, trial)) for trial in chosen]
    return list(zip(chosen, STORE.run(jobs, log=log, progress=progress), strict=True))


def write_committed(results: list[tuple[TextTrial, dict[str, np.ndarray]]]) -> None:
    """Write `data/artifacts/locked_text`: a row per trial, and the ranks of every name."""
    trained = {
        setting: sum(p.numel() for p in build_towers(setting).parameters() if p.requires_grad)
        for setting in SETTINGS
    }
    rows, ranks = [], {}
    for trial, result in results:
        numbers = {"trained": trained[trial.setting], "minutes": result["minutes"].item()}
        rows.append({**asdict(trial), **numbers})
        ranks[f"{trial.setting}/{trial.seed}"] = result["ranks"].astype(np.uint16)
    STORE.save_table("trials.csv", pd.DataFrame(rows))
    STORE.save_arrays("ranks.npz", compressed=True, **ranks)


def committed_trials() -> pd.DataFrame:
    """Read the committed table: one row per trial."""
    return STORE.table("trials.csv")


@cache
def validation_task() -> RetrievalTask:
    """Return the task of all trials, from the names of the validation split to its icons."""
    return icons.task(SPLIT)


def names_with_new_words(queries: list[str]) -> np.ndarray:
    """Mark the names with a word that no training name of icons has: bool (n_queries,)."""
    known = {word for text in _training_texts()[0] for word in words_of(text)}
    return np.array([not known.issuperset(words_of(query)) for query in queries])


def seed_averaged_hits(setting: str, k: int) -> np.ndarray:
    """Return R@k of every validation name, averaged over the seeds: (n_queries,)."""
    check_choice(setting, SETTINGS, "setting")
    ranks = STORE.arrays("ranks.npz")
    runs = [values for key, values in ranks.items() if key.rsplit("/", 1)[0] == setting]
    if not runs:
        raise RetrievalInputError(f"no trials of {setting!r} are stored. {STORE.rebuild}")
    return np.mean([run <= k for run in runs], axis=0)
