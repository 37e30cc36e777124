"""Search icons and emoji together: exact, repeatable, in numpy alone, without a network."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets import picture_gallery
from lib.datasets.picture_gallery import UNSEEN
from lib.index import topk_exact
from lib.search import Work, picture_retriever
from lib.search.familiarity import measure_familiarity
from lib.search.pictures import PictureRetriever

N_ICONS = 16_546


@pytest.fixture(scope="module")
def retriever():
    return picture_retriever()


@pytest.fixture(scope="module")
def vectors(retriever):
    return retriever._rows.astype(np.int8)


def labels(hits):
    return [hit.label for hit in hits]


# ---- what it finds


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("alarm clock", "alarm clock"),
        ("red heart", "red heart"),
        ("snowy mountain", "snow-capped mountain"),
        ("green apple", "green apple"),
        ("broken heart", "broken heart"),
        ("sun behind clouds", "sun behind cloud"),
        ("glass of red wine", "wine glass"),
        ("person riding a bike", "person biking"),
        ("\U0001f334", "palm tree"),
    ],
)
def test_everyday_words_find_their_picture(retriever, query, wanted):
    assert wanted in labels(retriever.by_text(query, 4))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("smiling cat", {"cat"}),
        ("thunderstorm", {"thunderstorms", "bolt", "lightning", "rain", "rainy", "hail"}),
        ("laughing face", {"laugh", "grin"}),
        ("a sad yellow face", {"face"}),
    ],
)
def test_most_of_a_sheet_fits_the_examples_of_the_readme(retriever, query, words):
    hits = retriever.by_text(query, 12, per_concept=2)
    assert sum(bool(words & set(hit.label.split())) for hit in hits) >= 7


def test_unseen_pictures_are_found_too(retriever):
    hits = picture_retriever(split=UNSEEN).by_text("laughing face", 4, per_concept=2)
    assert all(hit.is_unseen for hit in hits)
    assert sum("laugh" in hit.label for hit in hits) >= 3


def test_words_can_ask_for_a_colour(retriever):
    for colour in ("green", "blue", "orange"):
        best = retriever.by_text(f"{colour} heart", 6)
        assert f"{colour} heart" in labels(best)


@pytest.mark.parametrize("position", [100, 5000, 16_600, 18_000])
def test_a_picture_finds_itself(retriever, position):
    picture = retriever.gallery.pixels([position])[0]
    hits = retriever.by_image(picture, 5)
    drawings = {retriever.gallery.drawing_of(hit.position) for hit in hits}
    assert retriever.gallery.drawing_of(position) in drawings
    assert hits[0].score == pytest.approx(1, abs=2e-3)


def test_hits_say_where_they_are_from(retriever):
    gallery = retriever.gallery
    for hit in retriever.by_text("heart", 40):
        assert hit.label == gallery.names[hit.position]
        assert hit.source == ("icons" if hit.position < N_ICONS else "emoji")
        assert hit.family == gallery.family(hit.position)
        assert hit.split == gallery.splits[hit.position]
        assert hit.is_unseen == (hit.split in UNSEEN) and hit.scored_by == "cosine"


# ---- exact


def test_a_run_is_exact_search_over_integers(retriever, vectors):
    queries = retriever.encode(["alarm clock", "sea", "love"], "text")
    assert queries.dtype == np.int8 and queries.shape == (3, 256)
    run = retriever.search(queries, 50)
    scores, ids = topk_exact(queries, vectors, 50, metric="cosine")
    np.testing.assert_array_equal(run.ids, ids)
    np.testing.assert_allclose(run.scores, scores, rtol=1e-6)
    n_pairs = 3 * len(vectors)
    assert run.work == (Work("dual encoder", n_pairs, n_pairs),)


def test_scores_by_hand_and_equal_scores_by_position(retriever):
    gallery = retriever.gallery
    rows = np.zeros((len(gallery), 2), np.int8)
    rows[:, 1] = 1
    rows[[7, 9]] = [[3, 4], [6, 8]]  # one direction, two lengths
    toy = PictureRetriever(rows, gallery)
    run = toy.search(np.array([[5, 0]], np.int8), 4)
    np.testing.assert_array_equal(run.ids, [[7, 9, 0, 1]])
    np.testing.assert_allclose(run.scores, [[0.6, 0.6, 0, 0]])


def test_the_order_of_queries_does_not_matter(retriever):
    texts = [f"{colour} {thing}" for colour in ("red", "blue") for thing in ("car", "sea", "dog")]
    texts = [*texts, *(f"number {i}" for i in range(70))]  # more than one block
    queries = retriever.encode(texts, "text")
    order = np.random.default_rng(0).permutation(len(texts))
    together = retriever.search(queries, 5)
    shuffled = retriever.search(queries[order], 5)
    np.testing.assert_array_equal(together.ids[order], shuffled.ids)
    np.testing.assert_array_equal(together.scores[order], shuffled.scores)
    alone = retriever.by_text(texts[40], 5)
    assert [hit.position for hit in alone] == together.ids[40].tolist()


def test_a_new_retriever_finds_the_same(retriever):
    again = picture_retriever()
    for query in ("thunderstorm", "a slice of pizza"):
        assert again.by_text(query, 20) == retriever.by_text(query, 20)


def test_no_queries_give_an_empty_run(retriever):
    run = retriever.search(np.empty((0, 256), np.int8), 3)
    assert run.ids.shape == (0, 3)


# ---- parts of the gallery


@pytest.mark.parametrize(
    ("sources", "split"),
    [(["emoji"], None), (["icons"], "test"), (["icons", "emoji"], UNSEEN)],
)
def test_a_part_ranks_as_the_whole_without_the_rest(retriever, sources, split):
    part = picture_retriever(sources, split)
    inside = set(retriever.gallery.positions(split, sources).tolist())
    expected = [
        hit.position
        for hit in retriever.by_text("umbrella", len(retriever.gallery))
        if hit.position in inside
    ]
    hits = part.by_text("umbrella", len(inside))
    assert [hit.position for hit in hits] == expected
    with pytest.raises(RetrievalInputError, match=f"between 1 and {len(inside)}"):
        part.by_text("umbrella", len(inside) + 1)


def test_few_drawings_of_one_concept(retriever):
    everything = retriever.by_text("alarm clock", len(retriever.gallery))
    hits = retriever.by_text("alarm clock", 12, per_concept=2)
    assert [hit.rank for hit in hits] == list(range(1, 13))
    groups = retriever.gallery.groups[[hit.position for hit in hits]].tolist()
    assert max(map(groups.count, groups)) <= 2
    drawings = [retriever.gallery.drawing_of(hit.position) for hit in hits]
    assert len(set(drawings)) == 12
    # The best of each concept stays, in its order.
    best, seen = [], set()
    for hit in everything:
        group = int(retriever.gallery.groups[hit.position])
        if group not in seen:
            best.append(hit.position)
            seen.add(group)
    alone = retriever.by_text("alarm clock", 12, per_concept=1)
    assert [hit.position for hit in alone] == best[:12]
    assert hits[0].position == alone[0].position == everything[0].position


# ---- texts of every kind


@pytest.mark.parametrize(
    "query",
    [
        "A whole sentence, with a comma; and more.",
        "several\nlines\r\nof\ttext",
        "word " * 500,
        "x" * 5000,
        "\u65e5\u672c\u8a9e",
        "\u0431\u0443\u0434\u0438\u043b\u044c\u043d\u0438\u043a",
        "\u0645\u0646\u0628\u0647",
        "\u23f0\u2764\ufe0f",
        "[SEP] [MASK]",
        "42",
        "$x_$ {} \\ % \"'",
    ],
)
def test_any_text_is_answered(retriever, query):
    hits = retriever.by_text(query, 3)
    assert len(hits) == 3 and all(np.isfinite(hit.score) for hit in hits)


def test_a_long_query_is_told(retriever):
    for query in ("alarm clock", "\u23f0", "clock " * 30):  # 30 pieces and two marks
        assert not retriever.doubts_about(query)
    (doubt,) = retriever.doubts_about("clock " * 100)
    assert doubt == "The query is long: 102 pieces of words, the model reads the first 32."


def test_an_unknown_query_is_told_with_its_words(retriever):
    far, named = retriever.doubts_about("xyzzy  qwrt")
    assert far.startswith('Perhaps no picture is close to "xyzzy qwrt"')
    assert named == "Unknown words: xyzzy, qwrt."


def test_styled_and_wide_letters_are_read_as_plain_ones(retriever):
    plain = [hit.position for hit in retriever.by_text("cat 1", 5)]
    for query in ("\uff43\uff41\uff54 \uff11", "\U0001d4b8\U0001d4b6\U0001d4c9 \u2460"):
        assert [hit.position for hit in retriever.by_text(query, 5)] == plain
        assert retriever.doubts_about(query) == retriever.doubts_about("cat 1")


def test_the_doubt_about_a_long_word_can_be_read(retriever):
    far = retriever.doubts_about("x" * 10_000)[0]
    assert 'xxx...": its familiarity is' in far and len(far) < 250


def test_words_that_name_a_picture_are_not_doubted(retriever):
    (judged,) = measure_familiarity(["eiffel tower"], retriever.text_encoder)
    assert judged.is_unknown and "eiffel tower" in " ".join(retriever.gallery.names)
    assert not retriever.doubts_about("Eiffel Tower")
    assert not retriever.doubts_about("an Eiffel Tower")


def test_a_missed_name_is_told(retriever):
    hits = retriever.by_text("alarm clock", 12)
    assert retriever.missed_name("an alarm clock", hits) == ""
    told = retriever.missed_name("Alarm clock", hits[-1:])
    assert told == 'There is a picture named "alarm clock"; it is not among these.'
    assert retriever.missed_name("xyzzy", hits) == retriever.missed_name("the", hits) == ""


@pytest.mark.parametrize("query", ["", "  \n", "?!", "\u200d"])
def test_a_text_without_a_word_is_refused(retriever, query):
    with pytest.raises(RetrievalInputError, match="query must hold .* no letter or digit"):
        retriever.by_text(query)


@pytest.mark.parametrize("k", [0, -1, 2.5, 18_461])
def test_a_bad_k_is_refused(retriever, k):
    with pytest.raises(RetrievalInputError, match="k must be"):
        retriever.by_text("sea", k)
    with pytest.raises(RetrievalInputError, match="k must be"):
        retriever.by_text("sea", k, per_concept=1)


def test_bad_arguments_are_refused(retriever, vectors):
    with pytest.raises(RetrievalInputError, match="per_concept must be"):
        retriever.by_text("sea", per_concept=0)
    with pytest.raises(RetrievalInputError, match="modality must be one of"):
        retriever.encode(["sea"], "sound")
    with pytest.raises(RetrievalInputError, match="queries must be a list of texts"):
        retriever.encode("sea", "text")
    with pytest.raises(RetrievalInputError, match="must be a string"):
        retriever.by_text(None)
    with pytest.raises(RetrievalInputError, match="got uint8"):
        retriever.by_image(np.zeros((8, 8), np.uint8))
    with pytest.raises(RetrievalInputError, match="queries must be int8"):
        retriever.search(np.ones((1, 256), np.float32), 1)
    with pytest.raises(RetrievalInputError, match="no row of zeros"):
        retriever.search(np.zeros((1, 256), np.int8), 1)
    with pytest.raises(RetrievalInputError, match="256"):
        retriever.search(np.ones((1, 8), np.int8), 1)
    with pytest.raises(RetrievalInputError, match="a row for each of 18460 pictures, got 3"):
        PictureRetriever(vectors[:3], retriever.gallery)
    with pytest.raises(RetrievalInputError, match="at least one picture"):
        PictureRetriever(vectors, retriever.gallery, [])


def test_a_missing_artifact_names_the_command(tmp_path):
    with pytest.raises(MissingFileError, match="crossmodal train pictures"):
        picture_retriever(folder=tmp_path)
    picture_gallery.store_gallery(tmp_path)
    with pytest.raises(MissingFileError, match="crossmodal train pictures"):
        picture_retriever(folder=tmp_path)


# ---- without torch, a network, or a drawn picture

ALONE = """
import socket, sys
def cut(*_, **__):
    raise OSError("the network is cut")
socket.socket.connect = socket.getaddrinfo = cut
from lib.search import picture_retriever
retriever = picture_retriever()
drawn = retriever.gallery.pixels([5000])
seen = retriever.by_image(drawn[0], 3)
print([hit.label for hit in seen], drawn.shape, "text_encoder" in vars(retriever))
hits = retriever.by_text("alarm clock", 3)
heavy = {"torch", "faiss", "transformers", "open_clip", "timm", "numba"} & set(sys.modules)
print([hit.label for hit in hits], sorted(heavy))
"""


def test_words_and_pictures_are_searched_without_torch_network_and_cache(retriever, tmp_path):
    cache = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        env=os.environ | {"CROSSMODAL_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )
    seen = labels(retriever.by_image(retriever.gallery.pixels([5000])[0], 3))
    found = labels(retriever.by_text("alarm clock", 3))
    expected = [f"{seen} (1, 64, 64, 3) False", f"{found} []"]
    assert done.stdout.splitlines() == expected, done.stderr[-500:]
    assert not cache.exists()
