"""Compare codes of equal size: several families, and ScaNN beside faiss at equal cells."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.core.paths import data_dir
from lib.core.result_store import ResultStore
from lib.index import VectorSearchIndex
from lib.index.from_scratch.cells import best_of_row
from lib.index.from_scratch.hyperplanes import draw_frame
from lib.index.scann_index import scann_library
from lib.metrics import paired_bootstrap_interval
from lib.studies.ann.configs import PQ_NEEDS
from lib.studies.ann.corpora import AnnCorpus, icons
from lib.studies.ann.ground_truth import hits_by_id, truth
from lib.studies.ann.recall_vs_work import K

Search = Callable[[np.ndarray], np.ndarray]  # queries (n, d) to ids (n, k)

# Codes of 4 bits, two in a byte, which fast scans read. All codes are scanned.
CODES: Mapping[str, tuple[str, Callable[[int], dict]]] = {
    "LSH": ("LSH", lambda size: {"n_bits": 8 * size}),
    "PQ": ("PQ", lambda size: {"code_bytes": size, "fast_scan": True}),
    "PQ, turned": ("PQ", lambda size: {"code_bytes": size, "fast_scan": True}),
    "PQ, dealt": ("PQ", lambda size: {"code_bytes": size, "fast_scan": True}),
}
WHOLE = "LSH, whole query"

STORE = ResultStore("ann", "python -m lib.studies.ann.equal_bytes")
CELLS, RERANK = 128, 10
VISITED_CELLS = (1, 2, 4, 8, 16)
# Two dimensions for a code of 4 bits, as in the blocks of ScaNN.
IVF_PQ = {"nlist": CELLS, "code_bytes": 64, "fast_scan": True}
SCANN = {"n_leaves": CELLS, "anisotropic_threshold": 0.0}
SCANN_SYSTEMS = {  # family, build options, and the search option that counts visited cells
    "IVF-PQ": ("IVF-PQ", IVF_PQ, "nprobe"),
    "IVF-PQ, dot product": ("IVF-PQ", IVF_PQ | {"metric": "inner_product"}, "nprobe"),
    "ScaNN, T = 0": ("ScaNN", SCANN, "leaves_to_search"),
    "ScaNN, T = 0.2": ("ScaNN", SCANN | {"anisotropic_threshold": 0.2}, "leaves_to_search"),
}
# Once re-ranked, the two codes of one library agree.
NOT_RERANKED = ("ScaNN, T = 0", "IVF-PQ, dot product")


def recall_shares(corpus: AnnCorpus, search: Search, k: int = K) -> dict[str, np.ndarray]:
    """Return the share of its k nearest that every query finds: `{"image": (n_queries,), ...}`."""
    true = truth(corpus, k)
    return {
        kind: hits_by_id(search(queries), true[kind].ids, k) / k
        for kind, queries in corpus.queries.items()
    }


def recall_percent(corpus: AnnCorpus, search: Search, k: int = K) -> dict[str, float]:
    """Return recall by id of every kind of query: `{"image": %, "text": %}`."""
    return {
        kind: 100 * float(shares.mean())
        for kind, shares in recall_shares(corpus, search, k).items()
    }


def compare_codes(
    corpus: AnnCorpus, sizes: Mapping[str, Sequence[int]], rerank: int = 10, n_train: int = PQ_NEEDS
) -> dict[tuple[str, int, int], dict[str, np.ndarray]]:
    """Measure recall of codes of equal size, all scanned, with and without re-ranking.

    "LSH" projects on random directions. "PQ, turned" has a rotation of the same kind before its
    training, "PQ, dealt" the principal directions, dealt out to the pieces. `WHOLE` scores the bits
    of "LSH" with the projections of a query that is not rounded to bits.

    Args:
        corpus: the corpus that is searched.
        sizes: bytes per vector for each of `CODES` and `WHOLE` to measure.
        rerank: k times this many are scored again by whole vectors; not for `WHOLE`.
        n_train: the first vectors of the base, which families that train are trained on.

    Returns:
        `recall_shares` by name, bytes and re-rank factor (`rerank` and 0).
    """
    results, base = {}, corpus.vectors()
    for name, size in ((name, size) for name, wanted in sizes.items() for size in wanted):
        if name == WHOLE:
            results[name, size, 0] = recall_shares(corpus, _search_signs(base, size))
            continue
        family, build = CODES[name]
        options, turn = build(size) | {"rerank": rerank}, _rotation(name, base, size)
        index = VectorSearchIndex(corpus.dim, family, metric=corpus.metric, **options)
        index.train(base[:n_train] @ turn)
        index.add(base @ turn)
        for factor in (rerank, 0):
            index.set_search(rerank=factor)
            results[name, size, factor] = recall_shares(
                corpus, lambda queries, index=index, turn=turn: index.search(queries @ turn, K)[1]
            )
    return results


def paired_difference(
    shares: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> dict[str, tuple]:
    """Return the mean difference of two `recall_shares` in points, with its paired interval."""
    return {
        kind: (
            100 * float((shares[kind] - other[kind]).mean()),
            *(100 * end for end in paired_bootstrap_interval(shares[kind], other[kind])),
        )
        for kind in shares
    }


def _search_signs(base: np.ndarray, size: int) -> Search:
    planes = draw_frame(base.shape[1], 8 * size)
    signs = np.where(base @ planes.T >= 0, np.float32(1), np.float32(-1))
    return lambda queries: best_of_row(queries @ planes.T @ signs.T, K)[1]


def _rotation(name: str, base: np.ndarray, size: int) -> np.ndarray:
    """Make the rotation `(d, d)` that comes before the codes of a name."""
    d = base.shape[1]
    if name == "PQ, turned":
        return draw_frame(d, d).T
    if name == "PQ, dealt":
        directions = np.linalg.eigh(np.cov(base.T))[1][:, ::-1]  # largest variance first
        return directions[:, np.arange(d).reshape(-1, 2 * size).T.ravel()].astype(np.float32)
    return np.eye(d, dtype=np.float32)


# ---- ScaNN beside faiss


def compare_scann_with_faiss(corpus: AnnCorpus) -> tuple[list[dict], bool]:
    """Measure recall of both libraries by visited cells, with and without re-ranking.

    ScaNN scores codes by dot product, the family "IVF-PQ" under cosine by squared distance. For
    unit rows both have the same neighbours, so "IVF-PQ" is measured by dot product as well.

    Returns:
        Rows: system, rerank, visited, and recall in percent by kind of query; and whether ScaNN was
        measured. Where its package is not installed, its rows are the committed ones (icons).
    """
    try:
        scann_library()
    except RetrievalInputError:
        if corpus.name != "icons":
            raise
        ours = [system for system in SCANN_SYSTEMS if not system.startswith("ScaNN")]
        committed = committed_scann_table()
        scann = committed[committed["system"].str.startswith("ScaNN")].to_dict("records")
        return [row for system in ours for row in _measure_cells(corpus, system)] + scann, False
    return [row for system in SCANN_SYSTEMS for row in _measure_cells(corpus, system)], True


def committed_scann_table() -> pd.DataFrame:
    """Read the committed rows of `compare_scann_with_faiss` on icons."""
    return STORE.table("score_aware.csv")


def published_ood_board() -> list[dict]:
    """Read the Big-ANN'23 leaderboard of text queries over images: entry, source, qps."""
    path = data_dir() / "published" / "bigann_ood_2023.csv"
    return pd.read_csv(path, comment="#").to_dict("records")


def _measure_cells(corpus: AnnCorpus, system: str) -> Iterator[dict]:
    family, build, option = SCANN_SYSTEMS[system]
    for rerank in (0,) if system in NOT_RERANKED else (0, RERANK):
        options = {"metric": corpus.metric, "rerank": rerank} | build
        index = VectorSearchIndex(corpus.dim, family, **options)
        index.train(corpus.vectors())
        index.add(corpus.vectors())
        for visited in VISITED_CELLS:
            index.set_search(**{option: visited})
            recalls = recall_percent(
                corpus, lambda queries, index=index: index.search(queries, K)[1]
            )
            yield {"system": system, "rerank": rerank, "visited": visited, **recalls}


def main() -> None:
    """Measure icons with both libraries and write the committed rows."""
    scann_library()
    STORE.save_table("score_aware.csv", compare_scann_with_faiss(icons())[0])


if __name__ == "__main__":
    main()
