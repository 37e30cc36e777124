"""Tables of seconds: their content, not the seconds."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.report import METRICS_MIME, environment, environment_line, measure, timing


def test_measure_calls_warm_ups_and_repeats():
    calls = []
    seconds = measure(lambda: calls.append(1), repeats=3, warmup=2)
    assert len(calls) == 5 and len(seconds) == 3 and min(seconds) >= 0


def test_median_and_spread_in_a_common_unit():
    shown = timing({"exact": [0.002, 0.001, 0.004], "scan": [0.02]}, title="Search")
    lines = repr(shown).splitlines()
    assert lines[0] == "Search" and "Not checked" in lines[1]
    assert lines[2].split() == ["median", "ms", "[fastest,", "slowest]", "repeats"]
    assert lines[3].split() == ["exact", "2.00", "[1.00,", "4.00]", "3"]
    assert lines[4].split() == ["scan", "20.0", "[20.0,", "20.0]", "1"]
    assert shown.rows[0]["median"] == 0.002


@pytest.mark.parametrize(("seconds", "unit"), [([2.0], "s"), ([5e-6], "µs"), ([0.5], "ms")])
def test_units(seconds, unit):
    assert f"median {unit} [" in repr(timing({"x": seconds}))


def test_rows_may_have_more_columns_and_functions():
    shown = timing([{"index": "Flat", "k": 10, "seconds": lambda: None}], repeats=2)
    assert repr(shown).splitlines()[1].split()[:2] == ["index", "k"]
    assert shown.rows[0]["repeats"] == 2


def test_states_threads_and_kernel_and_is_never_a_payload():
    shown = timing({"x": [1.0]})
    assert "BLAS" in repr(shown) and "cores" in repr(shown)
    elsewhere = environment() | {"machine": "Abacus", "cores": 977}
    assert "Abacus, 977 cores" in repr(timing({"x": [1.0]}, facts=elsewhere))
    assert METRICS_MIME not in shown._repr_mimebundle_()


def test_environment_names_what_decides_a_timing():
    facts = environment()
    assert set(facts) == {"cores", "machine", "python", "torch", "blas", "openmp_threads"}
    assert facts["blas"] and isinstance(environment_line(), str)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ({}, "no rows"),
        ([{"name": "x"}], "row 0 has no 'seconds'; it has 'name'"),
        ({"x": []}, "empty list"),
    ],
)
def test_refuses(rows, match):
    with pytest.raises(RetrievalInputError, match=match):
        timing(rows)
