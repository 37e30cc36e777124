"""One unchanged model, many numbers: every R@1 that its stored embeddings can be reported with."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.metrics import (
    LabelledRun,
    bootstrap_interval,
    evaluate_embeddings,
    evaluate_folds,
    hit_rate_at_k,
)


def reports(
    text, image, truth: Qrels, remedies: Sequence[LabelledRun] = (), *, n_folds: int = 5
) -> list[dict]:
    """R@1 under each protocol, with its interval by image.

    Args:
        text: `(n_images * c, d)` embeddings of captions, those of one image together.
        image: `(n_images, d)` embeddings.
        truth: which images each caption is true of, all that are right.
        remedies: rankings of the same task that were helped, each told by its method.
        n_folds: of the protocol in which each query sees only its fold.

    Returns:
        Rows of protocol, inference, value, low, high, n_queries, n_gallery; the first is the whole
        gallery, captions asking, any true image right. Shares are fractions.

    Raises:
        RetrievalInputError: captions that are not a multiple of the images.
    """
    if len(text) % len(image):
        raise RetrievalInputError(
            f"{len(text)} captions are not the same number for each of {len(image)} images"
        )
    each = len(text) // len(image)
    owner = np.arange(len(text)) // each
    on_file = Qrels.from_owner(owner, len(image)).T
    captions_ask = evaluate_embeddings(text, image, truth, ks=[1]).per_query["R@1"]
    rows = [
        _row("captions ask, any true image", captions_ask, owner, len(image)),
        _row("only the image on file is right", _hits(text, image, on_file), owner, len(image)),
        _row("only the first caption asks", captions_ask[::each], None, len(image)),
        _row(
            f"{n_folds} folds, captions ask",
            _folds(text, image, truth, n_folds),
            owner,
            len(image) // n_folds,
        ),
        _row("images ask", _hits(image, text, truth.T), None, len(text)),
        _row(
            f"{n_folds} folds, images ask",
            _folds(image, text, truth.T, n_folds),
            None,
            len(text) // n_folds,
        ),
    ]
    for run in remedies:
        hits = hit_rate_at_k(run.ids, truth, 1)
        rows.append(_row(f"captions ask, {run.method}", hits, owner, len(image), run.inference))
    return rows


def _hits(queries, gallery, qrels: Qrels) -> np.ndarray:
    return evaluate_embeddings(queries, gallery, qrels, ks=[1]).per_query["R@1"]


def _folds(queries, gallery, qrels: Qrels, n_folds: int) -> np.ndarray:
    """Hits of all folds in order; folds are equally large, so that their mean is the mean of
    means.
    """
    folded = evaluate_folds(queries, gallery, qrels, n_folds=n_folds, ks=[1])
    return np.concatenate([fold.per_query["R@1"] for fold in folded.folds])


def _row(
    protocol: str, hits: np.ndarray, groups, n_gallery: int, inference: str = "inductive"
) -> dict:
    low, high = bootstrap_interval(hits, groups)
    return {
        "protocol": protocol,
        "inference": inference,
        "value": float(hits.mean()),
        "low": low,
        "high": high,
        "n_queries": hits.size,
        "n_gallery": n_gallery,
    }
