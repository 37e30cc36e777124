"""Miniature of a data set in the form of MTEB and ViDoRe: Parquet with pictures inside."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lib.datasets.miniatures.writing import Miniature, jpeg_bytes, scenes_with_twins
from lib.datasets.scenes import captions, render

N_FAMILIES, N_SINGLE = 6, 16  # of twins, four each; of other scenes
N_QUERIES = 20
GROUP = 12  # rows of a group in the Parquet file
OWN, TWIN = 2, 1  # grades


def write_judged(root: Path) -> Miniature:
    """Write 40 pages, 20 queries and graded judgements, as `corpus/`, `queries/` and `qrels/`.

    The page of a query has grade 2, its three twins grade 1, one other page grade 0.

    Traps: ids are numbers, two queries are judged in no split, two row groups more than one, the
    judgements name grade 0, and a second split has judgements of its own.
    """
    scenes = scenes_with_twins(N_FAMILIES, N_SINGLE, seed=11, start=900)
    pictures = [jpeg_bytes(pixels) for pixels in render(scenes)]
    texts = [page_texts[0] for page_texts in captions(scenes)]
    n = len(pictures)
    pages = {
        "corpus-id": pa.array(range(1, n + 1), pa.int64()),
        "image": pa.array([{"bytes": content, "path": None} for content in pictures]),
    }
    _write(root / "corpus" / "test-00000-of-00001.parquet", pages)
    asked = np.arange(N_QUERIES)
    queries = {"query-id": pa.array(asked), "query": [texts[at] for at in asked]}
    _write(root / "queries" / "test-00000-of-00001.parquet", queries)
    cells = [cell for at in asked[:-2].tolist() for cell in _judgements(at, n)]
    _write(root / "qrels" / "test-00000-of-00001.parquet", _table(cells))
    _write(root / "qrels" / "dev-00000-of-00001.parquet", _table(_judgements(N_QUERIES - 2, n)))
    counts = {"queries": N_QUERIES - 2, "documents": n, "judgements": len(cells)}
    dev = {"queries": 1, "documents": n, "judgements": len(_judgements(N_QUERIES - 2, n))}
    return Miniature({"test": counts, "dev": dev})


def _judgements(at: int, n: int) -> list[tuple[int, int, int]]:
    """Query, page and grade of all judged pages of the query whose page is at a position."""
    in_family = at < 4 * N_FAMILIES
    family = range(at % N_FAMILIES, 4 * N_FAMILIES, N_FAMILIES) if in_family else [at]
    cells = [(at, page + 1, OWN if page == at else TWIN) for page in family]
    return [*cells, (at, n, 0)]


def _table(cells: list[tuple[int, int, int]]) -> dict:
    query, page, grade = zip(*cells)
    return {"query-id": list(query), "corpus-id": list(page), "score": list(grade)}


def _write(path: Path, columns: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=GROUP)
