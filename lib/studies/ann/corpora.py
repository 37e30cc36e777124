"""What the indexes are measured on: a base, queries of two modalities over it, and what is right
for them.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    as_real_matrix,
    check_choice,
    check_count,
    unit_rows,
)
from lib.core.qrels import Qrels
from lib.datasets import icons as icon_data
from lib.index import METRICS
from lib.models.trained_models import load_embeddings
from lib.studies.ann import cached_embeddings

BLOCK = 2**16  # rows that become float32 at one time


@dataclass(frozen=True, eq=False)
class AnnCorpus:
    """A base of vectors and named sets of queries over it; the id of a base vector is its position.

    Args:
        name: what tables call it.
        metric: one of `lib.index.METRICS`.
        base: `(n, d)` numbers as they are stored, int8 or memory-mapped as well; `vectors` makes
            float32.
        queries: `{name: (n_queries, d)}`. "image" are drawn as the base is (in distribution),
            "text" are of the other modality (out of distribution); a corpus of one kind of query
            has one.
        learn: `{modality: (m, d)}`, rows that are neither base nor queries: to train on and to tune
            with. "new_text" are texts that the model, too, has not learnt from.
        relevant: `{name: Qrels (n_queries, n)}` of the end task, for the queries that have one.
        neighbours: `{name: (ids, distances)}` that came with the data, ann-benchmarks' distances
            ascending.

    Raises:
        RetrievalInputError: an unknown metric, another dimension, or judgements of another shape.
    """

    name: str
    metric: str
    base: np.ndarray
    queries: Mapping[str, np.ndarray]
    learn: Mapping[str, np.ndarray] = field(default_factory=dict)
    relevant: Mapping[str, Qrels] = field(default_factory=dict)
    neighbours: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice(self.metric, METRICS, "metric")
        _, dim = as_real_matrix(self.base, "base").shape
        for attribute in ("queries", "learn"):
            rows = {
                key: self._ready(
                    as_real_matrix(value, f"{attribute}[{key!r}]", dim=dim), f"{attribute}[{key!r}]"
                )
                for key, value in getattr(self, attribute).items()
            }
            object.__setattr__(
                self, attribute, rows
            )  # float32 from here on, as the indexes take them
        if not self.queries:
            raise RetrievalInputError(f"corpus {self.name!r} has no queries")
        for kind in (*self.relevant, *self.neighbours):
            check_choice(kind, self.queries, "queries that answers are given for")
        for kind, judged in self.relevant.items():
            if judged.shape != (expected := (len(self.queries[kind]), len(self))):
                raise RetrievalInputError(
                    f"relevant[{kind!r}] has shape {judged.shape}, expected {expected}"
                )

    def __len__(self) -> int:
        return len(self.base)

    @property
    def dim(self) -> int:
        return self.base.shape[1]

    def vectors(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Some or all base vectors as the indexes take them: float32, of unit length under
        cosine.
        """
        return self._ready(np.asarray(self.base[rows]), "base")

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """All base vectors in order, `size` at a time, so that the float32 base need not fit into
        memory.
        """
        for start in range(0, len(self), check_count(size, "size")):
            yield self.vectors(slice(start, start + size))

    @cached_property
    def key(self) -> str:
        """A digest of everything that decides a measurement: metric, base, queries and
        judgements.
        """
        digest = hashlib.sha256(f"{self.metric} {self.base.dtype} {self.base.shape}".encode())
        for start in range(0, len(self), BLOCK):
            digest.update(np.ascontiguousarray(self.base[start : start + BLOCK]))
        for kind, rows in self.queries.items():
            digest.update(kind.encode())
            digest.update(rows)
            if kind in self.relevant:
                judged = self.relevant[kind]
                for part in (judged.indptr, judged.items, judged.grades):
                    digest.update(np.ascontiguousarray(part))
        return digest.hexdigest()

    def _ready(self, rows: np.ndarray, name: str) -> np.ndarray:
        return unit_rows(rows, name) if self.metric == "cosine" else as_embeddings(rows, name)


def icons() -> AnnCorpus:
    """Real icons: images of the splits train and test; images of validation and names of test ask.

    Most of the base was seen in training and no query was; every text query has its drawing in the
    base, among eleven times as many others as in the test task.
    """
    every, arrays = icon_data.load_icons(), load_embeddings("icons")
    base = np.flatnonzero(every.splits != "validation")
    names = list(dict.fromkeys(every.names[i] for i in every.positions("test")))
    judged = icon_data.judge(names, every, base).at_least(icon_data.SAME_NAME)
    return AnnCorpus(
        "icons",
        "cosine",
        arrays["all_image"][base],
        {"image": arrays["all_image"][every.positions("validation")], "text": arrays["test_text"]},
        {
            "text": cached_embeddings.icon_names("train"),
            "new_text": cached_embeddings.icon_names("validation"),
        },
        {"text": judged},
    )


def scenes(size: int = 100_000, progress: cached_embeddings.Progress | None = None) -> AnnCorpus:
    """Generated scenes encoded by the trained model: as many as wanted, the first time a minute per
    100,000.

    Args:
        size: base vectors, at least the 1,000 that the text queries describe.
        progress: called with the number of images that have become ready, while they are encoded.

    Raises:
        RetrievalInputError: fewer.

    Relations: queries are the same at every size (`encoded.scene_queries`), so that sizes compare.
    """
    if check_count(size, "size") < cached_embeddings.N_QUERIES:
        raise RetrievalInputError(
            f"size must be at least {cached_embeddings.N_QUERIES:,}, one per text query, got {size}"
        )
    base, judged = cached_embeddings.scene_images(size, progress)
    rows = cached_embeddings.scene_queries(progress)
    return AnnCorpus(
        "scenes",
        "cosine",
        base,
        {kind: rows[kind] for kind in ("image", "text")},
        {kind: rows[f"learn_{kind}"] for kind in ("image", "text")},
        {"text": judged},
    )


def two_cones(n: int, d: int, gap: float, *, n_queries: int = 1_000, seed: int = 0) -> AnnCorpus:
    """An imitation, to have the modality gap as a dial: images in one cone, texts in another.

        x = normalise(0.75 m + 0.55 T_z + 0.45 u_sub + 0.25 u),    angle(m_image, m_text) = gap * 90
        degrees

    with T_z one of 64 topics in a subspace of d / 4 dimensions, topic z drawn with frequency
    z^-0.7, u_sub noise in that subspace and u noise in all dimensions, each of unit length.

    Args:
        n, d: base vectors and their dimension, at least 8.
        gap: 0 (texts lie where images lie) to 1 (their means are orthogonal).
        n_queries: of each modality; as many texts to learn from.
        seed: of everything.

    Raises:
        RetrievalInputError: `gap` outside 0 to 1, or a dimension below 8.
    """
    if not 0 <= gap <= 1 or check_count(d, "d") < 8:
        raise RetrievalInputError(f"gap must lie in 0..1 and d be at least 8, got {gap} and {d}")
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((d, 2 + d // 4)))[0].T
    mean, other, subspace = directions[0], directions[1], directions[2:]
    topics = unit_rows(rng.standard_normal((64, len(subspace))), "topics") @ subspace
    frequency = np.arange(1, 65) ** -0.7

    def draw(count: int, centre: np.ndarray) -> np.ndarray:
        topic = topics[rng.choice(64, count, p=frequency / frequency.sum())]
        near = unit_rows(rng.standard_normal((count, len(subspace))), "noise") @ subspace
        far = unit_rows(rng.standard_normal((count, d)), "noise")
        return unit_rows(0.75 * centre + 0.55 * topic + 0.45 * near + 0.25 * far, "rows")

    turned = np.cos(gap * np.pi / 2) * mean + np.sin(gap * np.pi / 2) * other
    base = draw(check_count(n, "n"), mean)
    queries = {
        "image": draw(check_count(n_queries, "n_queries"), mean),
        "text": draw(n_queries, turned),
    }
    name = f"two cones, gap {gap:g} (imitation)"
    return AnnCorpus(name, "cosine", base, queries, {"text": draw(n_queries, turned)})
