"""Read and write data files and results of ann-benchmarks, in its HDF5 layout."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.writing import atomic_path
from lib.datasets.vector_files import HDF5, open_hdf5, read_vectors
from lib.index.tuning.rows import ArrayRows, VectorRows, hold_out
from lib.studies.ann.corpora import AnnCorpus, Progress, icons, scenes
from lib.studies.ann.harness import ConfigResult, SettingResult

METRICS = {"cosine": "angular", "l2": "euclidean"}  # our names, and those of ann-benchmarks
# VIBE has more names; its normalized vectors have unit length.
DISTANCES = {theirs: ours for ours, theirs in METRICS.items()}
DISTANCES |= {"cosine": "cosine", "normalized": "cosine", "ip": "inner_product"}
CORPORA = ("icons", "scenes")
HELD_OUT = "held out"  # the kind of queries that are rows of the file
LEAST_ROWS = 20


def open_corpus(
    name: str,
    *,
    size: int | None = None,
    queries: Mapping[str, str | Path] | None = None,
    metric: str | None = None,
    progress: Progress | None = None,
) -> AnnCorpus:
    """Open "icons", "scenes", or the path of a file that `from_file` reads.

    Args:
        name: name or path.
        size: number of base vectors; 100,000 scenes and whole files when None. Icons have one size.
        queries, metric: of a file, as for `from_file`.
        progress: called with the number of scenes that were encoded.
    """
    if name in CORPORA:
        options = {"size": size if name == "icons" else None, "queries": queries, "metric": metric}
        given = [option for option, value in options.items() if value]
        if given:
            raise RetrievalInputError(f"{name} comes with its own {given[0]}; leave the option out")
        if name == "icons":
            return icons()
        return scenes(progress=progress) if size is None else scenes(size, progress)
    if not Path(name).suffix:
        check_choice(name, CORPORA, "corpus, where it is no file,")
    return from_file(name, queries, metric=metric, limit=size)


def from_file(
    path: str | Path,
    queries: Mapping[str, str | Path] | None = None,
    *,
    metric: str | None = None,
    limit: int | None = None,
) -> AnnCorpus:
    """Make a corpus of vectors in files.

    Args:
        path: base vectors, a file that `read_vectors` reads. A data file of ann-benchmarks (HDF5
            with the arrays `train` and `test`) has its own queries, metric and neighbours.
        queries: files of query vectors by kind, such as "image" and "text". Without them rows that
            are drawn at random are the queries and no base vectors: 2,000, or a tenth of a small
            file. In a file that is sorted, the last rows would be no sample of the others.
        metric: of the comparison; cosine when None, unless the file says.
        limit: number of rows of the file to use.
    """
    path = Path(path)
    if path.suffix.lower() in HDF5 and path.is_file() and not queries:
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
    if queries:
        asked = {kind: read_vectors(file) for kind, file in queries.items()}
        return AnnCorpus(path.stem, metric, rows, asked)
    if len(rows) < LEAST_ROWS:
        raise RetrievalInputError(
            f"{path.name} has too few rows to hold some out, {len(rows)}; give at least"
            f" {LEAST_ROWS}, or queries in a file of their own"
        )
    held, kept = hold_out(len(rows))
    name = f"{path.stem}, {len(held):,} drawn rows held out"
    return AnnCorpus(name, metric, rows[kept], {HELD_OUT: rows[held]})


def rows_to_index(name: str, corpus: AnnCorpus, size: int | None = None) -> VectorRows:
    """Return what an index to keep should hold: held-out rows too, ids are rows of the file."""
    if HELD_OUT in corpus.queries and name not in CORPORA:
        return ArrayRows(read_vectors(name, limit=size))
    return corpus


def read_dataset(path: str | Path, kind: str = "queries", limit: int | None = None) -> AnnCorpus:
    """Read a data file of ann-benchmarks or VIBE (HDF5) and give its queries the name `kind`.

    With a `limit` of base vectors the stored neighbours, those of the whole base, are left out.
    The array `learn` of VIBE holds queries to learn from.

    Reference: erikbern/ann-benchmarks, ann_benchmarks/datasets.py (`write_output`);
    vector-index-bench/vibe.
    """
    path = Path(path)
    base, queries = (read_vectors(path, name) for name in ("train", "test"))
    with open_hdf5(path) as archive:
        distance = archive.attrs.get("distance", "missing")
        has_learn = "learn" in archive
    distance = distance.decode() if isinstance(distance, bytes) else str(distance)
    learn = {kind: read_vectors(path, "learn")} if has_learn else {}
    metric = DISTANCES[check_choice(distance, DISTANCES, f"distance of {path.name}")]
    if limit is not None and limit < len(base):
        return AnnCorpus(path.stem, metric, base[:limit], {kind: queries}, learn)
    ids, distances = (np.asarray(read_vectors(path, name)) for name in ("neighbors", "distances"))
    if ids.shape != distances.shape or len(ids) != len(queries) or ids.dtype.kind not in "iu":
        raise RetrievalInputError(
            f"{path.name} has neighbors {ids.dtype} {ids.shape} and distances {distances.shape} for"
            f" {len(queries)} queries; expected whole numbers and numbers, a row for each query"
        )
    if ids.min() < 0 or ids.max() >= len(base):
        row, column = np.argwhere((ids < 0) | (ids >= len(base)))[0]
        raise RetrievalInputError(
            f"{path.name} has the neighbour {ids[row, column]} in row {row}, outside"
            f" 0..{len(base) - 1}"
        )
    neighbours = {kind: (ids, distances)}
    return AnnCorpus(path.stem, metric, base, {kind: queries}, learn, neighbours=neighbours)


def write_results(folder: str | Path, result: ConfigResult) -> list[Path]:
    """Write result files of batch mode, which the plots of ann-benchmarks read.

        <folder>/<corpus>-<kind>/<k>/<config>-batch/<setting>.hdf5

    Missing neighbours are -1, their distances infinity. As in its own batch mode, `times` holds for
    every query the seconds of the fastest pass divided by the queries.

    Reference: erikbern/ann-benchmarks, ann_benchmarks/results.py (`store_results`) and runner.py.
    """
    build_s = result.train_s + result.add_s
    return [_write_setting(Path(folder), setting, build_s) for setting in result.settings]


def _write_setting(folder: Path, setting: SettingResult, build_s: float) -> Path:
    row, n_queries = setting.row, len(setting.ids)
    dataset = f"{row['corpus']}-{row['queries']}"
    algorithm, per_query = row["config"], float(setting.batch.min()) / n_queries
    path = folder / _slug(dataset) / str(row["k"]) / f"{_slug(algorithm)}-batch"
    path = path / f"{_slug(json.dumps([row['build'], row['search']]))}.hdf5"
    attributes = {
        "build_time": build_s,
        "index_size": row["serialised"] / 1000,  # kB
        "best_search_time": per_query,
        "candidates": float((setting.ids >= 0).sum() / n_queries),
        "run_count": len(setting.batch),
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
        archive.create_dataset("times", data=np.full(n_queries, per_query, np.float32))
        archive.create_dataset("neighbors", data=setting.ids.astype(np.int32))
        archive.create_dataset("distances", data=setting.distances.astype(np.float32))
    return path


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")
