"""Codes of several families at equal bytes: what each finds alone, and as the first of two
steps.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lib.index import VectorSearchIndex
from lib.index.from_scratch.cells import best_of_row
from lib.index.from_scratch.hyperplanes import draw_frame
from lib.metrics import paired_bootstrap_interval
from lib.studies.ann.configs import PQ_NEEDS
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import truth
from lib.studies.ann.recall import by_id
from lib.studies.ann.recall_vs_work import K

# The codes of each name: of 4 bits, two a byte, which fast scans read. All are scanned whole.
CODES: Mapping[str, tuple[str, Callable[[int], dict]]] = {
    "LSH": ("LSH", lambda size: {"n_bits": 8 * size}),
    "PQ": ("PQ", lambda size: {"code_bytes": size, "fast_scan": True}),
    "PQ, turned": ("PQ", lambda size: {"code_bytes": size, "fast_scan": True}),
    "PQ, dealt": ("PQ", lambda size: {"code_bytes": size, "fast_scan": True}),
}
WHOLE = "LSH, whole query"


def hits(
    corpus: AnnCorpus, answer: Callable[[np.ndarray], np.ndarray], k: int = K
) -> dict[str, np.ndarray]:
    """Share of its k nearest that every query of every kind finds: `{"image": (n_queries,), ...}`.

    Args:
        corpus: that is searched.
        answer: ids `(n_queries, k)` for queries `(n_queries, d)`.
        k: neighbours asked for.
    """
    true = truth(corpus, k)
    return {
        kind: by_id(answer(queries), true[kind].ids, k) / k
        for kind, queries in corpus.queries.items()
    }


def recall_percent(
    corpus: AnnCorpus, answer: Callable[[np.ndarray], np.ndarray], k: int = K
) -> dict:
    """Recall by id of every kind of query, `{"image": %, "text": %}`; arguments as in `hits`."""
    return {kind: 100 * float(found.mean()) for kind, found in hits(corpus, answer, k).items()}


def compare(
    corpus: AnnCorpus, sizes: Mapping[str, Sequence[int]], rerank: int = 10, n_train: int = PQ_NEEDS
) -> dict[tuple[str, int, int], dict[str, np.ndarray]]:
    """What queries find with codes of equal size, all of them scanned, with and without re-ranking.

    "LSH" projects on random directions. "PQ, turned" gets a rotation of the same kind before it is
    trained, "PQ, dealt" the principal directions, dealt out to the pieces. `WHOLE` scores the bits
    of "LSH" with the projections of a query that is not rounded to bits: by their sum with the
    signs of the base.

    Args:
        corpus: that is searched.
        sizes: bytes a vector for every name of `CODES`, and `WHOLE`, that is wanted.
        rerank: k times this many are scored again by whole vectors; not for `WHOLE`.
        n_train: the first vectors of the base, which those families train on that train.

    Returns:
        Name, bytes and re-rank factor (that, and 0) to the `hits` of every kind of query.
    """
    found, base = {}, corpus.vectors()
    for name, wanted in sizes.items():
        for size in wanted:
            if name == WHOLE:
                planes = draw_frame(corpus.dim, 8 * size)
                signs = np.where(base @ planes.T >= 0, np.float32(1), np.float32(-1))
                answer = lambda q, planes=planes, signs=signs: best_of_row(
                    q @ planes.T @ signs.T, K
                )[1]
                found[name, size, 0] = hits(corpus, answer)
                continue
            family, build = CODES[name]
            turn = _turn(name, base, size)
            index = VectorSearchIndex(
                corpus.dim, family, metric=corpus.metric, rerank=rerank, **build(size)
            )
            index.train(base[:n_train] @ turn)
            index.add(base @ turn)
            for factor in (rerank, 0):
                index.set_search(rerank=factor)
                found[name, size, factor] = hits(
                    corpus, lambda q, index=index, turn=turn: index.search(q @ turn, K)[1]
                )
    return found


def difference(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, tuple]:
    """Mean of one minus other in points, with its paired interval, by kind of query; both are
    `hits`.
    """
    return {
        kind: (
            100 * float((one[kind] - other[kind]).mean()),
            *(100 * end for end in paired_bootstrap_interval(one[kind], other[kind])),
        )
        for kind in one
    }


def _turn(name: str, base: np.ndarray, size: int) -> np.ndarray:
    """The rotation `(d, d)` before the codes of a name: none, random, or dealt for codes of `size`
    bytes.
    """
    d = base.shape[1]
    if name == "PQ, turned":
        return draw_frame(d, d).T
    if name == "PQ, dealt":
        directions = np.linalg.eigh(np.cov(base.T))[1][:, ::-1]  # largest variance first
        return directions[:, np.arange(d).reshape(-1, 2 * size).T.ravel()].astype(np.float32)
    return np.eye(d, dtype=np.float32)
