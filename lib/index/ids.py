"""Ids and positions of vectors, and positions of ranges in a flat array."""

import numpy as np

from lib.core.checks import RetrievalInputError

NO_ID = -1  # means "no hit" in results, so it cannot be the id of a vector


class IdMap:
    """Map positions to ids, in the order of adding, and ids back to positions.

    Nothing is stored while ids are 0, 1, 2, ...; else 8 bytes an id, and 16 at the first look-up.
    """

    def __init__(self, n: int = 0, ids: np.ndarray | None = None) -> None:
        self._n, self._ids = n, ids
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return self._n

    @property
    def counted(self) -> bool:
        """True while the ids are 0, 1, 2, ...: an id is its position."""
        return self._ids is None

    @property
    def array(self) -> np.ndarray:
        """`(n,)` int64 ids, by position."""
        return np.arange(self._n) if self._ids is None else self._ids

    @property
    def nbytes(self) -> int:
        return 0 if self._ids is None else self._ids.nbytes

    def new(self, ids, n: int) -> np.ndarray:
        """Check the ids of `n` further vectors, the next positions when None; return int64."""
        if ids is None and self.counted:
            return np.arange(len(self), len(self) + n)
        new = _as_ids(np.arange(len(self), len(self) + n) if ids is None else ids, n)
        values, counts = np.unique(new, return_counts=True)
        if values.size < n:
            raise RetrievalInputError(f"id {values[counts > 1][0]} is given twice")
        if NO_ID in values:
            raise RetrievalInputError(f"id {NO_ID} means no hit in results; choose another id")
        if not self._n or not n or values[0] > self._largest():
            return new  # without sorting many known ids
        taken = np.intersect1d(values, self.array, assume_unique=True)
        if taken.size:
            hint = "; the index has ids of your own or lost some, so pass ids for these too"
            hint = hint if ids is None else ""
            raise RetrievalInputError(f"id {taken[0]} is in the index already{hint}")
        return new

    def _largest(self) -> int:
        return self._n - 1 if self.counted else int(self._ids.max())

    def append(self, ids: np.ndarray) -> None:
        """Append ids that `new` returned, after the vectors were added."""
        after = self._n + len(ids)
        if not (self.counted and (ids == np.arange(self._n, after)).all()):
            self._ids = np.concatenate([self.array, ids])
        self._n, self._sorted = after, None

    def remove(self, positions: np.ndarray) -> None:
        """Remove the ids at sorted positions; those behind them move up."""
        after = self._n - len(positions)
        still_counted = after == 0 or (self.counted and (positions >= after).all())
        self._ids = None if still_counted else np.delete(self.array, positions)
        self._n, self._sorted = after, None

    def positions(self, ids, name: str) -> np.ndarray:
        """Return the sorted distinct positions `(m,)` of ids that must be in the index."""
        array = np.asarray(ids)
        if array.ndim != 1:
            raise RetrievalInputError(f"{name} must be a list of ids, got shape {array.shape}")
        array = np.unique(_as_ids(array, array.size, name))
        positions = self.find(array)
        missing = array[positions == NO_ID]
        if missing.size:
            raise RetrievalInputError(
                f"{name} has {missing.size} ids that are not in the index, the first is"
                f" {missing[0]}; the index holds {len(self)} vectors"
            )
        return np.sort(positions)

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return the position of each id, -1 where it is not in the index; any shape."""
        if self.counted:
            return np.where((ids >= 0) & (ids < len(self)), ids, NO_ID)
        if self._sorted is None:
            order = np.argsort(self.array)
            self._sorted = self.array[order], order
        ascending, order = self._sorted
        place = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
        return np.where(ascending[place] == ids, order[place], NO_ID)

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the id at each position, -1 where that is -1; any shape."""
        if self.counted:
            return positions
        return np.where(positions == NO_ID, NO_ID, self.array[positions])


def _as_ids(ids, n: int, name: str = "ids") -> np.ndarray:
    array = np.asarray(ids)
    if array.shape != (n,) or (n and array.dtype.kind not in "iu"):
        raise RetrievalInputError(
            f"{name} must be {n} whole numbers, one a vector, got {array.dtype} {array.shape}"
        )
    if array.dtype == np.uint64 and n and array.max() > np.iinfo(np.int64).max:
        raise RetrievalInputError(f"id {array.max()} does not fit into int64")
    return array.astype(np.int64)


def owners(counts: np.ndarray) -> np.ndarray:
    """Repeat the number of each group as often as its count: [2, 1] gives [0, 0, 1]."""
    return np.repeat(np.arange(len(counts)), counts)


def place_in_row(row: np.ndarray, n_rows: int) -> np.ndarray:
    """Count 0, 1, 2, ... within each row, for row numbers in ascending order."""
    counts = np.bincount(row, minlength=n_rows)
    return np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)


def spans(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the positions starts[i], starts[i] + 1, ... of all ranges, after the i of each."""
    owner = owners(counts)
    return owner, starts[owner] + place_in_row(owner, len(counts))
