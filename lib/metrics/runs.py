"""Validation of runs and relevance targets."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_choice, check_count, whole_numbers
from lib.core.qrels import Qrels, check_qrels

TABLE_CELLS = 2**20  # of the lookup of grades: 2 MB, small enough to stay in cache
SPARSE = 16  # from this many items per place of a list, sorting the list is faster than a table

# ---- lists of ids


def as_ranked_ids(ranked_ids, n_items: int | None = None) -> np.ndarray:
    """Check a run and return int64: whole numbers, no item twice in a row, all below `n_items`."""
    ids = as_array(ranked_ids, "the run")
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or 0 in ids.shape:
        expected = "whole numbers of shape (n_queries, depth), at least one of each"
        raise RetrievalInputError(f"a run must be {expected}, got {ids.dtype} {ids.shape}")
    ids = whole_numbers(ids, "the run", ndim=2)
    outside = ids < -1 if n_items is None else (ids < -1) | (ids >= n_items)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        gallery = "-1 or more"
        if n_items is not None:
            gallery = f"-1..{n_items - 1} (gallery positions, -1 for no item)"
        cell = f"id {ids[row, column]} in row {row} of the run"
        raise RetrievalInputError(f"{cell} is outside {gallery}")
    if (repeat := _first_repeat(ids)) is not None:
        raise RetrievalInputError(
            f"id {repeat[1]} is twice in row {repeat[0]} of the run; a list that repeats an item "
            "has no defined rank for it"
        )
    return ids


def _first_repeat(ids: np.ndarray) -> tuple[int, int] | None:
    """Return the first row that holds an item twice, and that item; None if there is none."""
    width = int(ids.max()) + 2  # -1 of a row marks the last column of the row before
    if ids.shape[1] * SPARSE < width:
        return _first_repeat_by_sorting(ids)
    # Distinct items mark distinct cells. Counting marks takes a fifth of the time of sorting.
    at_once = max(1, TABLE_CELLS // width)
    marks = np.empty((min(at_once, len(ids)), width), bool)
    for start in range(0, len(ids), at_once):
        rows = ids[start : start + at_once]
        marks[:] = False
        marks.ravel()[(np.arange(len(rows))[:, None] * width + rows).ravel()] = True
        if np.count_nonzero(marks[:, :-1]) < np.count_nonzero(rows >= 0):
            row, item = _first_repeat_by_sorting(rows)
            return start + row, item
    return None


def _first_repeat_by_sorting(ids: np.ndarray) -> tuple[int, int] | None:
    ordered = np.sort(ids, axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if not repeated.any():
        return None
    row, column = np.argwhere(repeated)[0]
    return int(row), int(ordered[row, column])


def check_depth(k, depth: int) -> int:
    """Return a cut-off as `int` when the run is that deep."""
    k = check_count(k, "k")
    if k > depth:
        advice = f"search with k={k} or more"
        raise RetrievalInputError(f"k must be at most {depth} (the run), got {k}; {advice}")
    return k


def check_deep_enough(counts: np.ndarray, depth: int, n_items: int) -> None:
    """Refuse a run that ends before rank R of some query, for metrics with cut-off R."""
    if depth < min(counts.max(initial=0), n_items):
        query = int(np.argmax(counts > depth))
        raise RetrievalInputError(
            f"query {query} has R = {counts[query]} relevant items, the run holds {depth} items per"
            f" query; search with k={counts.max()}, or fill up with -1 if nothing more was found"
        )


# ---- targets


def as_targets(targets, n_queries: int, largest_id: int) -> Qrels:
    """Turn every form of targets of the metrics into `Qrels`; `largest_id` is that of the run."""
    if not isinstance(targets, Qrels):
        rows = _target_rows(targets, n_queries)
        parts = [(i, *_ids_and_grades(row, i)) for i, row in enumerate(rows) if np.iterable(row)]
        if parts:
            single = [(i, [row], [1]) for i, row in enumerate(rows) if not np.iterable(row)]
            numbers, ids, grades = zip(*parts, *single, strict=True)
            lists = [whole_numbers(of, f"targets[{i}]") for i, of in zip(numbers, ids, strict=True)]
            queries = np.repeat(numbers, [of.size for of in lists])
            items, grades = np.concatenate(lists), np.concatenate(grades)
        else:
            items, grades = whole_numbers(rows, "targets"), None
            queries = np.arange(items.size)
        n_items = 1 + max(int(largest_id), int(items.max(initial=0)))
        targets = Qrels.from_pairs(queries, items, grades, shape=(len(rows), n_items))
    if targets.shape[0] != n_queries:
        n = targets.shape[0]
        raise RetrievalInputError(f"targets must be for {n_queries} queries (the run), got {n}")
    return targets


def _target_rows(targets, n_queries: int) -> list:
    """Return the targets of each query, in order of the queries."""
    if isinstance(targets, Mapping):
        name = "the keys of targets (query positions, see Qrels.from_ids)"
        keys = whole_numbers(list(targets), name)
        if keys.size and not 0 <= keys.min() <= keys.max() < n_queries:
            wrong = keys[(keys < 0) | (keys >= n_queries)][0]
            raise RetrievalInputError(
                f"targets name query {wrong}; the run has the queries 0..{n_queries - 1}. "
                "For queries with names of their own use Qrels.from_ids"
            )
        return [targets.get(query, ()) for query in range(n_queries)]
    # Objects of pandas have labels besides positions, and sets have no order.
    no_order = isinstance(targets, str | bytes | Set) or hasattr(targets, "iloc")
    if no_order or not np.iterable(targets):
        raise RetrievalInputError(
            "targets must be Qrels, a list with the relevant ids of each query, or {query"
            f" position: ids}}, got {type(targets).__name__}. From a table of pairs:"
            " Qrels.from_pairs(query, item, shape=...)"
        )
    arrays = isinstance(targets, np.ndarray) or hasattr(targets, "detach")
    return list(as_array(targets, "targets") if arrays else targets)


def _ids_and_grades(row, query: int) -> tuple[Sequence, Sequence]:
    if isinstance(row, str | bytes):
        raise RetrievalInputError(f"targets[{query}] must be a list of ids, got {row!r}")
    if isinstance(row, Mapping):
        return list(row), whole_numbers(list(row.values()), f"grades in targets[{query}]")
    row = row if isinstance(row, np.ndarray) or hasattr(row, "detach") else list(row)
    return row, np.ones(len(row), np.int64)


def check_judgements(qrels, n_queries: int, n_items: int) -> None:
    """Refuse anything but `Qrels` of that shape."""
    check_qrels(qrels)
    if qrels.shape != (n_queries, n_items):
        raise RetrievalInputError(
            f"qrels have shape {qrels.shape} (queries, items), the scores would have"
            f" {(n_queries, n_items)}; if they are swapped, qrels.T is the other direction"
        )


# ---- grades of a run


def judge(ranked_ids, targets, k, no_relevant: str) -> tuple[np.ndarray, Qrels]:
    """Return grades of the first k items, `(n_queries, k)` int16, and the targets as `Qrels`."""
    check_choice(no_relevant, ("error", "zero"), "no_relevant")
    ids = as_ranked_ids(ranked_ids, targets.n_items if isinstance(targets, Qrels) else None)
    qrels = as_targets(targets, len(ids), ids.max())
    queries_without_relevant(qrels, no_relevant)
    k = ids.shape[1] if k is None else check_depth(k, ids.shape[1])
    return grades_in(ids[:, :k], qrels), qrels


def grades_in(ids: np.ndarray, qrels: Qrels) -> np.ndarray:
    """Look up grades like `qrels.grades_of`, by a table for a block of queries: int16 as `ids`."""
    if qrels.n_items > TABLE_CELLS:
        return qrels.grades_of(ids)
    width = qrels.n_items + 1  # the last column stays 0: -1 of the next row reads it
    grades = np.empty(ids.shape, np.int16)
    at_once = max(1, TABLE_CELLS // width)
    table = np.zeros(min(at_once, len(ids)) * width, np.int16)
    for start in range(0, len(ids), at_once):
        rows = ids[start : start + at_once]
        cells = slice(qrels.indptr[start], qrels.indptr[start + len(rows)])
        counts = np.diff(qrels.indptr[start : start + len(rows) + 1])
        owner = np.repeat(np.arange(len(rows)), counts)
        judged = owner * width + qrels.items[cells]
        table[judged] = qrels.grades[cells]
        places = np.arange(len(rows))[:, None] * width + rows
        np.take(table, places, out=grades[start : start + at_once])
        table[judged] = 0
    return grades


# ---- queries that count


def queries_without_relevant(qrels: Qrels, no_relevant: str) -> np.ndarray:
    """Return positions of queries without relevant items; an error under the policy "error"."""
    empty = np.flatnonzero(qrels.counts == 0)
    if empty.size and no_relevant == "error":
        more = f" (and {empty.size - 1} more queries)" if empty.size > 1 else ""
        raise RetrievalInputError(
            f"query {empty[0]} has no relevant item{more}, so its metrics are undefined; count it"
            " as a miss with no_relevant='zero', or leave such queries out of run and targets"
        )
    return empty


@dataclass(frozen=True, eq=False)
class CountedQueries:
    """The queries that an evaluation counts.

    Args:
        positions: `(n,)` all queries, unless those without relevant items were skipped.
        qrels: their judgements, of every grade.
        counts: `(n,)` number of items with at least `hit_grade`.
        groups: `(n,)` their clusters, or None.
        n_without: queries without relevant items, skipped or not.
    """

    positions: np.ndarray
    qrels: Qrels
    counts: np.ndarray
    groups: np.ndarray | None
    hit_grade: int
    n_without: int


def count_queries(qrels: Qrels, hit_grade: int, groups, no_relevant: str) -> CountedQueries:
    """Select queries by the policy "error", "skip" or "zero" for those without relevant items."""
    check_choice(no_relevant, ("error", "skip", "zero"), "no_relevant")
    n_queries, hit_grade = qrels.shape[0], check_count(hit_grade, "hit_grade")
    groups = None if groups is None else checked_groups(groups, n_queries)
    relevant = qrels.at_least(hit_grade)
    without = queries_without_relevant(relevant, no_relevant)
    positions, counts = np.arange(n_queries), relevant.counts
    if no_relevant == "skip" and without.size:
        positions = np.flatnonzero(counts)
        if positions.size == 0:
            raise RetrievalInputError("no query has a relevant item; skipping them leaves nothing")
        qrels, counts = qrels.take_queries(positions), counts[positions]
        groups = None if groups is None else groups[positions]
    return CountedQueries(positions, qrels, counts, groups, hit_grade, without.size)


def checked_groups(groups, n_queries: int) -> np.ndarray:
    """Return the cluster label of every query, `(n_queries,)`."""
    labels = as_array(groups, "groups")
    if labels.shape != (n_queries,):
        raise RetrievalInputError(f"groups have shape {labels.shape} for {n_queries} queries")
    if labels.dtype.kind not in "biufSU" or (labels.dtype.kind == "f" and np.isnan(labels).any()):
        raise RetrievalInputError(f"groups must be numbers or texts, got {labels.dtype}")
    return labels


# ---- runs with scores


def checked_run(run, qrels: Qrels) -> tuple[np.ndarray | None, np.ndarray]:
    """Return scores (or None) and ids of a run that fits the judgements, ties in order of id."""
    scores, ids = run if isinstance(run, tuple) and len(run) == 2 else (None, run)
    check_qrels(qrels)
    n_queries, n_gallery = qrels.shape
    ids = as_ranked_ids(ids, n_gallery)
    if len(ids) != n_queries:
        raise RetrievalInputError(f"the run must have {n_queries} rows (qrels), got {len(ids)}")
    if ids.shape[1] > n_gallery:
        depth = ids.shape[1]
        raise RetrievalInputError(f"the run must be at most {n_gallery} deep, got {depth}")
    if scores is None:
        return None, ids
    scores = as_array(scores, "scores")
    if scores.shape != ids.shape or scores.dtype.kind not in "iuf":
        got = f"{scores.dtype} {scores.shape}"
        raise RetrievalInputError(f"scores must be numbers of shape {ids.shape}, got {got}")
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    if ids.min() < 0:
        scores = np.where(ids < 0, -np.inf, scores)
    rows = np.flatnonzero(not_falling(scores) | np.isnan(scores[:, 0]))
    return scores, _ties_by_id(scores, ids, rows) if rows.size else ids


def not_falling(scores: np.ndarray) -> np.ndarray:
    """Return for each row, `(n_queries,)`, whether some score is not below the one before it."""
    at_once = max(1, TABLE_CELLS // scores.shape[1])
    blocks = (scores[start : start + at_once] for start in range(0, len(scores), at_once))
    return np.concatenate([~(block[:, 1:] < block[:, :-1]).all(axis=1) for block in blocks])


def _ties_by_id(scores: np.ndarray, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Order the ids of equal scores, after a check of the rows that do not fall."""
    row_scores, row_ids = scores[rows], ids[rows]
    if np.isnan(row_scores).any():
        row, column = np.argwhere(np.isnan(row_scores))[0]
        cell = f"row {rows[row]} at rank {column + 1}"
        raise RetrievalInputError(f"scores must be numbers, got NaN in {cell}")
    rises = row_scores[:, 1:] > row_scores[:, :-1]
    if rises.any():
        row, column = np.argwhere(rises)[0]
        raise RetrievalInputError(
            f"scores must be best first, but row {rows[row]} rises from {row_scores[row, column]}"
            f" to {row_scores[row, column + 1]} at rank {column + 2}; negate distances"
        )
    same = row_scores[:, 1:] == row_scores[:, :-1]
    falls = (row_ids[:, 1:] < row_ids[:, :-1]) & (row_ids[:, 1:] >= 0)
    wrong = (same & falls).any(axis=1)
    if wrong.any():
        order = np.lexsort((row_ids[wrong], -row_scores[wrong]), axis=1)
        ids = ids.copy()
        ids[rows[wrong]] = np.take_along_axis(row_ids[wrong], order, axis=1)
    return ids


def ties_reordered(grades: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the grades in the worst order of equal scores, and in the best."""
    rows = not_falling(scores)
    if not rows.any():
        return grades, grades
    orders = []
    for sign in (1, -1):
        order = np.lexsort((sign * grades[rows].astype(np.int32), -scores[rows]), axis=1)
        reordered = grades.copy()
        reordered[rows] = np.take_along_axis(grades[rows], order, axis=1)
        orders.append(reordered)
    return orders[0], orders[1]


def is_tied(scores: np.ndarray, first_rank: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Return for each query whether a tie touches a cut-off or the first relevant item."""
    rows, depth = np.arange(len(scores)), scores.shape[1]

    def same_as_next(column) -> np.ndarray:  # (n_queries,); False before the first and at the last
        here = scores[rows, np.clip(column, 0, depth - 1)]
        after = scores[rows, np.clip(column + 1, 0, depth - 1)]
        return (here == after) & np.isfinite(after) & (column >= 0) & (column < depth - 1)

    has_relevant = np.isfinite(first_rank)
    first = np.where(has_relevant, first_rank, 1).astype(np.int64) - 1
    tied = has_relevant & (same_as_next(first - 1) | same_as_next(first))
    for k in ks:
        tied |= same_as_next(np.full(len(scores), k - 1))
    return tied
