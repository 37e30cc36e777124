"""The index of a collection: tuned, kept, built again, and the old one until the manifest says."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lib.core.checks import RetrievalInputError, unit_rows
from lib.search.collection import Collection, Query, indexing
from lib.search.collection import collection as opened
from lib.search.collection.files import CollectionFolder
from lib.search.collection.indexing import IndexWish, tune_index, update_index
from lib.search.collection.vectors_only import add_vectors

DIM = 16
CENTRES = np.random.default_rng(9).standard_normal((40, DIM))


class WordEncoder:
    """A vector for each text, by its digest, near one of the centres."""

    dim, identity = DIM, {"model": "words"}

    def encode_text(self, texts):
        seeds = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
        rows = [
            CENTRES[seed % 40] + np.random.default_rng(seed).standard_normal(DIM) for seed in seeds
        ]
        return unit_rows(np.array(rows), "texts")

    def doubts_about(self, text):
        return []


def add_part(path, n, seed=0, captions=True, drop=0):
    """Write n made-up rows as a part, and drop the first ones of the earlier part."""
    folder, rng = CollectionFolder(path), np.random.default_rng(seed)
    if drop:
        manifest = folder.read()
        kept = np.arange(drop, manifest.parts[0].rows)
        table = folder.table(manifest.parts[0]).take(pa.array(kept))
        part = folder.rewrite_part(manifest.parts[0], kept, table)
        folder.write(replace(manifest, parts=(part, *manifest.parts[1:])))
    add_vectors(
        path,
        CENTRES[np.sort(rng.integers(0, 40, n))] + 0.8 * rng.standard_normal((n, DIM)),
        [f"thing {seed} {i}" if captions else "" for i in range(n)],
        names=[f"{seed}_{i}.png" for i in range(n)],
        model={"name": "words", "pretrained": None},
        identity=WordEncoder.identity,
    )
    return path


@pytest.fixture
def collection(tmp_path, monkeypatch):
    monkeypatch.setattr(opened, "load_query_encoder", lambda manifest: WordEncoder())
    return add_part(tmp_path / "c", 3_000)


@pytest.fixture(scope="module")
def tuned_once(tmp_path_factory):
    """The collection with an index tuned for `WISH`."""
    path = add_part(tmp_path_factory.mktemp("tuned") / "c", 3_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "load_query_encoder", lambda manifest: WordEncoder())
        update_index(path, WISH)
    return path


@pytest.fixture
def tuned(tuned_once, tmp_path, monkeypatch):
    """A copy of it."""
    monkeypatch.setattr(opened, "load_query_encoder", lambda manifest: WordEncoder())
    return shutil.copytree(tuned_once, tmp_path / "c")


WISH = IndexWish(recall=0.8)
WISHED = {"recall": 0.8, "ram": None, "queries": "both", "families": None}


def test_small_collections_are_searched_exactly(collection):
    said = update_index(collection)
    assert said == "search is exact, as for all collections of up to 50,000 pictures"
    assert Collection(collection).manifest.index is None


def test_a_tuned_index_finds_what_it_says(collection):
    log = []
    said = tune_index(collection, WISH, log=log.append)
    assert said.startswith("index ") and "text 0." in said
    assert log[0] == "text queries: 2,000 from captions"
    now = Collection(collection, verify=True)
    stored = now.manifest.index
    assert stored.rows == 3_000 and stored.next_id == 3_000 and stored.folder == "index-000001"
    assert stored.chosen["wish"] == WISHED
    recall = stored.chosen["recall"]
    assert set(recall) == {"image", "text"} and stored.chosen["texts"] == "captions"
    # New texts against all cosines: the reported interval holds.
    new = WordEncoder().encode_text([f"new {i}" for i in range(300)])
    scores = new @ now.vectors(np.arange(3_000)).T
    found = [set(now.nearest(query, 50)[1].tolist()) for query in new]
    true = [set(row.tolist()) for row in np.argsort(-scores, axis=1)[:, :50]]
    truth = np.mean([len(a & b) / 50 for a, b in zip(found, true, strict=True)])
    _, low, high, n = recall["text"]
    assert n == 1_000 and low - 0.02 <= truth <= high + 0.02
    assert now.search(Query(vector=new[0]), 5).hits


def test_a_default_index_beyond_the_limit(collection, monkeypatch):
    monkeypatch.setattr(indexing, "EXACT_UP_TO", 2_000)
    assert "recall@50" in update_index(collection)
    assert Collection(collection).manifest.index.chosen["target"] == 0.95
    said = update_index(collection)
    assert said == (
        "the index of 3,000 pictures stays: 0 later ones are searched exactly, 0 are gone"
    )


def test_another_wish_tunes_again(tuned):
    first = Collection(tuned).manifest.index
    assert "stays" in update_index(tuned, WISH) and "stays" in update_index(tuned)
    update_index(tuned, IndexWish(recall=0.8, queries="image"))
    second = Collection(tuned).manifest.index
    assert second.folder != first.folder and set(second.chosen["recall"]) == {"image"}
    assert not (tuned / first.folder).exists() and (tuned / second.folder).is_dir()


def test_a_tenth_of_new_or_missing_pictures_builds_again(tuned):
    first = Collection(tuned).manifest.index
    add_part(tuned, 150, seed=1, drop=150)
    said = update_index(tuned)
    assert said.endswith("stays: 150 later ones are searched exactly, 150 are gone")
    add_part(tuned, 1, seed=2)
    said = update_index(tuned)
    assert said.startswith("151 pictures came and 150 went since the index was built; built again")
    second = Collection(tuned, verify=True).manifest.index
    assert (second.rows, second.next_id) == (3_001, 3_151)
    assert second.settings == first.settings and second.chosen == first.chosen
    assert "stays: 0 later" in update_index(tuned)


def test_twice_as_many_pictures_are_tuned_again(tuned):
    add_part(tuned, 3_000, seed=1)
    said = update_index(tuned)
    assert said.startswith("3,000 pictures came and 0 went since the index was built; index ")
    assert Collection(tuned).manifest.index.chosen["rows"] == 6_000


def test_without_texts_pictures_alone_decide(tmp_path, monkeypatch):
    path = add_part(tmp_path / "c", 2_000, captions=False)
    log = []
    tune_index(path, WISH, log=log.append)
    assert log[0] == ("text queries: none: 0 captions and 0 file names with words are too few")
    assert set(Collection(path).manifest.index.chosen["recall"]) == {"image"}
    with pytest.raises(RetrievalInputError, match="gives no text queries .* tune for --queries"):
        tune_index(path, IndexWish(queries="text"))


def test_too_few_pictures_lose_their_index(tuned):
    folder = CollectionFolder(tuned)
    part = folder.read().parts[0]
    kept = np.arange(900)
    small = folder.rewrite_part(part, kept, folder.table(part).take(pa.array(kept)))
    folder.write(replace(folder.read(), parts=(small,)))
    assert update_index(tuned).endswith("search is exact: 900 pictures need no index")
    assert Collection(tuned).manifest.index is None
    assert not list(tuned.glob("index-*"))


def test_a_stop_while_it_is_stored_leaves_the_old_index(tuned, monkeypatch):
    before = Collection(tuned).manifest

    def stop(self, manifest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CollectionFolder, "write", stop)
        tune_index(tuned, IndexWish(recall=0.7))
    assert Collection(tuned).manifest == before
    assert Collection(tuned).search("thing", 3).hits
    with CollectionFolder(tuned).writing():
        pass
    assert [entry.name for entry in tuned.glob("index-*")] == [before.index.folder]


def test_an_index_that_is_the_same_is_loaded_once(tuned):
    first = Collection(tuned)
    first.warm_up()
    add_part(tuned, 20, seed=1)
    later = Collection(tuned)
    later.share([first])
    assert later._stored is first._stored and later.encoder is first.encoder
    assert len(later._late[1]) == 20 and len(first._late[1]) == 0
    found = later.search(Query(like=(3_005,)), 5).hits[0]
    assert found.id == Collection(tuned).search(Query(like=(3_005,)), 5).hits[0].id
    folder = tuned / later.manifest.index.folder  # the same files again, in another folder
    folder.rename(tuned / "aside")
    shutil.copytree(tuned / "aside", folder)
    again = Collection(tuned)
    again.share([later])
    assert again._stored is not later._stored


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"recall": 0}, "recall must be between 0 and 1 .not 0., got 0"),
        ({"ram": 0}, "ram must be at least 1"),
        ({"queries": "texts"}, "queries must be one of .* Did you mean 'text'"),
    ],
)
def test_wishes_that_cannot_be(wish, problem):
    with pytest.raises(RetrievalInputError, match=problem):
        IndexWish(**wish)


def test_memory_that_holds_no_index(collection):
    with pytest.raises(RetrievalInputError, match="ram = 1,000 bytes hold no index of 3,000"):
        tune_index(collection, IndexWish(ram=1_000))
