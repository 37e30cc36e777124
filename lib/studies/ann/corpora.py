"""Make the corpora that indexes are measured on: a base, queries of two modalities, judgements."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    as_real_matrix,
    check_choice,
    check_count,
    unit_rows,
)
from lib.core.paths import artifacts_dir
from lib.core.qrels import Qrels
from lib.core.reading import recorded_digest
from lib.core.result_store import ResultStore
from lib.core.writing import CHECKSUM_SUFFIX
from lib.datasets import icons as icon_data
from lib.datasets import scenes as scene_data
from lib.datasets.scenes import TRUE
from lib.index import METRICS
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import WEIGHTS, load_embeddings
from lib.models.dual_encoder import DualEncoder
from lib.models.trained_models import load_model

BLOCK = 2**16  # rows that become float32 at one time
CHUNK = 10_000  # images in a cached file: a stopped run loses at most seven seconds on two cores
N_QUERIES = 1_000
N_LEARN = 10_000
BASE_SEED, QUERY_SEED = 0, 1  # of scenes from the split test
LEARN_SEED = 1  # of scenes from the split train
STORE = ResultStore("ann", "crossmodal bench ann")
Progress = Callable[[int], None]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class AnnCorpus:
    """A base of vectors and named sets of queries; the id of a base vector is its position.

    Args:
        name: name in tables.
        metric: one of `lib.index.METRICS`.
        base: `(n, d)` numbers as they are stored, int8 or memory-mapped as well; `vectors` makes
            float32.
        queries: `{name: (n_queries, d)}`. "image" are drawn as the base is (in distribution),
            "text" are of the other modality (out of distribution). A corpus of one kind of query
            has one entry.
        learn: `{modality: (m, d)}`, rows that are neither base nor queries, for training and
            tuning. "new_text" are texts that the model was not trained on either.
        relevant: `{name: Qrels (n_queries, n)}` of the end task, for the queries that have one.
        neighbours: `{name: (ids, distances)}` that came with the data, distances ascending.
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
            rows = {}
            for key, value in getattr(self, attribute).items():
                name = f"{attribute}[{key!r}]"
                rows[key] = self._as_float32(as_real_matrix(value, name, dim=dim), name)
            object.__setattr__(self, attribute, rows)
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
        """Return base vectors as float32, of unit length under cosine."""
        return self._as_float32(np.asarray(self.base[rows]), "base")

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """Yield all base vectors in order, `size` at a time: float32 need not fit into memory."""
        for start in range(0, len(self), check_count(size, "size")):
            yield self.vectors(slice(start, start + size))

    @cached_property
    def key(self) -> str:
        """Digest of everything that decides a measurement: metric, base, queries, judgements."""
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

    def _as_float32(self, rows: np.ndarray, name: str) -> np.ndarray:
        return unit_rows(rows, name) if self.metric == "cosine" else as_embeddings(rows, name)


def icons() -> AnnCorpus:
    """Make the corpus of icons from the stored embeddings.

    The base has the images of train and test, queries are images of validation and names of test.
    The model was trained on most of the base and on no query. Every name has its drawing in the
    base.
    """
    corpus, arrays = icon_data.load_icons(), load_embeddings("icons")
    base = np.flatnonzero(corpus.splits != "validation")
    names = list(dict.fromkeys(corpus.names[i] for i in corpus.positions("test")))
    judged = icon_data.judge(names, corpus, base).at_least(icon_data.SAME_NAME)
    images = arrays["all_image"][corpus.positions("validation")]
    return AnnCorpus(
        "icons",
        "cosine",
        arrays["all_image"][base],
        {"image": images, "text": arrays["test_text"]},
        {"text": _icon_names("train"), "new_text": _icon_names("validation")},
        {"text": judged},
    )


def scenes(size: int = 100_000, progress: Progress | None = None) -> AnnCorpus:
    """Make the corpus of scenes; the trained model encodes them once, a minute per 100,000.

    Queries are the same at every size, which makes sizes comparable.
    """
    if check_count(size, "size") < N_QUERIES:
        raise RetrievalInputError(
            f"size must be at least {N_QUERIES:,}, one per text query, got {size}"
        )
    base, judged = scene_images(size, progress)
    rows = _scene_queries(progress)
    return AnnCorpus(
        "scenes",
        "cosine",
        base,
        {kind: rows[kind] for kind in ("image", "text")},
        {kind: rows[f"learn_{kind}"] for kind in ("image", "text")},
        {"text": judged},
    )


# ---- embeddings, cached as int8


def scene_images(size: int, progress: Progress | None = None) -> tuple[np.ndarray, Qrels]:
    """Encode the first images of the test split, and list those that each text query is true of."""
    parts = [_scene_chunk(number, progress) for number in range(-(-size // CHUNK))]
    base = np.concatenate([part["image"] for part in parts])[:size]
    query, item = (
        np.concatenate([part[key] for part in parts]) for key in ("true_query", "true_item")
    )
    inside = item < size
    grades = np.full(int(inside.sum()), TRUE)
    return base, Qrels.from_pairs(query[inside], item[inside], grades, shape=(N_QUERIES, size))


def query_scenes() -> scene_data.SceneBatch:
    """Return the scenes that the text queries describe: the first of every base."""
    return scene_data.sample("test", N_QUERIES, BASE_SEED)


def captions_in_turn(batch: scene_data.SceneBatch) -> list[str]:
    """Return caption i % 5 of scene i."""
    return scene_data.caption_choice(batch, np.arange(len(batch)) % scene_data.N_CAPTIONS)


def _scene_chunk(number: int, progress: Progress | None) -> Arrays:
    start = number * CHUNK

    def make() -> Arrays:
        batch = scene_data.sample("test", CHUNK, BASE_SEED, start=start)
        rows = _model("scenes").encode_image(scene_data.render(batch), progress=progress)
        turn = np.arange(N_QUERIES)
        captions = turn * scene_data.N_CAPTIONS + turn % scene_data.N_CAPTIONS
        true = scene_data.qrels(query_scenes(), batch).take_queries(captions).at_least(TRUE)
        return {
            "image": to_int8(rows),
            "true_query": true.query_index,
            "true_item": true.items + start,
        }

    return STORE.cached(_embedding_key("scenes", f"test {number:05d}"), make)


def _scene_queries(progress: Progress | None = None) -> Arrays:
    """Encode the queries `image` and `text`, and `learn_image` and `learn_text`.

    `image` are images of another stream of the test split, `text` is one caption of each of the
    first images of the base. Rows to learn from are of the train split, which shares no composition
    with base and queries.
    """

    def make() -> Arrays:
        model, learn = _model("scenes"), scene_data.sample("train", N_LEARN, LEARN_SEED)
        queries = scene_data.sample("test", N_QUERIES, QUERY_SEED)
        arrays = {
            "image": model.encode_image(scene_data.render(queries), progress=progress),
            "text": model.encode_text(captions_in_turn(query_scenes())),
            "learn_image": model.encode_image(scene_data.render(learn), progress=progress),
            "learn_text": model.encode_text(captions_in_turn(learn)),
        }
        return {name: to_int8(rows) for name, rows in arrays.items()}

    return STORE.cached(_embedding_key("scenes", "queries"), make)


def _icon_names(split: str) -> np.ndarray:
    """Encode the different names of a split, in order of appearance."""

    def make() -> Arrays:
        corpus = icon_data.load_icons()
        names = dict.fromkeys(corpus.names[i] for i in corpus.positions(split))
        phrases = [icon_data.phrase_of(name) for name in names]
        return {"text": to_int8(_model("icons").encode_text(phrases))}

    return STORE.cached(_embedding_key("icons", f"{split} names"), make)["text"]


def _embedding_key(model: str, part: str) -> dict:
    """Make the key of cached embeddings: other weights, or other sizes, have another key."""
    sidecar = artifacts_dir() / model / (WEIGHTS + CHECKSUM_SUFFIX)
    digest = recorded_digest(sidecar, f"Restore it with git, or run: crossmodal train {model}")
    return {"model": model, "part": part, "made by": [digest, CHUNK, N_QUERIES, N_LEARN]}


@lru_cache(maxsize=2)
def _model(name: str) -> DualEncoder:
    return load_model(name)
