"""Collect, commit and read the measurements of the service, and say whether it keeps its promises.

load.csv        a row for each size, kind of query and concurrency
parts.csv       what a request alone is made of
start.csv       start, memory, index
databases.csv   LanceDB and Milvus with the same vectors
environment.json
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from lib.core.checks import check_count
from lib.report.timing import environment
from lib.studies.serving import databases
from lib.studies.serving.corpus import LARGEST, LEAST, vector_queries
from lib.studies.serving.load import Load, client_ceiling, post
from lib.studies.serving.measure import CONCURRENCY, KINDS, REQUESTS, SIZES, STORE, K, Serving

TABLES = ("load", "parts", "start", "databases")
LONGEST_MS, AT = 50.0, 8  # p95 of a request, and its concurrency
MOST_OVERHEAD_MS = 5.0
MOST_START_S = 5.0
Log = Callable[[str], None]


@dataclass(frozen=True)
class LoadPlan:
    """The points that are measured.

    Args:
        sizes: vectors of each collection.
        concurrency: of each load curve.
        requests: of each point, at least as many as the largest concurrency.
        reloads: measure also while the collection is reloaded, twelve seconds for each curve.
        databases: measure also LanceDB and Milvus, at sizes up to 100,000.
    """

    sizes: Sequence[int] = SIZES
    concurrency: Sequence[int] = CONCURRENCY
    requests: int = REQUESTS
    reloads: bool = True
    databases: bool = True

    def __post_init__(self) -> None:
        check_count(self.requests, "requests", least=max(self.concurrency))
        for n in self.sizes:
            check_count(n, "sizes", least=LEAST, most=LARGEST)


def measured_rows(plan: LoadPlan, log: Log = print) -> Iterator[tuple[str, dict]]:
    """Yield the name of a table and a row of it as each is measured."""
    for n in plan.sizes:
        with Serving(n, log) as serving:
            yield "start", serving.start()
            for kind in KINDS:
                yield "parts", serving.parts(kind)
                for connections in plan.concurrency:
                    yield "load", serving.point(kind, connections, plan.requests)
                if plan.reloads:
                    yield "load", serving.point_while_reloading(kind)
        if plan.databases and n <= databases.MOST:
            for row in databases.database_rows(n, log=log):
                yield "databases", row


def others_line() -> str:
    """Say how busy other processes keep the machine: they slow down what is measured."""
    if not hasattr(os, "getloadavg"):
        return "how busy the machine is, is not known here"
    return (
        f"{os.getloadavg()[0]:.1f} processes ran or waited in the last minute, on"
        f" {os.cpu_count()} processors; an idle machine has less than 1"
    )


def client_limit() -> Load:
    """Measure the client at the largest concurrency, with requests and answers of usual sizes."""
    request = len(post("/search", {"vector": vector_queries(1)[0].tolist()}))
    return client_ceiling(max(CONCURRENCY), request=request, answer=250 * K)


def write_committed(rows: Sequence[tuple[str, dict]], client: Load, others: str) -> None:
    """Write all tables, the machine, and how busy it was, into `data/artifacts/serving`."""
    for name in TABLES:
        STORE.save_table(f"{name}.csv", [row for table, row in rows if table == name])
    STORE.save_json("environment.json", environment() | {"client": client.row(), "others": others})


def committed_tables() -> dict[str, pd.DataFrame]:
    """Read the committed tables by name: load, parts, start, databases."""
    return {name: STORE.table(f"{name}.csv") for name in TABLES}


def committed_environment() -> dict:
    """Read the machine behind the committed tables, and the limit of the client there."""
    return STORE.json("environment.json")


# ---- what is shown


def format_row(table: str, row: dict) -> str:
    """Format a row as one line, to be printed when it is measured."""
    return {
        "load": _load_line,
        "parts": _parts_line,
        "start": _start_line,
        "databases": _database_line,
    }[table](row)


def _load_line(row: dict) -> str:
    during = " during reloads" if row["during"] == "reloads" else ""
    return (
        f"{row['vectors']:,} vectors, {row['queries']} queries, {row['concurrency']} at once"
        f"{during}: {row['per_second']:,.0f} a second; {_latencies(row)}; {row['errors']} errors of"
        f" {row['requests']:,}; {row['processor_ms']:.1f} ms of processor a query;"
        f" {row['own_mb']:,.0f} MB"
    )


def _latencies(row: dict) -> str:
    return f"p50 {row['p50_ms']:.1f}, p95 {row['p95_ms']:.1f}, p99 {row['p99_ms']:.1f} ms"


def _parts_line(row: dict) -> str:
    return (
        f"{row['vectors']:,} vectors, {row['queries']} queries, one after the other:"
        f" {row['whole_ms']:.1f} ms = {row['encode_ms']:.1f} encoding + {row['search_ms']:.1f}"
        f" search + {row['overhead_ms']:.1f} of the service; recall@{K} {row['recall']:.3f}"
    )


def _start_line(row: dict) -> str:
    return (
        f"{row['vectors']:,} vectors: {row['index']}. Written in {row['write_s']:.0f} s of"
        f" processor, tuned in {row['tune_s']:,.0f} s. Answers {row['start_s']:.1f} s"
        f" after its start, slowest of three {row['slowest_start_s']:.1f} s;"
        f" {row['own_mb']:,.0f} MB, and {row['mapped_mb']:,.0f} MB of mapped files"
    )


def _database_line(row: dict) -> str:
    if "note" in row:
        return f"{row['vectors']:,} vectors, {row['system']}: {row['note']}"
    return (
        f"{row['vectors']:,} vectors, {row['system']}, {row['index']}, {row['concurrency']} at"
        f" once: {row['per_second']:,.0f} a second; {_latencies(row)}; recall@{K}"
        f" {row['recall']:.3f}"
    )


def format_databases(rows: Sequence[dict]) -> list[dict[str, str]]:
    """Format the rows of databases; what was not run comes last, with its reason."""
    shown = [
        {
            "vectors": f"{row['vectors']:,}",
            "system": row["system"],
            "index": row.get("index", ""),
            "at once": str(row.get("concurrency", "")),
            "a second": _number(row, "per_second", ",.0f"),
            "p50 ms": _number(row, "p50_ms", ".1f"),
            "p95 ms": _number(row, "p95_ms", ".1f"),
            f"recall@{K}": _number(row, "recall", ".3f"),
            "to copy and index, s": _number(row, "build_s", ",.0f"),
            "note": row.get("note", ""),
        }
        for row in rows
    ]
    empty = dict.fromkeys(shown[0], "")
    left_out = databases.NOT_RUN.items()
    return shown + [empty | {"system": name, "note": f"not run: {why}"} for name, why in left_out]


def _number(row: dict, name: str, form: str) -> str:
    return format(row[name], form) if name in row else ""


@dataclass(frozen=True)
class Promise:
    """A limit that the service keeps to, and the worst that was measured."""

    name: str
    most: float
    unit: str
    measured: float
    vectors: int

    @property
    def kept(self) -> bool:
        return self.measured <= self.most

    def describe(self) -> str:
        """Say it in one line."""
        kept = "kept" if self.kept else "NOT KEPT"
        where = f"with {self.vectors:,} vectors"
        return (
            f"{self.name}, at most {self.most:g} {self.unit}: {self.measured:.3g} {self.unit}"
            f" {where}; {kept}"
        )


def promises(rows: Sequence[tuple[str, dict]]) -> list[Promise]:
    """Compare what was measured with what the service promises: the worst size of each."""
    tables = {name: [row for table, row in rows if table == name] for name in TABLES}
    eight = [row for row in tables["load"] if row["concurrency"] == AT]
    cases = [
        (f"p95 of {kind} queries, {AT} at once, {during}", LONGEST_MS, "ms", "p95_ms",
         [row for row in eight if (row["queries"], row["during"]) == (kind, during)])
        for kind in KINDS for during in ("steady", "reloads")
    ]  # fmt: skip
    cases += [
        ("the service's own share of a query", MOST_OVERHEAD_MS, "ms", "overhead_ms",
         tables["parts"]),
        ("start", MOST_START_S, "s", "start_s", tables["start"]),
        ("errors", 0, "requests", "errors", tables["load"]),
    ]  # fmt: skip
    found = []
    for name, most, unit, column, among in cases:
        if among:
            worst = max(among, key=lambda row: row[column])
            found.append(Promise(name, most, unit, worst[column], worst["vectors"]))
    return found
