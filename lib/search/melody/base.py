"""Matchers of melodies: one interface, every tune scored against a hummed query."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_k
from lib.datasets.tunes import Melody, SungNotes
from lib.metrics.runs import as_ranked_ids
from lib.search.base import Retriever, Run, Work, best_first, check_rows

MODALITIES = ("hum", "melody")
Notes = Melody | SungNotes


def check_notes(notes: Sequence, name: str) -> list[Notes]:
    """Return melodies or sung notes as a list; refuse anything else."""
    if isinstance(notes, Melody | SungNotes | str) or not hasattr(notes, "__iter__"):
        raise RetrievalInputError(
            f"{name} must be a list of Melody or SungNotes, got {type(notes).__name__}"
        )
    for position, one in enumerate(notes := list(notes)):
        if not isinstance(one, Melody | SungNotes):
            raise RetrievalInputError(
                f"{name}[{position}] must be a Melody or SungNotes, got {type(one).__name__}"
            )
    return notes


class Packed:
    """Sequences of unequal length in one array, so that one numpy call serves all of them.

    Args:
        sequences: n arrays with at least one entry each.
    """

    def __init__(self, sequences: Sequence[np.ndarray]) -> None:
        self.values = np.concatenate(sequences)
        self.lengths = np.array([len(sequence) for sequence in sequences])
        self.ends = np.cumsum(self.lengths)
        self.starts = self.ends - self.lengths

    def __len__(self) -> int:
        return self.lengths.size

    @property
    def owners(self) -> np.ndarray:
        """Return the sequence of each entry."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, ids: np.ndarray) -> Packed:
        """Take some sequences in this order."""
        if np.array_equal(ids, np.arange(len(self))):
            return self
        return Packed([self.values[self.starts[id_] : self.ends[id_]] for id_ in ids])


def best_tunes(
    query: np.ndarray, scores: np.ndarray, owners: np.ndarray, *, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the best window of each tune, and the k best tunes of each query.

    Args:
        query, scores, owners: `(n,)`, a window that was found: for which query, its score, its
            tune.
        shape: `(n_queries, k)`.

    Returns:
        Scores and ids, both `(n_queries, k)`; -inf and -1 where there are fewer tunes.
    """
    order = np.lexsort((-scores, owners, query))
    same = (np.diff(query[order]) == 0) & (np.diff(owners[order]) == 0)
    order = order[np.concatenate([[True], ~same])]  # the best of each tune
    order = order[np.lexsort((owners[order], -scores[order], query[order]))]
    own = query[order]
    rank = np.arange(own.size) - np.searchsorted(own, own)
    order, own, rank = (array[rank < shape[1]] for array in (order, own, rank))
    best = np.full(shape, -np.inf), np.full(shape, -1)
    best[0][own, rank], best[1][own, rank] = scores[order], owners[order]
    return best


class MelodyMatcher(Retriever):
    """Score every tune for a hummed query; a subclass says how.

    It is a first stage (`search` scores all tunes), and a second stage too: `score` and `work` make
    it the `second` of a `TwoStageRetriever`. Costs are counted: `Run.work` has the comparisons of
    two notes or frames, `stored_bytes` what the matcher keeps of the tunes.

    Args:
        melodies: the tunes, at least one.
        name: name of the score.
        labels: a name for each tune; its title when None.
    """

    def __init__(
        self, melodies: Sequence[Melody], name: str, labels: Sequence[str] | None = None
    ) -> None:
        melodies = check_notes(melodies, "melodies")
        if not melodies:
            raise RetrievalInputError("melodies must hold at least one tune, got none")
        titles = [getattr(melody, "title", "") for melody in melodies]
        super().__init__(len(melodies), titles if labels is None else labels, (name,))
        self.name = name
        self.melodies = melodies

    @property
    @abstractmethod
    def stored_bytes(self) -> int:
        """Return the bytes that the matcher keeps of the tunes."""

    @abstractmethod
    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        """Score some tunes for one query, float64 `(len(ids),)`, higher is better."""

    @abstractmethod
    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        """Count the comparisons of two notes or frames in `scores_of`."""

    def encode(self, queries: Sequence[Notes], modality: str = "hum") -> list[Notes]:
        """Check hums or melodies; the matcher reads their notes as they are."""
        check_choice(modality, MODALITIES, "modality")
        return check_notes(queries, "queries")

    def search(self, queries: Sequence[Notes], k: int) -> Run:
        """Find the k best tunes of every query; equal scores by the smaller id."""
        k, queries = check_k(k, self.n_items), check_notes(queries, "queries")
        every = np.arange(self.n_items)
        scores, ids = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
        for row, query in enumerate(queries):
            all_scores = self.scores_of(query, every)[None]
            scores[row : row + 1], ids[row : row + 1] = best_first(all_scores, every[None], k)
        comparisons = sum(self.comparisons_of(query, every) for query in queries)
        work = Work(self.name, len(queries) * self.n_items, comparisons)
        return Run.of_one_stage(scores, ids, self.name, work)

    def score(self, queries: Sequence[Notes], ids: np.ndarray) -> np.ndarray:
        """Score given pairs.

        Args:
            queries: n melodies or sung notes.
            ids: `(n, m)` positions of tunes, none twice in a row; -1 for no tune.

        Returns:
            `(n, m)` float64; -inf where the id is -1.
        """
        queries, ids = check_notes(queries, "queries"), as_ranked_ids(ids, self.n_items)
        check_rows(queries, ids)
        scores = np.full(ids.shape, -np.inf)
        for row, (query, own) in enumerate(zip(queries, ids, strict=True)):
            if (own >= 0).any():
                scores[row, own >= 0] = self.scores_of(query, own[own >= 0])
        return scores

    def work(self, queries: Sequence[Notes], ids: np.ndarray) -> Work:
        """Count the work of `score` for the same arguments."""
        own = [row[row >= 0] for row in ids]
        comparisons = sum(map(self.comparisons_of, queries, own))
        return Work(self.name, sum(map(len, own)), comparisons)
