"""Searching a collection: parts of a query, filters, pages, copies, and a stored index."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex
from lib.search.collection import Collection, Columns, Query
from lib.search.collection.collection import _best
from lib.search.collection.exporting import export
from lib.search.collection.files import CollectionFolder, StoredIndex
from lib.search.collection.filters import matching_rows
from lib.search.collection.searching import SAME, Results
from tests.search.collection.conftest import COLOURS, paint

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def collection(build, pictures, tmp_path):
    build(pictures)
    return Collection(tmp_path / "collection")


def names(results: Results) -> list[str]:
    return [str(hit.columns["path"]).rpartition("/")[2] for hit in results.hits]


def test_hits_by_words_equal_all_cosines(collection, encoder):
    results = collection.search("red", k=9, fold=False)
    scores = collection.vectors(np.arange(9)) @ encoder.encode_text(["red"])[0]
    order = np.lexsort((collection.ids, -scores))
    assert [hit.id for hit in results.hits] == collection.ids[order].tolist()
    assert np.allclose([hit.score for hit in results.hits], scores[order], atol=1e-6)
    assert names(results)[0] == "red_0.png" and [h.rank for h in results.hits] == list(range(1, 10))
    assert results.hits[0].standing == pytest.approx((scores.max() - scores.mean()) / scores.std())


def test_pages_continue(collection):
    whole = names(collection.search("green", k=9, fold=False))
    first = collection.search("green", k=4, fold=False)
    second = collection.search(Query(vector=first.vector), k=4, offset=4, fold=False)
    third = collection.search(Query(vector=first.vector), k=4, offset=8, fold=False)
    assert names(first) + names(second) + names(third) == whole
    assert (first.more, second.more, third.more) == (True, True, False)
    assert collection.search("green", k=4, offset=50).hits == ()


def test_a_picture_more_like_this_and_without(collection):
    blue = Image.new("RGB", (9, 9), COLOURS["blue"])
    assert names(collection.search(Query(image=blue), k=1)) == ["blue_0.png"]
    like = next(hit.id for hit in collection.search("blue", k=1).hits)
    found = collection.search(Query(like=(like,)), k=8)
    assert names(found)[0] == "blue_20.png" and like not in [hit.id for hit in found.hits]
    mixed = Query(text="red", image=blue)
    assert names(collection.search(replace(mixed, image_weight=0.0), k=1)) == ["red_0.png"]
    assert names(collection.search(replace(mixed, image_weight=1.0), k=1)) == ["blue_0.png"]
    plain, turned = (
        {h.columns["path"]: h.score for h in collection.search(q, k=9, fold=False).hits}
        for q in (mixed, replace(mixed, without=("blue",)))
    )
    gap = [s["blue/blue_0.png"] - s["red/red_0.png"] for s in (plain, turned)]
    assert gap[1] < gap[0]


def test_filters(collection):
    found = collection.search("red", k=9, where='contains(path, "BLUE") and width >= 32')
    assert {str(hit.columns["path"])[:4] for hit in found.hits} == {"blue"}
    assert collection.search("red", k=9, where="width > 1000").hits == ()


def test_copies_are_folded(build, pictures, tmp_path):
    paint(pictures / "red" / "again.png", "red", size=(50, 50))
    build(pictures)
    collection = Collection(tmp_path / "collection")
    hits = collection.search("red", k=10).hits
    assert {hit.columns["path"] for hit in hits} >= {"blue/blue_0.png", "green/green_0.png"}
    assert len(hits[0].copies) >= 1
    together = [item for hit in hits for item in (hit.id, *hit.copies)]
    assert sorted(together) == list(range(10))
    rows = collection.vectors([hit.id for hit in hits])
    assert (rows @ rows.T)[~np.eye(len(hits), dtype=bool)].max() < SAME
    assert len(collection.search("red", k=10, fold=False).hits) == 10


@pytest.mark.parametrize(
    ("query", "options", "problem"),
    [
        (Query(), {}, "must have text, image, sketch, vector or like"),
        (Query(text=" "), {}, "must have text, image, sketch, vector or like"),
        ("red", {"k": 0}, "k must be at least 1"),
        ("red", {"k": 2, "offset": 1999}, "offset .* k must be at most 2,000, got 2,001"),
        (Query(like=(99,)), {}, "id must be one of the 9 pictures, got 99"),
        (Query(vector=np.ones(3)), {}, "vector must have dimension 4"),
        (Query(text="red", image_weight=2), {}, "image_weight must be between 0 and 1"),
        ("red", {"where": "colour == 1"}, "a column of where must be one of"),
    ],
)
def test_queries_that_cannot_be(collection, query, options, problem):
    with pytest.raises(RetrievalInputError, match=problem):
        collection.search(query, **options)


def store_index(path):
    """Give a collection of nine pictures an index."""
    folder, old = CollectionFolder(path), Collection(path)
    index = VectorSearchIndex(4, "HNSW")
    index.add(old.vectors(np.arange(9)), ids=old.ids)
    index.save(folder.path / "index-000900")
    stored = StoredIndex("index-000900", "HNSW", 9, old.manifest.next_id, {"ef_search": 50})
    folder.write(replace(old.manifest, index=stored, counter=901))
    return folder


def test_a_reader_keeps_what_it_opened(build, pictures, tmp_path):
    build(pictures)
    opened = Collection(tmp_path / "collection")
    thumbnail, vectors = opened.thumbnail(0), opened.vectors(np.arange(9))
    (pictures / "red" / "red_0.png").unlink()
    paint(pictures / "new.png", "blue", shade=9)
    build(pictures)  # joins the parts into a new one and removes them
    assert opened.thumbnail(0) == thumbnail and np.array_equal(
        opened.vectors(np.arange(9)), vectors
    )
    hits = opened.search("red", k=9, fold=False).hits
    assert "red/red_0.png" in [hit.name for hit in hits]


def test_opening_begins_again_where_the_manifest_was_replaced(build, pictures, monkeypatch):
    build(pictures)
    folder = CollectionFolder(pictures.parent / "collection")
    old = folder.read()
    paint(pictures / "new.png", "blue", shade=9)
    build(pictures)
    manifests = iter([old])
    read = CollectionFolder.read
    monkeypatch.setattr(CollectionFolder, "read", lambda self: next(manifests, None) or read(self))
    assert len(Collection(folder.path, verify=True)) == 10


def test_a_damaged_or_replaced_index_is_told(build, pictures, tmp_path):
    build(pictures)
    folder = store_index(tmp_path / "collection")
    opened = Collection(folder.path, verify=True)
    (body,) = (p for p in (folder.path / "index-000900").iterdir() if p.suffix == ".faiss")
    content = bytearray(body.read_bytes())
    content[len(content) // 2] ^= 1
    body.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        Collection(folder.path, verify=True)
    folder.write(replace(opened.manifest, index=None))
    folder.remove_leftovers()
    with pytest.raises(
        RetrievalInputError, match="another index since it was opened; search again"
    ):
        opened.search("red")


def test_a_stored_index_with_later_and_missing_rows(build, pictures, tmp_path):
    """The index knows the first run only; rows that came or went since are seen all the same."""
    build(pictures)
    store_index(tmp_path / "collection")
    (pictures / "red" / "red_0.png").unlink()
    paint(pictures / "red" / "scarlet.png", "red", shade=3)
    build(pictures)
    collection = Collection(tmp_path / "collection")
    assert collection._stored is not None and len(collection._late[1]) == 1
    exact = collection.vectors(np.arange(9)) @ collection.encode(Query(text="red"))
    order = np.lexsort((collection.ids, -exact))
    found = collection.search("red", k=9, fold=False)
    assert [hit.id for hit in found.hits] == collection.ids[order].tolist()
    some = collection.search("red", k=9, fold=False, where='contains(path, "red")')
    assert sorted(names(some)) == ["red_20.png", "red_40.png", "scarlet.png"]


BARE = """
import sys
from lib.search.collection import Collection, Columns, Query
import lib.search.service
hits = Collection(sys.argv[1]).search(Query(vector=[1, 0, 0, 1]), k=3).hits
assert len(hits) == 3
print(*({"torch", "faiss", "open_clip", "matplotlib"} & sys.modules.keys()))
"""


def test_exact_search_and_service_import_no_heavy_library(build, pictures, tmp_path):
    build(pictures)
    command = [sys.executable, "-c", BARE, str(tmp_path / "collection")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_equal_vectors_are_ordered_by_id(build, pictures, tmp_path):
    rng = np.random.default_rng(0)
    distinct, vector = rng.normal(size=(40, 33)), rng.normal(size=33)
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    rows = distinct.astype(np.float32)[rng.integers(0, 40, 5_000)]
    vector /= np.linalg.norm(vector)
    scores, ids = _best(rows, np.arange(5_000), vector, 300)
    exact = (rows.astype(np.float64) @ vector).astype(np.float32)
    expected = np.lexsort((np.arange(5_000), -exact))[:300]
    assert ids.tolist() == expected.tolist() and np.array_equal(scores, exact[expected])


def test_moved_pictures_and_collection(build, pictures, tmp_path):
    build(pictures)
    (tmp_path / "elsewhere").mkdir()
    for name in ("pictures", "collection"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    collection = Collection(tmp_path / "elsewhere" / "collection")
    assert collection.original(0).is_relative_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "collection").rename(tmp_path / "alone")
    alone = Collection(tmp_path / "alone")
    assert (
        names(alone.search("red", k=1)) == ["red_0.png"] and alone.thumbnail(0)[:2] == b"\xff\xd8"
    )
    with pytest.raises(ValueError, match="is missing; run `crossmodal index` again"):
        alone.original(0)


def test_an_original_does_not_leave_its_source(build, pictures, tmp_path):
    paint(tmp_path / "secret" / "secret.png", "red", shade=11)
    (pictures / "link.png").symlink_to(tmp_path / "secret" / "secret.png")
    build(pictures)
    collection = Collection(tmp_path / "collection")
    at = collection.table["path"].to_pylist().index("link.png")
    with pytest.raises(RetrievalInputError, match="leads out of"):
        collection.original(int(collection.ids[at]))


def test_exports(collection, tmp_path):
    hits = collection.search("red", k=3).hits
    assert "3 hits in" in export(collection, hits, tmp_path / "hits.json")
    assert "3 hits in" in export(collection, hits, tmp_path / "hits.csv")
    assert (tmp_path / "hits.csv").read_text().count("\n") == 4
    assert "3 pictures in" in export(collection, hits, tmp_path / "copies")
    assert len(list((tmp_path / "copies").iterdir())) == 3
    with pytest.raises(RetrievalInputError, match="exists; give a new folder"):
        export(collection, hits, tmp_path / "copies")


def test_an_export_keeps_columns_that_have_the_names_of_ours(build, pictures, tmp_path):
    names = {"path": ["red_0.png"], "file": ["x"], "rank": [7], "score": [float("nan")]}
    build(pictures, columns=Columns(pa.table(names), "facts"))
    opened = Collection(tmp_path / "collection")
    export(opened, opened.search("red", k=1).hits, tmp_path / "hits.json")
    (row,) = json.loads((tmp_path / "hits.json").read_text(), parse_constant=pytest.fail)
    assert (row["rank"], row["crossmodal_rank"], row["score"], row["file"]) == (7, 1, None, "x")
    assert row["crossmodal_file"].endswith("red_0.png")


TABLE = pa.table(
    {
        "year": pa.array([1990, 2000, None, 2020]),
        "kind": ["map", "plan", "map", None],
        "good": [True, False, True, None],
    }
)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("year >= 2000", [1, 3]),
        ("1990 < year <= 2020", [1, 3]),
        ('kind == "map" and not year == 1990', []),
        ('kind in ["map", "plan"] or year > 2010', [0, 1, 2, 3]),
        ("good", [0, 2]),
        ('kind not in ["plan"]', [0, 2]),
        ('not kind in ["plan"]', [0, 2]),
        ("year != 1990", [1, 3]),
        ('contains(kind, "MA")', [0, 2]),
        ("contains(year, '20')", [1, 3]),
    ],
)
def test_conditions(where, rows):
    assert np.flatnonzero(matching_rows(TABLE, where)).tolist() == rows


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("year = 2000", "write == to compare"),
        ("__import__('os').system('x')", "is no condition"),
        ("year.__class__ == year", "neither column nor value"),
        ("years > 2000", "Did you mean 'year'"),
        ('year > "x"', "another kind of value"),
        ("year", "is no condition"),
        ("1 == 1", "must name a column"),
        ("(" * 500, "cannot be read"),
        ("x" * 3000, "at most 2000 characters"),
        ("lambda: 1", "is no condition"),
        ("year > 9 ** 99999999", "neither column nor value"),
    ],
)
def test_conditions_that_cannot_be(where, problem):
    with pytest.raises(RetrievalInputError, match=problem):
        matching_rows(TABLE, where)


def test_a_long_caption_is_a_short_name(build, pictures, tmp_path):
    (pictures / "red" / "red_0.txt").write_text("x" * 60_000)
    build(pictures / "red")
    (first,) = Collection(tmp_path / "collection").search("red", 1).hits
    assert first.name == "x" * 200 + "…" and len(first.columns["caption"]) == 60_000
