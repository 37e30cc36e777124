"""Hours of building, computed by hand from rates."""

import pytest

from lib.index.capacity.building import BuildRates, encode_hours, plan_building
from lib.index.capacity.index_choices import index_choices
from lib.index.capacity.machines import Machine
from tests.index.oracle import refused

RATES = BuildRates(prepare_s=1e-9, flop_s=1e9, graph_s=2e-7, code_s=5e-9, graph_rows=10**6)
ONE = Machine(cores=1)
N, D, HOUR = 36_000_000, 100, 3600


def options(n=N, d=D, **settings):
    return {option.name: option for option in index_choices(n, d, **settings)}


def planned(name, n=N, d=D, machine=ONE, **settings):
    return plan_building(options(n, d, **settings)[name], n, d, RATES, machine)


def test_exact_search_only_copies():
    plan = planned("Flat, float32")
    assert plan.train_hours == 0 and plan.add_hours == pytest.approx(N * D * 1e-9 / HOUR)


def test_a_graph_is_inserted_vector_by_vector():
    plan = planned("HNSW, 32 links")
    assert plan.add_hours == pytest.approx(N * D * 2e-7 / HOUR) == pytest.approx(0.2)
    assert planned("HNSW, 32 links", machine=Machine(cores=4)).add_hours == pytest.approx(0.05)


def test_few_cells_are_compared_and_many_are_walked():
    few = planned("IVF, int8", nlist=1000)
    assert few.train_hours == pytest.approx(2 * 64_000 * 1000 * D * 10 / 1e9 / HOUR)
    assert few.add_hours == pytest.approx(N * (D * 1e-9 + 2 * D * 1000 / 1e9) / HOUR)
    many = planned("IVF, int8", nlist=2**16)
    assert many.add_hours == pytest.approx(N * (D * 1e-9 + D * 2e-7) / HOUR)


def test_codes_come_on_top():
    coded, whole = (planned(name, d=64, nlist=1000) for name in ("IVF-PQ, 8 bytes", "IVF, int8"))
    assert coded.add_hours - whole.add_hours == pytest.approx(N * 64 * 5e-9 / HOUR)
    assert coded.train_hours == whole.train_hours


def test_one_machine_trains_and_all_add():
    plan = planned("IVF, int8", nlist=1000)
    assert plan.machine_hours == plan.train_hours + plan.add_hours
    assert plan.hours_on(1) == plan.machine_hours
    assert plan.hours_on(8) == pytest.approx(plan.train_hours + plan.add_hours / 8)


def test_what_was_not_measured_is_not_planned():
    plan = planned("graph on SSD, 32-byte codes", d=96)
    assert plan.add_hours is plan.machine_hours is plan.hours_on(3) is None


def test_hours_of_encoding():
    assert encode_hours(7_200_000, 1000) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode_hours(0, 1), "n must be at least 1"),
        (lambda: encode_hours(5, 0), "rate must be between"),
        (lambda: planned("HNSW, 32 links").hours_on(0), "machines must be at least 1"),
        (lambda: BuildRates(0, 1, 1, 1, 1), "prepare_s must be between"),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()
