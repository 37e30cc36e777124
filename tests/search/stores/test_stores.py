"""Each database finds what the collection itself finds."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import UnwritableFileError
from lib.search.collection import Collection, Query
from lib.search.stores import copy_collection, open_store
from lib.search.stores.addresses import writable_store
from tests.search.collection.conftest import ColourEncoder, paint
from tests.search.stores.conftest import needs

CONDITIONS = [
    "year >= 2010",
    "not year >= 2010",
    "year > 2009.5 and year < 2020.5",
    "year == 2009.5 or year != 2010",
    "2005 <= year < 2015",
    "not (2005 <= year < 2015)",
    "year in [2001, 2002, 2003]",
    "year not in [2001, 2002]",
    "year in []",
    "year not in []",
    "price > 0.6",
    "price < 1",
    "price in [0.5]",
    "good",
    "not good",
    "good == False",
    "width > height",
    'caption == "it\'s RED"',
    'caption == "Größe \\\\ \\"x\\" 100%"',
    'caption > "a" and good',
    'contains(caption, "red")',
    'not contains(caption, "RED") and year > 2003',
    'contains(caption, "100%") or contains(caption, "a.b")',
    'contains(caption, "n_t")',
    'contains(caption, "größe")',
    'contains(year, "201")',
    "größe < 5",
    "id in [1, 2, 99]",
    'path == "red_0.png"',
    "year > 2999",
]


def ids_of(results) -> list[int]:
    return [hit.id for hit in results.hits]


def test_all_hits_are_those_of_the_collection(collection, address):
    report = copy_collection(collection, address)
    assert (report.rows, report.written, report.kept, report.removed) == (30, 30, 0, 0)
    queries = [Query(text="red"), Query(text="blue", without=("green",)), Query(like=(3, 4))]
    with open_store(address) as store:
        assert len(store) == store.count() == 30 and store.dim == 4
        assert store.columns == collection.columns
        for query in queries:
            for options in ({"fold": False}, {}, {"k": 5, "offset": 7, "fold": False}):
                ours = collection.search(query, **options)
                theirs = store.search(query, **options)
                assert ids_of(theirs) == ids_of(ours) and theirs.more == ours.more
                scores = [[h.score for h in found.hits] for found in (theirs, ours)]
                assert scores[0] == pytest.approx(scores[1], abs=1e-6)
                assert [h.copies for h in theirs.hits] == [h.copies for h in ours.hits]
                background = (ours.mean, ours.deviation)
                assert (theirs.mean, theirs.deviation) == pytest.approx(background, abs=1e-6)
        same = ("path", "caption", "width", "year", "good", "größe")
        for one, other in zip(theirs.hits, ours.hits):
            assert [one.columns[n] for n in same] == [other.columns[n] for n in same]
        assert theirs.hits[0].columns["day"].startswith("2020-01-")
        assert json.loads(theirs.hits[0].columns["tags"])[0] == "a"
        for where in CONDITIONS:
            ours = collection.search("red", k=30, where=where, fold=False)
            theirs = store.search("red", k=30, where=where, fold=False)
            assert ids_of(theirs) == ids_of(ours), where
        for where in ("colour == 1", "year == 'x'", "year", "__import__('os')"):
            with pytest.raises(RetrievalInputError) as ours:
                collection.search("red", where=where)
            with pytest.raises(RetrievalInputError) as theirs:
                store.search("red", where=where)
            assert str(theirs.value) == str(ours.value)
        with pytest.raises(RetrievalInputError, match="id must be one of the 30 pictures, got 99"):
            store.search(Query(like=(99,)))


def test_a_second_copy_writes_what_changed(collection, address, build, tmp_path):
    copy_collection(collection, address)
    again = copy_collection(collection, address)
    assert (again.written, again.kept, again.removed) == (0, 30, 0)
    (tmp_path / "pictures" / "red_0.png").unlink()
    paint(tmp_path / "pictures" / "blue_0.png", "blue", shade=7)
    paint(tmp_path / "pictures" / "new.png", "green", shade=50)
    build(tmp_path / "pictures")
    changed = Collection(tmp_path / "collection")
    report = copy_collection(changed, address)
    assert report.rows == 30 and report.removed >= 1 and 1 <= report.written < 30
    with open_store(address) as store:
        ours, theirs = (s.search("red", k=30, fold=False) for s in (changed, store))
        assert ids_of(theirs) == ids_of(ours)
        assert "new.png" in {hit.columns["path"] for hit in ours.hits}


def test_another_model_is_refused_by_name(collection, address, build, tmp_path):
    copy_collection(collection, address)
    other = tmp_path / "other"
    build(tmp_path / "pictures", out=other, encoder=ColourEncoder("2"))
    with pytest.raises(RetrievalInputError, match="version is '1', this one's is '2'.*'colours'"):
        copy_collection(Collection(other), address)


def test_other_columns_are_refused(collection, address, build, tmp_path):
    copy_collection(collection, address)
    build(tmp_path / "pictures", out=tmp_path / "plain")
    with pytest.raises(RetrievalInputError, match="has other columns than .*year"):
        copy_collection(Collection(tmp_path / "plain"), address)


def test_a_store_that_lost_rows_is_refused_and_mended(collection, address):
    copy_collection(collection, address)
    with writable_store(address) as store:
        store.remove([3, 4])
    with pytest.raises(DamagedFileError, match="must hold 30 pictures.*it holds 28"):
        open_store(address)
    assert copy_collection(collection, address).written == 2
    assert len(open_store(address)) == 30


def test_a_damaged_head_is_refused(collection, address, monkeypatch):
    copy_collection(collection, address)
    with writable_store(address) as store:
        head = store.head
        text = head.write().replace('"rows": 30', '"rows": 31')
        monkeypatch.setattr(type(head), "write", lambda self: text)
        store.write_head(head)
    with pytest.raises(DamagedFileError, match="the head of .* is damaged"):
        open_store(address)


def test_a_copy_that_stops_goes_on(collection, address, monkeypatch):
    with writable_store(address) as store:
        monkeypatch.setattr(type(store), "batch_rows", 10)

    def stop(n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_collection(collection, address, progress=stop)
    with open_store(address) as store:
        assert len(store) == 10 and not store.manifest.finished
    report = copy_collection(collection, address)
    assert (report.written, report.kept) == (20, 10)
    with open_store(address) as store:
        assert len(store) == 30 and store.manifest.finished


KILLED = """
import os, sys
from lib.search.collection import Collection
from lib.search.stores import copy_collection
from lib.search.stores.{module} import {cls}
{cls}.batch_rows = 10
copy_collection(Collection(sys.argv[1]), sys.argv[2], progress=lambda n: os.kill(os.getpid(), 9))
"""


@pytest.mark.parametrize(
    ("engine", "module", "cls"),
    [
        pytest.param("lancedb", "lancedb_store", "LanceStore", marks=needs("lancedb")),
        pytest.param("milvus", "milvus_store", "MilvusStore", marks=needs("milvus")),
    ],
)
@pytest.mark.slow
def test_a_killed_copy_goes_on(collection, tmp_path, engine, module, cls):
    place = f"{engine}:{tmp_path / 'killed.db'}"
    code = KILLED.format(module=module, cls=cls)
    done = subprocess.run([sys.executable, "-c", code, str(collection.folder.path), place])
    assert done.returncode == -9
    report = copy_collection(collection, place)
    assert (report.rows, report.written, report.kept) == (30, 20, 10)
    with open_store(place) as store:
        assert ids_of(store.search("red", k=30, fold=False)) == ids_of(
            collection.search("red", k=30, fold=False)
        )


@pytest.mark.parametrize("place", [pytest.param("lancedb", marks=needs("lancedb"))])
def test_foreign_folders_are_refused(collection, tmp_path, place):
    import lancedb

    lancedb.connect(str(tmp_path / "foreign")).create_table("pictures", pa.table({"a": [1]}))
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "letter.txt").write_text("dear")
    for name in ("foreign", "papers"):
        for use in (open_store, lambda address: copy_collection(collection, address)):
            with pytest.raises(RetrievalInputError, match="not made by `crossmodal collection"):
                use(f"lancedb:{tmp_path / name}")
    assert lancedb.connect(str(tmp_path / "foreign")).open_table("pictures").count_rows() == 1


@pytest.mark.parametrize("engine", [pytest.param("lancedb", marks=needs("lancedb"))])
def test_damaged_files_are_refused(collection, tmp_path, engine):
    address = f"lancedb:{tmp_path / 'lance'}"
    copy_collection(collection, address)
    for path in (tmp_path / "lance" / "pictures.lance" / "data").glob("*"):
        path.write_bytes(b"x" * 100)
    with pytest.raises(DamagedFileError, match="cannot be used: LanceDB says"):
        open_store(address).search(Query(vector=np.ones(4)))


@pytest.mark.parametrize("engine", [pytest.param("milvus", marks=needs("milvus"))])
def test_a_file_that_another_process_uses_is_told(tmp_path, engine, capfd):
    lock = tmp_path / "x.db" / "LOCK"
    lock.parent.mkdir()
    lock.touch()
    holds = "import fcntl, sys; f = open(sys.argv[1], 'rb+'); fcntl.flock(f, fcntl.LOCK_EX)"
    command = [sys.executable, "-c", f"{holds}; print('held', flush=True); input()", str(lock)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UnwritableFileError, match="is used by another process; a file of Milv"):
            writable_store(f"{engine}:{lock.parent}")
        other.stdin.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("text", ["LanceError(IO): (os error 28), /x.rs", "[Errno 28] No space"])
@pytest.mark.parametrize("engine", [pytest.param("lancedb", marks=needs("lancedb"))])
def test_a_full_disk_damages_no_store(tmp_path, engine, text):
    store = writable_store(f"{engine}:{tmp_path / 'lance'}")
    told = "lance cannot be written: No space left on device. Its disk is full: free space"
    with pytest.raises(UnwritableFileError, match=told), store.asking():
        raise OSError(text)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("lancedb:", "the address must be lancedb:FOLDER, milvus"),
        ("lancedb:s3://bucket/x", "in a folder of this machine"),
        ("milvus:file.txt", "must end in .db"),
        ("milvus:ftp://host", "the address must be"),
        ("milvus:x.db#a-b", "the name after # must be letters"),
        ("folder", "the target must be lancedb"),
    ],
)
def test_addresses_that_cannot_be(address, problem):
    with pytest.raises(RetrievalInputError, match=problem):
        writable_store(address)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("lancedb:none", marks=needs("lancedb")),
        pytest.param("milvus:none.db", marks=needs("milvus")),
        "folder",
    ],
)
def test_stores_that_are_missing(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError):
        open_store(address)


@pytest.mark.parametrize("address", ["lancedb:x", "milvus:x.db"])
def test_a_missing_package_is_named(address, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    engine = address.partition(":")[0]
    with pytest.raises(RetrievalInputError, match=f"pip install 'crossmodal-retrieval.{engine}"):
        writable_store(address)
