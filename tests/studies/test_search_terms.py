"""Search terms: lexical search and the committed encoder on one test set."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.models.tokenizer import words_of
from lib.models.trained_models import load_model
from lib.search import evaluate_run
from lib.search.bm25 import BM25Retriever
from lib.studies import search_terms


@pytest.fixture(scope="module")
def rows():
    encoder = load_model("icons")
    runs = [(system, search_terms.lexical_run(system)) for system in search_terms.LEXICAL]
    return search_terms.terms_table([*runs, ("icons", search_terms.encoder_run(encoder))])


def value(rows, system, terms="all terms", metric="nDCG@10"):
    (row,) = (r for r in rows if (r["system"], r["terms"], r["metric"]) == (system, terms, metric))
    return row["value"]


def test_one_row_per_system_kind_and_metric(rows):
    assert len(rows) == 4 * 3 * 2
    for row in rows:
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        assert row["n_gallery"] == 140 and 0.03 < row["chance"] < 0.11


def test_words_alone_find_no_term_that_is_in_no_name(rows):
    assert value(rows, "BM25, words", "not in a name") == 0
    assert value(rows, "BM25, letter triples", "not in a name") > 0.05


def test_the_value_of_each_system(rows):
    # 627 terms, 140 icons; the notes of data/README.md
    measured = [round(100 * value(rows, system), 1) for system in search_terms.LEXICAL]
    assert measured == [11.2, 11.6, 18.5]
    assert 100 * value(rows, "icons") == pytest.approx(15.9, abs=0.3)


def test_usual_k1_and_b_are_as_good_as_the_best_on_validation():
    task, names = (
        search_terms.load_terms_task("validation"),
        search_terms.gallery_names("validation"),
    )
    for system, tokens_of in search_terms.LEXICAL.items():
        usual = search_terms.evaluate_terms(
            search_terms.lexical_run(system, "validation"), "validation"
        )
        for k1 in (0.0, 0.4, 2.0):
            for b in (0.0, 0.5, 1.0):
                retriever = BM25Retriever(names, k1=k1, b=b, tokens_of=tokens_of)
                run = retriever.search(retriever.encode(task.queries), 10)
                other = evaluate_run(run, task, metrics=["nDCG@10"])
                assert other.value("nDCG@10") <= usual.value("nDCG@10") + 0.001


# ---- names with training captions


def test_a_name_gets_the_captions_of_pictures_that_share_a_word_by_hand():
    captions = [
        ("alarm bell", "ring", "time"),
        ("alarm", "time"),
        ("clock", "hour"),
        ("bell clock",),
        ("sun", "day"),
    ]
    assert search_terms.expand_names(["alarm clock", "moon", "clock-clock"], captions) == [
        "alarm clock ring time time hour",  # "time" twice: two pictures named "alarm" bear it
        "moon",
        "clock-clock hour",  # a word that stands twice in the name adds its captions once
    ]
    assert search_terms.expand_names(["alarm"], []) == ["alarm"]


def test_training_captions_are_what_the_model_learns():
    captions = search_terms.training_captions()
    corpus = search_terms.pictures.load_pictures()
    held_out = {corpus.captions[p][0] for p in corpus.positions("test", ["icons"]).tolist()}
    assert len(captions) > 13_000 and not held_out & {text for own in captions for text in own}


def test_training_captions_help_with_terms_that_training_has():
    expanded = [("expanded", search_terms.expanded_run())]
    names = [("names", search_terms.lexical_run())]
    rows = search_terms.terms_table([*expanded, *names])
    gain = {
        kind: value(rows, "expanded", kind) - value(rows, "names", kind)
        for kind in ("all terms", "not in training")
    }
    assert gain["all terms"] > 3 * gain["not in training"] > 0


def test_letter_triples_of_expanded_names_find_more_than_words_on_validation():
    words, triples = (
        search_terms.evaluate_terms(search_terms.expanded_run(system, "validation"), "validation")
        for system in ("BM25, words", "BM25, letter triples")
    )
    assert triples.mean("nDCG@10") > words.mean("nDCG@10") + 0.03


def test_terms_in_no_training_text():
    subsets = search_terms.term_subsets()
    new, queries = subsets["in no training text"], search_terms.load_terms_task().queries
    learnt = {text for own in search_terms.training_captions() for text in own}
    assert 0 < new.sum() < subsets["not in training"].sum()
    assert not new[~subsets["not in training"]].any()
    assert not learnt & {query for query, is_new in zip(queries, new, strict=True) if is_new}


def test_bm25s_ranks_the_expanded_names_with_the_same_scores():
    bm25s = pytest.importorskip("bm25s", reason="bm25s is optional")
    documents = search_terms.expand_names(
        search_terms.gallery_names(), search_terms.training_captions()
    )
    peer = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    peer.index([words_of(text) for text in documents], show_progress=False)
    _, ids = search_terms.expanded_run()
    for query, found in zip(search_terms.load_terms_task().queries, ids, strict=True):
        known = [word for word in words_of(query) if word in peer.vocab_dict]
        expected = peer.get_scores(known) if known else np.zeros(len(documents))
        found = found[found >= 0]
        assert len(found) == min(10, np.count_nonzero(expected))
        best = np.sort(expected)[::-1][: len(found)]
        np.testing.assert_allclose(expected[found], best, rtol=1e-5)


class ColourEncoder:
    """Encode an image by its mean colour and any text as white."""

    def encode_text(self, texts):
        return np.tile(np.float32([1, 1, 1]), (len(texts), 1))

    def encode_image(self, images):
        assert images.shape[1:] == (64, 64, 3)
        return images.mean(axis=(1, 2)).astype(np.float32) + 1


def test_a_colour_encoder_gets_colour_pictures():
    run = search_terms.encoder_run(
        ColourEncoder(),
        "validation",
        pictures_of=lambda gray: np.repeat(gray[..., None], 3, axis=3),
    )
    assert run[1].shape == (452, 10)
    with pytest.raises(AssertionError):
        search_terms.encoder_run(ColourEncoder(), "validation")


def test_unknown_names_are_listed():
    with pytest.raises(RetrievalInputError, match="BM25, words"):
        search_terms.lexical_run("BM25")
    with pytest.raises(RetrievalInputError, match="not in a name"):
        search_terms.evaluate_terms(search_terms.lexical_run(), terms="all")
    with pytest.raises(RetrievalInputError, match="with terms"):
        search_terms.gallery_names("test", "all")
