"""Small corpora without pictures: what an evaluation needs of a corpus are ids, texts and
judgements.
"""

import numpy as np

from lib.core.qrels import Qrels
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count

N_ITEMS, DIM = 20, 8
N_CAPTIONS = np.array([5, 4, 6, 5, 7] * 4)  # of each item
OWNER = np.repeat(np.arange(N_ITEMS), N_CAPTIONS)


def corpus(owner=OWNER, n_items=N_ITEMS, name="toys", modality="image", **fields) -> CaptionedMedia:
    """Items with the captions that `owner` gives them."""
    owner = np.asarray(owner)
    given = {
        "split": "test",
        "media": range(n_items),  # stands for files that nobody opens
        "item_ids": [f"i{item}" for item in range(n_items)],
        "texts": [f"text {text} of item {item}" for text, item in enumerate(owner)],
        "text_ids": [f"t{text}" for text in range(owner.size)],
        "qrels": Qrels.from_owner(owner, n_items).T,
        "captions": "all",
        "counts": (Count("images", n_items, n_items),),
    }
    return CaptionedMedia(name=name, modality=modality, **{**given, **fields})


def rows(owner=OWNER, n_items=N_ITEMS, dim=DIM, noise=1.0, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of the items, and of captions near them."""
    rng = np.random.default_rng(seed)
    media = rng.normal(size=(n_items, dim)).astype(np.float32)
    return media, media[owner] + noise * rng.normal(size=(len(owner), dim)).astype(np.float32)
