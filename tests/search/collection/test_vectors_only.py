"""A collection of vectors without pictures: searched as any other."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.search.collection import Collection, Query
from lib.search.collection import collection as opened
from lib.search.collection.vectors_only import add_vectors
from tests.search.collection.conftest import MODEL, ColourEncoder

ROWS = np.array([[3.0, 0, 0, 0], [0, 2, 0, 0], [1, 1, 0, 0]])


def add(path, rows=ROWS, captions=("one", "two", ""), **options):
    add_vectors(path, rows, captions, model=MODEL, identity=ColourEncoder().identity, **options)


def test_rows_are_searched_by_their_directions(tmp_path, monkeypatch):
    monkeypatch.setattr(opened, "load_query_encoder", lambda manifest: ColourEncoder())
    add(tmp_path / "c")
    add(tmp_path / "c", [[0, 0, 5, 0]], ["four"], names=["four.png"])
    collection = Collection(tmp_path / "c", verify=True)
    hits = collection.search(Query(vector=np.array([2.0, 1, 0, 0])), 4).hits
    assert [hit.name for hit in hits] == ["000000002.png", "one", "two", "four"]
    expected = [3 / 10**0.5, 2 / 5**0.5, 1 / 5**0.5, 0]
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-6)
    assert collection.manifest.finished and collection.item(3)["path"] == "four.png"
    assert collection.thumbnail(0) == b""
    with pytest.raises(MissingFileError, match="000000000.png is missing"):
        collection.original(0)


def test_rows_that_cannot_be_added(tmp_path):
    add(tmp_path / "c")
    with pytest.raises(RetrievalInputError, match="there must be 3 captions, one a vector, got 2"):
        add(tmp_path / "c", captions=["a", "b"])
    with pytest.raises(RetrievalInputError, match="there must be 3 names, one a vector, got 1"):
        add(tmp_path / "c", names=["a"])
    with pytest.raises(RetrievalInputError, match="vectors"):
        add(tmp_path / "c", np.ones((1, 3)), ["short"])
    with pytest.raises(RetrievalInputError, match="vectors"):
        add(tmp_path / "c", np.zeros((1, 4)), ["zero"])
    with pytest.raises(RetrievalInputError, match="was indexed with another encoder"):
        add_vectors(tmp_path / "c", ROWS, ["", "", ""], model=MODEL, identity={"model": "other"})
    assert len(Collection(tmp_path / "c")) == 3
