"""Stores of a small collection with columns of each kind."""

import importlib.util
import os
from datetime import date

import pyarrow as pa
import pytest

from lib.search.collection import Collection, Columns
from lib.search.stores import base
from tests.search.collection.conftest import COLOURS, build, encoder, paint

__all__ = ["build", "encoder"]
PACKAGES = {"lancedb": ("lancedb",), "milvus": ("pymilvus", "milvus_lite"), "server": ("pymilvus",)}


def needs(engine: str):
    """Mark a test that needs the packages of a database."""
    missing = [name for name in PACKAGES[engine] if importlib.util.find_spec(name) is None]
    marks = [pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")]
    if engine == "server":
        absent = "CROSSMODAL_MILVUS" not in os.environ
        marks += [pytest.mark.server, pytest.mark.skipif(absent, reason="run make test-server")]
    return marks


ENGINES = [pytest.param(name, marks=needs(name)) for name in PACKAGES]


@pytest.fixture(params=ENGINES)
def address(request, tmp_path):
    """The address of an empty store."""
    match request.param:
        case "lancedb":
            yield f"lancedb:{tmp_path / 'lance'}"
        case "milvus":
            yield f"milvus:{tmp_path / 'm.db'}"
        case _:
            from pymilvus import MilvusClient

            uri = os.environ["CROSSMODAL_MILVUS"]
            yield f"milvus:{uri}#test"
            client = MilvusClient(uri=uri)
            for name in client.list_collections():
                if name in ("test", "test_head"):
                    client.drop_collection(name)
            client.close()


SHADES = range(0, 40, 4)


@pytest.fixture
def collection(build, encoder, tmp_path, monkeypatch):
    """Thirty pictures: ten shades of three colours, with a caption, a year, a price and a flag."""
    monkeypatch.setattr(base, "load_query_encoder", lambda manifest: encoder)
    rows = []
    for colour in COLOURS:
        for shade in SHADES:
            name = f"{colour}_{shade}.png"
            paint(tmp_path / "pictures" / name, colour, shade=shade)
            n = len(rows)
            rows.append(
                {
                    "file": name,
                    "caption": ["it's RED", 'Größe \\ "x" 100%', "", "plain_text", "a.b"][n % 5],
                    "year": None if n % 7 == 0 else 2000 + n,
                    "price": [0.5, 1.0, float("nan"), None, -2.25][n % 5],
                    "good": [True, False, None][n % 3],
                    "größe": n,
                    "day": date(2020, 1, 1 + n),
                    "tags": ["a", str(n)],
                }
            )
    build(tmp_path / "pictures", columns=Columns(pa.Table.from_pylist(rows), "table"))
    return Collection(tmp_path / "collection")
