"""Data files and results of ann-benchmarks, read and written as it lays them out in HDF5."""

import json
import re
from pathlib import Path

import h5py
import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_k
from lib.core.writing import atomic_path
from lib.datasets.vector_files import HDF5, open_hdf5, read_vectors
from lib.studies.ann.cached_embeddings import Progress
from lib.studies.ann.corpora import BLOCK, AnnCorpus, icons, scenes
from lib.studies.ann.ground_truth import truth
from lib.studies.ann.records import Found, Measured

DISTANCES = {"angular": "cosine", "euclidean": "l2"}  # ann-benchmarks' names, and ours
METRICS = {ours: theirs for theirs, ours in DISTANCES.items()}
OWN = ("icons", "scenes")
STORED = 100  # neighbours in its data files
HELD_OUT = 1_000


def open_corpus(
    name: str,
    *,
    size: int | None = None,
    queries: str | Path | None = None,
    metric: str | None = None,
    progress: Progress | None = None,
) -> AnnCorpus:
    """A corpus by its name, or from a file.

    Args:
        name: "icons", "scenes" or the path of a file that `from_file` takes.
        size: base vectors; 100,000 scenes and whole files when None. Icons are as many as they are.
        queries, metric: of a file, as for `from_file`.
        progress: called with the number of scenes that have become ready, while they are encoded.

    Raises:
        RetrievalInputError: an option that the corpus does not have, or what the corpus itself
            refuses.
    """
    if name in OWN:
        asked = {"size": size if name == "icons" else None, "queries": queries, "metric": metric}
        wrong = [option for option, value in asked.items() if value is not None]
        if wrong:
            raise RetrievalInputError(f"{name} comes with its own {wrong[0]}; leave the option out")
        return (
            icons()
            if name == "icons"
            else scenes(*([] if size is None else [size]), progress=progress)
        )
    if not Path(name).suffix:
        check_choice(name, OWN, "corpus, where it is no file,")
    return from_file(name, queries, metric=metric, limit=size)


def from_file(
    path: str | Path,
    queries: str | Path | None = None,
    *,
    metric: str | None = None,
    limit: int | None = None,
) -> AnnCorpus:
    """A corpus of your own vectors.

    Args:
        path: base vectors, a file that `read_vectors` takes; a data file of ann-benchmarks (HDF5
            with the arrays `train` and `test`) brings its queries, metric and neighbours along.
        queries: file of query vectors. Without it the last rows of the base ask: 1,000, or a tenth
            of a small base. They are then not in the base, and the name says so.
        metric: of the comparison; cosine when None, unless the file says.
        limit: rows of the file to use.

    Raises:
        RetrievalInputError: what `read_vectors` refuses, a file of one row without queries, or
            another metric than the file's.
    """
    path = Path(path)
    if path.suffix.lower() in HDF5 and path.is_file() and queries is None:
        with open_hdf5(path) as archive:
            is_dataset = {"train", "test"} <= archive.keys()
        if is_dataset:
            corpus = read_dataset(path, limit=limit)
            if metric not in (None, corpus.metric):
                raise RetrievalInputError(
                    f"{path.name} says {corpus.metric}, not {metric}; leave metric out"
                )
            return corpus
    rows, metric = read_vectors(path, limit=limit), metric or "cosine"
    if queries is not None:
        return AnnCorpus(path.stem, metric, rows, {"queries": read_vectors(queries)})
    held = min(HELD_OUT, len(rows) // 10) or 1
    if len(rows) < 2:
        raise RetrievalInputError(
            f"{path.name} has one row; give more, or queries in a file of their own"
        )
    name = f"{path.stem}, last {held:,} held out"
    return AnnCorpus(name, metric, rows[:-held], {"held out": rows[-held:]})


def read_dataset(path: str | Path, kind: str = "queries", limit: int | None = None) -> AnnCorpus:
    """A data file of ann-benchmarks.

    Args:
        path: HDF5 with the attribute `distance` and the arrays `train`, `test`, `neighbors`,
            `distances`.
        kind: what its queries are called, for example "text".
        limit: base vectors to use, from the first; the stored neighbours do not fit fewer and are
            left out.

    Raises:
        RetrievalInputError: a distance other than angular and euclidean, arrays that are missing or
            do not fit together, or a neighbour that is not in the base.

    Reference: erikbern/ann-benchmarks, ann_benchmarks/datasets.py (`write_output`).
    """
    path = Path(path)
    base, asked = (read_vectors(path, name) for name in ("train", "test"))
    with open_hdf5(path) as archive:
        distance = str(archive.attrs.get("distance", "missing"))
    metric = DISTANCES[check_choice(distance, DISTANCES, f"distance of {path.name}")]
    if limit is not None and limit < len(base):
        return AnnCorpus(path.stem, metric, base[:limit], {kind: asked})
    ids, distances = (np.asarray(read_vectors(path, name)) for name in ("neighbors", "distances"))
    if ids.shape != distances.shape or len(ids) != len(asked) or ids.dtype.kind not in "iu":
        raise RetrievalInputError(
            f"{path.name} has neighbors {ids.dtype} {ids.shape} and distances {distances.shape} for"
            f" {len(asked)} queries; expected whole numbers and numbers, a row for each query"
        )
    if ids.min() < 0 or ids.max() >= len(base):
        row, column = np.argwhere((ids < 0) | (ids >= len(base)))[0]
        raise RetrievalInputError(
            f"{path.name} has the neighbour {ids[row, column]} in row {row}, outside"
            f" 0..{len(base) - 1}"
        )
    return AnnCorpus(path.stem, metric, base, {kind: asked}, neighbours={kind: (ids, distances)})


def write_dataset(path: str | Path, corpus: AnnCorpus, kind: str, k: int = STORED) -> None:
    """Writes base, one kind of queries and their k exact neighbours as a data file of
    ann-benchmarks.

    Raises:
        RetrievalInputError: inner product, which it has no name for, an unknown kind, or k above
            the base.
    """
    check_choice(kind, corpus.queries, "kind")
    distance = METRICS[check_choice(corpus.metric, METRICS, "metric that ann-benchmarks knows")]
    true, queries = truth(corpus, check_k(k, len(corpus)))[kind], corpus.queries[kind]
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as archive:
        attributes = {
            "type": "dense",
            "distance": distance,
            "dimension": corpus.dim,
            "point_type": "float",
        }
        archive.attrs.update(attributes)
        train = archive.create_dataset("train", (len(corpus), corpus.dim), np.float32)
        for number, block in enumerate(corpus.blocks()):
            train[number * BLOCK : number * BLOCK + len(block)] = block
        archive.create_dataset("test", data=queries)
        archive.create_dataset("neighbors", data=true.ids)
        archive.create_dataset("distances", data=true.distances)


def write_results(folder: str | Path, found: Found) -> list[Path]:
    """Writes what was found as ann-benchmarks' result files of batch mode, which its plots read.

        <folder>/<corpus>-<kind>/<k>/<config>-batch/<setting>.hdf5

    `neighbors` is filled up with -1 and `distances` with infinity; `times` holds, as in its own
    batch mode, the seconds of the fastest pass divided by the queries, for every query.

    Returns:
        The files.

    Reference: erikbern/ann-benchmarks, ann_benchmarks/results.py (`store_results`) and runner.py.
    """
    return [_write_result(Path(folder), found, one) for one in found.measured]


def _write_result(folder: Path, found: Found, one: Measured) -> Path:
    row, n_queries = one.row, len(one.ids)
    dataset = f"{row['corpus']}-{row['queries']}"
    algorithm, each = row["config"], float(one.batch.min()) / n_queries
    path = folder / _slug(dataset) / str(row["k"]) / f"{_slug(algorithm)}-batch"
    path = path / f"{_slug(json.dumps([row['build'], row['search']]))}.hdf5"
    attributes = {
        "build_time": found.train_s + found.add_s,
        "index_size": row["serialised"] / 1000,  # kB
        "best_search_time": each,
        "candidates": float((one.ids >= 0).sum() / n_queries),
        "run_count": len(one.batch),
        "distance": METRICS.get(row["metric"], row["metric"]),
        "count": row["k"],
        "name": f"{algorithm} {row['search']}",
        "algo": algorithm,
        "dataset": dataset,
        "batch_mode": True,
    }
    if "distances" in row:
        attributes["dist_comps"] = row["distances"] * n_queries
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as archive:
        archive.attrs.update(attributes)
        archive.create_dataset("times", data=np.full(n_queries, each, np.float32))
        archive.create_dataset("neighbors", data=one.ids.astype(np.int32))
        archive.create_dataset("distances", data=one.distances.astype(np.float32))
    return path


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")
