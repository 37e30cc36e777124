"""Tune the text head of a trained model on sentences and other languages, images locked.

A head that was trained on names alone takes "I want to eat pizza" for the name of a thing. Here the
image tower stays as it is, its embeddings are computed once, and the head learns to find a picture
by its name inside a sentence, by two captions together, and by its name in five more languages.
The tuned weights are mixed with those before, which keep exact names best (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib import losses
from lib.core.paths import data_dir
from lib.datasets import emoji, pictures
from lib.models.dual_encoder import DualEncoder, image_tensor
from lib.models.text_tower import TextStates
from lib.training.augment import warp
from lib.training.batches import Batch
from lib.training.loop import Plan, Trainer
from lib.training.picture_batches import RightPairs, mark_texts, number_pixels

SLOT = "{}"
LANGUAGES = ("de", "es", "fr", "it", "pt")
JOINTS = ("and", "with", "or", ",")
SENTENCES, TRANSLATIONS = 0.5, 0.3  # shares of the captions; translations of emoji alone
NAMES = 0.7  # of the other captions: the share of names, where a picture has more
SENTENCES_PER_PICTURE = 2
SHARES = {"icons": 0.6, "emoji": 0.1, pictures.FURTHER: 0.3}  # of a batch
TUNED = 0.7  # share of the tuned weights in the result; the rest are those before
WARPED = 1.0  # strength of the second view of a picture, see `warp`


def load_sentences() -> list[str]:
    """Load the sentences of `data/published/caption_sentences.txt`, each with a `{}` for a name."""
    return (data_dir() / "published" / "caption_sentences.txt").read_text().splitlines()


@dataclass(frozen=True)
class CaptionKinds:
    """Text ids of one picture: its captions, sentences with them, its name in other languages."""

    captions: tuple[int, ...]
    sentences: tuple[int, ...]
    translations: tuple[int, ...]

    @property
    def texts(self) -> tuple[int, ...]:
        """Return all texts of the picture."""
        return (*self.captions, *self.sentences, *self.translations)

    def draw(self, rng: np.random.Generator) -> int:
        """Draw one text."""
        kind = rng.random()
        if self.translations and kind < TRANSLATIONS:
            return int(rng.choice(self.translations))
        if kind < SENTENCES:
            return int(rng.choice(self.sentences))
        return self.captions[0] if rng.random() < NAMES else int(rng.choice(self.captions))


def write_captions(
    corpus: pictures.Pictures, positions: np.ndarray, seed: int
) -> tuple[list[CaptionKinds], list[str]]:
    """Write the texts of some pictures; return the text ids of each picture, and the texts."""
    rng, templates = np.random.default_rng([seed, 2]), load_sentences()
    ids: dict[str, int] = {}

    def number(texts: Sequence[str]) -> tuple[int, ...]:
        return tuple(ids.setdefault(text, len(ids)) for text in texts)

    kinds = []
    for position in positions.tolist():
        captions = corpus.captions[position]
        sentences = [
            str(rng.choice(templates)).replace(SLOT, str(caption))
            for caption in rng.choice(captions, SENTENCES_PER_PICTURE)
        ]
        if len(captions) > 1:
            first, second = rng.choice(captions, 2, replace=False)
            sentences.append(f"{first} {rng.choice(JOINTS)} {second}")
        translations = []
        if corpus.sources[position] == "emoji":
            names, place = emoji.load_emoji().names, corpus.places[position]
            translations = [names[language][place] for language in LANGUAGES]
        kinds.append(CaptionKinds(*map(number, (captions, sentences, translations))))
    return kinds, list(ids)


class SentenceStream:
    """Batches of fixed image embeddings and the frozen states of a text for each.

    A text is right for other pictures of the batch too, as `RightPairs` says.

    Args:
        corpus: the pictures.
        positions: int (n,), the pictures to train on.
        views: (n_views, n, dim) unit rows of the positions; a batch takes one view.
        encode_states: texts -> frozen states, called once.
        batch_size, seed: of the training.
    """

    def __init__(
        self,
        corpus: pictures.Pictures,
        positions: np.ndarray,
        views: Tensor,
        encode_states: Callable[[Sequence[str]], TextStates],
        batch_size: int,
        seed: int,
    ) -> None:
        self.views, self.seed = views, seed
        self.kinds, texts = write_captions(corpus, positions, seed)
        self.states = encode_states(texts)
        pairs = [(row, text) for row, kind in enumerate(self.kinds) for text in kind.texts]
        names = np.array([kind.captions[0] for kind in self.kinds])
        borne = mark_texts(pairs, (len(positions), len(texts)))
        self.right = RightPairs(names, number_pixels(corpus, positions), borne)
        sources = corpus.sources[positions]
        rows = {source: np.flatnonzero(sources == source) for source in SHARES}
        wanted = {source: int(share * batch_size) for source, share in SHARES.items()}
        self.parts = [(rows[key], min(wanted[key], len(rows[key]))) for key in SHARES]

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, 3, step])
        rows = np.concatenate([rng.choice(part, size, replace=False) for part, size in self.parts])
        texts = np.array([self.kinds[row].draw(rng) for row in rows])
        right = self.right.among(rows, texts)
        view = self.views[rng.integers(len(self.views))]
        return Batch(view[rows], self.states.batch(texts), torch.from_numpy(right))


def locked_image_loss(network: nn.Module, batch: Batch) -> Tensor:
    """Compute two-way InfoNCE of fixed images, unit rows, and the texts of the trained head."""
    texts = F.normalize(network.text.features_of_states(*batch.tokens).float(), dim=1)
    return losses.infonce_loss(
        batch.images,
        texts,
        1 / network.logit_scale.exp(),
        direction="both",
        positives=batch.positives,
    )


@torch.inference_mode()
def embed_views(
    model: DualEncoder, corpus: pictures.Pictures, positions: np.ndarray, seed: int
) -> Tensor:
    """Embed pictures as they are and warped once, (2, n, dim) unit rows."""
    generator = torch.Generator().manual_seed(seed)
    views = []
    for strength in (0.0, WARPED):
        rows = []
        for chunk in np.array_split(positions, -(-len(positions) // 256)):
            ink = image_tensor(255 - corpus.pixels(chunk), 3, pictures.SIZE)
            if strength:
                ink = warp(ink, strength, generator)
            images = (1 - ink).contiguous(memory_format=torch.channels_last)
            rows.append(F.normalize(model.network.encode_image(images).float(), dim=1))
        views.append(torch.cat(rows))
    return torch.stack(views).clone()


def tune_on_sentences(
    model: DualEncoder,
    corpus: pictures.Pictures,
    encode_states: Callable[[Sequence[str]], TextStates],
    plan: Plan,
    *,
    batch_size: int = 192,
    positions: np.ndarray | None = None,
    checkpoint: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> DualEncoder:
    """Tune the text head of a model that `PictureStream` trained; its image tower does not change.

    Args:
        model: a dual encoder with a `PublishedTextTower`.
        corpus: the pictures, with further icons.
        encode_states: texts -> frozen states, called once.
        plan: of the tuning; its `seed` also chooses the sentences.
        batch_size: pictures per step.
        positions: the pictures to train on; by default the training split without line drawings.
        checkpoint, log: see `Trainer`.

    Returns:
        The model with the tuned head; the one given is changed too.
    """
    if positions is None:
        positions = corpus.positions("train", list(SHARES))
    network = model.network.eval()
    before = {key: value.clone() for key, value in network.text.state_dict().items()}
    views = embed_views(model, corpus, positions, plan.seed)
    stream = SentenceStream(corpus, positions, views, encode_states, batch_size, plan.seed)
    for locked in (network.visual, network.logit_scale):
        locked.requires_grad_(False)
    trainer = Trainer(
        network,
        stream,
        locked_image_loss,
        plan,
        checkpoint=checkpoint,
        identity={"tuning": "sentences", "batch_size": batch_size},
        log=log,
    )
    tuned = trainer.run()
    for unlocked in (tuned.visual, tuned.logit_scale):
        unlocked.requires_grad_(True)
    with torch.no_grad():
        for key, value in tuned.text.state_dict().items():
            value.lerp_(before[key], 1 - TUNED)
    return DualEncoder(model.config, tuned)
