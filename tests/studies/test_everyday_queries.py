"""Everyday queries: the fixed list, the judgement by tags, and the tables."""

from collections import Counter

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import pictures
from lib.datasets.picture_gallery import EMOJI_NOTICE
from lib.studies import everyday_queries
from lib.studies.everyday_queries import mark_right, tag_words


def test_the_list_is_fixed():
    queries = everyday_queries.read_queries()
    assert len(queries) == len({query.query for query in queries}) == 40
    assert Counter(query.language for query in queries) == {"en": 32, "de": 4, "es": 4}
    for query in queries:
        assert query.tags and all(tag == tag.strip() for tag in query.tags)


def test_a_query_without_tags_is_refused(tmp_path):
    path = tmp_path / "queries.csv"
    path.write_text("query,language,kind,tags\nrain,en,weather,rain\nsnow,en,weather,|\n")
    with pytest.raises(RetrievalInputError, match="line 3: query and tags must not be empty"):
        everyday_queries.read_queries(path)


def picture(*texts, subgroup=""):
    return [tag_words(text) for text in texts], subgroup


@pytest.mark.parametrize(
    ("tags", "found", "right"),
    [
        (["thumb up"], picture("Thumbs-Up"), True),  # case, hyphen, plural
        (["thumbs up"], picture("thumb", "up"), False),  # one text holds all words of a tag
        (["thumbs up"], picture("hand", "thumb up outline"), True),
        (["rain"], picture("train"), False),  # whole words
        (["rain", "storm"], picture("snow storm"), True),  # one tag is enough
        (["subgroup:food-fruit"], picture("pear", subgroup="food-fruit"), True),
        (["subgroup:food-fruit"], picture("food fruit subgroup"), False),
        (["food fruit"], picture("pear", subgroup="food-fruit"), False),
        (["subgroup:"], picture("pear"), False),
    ],
)
def test_a_picture_is_right_by_its_own_texts(tags, found, right):
    assert mark_right(tags, [found]).tolist() == [right]


def test_texts_of_pictures_are_aligned_with_the_corpus():
    texts, corpus = everyday_queries.picture_texts(), pictures.load_pictures()
    gallery = corpus.positions(sources=pictures.GALLERIES)
    assert gallery.tolist() == list(range(len(texts)))
    for position in range(0, len(texts), 97):
        assert tag_words(corpus.names[position]) in texts[position][0]
        assert bool(texts[position][1]) == (corpus.sources[position] == "emoji")


def test_judgements_follow_the_tags():
    right, corpus = everyday_queries.judgements(), pictures.load_pictures()
    queries = [query.query for query in everyday_queries.read_queries()]
    names = {corpus.names[i] for i in np.flatnonzero(right[queries.index("broken heart")])}
    assert "broken heart" in names and "red heart" not in names
    assert right.any(axis=1).all()  # each query has an answer among all pictures
    pairs = [("thunderstorm", "Gewitter"), ("send a message", "enviar un mensaje")]
    for english, other in pairs:
        assert (right[queries.index(english)] == right[queries.index(other)]).all()


def test_unseen_pictures_are_of_no_training_split():
    corpus = pictures.load_pictures()
    positions = everyday_queries.searched_positions("after: unseen pictures")
    assert not np.isin(corpus.splits[positions], ["train", "aside"]).any()
    assert set(corpus.sources[positions]) == {"icons", "emoji"}
    assert set(corpus.sources[everyday_queries.searched_positions("before: icons")]) == {"icons"}


def test_the_newer_model_answers_more_queries():
    rows = everyday_queries.system_rows()
    value = {(row["system"], row["metric"]): row["value"] for row in rows}
    assert len(rows) == len(everyday_queries.SYSTEMS) * len(everyday_queries.METRICS)
    before, same, after, unseen = everyday_queries.SYSTEMS
    assert value[after, "R@12"] >= value[before, "R@12"] + 0.15
    assert value[same, "R@12"] >= value[before, "R@12"] + 0.15  # with the same pictures
    chance = {row["system"]: row["chance"] for row in rows if row["metric"] == "R@12"}
    assert value[unseen, "R@12"] > 5 * chance[unseen]


def test_rows_and_metrics_agree():
    rows = everyday_queries.query_rows("after: icons and emoji")
    found = everyday_queries.evaluate_queries("after: icons and emoji")
    first = [row["first_rank"] or np.inf for row in rows]
    assert found.mean("R@5") == np.mean([rank <= 5 for rank in first])
    assert found.mean("P@5") == pytest.approx(np.mean([row["in_5"] / 5 for row in rows]))
    for row in rows:
        assert row["in_5"] <= row["in_12"] <= row["n_right"]
    english = everyday_queries.evaluate_queries("after: icons and emoji", ["en"])
    assert english.n_queries == 32 and english.mean("R@5") > found.mean("R@5")


def test_the_sheet_shows_both_searches():
    figure = everyday_queries.queries_sheet(["thunderstorm", "broken heart"], k=3)
    (ax,) = figure.axes
    words = [text.get_text() for text in ax.texts]
    assert {"thunderstorm", "broken heart", "before: icons", EMOJI_NOTICE} <= set(words)
    assert len(ax.images) == 2 * 2 * 3
    with pytest.raises(RetrievalInputError, match="thunderstorm"):
        everyday_queries.queries_sheet(["thunder"])


def test_unknown_systems_are_listed():
    with pytest.raises(RetrievalInputError, match="before: icons"):
        everyday_queries.query_rows("before")
