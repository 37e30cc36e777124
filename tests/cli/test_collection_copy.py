"""`crossmodal collection copy`, and a search of the copy."""

import json

import pytest

from lib.search.collection import collection as opened
from lib.search.stores import base
from tests.cli.conftest import one_line
from tests.search.collection.conftest import ColourEncoder, paint
from tests.search.stores.conftest import needs


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("lancedb:lance", marks=needs("lancedb")),
        pytest.param("milvus:m.db", marks=needs("milvus")),
    ],
)
def test_copy_and_search(run, tmp_path, monkeypatch, address):
    monkeypatch.setattr("lib.models.encoder.load_encoder", lambda *_, **__: ColourEncoder())
    for module in (opened, base):
        monkeypatch.setattr(module, "load_query_encoder", lambda manifest: ColourEncoder())
    for number in range(3):
        paint(tmp_path / "p" / f"{number}.png", "red", shade=number * 30)
    assert run("index", "p", "--out", "c")[0] == 0
    code, out, _ = run("collection", "copy", "c", address)
    assert code == 0 and "3 pictures; 3 written, 0 were there already" in out
    search = ("search", "red", "--collection", address, "--where", "width > 3", "--all", "--export")
    code, out, err = run(*search, "hits.json")
    assert code == 0 and "3 hits in hits.json" in out and "contact sheet" not in out, err
    assert {row["path"] for row in json.loads((tmp_path / "hits.json").read_text())} == {
        "0.png", "1.png", "2.png",
    }  # fmt: skip
    code, _, err = run(*search, "folder")
    assert code == 2 and "a database holds no pictures" in one_line(err)
