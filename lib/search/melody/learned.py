"""Learned contour vectors: windows of tunes and hums, encoded by a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lib.core.checks import check_choice, check_count, check_k
from lib.datasets.tunes.hums import STARTS
from lib.index import VectorSearchIndex
from lib.search.base import Run, Work
from lib.search.melody.base import MelodyMatcher, Notes, Packed, best_tunes, check_notes
from lib.search.melody.contour_vectors import as_int8
from lib.search.melody.contours import times_of
from lib.search.melody.windows import (
    FRAMES,
    LENGTHS,
    TEMPOS,
    check_positive,
    cuts_of,
    window_contours,
    window_starts,
)

if TYPE_CHECKING:
    from lib.models.contour_encoder import ContourEncoder

TUNES_AT_ONCE = 200
WINDOWS = 500  # that a search takes for each hum and tempo


class WindowIndex:
    """The windows of one length, of all tunes, in a vector index.

    Args:
        seconds: length of a window.
        starts: seconds of each window of each tune.
        vectors: `(n_windows, dim)` int8.
        index_type, options: of the `VectorSearchIndex`.
    """

    def __init__(
        self, seconds: float, starts: Packed, vectors: np.ndarray, index_type: str, **options
    ) -> None:
        self.seconds, self.starts = seconds, starts
        self.owners = starts.owners.astype(np.int32)
        self.index = VectorSearchIndex(
            vectors.shape[1], index_type, metric="inner_product", **options
        )
        if self.index.needs_training:
            self.index.train(vectors)
        self.index.add(vectors)
        # Mean and spread of the scores of all windows, for any query, from two moments.
        self.mean = np.zeros(vectors.shape[1])
        self.square = np.zeros((vectors.shape[1],) * 2)
        for first in range(0, len(vectors), 2**16):
            rows = vectors[first : first + 2**16].astype(np.float32)
            self.mean += rows.sum(axis=0, dtype=np.float64)
            self.square += rows.T @ rows
        self.mean /= len(vectors)
        self.square = self.square / len(vectors) - np.outer(self.mean, self.mean)

    def __len__(self) -> int:
        return self.owners.size

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of the index, and of tune and start of each window."""
        return self.index.bytes_by_part()["total"] + self.owners.nbytes + self.starts.values.nbytes

    def starts_of(self, tune: int) -> np.ndarray:
        """Return the starts of the windows of one tune."""
        return self.starts.values[self.starts.starts[tune] : self.starts.ends[tune]]

    def standardised(self, scores: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return scores `(n, m)` in deviations from the mean score of all windows.

            z = (<q, t> - mean) / deviation

        A window of three seconds is like many others, one of ten seconds is not: cosines of two
        lengths do not compare.
        """
        queries = queries.astype(np.float64)
        deviation = np.sqrt(np.einsum("nd,de,ne->n", queries, self.square, queries))
        return (scores - (queries @ self.mean)[:, None]) / np.maximum(deviation, 1e-9)[:, None]


def window_arrays(
    melodies: Sequence[Notes],
    encoder: ContourEncoder,
    *,
    lengths: Sequence[float] = LENGTHS,
    start: str = "anywhere",
) -> dict[str, np.ndarray]:
    """Encode the windows of tunes; a minute for 4,433 tunes on one core.

    Args:
        melodies, encoder, lengths, start: as in `LearnedContourMatcher`.

    Returns:
        For each length, numbered from 0: `vectors0` int8 `(n_windows, dim)`, `starts0` float32
        `(n_windows,)`, seconds from the first onset, and `counts0` int64, the windows of each tune.
    """
    check_choice(start, STARTS, "start")
    arrays = {}
    for at, seconds in enumerate(check_positive(lengths, "lengths").tolist()):
        last = 1 if start == "beginning" else None
        starts = [window_starts(one, seconds)[:last].astype(np.float32) for one in melodies]
        arrays[f"vectors{at}"] = _window_vectors(melodies, starts, seconds, encoder)
        arrays[f"starts{at}"] = np.concatenate(starts)
        arrays[f"counts{at}"] = np.array([own.size for own in starts])
    return arrays


def _window_vectors(
    melodies: Sequence[Notes],
    starts: Sequence[np.ndarray],
    seconds: float,
    encoder: ContourEncoder,
) -> np.ndarray:
    """Return int8 vectors of all windows of one length."""
    vectors = []
    for first in range(0, len(melodies), TUNES_AT_ONCE):
        now = slice(first, first + TUNES_AT_ONCE)
        parts = [
            window_contours(melody, own, seconds)
            for melody, own in zip(melodies[now], starts[now], strict=True)
        ]
        pitches, voiced = map(np.concatenate, zip(*parts, strict=True))
        vectors.append(as_int8(encoder.encode(pitches, voiced)))
    return np.concatenate(vectors)


class LearnedContourMatcher(MelodyMatcher):
    """Rank tunes by the best score of a window of the tune, for any tempo of the singer.

        s = max over tempos, and windows t of the length L of that tempo, of  z_L(<f(q), f(t)>)

    f is a `ContourEncoder`, q the first L / tempo seconds of the hum, and L the longest length that
    the hum fills, see `windows.cuts_of`. Windows begin at notes that are 0.44 s apart or more.

    Args:
        melodies: the tunes.
        encoder: trained, `load_model("hums")`.
        lengths: of the windows, in seconds of a tune, rising.
        tempos: that a singer may have, where that of the tune is 1, rising.
        start: `"anywhere"` in a tune, or `"beginning"`.
        windows: that a search takes from the index for each tempo; tunes without one of them are
            not found.
        arrays: of `window_arrays` for the same tunes, encoder, lengths and start; made when None.
        index_type, options: of the `VectorSearchIndex`.
    """

    def __init__(
        self,
        melodies: Sequence[Notes],
        encoder: ContourEncoder,
        *,
        lengths: Sequence[float] = LENGTHS,
        tempos: Sequence[float] = TEMPOS,
        start: str = "anywhere",
        windows: int = WINDOWS,
        arrays: Mapping[str, np.ndarray] | None = None,
        index_type: str = "Flat",
        **options,
    ) -> None:
        super().__init__(melodies, "learned contour vectors")
        check_choice(start, STARTS, "start")
        self.encoder, self.windows = encoder, check_count(windows, "windows")
        self.lengths = check_positive(lengths, "lengths")
        self.tempos = check_positive(tempos, "tempos")
        if arrays is None:
            arrays = window_arrays(self.melodies, encoder, lengths=self.lengths, start=start)
        self.parts: list[WindowIndex] = []
        for at, seconds in enumerate(self.lengths.tolist()):
            starts, ends = arrays[f"starts{at}"], np.cumsum(arrays[f"counts{at}"])
            packed = Packed(np.split(starts, ends[:-1]))
            vectors = arrays[f"vectors{at}"]
            self.parts.append(WindowIndex(seconds, packed, vectors, index_type, **options))

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of the indexes, and of tune and start of each window."""
        return sum(part.stored_bytes for part in self.parts)

    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        chosen = cuts_of(np.array([times_of(query)[1]]), self.lengths, self.tempos)[0]
        return sum(int(self.parts[at].starts.lengths[ids].sum()) for at in chosen.tolist())

    def vectors_of(self, queries: Sequence[Notes]) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of each hum, one for each tempo, and their lengths.

        Returns:
            int8 `(n_queries, n_tempos, dim)`, and int64 `(n_queries, n_tempos)` positions in
            `lengths`.
        """
        queries = check_notes(queries, "queries")
        shape = len(queries), self.tempos.size
        seconds = np.array([times_of(one)[1] for one in queries])
        chosen = cuts_of(seconds, self.lengths, self.tempos)
        cuts = self.lengths[chosen] / self.tempos
        begin = np.zeros(self.tempos.size)
        parts = [window_contours(one, begin, cut) for one, cut in zip(queries, cuts, strict=True)]
        pitches = np.array([pitch for pitch, _ in parts]).reshape(-1, FRAMES)
        voiced = np.array([flag for _, flag in parts], bool).reshape(-1, FRAMES)
        vectors = as_int8(self.encoder.encode(pitches, voiced))
        return vectors.reshape(*shape, vectors.shape[1]), chosen

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        vectors, chosen = self.vectors_of([query])
        best = np.full(len(ids), -np.inf)
        for at in np.unique(chosen).tolist():
            part, own = self.parts[at], vectors[0, chosen[0] == at]
            own_starts = [part.starts_of(tune) for tune in ids.tolist()]
            melodies = [self.melodies[tune] for tune in ids.tolist()]
            rows = _window_vectors(melodies, own_starts, part.seconds, self.encoder)
            rows = rows.astype(np.float32)
            counts = part.starts.lengths[ids]
            products = part.standardised(own.astype(np.float32) @ rows.T, own).max(axis=0)
            np.maximum(best, np.maximum.reduceat(products, np.cumsum(counts) - counts), out=best)
        return best

    def search(self, queries: Sequence[Notes], k: int) -> Run:
        """Find the k best tunes among the best windows; -1 where there are fewer tunes."""
        k, (vectors, chosen) = check_k(k, self.n_items), self.vectors_of(queries)
        rows, products = [], 0
        for at, part in enumerate(self.parts):
            query, tempo = np.nonzero(chosen == at)
            if not query.size:
                continue
            own = vectors[query, tempo]
            found = part.index.search(own, min(self.windows, len(part)))
            products += sum(found.work.get(name, 0) for name in ("distances", "codes", "centroids"))
            row, column = np.nonzero(found.ids >= 0)
            scores = part.standardised(found.scores, own)[row, column]
            rows.append((query[row], scores, part.owners[found.ids[row, column]]))
        columns = (np.concatenate(column) for column in zip(*rows, strict=True))
        scores, ids = best_tunes(*columns, shape=(len(vectors), k))
        work = Work(self.name, len(vectors) * self.n_items, products)
        return Run.of_one_stage(scores, ids, self.name, work)
