"""Sketch and one word: a category word beside the sketch, in the space and by ranks.

The word is `category_word`, Unicode's group of what is drawn: "fruit", "face", "clothing". It is
right for many pages and names none. Every page holds the word of its group, so the word never
misleads: a person's word may. Settings are chosen on the validation split by R@1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from lib.core.task import RetrievalTask
from lib.datasets import emoji, pictures, sketches
from lib.index.exact import topk_exact
from lib.metrics import Evaluation
from lib.metrics.geometry import to_int8
from lib.models.dual_encoder import DualEncoder
from lib.models.sketch_tower import SketchEncoder
from lib.models.trained_models import load_model
from lib.search import BM25Retriever, evaluate_run, reciprocal_rank_fusion
from lib.search.bm25 import stems_of
from lib.search.fusion import mix_vectors
from lib.studies.sketches.systems import PLAIN, TOWER

SHARES = (1.0, 0.8, 0.6, 0.5)  # of the picture in a page's vector
MIXES = (0.9, 0.8, 0.7, 0.6, 0.5)  # of the sketch in a query of both
DAMPINGS, WEIGHTS = (20, 60, 200), (0.02, 0.05, 0.1, 0.2, 0.5)  # k, weight of the word's ranks
VALIDATION_VARIANTS = 3
SYSTEMS = ("sketch alone", "word alone, BM25", "word alone, in the space", "both, in the space",
           "both, by ranks", "both, word as a filter")  # fmt: skip


@dataclass(frozen=True)
class WordQueries:
    """A task with a word for each sketch, and the vectors of both.

    Args:
        task: from sketches to pages or icons.
        words: one for each query.
        sketches, texts: (n_queries, dim) unit vectors.
    """

    task: RetrievalTask
    words: tuple[str, ...]
    sketches: np.ndarray
    texts: np.ndarray


@dataclass(frozen=True)
class WordSettings:
    """Shares of the picture in a page and of the sketch in a query; k and weight of the ranks."""

    share: float
    mix: float
    k: float
    weight: float


def words_of_places(places: np.ndarray) -> tuple[str, ...]:
    """Return the category word of each emoji."""
    groups = emoji.load_emoji().subgroups
    return tuple(sketches.category_word(groups[place]) for place in places.tolist())


def encode_queries(
    encoder: DualEncoder, texts: DualEncoder, task: RetrievalTask, words: tuple[str, ...]
) -> WordQueries:
    """Encode sketches by one model and words by another of the same space."""
    encode = getattr(encoder, "encode_sketch", encoder.encode_image)
    known = sorted(set(words))
    vectors = texts.encode_text(known)[np.searchsorted(known, words)]
    return WordQueries(task, words, encode(task.queries), vectors)


class PageSearch:
    """Search all pages by sketch, by word, and by both.

    Args:
        shared: the model of the space, which encodes pictures and titles.
    """

    def __init__(self, shared: SketchEncoder) -> None:
        self.pages = sketches.load_pages(np.arange(len(emoji.load_emoji())))
        self.pictures = shared.encode_document(self.pages, share=1.0)
        self.titles = shared.encode_document(self.pages, share=0.0)
        self.words = BM25Retriever([page.words for page in self.pages], tokens_of=stems_of)

    def vectors(self, share: float) -> np.ndarray:
        """Return the vectors of the pages with this share of the picture."""
        return share * self.pictures + (1 - share) * self.titles

    def by_vector(self, queries: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Rank all pages by cosine."""
        gallery = to_int8(self.vectors(share))
        return topk_exact(to_int8(queries), gallery, len(gallery), metric="cosine")

    def by_word(self, words: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Rank the pages that hold the word by BM25; other places are -1."""
        run = self.words.search(self.words.encode(list(words), "text"), len(self.pages))
        return run.scores, run.ids

    def by_ranks(self, queries: WordQueries, settings: WordSettings):
        """Fuse the ranks of sketch and word."""
        runs = [self.by_vector(queries.sketches, settings.share), self.by_word(queries.words)]
        return reciprocal_rank_fusion(runs, k=settings.k, weights=[1.0, settings.weight])

    def by_filter(self, queries: WordQueries, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Rank the pages that hold the word by the sketch; all others stand behind them."""
        scores, ids = self.by_vector(queries.sketches, share)
        holds = np.zeros((len(ids), len(self.pages)), dtype=bool)
        found = self.by_word(queries.words)[1]
        query, place = np.nonzero(found >= 0)
        holds[query, found[query, place]] = True
        holds = np.take_along_axis(holds, ids, axis=1)
        order = np.argsort(~holds, axis=1, kind="stable")
        scores = scores + 2 * holds  # cosines differ by 2 at most
        return tuple(np.take_along_axis(array, order, axis=1) for array in (scores, ids))

    def runs(self, queries: WordQueries, settings: WordSettings) -> Iterator[tuple[str, object]]:
        """Yield the name and the run of each of `SYSTEMS`."""
        share, alone = settings.share, queries.sketches
        yield SYSTEMS[0], self.by_vector(alone, share)
        yield SYSTEMS[1], self.by_word(queries.words)
        yield SYSTEMS[2], self.by_vector(queries.texts, share)
        yield SYSTEMS[3], self.by_vector(mix_vectors(alone, queries.texts, settings.mix), share)
        yield SYSTEMS[4], self.by_ranks(queries, settings)
        yield SYSTEMS[5], self.by_filter(queries, share)


def choose_settings(search: PageSearch, queries: WordQueries) -> WordSettings:
    """Choose each setting by R@1, then R@10, on queries of the validation split."""

    def score(run) -> float:
        report = evaluate_run(run, queries.task, metrics=("R@1", "R@10"))
        return report.mean("R@1") + 0.01 * report.mean("R@10")

    alone, texts = queries.sketches, queries.texts
    share = max(SHARES, key=lambda share: score(search.by_vector(alone, share)))
    mix = max(MIXES, key=lambda mix: score(search.by_vector(mix_vectors(alone, texts, mix), share)))
    grid = [WordSettings(share, mix, k, weight) for k in DAMPINGS for weight in WEIGHTS]
    return max(grid, key=lambda settings: score(search.by_ranks(queries, settings)))


def word_rows(
    log: Callable[[str], None] = print,
) -> tuple[list[dict], dict[str, np.ndarray], list[dict]]:
    """Measure sketch, word and both on pages, by both towers, also for the recorded drawings.

    Returns:
        Rows of the table, ranks for every query, and the chosen settings.
    """
    shared = load_model("sketches")
    search = PageSearch(shared)
    rows, arrays, chosen = [], {}, []
    for tower, encoder in ((TOWER, shared), (PLAIN, load_model("pictures"))):
        settings = choose_settings(search, _validation_queries(encoder, shared))
        chosen.append({"tower": tower} | vars(settings))
        log(f"{tower}: {settings}")
        for name, task, places in _test_tasks():
            queries = encode_queries(encoder, shared, task, words_of_places(places))
            for system, run in search.runs(queries, settings):
                report = evaluate_run(run, task, metrics=("R@1", "R@10"))
                rows += _labelled(report, {"task": name, "tower": tower, "system": system})
                arrays[f"words|{name}|{tower}|{system}|rank"] = _ranks(report)
    icon_rows, icon_arrays = _icon_rows(shared)
    return rows + icon_rows, arrays | icon_arrays, chosen


def _test_tasks() -> Iterator[tuple[str, RetrievalTask, np.ndarray]]:
    direction = "sketch_to_document"
    places = sketches.query_places("test", direction)
    yield "pages, deformed", sketches.task("test", direction, gallery="all"), places
    drawn = np.array([record.place for record in sketches.load_hand_drawn()])
    yield "pages, by mouse", sketches.hand_drawn_task(direction), drawn


def _validation_queries(encoder: DualEncoder, shared: SketchEncoder) -> WordQueries:
    task = sketches.task("validation", "sketch_to_document", gallery="all")
    places = sketches.query_places("validation", "sketch_to_document")
    variants = range(1, VALIDATION_VARIANTS + 1)
    drawn = [sketches.sketch_strokes(places, variant=variant) for variant in variants]
    images = np.concatenate([sketches.draw_sketches(strokes) for strokes in drawn])
    rows = np.tile(np.arange(len(places)), VALIDATION_VARIANTS)
    repeated = replace(task.take_queries(rows), queries=images)
    return encode_queries(encoder, shared, repeated, words_of_places(places[rows]))


def _icon_rows(shared: SketchEncoder) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Icons have no text: sketch and word meet in the space alone, half and half."""
    task = sketches.task("test", "sketch_to_icon")
    places = sketches.query_places("test", "sketch_to_icon")
    queries = encode_queries(shared, shared, task, words_of_places(places))
    corpus = pictures.load_pictures()
    gallery = to_int8(shared.encode_image(corpus.pixels(corpus.positions("test", ["icons"]))))
    rows, arrays = [], {}
    for system, vectors in (
        (SYSTEMS[0], queries.sketches),
        (SYSTEMS[2], queries.texts),
        (SYSTEMS[3], mix_vectors(queries.sketches, queries.texts, 0.7)),
    ):
        run = topk_exact(to_int8(vectors), gallery, len(gallery), metric="cosine")
        report = evaluate_run(run, task, metrics=("R@1", "R@10"))
        rows += _labelled(report, {"task": "icons, deformed", "tower": TOWER, "system": system})
        arrays[f"words|icons, deformed|{TOWER}|{system}|rank"] = _ranks(report)
    return rows, arrays


def _labelled(report: Evaluation, label: dict) -> list[dict]:
    kept = ("metric", "value", "low", "high", "n_queries", "n_gallery")
    return [label | {name: row[name] for name in kept} for row in report.rows()]


def _ranks(report: Evaluation) -> np.ndarray:
    """Ranks of the first hit; 32767 where the run does not hold it."""
    return np.where(np.isfinite(report.first_ranks), report.first_ranks, 32767).astype(np.int16)
