"""Tables of the service: promises by hand, lines, and what is written."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.result_store import ResultStore
from lib.studies.serving import databases, results
from lib.studies.serving.load import Load


def load_row(**changed):
    row = {
        "vectors": 16_000, "queries": "text", "during": "steady", "concurrency": 8,
        "requests": 200, "per_second": 123.4, "p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 30.0,
        "errors": 0, "processor_ms": 2.5, "own_mb": 150.0, "mapped_mb": 300.0,
    }  # fmt: skip
    return "load", row | changed


PARTS = "parts", {
    "vectors": 16_000, "queries": "text", "requests": 200, "whole_ms": 9.0, "encode_ms": 5.0,
    "search_ms": 1.5, "overhead_ms": 2.5, "recall": 0.9875,
}  # fmt: skip
START = "start", {
    "vectors": 1_000_000, "index": "IVF", "write_s": 20.0, "tune_s": 100.0, "start_s": 5.5,
    "slowest_start_s": 6.0, "own_mb": 150.0, "mapped_mb": 300.0,
}  # fmt: skip
DATABASE = "databases", {
    "vectors": 16_000, "system": "LanceDB", "index": "exact", "concurrency": 8, "requests": 300,
    "per_second": 50.0, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "errors": 0, "recall": 1.0,
    "build_s": 2.0,
}  # fmt: skip


def test_promises_are_those_of_the_worst_size():
    rows = [
        load_row(), load_row(vectors=100_000, p95_ms=51.0), load_row(concurrency=64, p95_ms=400.0),
        load_row(queries="vector", during="reloads", errors=2), PARTS, START,
    ]  # fmt: skip
    found = {promise.name: promise for promise in results.promises(rows)}
    text = found.pop("p95 of text queries, 8 at once, steady")
    assert (text.measured, text.vectors, text.kept) == (51.0, 100_000, False)
    assert found.pop("p95 of vector queries, 8 at once, reloads").kept
    assert found.pop("the service's own share of a query").kept
    start = found.pop("start")
    assert start.describe() == ("start, at most 5 s: 5.5 s with 1,000,000 vectors; NOT KEPT")
    assert found.pop("errors").measured == 2 and not found


def test_each_table_has_its_line():
    lines = [results.format_row(*row) for row in (load_row(during="reloads"), PARTS, START)]
    assert lines[0].startswith("16,000 vectors, text queries, 8 at once during reloads: 123 a sec")
    assert "9.0 ms = 5.0 encoding + 1.5 search + 2.5 of the service; recall@24 0.988" in lines[1]
    assert "Answers 5.5 s after its start, slowest of three 6.0 s" in lines[2]
    note = "databases", {"vectors": 1_000, "system": "X", "note": "not installed: x"}
    assert results.format_row(*note) == "1,000 vectors, X: not installed: x"
    assert "LanceDB, exact, 8 at once: 50 a second" in results.format_row(*DATABASE)


def test_databases_that_were_not_run_are_named():
    shown = results.format_databases([DATABASE[1], {"vectors": 9, "system": "X", "note": "gone"}])
    assert [row["system"] for row in shown] == ["LanceDB", "X", "clip-retrieval"]
    assert shown[0]["recall@24"] == "1.000" and shown[1]["recall@24"] == ""
    assert shown[2]["note"].startswith("not run: 2.45 needs numpy below 2")
    assert len({tuple(row) for row in shown}) == 1


def test_committed_tables_are_read_as_they_were_written(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "STORE", ResultStore("serving", "x", tmp_path))
    rows = [load_row(), load_row(concurrency=1), PARTS, START, DATABASE]
    client = Load(64, 1.0, results.vector_queries(1)[0] ** 2, 0)
    results.write_committed(rows, client, "busy")
    tables = results.committed_tables()
    assert tables["load"].to_dict("records") == [rows[0][1], rows[1][1]]
    assert tables["start"].to_dict("records") == [START[1]]
    environment = results.committed_environment()
    assert environment["client"]["concurrency"] == 64 and environment["others"] == "busy"


def test_plans_that_cannot_be():
    with pytest.raises(RetrievalInputError, match="requests must be at least 64, got 10"):
        results.LoadPlan(requests=10)
    with pytest.raises(RetrievalInputError, match="sizes must be at least 1,?000, got 10"):
        results.LoadPlan(sizes=(10,))


@pytest.mark.slow
def test_databases_find_what_exact_search_finds(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path))
    rows = list(databases.database_rows(1_000, 16, log=lambda line: None))
    assert {row["system"] for row in rows} == set(databases.SYSTEMS)
    measured = [row for row in rows if "note" not in row]
    assert len(measured) >= 2 and all(row["recall"] == 1.0 for row in measured)
    assert {row["index"] for row in measured} == {"exact"}
