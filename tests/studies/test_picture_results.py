"""Results of `pictures` from committed embeddings."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import icons
from lib.models.artifact_files import load_card
from lib.studies import picture_results, search_terms


def card_value(corpus, split, metric, direction):
    (row,) = (
        row
        for row in load_card("pictures")["metrics"]
        if (row["corpus"], row["split"], row["metric"], row["direction"])
        == (corpus, split, metric, direction)
    )
    return row["value"]


@pytest.mark.parametrize("name", picture_results.SETS)
@pytest.mark.parametrize("direction", icons.DIRECTIONS)
def test_the_card_says_what_the_embeddings_give(name, direction):
    split, source = picture_results.SETS[name]
    found = picture_results.evaluate_set(name, direction)
    for metric in ("R@1", "R@10", "MRR@100"):
        assert found.mean(metric) == pytest.approx(
            card_value(source, split, metric, direction), abs=1e-12
        )


def test_the_card_says_what_the_search_terms_give():
    found = search_terms.evaluate_terms(picture_results.terms_run())
    stored = card_value("icons, search terms", "test", "nDCG@10", "text_to_image")
    assert found.mean("nDCG@10") == pytest.approx(stored, abs=1e-12)


def test_terms_are_compared_with_lexical_search():
    values = {
        row["system"]: row["value"]
        for row in picture_results.terms_rows()
        if row["metric"] == "nDCG@10" and row["terms"] == "all terms"
    }
    assert values["pictures"] > 2 * values["BM25, words of names"]
    assert round(100 * values["BM25, words of names"], 1) == 11.2
    for system in ("BM25, words", "BM25, letter triples"):
        expanded = search_terms.evaluate_terms(search_terms.expanded_run(system))
        found = values[f"{system} of names and training captions"]
        assert found == pytest.approx(expanded.mean("nDCG@10"), abs=1e-12) and found > 0.5


def test_names_with_new_words():
    queries = picture_results.load_set_task("icons").queries
    new = picture_results.names_with_new_words()
    assert new.shape == (1327,) and new.sum() == 182
    drawn = icons.load_icons()
    known = {word for i in drawn.positions("train") for word in drawn.names[i].split("-")}
    for query, is_new in zip(queries, new, strict=True):
        if is_new:  # a word of the name stands in no training name
            assert set(query.split()) - known, query


def test_further_captions_teach_words_but_test_b_is_no_longer_known():
    by_names, by_texts = map(picture_results.names_with_new_words, picture_results.SEEN_TEXTS)
    assert 0 < by_texts.sum() < by_names.sum()
    with pytest.raises(RetrievalInputError, match="texts of icons and emoji"):
        picture_results.names_with_new_words("names")


def test_new_words_are_measured_on_the_same_names_for_both_models():
    rows = picture_results.new_word_rows(("R@10",))
    assert [row["n_queries"] for row in rows] == [182, 182, 144, 144]
    assert [row["system"] for row in rows] == ["dual encoder", "pictures"] * 2
    for older, newer in zip(rows[::2], rows[1::2], strict=True):
        assert newer["value"] > older["value"] > newer["chance"] == older["chance"]


def test_embeddings_fit_their_task():
    for name in picture_results.SETS:
        queries, gallery = picture_results.set_embeddings(name)
        assert (len(queries), len(gallery)) == picture_results.load_set_task(name).qrels.shape
        assert queries.dtype == gallery.dtype == np.int8
    with pytest.raises(RetrievalInputError, match="icons, test_b"):
        picture_results.evaluate_set("test_b")
