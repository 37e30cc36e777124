"""Ids and positions against a plain dictionary, and ranges of options."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lib.index.base import SEED, _check_options, switch, whole
from lib.index.faiss_index import best_first
from lib.index.ids import IdMap
from tests.index.oracle import refused

OWN = st.lists(st.integers(-50, 50).filter(lambda i: i != -1), unique=True, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), OWN), st.integers(0, 6), st.integers(0, 2**16)), max_size=5
    )
)
def test_it_does_what_a_list_does(steps):
    ids, plain = IdMap(), []
    for given_ids, count, removed in steps:
        asked = None if given_ids is None else np.array(given_ids, np.int64)
        n = count if given_ids is None else len(given_ids)
        expected = list(range(len(plain), len(plain) + n)) if given_ids is None else given_ids
        if set(expected) & set(plain):
            with refused("is in the index already"):
                ids.new(asked, n)
        else:
            ids.append(ids.new(asked, n))
            plain += expected
        gone = [at for at in range(len(plain)) if removed >> at & 1]
        ids.remove(np.array(gone, np.int64))
        plain = [i for at, i in enumerate(plain) if at not in gone]
        assert len(ids) == len(plain) and ids.array.tolist() == plain
        assert not ids.counted or plain == list(range(len(plain)))
        assert ids.nbytes == (0 if ids.counted else 8 * len(plain))
        every = np.arange(-55, 56)
        assert ids.find(every).tolist() == [plain.index(i) if i in plain else -1 for i in every]
        assert ids.at(np.array([[*range(len(plain)), -1]])).tolist() == [[*plain, -1]]
        assert ids.positions(plain, "x").tolist() == list(range(len(plain)))


def test_ids_that_are_whole_numbers_of_any_kind():
    for dtype in (np.int8, np.uint64, np.int32):
        assert IdMap().new(np.array([3, 4], dtype), 2).dtype == np.int64
    with refused("does not fit into int64"):
        IdMap().new(np.array([2**63], np.uint64), 1)


@settings(max_examples=80, deadline=None)
@given(
    arrays(np.float32, (3, 6), elements=st.sampled_from([-1.5, 0.0, 0.25, 2.0])), st.integers(0, 6)
)
def test_hits_are_sorted_as_by_score_and_id(scores, found):
    scores = -np.sort(-scores, axis=1)
    ids = np.random.default_rng(found).permuted(np.tile(np.arange(6), (3, 1)), axis=1)
    ids[:, found:], scores[:, found:] = -1, -np.finfo(np.float32).max
    pairs = [sorted(zip(-s[:found], i[:found])) for s, i in zip(scores, ids)]
    best_first(scores, ids)
    assert [[(-s, i) for s, i in zip(row[:found], own)] for row, own in zip(scores, ids)] == pairs
    assert (scores[:, found:] == -np.inf).all() and (ids[:, found:] == -1).all()


def test_options():
    known = {"n": whole(None), "m": whole(3, least=0), "on": switch(False), "seed": SEED}
    options = {"n": None, "m": np.int8(0), "on": np.True_, "seed": 0}
    checked = {"n": None, "m": 0, "on": True, "seed": 0}
    assert _check_options(options, known, "it") == checked
    for name, value, message in [
        ("n", 0, "n must be at least 1, got 0"),
        ("m", None, "m must be a whole number, got None"),
        ("on", 1, "on must be True or False, got 1"),
        ("sead", 3, "an option of it must be one of.*Did you mean 'seed'"),
    ]:
        with refused(message):
            _check_options({name: value}, known, "it")
    with refused("it has no option 'n'; it takes none"):
        _check_options({"n": 1}, {}, "it")
