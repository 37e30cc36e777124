"""`crossmodal search --collection`: options of a search of your own pictures."""

import json

import pytest

from lib.datasets import scenes
from lib.datasets.strokes import read_sketch
from lib.search.collection import Collection, Query, build_collection, collection
from tests.cli.conftest import one_line
from tests.search.collection.conftest import COLOURS, MODEL, ColourEncoder, paint
from tests.search.collection.test_reranking import made


def test_a_second_stage_orders_the_hits_of_a_collection(run, tmp_path):
    task = scenes.task("test", n_images=6)
    opened, _ = made(tmp_path, "scenes", task.gallery)
    words = task.queries[0]
    expected = opened.search(words, 3, rerank="cross-encoder", candidates=4)
    options = "--collection", "mine", "-k", "3", "--rerank", "cross-encoder", "--candidates", "4"
    code, out, _ = run("search", words, *options, "--export", "hits.json")
    assert code == 0 and "The best 4 by cosine are ordered by cross-encoder logit." in out
    rows = json.loads((tmp_path / "hits.json").read_text())
    assert [row["id"] for row in rows] == [hit.id for hit in expected.hits]
    assert f"{expected.hits[0].second_score:.3f}" in out and "second stage" in out


def test_a_sketch_searches_a_collection(run, tmp_path, monkeypatch):
    colours = ColourEncoder()
    monkeypatch.setattr(collection, "load_query_encoder", lambda manifest: colours)
    for colour in COLOURS:
        paint(tmp_path / "pictures" / f"{colour}.png", colour)
    build_collection([tmp_path / "pictures"], tmp_path / "mine", colours, MODEL)
    (tmp_path / "x.json").write_text("[[[0, 9], [0, 5]]]")
    sketch = read_sketch(tmp_path / "x.json")
    expected = Collection(tmp_path / "mine").search(Query("red", sketch=sketch), 3)
    code, out, _ = run("search", "red", "--collection", "mine", "--sketch", "x.json", "-k", "3")
    assert code == 0 and "red, x.json" in out and f"{expected.hits[0].score:.3f}" in out
    (tmp_path / "x.json").write_text("[[[0, 9], [0]]]")
    code, _, err = run("search", "--collection", "mine", "--sketch", "x.json")
    assert code == 2 and "x.json is no drawing" in one_line(err) and "Draw the" in one_line(err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rerank", "maxsim"], "--rerank need --collection"),
        (["--collection", "c", "--candidates", "5"], "--candidates needs --rerank"),
    ],
)
def test_options_of_a_second_stage_that_cannot_be(run, options, message):
    code, _, err = run("search", "cat", *options)
    assert code == 2 and message in one_line(err)
