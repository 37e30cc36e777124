"""Compare ScaNN with faiss at equal cells and equal bytes."""

from collections.abc import Iterator

import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.core.paths import data_dir
from lib.core.result_store import ResultStore
from lib.index import VectorSearchIndex
from lib.index.scann_index import scann_library
from lib.studies.ann.corpora import AnnCorpus, icons
from lib.studies.ann.ground_truth import hits_by_id, truth
from lib.studies.ann.recall_vs_work import K

STORE = ResultStore("ann", "python -m lib.studies.ann.scann_beside_faiss")
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
    true = truth(corpus, K)
    for rerank in (0,) if system in NOT_RERANKED else (0, RERANK):
        options = {"metric": corpus.metric, "rerank": rerank} | build
        index = VectorSearchIndex(corpus.dim, family, **options)
        index.train(corpus.vectors())
        index.add(corpus.vectors())
        for visited in VISITED_CELLS:
            index.set_search(**{option: visited})
            row = {"system": system, "rerank": rerank, "visited": visited}
            for kind, queries in corpus.queries.items():
                hits = hits_by_id(index.search(queries, K)[1], true[kind].ids, K)
                row[kind] = 100 * float((hits / K).mean())
            yield row


def main() -> None:
    """Measure icons with both libraries and write the committed rows."""
    scann_library()
    STORE.save_table("score_aware.csv", compare_scann_with_faiss(icons())[0])


if __name__ == "__main__":
    main()
