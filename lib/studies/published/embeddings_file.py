"""Read a user's embeddings or TREC run, in the order of a corpus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.core.checks import RetrievalInputError, as_real_matrix, check_choice
from lib.core.reading import read_arrays
from lib.metrics import load_trec_run, read_trec_run
from lib.studies.published.evaluation import ids_of

ADVICE = "np.savez with float32 rows and ids.astype(str) writes such a file"
BANK = "bank_"  # prefix of a modality: queries that are not tested


@dataclass(frozen=True)
class GivenRows:
    """Embeddings of a user, in the order of a corpus.

    Args:
        media, text: `(n_items, d)` and `(n_texts, d)`.
        banks: `(n, d)` untested queries by modality.
        corpus: the corpus, without the items that have no row where that was allowed.
        notes: what was left out or not used, as sentences.
    """

    media: np.ndarray
    text: np.ndarray
    banks: dict[str, np.ndarray]
    corpus: Any
    notes: tuple[str, ...] = ()


def read_embeddings(path: str | Path, corpus, *, allow_partial: bool = False) -> GivenRows:
    """Read the embeddings of both sides of a corpus from an `.npz` file.

    One file serves several protocols: rows of other ids are not used, and a note counts them.

    Args:
        path: file with an array per modality of the corpus, such as `image` and `text`, `(n, d)`,
            and its ids, `image_ids` and `text_ids`, `(n,)` in the same order. `media` may stand for
            the modality that is not text. `bank_text` and the like hold untested queries.
        corpus: the corpus. Rows come in any order.
        allow_partial: leave out items without a row, with their texts; a note counts them.

    Returns:
        The rows, for `evaluate_rows`.
    """
    text, media = corpus.directions[0].split("_to_")
    banks = {modality: BANK + modality for modality in (media, text)}
    names = [part for side in (media, "media", text) for part in (side, f"{side}_ids")]
    arrays = read_arrays(path, [*names, *banks.values()], advice=ADVICE)
    given: dict[str, tuple[np.ndarray, dict[str, int], str]] = {}
    for modality in (media, text):
        stem = (
            "media"
            if modality == media and modality not in arrays and "media" in arrays
            else modality
        )
        for name in (stem, f"{stem}_ids"):
            if name not in arrays:
                lacks = repr(modality if name == "media" else name)
                raise RetrievalInputError(
                    f"{path} has no array {lacks}. {corpus.name} needs {media}, {media}_ids,"
                    f" {text} and {text}_ids; the file has {', '.join(arrays) or 'none'} of them"
                )
        where = f"{path}, {stem}"
        row_ids = _ids(arrays[f"{stem}_ids"], f"{where}_ids")
        matrix = as_real_matrix(arrays[stem], where)
        if len(matrix) != len(row_ids):
            raise RetrievalInputError(f"{where}: {len(matrix)} rows have {len(row_ids)} ids")
        given[modality] = matrix, _row_of_id(row_ids, where), where
    _check_banks({m: arrays[name] for m, name in banks.items() if name in arrays}, given)
    notes = []
    if media in arrays and "media" in arrays:
        notes.append(f"the array 'media' was not used: the file has {media!r} too")
    if allow_partial:
        corpus, n_left = _items_with_rows(corpus, given[media][1], given[media][2])
        if n_left:
            notes.append(f"{n_left:,} {media} items have no row: they were left out")
    ids, rows = ids_of(corpus), {}
    for modality, (matrix, row_of, where) in given.items():
        order = _order(row_of, ids[modality], where, is_media=modality == media)
        in_order = order == list(range(len(matrix)))  # then a copy would only cost memory
        rows[modality] = matrix if in_order else matrix[order]
        _check_directions(rows[modality], where, order, ids[modality])
        if len(row_of) > len(ids[modality]):
            n_unused = len(row_of) - len(ids[modality])
            notes.append(f"{n_unused:,} of {len(row_of):,} {modality} rows are not of this"
                         " protocol: they were not used")  # fmt: skip
    banks = {m: arrays[name] for m, name in banks.items() if name in arrays}
    return GivenRows(rows[media], rows[text], banks, corpus, tuple(notes))


def _items_with_rows(corpus, row_of: dict[str, int], where: str) -> tuple[Any, int]:
    """Leave out items without a row; there must be some that have one."""
    absent = [at for at, id_ in enumerate(corpus.item_ids) if id_ not in row_of]
    if len(absent) == len(corpus.item_ids):
        raise RetrievalInputError(
            f"{where}: no id of the corpus has a row; ids look like {corpus.item_ids[0]!r}, got"
            f" {next(iter(row_of), None)!r}"
        )
    return (corpus.without_items(absent) if absent else corpus), len(absent)


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


def check_trec_ids(corpus) -> None:
    """Refuse, before the work, ids that no TREC file can hold: names of sounds have spaces."""
    for side, ids in ids_of(corpus).items():
        spaced = next((id_ for id_ in ids if id_.split() != [id_]), None)
        if spaced is not None:
            raise RetrievalInputError(
                f"--write-trec: the {side} id {spaced!r:.80} of {corpus.name} has a space, which"
                " separates the columns of a TREC file; leave --write-trec out"
            )


def _ids(names: np.ndarray, where: str) -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in "Uiu":
        first = f", the first is {names.flat[0]!r}" if names.size else ""
        raise RetrievalInputError(
            f"{where}: ids have dtype {names.dtype} and shape {names.shape}{first}; expected texts"
            " or whole numbers, one a row, as the corpus has them: ids.astype(str), after"
            " ids.astype(int) for numbers"
        )
    return [str(name) for name in names.tolist()]


def _row_of_id(names: list[str], where: str) -> dict[str, int]:
    """Return the row of each id, and refuse an id that occurs twice."""
    row_of: dict[str, int] = {}
    for row, name in enumerate(names):
        if row_of.setdefault(name, row) != row:
            raise RetrievalInputError(
                f"{where}: id {name!r} occurs twice, in rows {row_of[name]} and {row}"
            )
    return row_of


def _check_banks(banks: Mapping[str, np.ndarray], given: Mapping[str, tuple]) -> None:
    """Refuse sides or banks of different dimensions, and rows of banks without a direction."""
    sides = {where: matrix.shape[1] for matrix, _, where in given.values()}
    first, dim = next(iter(sides.items()))
    for modality, bank in banks.items():
        where = f"{first.rpartition(',')[0]}, {BANK}{modality}"
        sides[where] = as_real_matrix(bank, where).shape[1]
        _check_directions(bank, where)
    for where, other in sides.items():
        if other != dim:
            raise RetrievalInputError(
                f"{where} has rows of dimension {other}, {first} of {dim}; all rows must be of one"
                " model"
            )


def _check_directions(
    rows: np.ndarray, where: str, order: Sequence[int] = (), ids: Sequence[str] = ()
) -> None:
    """Refuse rows without a direction; the error names the first row of the file and its id."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64, casting="same_kind")
    wrong = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if wrong.size:
        at = int(wrong[0])
        row = f"row {order[at]} (id {ids[at]!r})" if ids else f"row {at}"
        holds = "values that are not finite, or too large for float32"
        raise RetrievalInputError(
            f"{where}: {wrong.size:,} of {len(rows):,} rows have no direction, the first is {row},"
            f" which holds {holds if squares[at] else 'only zeros'}. Encode them again; rows of"
            " items that cannot be encoded can be taken out, with allow_partial=True"
            " (--allow-partial)"
        )


def _order(
    row_of: dict[str, int], corpus_ids: tuple[str, ...], where: str, *, is_media: bool
) -> list[int]:
    """Find the row of each id of the corpus."""
    absent = [name for name in corpus_ids if name not in row_of]
    if absent:
        advice = "Give a row for each text: none can be left out while its item stays"
        if is_media:
            advice = "allow_partial=True (--allow-partial) leaves out items without a row"
        raise RetrievalInputError(
            f"{where}: {len(absent):,} of {len(corpus_ids):,} ids of the corpus have no row, the"
            f" first is {absent[0]!r}; the file has ids such as {next(iter(row_of), None)!r}."
            f" `crossmodal data rows` lists those of the corpus. {advice}"
        )
    return [row_of[name] for name in corpus_ids]
