"""Folders of indexes: what comes back, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lib.checks import RetrievalInputError
from lib.files import DamagedFileError, MissingFileError, load_arrays, save_arrays
from lib.index import METRICS, FlatIndex, VectorSearchIndex
from tests.index.contract import CASES, DIM, N
from tests.index.oracle import assert_same

rng = np.random.default_rng(0)
GALLERY = rng.standard_normal((300, 16)).astype(np.float32)
QUERIES = rng.standard_normal((7, 16)).astype(np.float32)


def filled(metric="cosine", vectors=GALLERY, ids=None, index_type="Flat", **options):
    index = VectorSearchIndex(16, index_type, metric, **options)
    index.train(vectors)
    index.add(vectors, ids)
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("memory_map", [False, True])
def test_an_exact_index_comes_back(tmp_path, metric, dtype, memory_map):
    index = filled(metric, (GALLERY * 40).astype(dtype), np.arange(300)[::-1] * 3)
    index.save(tmp_path / "icons")
    again = VectorSearchIndex.load(tmp_path / "icons", memory_map=memory_map)
    assert type(again) is FlatIndex and repr(again) == repr(index) and again.cost() == index.cost()
    queries = (QUERIES * 40).astype(dtype)
    assert_same(again.search(queries, 8), index.search(queries, 8))
    assert FlatIndex.load(str(tmp_path / "icons")).ntotal == 300


def test_what_comes_back_can_grow_unless_it_is_mapped(tmp_path):
    filled().save(tmp_path / "icons")
    index = VectorSearchIndex.load(tmp_path / "icons")
    index.add(GALLERY[:2])
    index.remove([0])
    assert index.ntotal == 301
    mapped = VectorSearchIndex.load(tmp_path / "icons", memory_map=True)
    for change in (lambda: mapped.add(GALLERY[:1]), lambda: mapped.remove([0])):
        with pytest.raises(
            RetrievalInputError, match="a memory-mapped index cannot change.*memory_map = False"
        ):
            change()


def test_an_empty_index_comes_back(tmp_path):
    VectorSearchIndex(16, metric="l2").save(tmp_path / "a")
    index = VectorSearchIndex.load(tmp_path / "a")
    index.add((GALLERY * 40).astype(np.int8))
    assert (index.ntotal, index.metric) == (300, "l2")


def test_options_come_back_as_they_are(tmp_path):
    index = filled(index_type="IVF", seed=3)
    assert index.build_options == {"nlist": 4, "seed": 3}
    index.set_search(nprobe=2)
    index.save(tmp_path / "a")
    again = VectorSearchIndex.load(tmp_path / "a")
    assert (again.build_options, again.search_options) == ({"nlist": 4, "seed": 3}, {"nprobe": 2})
    with pytest.raises(RetrievalInputError, match="nprobe = 5 is more than the lists; ask for at most 4"):
        again.set_search(nprobe=5)


def test_vectors_kept_for_reranking_come_back_though_it_is_switched_off(tmp_path):
    index = filled(index_type="LSH", rerank=5)
    index.set_search(rerank=0)
    index.save(tmp_path / "a")
    again = VectorSearchIndex.load(tmp_path / "a")
    assert again.search_options == {"rerank": 0} and again.cost() == index.cost()
    again.set_search(rerank=300)
    np.testing.assert_array_equal(again.search(QUERIES, 300)[1], filled().search(QUERIES, 300)[1])


# ---- damage


@pytest.mark.parametrize(
    "name, told",
    [
        ("index.npz", r"index\.npz is damaged"),
        ("index.faiss", r"index\.npz says"),
        ("rows.npy", "rows.npy is"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, name, told):
    filled(index_type="LSH", rerank=5).save(tmp_path / "a")
    content = bytearray((tmp_path / "a" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a" / name).write_bytes(content)
    with pytest.raises(DamagedFileError, match=told + ".*Build the index again"):
        VectorSearchIndex.load(tmp_path / "a", memory_map=True)


def test_a_body_of_another_index_is_refused(tmp_path):
    filled().save(tmp_path / "a")
    filled("l2").save(tmp_path / "b")
    (tmp_path / "a" / "rows.npy").write_bytes((tmp_path / "b" / "rows.npy").read_bytes())
    with pytest.raises(DamagedFileError, match=r"rows\.npy is damaged"):
        VectorSearchIndex.load(tmp_path / "a")


@pytest.mark.parametrize("name", ["index.npz", "index.npz.sha256", "rows.npy"])
def test_a_missing_file_is_said(tmp_path, name):
    filled().save(tmp_path / "a")
    (tmp_path / "a" / name).unlink()
    with pytest.raises(MissingFileError, match=f"{name} is missing. Build the index again and save it"):
        VectorSearchIndex.load(tmp_path / "a")


def test_saving_that_fails_leaves_the_old_index(tmp_path, monkeypatch):
    path = tmp_path / "icons"
    filled().save(path)
    monkeypatch.setattr(np, "savez", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        filled("l2").save(path)
    assert VectorSearchIndex.load(path).metric == "cosine"
    assert [p.name for p in tmp_path.iterdir()] == ["icons"]
    assert sorted(p.name for p in path.iterdir()) == ["index.npz", "index.npz.sha256", "rows.npy"]


def test_saving_again_replaces_every_file(tmp_path):
    filled(index_type="LSH").save(tmp_path / "a")
    filled().save(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["index.npz", "index.npz.sha256", "rows.npy"]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(RetrievalInputError, match="exists and is no saved index; choose another name"):
            filled().save(path)


def test_nothing_is_saved_before_training(tmp_path):
    with pytest.raises(RetrievalInputError, match="learnt nothing that could be saved: call train first"):
        VectorSearchIndex(16, "IVF").save(tmp_path / "a")


def test_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    save_arrays(tmp_path / "a" / "index.npz", rows=GALLERY)
    with pytest.raises(RetrievalInputError, match="does not hold a vector index of format 2"):
        VectorSearchIndex.load(tmp_path / "a")
    filled().save(tmp_path / "b")
    header = json.loads(str(load_arrays(tmp_path / "b" / "index.npz")["header"]))
    for changed, told in (
        ({"format": 3}, "format 2"),
        ({"index_type": "Flot"}, "index_type of the file must be one of 'Flat'.*got 'Flot'"),
        ({"options": {"nprobe": 3}}, "index type 'Flat' has no option 'nprobe'"),
    ):
        text = np.array(json.dumps(header | changed))
        save_arrays(tmp_path / "b" / "index.npz", header=text, lengths=np.ones(300))
        with pytest.raises(RetrievalInputError, match=told):
            VectorSearchIndex.load(tmp_path / "b")


def test_a_family_loads_only_its_own(tmp_path):
    filled().save(tmp_path / "flat")
    try:

        class OtherIndex(FlatIndex):
            index_type = "Other"

        assert isinstance(VectorSearchIndex(16, "Other"), OtherIndex)
        with pytest.raises(RetrievalInputError, match="holds a 'Flat' index, not 'Other'"):
            OtherIndex.load(tmp_path / "flat")
        with pytest.raises(RetrievalInputError, match="has type 'Other', not 'Flat'"):
            OtherIndex(16, "Flat")
    finally:
        VectorSearchIndex.families.pop("Other", None)


def test_a_header_that_does_not_fit_its_bodies_is_refused(tmp_path):
    offenders = []
    for number, case in enumerate(CASES):
        if case.index_type == "ScaNN":
            continue
        case.filled(ids=np.arange(N) + 5).save(tmp_path / str(number))
        path = tmp_path / str(number) / "index.npz"
        good = load_arrays(path)
        header = json.loads(str(good["header"]))
        changed = {"n": N - 1, "dimension": 2 * DIM}
        for name, value in header["options"].items():
            if name in ("links", "n_bits", "nlist", "code_bytes"):
                changed[name] = value // 2 if name != "links" else value - 1
        for name, value in changed.items():
            other = {**header, "options": dict(header["options"])}
            (other if name in other else other["options"])[name] = value
            save_arrays(path, **{**good, "header": np.array(json.dumps(other))})
            try:
                VectorSearchIndex.load(path.parent)
                offenders.append(f"{case.name}: {name}")
            except (DamagedFileError, RetrievalInputError):
                pass
        for ids in (good["ids"][1:], np.zeros(N, np.int64), good["ids"].astype(float)):
            save_arrays(path, **{**good, "ids": ids})
            with pytest.raises(DamagedFileError, match="distinct"):
                VectorSearchIndex.load(path.parent)
    assert offenders == []
