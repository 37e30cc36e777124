"""What helps queries of another modality: each remedy beside the plain index, at equal work."""

import json
from collections.abc import Callable

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index import IVFIndex, QueryAwareLists, VectorSearchIndex, link_by_queries
from lib.metrics import bootstrap_interval, paired_bootstrap_interval
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import exact_ids
from lib.studies.ann.recall_vs_work import Curve, K, Point, at_equal_work, measure, measure_both

NPROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
EF_SEARCH = (10, 12, 14, 17, 20, 24, 28, 34, 40, 56, 80, 112, 160)
LINKS, EF_CONSTRUCTION = 16, 100
WANTED_BY = 10  # neighbours of each training text that are linked, or copied into its list


def table(corpus: AnnCorpus, log: Callable[[str], None] = lambda line: None) -> list[dict]:
    """Recall of every remedy by setting and kind of query, and its gain over the plain index at
    equal work.

    - "mixed training": k-means of the coarse quantiser sees training texts too, at most a tenth, or
      all.
    - "copies by texts": what training texts want is copied into their lists (`QueryAwareLists`).
    - "texts as nodes": training texts are nodes of the graph, which searches may cross but not
      return.
    - "links by texts": what one training text wants is linked (`link_by_queries`).

    Args:
        corpus: with texts to learn from.
        log: takes what has been done, a line at a time.

    Returns:
        Rows: corpus, family, remedy ("none" is the plain index), queries, search, work, recall with
            its 95%
        interval, gain (in recall, over the plain index at the same work) with its paired interval,
        None where the plain index has no setting with so much or so little work; `stored`, vectors
        held for each of the base.

    Raises:
        RetrievalInputError: a corpus without texts to learn from.
    """
    wanted, rows = exact_ids(corpus, _learn(corpus), WANTED_BY), []
    for family, remedies in (("IVF", _lists(corpus, wanted)), ("HNSW", _graphs(corpus, wanted))):
        plain: dict[str, Curve] = {}
        for remedy, (curves, stored) in remedies:
            for kind, curve in curves.items():
                before = plain.setdefault(kind, curve)
                log(f"{family}, {remedy}, {kind}: {len(curve)} settings")
                for point in curve:
                    about = {
                        "corpus": corpus.name,
                        "family": family,
                        "remedy": remedy,
                        "queries": kind,
                    }
                    rows.append(
                        about | _row(point) | _gain(point, before, remedy) | {"stored": stored}
                    )
    return rows


def tuned(corpus: AnnCorpus, target: float = 0.95) -> list[dict]:
    """The cheapest setting that reaches a recall, chosen on image queries or on texts.

    A model has pulled the texts that it was trained on towards their images, further than it pulls
    new ones: an index tuned on them is tuned for an easier question.

    Args:
        corpus: with texts to learn from.
        target: recall among K that is asked for.

    Returns:
        Rows: corpus, family, chosen_on, search, and recall and work of that setting on both kinds
            of test
        query.

    Raises:
        RetrievalInputError: a corpus without texts to learn from, or a target that no setting
            reaches.
    """
    samples = {"training texts": _learn(corpus)}
    if "new_text" in corpus.learn:
        samples["new texts"] = corpus.learn["new_text"]
    wanted = {name: exact_ids(corpus, texts, K) for name, texts in samples.items()}
    rows = []
    for family, index, settings in _plain(corpus):
        curves = measure_both(corpus, index, settings)
        chosen = {"image queries": curves["image"]}
        for name, texts in samples.items():
            chosen[name] = measure(index, settings, texts, wanted[name])
        for chosen_on, curve in chosen.items():
            at = next((i for i, point in enumerate(curve) if point.recall >= target), None)
            if at is None:
                raise RetrievalInputError(f"no setting of {family} reaches {target} on {chosen_on}")
            row = {"corpus": corpus.name, "family": family, "chosen_on": chosen_on}
            row |= {"search": json.dumps(curve[at].search)}
            for kind in ("image", "text"):
                row |= {
                    f"{kind}_recall": curves[kind][at].recall,
                    f"{kind}_work": curves[kind][at].work,
                }
            rows.append(row)
    return rows


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


def _lists(corpus: AnnCorpus, wanted: np.ndarray):
    """Of the plain inverted file and its remedies: name, curves by kind, vectors stored for each
    given.
    """
    base, learn = corpus.vectors(), _learn(corpus)
    rng = np.random.default_rng(0)
    plain = None
    for n_texts in sorted(
        {0, min(len(learn), round(len(base) / 9)), len(learn)}
    ):  # a tenth, and all
        name = f"mixed training, {n_texts / (n_texts + len(base)):.0%} texts" if n_texts else "none"
        texts = learn[np.sort(rng.choice(len(learn), n_texts, replace=False))]
        options = {} if plain is None else {"nlist": plain.build_options["nlist"]}
        index = VectorSearchIndex(corpus.dim, "IVF", metric=corpus.metric, **options)
        index.train(np.concatenate([base, texts]) if len(texts) else base)
        index.add(base)
        plain = plain or index
        yield name, (measure_both(corpus, index, _probes(index)), 1.0)
    copied = QueryAwareLists(plain.centroids, base, learn, wanted, corpus.metric)
    yield (
        "copies by texts",
        (measure_both(corpus, copied, _probes(plain)), copied.stored / len(base)),
    )


def _graphs(corpus: AnnCorpus, wanted: np.ndarray):
    """The same of the graph."""
    base, learn = corpus.vectors(), _learn(corpus)
    settings = [{"ef_search": ef} for ef in EF_SEARCH]
    plain, crossed = _graph(corpus), _graph(corpus)
    plain.add(base)
    yield "none", (measure_both(corpus, plain, settings), 1.0)
    crossed.add(np.concatenate([base, learn]))
    curves = measure_both(corpus, crossed, settings, allowed=np.arange(len(base)))
    yield "texts as nodes", (curves, crossed.ntotal / len(base))
    link_by_queries(plain, wanted)
    yield "links by texts", (measure_both(corpus, plain, settings), 1.0)


def _row(point: Point) -> dict:
    low, high = bootstrap_interval(point.hits / K)
    row = {"search": json.dumps(point.search), "work": point.work, "recall": point.recall}
    return row | {"recall_low": low, "recall_high": high}


def _gain(point: Point, plain: Curve, remedy: str) -> dict:
    before = None if remedy == "none" else at_equal_work(point.work, plain)
    if before is None:
        return dict.fromkeys(("gain", "gain_low", "gain_high"))
    low, high = paired_bootstrap_interval(point.hits / K, before / K)
    return {"gain": float((point.hits - before).mean() / K), "gain_low": low, "gain_high": high}
