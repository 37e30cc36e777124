import numpy as np
import pytest
import torch

from lib.index import METRICS
from lib.index import exact_filters as filters
from lib.index.exact_filters import FloatFilter, Int8Filter, int8_products_are_fast
from lib.index.exact_scores import prepare, score_block

needs_int8 = pytest.mark.skipif(
    not int8_products_are_fast(), reason="this processor multiplies no int8"
)


def shapes_of_data():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((400, 48))
    cone = normal + 6 * rng.standard_normal(48)
    outlier = normal.copy()
    outlier[17] *= 1000
    rogue = normal * np.r_[50, np.ones(47)]
    duplicates = normal[rng.integers(5, size=400)]
    constant = np.tile(normal[:1], (400, 1))
    grid = np.r_[[[127] * 48], rng.integers(-127, 128, (199, 48))]
    data = {
        "normal": normal,
        "cone": cone,
        "outlier": outlier,
        "rogue dimension": rogue,
        "duplicates": duplicates,
        "constant": constant,
        "small": normal * 1e-20,
        "large": normal * 1e15,
        "on the grid": np.r_[
            grid, -grid
        ],  # mean 0 and step 1: codes are exact, only queries lose something
        "one-hot": np.eye(48)[rng.integers(48, size=400)],
    }
    return [pytest.param(rows.astype(np.float32), id=name) for name, rows in data.items()]


def aims(queries, items, metric):
    filters = [FloatFilter(items, metric)]
    if metric != "l2" and int8_products_are_fast() and items.rows.dtype == np.float32:
        filters.append(Int8Filter(items))
    return [f.aim(queries) for f in filters]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("data", shapes_of_data())
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_no_product_is_further_off_than_its_bound(metric, data, precision):
    items = prepare(data, "items", metric)
    queries = prepare(np.random.default_rng(1).standard_normal((6, 48)) * 3, "queries", metric)
    exact = score_block(queries, items, metric).T.astype(np.float64)  # (n_items, n_queries)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        for probe in aims(queries, items, metric):
            products = torch.empty(len(items), len(queries), dtype=probe.dtype)
            probe.product(0, len(items), products)
            approximate = products.numpy() * probe.unit + probe.offset
            assert (np.abs(approximate - exact) <= probe.error).all(), probe.dtype
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("data", shapes_of_data())
@pytest.mark.parametrize("start, stop", [(0, 400), (8, 205), (399, 400)])
def test_nobody_who_reaches_the_floor_is_dropped(metric, data, start, stop, monkeypatch):
    monkeypatch.setattr(filters, "LARGEST_SHARE", 1.0)
    items, queries = prepare(data, "items", metric), prepare(data[5:9], "queries", metric)
    exact = score_block(queries, items, metric)
    floor = np.sort(exact, axis=1)[:, -20].astype(np.float64)
    for probe in aims(queries, items, metric):
        query, item, bound = probe.survivors(start, stop, 20, floor)
        survives = np.zeros(exact.shape, bool)
        survives[query, item] = True
        assert survives.sum() == query.size and (start <= item).all() and (item < stop).all()
        inside = (np.arange(400) >= start) & (np.arange(400) < stop)
        assert survives[(exact >= floor[:, None]) & inside].all()
        assert (bound >= exact[query, item]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_without_a_floor_the_best_tiles_make_one(metric):
    rng = np.random.default_rng(2)
    items = prepare(rng.standard_normal((400, 32)), "items", metric)
    queries = prepare(rng.standard_normal((3, 32)), "queries", metric)
    exact = score_block(queries, items, metric)
    best = np.argsort(-exact, axis=1)[:, :5]
    for probe in aims(queries, items, metric):
        query, item, _ = probe.survivors(0, 400, 5, np.full(3, -np.inf))
        for row in range(3):
            assert set(best[row]) <= set(item[query == row])
        assert query.size < 0.2 * exact.size


def test_a_filter_that_lets_everyone_through_says_so():
    items = prepare(np.ones((64, 32)), "items", "cosine")
    for probe in aims(items, items, "cosine"):
        assert probe.survivors(0, 64, 3, np.full(64, -np.inf)) is None


def test_coarse_products_widen_the_bound(monkeypatch):
    items = prepare(np.random.default_rng(4).standard_normal((9, 32)), "items", "cosine")
    fine = FloatFilter(items, "cosine").aim(items).error

    def refuse():
        raise RuntimeError("mix of the legacy and new APIs")

    for setting in (lambda: "medium", lambda: "high", refuse):
        monkeypatch.setattr(torch, "get_float32_matmul_precision", setting)
        assert (FloatFilter(items, "cosine").aim(items).error > fine + 2**-7).all()


@needs_int8
def test_codes_are_centred():
    rng = np.random.default_rng(3)
    spread = rng.standard_normal((500, 32)).astype(np.float32)
    alone = Int8Filter(prepare(spread, "items", "inner_product"))
    shifted = Int8Filter(prepare(spread + 100, "items", "inner_product"))
    assert shifted.step == pytest.approx(alone.step, rel=1e-3)


@needs_int8
def test_integer_products_are_exact_at_the_extremes():
    codes = torch.tensor([127, -127], dtype=torch.int8).repeat(5, 512)
    assert torch._int_mm(codes, codes.T)[0, 0] == 1024 * 127**2
