"""Read a user's embeddings or TREC run, in the order of a corpus."""

from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, as_real_matrix, check_choice
from lib.core.reading import read_arrays
from lib.metrics import load_trec_run, read_trec_run
from lib.studies.published.evaluation import ids_of

BANK = "bank_"  # prefix of a modality: queries that are not tested


def read_embeddings(
    path: str | Path, corpus
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Read the embeddings of both sides of a corpus from an `.npz` file.

    Args:
        path: file with an array per modality of the corpus, such as `image` and `text`, `(n, d)`,
            and its ids, `image_ids` and `text_ids`, `(n,)` in the same order. `media` may stand for
            the modality that is not text. `bank_text` and the like hold untested queries.
        corpus: the corpus. Rows come in any order; rows of other items are refused.

    Returns:
        `(media_rows, text_rows, banks)`, the first two in the order of the corpus, for
        `evaluate_rows`.
    """
    ids = ids_of(corpus)
    text, media = corpus.directions[0].split("_to_")
    banks = {modality: BANK + modality for modality in (media, text)}
    names = [part for side in (media, "media", text) for part in (side, f"{side}_ids")]
    arrays = read_arrays(path, [*names, *banks.values()], advice="np.savez writes such a file")
    rows = {}
    for modality in (media, text):
        stem = "media" if modality == media and modality not in arrays else modality
        for name in (stem, f"{stem}_ids"):
            if name not in arrays:
                raise RetrievalInputError(
                    f"{path} has no array {name!r}. {corpus.name} needs {media}, {media}_ids,"
                    f" {text} and {text}_ids; the file has {', '.join(arrays) or 'none'} of them"
                )
        where = f"{path}, {stem}"
        row_ids = _ids(arrays[f"{stem}_ids"], f"{where}_ids")
        matrix = as_real_matrix(arrays[stem], where)
        if len(matrix) != len(row_ids):
            raise RetrievalInputError(f"{where}: {len(matrix)} rows have {len(row_ids)} ids")
        rows[modality] = matrix[_order(row_ids, ids[modality], where)]
    return rows[media], rows[text], {m: arrays[name] for m, name in banks.items() if name in arrays}


def read_run(
    path: str | Path, corpus, direction: str | None = None
) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    """Read a TREC run file with the ids of a corpus.

    Args:
        path: the file; queries that it lacks have empty lists.
        corpus: the corpus.
        direction: needed only where the ids fit both directions.

    Returns:
        The direction, and `(scores, ids)` in the order of the corpus, for `evaluate_ranking`.
    """
    ids = ids_of(corpus)
    queries = set(read_trec_run(path))
    fitting = [name for name in corpus.directions if queries <= set(ids[name.split("_to_")[0]])]
    if direction is None and len(fitting) != 1:
        raise RetrievalInputError(
            f"{path}: its query ids fit {' and '.join(fitting) or 'neither side'} of {corpus.name};"
            f" {'give the direction' if fitting else 'use the ids of the corpus'}"
        )
    direction = direction or fitting[0]
    if check_choice(direction, corpus.directions, "direction") not in fitting:
        raise RetrievalInputError(
            f"{path}: not all query ids are {direction.split('_to_')[0]} ids of {corpus.name}"
        )
    query_side, gallery_side = direction.split("_to_")
    return direction, load_trec_run(path, ids[query_side], ids[gallery_side])


def _ids(names: np.ndarray, where: str) -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in "Uiu":
        first = f", the first is {names.flat[0]!r}" if names.size else ""
        raise RetrievalInputError(
            f"{where}: ids have dtype {names.dtype} and shape {names.shape}{first}; expected texts"
            " or whole numbers, one a row, as the corpus has them: ids.astype(str), after"
            " ids.astype(int) for numbers"
        )
    return [str(name) for name in names.tolist()]


def _order(names: list[str], corpus_ids: tuple[str, ...], where: str) -> list[int]:
    """Find the row of each id of the corpus."""
    row_of: dict[str, int] = {}
    for row, name in enumerate(names):
        if row_of.setdefault(name, row) != row:
            raise RetrievalInputError(
                f"{where}: id {name!r} occurs twice, in rows {row_of[name]} and {row}"
            )
    absent = [name for name in corpus_ids if name not in row_of]
    if absent:
        raise RetrievalInputError(
            f"{where}: {len(absent):,} of {len(corpus_ids):,} ids of the corpus have no row, the"
            f" first is {absent[0]!r}"
        )
    foreign = list(row_of.keys() - set(corpus_ids))
    if foreign:
        raise RetrievalInputError(
            f"{where}: {len(foreign):,} rows are not of this corpus, the first is"
            f" {min(foreign, key=row_of.get)!r}"
        )
    return [row_of[name] for name in corpus_ids]
