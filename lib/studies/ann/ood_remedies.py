"""Compare remedies for queries of another modality with the plain index, at equal work."""

import json
from collections.abc import Callable, Iterator

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index import IVFIndex, QueryAwareLists, VectorSearchIndex, link_by_queries
from lib.metrics import bootstrap_interval, paired_bootstrap_interval
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import exact_ids
from lib.studies.ann.recall_vs_work import (
    Curve,
    K,
    Point,
    hits_at_work,
    measure_curve,
    measure_curves,
)

NPROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
EF_SEARCH = (10, 12, 14, 17, 20, 24, 28, 34, 40, 56, 80, 112, 160)
GRAPH_SETTINGS = [{"ef_search": ef} for ef in EF_SEARCH]
LINKS, EF_CONSTRUCTION = 16, 100
NEIGHBOURS = 10  # of each training text: they are linked, or copied into its list
Measured = tuple[str, dict[str, Curve], float]  # remedy, curves by kind, stored per base vector


def remedy_table(corpus: AnnCorpus, log: Callable[[str], None] = lambda line: None) -> list[dict]:
    """Measure recall of every remedy by setting, and its gain over the plain index at equal work.

    - "mixed training": k-means of the coarse quantiser is trained on texts too, a tenth or all.
    - "copies by texts": neighbours of training texts are copied into their lists.
    - "texts as nodes": training texts are nodes of the graph; searches do not return them.
    - "links by texts": neighbours of one training text are linked (`link_by_queries`).

    Returns:
        Rows: corpus, family, remedy ("none" is the plain index), queries, search, work, recall with
        its 95% interval, gain (in recall, over the plain index at the same work) with its paired
        interval, None where the plain index has no setting with so much or so little work;
        `stored`, stored vectors per base vector.
    """
    neighbours, rows = exact_ids(corpus, _learn_texts(corpus), NEIGHBOURS), []
    families = {
        "IVF": _measure_lists(corpus, neighbours),
        "HNSW": _measure_graphs(corpus, neighbours),
    }
    for family, remedies in families.items():
        plain: dict[str, Curve] = {}
        for remedy, curves, stored in remedies:
            for kind, curve in curves.items():
                plain_curve = plain.setdefault(kind, curve)  # the first remedy is "none"
                log(f"{family}, {remedy}, {kind}: {len(curve)} settings")
                about = {"corpus": corpus.name, "family": family, "remedy": remedy}
                about["queries"] = kind
                rows += [
                    about | _recall(point) | _gain(point, plain_curve, remedy) | {"stored": stored}
                    for point in curve
                ]
    return rows


def tuning_table(corpus: AnnCorpus, target: float = 0.95) -> list[dict]:
    """Choose the cheapest setting that reaches a recall, on image queries or on texts.

    Training pulls the training texts of a model towards their images, closer than new texts. An
    index that is tuned on them is tuned for easier queries. Rows: corpus, family, chosen_on,
    search, and recall and work of that setting on both kinds of test query.
    """
    samples = {"training texts": _learn_texts(corpus)}
    if "new_text" in corpus.learn:
        samples["new texts"] = corpus.learn["new_text"]
    true = {name: exact_ids(corpus, texts, K) for name, texts in samples.items()}
    ivf = VectorSearchIndex(corpus.dim, "IVF", metric=corpus.metric)
    ivf.train(corpus.vectors())
    ivf.add(corpus.vectors())
    hnsw = _empty_graph(corpus)
    hnsw.add(corpus.vectors())
    rows = []
    for family, index, settings in (("IVF", ivf, _probes(ivf)), ("HNSW", hnsw, GRAPH_SETTINGS)):
        curves = measure_curves(corpus, index, settings)
        tuning = {"image queries": curves["image"]} | {
            name: measure_curve(index, settings, texts, true[name])
            for name, texts in samples.items()
        }
        for chosen_on, curve in tuning.items():
            at = next((i for i, point in enumerate(curve) if point.recall >= target), None)
            if at is None:
                raise RetrievalInputError(f"no setting of {family} reaches {target} on {chosen_on}")
            row = {"corpus": corpus.name, "family": family, "chosen_on": chosen_on}
            row["search"] = json.dumps(curve[at].search)
            for kind in ("image", "text"):
                row[f"{kind}_recall"] = curves[kind][at].recall
                row[f"{kind}_work"] = curves[kind][at].work
            rows.append(row)
    return rows


def _learn_texts(corpus: AnnCorpus) -> np.ndarray:
    if "text" not in corpus.learn:
        raise RetrievalInputError(f"corpus {corpus.name!r} has no texts to learn from")
    return corpus.learn["text"]


def _probes(index: IVFIndex) -> list[dict[str, int]]:
    return [{"nprobe": nprobe} for nprobe in NPROBES if nprobe <= index.build_options["nlist"]]


def _empty_graph(corpus: AnnCorpus) -> VectorSearchIndex:
    options = {"links": LINKS, "ef_construction": EF_CONSTRUCTION}
    return VectorSearchIndex(corpus.dim, "HNSW", metric=corpus.metric, **options)


def _measure_lists(corpus: AnnCorpus, neighbours: np.ndarray) -> Iterator[Measured]:
    """Measure the plain inverted file and its remedies."""
    base, learn = corpus.vectors(), _learn_texts(corpus)
    rng = np.random.default_rng(0)
    plain = None
    a_tenth = min(len(learn), round(len(base) / 9))
    for n_texts in sorted({0, a_tenth, len(learn)}):
        name = f"mixed training, {n_texts / (n_texts + len(base)):.0%} texts" if n_texts else "none"
        texts = learn[np.sort(rng.choice(len(learn), n_texts, replace=False))]
        options = {} if plain is None else {"nlist": plain.build_options["nlist"]}
        index = VectorSearchIndex(corpus.dim, "IVF", metric=corpus.metric, **options)
        index.train(np.concatenate([base, texts]) if len(texts) else base)
        index.add(base)
        plain = plain or index
        yield name, measure_curves(corpus, index, _probes(index)), 1.0
    lists = QueryAwareLists(plain.centroids, base, learn, neighbours, corpus.metric)
    curves = measure_curves(corpus, lists, _probes(plain))
    yield "copies by texts", curves, lists.stored / len(base)


def _measure_graphs(corpus: AnnCorpus, neighbours: np.ndarray) -> Iterator[Measured]:
    """Measure the plain graph and its remedies."""
    base, learn = corpus.vectors(), _learn_texts(corpus)
    plain, crossed = _empty_graph(corpus), _empty_graph(corpus)
    plain.add(base)
    yield "none", measure_curves(corpus, plain, GRAPH_SETTINGS), 1.0
    crossed.add(np.concatenate([base, learn]))
    curves = measure_curves(corpus, crossed, GRAPH_SETTINGS, allowed=np.arange(len(base)))
    yield "texts as nodes", curves, crossed.ntotal / len(base)
    link_by_queries(plain, neighbours)
    yield "links by texts", measure_curves(corpus, plain, GRAPH_SETTINGS), 1.0


def _recall(point: Point) -> dict:
    low, high = bootstrap_interval(point.hits / K)
    row = {"search": json.dumps(point.search), "work": point.work, "recall": point.recall}
    return row | {"recall_low": low, "recall_high": high}


def _gain(point: Point, plain: Curve, remedy: str) -> dict:
    plain_hits = None if remedy == "none" else hits_at_work(point.work, plain)
    if plain_hits is None:
        return dict.fromkeys(("gain", "gain_low", "gain_high"))
    low, high = paired_bootstrap_interval(point.hits / K, plain_hits / K)
    gain = float((point.hits - plain_hits).mean() / K)
    return {"gain": gain, "gain_low": low, "gain_high": high}
