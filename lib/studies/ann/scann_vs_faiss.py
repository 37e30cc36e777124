"""ScaNN beside faiss, at equal cells and codes: what weighing errors gains, by either score."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.reading import verify
from lib.core.writing import atomic_path, write_checksum
from lib.index import VectorSearchIndex
from lib.index.scann_index import scann_library
from lib.studies.ann.corpora import AnnCorpus, icons
from lib.studies.ann.equal_bytes import K, recall_percent

CELLS, RERANK = 128, 10
VISITED = (1, 2, 4, 8, 16)
CODES = {"code_bytes": 64, "fast_scan": True}  # two dimensions a code of 4 bits, as ScaNN's blocks
SYSTEMS = {
    "IVF-PQ": ("IVF-PQ", {"nlist": CELLS, **CODES}, "nprobe"),
    "IVF-PQ, dot product": (
        "IVF-PQ",
        {"nlist": CELLS, **CODES, "metric": "inner_product"},
        "nprobe",
    ),
    "ScaNN, T = 0": (
        "ScaNN",
        {"n_leaves": CELLS, "anisotropic_threshold": 0.0},
        "leaves_to_search",
    ),
    "ScaNN, T = 0.2": (
        "ScaNN",
        {"n_leaves": CELLS, "anisotropic_threshold": 0.2},
        "leaves_to_search",
    ),
}
NOT_RERANKED = ("ScaNN, T = 0", "IVF-PQ, dot product")  # re-ranked, codes of a library agree
REBUILD = "python -m lib.studies.ann.scann_vs_faiss"


def side_by_side(corpus: AnnCorpus) -> tuple[list[dict], bool]:
    """Recall of both libraries by cells visited, with and without whole vectors at the end.

    ScaNN scores codes by dot product, the family "IVF-PQ" under cosine by squared distance: so it
    is there by dot product as well, which for unit rows has the same neighbours.

    Returns:
        Rows: system, rerank, visited, and recall in percent by kind of query; and whether the scann
            package
        was here. Where it is not, ScaNN's rows are the committed ones, which are of icons.

    Raises:
        RetrievalInputError: another corpus than icons, and no scann package.
    """
    try:
        scann_library()
    except RetrievalInputError:
        if corpus.name != "icons":
            raise
        kept = committed()
        scann = kept[kept["system"].str.startswith("ScaNN")].to_dict("records")
        ours = [
            row
            for system in SYSTEMS
            if not system.startswith("ScaNN")
            for row in _measured(corpus, system)
        ]
        return [*ours, *scann], False
    return [row for system in SYSTEMS for row in _measured(corpus, system)], True


def committed() -> pd.DataFrame:
    """The rows that `REBUILD` wrote, of icons."""
    return pd.read_csv(verify(_path(), rebuild=REBUILD))


def _measured(corpus: AnnCorpus, system: str) -> Iterator[dict]:
    family, build, option = SYSTEMS[system]
    for rerank in (0,) if system in NOT_RERANKED else (0, RERANK):
        index = VectorSearchIndex(
            corpus.dim, family, **{"metric": corpus.metric, "rerank": rerank} | build
        )
        index.train(corpus.vectors())
        index.add(corpus.vectors())
        for visited in VISITED:
            index.set_search(**{option: visited})
            recalls = recall_percent(
                corpus, lambda queries, index=index: index.search(queries, K)[1]
            )
            yield {"system": system, "rerank": rerank, "visited": visited, **recalls}


def _path() -> Path:
    return artifacts_dir() / "ann" / "score_aware.csv"


def main() -> None:
    """Measures icons with both libraries and writes the rows that are committed."""
    scann_library()
    rows, _ = side_by_side(icons())
    with atomic_path(_path()) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
    write_checksum(_path())


if __name__ == "__main__":
    main()
