import pytest

from lib.core.checks import RetrievalInputError
from lib.index.capacity.building import BuildRates, plan_building
from lib.index.capacity.machines import plan_machines, published_sizes
from lib.studies.ann import capacity_table

ROWS = plan_machines(5_850_000_000, 512, recall=0.95, qps=1000)


@pytest.mark.parametrize(
    ("text", "n"), [("5.85e9", 5_850_000_000), ("100000", 100_000), ("1_000", 1000)]
)
def test_large_numbers_as_people_write_them(text, n):
    assert capacity_table.whole_number(text, "vectors") == n


@pytest.mark.parametrize("text", ["many", "1.5", "nan", "inf", "", "-3", "0"])
def test_numbers_that_count_nothing(text):
    with pytest.raises(RetrievalInputError, match="vectors must be"):
        capacity_table.whole_number(text, "vectors")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.00 kB"),
        (16_700_933_580, "16.7 GB"),
        (9.996, "10 B"),
        (1e21, "1000 EB"),
    ],
)
def test_bytes_with_three_digits(value, text):
    assert capacity_table.bytes_text(value) == text


def test_cells_of_the_table():
    table = {row["option"]: row for row in capacity_table.format_machine_plans(ROWS)}
    flat, coded, graph = (
        table[name] for name in ("Flat, float32", "IVF-PQ, 32 bytes", "graph on SSD, 32-byte codes")
    )
    assert (flat["RAM"], flat["SSD"], flat["training"]) == ("12.0 TB", "-", "-")
    assert (flat["machines"], flat["binds"]) == ("119,808", "memory bandwidth")
    assert flat["published recall"] == "1 / 1, enough"
    assert (coded["RAM"], coded["training"]) == ("236 GB", "721 PFLOP")
    assert coded["published recall"] == "0.689 / 0.069, too little"
    assert graph["published recall"] == "0.937 / 0.489" and graph["SSD"] == "24.0 TB"
    assert table["IVF-PQ, 64 bytes"]["published recall"] == "unknown"
    easier = {
        row["option"]: row["published recall"]
        for row in capacity_table.format_machine_plans(plan_machines(10**9, 512, recall=0.6, qps=1))
    }
    assert easier["IVF-PQ, 32 bytes"] == (
        "0.689 / 0.069, enough for queries like the base, too little for texts"
    )
    assert easier["graph on SSD, 32-byte codes"] == (
        "0.937 / 0.489, enough for queries like the base, not shown for texts"
    )


def test_notes_say_what_is_taken_for_granted_and_not_known():
    notes = "\n".join(capacity_table.notes(ROWS))
    for text in (
        "published to the byte",
        "nprobe 64: IVF, int8; IVF-PQ, 8 bytes",
        "not predicted",
        "latency",
    ):
        assert text in notes


def test_hours_as_text():
    hours = (None, 0, 0.0043, 2.04, 9.6, 1997.6)
    texts = ["not measured", "-", "0.0043", "2", "10", "1,998"]
    assert [capacity_table.hours_text(value) for value in hours] == texts


def test_what_building_takes():
    rates = BuildRates(1e-9, 1e12, 1e-6, 1e-8, graph_rows=10**6)
    builds = [plan_building(row.option, 5_850_000_000, 512, rates) for row in ROWS]
    table = capacity_table.format_build_plans(ROWS, builds, 10, price=3)
    rows = {row["option"]: row for row in table}
    assert len(rows) == len(ROWS)
    graph, disk = rows["HNSW, 32 links"], rows["graph on SSD, 32-byte codes"]
    # 5.85e9 x 512 x 1e-6 s over 16 cores are 52 hours, 5.2 on ten machines
    assert (graph["add, machine h"], graph["hours on 10"]) == ("52", "5.2")
    assert (graph["cost of building"], graph["machines to serve"]) == ("156", "71")
    assert graph["cost of serving a month"] == f"{71 * 730 * 3:,}"
    assert disk["add, machine h"] == disk["cost of building"] == "not measured"
    assert capacity_table.encoding_sentence(36_000, 10, 2, price=5) == (
        "Encoding of 36,000 pictures at 10 a second and machine: 1 machine hours, 0.5 hours on 2"
        " machines, cost 5."
    )


def test_checks_as_text():
    rows = capacity_table.format_size_checks(published_sizes())
    assert len(rows) == 14 and rows[0]["formula"] == rows[0]["published"] == "16.4 MB"
