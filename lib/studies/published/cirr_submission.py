"""Write the rankings of CIRR's test split, whose targets only the server of the authors knows."""

import json
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, unit_rows
from lib.core.qrels import Qrels
from lib.core.writing import atomic_path
from lib.datasets.cirr import VERSION
from lib.datasets.composed import ComposedQueries
from lib.studies.published.composed import checked_rows

SUBMITTED = {"image": 50, "subset": 3}  # ranks that the server takes
SERVER_METRICS = {"image": "recall", "subset": "recall_subset"}


def write_submission(
    folder: str | Path, image_rows, query_rows, corpus: ComposedQueries
) -> list[Path]:
    """Write the two files of rankings that CIRR's evaluation server takes.

    `recall.json` has the first 50 pictures of every pair, `recall_subset.json` the first 3 of its
    set, best first, without the reference; equal scores in the order of the split.

    Args:
        folder: made where it does not exist.
        image_rows, query_rows, corpus: as for `evaluate_composed`.

    Returns:
        The paths of the files.

    Reference: Cuberick-Orion/CIRR, Test-split_server.md.
    """
    names = {one.name: one for one in corpus.galleries}
    if set(names) != set(SUBMITTED) or corpus.reference != "removed":
        raise RetrievalInputError(
            f"a submission is of cirr with reference=removed, not of {corpus.name} with"
            f" reference={corpus.reference}"
        )
    image_rows, query_rows = checked_rows(image_rows, query_rows, corpus)
    ranked = {
        "image": _ranked_whole(image_rows, query_rows, corpus),
        "subset": _ranked_sets(image_rows, query_rows, names["subset"].members),
    }
    paths = []
    for name, lists in ranked.items():
        content = {"version": VERSION, "metric": SERVER_METRICS[name]}
        for id_, items in zip(corpus.text_ids, lists, strict=True):
            content[id_] = [corpus.item_ids[at] for at in items[: SUBMITTED[name]]]
        path = Path(folder) / f"{SERVER_METRICS[name]}.json"
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
        paths.append(path)
    return paths


def _ranked_whole(
    image_rows: np.ndarray, query_rows: np.ndarray, corpus: ComposedQueries
) -> list[list[int]]:
    """Rank the whole gallery of every query, and drop its reference."""
    from lib.index.exact import topk_exact  # the evaluation itself needs no index

    _, ids = topk_exact(query_rows, image_rows, min(SUBMITTED["image"] + 1, len(image_rows)))
    return [
        [at for at in row if at != reference]
        for row, reference in zip(ids.tolist(), corpus.references.tolist(), strict=True)
    ]


def _ranked_sets(image_rows: np.ndarray, query_rows: np.ndarray, members: Qrels) -> list[list[int]]:
    """Rank the set of every query."""
    images, queries = (
        unit_rows(rows, name).astype(np.float64)
        for rows, name in ((image_rows, "image rows"), (query_rows, "query rows"))
    )
    ranked = []
    for query, vector in enumerate(queries):
        items, _ = members.row(query)
        ranked.append(items[np.argsort(-(images[items] @ vector), kind="stable")].tolist())
    return ranked
