"""Read a user's embeddings or TREC run, in the order of a corpus."""

from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, as_real_matrix, check_choice
from lib.core.reading import read_arrays
from lib.metrics import load_trec_run, read_trec_run
from lib.studies.published.evaluation import ids_of

BANK = "bank_"  # prefix of a modality: rows of queries that are not tested


def read_embeddings(
    path: str | Path, corpus
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Read the embeddings of both sides of a corpus from an `.npz` file.

    Args:
        path: for each modality of the corpus an array with its name, `image` and `text`, `(n, d)`,
            and its ids, `image_ids` and `text_ids`, `(n,)` texts in the same order. `media` may
            stand for the modality that is not text. `bank_text` and the like hold rows of queries
            that are not tested.
        corpus: the corpus. Rows come in any order; ids decide. Rows of other items are refused:
            the file belongs to another corpus or split.

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
        given = "media" if modality == media and modality not in arrays else modality
        for name in (given, f"{given}_ids"):
            if name not in arrays:
                raise RetrievalInputError(
                    f"{path} has no array {name!r}; of what is needed it has"
                    f" {', '.join(arrays) or 'none'}. For {corpus.name} it needs {media},"
                    f" {media}_ids, {text} and {text}_ids"
                )
        where = f"{path}, {given}"
        own, of = _ids(arrays[f"{given}_ids"], f"{where}_ids"), as_real_matrix(arrays[given], where)
        if len(of) != len(own):
            raise RetrievalInputError(f"{where}: {len(of)} rows have {len(own)} ids")
        rows[modality] = of[_order(own, ids[modality], where)]
    return rows[media], rows[text], {m: arrays[name] for m, name in banks.items() if name in arrays}


def read_run(
    path: str | Path, corpus, direction: str | None = None
) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    """Read a TREC run file with the ids of a corpus.

    Args:
        path: the file; queries that it lacks have empty lists.
        corpus: the corpus.
        direction: None where the ids tell it: all queries are texts, or all are media.

    Returns:
        The direction, and `(scores, ids)` in the order of the corpus, for `evaluate_ranking`.
    """
    ids = ids_of(corpus)
    queries = set(read_trec_run(path))
    fitting = [name for name in corpus.directions if queries <= set(ids[name.split("_to_")[0]])]
    if direction is None and len(fitting) != 1:
        raise RetrievalInputError(
            f"{path}: its query ids fit {' and '.join(fitting) or 'neither side'} of {corpus.name};"
            f" {'say which direction it is' if fitting else 'use the ids of the corpus'}"
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
    return [str(one) for one in names.tolist()]


def _order(names: list[str], wanted: tuple[str, ...], where: str) -> list[int]:
    """Find the row of each wanted id."""
    at: dict[str, int] = {}
    for place, name in enumerate(names):
        if at.setdefault(name, place) != place:
            raise RetrievalInputError(
                f"{where}: id {name!r} is there twice, rows {at[name]} and {place}"
            )
    absent = [name for name in wanted if name not in at]
    if absent:
        raise RetrievalInputError(
            f"{where}: {len(absent):,} of {len(wanted):,} ids of the corpus have no row, the first"
            f" is {absent[0]!r}"
        )
    if len(names) > len(wanted):
        known = set(wanted)
        strange = next(name for name in names if name not in known)
        raise RetrievalInputError(
            f"{where}: {len(names) - len(wanted):,} rows are not of this corpus, the first is"
            f" {strange!r}"
        )
    return [at[name] for name in wanted]
