"""Search as a user sees it: a query in, ranked items out; and any picture file as an icon."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lib.checks import RetrievalInputError
from lib.datasets import icons
from lib.files import MissingFileError, artifacts_dir
from lib.geometry import to_int8
from lib.index import VectorSearchIndex
from lib.models.artifacts import save_embeddings, save_model
from lib.qrels import Qrels
from lib.retrieval import (
    FAINT,
    SPAN,
    DualEncoderRetriever,
    encode_task,
    evaluate_task,
    icon_retriever,
    read_drawing,
)
from lib.task import RetrievalTask
from tests.models.toy import WORDS, toy_encoder, toy_images

TEXTS = [*WORDS, "red clock", "blue arrow", "left"]


@pytest.fixture(scope="module")
def encoder():
    return toy_encoder()


def retriever_of(encoder, embeddings, labels):
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(to_int8(embeddings))
    return DualEncoderRetriever(encoder, index, labels)


# ---- the retriever


def test_finds_its_own_texts_first(encoder):
    retriever = retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS)
    for position, text in enumerate(TEXTS):
        hits = retriever.by_text(text, k=3)
        assert (hits[0].position, hits[0].label) == (position, text)
        assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_finds_its_own_images_first(encoder):
    images = toy_images(9)
    retriever = retriever_of(encoder, encoder.encode_image(images), [f"image {i}" for i in range(9)])
    assert [retriever.by_image(image, k=1)[0].position for image in images] == list(range(9))


def test_hits_are_ranked_and_complete(encoder):
    hits = retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS).by_text("red alarm", k=len(TEXTS))
    assert [hit.rank for hit in hits] == list(range(1, len(TEXTS) + 1))
    assert sorted(hit.position for hit in hits) == list(range(len(TEXTS)))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True) and all(-1 <= score <= 1 + 1e-6 for score in scores)
    assert all(TEXTS[hit.position] == hit.label for hit in hits)


def test_scores_are_cosines_of_the_rounded_vectors(encoder):
    hits = retriever_of(encoder, encoder.encode_text(TEXTS), TEXTS).by_text("blue car", k=len(TEXTS))
    query, items = (to_int8(encoder.encode_text(t)).astype(np.float64) for t in (["blue car"], TEXTS))
    cosines = items @ query[0] / np.linalg.norm(items, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1], atol=1e-6)


def test_refuses_parts_that_do_not_fit(encoder):
    embeddings = encoder.encode_text(TEXTS)
    with pytest.raises(RetrievalInputError, match="holds 7 vectors for 6 labels"):
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


# ---- tasks


def task_of(queries, gallery, direction, qrels=None, **options):
    qrels = qrels or Qrels.from_owner(np.arange(len(gallery)) % len(queries), len(queries))
    return RetrievalTask("toy", "test", direction, queries, gallery, qrels, **options)


def test_encodes_both_sides_of_a_task(encoder):
    images = toy_images(4)
    texts, pixels = to_int8(encoder.encode_text(WORDS)), to_int8(encoder.encode_image(images))
    for task, expected in (
        (task_of(WORDS, images, "text_to_image"), (texts, pixels)),
        (task_of(images, WORDS, "image_to_text"), (pixels, texts)),
    ):
        for found, rows in zip(encode_task(encoder, task), expected, strict=True):
            np.testing.assert_array_equal(found, rows)


def test_refuses_a_modality_the_encoder_does_not_read(encoder):
    with pytest.raises(RetrievalInputError, match="modality must be one of 'text', 'image'; got 'audio'"):
        encode_task(encoder, task_of(WORDS, toy_images(4), "text_to_audio"))


def test_evaluates_a_task_by_hand():
    # Query 0 ranks 0, 2, 1; query 1 ranks 1, 2, 0. Right is item 2 (grade 1) and item 1 (grade 2).
    queries, gallery = np.eye(3, dtype=np.float32)[:2], np.float32([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    qrels = Qrels.from_pairs([0, 1], [2, 1], [1, 2], shape=(2, 3))
    task = task_of(["a", "b"], ["x", "y", "z"], "text_to_text", qrels, query_groups=np.array([0, 1]))
    report = evaluate_task(queries, gallery, task)
    assert report.mean("R@1") == 0.5 and report.n_queries == 2 and report.n_gallery == 3
    assert report.mean("MRR@3") == pytest.approx((1 / 2 + 1) / 2)
    assert set(report.per_query) >= {"R@1"} and "R@5" not in report.per_query  # the gallery holds 3
    assert evaluate_task(queries, gallery, task, depth=1).mean("MRR@1") == 0.5
    row = report.rows()[0]
    assert (row["split"], row["direction"]) == ("test", "text_to_text")


# ---- any picture as an icon


def sketch(page, ink, size=(200, 120), mode="RGB"):
    """A flag: a pole on the left, a cloth at the top."""
    picture = Image.new(mode, size, page)
    pen = ImageDraw.Draw(picture)
    pen.rectangle([60, 20, 65, 100], fill=ink)
    pen.rectangle([65, 20, 120, 50], fill=ink)
    return picture


@pytest.fixture
def read(tmp_path):
    def save_and_read(picture, name="drawing.png", **options):
        picture.save(tmp_path / name, **options)
        return read_drawing(tmp_path / name)

    return save_and_read


@pytest.fixture
def flag(read):
    return read(sketch("black", "white"))


def test_a_drawing_is_cropped_scaled_and_centred(flag):
    assert flag.shape == (64, 64) and flag.dtype == np.uint8 and flag.max() == 255
    rows, columns = np.flatnonzero(flag.any(axis=1)), np.flatnonzero(flag.any(axis=0))
    assert (rows[0], rows[-1]) == (10, 53)  # 44 pixels high, as the median icon, in the middle of 64
    assert columns[-1] - columns[0] + 1 == round(44 * 61 / 81)
    assert flag[14, 40] == 255 and flag[50, 40] == 0  # the cloth is at the top and to the right


@pytest.mark.parametrize(
    ("page", "ink"),
    [("white", "black"), ("#fff8e0", "#203060"), ("#404040", "#c0c0c0"), ("#00c000", "#600000")],
)
def test_any_ink_on_any_page_is_the_same_icon(read, flag, page, ink):
    assert np.abs(read(sketch(page, ink)).astype(int) - flag).max() <= 1


@pytest.mark.parametrize("ink", [(0, 0, 0, 255), (255, 255, 255, 255), (90, 0, 200, 255)])
def test_transparency_is_page(read, flag, ink):
    found = read(sketch((0, 0, 0, 0), ink, mode="RGBA"))
    assert np.abs(found.astype(int) - flag).max() <= 1


def test_the_colour_behind_full_transparency_does_not_show(read, flag):
    found = read(sketch((255, 0, 0, 0), (0, 0, 0, 255), mode="RGBA"))
    assert np.abs(found.astype(int) - flag).max() <= 1


@pytest.mark.parametrize(
    ("mode", "name"), [("L", "a.png"), ("1", "a.png"), ("P", "a.gif"), ("CMYK", "a.tiff"), ("I;16", "a.png")]
)
def test_other_modes_and_formats(read, flag, mode, name):
    picture = sketch("white", "black").convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    found = read(picture.convert(mode), name)
    assert np.abs(found.astype(int) - flag).mean() < 2


def test_jpeg_noise_is_not_ink(read, flag):
    found = read(sketch("white", "black"), "drawing.jpg", quality=60)
    assert np.abs(found.astype(int) - flag).mean() < 6


def test_thin_lines_of_a_large_sketch_stay_bright(read):
    picture = Image.new("L", (2000, 2000), 255)
    ImageDraw.Draw(picture).ellipse([200, 200, 1800, 1800], outline=0, width=4)
    found = read(picture)
    assert found.max() == 255 and (found > 120).sum() > 60


def test_a_wide_drawing_keeps_its_shape(read):
    picture = Image.new("L", (400, 60), 255)
    ImageDraw.Draw(picture).rectangle([50, 28, 350, 31], fill=0)
    found = read(picture)
    assert np.flatnonzero(found.any(axis=1)).tolist() == [31] and found.any(axis=0).sum() == SPAN


def test_a_small_drawing_is_enlarged(read):
    found = read(Image.fromarray(np.pad(np.full((2, 2), 255, np.uint8), 3)))
    assert found.any(axis=0).sum() == found.any(axis=1).sum() == SPAN


def test_an_icon_comes_back_nearly_as_it_is(read):
    def blurred(image):
        return image.reshape(8, 8, 8, 8).mean(axis=(1, 3)).ravel()

    likeness = []
    for image in icons.load().images[1000::500]:
        found = read(Image.fromarray(255 - image))
        assert max(np.flatnonzero(found.any(axis=axis)).size for axis in (0, 1)) <= SPAN
        likeness.append(np.corrcoef(blurred(found), blurred(image))[0, 1])
    assert np.median(likeness) > 0.9


def test_the_median_icon_has_the_size_drawings_are_scaled_to():
    inked = icons.load().images >= FAINT
    spans = []
    for axis in (1, 2):
        used = inked.any(axis=axis)
        spans.append(64 - used.argmax(axis=1) - used[:, ::-1].argmax(axis=1))
    assert np.median(np.maximum(*spans)) == SPAN


@pytest.mark.parametrize("page", ["white", "black", (0, 0, 0, 0), (10, 20, 30, 128)])
def test_refuses_blank_pictures(read, page):
    with pytest.raises(RetrievalInputError, match=r"drawing.png is blank: no ink stands out"):
        read(Image.new("RGBA", (50, 40), page))


def test_refuses_what_is_not_there_or_not_an_image(tmp_path):
    with pytest.raises(RetrievalInputError, match="there is no file .*none.png"):
        read_drawing(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    sketch("white", "black").save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:150])
    for name in ("text.png", "empty.png", "half.png", "."):
        with pytest.raises(RetrievalInputError, match="is not an image that can be read"):
            read_drawing(tmp_path / name)


def test_refuses_a_picture_too_large_to_unpack(tmp_path, monkeypatch):
    sketch("white", "black").save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(
        RetrievalInputError, match="large.png is not an image that can be read.*decompression"
    ):
        read_drawing(tmp_path / "large.png")


# ---- all icons


def test_icons_are_found_by_their_own_drawing():
    retriever, corpus = icon_retriever(), icons.load()
    for position in (100, 5000, 16_000):
        hits = retriever.by_image(corpus.images[position], k=5)
        same = [(corpus.images[hit.position] == corpus.images[position]).all() for hit in hits]
        assert any(same) and hits[0].score == pytest.approx(1, abs=1e-3)


def test_icons_are_found_by_words():
    hits = icon_retriever().by_text("alarm clock", k=16_546)
    assert len({hit.position for hit in hits}) == 16_546
    assert hits[0].label == icons.phrase_of(icons.load().names[hits[0].position])


def test_missing_artifacts_name_the_command(tmp_path, monkeypatch):
    icons.load()  # from the real cache, not from the empty folder below
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="crossmodal train icons"):
        icon_retriever()


def test_embeddings_of_another_font_version_are_refused(tmp_path, monkeypatch, encoder):
    icons.load()
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    save_model(encoder, artifacts_dir() / "icons", {})
    save_embeddings("icons", all_image=np.ones((3, 16), np.int8))
    with pytest.raises(RetrievalInputError, match="cover 3 icons, the installed fonts hold 16546"):
        icon_retriever()
