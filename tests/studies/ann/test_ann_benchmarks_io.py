"""ann-benchmarks' files: data there and back, results as its own reader finds them, and what does
not fit.
"""

import json

import h5py
import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index import topk_exact
from lib.studies.ann import ann_benchmarks_io, harness
from lib.studies.ann.ground_truth import hits_by_distance, truth
from tests.datasets.vector_rows import write_rows
from tests.studies.ann.toy import IVF, N, toy


def write_dataset(path, corpus, kind, k):
    """Write a data file of ann-benchmarks as its `write_output` does."""
    true = truth(corpus, k)[kind]
    with h5py.File(path, "w") as archive:
        archive.attrs.update(type="dense", distance=ann_benchmarks_io.METRICS[corpus.metric])
        archive.attrs.update(dimension=corpus.dim, point_type="float")
        archive.create_dataset("train", data=corpus.vectors())
        archive.create_dataset("test", data=corpus.queries[kind])
        archive.create_dataset("neighbors", data=true.ids)
        archive.create_dataset("distances", data=true.distances)


# ---- data


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_data_file_is_read_as_a_corpus(tmp_path, metric):
    corpus = toy(metric)
    write_dataset(tmp_path / "a.hdf5", corpus, "text", k=7)
    back = ann_benchmarks_io.read_dataset(tmp_path / "a.hdf5", "text")
    assert back.metric == metric and back.name == "a"
    np.testing.assert_allclose(back.vectors(), corpus.vectors(), rtol=1e-6)
    assert np.array_equal(back.neighbours["text"][0], truth(corpus, 7)["text"].ids)
    np.testing.assert_allclose(
        truth(back, 7)["text"].distances, truth(corpus, 7)["text"].distances, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "metric"), [("cosine", "cosine"), ("normalized", "cosine"), ("ip", "inner_product")]
)
def test_names_of_vibe_and_its_queries_to_learn_from(tmp_path, name, metric):
    write_dataset(tmp_path / "a.hdf5", toy(), "text", k=7)
    with h5py.File(tmp_path / "a.hdf5", "r+") as archive:
        archive.attrs["distance"] = name
        archive["learn"] = archive["test"][:5]
    corpus = ann_benchmarks_io.read_dataset(tmp_path / "a.hdf5", "text")
    assert corpus.metric == metric and corpus.learn["text"].shape == (5, 8)


def test_fewer_base_vectors_have_other_neighbours(tmp_path):
    write_dataset(tmp_path / "a.hdf5", toy(), "text", k=7)
    part = ann_benchmarks_io.read_dataset(tmp_path / "a.hdf5", limit=50)
    assert len(part) == 50 and not part.neighbours
    exact = topk_exact(part.queries["queries"], part.vectors(), 7)[1]
    assert np.array_equal(truth(part, 7)["queries"].ids, exact)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a.attrs.__setitem__("distance", "jaccard"), "distance of a.hdf5 must be one of"),
        (lambda a: a.attrs.__delitem__("distance"), "got 'missing'"),
        (
            lambda a: a.__delitem__("neighbors"),
            "array of a.hdf5 must be one of .*; got 'neighbors'",
        ),
        (
            lambda a: a["neighbors"].__setitem__((2, 1), N),
            f"neighbour {N} in row 2, outside 0..{N - 1}",
        ),
        (lambda a: a["neighbors"].__setitem__((2, 1), -1), "neighbour -1 in row 2"),
        (
            lambda a: (
                a.__delitem__("distances"),
                a.create_dataset("distances", data=np.ones((20, 6))),
            ),
            r"neighbors int64 \(20, 7\) and distances \(20, 6\) for 20 queries",
        ),
    ],
)
def test_a_data_file_that_does_not_fit_is_refused(tmp_path, change, says):
    write_dataset(tmp_path / "a.hdf5", toy(), "text", k=7)
    with h5py.File(tmp_path / "a.hdf5", "r+") as archive:
        change(archive)
    with pytest.raises(RetrievalInputError, match=says):
        ann_benchmarks_io.read_dataset(tmp_path / "a.hdf5")


# ---- your own files


def test_a_file_of_vectors_is_asked_with_rows_drawn_at_random(tmp_path):
    x = np.arange(160, dtype=np.float32).reshape(40, 4) + 1
    write_rows(tmp_path / "mine.fvecs", x)
    corpus = ann_benchmarks_io.from_file(tmp_path / "mine.fvecs", metric="l2")
    assert corpus.name == "mine, 4 drawn rows held out"
    held = corpus.queries["held out"]
    together = np.concatenate([corpus.vectors(), held])
    assert np.array_equal(together[np.argsort(together[:, 0])], x)
    assert not np.array_equal(held, x[36:])
    again = ann_benchmarks_io.from_file(tmp_path / "mine.fvecs", metric="l2")
    assert np.array_equal(again.queries["held out"], held)
    whole = ann_benchmarks_io.rows_to_index(str(tmp_path / "mine.fvecs"), corpus)
    assert np.array_equal(whole.vectors(np.arange(40)), x)
    with pytest.raises(RetrievalInputError, match="too few rows to hold some out, 19; give at"):
        ann_benchmarks_io.from_file(tmp_path / "mine.fvecs", limit=19)


def test_queries_of_two_files(tmp_path):
    x = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    for name, rows in {"mine": x, "a": x[:3], "b": x[:5]}.items():
        np.save(tmp_path / f"{name}.npy", rows)
    files = {"image": tmp_path / "a.npy", "text": tmp_path / "b.npy"}
    corpus = ann_benchmarks_io.from_file(tmp_path / "mine.npy", files, limit=30)
    assert corpus.name == "mine" and len(corpus) == 30
    assert {kind: len(rows) for kind, rows in corpus.queries.items()} == {"image": 3, "text": 5}
    assert ann_benchmarks_io.rows_to_index(str(tmp_path / "mine.npy"), corpus) is corpus


def test_a_data_file_of_ann_benchmarks_brings_its_queries(tmp_path):
    write_dataset(tmp_path / "a.hdf5", toy("l2"), "text", k=7)
    corpus = ann_benchmarks_io.from_file(tmp_path / "a.hdf5")
    assert corpus.metric == "l2" and corpus.neighbours["queries"][0].shape == (20, 7)


# ---- results


def test_results_are_what_ann_benchmarks_reads(tmp_path):
    corpus = toy()
    result = harness.measure_config(corpus, IVF, 5, repeats=2)
    paths = ann_benchmarks_io.write_results(tmp_path, result)
    assert len(set(paths)) == 4
    assert {path.relative_to(tmp_path).parts[:3] for path in paths} == {
        ("toy_image", "5", "IVF4-batch"), ("toy_text", "5", "IVF4-batch")
    }  # fmt: skip
    for path, setting in zip(paths, result.settings, strict=True):
        with h5py.File(path, "r") as archive:
            attributes, arrays = dict(archive.attrs), {name: archive[name][()] for name in archive}
        assert (
            attributes["count"] == 5 and attributes["algo"] == "IVF4" and attributes["batch_mode"]
        )
        assert (
            attributes["dataset"] == f"toy-{setting.row['queries']}"
            and attributes["distance"] == "angular"
        )
        assert attributes["best_search_time"] == setting.batch.min() / len(setting.ids)
        assert attributes["dist_comps"] == setting.row["distances"] * len(setting.ids)
        assert attributes["run_count"] == 2 and json.loads(setting.row["search"])
        assert (
            np.array_equal(arrays["neighbors"], setting.ids)
            and arrays["neighbors"].dtype == np.int32
        )
        assert arrays["times"].dtype == np.float32 and arrays["times"].shape == (len(setting.ids),)
        # Its recall, from the distances of the two files, is our column.
        true = truth(corpus, 5)[setting.row["queries"]].distances
        counts = hits_by_distance(arrays["distances"].astype(np.float64), true, 5)
        assert counts.mean() / 5 == setting.row["recall_distance"]


def test_what_was_not_found_is_minus_one_and_infinitely_far(tmp_path):
    result = harness.measure_config(
        toy(), IVF, 200, repeats=1
    )  # a quarter of the base holds fewer than 200
    paths = ann_benchmarks_io.write_results(tmp_path, result)
    with h5py.File(paths[0], "r") as archive:
        missing = archive["neighbors"][()] == -1
        assert missing.any() and np.array_equal(np.isinf(archive["distances"][()]), missing)
        assert archive.attrs["candidates"] == pytest.approx((~missing).sum() / len(missing))
