"""Which id belongs to which position of an index."""

import numpy as np

from lib.core.checks import RetrievalInputError

NO_ID = -1  # stands for "nothing was found", so no vector may be called that


class IdMap:
    """The ids of an index in the order of adding, and the way back from ids to positions.

    Nothing is stored while the ids are 0, 1, 2, ...; otherwise 8 bytes an id, and at the first
    look-up 16 more, sorted.

    Args:
        n: how many there are.
        ids: `(n,)` int64, distinct; 0 to n - 1 when None.
    """

    def __init__(self, n: int = 0, ids: np.ndarray | None = None) -> None:
        self._n, self._ids = n, ids
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return self._n

    @property
    def counted(self) -> bool:
        """Whether the ids are 0, 1, 2, ..., so that an id is its position."""
        return self._ids is None

    @property
    def array(self) -> np.ndarray:
        """`(n,)` int64 ids, by position."""
        return np.arange(self._n) if self._ids is None else self._ids

    @property
    def nbytes(self) -> int:
        """What is stored."""
        return 0 if self._ids is None else self._ids.nbytes

    def new(self, ids, n: int) -> np.ndarray:
        """The ids of `n` further vectors as int64: those given, or the next positions when None.

        Raises:
            RetrievalInputError: not one whole number a vector, an id twice, -1, or an id that is
                taken.
        """
        if ids is None and self.counted:
            return np.arange(len(self), len(self) + n)
        new = as_ids(np.arange(len(self), len(self) + n) if ids is None else ids, n)
        values, counts = np.unique(new, return_counts=True)
        if values.size < n:
            raise RetrievalInputError(f"id {values[counts > 1][0]} is given twice")
        if NO_ID in values:
            raise RetrievalInputError(
                f"id {NO_ID} stands for no hit in results; give that vector another"
            )
        taken = np.intersect1d(values, self.array, assume_unique=True)
        if taken.size:
            hint = "; the index has ids of your own or lost some, so pass ids for these too"
            raise RetrievalInputError(
                f"id {taken[0]} is in the index already{hint if ids is None else ''}"
            )
        return new

    def append(self, ids: np.ndarray) -> None:
        """Takes in what `new` returned, once the vectors are in."""
        after = self._n + len(ids)
        if not (self.counted and (ids == np.arange(self._n, after)).all()):
            self._ids = np.concatenate([self.array, ids])
        self._n, self._sorted = after, None

    def remove(self, positions: np.ndarray) -> None:
        """Forgets the ids at sorted positions; those behind them move up."""
        after = self._n - len(positions)
        still_counts = after == 0 or (self.counted and (positions >= after).all())
        self._ids = None if still_counts else np.delete(self.array, positions)
        self._n, self._sorted = after, None

    def positions(self, ids, name: str) -> np.ndarray:
        """Sorted distinct positions `(m,)` of ids that the index must hold.

        Raises:
            RetrievalInputError: not a one-dimensional array of whole numbers, or an id that is not
                held.
        """
        array = np.asarray(ids)
        if array.ndim != 1:
            raise RetrievalInputError(
                f"{name} must be a one-dimensional array of ids, got {array.shape}"
            )
        array = np.unique(as_ids(array, array.size, name))
        found = self.find(array)
        if (found == NO_ID).any():
            missing = array[found == NO_ID]
            raise RetrievalInputError(
                f"{name} has {missing.size} ids that are not in the index, the first is"
                f" {missing[0]}; the index holds {len(self)} vectors"
            )
        return np.sort(found)

    def find(self, ids: np.ndarray) -> np.ndarray:
        """The position of each id, -1 where it is not held; any shape."""
        if self.counted:
            return np.where((ids >= 0) & (ids < len(self)), ids, NO_ID)
        if self._sorted is None:
            order = np.argsort(self.array)
            self._sorted = self.array[order], order
        ascending, order = self._sorted
        place = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
        return np.where(ascending[place] == ids, order[place], NO_ID)

    def at(self, positions: np.ndarray) -> np.ndarray:
        """The id at each position, -1 where that is -1; any shape."""
        if self.counted:
            return positions
        return np.where(positions == NO_ID, NO_ID, self.array[positions])


def as_ids(ids, n: int, name: str = "ids") -> np.ndarray:
    """`(n,)` int64 of what must be `n` whole numbers."""
    array = np.asarray(ids)
    if array.shape != (n,) or (n and array.dtype.kind not in "iu"):
        raise RetrievalInputError(
            f"{name} must be {n} whole numbers, one a vector, got {array.dtype} {array.shape}"
        )
    if array.dtype == np.uint64 and n and array.max() > np.iinfo(np.int64).max:
        raise RetrievalInputError(f"id {array.max()} does not fit into int64")
    return array.astype(np.int64)
