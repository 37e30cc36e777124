"""What helps queries of another modality: each remedy beside the plain index, at equal work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.benchmarks.ann.corpora import AnnCorpus
from lib.benchmarks.ann.recall import by_id
from lib.benchmarks.ann.truth import truth
from lib.checks import RetrievalInputError
from lib.index import IVFIndex, QueryAwareLists, VectorSearchIndex, link_by_queries
from lib.metrics import bootstrap_interval, paired_bootstrap_interval

K = 10
NPROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
EF_SEARCH = (10, 12, 14, 17, 20, 24, 28, 34, 40, 56, 80, 112, 160)
LINKS, EF_CONSTRUCTION = 16, 100
WANTED_BY = 10  # neighbours of each training text that are linked, or copied into its list


@dataclass(frozen=True)
class Point:
    """One setting of one index for one kind of query.

    Args:
        search: the setting.
        work: comparisons with whole vectors a query, centroids included.
        hits: `(n_queries,)` true neighbours found among K.
    """

    search: Mapping[str, int]
    work: float
    hits: np.ndarray

    @property
    def recall(self) -> float:
        return float(self.hits.mean() / K)


Curve = list[Point]  # by rising work


def table(corpus: AnnCorpus, log: Callable[[str], None] = lambda line: None) -> list[dict]:
    """Recall of every remedy by setting and kind of query, and its gain over the plain index at equal work.

    - "mixed training": k-means of the coarse quantiser sees a tenth, or half, training texts.
    - "copies by texts": what training texts want is copied into their lists (`QueryAwareLists`).
    - "texts as nodes": training texts are nodes of the graph, which searches may cross but not return.
    - "links by texts": what one training text wants is linked (`link_by_queries`).

    Args:
        corpus: with texts to learn from.
        log: takes what has been done, a line at a time.

    Returns:
        Rows: corpus, family, remedy ("none" is the plain index), queries, search, work, recall with its 95%
        interval, gain (in recall, over the plain index at the same work) with its paired interval, None where
        the plain index has no setting with so much or so little work; `stored`, vectors held for each of the
        base.

    Raises:
        RetrievalInputError: a corpus without texts to learn from.
    """
    rows = []
    for family, remedies in (("IVF", _lists(corpus)), ("HNSW", _graphs(corpus))):
        plain: dict[str, Curve] = {}
        for remedy, (curves, stored) in remedies:
            for kind, curve in curves.items():
                before = plain.setdefault(kind, curve)
                log(f"{family}, {remedy}, {kind}: {len(curve)} settings")
                for point in curve:
                    about = {"corpus": corpus.name, "family": family, "remedy": remedy, "queries": kind}
                    rows.append(about | _row(point) | _gain(point, before, remedy) | {"stored": stored})
    return rows


def tuned(corpus: AnnCorpus, target: float = 0.95) -> list[dict]:
    """The cheapest setting that reaches a recall, chosen on image queries or on texts.

    A model has pulled the texts that it was trained on towards their images, further than it pulls new
    ones: an index tuned on them is tuned for an easier question.

    Args:
        corpus: with texts to learn from.
        target: recall among K that is asked for.

    Returns:
        Rows: corpus, family, chosen_on, search, and recall and work of that setting on both kinds of test
        query.

    Raises:
        RetrievalInputError: a corpus without texts to learn from, or a target that no setting reaches.
    """
    samples = {"training texts": _learn(corpus)}
    if "new_text" in corpus.learn:
        samples["new texts"] = corpus.learn["new_text"]
    wanted = {name: exact_ids(corpus, texts) for name, texts in samples.items()}
    rows = []
    for family, index, settings in _plain(corpus):
        curves = _both(corpus, index, settings)
        chosen = {"image queries": curves["image"]}
        for name, texts in samples.items():
            chosen[name] = _curve(index, settings, texts, wanted[name])
        for chosen_on, curve in chosen.items():
            at = next((i for i, point in enumerate(curve) if point.recall >= target), None)
            if at is None:
                raise RetrievalInputError(f"no setting of {family} reaches {target} on {chosen_on}")
            row = {"corpus": corpus.name, "family": family, "chosen_on": chosen_on}
            row |= {"search": json.dumps(curve[at].search)}
            for kind in ("image", "text"):
                row |= {f"{kind}_recall": curves[kind][at].recall, f"{kind}_work": curves[kind][at].work}
            rows.append(row)
    return rows


def at_equal_work(point: Point, curve: Sequence[Point]) -> np.ndarray | None:
    """Hits a query, `(n_queries,)`, that the settings of a curve give with as much work as a point took.

    Between two settings a server would use one for a share of its queries and the other for the rest, so
    that hits and work are the same mixture of both. None outside the curve.
    """
    work = np.array([each.work for each in curve])
    if not work[0] <= point.work <= work[-1]:
        return None
    after = min(max(1, int(np.searchsorted(work, point.work))), len(curve) - 1)
    share = (point.work - work[after - 1]) / (work[after] - work[after - 1])
    return (1 - share) * curve[after - 1].hits + share * curve[after].hits


def exact_ids(corpus: AnnCorpus, queries: np.ndarray, k: int = K) -> np.ndarray:
    """`(n_queries, k)` ids of exact search over the base, for queries that are not the corpus's own."""
    flat = VectorSearchIndex(corpus.dim, "Flat", metric=corpus.metric)
    flat.add(corpus.vectors())
    return flat.search(queries, k)[1]


def _learn(corpus: AnnCorpus) -> np.ndarray:
    if "text" not in corpus.learn:
        raise RetrievalInputError(f"corpus {corpus.name!r} has no texts to learn from")
    return corpus.learn["text"]


def _plain(corpus: AnnCorpus):
    ivf = VectorSearchIndex(corpus.dim, "IVF", metric=corpus.metric)
    ivf.train(corpus.vectors())
    ivf.add(corpus.vectors())
    hnsw = _graph(corpus)
    hnsw.add(corpus.vectors())
    return ("IVF", ivf, _probes(ivf)), ("HNSW", hnsw, [{"ef_search": ef} for ef in EF_SEARCH])


def _probes(index: IVFIndex) -> list[dict[str, int]]:
    return [{"nprobe": nprobe} for nprobe in NPROBES if nprobe <= index.build_options["nlist"]]


def _graph(corpus: AnnCorpus) -> VectorSearchIndex:
    options = {"links": LINKS, "ef_construction": EF_CONSTRUCTION}
    return VectorSearchIndex(corpus.dim, "HNSW", metric=corpus.metric, **options)


def _lists(corpus: AnnCorpus):
    """Of the plain inverted file and its remedies: name, curves by kind, vectors stored for each given."""
    base, learn = corpus.vectors(), _learn(corpus)
    rng = np.random.default_rng(0)
    plain = None
    for name, share in (
        ("none", 0.0),
        ("mixed training, 10% texts", 0.1),
        ("mixed training, 50% texts", 0.5),
    ):
        n_texts = min(len(learn), round(share / (1 - share) * len(base)))
        texts = learn[np.sort(rng.choice(len(learn), n_texts, replace=False))]
        options = {} if plain is None else {"nlist": plain.build_options["nlist"]}
        index = VectorSearchIndex(corpus.dim, "IVF", metric=corpus.metric, **options)
        index.train(np.concatenate([base, texts]) if len(texts) else base)
        index.add(base)
        plain = plain or index
        yield name, (_both(corpus, index, _probes(index)), 1.0)
    wanted = exact_ids(corpus, learn, WANTED_BY)
    copied = QueryAwareLists(plain.centroids, base, learn, wanted, corpus.metric)
    yield "copies by texts", (_both(corpus, copied, _probes(plain)), copied.stored / len(base))


def _graphs(corpus: AnnCorpus):
    """The same of the graph."""
    base, learn = corpus.vectors(), _learn(corpus)
    settings = [{"ef_search": ef} for ef in EF_SEARCH]
    plain, crossed = _graph(corpus), _graph(corpus)
    plain.add(base)
    yield "none", (_both(corpus, plain, settings), 1.0)
    crossed.add(np.concatenate([base, learn]))
    curves = _both(corpus, crossed, settings, allowed=np.arange(len(base)))
    yield "texts as nodes", (curves, crossed.ntotal / len(base))
    link_by_queries(plain, exact_ids(corpus, learn, WANTED_BY))
    yield "links by texts", (_both(corpus, plain, settings), 1.0)


def _both(corpus: AnnCorpus, index, settings, allowed=None) -> dict[str, Curve]:
    true = truth(corpus, K)
    return {
        kind: _curve(index, settings, queries, true[kind].ids, allowed)
        for kind, queries in corpus.queries.items()
    }


def _curve(index, settings, queries: np.ndarray, true_ids: np.ndarray, allowed=None) -> Curve:
    points = []
    for setting in settings:
        index.set_search(**setting)
        ids = index.search(queries, K, **({} if allowed is None else {"allowed": allowed}))[1]
        work = index.work["distances"] + index.work.get("centroids", 0)
        points.append(Point(setting, work / len(queries), by_id(ids, true_ids, K)))
    return points


def _row(point: Point) -> dict:
    low, high = bootstrap_interval(point.hits / K)
    row = {"search": json.dumps(point.search), "work": point.work, "recall": point.recall}
    return row | {"recall_low": low, "recall_high": high}


def _gain(point: Point, plain: Curve, remedy: str) -> dict:
    before = None if remedy == "none" else at_equal_work(point, plain)
    if before is None:
        return dict.fromkeys(("gain", "gain_low", "gain_high"))
    low, high = paired_bootstrap_interval(point.hits / K, before / K)
    return {"gain": float((point.hits - before).mean() / K), "gain_low": low, "gain_high": high}
