"""The token index against loops and exhaustive MaxSim; its bytes by formula; its files."""

from contextlib import suppress
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, load_arrays
from lib.core.token_vectors import Tokens
from lib.core.writing import save_arrays, sha256_of
from lib.index import Candidates, TokenIndex
from lib.index.token_index import candidates
from lib.models.maxsim import maxsim, maxsim_pairs
from tests.index.clusters import clustered, documents
from tests.index.oracle import refused

STORAGES = ("float32", "int8", "residual")
DOCUMENTS = documents(60)
QUERIES = documents(9, longest=4, seed=7)


def filled(storage="residual", tokens=DOCUMENTS, n_centroids=16, **options):
    index = TokenIndex(tokens.dim, storage, n_centroids=n_centroids, **options)
    index.add(tokens)
    return index


def torch_sides(*tokens):
    return [torch.from_numpy(t.vectors) for t in tokens] + [
        torch.from_numpy(t.mask) for t in tokens
    ]


def candidates_by_loop(index, queries, nprobe, most=None):
    """The definition, one pair at a time, from what the index stores of centroids."""
    centroids = index._centroids.astype(np.float64)
    owner = np.repeat(np.arange(index.ntotal), index.counts)
    nearest = np.concatenate(index._nearest)
    rows = []
    for query, mask in zip(queries.vectors.astype(np.float64), queries.mask):
        similarities = query[mask] @ centroids.T
        asked = np.argsort(-similarities, axis=1, kind="stable")[:, :nprobe]
        found = np.unique(owner[np.isin(nearest, asked)])
        scores = [
            similarities[:, nearest[owner == document]].max(axis=1).sum() for document in found
        ]
        best = np.lexsort((found, -np.array(scores)))[:most]
        rows.append({int(found[i]): scores[i] for i in sorted(best)})
    return rows


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 16), st.sampled_from([None, 1, 3, 10]), st.integers(0, 99), st.booleans())
def test_candidates_are_those_of_the_loop(nprobe, most, seed, in_blocks):
    index, queries = filled("float32"), documents(5, longest=4, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        if in_blocks:
            patch.setattr(candidates, "CELLS", 100)
        found = index.candidates(queries, nprobe, most)
    expected = candidates_by_loop(index, queries, nprobe, most)
    assert found.ids.tolist() == [document for row in expected for document in row]
    assert found.counts.tolist() == [len(row) for row in expected]
    assert found.scores == pytest.approx(
        [score for row in expected for score in row.values()], abs=1e-5
    )


def test_by_hand():
    index = TokenIndex(2, "float32", n_centroids=2)
    tokens = np.array([[[1, 0], [0, 1]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]])
    index.add(Tokens(tokens.astype(float), np.array([[True, True], [True, True], [True, False]])))
    query = Tokens(
        np.array([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 2.0], [9.0, 9.0]]]),
        np.array([[1, 1], [1, 0]], bool),
    )
    found = index.candidates(query, 1)
    assert found.padded_ids().tolist() == [[0, 1], [0, 2]] and found.offsets.tolist() == [0, 2, 4]
    assert found.scores.tolist() == pytest.approx([1.8, 1.8, 2, 2])
    assert index.candidates(query, 2).padded_ids().tolist() == [[0, 1, 2], [0, 1, 2]]
    cut = index.candidates(query, 2, max_candidates=1)
    assert cut.ids.tolist() == [0, 0]  # of equal scores the smaller id stays


@pytest.mark.parametrize("storage", STORAGES)
def test_all_centroids_find_every_document_and_the_same_best(storage):
    index = filled(storage)
    found = index.candidates(QUERIES, 16)
    assert (found.padded_ids() == np.arange(60)).all()
    exact = maxsim(*torch_sides(QUERIES, DOCUMENTS))
    kept = index.documents(np.arange(60))
    queries = QUERIES.as_int8() if storage == "int8" else QUERIES
    pairs = maxsim_pairs(
        *(sides := torch_sides(queries, kept))[:2], torch.from_numpy(found.padded_ids()), *sides[2:]
    )
    if storage == "float32":
        assert torch.allclose(pairs, exact, atol=1e-6)
    else:
        correlation = np.corrcoef(pairs.flatten(), exact.flatten())[0, 1]
        assert correlation > {"int8": 0.999, "residual": 0.95}[storage]


def test_few_candidates_hold_nearly_all_of_the_best():
    tokens = documents(400, n_clusters=40)
    index, queries = filled(tokens=tokens, n_centroids=64), tokens.take(np.arange(0, 400, 8))
    found = index.candidates(queries, 2, max_candidates=40)
    best = maxsim(*torch_sides(queries, tokens)).topk(5, dim=1).indices.numpy()
    held = (best[:, :, None] == found.padded_ids()[:, None]).any(axis=2)
    assert found.counts.max() <= 40 and held.mean() > 0.9 and held[:, 0].all()


# ---- what is stored


def test_int8_products_are_exact_integers_and_one_scale_serves_all():
    index = filled("int8")
    kept, queries = index.documents(np.arange(60)), QUERIES.as_int8()
    assert kept.vectors.dtype == np.int8
    assert (kept.flat()[0] == DOCUMENTS.as_int8().flat()[0]).all()
    products = queries.flat()[0].astype(np.int64) @ kept.flat()[0].astype(np.int64).T
    assert (
        queries.flat()[0].astype(np.float32) @ kept.flat()[0].astype(np.float32).T == products
    ).all()


def test_int8_tokens_stay_as_they_are():
    tokens = DOCUMENTS.as_int8(0.7)
    index = filled("int8", tokens)
    assert (index.documents(np.arange(60)).flat()[0] == tokens.flat()[0]).all()
    with refused("trained on int8 tokens, these are float32"):
        index.add(DOCUMENTS)
    with refused("trained on float32 tokens, these are int8"):
        filled("int8").add(tokens)
    assert index.ntotal == 60


def test_float32_keeps_directions_and_the_order_asked():
    index = filled("float32", Tokens(3 * DOCUMENTS.vectors, DOCUMENTS.mask))
    asked = [5, 0, 5, 59]
    found, expected = index.documents(asked), DOCUMENTS.take(asked)
    assert found.counts.tolist() == expected.counts.tolist()
    assert found.flat()[0] == pytest.approx(expected.flat()[0], abs=1e-6)
    assert len(index.documents([])) == 0


@pytest.mark.parametrize("storage", STORAGES)
def test_adding_in_parts_is_adding_at_once(storage):
    index, whole = (TokenIndex(16, storage, n_centroids=8) for _ in range(2))
    for each in (index, whole):
        each.train(DOCUMENTS)
    whole.add(DOCUMENTS)
    for start, stop in ((0, 1), (1, 40), (40, 40), (40, 60)):
        index.add(DOCUMENTS.take(slice(start, stop)))
        index.candidates(QUERIES, 1)  # what was found before must not linger
    first, second = index.candidates(QUERIES, 2), whole.candidates(QUERIES, 2)
    assert (first.ids == second.ids).all() and (first.scores == second.scores).all()
    assert (index.documents([3, 50]).vectors == whole.documents([3, 50]).vectors).all()
    assert index.bytes_by_part() == whole.bytes_by_part()


@pytest.mark.parametrize(
    ("storage", "token_bytes", "codec"), [("float32", 64, 0), ("int8", 16, 8), ("residual", 4, 28)]
)
def test_cost_is_what_the_arrays_take(storage, token_bytes, codec):
    index, n_tokens = filled(storage), DOCUMENTS.n_tokens
    nearest = np.concatenate(index._nearest)
    in_lists = len({(a, b) for a, b in zip(nearest.tolist(), DOCUMENTS.flat()[1].tolist())})
    expected = {
        "tokens": n_tokens * token_bytes,
        "centroid_ids": n_tokens,
        "centroids": 4 * 16 * 16,
        "lists": 4 * in_lists + 8 * 17,
        "counts": 8 * 60,
        "codec": codec,
    }
    assert index.bytes_by_part() == {**expected, "total": sum(expected.values())}
    assert TokenIndex(16, storage).bytes_by_part()["total"] == 0


def test_centroids_by_the_rule_of_plaid():
    index = TokenIndex(16)
    index.add(documents(300, longest=8))
    n_tokens = int(index._counts.sum())
    assert index.n_centroids == 512 and 512 <= 16 * n_tokens**0.5 < 1024
    one = TokenIndex(2)
    one.add(Tokens(np.ones((1, 1, 2))))
    assert one.n_centroids == 1 and one.candidates(Tokens(np.ones((1, 1, 2))), 1).ids.tolist() == [
        0
    ]
    assert repr(one) == "TokenIndex(dimension=2, storage='residual', n_centroids=1, ntotal=1)"


@pytest.mark.parametrize("storage", STORAGES)
def test_a_saved_index_is_the_same_index(storage, tmp_path):
    index, path = filled(storage, bits=1), tmp_path / "tokens.npz"
    digest = index.save(path)
    loaded = TokenIndex.load(path)
    assert (
        repr(loaded) == repr(index)
        and loaded.bytes_by_part() == index.bytes_by_part()
        and loaded.save(path) == digest
    )
    ours, theirs = index.candidates(QUERIES, 3, 9), loaded.candidates(QUERIES, 3, 9)
    assert (ours.ids == theirs.ids).all() and (ours.scores == theirs.scores).all()
    loaded.add(DOCUMENTS.take([4]))
    index.add(DOCUMENTS.take([4]))
    assert (loaded.documents([60, 2]).vectors == index.documents([60, 2]).vectors).all()


def test_saving_replaces_one_file_and_leaves_the_rest_of_the_folder(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for storage in STORAGES:
        filled(storage).save(tmp_path / "tokens.npz")
        assert TokenIndex.load(tmp_path / "tokens.npz").storage == storage
    assert {path.name for path in tmp_path.iterdir()} == {
        "thesis.tex",
        "tokens.npz",
        "tokens.npz.sha256",
    }
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_file_that_is_something_else_or_damaged_is_refused(tmp_path):
    save_arrays(tmp_path / "other.npz", ids=np.arange(3))
    with refused("does not hold a token index of format 1"):
        TokenIndex.load(tmp_path / "other.npz")
    path = tmp_path / "tokens.npz"
    filled().save(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedFileError):
        TokenIndex.load(path)


def test_parts_of_a_file_that_do_not_fit_together_are_refused_though_the_checksum_matches(tmp_path):
    accepted, path = [], tmp_path / "tokens.npz"

    def write(arrays):  # as `save_arrays` does, several times as fast
        np.savez(path, **arrays)
        (tmp_path / "tokens.npz.sha256").write_text(f"{sha256_of(path)}  tokens.npz\n")

    for storage, tokens in product(STORAGES, (DOCUMENTS, DOCUMENTS.as_int8())):
        filled(storage, tokens).save(path)
        good = load_arrays(path)
        changes = {
            name: [values[:-1], values.astype(np.float16)]
            for name, values in good.items()
            if values.ndim
        }
        changes |= {
            name: [value[None], value.astype(bytes)]
            for name, value in good.items()
            if not value.ndim
        }
        for name in ("centroids", "cutoffs", "values", "largest"):
            if name in good:
                changes[name].append(np.full_like(good[name], np.nan))
        changes["centroids"] += [np.pad(good["centroids"], ((0, 0), (0, 1)))]
        changes["nearest"] += [np.full_like(good["nearest"], 16)]
        changes["kept"] += [
            good["kept"][:, :-1],
            good["kept"].view(np.uint8 if storage == "int8" else np.int8),
        ]
        changes["counts"] += [
            good["counts"][::-1] * -1,
            np.append(good["counts"], 0),
            good["counts"] + 1,
        ]
        changes["dimension"] += [np.array(15), np.array(16.5)]
        changes["bits"] += [np.array(3)] + [np.array(1)] * (storage == "residual")
        changes["storage"] += [np.array(other) for other in STORAGES if other != storage]
        if storage == "residual":
            changes["cutoffs"] += [good["cutoffs"][::-1]]
        for name, value in [(name, value) for name, values in changes.items() for value in values]:
            write({**good, name: value})
            with suppress(DamagedFileError, RetrievalInputError):
                TokenIndex.load(path)
                accepted.append(f"{storage}: {name} {value.dtype} {value.shape}")
        for name in good:
            write({other: value for other, value in good.items() if other != name})
            with suppress(DamagedFileError, RetrievalInputError):
                TokenIndex.load(path)
                accepted.append(f"{storage}: without {name}")
    assert accepted == []


# ---- edges and bad input


def test_no_queries_and_queries_without_candidates():
    none = filled().candidates(QUERIES.take(slice(0)), 2)
    assert (len(none), none.offsets.tolist(), none.padded_ids().shape) == (0, [0], (0, 0))
    index = TokenIndex(16, "float32", n_centroids=16)
    index.train(DOCUMENTS)
    index.add(Tokens(index._centroids[None, :1].copy()))  # one document at one centroid
    far = Tokens(-index._centroids[None, :1])
    assert index.candidates(far, 1).counts.tolist() == [0]
    assert Candidates(np.array([0, 0, 1]), np.array([4]), np.ones(1)).padded_ids().tolist() == [
        [-1],
        [4],
    ]


def test_refuses():
    index = filled()
    for action, message in (
        (
            lambda: TokenIndex(16, "int4"),
            "storage must be one of 'float32', 'int8', 'residual'; got 'int4'",
        ),
        (lambda: TokenIndex(16, bits=3), "bits must be 1, 2 or 4"),
        (lambda: TokenIndex(0), "dimension must be at least 1"),
        (lambda: TokenIndex(16, n_centroids=0), "n_centroids must be at least 1"),
        (
            lambda: TokenIndex(16).candidates(QUERIES),
            "the index is empty: add documents before a search",
        ),
        (
            lambda: TokenIndex(16).save("nowhere.npz"),
            "the index is empty: add documents before saving",
        ),
        (
            lambda: TokenIndex(16, n_centroids=500).add(DOCUMENTS),
            "500 centroids need at least as many",
        ),
        (lambda: TokenIndex(8).add(DOCUMENTS), "tokens must have dimension 8, got 16"),
        (lambda: index.add(Tokens(np.zeros((1, 1, 16)))), "tokens has only zeros in row 0"),
        (lambda: index.train(DOCUMENTS), "the index holds 60 documents, coded by its centroids"),
        (
            lambda: index.candidates(Tokens(clustered(4, dim=8)[None])),
            "tokens must have dimension 16, got 8",
        ),
        (
            lambda: index.candidates(QUERIES, 17),
            "nprobe must be at most 16",
        ),
        (lambda: index.candidates(QUERIES, 0), "nprobe must be at least 1"),
        (lambda: index.candidates(QUERIES, 1, 0), "max_candidates must be at least 1"),
        (lambda: index.documents([0, 60]), "ids must be 0 to 59, got 60"),
        (lambda: index.documents([-1]), "got -1"),
        (
            lambda: index.documents([0.0]),
            r"ids must be a list of whole numbers, got float64 \(1,\)",
        ),
    ):
        with refused(message):
            action()
    assert index.ntotal == 60
