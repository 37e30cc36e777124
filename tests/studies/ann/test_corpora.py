"""Corpora for indexes: queries, judgements, and an encoding that goes on where it stopped."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.paths import cache_dir
from lib.core.qrels import Qrels
from lib.datasets import icons, scenes
from lib.index import topk_exact
from lib.models.artifact_files import load_embeddings
from lib.studies.ann import corpora
from lib.studies.ann.corpora import AnnCorpus


def toy(**changes):
    rng = np.random.default_rng(0)
    parts = {
        "name": "toy",
        "metric": "cosine",
        "base": rng.integers(-127, 128, (9, 4), dtype=np.int8),
        "queries": {"image": rng.standard_normal((3, 4))},
    }
    return AnnCorpus(**(parts | changes))


# ---- the corpus itself


def test_vectors_are_float32_of_unit_length_under_cosine_and_as_they_are_otherwise():
    corpus = toy()
    assert corpus.vectors().dtype == np.float32 and corpus.queries["image"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(corpus.vectors(), axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(corpus.queries["image"], axis=1), 1, rtol=1e-6)
    assert np.array_equal(toy(metric="l2").vectors(), corpus.base)
    assert np.array_equal(corpus.vectors(np.array([5, 0])), corpus.vectors()[[5, 0]])


@pytest.mark.parametrize("size", [1, 2, 4, 9, 100])
def test_blocks_together_are_the_base(size):
    corpus = toy()
    blocks = list(corpus.blocks(size))
    assert np.array_equal(np.concatenate(blocks), corpus.vectors()) and len(blocks[0]) == min(
        size, 9
    )


def test_the_key_follows_what_decides_a_measurement():
    corpus = toy()
    assert corpus.key == toy(name="other").key
    changed = corpus.base.copy()
    changed[8, 3] ^= 1
    judged = {"image": Qrels.from_pairs([0], [1], shape=(3, 9))}
    keys = {
        corpus.key,
        toy(base=changed).key,
        toy(metric="inner_product").key,
        toy(queries={"image": -corpus.queries["image"]}).key,
        toy(queries={"text": corpus.queries["image"]}).key,
        toy(relevant=judged).key,
    }
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric": "dot"}, "metric must be one of"),
        ({"queries": {}}, "'toy' has no queries"),
        ({"queries": {"text": np.ones((2, 5))}}, r"queries\['text'\] must have dimension 4, got 5"),
        ({"queries": {"text": np.zeros((2, 4))}}, r"queries\['text'\] has only zeros in row 0"),
        ({"learn": {"text": np.ones((2, 3))}}, r"learn\['text'\] must have dimension 4, got 3"),
        (
            {"relevant": {"text": Qrels.from_pairs([0], [1], shape=(3, 9))}},
            "must be one of 'image'; got 'text'",
        ),
        (
            {"relevant": {"image": Qrels.from_pairs([0], [1], shape=(3, 8))}},
            r"shape \(3, 8\), expected \(3, 9\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, says):
    with pytest.raises(RetrievalInputError, match=says):
        toy(**changes)


# ---- icons


def test_icons_are_the_stored_embeddings_and_every_name_has_its_drawing():
    corpus, every = corpora.icons(), icons.load_icons()
    assert {kind: len(rows) for kind, rows in corpus.queries.items()} == {
        "image": 789,
        "text": 1327,
    }
    assert corpus.base.shape == (15_757, 256) and corpus.base.dtype == np.int8
    base = np.flatnonzero(every.splits != "validation")
    assert np.array_equal(corpus.base, load_embeddings("icons")["all_image"][base])
    judged = corpus.relevant["text"]
    assert (judged.counts >= 1).all() and (judged.grades == icons.SAME_NAME).all()
    # No concept straddles two splits, so what is right is what the test task says, at other
    # positions.
    task = icons.task("test").qrels.at_least(icons.SAME_NAME)
    assert np.array_equal(judged.counts, task.counts)
    assert np.array_equal(base[judged.items], every.positions("test")[task.items])
    assert len(corpus.learn["text"]) == 13_205


def test_texts_lie_further_from_the_icons_than_icons_do():
    corpus = corpora.icons()
    nearest = {
        kind: topk_exact(rows, corpus.base, 1)[0].mean() for kind, rows in corpus.queries.items()
    }
    assert nearest["image"] > nearest["text"] + 0.1


# ---- scenes, encoded by a fake


class FakeEncoder:
    """Sees the mean colour of each quarter, and the letters of a caption; counts what it has
    done.
    """

    def __init__(self):
        self.images = 0

    def encode_image(self, images, *, progress=None):
        self.images += len(images)
        if progress is not None:
            progress(len(images))
        quarters = (
            images.reshape(len(images), 2, 32, 2, 32, 3).mean(axis=(2, 4)).reshape(len(images), -1)
        )
        return (quarters - 200).astype(np.float32)

    def encode_text(self, texts):
        letters = np.array([[text.count(letter) for letter in "abcdefghilno"] for text in texts])
        return (letters + 1).astype(np.float32)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    weights = tmp_path / "artifacts" / "scenes" / "model.safetensors.sha256"
    weights.parent.mkdir(parents=True)
    weights.write_text(f"{'0123456789abcdef' * 4}  model.safetensors\n")
    encoder = FakeEncoder()
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    monkeypatch.setattr(corpora, "_model", lambda name: encoder)
    monkeypatch.setattr(corpora, "CHUNK", 40)
    monkeypatch.setattr(corpora, "N_QUERIES", 30)
    monkeypatch.setattr(corpora, "N_LEARN", 20)
    return encoder, weights


def test_scenes_are_encoded_once_and_a_larger_cache_serves_a_smaller_size(fake):
    encoder, weights = fake
    seen = []
    large = corpora.scenes(100, seen.append)
    assert encoder.images == sum(seen) == 3 * 40 + 30 + 20
    small = corpora.scenes(50)
    assert encoder.images == 170 and np.array_equal(small.base, large.base[:50])
    assert all(
        np.array_equal(small.queries[kind], large.queries[kind]) for kind in ("image", "text")
    )
    corpora.scenes(130)
    assert encoder.images == 210
    weights.write_text(f"{'fedcba9876543210' * 4}  model.safetensors\n")
    corpora.scenes(50)
    assert encoder.images == 340


def test_a_stopped_run_goes_on_and_a_damaged_chunk_is_made_again(fake):
    encoder, _ = fake

    def stop(done):
        if encoder.images > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corpora.scene_images(120, stop)
    before = encoder.images
    whole = corpora.scene_images(120)[0]
    assert encoder.images == before + 80
    chunk = next(cache_dir().rglob("*test_00001*.npz"))
    chunk.write_bytes(b"half")
    assert np.array_equal(corpora.scene_images(120)[0], whole) and encoder.images == before + 120


def test_what_is_right_is_what_the_captions_are_true_of(fake):
    corpus = corpora.scenes(100)
    batch = scenes.sample("test", 100)
    one_each = np.arange(30) * 5 + np.arange(30) % 5
    expected = scenes.qrels(batch[np.arange(30)], batch).take_queries(one_each).at_least(3)
    assert corpus.relevant["text"] == expected
    assert (corpus.relevant["text"].grades_of(np.arange(30)[:, None]) == 3).all()
    captions = scenes.captions(batch)
    in_turn = [captions[i][i % 5] for i in range(30)]
    assert corpora.captions_in_turn(corpora.query_scenes()) == in_turn


def test_image_queries_are_not_in_the_base():
    queries = scenes.sample("test", corpora.N_QUERIES, corpora.QUERY_SEED)
    base = scenes.sample("test", 100_000, corpora.BASE_SEED)
    parts = ("shape", "colour", "relation", "size", "texture", "count")
    parts += ("layout", "jitter", "background")

    def rows(batch):
        columns = [np.asarray(getattr(batch, part)).reshape(len(batch), -1) for part in parts]
        return {row.tobytes() for row in np.concatenate(columns, axis=1).astype(np.int64)}

    assert not rows(queries) & rows(base)


def test_fewer_scenes_than_text_queries_are_refused():
    with pytest.raises(RetrievalInputError, match="size must be at least 1,000.*got 999"):
        corpora.scenes(999)
