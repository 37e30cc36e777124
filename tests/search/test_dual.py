"""Search by one vector per item."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.reading import MissingFileError
from lib.datasets import icons
from lib.index import VectorSearchIndex, topk_exact
from lib.index.base import SearchResult
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import save_embeddings
from lib.models.trained_models import save_model
from lib.search import DualEncoderRetriever, Work, icon_retriever
from tests.models.toy import WORDS, toy_encoder, toy_images

TEXTS = [*WORDS, "red clock", "blue arrow", "left"]


@pytest.fixture(scope="module")
def encoder():
    return toy_encoder()


def retriever_of(encoder, embeddings, labels):
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(to_int8(embeddings))
    return DualEncoderRetriever(encoder, index, labels)


def test_finds_its_own_texts_first(encoder):
    retriever = retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS)
    for position, text in enumerate(TEXTS):
        hits = retriever.by_text(text, k=3)
        assert (hits[0].position, hits[0].label) == (position, text)
        assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_finds_its_own_images_first(encoder):
    images = toy_images(9)
    retriever = retriever_of(
        encoder, encoder.encode_image(images), [f"image {i}" for i in range(9)]
    )
    assert [retriever.by_image(image, k=1)[0].position for image in images] == list(range(9))


def test_hits_are_ranked_and_complete(encoder):
    hits = retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS).by_text(
        "red alarm", k=len(TEXTS)
    )
    assert [hit.rank for hit in hits] == list(range(1, len(TEXTS) + 1))
    assert sorted(hit.position for hit in hits) == list(range(len(TEXTS)))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True) and all(
        -1 <= score <= 1 + 1e-6 for score in scores
    )
    assert all(TEXTS[hit.position] == hit.label for hit in hits)


def test_scores_are_cosines_of_the_rounded_vectors(encoder):
    hits = retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS).by_text(
        "blue car", k=len(TEXTS)
    )
    query, items = (
        to_int8(encoder.encode_text(t)).astype(np.float64) for t in (["blue car"], TEXTS)
    )
    cosines = items @ query[0] / np.linalg.norm(items, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1], atol=1e-6)


def test_refuses_parts_that_do_not_fit(encoder):
    embeddings = encoder.encode_text(TEXTS)
    with pytest.raises(RetrievalInputError, match="holds 7 items for 6 labels"):
        retriever_of(encoder, embeddings, TEXTS[:6])
    index = VectorSearchIndex(8, "Flat")
    index.add(embeddings[:, :8])
    with pytest.raises(RetrievalInputError, match="the index has dimension 8, the encoder 16"):
        DualEncoderRetriever(encoder, index, TEXTS)


@pytest.mark.parametrize("k", [0, 8, -1, 2.5])
def test_refuses_a_k_outside_the_gallery(encoder, k):
    with pytest.raises(RetrievalInputError, match="k"):
        retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS).by_text("red", k=k)


def test_refuses_empty_queries_and_other_images(encoder):
    retriever = retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS)
    for text in ("", "  ", "?!"):
        with pytest.raises(RetrievalInputError, match="no letter or digit"):
            retriever.by_text(text)
    with pytest.raises(RetrievalInputError, match=r"got uint8 \(1, 8, 8\)"):
        retriever.by_image(np.zeros((8, 8), np.uint8))


def test_a_run_is_exact_search_and_says_what_it_compared(encoder):
    texts, images = encoder.encode_text(TEXTS), toy_images(5)
    retriever = retriever_of(encoder, encoder.encode_image(images), None)
    run = retriever.search(retriever.encode(TEXTS, "text"), k=4)
    scores, ids = topk_exact(to_int8(texts), to_int8(encoder.encode_image(images)), 4)
    np.testing.assert_array_equal(run.ids, ids)
    np.testing.assert_array_equal(run.scores, scores)
    assert (run.stage == 1).all() and run.score_names == ("cosine",)
    assert run.work == (Work("dual encoder", 35, 35),)  # 7 texts x 5 images


@pytest.mark.parametrize(
    "index_type, options, pairs, products",
    [
        ("IVF", {"nlist": 2, "nprobe": 2}, 1400, 1400 + 2 * 7),  # 7 queries, 200 items
        ("LSH", {"rerank": 3}, 1400, 7 * 3 * 4),  # all codes, then vectors for the best of them
        ("HNSW", {}, None, None),  # what the walk met
    ],
)
def test_the_work_is_what_the_index_counted(encoder, index_type, options, pairs, products):
    index = VectorSearchIndex(encoder.dim, index_type, **options)
    items = np.random.default_rng(0).standard_normal((200, encoder.dim))
    index.train(items)
    index.add(items)
    retriever = DualEncoderRetriever(encoder, index)
    queries = retriever.encode(TEXTS, "text")
    (work,) = retriever.search(queries, k=4).work
    if pairs is None:
        pairs = products = index.search(queries, 4).work["distances"]
    assert work == Work("dual encoder", pairs, products)


def test_an_index_that_counts_nothing_gives_no_work(encoder, monkeypatch):
    retriever = retriever_of(encoder, encoder.encode_text(TEXTS), None)
    queries = retriever.encode(TEXTS, "text")
    result = SearchResult(*retriever.index.search(queries, 2), work={})  # as of ScaNN
    monkeypatch.setattr(retriever.index, "search", lambda queries, k: result)
    assert retriever.search(queries, 2).work == ()


def test_without_labels_an_item_is_called_by_its_position(encoder):
    hits = retriever_of(encoder, encoder.encode_text(TEXTS), None).by_text(TEXTS[3], k=2)
    assert hits[0].label == "3" and hits[0].scored_by == "cosine"


@pytest.mark.parametrize(
    "metric, name", [("inner_product", "inner product"), ("l2", "negative squared distance")]
)
def test_says_what_its_score_is(encoder, metric, name):
    index = VectorSearchIndex(encoder.dim, "Flat", metric=metric)
    index.add(to_int8(encoder.encode_text(TEXTS)))
    assert DualEncoderRetriever(encoder, index).by_text("red", k=1)[0].scored_by == name


# ---- all icons


def test_icons_are_found_by_their_own_drawing():
    retriever, corpus = icon_retriever(), icons.load_icons()
    for position in (100, 5000, 16_000):
        hits = retriever.by_image(corpus.images[position], k=5)
        same = [(corpus.images[hit.position] == corpus.images[position]).all() for hit in hits]
        assert any(same) and hits[0].score == pytest.approx(1, abs=1e-3)


def test_icons_are_found_by_words():
    hits = icon_retriever().by_text("alarm clock", k=16_546)
    assert len({hit.position for hit in hits}) == 16_546
    assert hits[0].label == icons.phrase_of(icons.load_icons().names[hits[0].position])


def test_missing_artifacts_name_the_command(tmp_path, monkeypatch):
    icons.load_icons()  # from the real cache, not from the empty folder below
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="crossmodal train icons"):
        icon_retriever()


def test_embeddings_of_another_font_version_are_refused(tmp_path, monkeypatch, encoder):
    icons.load_icons()
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    save_model(encoder, artifacts_dir() / "icons", {})
    save_embeddings("icons", all_image=np.ones((3, 16), np.int8))
    with pytest.raises(RetrievalInputError, match="cover 3 icons, the installed fonts hold 16546"):
        icon_retriever()
