"""Models and retrievers with scores from a table: the right order is known in advance."""

import numpy as np

from lib.core.checks import check_k
from lib.core.token_vectors import Tokens
from lib.search.base import Retriever, Run, Work, best_first


class TableModel:
    """Look up `table[text, image]`: a text is its row in digits, an image its column."""

    def __init__(self, table: np.ndarray) -> None:
        self.table, self.calls = np.asarray(table, np.float32), []

    def read_text(self, texts) -> Tokens:
        return Tokens(np.float32([[[int(text)]] for text in texts]))

    def read_image(self, images) -> Tokens:
        return Tokens(np.asarray(images, np.float32)[:, None, None])

    def score(self, text: Tokens, image: Tokens) -> np.ndarray:
        at = (side.vectors[:, 0, 0].astype(int) for side in (text, image))
        self.calls.append(len(text))
        return self.table[tuple(at)]


class TableRetriever(Retriever):
    """Search and score by `table[query, item]`; an item at -inf is never found."""

    def __init__(self, table: np.ndarray, name: str = "table", labels=None) -> None:
        self.table = np.asarray(table, np.float32)
        super().__init__(self.table.shape[1], labels, (name,))

    def encode(self, queries, modality: str) -> np.ndarray:
        return np.array([int(query) for query in queries])

    def search(self, queries: np.ndarray, k: int) -> Run:
        rows = self.table[queries]
        ids = np.where(np.isfinite(rows), np.arange(self.n_items), -1)
        scores, ids = best_first(rows, ids, check_k(k, self.n_items))
        return Run.of_one_stage(scores, ids, self.score_names[0], self.work(queries, ids))

    def score(self, queries: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return np.where(ids >= 0, np.take_along_axis(self.table[queries], ids, axis=1), -np.inf)

    def work(self, queries: np.ndarray, ids: np.ndarray) -> Work:
        return Work(self.score_names[0], int((ids >= 0).sum()), 0)


def tables(n_queries: int = 6, n_items: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make two score tables with many ties: few levels for many items."""
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(-5, 5, size=(2, n_queries, n_items)).astype(np.float32))


def sorted_by_definition(scores: np.ndarray) -> np.ndarray:
    """Sort ids of every row, best first, equal scores by the smaller id."""
    return np.argsort(-np.asarray(scores), axis=1, kind="stable")
