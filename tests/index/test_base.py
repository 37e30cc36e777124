"""What holds for every index family; a new one is held to it by a line in tests.index.contract."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lib.index import METRICS, VectorSearchIndex, topk_exact
from lib.index.faiss_index import COUNTERS
from lib.index.saved_files import HEADER
from tests.index.clusters import clustered
from tests.index.contract import BASE, CASES, DIM, LEARN, QUERIES, Case, N, every_case, searched
from tests.index.oracle import assert_same, refused

metrics = pytest.mark.parametrize("metric", METRICS)
QUERIES_32 = clustered(20, dim=32, seed=3)
WITHIN = {"rtol": 2e-6, "atol": 2e-6}


def test_every_family_is_held_to_the_contract():
    named = {case.index_type for case in CASES} | {"ScaNN"}
    assert named == VectorSearchIndex.families.keys()


@every_case
@metrics
def test_hits_are_best_first_and_distinct(case, metric):
    scores, ids = searched(case, metric).search(QUERIES, 10)
    assert scores.shape == ids.shape == (20, 10)
    assert scores.dtype == np.float32 and ids.dtype == np.int64
    assert (np.diff(scores) <= 0).all() and np.isfinite(scores[ids >= 0]).all()
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in ids)
    tied = (np.diff(scores) == 0) & (ids[:, 1:] >= 0)
    assert (np.diff(ids)[tied] > 0).all()


@every_case
@metrics
def test_exhaustive_search_with_whole_vectors_is_exact_search(case, metric):
    if not case.is_exact(metric):
        pytest.skip("not exact")
    scores, ids = searched(case, metric, **case.exhaustive).search(QUERIES, 10)
    expected, same = topk_exact(QUERIES, BASE, 10, metric)
    np.testing.assert_allclose(scores, expected, rtol=2e-6, atol=5e-6)
    clear = (
        np.abs(np.diff(expected, append=-np.inf)) > 1e-5
    )  # neighbours that rounding cannot exchange
    clear &= np.abs(np.diff(expected, prepend=np.inf)) > 1e-5
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(ids[clear], same[clear])


@every_case
def test_equal_vectors_come_by_id(case):
    scores, ids = searched(case, "cosine", **case.exhaustive).search(BASE[7:8], 8)
    equal = np.isin(ids[0], [7, 100, 101, 102])
    if case.exact:
        assert set(ids[0, :4].tolist()) == {7, 100, 101, 102}
    if case.index_type == "HNSW":
        # faiss computes four distances at a time, and the rest singly: the last bit may differ.
        np.testing.assert_allclose(scores[0, equal], scores[0, equal][0], **WITHIN)
        assert np.lexsort((ids[0], -scores[0])).tolist() == list(range(8))
    else:
        assert ids[0, equal].tolist() == sorted(ids[0, equal])


@every_case
@metrics
def test_ids_of_the_user_come_back(case, metric):
    own = np.random.default_rng(0).permutation(N) * 1000 - 50_000  # large, negative, in no order
    index = case.filled(metric, own)
    index.set_search(**case.exhaustive)
    scores, ids = index.search(QUERIES, 6)
    expected, positions = searched(case, metric, **case.exhaustive).search(QUERIES, 6)
    if not case.repeats:  # built twice it differs; searched exhaustively it is exact all the same
        np.testing.assert_allclose(scores, expected, **WITHIN)
        return
    np.testing.assert_array_equal(scores, expected)
    untied = np.diff(expected, prepend=np.inf) != 0
    untied[:, :-1] &= untied[:, 1:]
    untied[:, -1] = False  # it may tie with one that is not seen
    np.testing.assert_array_equal(ids[untied], own[positions][untied])


@every_case
def test_adding_in_parts_is_adding_at_once(case):
    index = case.empty()
    for part in (BASE[:1], BASE[1:2000], BASE[:0], BASE[2000:]):
        index.add(part)
    index.set_search(**case.exhaustive)
    assert index.ntotal == N
    found, expected = (
        index.search(QUERIES, 5),
        searched(case, "cosine", **case.exhaustive).search(QUERIES, 5),
    )
    if case.adds_in_parts_alike and case.repeats:
        assert_same(found, expected)
    else:
        np.testing.assert_allclose(found[0], expected[0], **WITHIN)


@every_case
def test_built_twice_it_is_the_same_to_the_byte(case, tmp_path):
    if not case.repeats:
        pytest.skip("its library takes no seed")
    for name in "ab":
        index = case.built()
        index.add(BASE)
        index.save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert HEADER in files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@every_case
def test_int8_vectors_and_queries_are_numbers(case):
    codes = np.random.default_rng(0).integers(-127, 128, (N, DIM), np.int8)
    asked = codes[:20] // 2
    index = case.filled(vectors=codes)
    index.set_search(**case.exhaustive)
    scores, _ = index.search(asked, 3)
    if case.exact:
        np.testing.assert_allclose(scores, topk_exact(asked, codes, 3)[0], **WITHIN)
    np.testing.assert_allclose(index.search(asked.astype(np.float32), 3)[0], scores, **WITHIN)


# ---- allowed


@every_case
@metrics
def test_only_what_is_allowed_is_found(case, metric):
    index = searched(case, metric, **case.exhaustive)
    allowed = np.random.default_rng(1).choice(N, 200, replace=False)
    if not index.can_filter:
        with refused(r"cannot restrict a search.*Types that can: Flat, "):
            index.search(QUERIES, 5, allowed)
        return
    scores, ids = index.search(QUERIES, 30, allowed)
    assert np.isin(ids, allowed).all()
    if case.is_exact(metric):
        expected, places = topk_exact(QUERIES, BASE[np.sort(allowed)], 30, metric)
        np.testing.assert_allclose(scores, expected, rtol=2e-6, atol=5e-6)
        assert (ids == np.sort(allowed)[places]).mean() > 0.95
    elif case.index_type != "HNSW":  # what a search for everything finds, without the rest
        all_scores, all_ids = index.search(QUERIES, N)
        kept = np.isin(all_ids, allowed)
        np.testing.assert_allclose(
            scores, all_scores[kept].reshape(20, -1)[:, :30], rtol=1e-5, atol=1e-5
        )


@every_case
def test_where_fewer_are_allowed_than_asked_for_the_rest_is_empty(case):
    index = searched(case, "cosine", **case.exhaustive)
    if not index.can_filter:
        pytest.skip("cannot")
    scores, ids = index.search(QUERIES, 5, [11, 5, 11])
    assert (np.sort(ids[:, :2], axis=1) == [5, 11]).all()
    assert (ids[:, 2:] == -1).all() and (scores[:, 2:] == -np.inf).all()
    scores, ids = index.search(QUERIES, 5, [])
    assert (ids == -1).all() and (scores == -np.inf).all()
    assert index.search(QUERIES, 5, []).work == {}


# ---- remove


@every_case
@metrics
def test_what_is_removed_is_never_found_again(case, metric):
    index = case.filled(metric)
    index.set_search(**case.exhaustive)
    if not index.can_remove:
        with refused(r"cannot remove vectors; build it again.*Types that can"):
            index.remove([3])
        return
    before = index.search(QUERIES, N)
    gone = np.unique(before[1][:, :3])
    index.remove(gone)
    assert index.ntotal == N - gone.size
    left = ~np.isin(before[1], gone)
    scores, ids = index.search(QUERIES, N - gone.size)
    assert not np.isin(ids, gone).any()
    np.testing.assert_array_equal(scores, before[0][left].reshape(20, -1))
    np.testing.assert_array_equal(ids, before[1][left].reshape(20, -1))
    index.add(BASE[gone], gone)  # and may come back under their ids
    np.testing.assert_array_equal(index.search(QUERIES, 5)[0], before[0][:, :5])


@every_case
def test_removing_everything_leaves_an_empty_index(case):
    index = case.filled(ids=np.arange(N) + 5)
    if not index.can_remove:
        pytest.skip("cannot")
    index.remove(np.arange(N) + 5)
    with refused("the index is empty"):
        index.search(QUERIES, 1)
    index.add(BASE[:4])
    assert set(index.search(QUERIES, 4)[1].ravel()) <= {-1, 0, 1, 2, 3}


# ---- saving and cost


@every_case
@metrics
@pytest.mark.parametrize("own", [False, True], ids=["counted", "own_ids"])
def test_what_is_saved_comes_back_in_memory_and_mapped(case, metric, own, tmp_path):
    index = (
        case.filled(metric, ids=np.arange(N) * 3 + 1)
        if own
        else searched(case, metric, **case.exhaustive)
    )
    index.save(tmp_path / "a")
    expected = index.search(QUERIES, 7)
    for memory_map in (False, True):
        again = VectorSearchIndex.load(tmp_path / "a", memory_map=memory_map)
        assert type(again) is type(index) and again.memory_mapped == memory_map
        result = again.search(QUERIES, 7)
        assert_same(result, expected)
        assert result.work == expected.work and again.bytes_by_part() == index.bytes_by_part()
        assert (
            again.build_options == index.build_options
            and again.search_options == index.search_options
        )
        if index.can_filter:
            allowed = np.arange(0, 900, 3) * 3 + 1 if own else np.arange(0, 900, 3)
            assert_same(again.search(QUERIES, 7, allowed), index.search(QUERIES, 7, allowed))


@every_case
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_bytes_by_formula_are_bytes_in_the_file(case, metric):
    """Up to a header of less than 1 kB, the order of ties of Flat, and ScaNN's own layout."""
    index = searched(case, metric)
    cost = index.bytes_by_part()
    assert cost["total"] == sum(cost.values()) - cost["total"] - cost["serialised"]
    assert all(type(value) is int for value in cost.values())
    remade = cost["ids"] if case.index_type == "Flat" else 0
    if case.index_type != "ScaNN":
        assert 0 <= cost["serialised"] - (cost["total"] - remade) < 1000
    own = case.filled(metric, ids=np.arange(N) + 1)
    assert own.bytes_by_part()["id_map"] == 8 * N
    if case.repeats:
        assert own.bytes_by_part()["serialised"] == cost["serialised"] + 8 * N


@every_case
def test_work_is_counted_and_repeats(case):
    index = searched(case, "cosine")
    work = index.search(QUERIES, 4).work
    assert work.keys() <= {"distances", "codes", "centroids", "lists"}
    assert all(type(value) is int and value > 0 for value in work.values())
    assert bool(work) == (case.index_type != "ScaNN")
    assert index.search(QUERIES, 4).work == work
    twice = index.search(np.concatenate([QUERIES, QUERIES]), 4).work
    assert twice == {name: 2 * value for name, value in work.items()}


@every_case
def test_searches_in_two_threads_count_their_own_work(case):
    index = searched(case, "cosine")
    batches = [QUERIES[:n] for n in range(1, 21)] * 3
    expected = [index.search(batch, 4) for batch in batches]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda batch: index.search(batch, 4), batches))
    for result, alone in zip(results, expected, strict=True):
        assert result.work == alone.work
        assert_same(result, alone)


@every_case
def test_searches_that_count_no_work_wait_for_no_other(case):
    index = searched(case, "cosine")
    expected = index.search(QUERIES, 4)
    index.counts_work = False
    with ThreadPoolExecutor(1) as pool, COUNTERS:  # as if another search were counting
        result = pool.submit(index.search, QUERIES, 4).result(timeout=30)
    assert_same(result, expected)


def test_a_result_is_two_arrays_with_the_work_beside_them():
    result = Case("Flat").filled().search(QUERIES, 3)
    scores, ids = result
    assert scores is result.scores is result[0] and ids is result.ids is result[1]
    again = pickle.loads(pickle.dumps(result))
    assert_same(again, result)
    assert again.work == result.work == {"distances": 20 * N}


# ---- the lines of the textbook


@pytest.mark.parametrize("index_type", VectorSearchIndex.families)
def test_the_lines_of_the_textbook_run_as_printed(index_type):
    if index_type == "ScaNN":
        pytest.importorskip("scann")
    database_embeddings, query_embeddings = clustered(10_000, dim=32), QUERIES_32
    index = VectorSearchIndex(dimension=32, index_type=index_type)
    index.add(database_embeddings)
    scores, ids = index.search(query_embeddings, k=10)
    assert scores.shape == ids.shape == (20, 10) and index.is_trained
    _, own = index.search(database_embeddings[:5], k=10)
    assert (own[:, 0] == np.arange(5)).mean() >= 0.8
    other = VectorSearchIndex(metric="cosine", index_type=index_type, dimension=32)
    other.train(database_embeddings)
    other.add(vectors=database_embeddings)
    if index_type != "ScaNN":  # it takes no seed
        assert_same(other.search(k=10, queries=query_embeddings), (scores, ids))


def test_adding_trains_once():
    vectors = clustered(2000)
    index, other = VectorSearchIndex(16, "IVF"), VectorSearchIndex(16, "IVF")
    index.add(vectors[:1000])
    other.train(vectors[:1000])
    centroids = index.centroids
    np.testing.assert_array_equal(centroids, other.centroids)
    index.add(vectors[1000:])
    np.testing.assert_array_equal(index.centroids, centroids)
    assert index.ntotal == 2000 and index.build_options["nlist"] == 16


@pytest.mark.parametrize("n", [1, 38])
def test_one_list_holds_few_vectors(n, capfd):
    for index_type in ("Flat", "IVF", "HNSW", "LSH"):
        index = VectorSearchIndex(dimension=16, index_type=index_type)
        index.add(BASE[:n])
        assert sorted(index.search(QUERIES[:1], n).ids[0]) == list(range(n))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "n", "message"),
    [
        ({"index_type": "IVF", "nlist": 8}, 300, "39 x 8 = 312 .*got 300.*choose a smaller nlist"),
        ({"index_type": "PQ", "code_bytes": 4}, 900, "39 x 256 = 9984 .*got 900.*fast_scan = True"),
        (
            {"index_type": "IVF-PQ", "code_bytes": 4, "fast_scan": True},
            600,
            "39 x 16 = 624 .*got 600.*use index type 'Flat'",
        ),
    ],
)
def test_too_few_vectors_to_learn_from(options, n, message):
    index = VectorSearchIndex(16, **options)
    with refused(message + ".*train on a larger sample"):
        index.add(BASE[:n])
    assert not index.is_trained and index.ntotal == 0
    index.train(LEARN)
    index.add(BASE[:n])
    assert index.ntotal == n


def test_ids_are_checked_before_training():
    index = VectorSearchIndex(16, "IVF")
    with refused("id 1 is given twice"):
        index.add(BASE[:2], [1, 1])
    index.add(BASE[:0])
    assert not index.is_trained
    with refused("needs at least 39 x 1"):
        index.train(BASE[:0])


# ---- bad input


ASKED = [
    (QUERIES, 0, None, "k must be at least 1"),
    (QUERIES, N + 1, None, f"k must be between 1 and {N}"),
    (QUERIES[:, :5], 3, None, "queries must have dimension 16, got 5"),
    (QUERIES * np.nan, 3, None, "queries has the value nan in row 0, column 0"),
    (QUERIES * 0, 3, None, "queries has only zeros in row 0"),
    (QUERIES, 3, [0, N], f"allowed has 1 ids that are not in the index, the first is {N}"),
    (QUERIES, 3, [0.5], "allowed must be 1 whole numbers.*got float64"),
    (QUERIES, 3, [[1]], r"allowed must be a list of ids, got shape \(1, 1\)"),
]


@every_case
def test_asking_what_is_wrong(case):
    index = searched(case, "cosine")
    for queries, k, allowed, message in ASKED:
        if allowed is not None and not index.can_filter:
            message = "cannot restrict a search"
        with refused(message):
            index.search(queries, k, allowed)


@every_case
def test_asking_nothing_gives_nothing(case):
    scores, ids = searched(case, "cosine").search(QUERIES[:0], 3)
    assert scores.shape == ids.shape == (0, 3)


ADDED = [
    (BASE[:2, :8], None, "vectors must have dimension 16, got 8"),
    (BASE[:2] * [[1], [np.inf]], None, "vectors has the value .*inf.* in row 1, column 0"),
    (BASE[:2] * 0, None, "vectors has only zeros in row 0"),
    (BASE[:2], [1, 1], "id 1 is given twice"),
    (BASE[:2], [5, 3], "id 3 is in the index already$"),
    (BASE[:2], [5, -1], "id -1 means no hit in results"),
    (BASE[:2], [5], r"ids must be 2 whole numbers.*got int64 \(1,\)"),
    (BASE[:4], None, "id 3 is in the index already; the index has ids of your own"),
]


@every_case
def test_adding_what_is_wrong_adds_nothing(case):
    index = case.empty()
    index.add(BASE[:1], [3])
    for vectors, ids, message in ADDED:
        with refused(message):
            index.add(vectors, ids)
    assert index.ntotal == 1


@every_case
def test_removing_what_is_not_there_removes_nothing(case):
    index = searched(case, "cosine")
    if not index.can_remove:
        pytest.skip("cannot")
    with refused(rf"ids has 2 ids that are not in the index, the first is {N}"):
        index.remove([0, N, N + 1])
    assert index.ntotal == N


@every_case
def test_families_that_learn_do_so_first_and_once(case):
    index = VectorSearchIndex(DIM, case.index_type, **case.build)
    assert index.is_trained == (not index.needs_training)
    if not index.needs_training:
        index.train("nothing is read")
        return
    needs = r"needs at least 39 x \d+ = \d+ vectors to train on, got 38"
    for learn in (index.train, index.add):
        with refused(needs):
            learn(LEARN[:38])
    assert not index.is_trained and index.ntotal == 0
    index = searched(case, "cosine")
    with refused(f"the index holds {N} vectors; train a new one"):
        index.train(LEARN)


@every_case
def test_options_are_known_checked_and_said(case):
    index = searched(case, "cosine")
    assert index.build_options.keys() == index.build_known.keys()
    assert index.search_options.keys() == index.search_known.keys()
    assert None not in index.build_options.values() and (index.finish() is None)
    before = index.search_options
    for name in index.build_known:
        with refused(f"{name} is a build option"):
            index.set_search(**{name: 1})
    with refused("no option 'speed'; it takes none|an option of the search of"):
        index.set_search(speed=1)
    for name in index.search_known:
        for value, told in ((-1, "at least"), (2.5, "whole number"), (True, "whole number")):
            with refused(f"{name} must be.*{told}"):
                index.set_search(**{name: value})
    assert index.search_options == before
    with refused("no option 'speed'; it takes none|'speed'"):
        VectorSearchIndex(DIM, case.index_type, speed=1)


def test_the_names_of_options_are_guessed():
    with refused("an option of index type 'IVF' must be one of.*'nprobe'.*mean"):
        VectorSearchIndex(DIM, "IVF", n_probe=3)


def test_after_removal_new_vectors_need_ids():
    index = Case("Flat").filled()
    index.remove([0])
    with refused("id 1199 is in the index already; the index has ids of your own"):
        index.add(BASE[:1])
    index.add(BASE[:1], [0])
    assert index.ntotal == N
