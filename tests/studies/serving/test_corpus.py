"""Collections of made-up size: the same rows each time, real ones first, resumed and cut back."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection
from lib.search.collection.files import CollectionFolder
from lib.studies.serving import corpus


@pytest.fixture
def small_blocks(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path))
    monkeypatch.setattr(corpus, "BLOCK", 500)
    return tmp_path


def test_the_first_rows_are_real_and_later_ones_lie_around_them():
    rows, names = corpus.made_rows(0)
    real = corpus.real_rows()
    assert rows.shape == (20_000, 256) and rows.dtype == np.float32 and len(names) == 20_000
    np.testing.assert_allclose(rows[: corpus.N_REAL], real.held, atol=1e-6)
    cosines = (rows[corpus.N_REAL :] * real.held[:4_000]).sum(axis=1)
    assert abs(cosines.mean() - 0.86) < 0.01 and names[corpus.N_REAL] == real.held_names[0]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_rows_are_the_same_each_time_and_differ_from_block_to_block():
    first, again = (corpus.made_rows(1, 7)[0] for _ in range(2))
    assert np.array_equal(first, again) and np.array_equal(first, corpus.made_rows(1, 50)[0][:7])
    assert not np.array_equal(corpus.made_rows(5, 7)[0], first)


def test_queries_are_of_pictures_that_no_collection_holds():
    real = corpus.real_rows()
    assert len(real.held) == 16_000 and len(real.others) == 2_460
    assert np.array_equal(corpus.vector_queries(2_461)[2_460], real.others[0])
    texts = corpus.text_queries(1_500)
    assert len(set(texts)) == 1_500 and set(texts) <= set(real.other_names)


def test_a_stopped_collection_goes_on_and_a_whole_one_is_kept(small_blocks, monkeypatch):
    add, calls = corpus.add_vectors, []

    def stop_at_second(path, rows, *rest, **options):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        add(path, rows, *rest, **options)

    monkeypatch.setattr(corpus, "add_vectors", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        corpus.made_collection(1_200, log=lambda line: None)
    log = []
    made = corpus.made_collection(1_200, log.append)
    assert calls == [500, 500, 500, 200] and log[0].startswith("writing a collection of 1,200 ")
    assert made.index == "search is exact, as for all collections of up to 50,000 pictures"
    collection = Collection(made.path, verify=True)
    expected = np.concatenate([corpus.made_rows(block)[0] for block in range(3)])[:1_200]
    assert np.array_equal(collection.vectors(np.arange(1_200)), expected)
    assert corpus.made_collection(1_200, log.append) == made and len(log) == 1


def test_rows_of_a_measurement_that_was_stopped_are_dropped(small_blocks):
    made = corpus.made_collection(1_000, log=lambda line: None)
    folder = CollectionFolder(made.path)
    manifest = folder.read()
    rows, names = corpus.made_rows(9, 3)
    corpus.add_vectors(made.path, rows, names, model=manifest.model, identity=manifest.identity)
    assert folder.read().rows == 1_003
    again = corpus.made_collection(1_000, log=lambda line: None)
    assert folder.read().rows == 1_000 and again.path == made.path
    assert len(list((made.path / "parts").iterdir())) == 2


def test_sizes_that_cannot_be():
    for n in (999, 10**7 + 1):
        with pytest.raises(RetrievalInputError, match="n must be at"):
            corpus.made_collection(n)
