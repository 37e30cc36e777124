"""TREC files: reading and writing of runs and of relevance judgements (qrels).

run    `query Q0 document rank score tag`     the rank is ignored, as in trec_eval
qrels  `query 0 document grade`               grades below 1 mean not relevant
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np

from lib.core.checks import (
    LARGEST_TABLE,
    RetrievalInputError,
    as_array,
    check_count,
    check_distinct,
    check_finite,
    check_switch,
    is_unicode,
)
from lib.core.qrels import MAX_GRADE, Qrels, check_qrels
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.core.writing import atomic_path
from lib.metrics.runs import as_ranked_ids

RUN_COLUMNS = "query Q0 document rank score tag"
QRELS_COLUMNS = "query 0 document grade"


@dataclass(frozen=True, eq=False)
class TrecData:
    """A run and its judgements as arrays, ready for `evaluate`.

    `run` is `(scores, ids)`, both `(n_queries, depth)`, with -1 and -infinity where a list has
    ended.
    """

    run: tuple[np.ndarray, np.ndarray]
    qrels: Qrels
    query_ids: list
    item_ids: list


def read_trec_run(path: str | Path) -> dict[str, dict[str, float]]:
    """Read a TREC run file: `{query: {document: score}}`, as pytrec_eval and ranx take it."""

    return _read(path, RUN_COLUMNS, "score", "a finite number", _score_of)


def read_trec_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Read a TREC qrels file: `{query: {document: grade}}`, all grades as they are in the file."""
    return _read(path, QRELS_COLUMNS, "grade", f"a whole number up to {MAX_GRADE}", _grade_of)


def load_trec(
    run_path: str | Path,
    qrels_path: str | Path,
    *,
    query_ids: Sequence | None = None,
    item_ids: Sequence | None = None,
    depth: int | None = None,
    complete: bool = False,
) -> TrecData:
    """Load a run file and a qrels file into arrays for `evaluate`, with the order of trec_eval.

    trec_eval sorts each list by score in single precision, and equal scores by document id, z
    before a. It gives 0 to a query without relevant documents (`no_relevant="zero"`).

    Args:
        run_path, qrels_path: the two files.
        query_ids: ids of the queries in the order of your arrays, text or numbers. None: the
            queries of the qrels file that are in the run file, in the order of the qrels file.
        item_ids: ids of the gallery in the order of your arrays. None: all documents of both files,
            z before a, which makes the tie rule "id" of `evaluate` that of trec_eval. With ids of
            your own, give `evaluate` the ids of the run alone to keep the order of trec_eval.
        depth: length of the lists; None: that of the longest. Longer lists are cut.
        complete: also count the judged queries that the run file lacks, as `trec_eval -c`.

    Returns:
        A `TrecData`. Queries that the run file lacks have empty lists.
    """
    complete = check_switch(complete, "complete")
    run, judged = read_trec_run(run_path), read_trec_qrels(qrels_path)
    if query_ids is None:
        query_ids = [query for query in judged if complete or query in run]
        if not query_ids:
            raise RetrievalInputError(
                f"no query of {qrels_path} is in {run_path}; do both files use the same query ids?"
            )
    if item_ids is None:
        documents = {document for of in (run, judged) for row in of.values() for document in row}
        item_ids = sorted(documents, reverse=True)
    queries, items = _texts(query_ids, "query"), _texts(item_ids, "item")
    known = set(queries)
    relevant = {
        query: {document: grade for document, grade in row.items() if grade > 0}
        for query, row in judged.items()
        if query in known
    }
    arrays = _run_arrays(run, queries, items, run_path, depth)
    qrels = Qrels.from_ids(relevant, queries, items)
    return TrecData(arrays, qrels, list(query_ids), list(item_ids))


def load_trec_run(
    path: str | Path, query_ids: Sequence, item_ids: Sequence, *, depth: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Load a run file into `(scores, ids)` for `evaluate`, in the order of your queries and items.

    Lists are sorted as by trec_eval. Queries that the run file lacks have empty lists.

    Args:
        path: the file; other queries than yours in it are left out.
        query_ids: ids of the queries in the order of your arrays, text or numbers.
        item_ids: ids of the gallery in the order of your arrays.
        depth: length of the lists; None: that of the longest. Longer lists are cut.

    Returns:
        `(scores, ids)`, both `(n_queries, depth)`; -infinity and -1 where a list has ended.
    """
    queries, items = _texts(query_ids, "query"), _texts(item_ids, "item")
    return _run_arrays(read_trec_run(path), queries, items, path, depth)


def write_trec_run(
    path: str | Path,
    run,
    query_ids: Sequence | None = None,
    item_ids: Sequence | None = None,
    *,
    tag: str = "run",
) -> None:
    """Write a run as a TREC run file, atomically.

    Args:
        path: the file.
        run: `(scores, ids)`, best first, or ids alone, both `(n_queries, depth)`, -1 behind the
            last item of a list. Ids alone get the scores depth, ..., 1. Other tools then keep this
            order; equal scores they sort by document id.
        query_ids, item_ids: id of every query and of every item, text without spaces or numbers;
            their positions when None.
        tag: name of the run, the last column.
    """
    scores, ids = run if isinstance(run, tuple) and len(run) == 2 else (None, run)
    items = None if item_ids is None else _texts(item_ids, "item")
    ids = as_ranked_ids(ids, None if items is None else len(items))
    gaps = (ids[:, :-1] < 0) & (ids[:, 1:] >= 0)
    if gaps.any():
        row, column = np.argwhere(gaps)[0]
        raise RetrievalInputError(
            f"row {row} of the run has no item at rank {column + 1}, but one behind it; a TREC file"
            " has no empty ranks, so the item would move up"
        )
    if scores is None:
        scores = np.broadcast_to(np.arange(ids.shape[1], 0, -1), ids.shape)
    scores = as_array(scores, "scores")
    if scores.shape != ids.shape or scores.dtype.kind not in "iuf":
        got = f"{scores.dtype} {scores.shape}"
        raise RetrievalInputError(f"scores must be numbers of shape {ids.shape}, got {got}")
    finite = np.isfinite(scores) | (ids < 0)
    check_finite(scores, "scores", "TREC files hold finite numbers", finite=finite)
    rises = (scores[:, 1:] > scores[:, :-1]) & (ids[:, 1:] >= 0)
    if rises.any():
        row, column = np.argwhere(rises)[0]
        raise RetrievalInputError(
            f"scores of row {row} rise from {scores[row, column]} to {scores[row, column + 1]} at"
            f" rank {column + 2}; a run is best first, and distances must be negated"
        )
    queries = _texts(query_ids, "query", len(ids))
    items = _texts(None, "item", int(ids.max()) + 1) if items is None else items
    (tag,) = _texts([tag], "tag")
    lines = (
        f"{queries[row]} Q0 {items[item]} {rank} {score} {tag}\n"
        for row in range(len(ids))
        for rank, (item, score) in enumerate(zip(ids[row].tolist(), scores[row].tolist()), 1)
        if item >= 0
    )
    _write(path, lines)


def write_trec_qrels(
    path: str | Path,
    qrels: Qrels,
    query_ids: Sequence | None = None,
    item_ids: Sequence | None = None,
) -> None:
    """Write judgements as a TREC qrels file, atomically.

    Args:
        path: the file.
        qrels: the judgements. A query without any has no line in the file.
        query_ids, item_ids: as in `write_trec_run`.
    """
    check_qrels(qrels)
    queries = _texts(query_ids, "query", qrels.shape[0])
    items = _texts(item_ids, "item", qrels.shape[1])
    cells = zip(qrels.query_index.tolist(), qrels.items.tolist(), qrels.grades.tolist())
    _write(path, (f"{queries[query]} 0 {items[item]} {grade}\n" for query, item, grade in cells))


def _read(
    path: str | Path, columns: str, value_name: str, expected: str, parse: Callable[[str], float]
) -> dict[str, dict]:
    """Read `{query: {document: value}}`; an error names the line and what was expected there."""
    path, names = Path(path), columns.split()
    if not path.is_file():
        raise MissingFileError(f"{path} is missing; each of its lines must be '{columns}'")
    rows: dict[str, dict] = {}
    with (
        reading(path, "no TREC file", f"Each line must be '{columns}'"),
        open(path, encoding="utf-8-sig") as lines,
    ):
        for number, line in enumerate(lines, 1):
            fields = line.split()
            if not fields:
                continue
            if len(fields) != len(names):
                raise DamagedFileError(
                    f"{path}, line {number}: expected {len(names)} columns '{columns}', got"
                    f" {len(fields)}: {line.strip()[:100]!r}"
                )
            query, document, text = fields[0], fields[2], fields[names.index(value_name)]
            row = rows.setdefault(query, {})
            if document in row:
                raise DamagedFileError(
                    f"{path}, line {number}: document {document!r} is there twice for query"
                    f" {query!r}; leave one of the lines out"
                )
            try:
                row[document] = parse(text)
            except ValueError as error:
                raise DamagedFileError(
                    f"{path}, line {number}: the {value_name} must be {expected}, got {text!r}"
                ) from error
    if not rows:
        raise DamagedFileError(f"{path} is empty; each of its lines must be '{columns}'")
    return rows


def _run_arrays(
    run: Mapping[str, Mapping[str, float]],
    queries: Sequence[str],
    items: Sequence[str],
    path: str | Path,
    depth: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lists of `queries` as `(scores, ids)`, best first."""
    position = {item: at for at, item in enumerate(items)}
    lists = [_ranked(run.get(query, {}), query, position, path) for query in queries]
    longest = max(1, *(len(ids) for ids, _ in lists))
    most = max(longest, LARGEST_TABLE // len(lists))
    depth = longest if depth is None else check_count(depth, "depth", most=most)
    ids = np.full((len(lists), depth), -1)
    scores = np.full((len(lists), depth), -np.inf, np.float32)
    for row, (row_ids, row_scores) in enumerate(lists):
        n = min(len(row_ids), depth)
        ids[row, :n], scores[row, :n] = row_ids[:n], row_scores[:n]
    return scores, ids


def _ranked(
    row: Mapping[str, float], query: str, position: Mapping[str, int], path: str | Path
) -> tuple[list[int], list[float]]:
    """Return positions and scores of one list, best first, in the order of trec_eval."""
    documents = list(row)
    with np.errstate(over="ignore"):  # beyond float32 trec_eval has infinite scores, all equal
        scores = np.array(list(row.values()), np.float32).tolist()
    best_first = sorted(zip(scores, documents), reverse=True)
    unknown = next((document for _, document in best_first if document not in position), None)
    if unknown is not None:
        raise RetrievalInputError(
            f"document {unknown!r}, returned for query {query!r} in {path}, is not among the"
            f" {len(position)} item ids"
        )
    return [position[document] for _, document in best_first], [score for score, _ in best_first]


def _texts(ids: Sequence | None, kind: str, least: int = 1) -> list[str]:
    """Return ids as distinct texts without spaces; positions when `ids` is None."""
    if ids is None:
        return [str(position) for position in range(least)]
    unordered = isinstance(ids, str | bytes | Set | Iterator) or not isinstance(ids, Iterable)
    if unordered or getattr(ids, "ndim", 1) != 1:
        raise RetrievalInputError(f"{kind}_ids must be a list of ids in order, got {ids!r}")
    texts = [_text_of(name, kind) for name in (ids.tolist() if hasattr(ids, "tolist") else ids)]
    if len(texts) < least:
        raise RetrievalInputError(f"{kind}_ids must hold at least {least} ids, got {len(texts)}")
    for position, text in enumerate(texts):
        if text.split() != [text]:
            raise RetrievalInputError(
                f"{kind} id {text!r} at position {position} is empty or has a space in it, which"
                " separates the columns of a TREC file"
            )
    check_distinct(texts, kind, f"{kind}_ids")
    return texts


def _text_of(name, kind: str) -> str:
    if isinstance(name, bool) or not isinstance(name, str | Integral):
        raise RetrievalInputError(
            f"{kind} id {name!r} must be a text or a whole number, as in the files"
        )
    text = str(name)
    if not is_unicode(text) or text.startswith("\ufeff"):  # readers take U+FEFF for a BOM
        raise RetrievalInputError(f"{kind} id {text!r} cannot be written in a UTF-8 file")
    return text


def _score_of(text: str) -> float:
    score = float(text)
    if not math.isfinite(score) or not _is_plain(text):
        raise ValueError
    return score


def _grade_of(text: str) -> int:
    grade = int(text)
    if grade > MAX_GRADE or not _is_plain(text):
        raise ValueError
    return grade


def _is_plain(text: str) -> bool:
    """Tell whether it is a number for trec_eval too: Python also knows 1_000 and other digits."""
    return text.isascii() and "_" not in text


def _write(path: str | Path, lines: Iterator[str]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.writelines(lines)
