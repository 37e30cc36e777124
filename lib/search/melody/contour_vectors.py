"""Contours as vectors: the low frequencies of a window of the contour, in a vector index.

A linear scaling compares every window anew for each query. Here each window is a short vector that
is made once, and the search is that of any embedding.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_k, check_number, real_numbers
from lib.datasets.tunes import Melody
from lib.index import VectorSearchIndex
from lib.search.base import Run, Work
from lib.search.melody.base import MelodyMatcher, Notes, best_tunes, check_notes
from lib.search.melody.contours import STEP, TuneFrames, contour_points

VECTOR_SCALES = (0.75, 0.87, 1.0, 1.15, 1.33)
POINTS = 64  # of a window
UNIT = 127.0  # length of a vector of int8: products are exact integers, and a vector takes its dim
WINDOWS_AT_ONCE = 16_384


def contour_vectors(points: np.ndarray, coefficients: int) -> np.ndarray:
    """Return the first Fourier coefficients of contours as unit vectors.

        X_f = sum over k of x_k exp(-2 pi i f k / n),  f = 1 ... coefficients

    Coefficient 0, the mean, is left out, and with it the key; unit length drops the range. High
    frequencies, which hold ornaments and errors of single notes, are left out too.

    Args:
        points: `(n_windows, n_points)` pitches at equally spaced times.
        coefficients: at most half the number of points.

    Returns:
        `(n_windows, 2 * coefficients)` float32: real parts, then imaginary parts. Zeros for a
        window of one pitch.
    """
    check_count(coefficients, "coefficients", most=points.shape[1] // 2)
    spectrum = np.fft.rfft(points)[:, 1 : coefficients + 1]
    vectors = np.concatenate([spectrum.real, spectrum.imag], axis=1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    level = norms < 1e-4 * points.shape[1]  # rounding errors of one pitch
    return np.where(level, 0, vectors / np.where(level, 1, norms)).astype(np.float32)


def as_int8(vectors: np.ndarray) -> np.ndarray:
    """Round unit vectors to int8 of length 127: a product is then an exact integer."""
    return np.rint(vectors * UNIT).astype(np.int8)


class ContourVectorMatcher(MelodyMatcher):
    """Rank tunes by the best cosine between the query's vector and those of windows of the tune.

        s = max over starts and scales of <v(q), v(t)>      (rounded to int8)

    Args:
        melodies: the tunes.
        seconds: length of a window at scale 1. A query is compared as a whole, so it should have
            this length.
        start: `"anywhere"`: windows begin at every note; `"beginning"`: at the first.
        scales: lengths of the windows, relative to `seconds`.
        coefficients: of each window; a vector has twice as many numbers.
        windows: windows that a search takes from the index; tunes without one of them are not
            found.
        index_type, options: of the `VectorSearchIndex`.

    Source: the discrete Fourier transform of melodic contours as a query of an index follows
    W.-H. Tsai, Y.-M. Tu, C.-H. Ma, An FFT-based fast melody comparison method for
    query-by-singing/humming systems, Pattern Recognition Letters 33 (2012).
    """

    def __init__(
        self,
        melodies: Sequence[Melody],
        *,
        seconds: float = 8.0,
        start: str = "anywhere",
        scales: Sequence[float] = VECTOR_SCALES,
        coefficients: int = 12,
        windows: int = 2000,
        index_type: str = "Flat",
        **options,
    ) -> None:
        super().__init__(melodies, "contour vectors")
        self.seconds = check_number(seconds, "seconds", 0, above=True)
        self.scales = real_numbers(scales, "scales")
        if (self.scales <= 0).any():
            raise RetrievalInputError(f"scales must be above 0, got {self.scales.min():g}")
        self.coefficients = check_count(coefficients, "coefficients", most=POINTS // 2)
        self.tunes = TuneFrames(self.melodies, start, STEP)
        counts = self.tunes.onsets.lengths
        self.windows = min(check_count(windows, "windows"), int(counts.sum()) * self.scales.size)
        vectors = self._window_vectors(np.arange(self.n_items))
        self.owners = np.repeat(np.arange(self.n_items, dtype=np.int32), counts * self.scales.size)
        self.index = VectorSearchIndex(
            2 * self.coefficients, index_type, metric="inner_product", **options
        )
        if self.index.needs_training:
            self.index.train(vectors)
        self.index.add(vectors)

    def _window_vectors(self, ids: np.ndarray) -> np.ndarray:
        """Return int8 vectors of all windows of some tunes; the scales of a start in turn."""
        begin, last, _ = self.tunes.places(ids)
        frames = (np.arange(POINTS) + 0.5) / POINTS * (self.seconds / STEP)
        n_scales, dim = self.scales.size, 2 * self.coefficients
        vectors = np.empty((begin.size, n_scales, dim), np.int8)
        for start in range(0, begin.size, WINDOWS_AT_ONCE):
            now = slice(start, start + WINDOWS_AT_ONCE)
            for number, scale in enumerate(self.scales):
                points = self.tunes.windows(begin[now], last[now], frames * scale)
                vectors[now, number] = as_int8(contour_vectors(points, self.coefficients))
        return vectors.reshape(-1, dim)

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of the index and of the tune of each window."""
        return self.index.bytes_by_part()["total"] + self.owners.nbytes

    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        return int(self.tunes.onsets.lengths[ids].sum()) * self.scales.size

    def vectors_of(self, queries: Sequence[Notes]) -> np.ndarray:
        """Return the vector of each query, `(n_queries, 2 * coefficients)` int8."""
        points = [contour_points(query, POINTS) for query in check_notes(queries, "queries")]
        return as_int8(contour_vectors(np.array(points).reshape(-1, POINTS), self.coefficients))

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        query_vector = self.vectors_of([query])[0].astype(np.float32)
        products = self._window_vectors(ids).astype(np.float32) @ query_vector
        counts = self.tunes.onsets.lengths[ids] * self.scales.size
        return np.maximum.reduceat(products, np.cumsum(counts) - counts) / UNIT**2

    def search(self, queries: Sequence[Notes], k: int) -> Run:
        """Find the k best tunes among the best windows; -1 where there are fewer tunes."""
        k = check_k(k, self.n_items)
        found = self.index.search(self.vectors_of(queries), self.windows)
        row, column = np.nonzero(found.ids >= 0)
        cosines, owners = found.scores[row, column] / UNIT**2, self.owners[found.ids[row, column]]
        scores, ids = best_tunes(row, cosines, owners, shape=(len(queries), k))
        products = found.work.get("distances", 0) + found.work.get("codes", 0)
        products += found.work.get("centroids", 0)
        work = Work(self.name, len(queries) * self.n_items, products)
        return Run.of_one_stage(scores, ids, self.name, work)
