"""Folders of indexes: what comes back, and what is refused."""

import io
import json
import shutil

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError, load_arrays
from lib.core.writing import save_arrays, sha256_of
from lib.index import METRICS, FlatIndex, VectorSearchIndex
from tests.index.contract import CASES, DIM, N
from tests.index.oracle import assert_same, refused

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
    assert (
        type(again) is FlatIndex
        and repr(again) == repr(index)
        and again.bytes_by_part() == index.bytes_by_part()
    )
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
        with refused("a memory-mapped index cannot change.*memory_map = False"):
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
    with refused("nprobe must be at most 4"):
        again.set_search(nprobe=5)


def test_vectors_kept_for_reranking_come_back_though_it_is_switched_off(tmp_path):
    index = filled(index_type="LSH", rerank=5)
    index.set_search(rerank=0)
    index.save(tmp_path / "a")
    again = VectorSearchIndex.load(tmp_path / "a")
    assert again.search_options == {"rerank": 0} and again.bytes_by_part() == index.bytes_by_part()
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
    with pytest.raises(
        MissingFileError, match=f"{name} is missing. Build the index again and save it"
    ):
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
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "index.npz",
        "index.npz.sha256",
        "rows.npy",
    ]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with refused("exists and is not a saved index"):
            filled().save(path)


def test_every_family_overwrites_its_own_and_keeps_what_others_put_beside_it(tmp_path):
    for case in CASES:
        folder = tmp_path / case.name
        index = case.filled()
        index.save(folder)
        written = {path.name for path in folder.iterdir()}
        index.save(folder)  # our own files alone: replaced
        for other in CASES:  # files of another family, which the header there names, are ours too
            if other.index_type != case.index_type:
                other.filled().save(folder)
                index.save(folder)
                break
        assert {path.name for path in folder.iterdir()} == written
        header = (folder / "index.npz").read_bytes()
        (folder / "thesis.tex").write_text("mine")
        with refused("thesis.tex"):
            index.save(folder)
        assert (folder / "thesis.tex").read_text() == "mine"
        assert (folder / "index.npz").read_bytes() == header
        assert VectorSearchIndex.load(folder).ntotal == N


def test_nothing_is_saved_before_training(tmp_path):
    with refused("call train or add before save"):
        VectorSearchIndex(16, "IVF").save(tmp_path / "a")


def test_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    save_arrays(tmp_path / "a" / "index.npz", rows=GALLERY)
    with refused("is not a vector index of format 2"):
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
        with refused(told):
            VectorSearchIndex.load(tmp_path / "b")


def test_a_family_loads_only_its_own(tmp_path):
    filled().save(tmp_path / "flat")
    try:

        class OtherIndex(FlatIndex):
            index_type = "Other"

        assert isinstance(VectorSearchIndex(16, "Other"), OtherIndex)
        with refused("has type 'Flat', expected 'Other'"):
            OtherIndex.load(tmp_path / "flat")
        with refused("must be 'Other' .* got 'Flat'"):
            OtherIndex(16, "Flat")
    finally:
        VectorSearchIndex.families.pop("Other", None)


def seal_again(folder, bodies=(), **changes):
    """Writes the header of a saved index anew, so that checksums match: with other entries and
    files.
    """
    good = load_arrays(folder / "index.npz")
    header = json.loads(str(good.pop("header")))
    options = {name: changes.pop(name) for name in list(changes) if name in header["options"]}
    arrays = {name: changes.pop(name) for name in list(changes) if name not in header}
    header |= {**changes, "options": header["options"] | options}
    header["bodies"] |= {name: sha256_of(folder / name) for name in bodies}
    save_arrays(folder / "index.npz", **{**good, **arrays, "header": np.array(json.dumps(header))})


def is_refused(folder):
    try:
        VectorSearchIndex.load(folder)
    except (DamagedFileError, RetrievalInputError):
        return True
    return False


def test_a_header_that_does_not_fit_its_bodies_is_refused(tmp_path):
    accepted = []
    for number, case in enumerate(CASES):
        good = tmp_path / str(number)
        case.filled("l2", ids=np.arange(N) + 5).save(good)
        options = json.loads(str(load_arrays(good / "index.npz")["header"]))["options"]
        changes = [{"n": N - 1}, {"dimension": 2 * DIM}, {"metric": "cosine"}]
        changes += [
            {"ids": ids} for ids in (np.arange(1, N), np.zeros(N, np.int64), np.arange(N) + 5.0)
        ]
        for name, value in options.items():
            if name in ("links", "n_bits", "nlist", "code_bytes", "n_leaves", "dims_per_block"):
                changes.append({name: value // 2 if name != "links" else value - 1})
            if name in ("rotate", "fast_scan"):
                changes.append({name: not value})
        for change in changes:
            if "metric" in change and ("PQ" in case.index_type or case.index_type == "LSH"):
                continue  # squared distances of codes serve both, signs serve all
            bad = shutil.copytree(good, tmp_path / "bad")
            seal_again(bad, **change)
            accepted += [] if is_refused(bad) else [f"{case.name}: {change}"]
            shutil.rmtree(bad)
        assert not is_refused(good)
    assert accepted == []


def test_bodies_of_another_index_or_of_nothing_are_refused_though_their_checksums_match(tmp_path):
    folders = [tmp_path / str(number) for number in range(len(CASES))]
    for case, folder in zip(CASES, folders):
        case.filled().save(folder)
    accepted = []

    def tries(folder, what, **files):
        bad = shutil.copytree(folder, tmp_path / "bad")
        for name, content in files.items():
            (bad / name).write_bytes(content)
        seal_again(bad, bodies=files)
        accepted.extend(
            [] if is_refused(bad) else [f"{CASES[folders.index(folder)].name} with {what}"]
        )
        shutil.rmtree(bad)

    for case, folder in zip(CASES, folders):
        bodies = [path.name for path in folder.iterdir() if not path.name.startswith("index.npz")]
        for name in bodies:
            tries(folder, f"garbage in {name}", **{name: b"garbage"})
        for other, others in zip(CASES, folders):
            shared = [
                name for name in bodies if (others / name).is_file() and name == "index.faiss"
            ]
            if shared and other.index_type != case.index_type:
                tries(folder, other.name, **{name: (others / name).read_bytes() for name in shared})
        for name in {"rows.npy", "dataset.npy", "hashed_dataset.npy", "datapoint_to_token.npy"} & {
            *bodies
        }:
            rows = np.load(folder / name)
            for changed in (rows.astype(np.float64), rows[:-1], rows.astype(np.uint16)):
                stream = io.BytesIO()
                np.save(stream, changed)
                tries(
                    folder, f"{name} {changed.dtype} {changed.shape}", **{name: stream.getvalue()}
                )
    assert accepted == []


def test_ids_of_lists_that_the_header_does_not_hold_are_refused(tmp_path):
    for case in CASES:
        if "IVF" in case.index_type:
            folder = tmp_path / case.name
            case.filled(ids=np.arange(N) + 5).save(folder)
            seal_again(folder, ids=np.arange(N) + 6)
            with pytest.raises(
                DamagedFileError, match="does not fit together.*ids.*Build the index again"
            ):
                VectorSearchIndex.load(folder)


def test_headers_that_are_no_headers_are_refused(tmp_path):
    filled().save(tmp_path / "a")
    good = load_arrays(tmp_path / "a" / "index.npz")
    header = json.loads(str(good["header"]))
    changed = [
        json.dumps({key: value for key, value in header.items() if key != left}) for left in header
    ]
    changed += [
        json.dumps({**header, key: value}) for key in header for value in (None, [], "x", 1.5)
    ]
    for text in (*changed, "{", "[]", "[" * 9999):
        save_arrays(tmp_path / "a" / "index.npz", **{**good, "header": np.array(text)})
        with pytest.raises((DamagedFileError, RetrievalInputError)):
            VectorSearchIndex.load(tmp_path / "a")
    for lengths in (
        np.full(300, 2.0),
        np.full(300, np.nan),
        np.ones(300, np.float32),
        np.ones(299),
    ):
        save_arrays(tmp_path / "a" / "index.npz", **{**good, "lengths": lengths})
        with pytest.raises(DamagedFileError, match="lengths"):
            VectorSearchIndex.load(tmp_path / "a")
