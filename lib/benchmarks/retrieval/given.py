"""Embeddings that the reader computed: a file of rows and ids, put into the order of a corpus."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from lib.benchmarks.retrieval.evaluation import ids_of
from lib.checks import RetrievalInputError, as_real_matrix
from lib.files import DamagedFileError, MissingFileError

BANK = "bank_"  # before the modality: rows of queries that are not tested


def read_rows(path: str | Path, corpus) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Reads the embeddings of both sides of a corpus from an `.npz` file.

    Args:
        path: for each modality of the corpus an array named after it, `image` and `text`, `(n, d)`, and its
            ids beside it, `image_ids` and `text_ids`, `(n,)` texts in the same order. `media` may stand for
            the modality that is not text. `bank_text` and the like hold rows of queries that are not tested.
        corpus: what they are embeddings of. Rows come in any order; ids decide.

    Returns:
        `(media_rows, text_rows, banks)`, the first two in the order of the corpus, for `evaluate_rows`.

    Raises:
        MissingFileError: there is no such file.
        DamagedFileError: it is no `.npz` file, or holds objects.
        RetrievalInputError: an array or ids that are missing, as many rows as ids not, an id that is there
            twice, or an item of the corpus without a row. Rows of other items are refused too: they say that
            the file belongs to another corpus or split.
    """
    arrays, ids = _arrays(Path(path)), ids_of(corpus)
    text, media = corpus.directions[0].split("_to_")
    rows = {}
    for modality in (media, text):
        given = "media" if modality == media and modality not in arrays else modality
        for name in (given, f"{given}_ids"):
            if name not in arrays:
                raise RetrievalInputError(
                    f"{path} has no array {name!r}; it has {', '.join(arrays) or 'none'}. For {corpus.name} "
                    f"it needs {media}, {media}_ids, {text} and {text}_ids"
                )
        rows[modality] = _in_order(arrays[given], arrays[f"{given}_ids"], ids[modality], f"{path}, {given}")
    banks = {m: arrays[BANK + m] for m in (media, text) if BANK + m in arrays}
    return rows[media], rows[text], banks


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise MissingFileError(f"{path} is missing; np.savez writes such a file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise DamagedFileError(f"{path} is no .npz file of plain arrays: {error}") from error


def _in_order(rows: np.ndarray, names: np.ndarray, wanted: tuple[str, ...], where: str) -> np.ndarray:
    rows, names = as_real_matrix(rows, where), [str(name) for name in np.ravel(names).tolist()]
    if len(rows) != len(names):
        raise RetrievalInputError(f"{where}: {len(rows)} rows have {len(names)} ids")
    at: dict[str, int] = {}
    for place, name in enumerate(names):
        if at.setdefault(name, place) != place:
            raise RetrievalInputError(f"{where}: id {name!r} is there twice, rows {at[name]} and {place}")
    absent = [name for name in wanted if name not in at]
    if absent:
        raise RetrievalInputError(
            f"{where}: {len(absent):,} of {len(wanted):,} ids of the corpus have no row, the first is "
            f"{absent[0]!r}"
        )
    if len(names) > len(wanted):
        known = set(wanted)
        strange = next(name for name in names if name not in known)
        raise RetrievalInputError(
            f"{where}: {len(names) - len(wanted):,} rows are not of this corpus, the first is {strange!r}"
        )
    return rows[[at[name] for name in wanted]]
