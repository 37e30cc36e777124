"""Search terms: cleaning, agreement with the icons, captions, judgements and bad files."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import icon_terms, icons
from lib.datasets.icon_terms import clean_terms, read_terms


@pytest.fixture(scope="module")
def corpus():
    return icons.load_icons()


@pytest.fixture(scope="module")
def terms():
    return icon_terms.load_terms()


@pytest.fixture(scope="module")
def task():
    return icon_terms.task("test")


def find(corpus, family, name):
    (position,) = (
        p for p, key in enumerate(zip(corpus.families, corpus.names)) if key == (family, name)
    )
    return position


# ---- reading


def test_cleaning_by_hand():
    raw = ["  Home ", "little\tblack  book", "home", "", "✓", "t-shirt", "T Shirt", "4", "uer"]
    assert clean_terms(raw) == ("home", "little black book", "t-shirt", "4", "user")
    assert clean_terms([]) == clean_terms(["×", "--"]) == ()


def entry(code, terms, styles=("solid",)):
    return {"unicode": code, "styles": list(styles), "search": {"terms": terms}}


def test_a_small_file_by_hand(tmp_path):
    path = tmp_path / "icons.json"
    entries = {
        "bell": entry("f0f3", ["Alarm", "alarm"], ["solid", "regular"]),
        "github": entry("f09b", ["octocat"], ["brands"]),
        "minus": entry("2b", ["−"]),
    }
    path.write_text(json.dumps(entries), encoding="utf-8")
    assert read_terms(path) == {
        ("fontawesome-solid", "bell", 0xF0F3): ("alarm",),
        ("fontawesome-regular", "bell", 0xF0F3): ("alarm",),
    }


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"bell": {}}', '{"bell": {"unicode": "f0f3", "styles": []}}',
     '{"bell": {"unicode": "zz", "styles": [], "search": {"terms": []}}}',
     '{"bell": {"unicode": "f0f3", "styles": [], "search": {"terms": [3]}}}'],
)  # fmt: skip
def test_a_file_of_another_form_is_refused_by_name(tmp_path, text):
    path = tmp_path / "icons.json"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match="icons.json is no metadata.*fontawesomefree==6.6.0"):
        read_terms(path)


def test_a_missing_file_is_an_error_with_advice(tmp_path):
    with pytest.raises(MissingFileError, match="pip install fontawesomefree"):
        read_terms(tmp_path / "icons.json")


def test_a_missing_package_is_an_error_with_advice(monkeypatch):
    monkeypatch.setattr(icon_terms.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingFileError, match="pip install fontawesomefree==6.6.0"):
        icon_terms.metadata_path()


@pytest.mark.parametrize(("content", "error"), [("{}", DamagedFileError), (None, MissingFileError)])
def test_another_release_of_the_package_is_refused(monkeypatch, tmp_path, content, error):
    class Spec:
        origin = str(tmp_path / "__init__.py")

    path = tmp_path / icon_terms.METADATA
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(icon_terms.importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(error, match="icons.json .*Install"):
        icon_terms.metadata_path()


# ---- terms of icons


def test_terms_of_known_icons(corpus, terms):
    assert len(terms) == len(corpus)
    house = terms[find(corpus, "fontawesome-solid", "house")]
    assert house == ("abode", "building", "home", "house", "main", "residence")
    solid, regular = (
        find(corpus, f"fontawesome-{s}", "address-book") for s in ("solid", "regular")
    )
    assert terms[solid] == terms[regular] and "little black book" in terms[solid]
    assert terms[find(corpus, "remix", "home-line")] == ()


def test_an_icon_of_another_code_point_gets_no_terms(monkeypatch, corpus):
    monkeypatch.setattr(icon_terms, "metadata_path", lambda: None)
    key = ("fontawesome-solid", "house")
    for code, expected in ((0xF015, ("home",)), (0xF016, ())):
        monkeypatch.setattr(icon_terms, "read_terms", lambda path, c=code: {(*key, c): ("home",)})
        assert icon_terms.load_terms.__wrapped__()[find(corpus, *key)] == expected


def test_counts_of_the_datasheet():
    """Icons with terms, their groups, judgements, terms, and terms of several groups, by split."""
    corpus, terms = icons.load_icons(), icon_terms.load_terms()
    counts, every_term, equal = [], set(), set()
    for split in icons.SPLITS:
        positions = icon_terms.positions_with_terms(split)
        groups_of_term: dict[str, set[int]] = {}
        for position in positions:
            for term in map(icon_terms._key, terms[position]):
                groups_of_term.setdefault(term, set()).add(int(corpus.groups[position]))
                if term == icons.phrase_of(corpus.names[position]):
                    equal.add(term)
        every_term |= set(groups_of_term)
        groups = np.unique(corpus.groups[positions])
        n_judgements = sum(len(terms[at]) for at in positions)
        several = sum(len(found) > 1 for found in groups_of_term.values())
        counts.append((len(positions), len(groups), n_judgements, len(groups_of_term), several))
    assert counts == [
        (1339, 1198, 8996, 3024, 1222),
        (79, 72, 621, 452, 75),
        (140, 122, 937, 627, 101),
    ]
    assert (len(every_term), len(equal)) == (3337, 250)


# ---- captions


def test_captions_of_one_icon_by_hand():
    arguments = "thumbs-up", ("Like", "thumbs up")
    assert icon_terms.captions_of(*arguments) == ("thumbs up", "like")
    assert icon_terms.captions_of(*arguments, "terms") == ("like", "thumbs up")
    assert icon_terms.captions_of(*arguments, "names") == ("thumbs up",)


@pytest.mark.parametrize("captions", icon_terms.CAPTIONS)
def test_captioned_icons_know_every_owner_of_a_text(corpus, terms, captions):
    media = icon_terms.captioned_icons("validation", captions)
    positions = icon_terms.positions_with_terms("validation")
    owned = [set(icon_terms.captions_of(corpus.names[p], terms[p], captions)) for p in positions]
    assert np.array_equal(media.media, corpus.images[positions])
    assert set(media.texts) <= set().union(*owned) and media.captions == captions
    for item, own in enumerate(owned):
        found = {media.texts[text].replace("-", " ") for text in media.qrels.T.row(item)[0]}
        assert found == {text.replace("-", " ") for text in own}
    assert media.qrels.counts.min() >= 1 and media.qrels.T.counts.min() >= 1


def test_several_captions_per_picture_in_both_directions():
    media = icon_terms.captioned_icons("validation")
    back = media.task("image_to_text")
    assert back.qrels.counts.mean() > 5 and len(back.queries) == 79
    assert back.qrels == media.task("text_to_image").qrels.T


# ---- the test set


def test_hits_are_the_icons_that_bear_the_term(corpus, terms, task):
    positions = icon_terms.positions_with_terms("test")
    assert task.name == "icons, search terms" and task.hit_grade == 3
    assert set(corpus.splits[positions]) == {"test"}
    query = task.queries.index("eye")
    items, grades = task.qrels.row(query)
    expected = [item for item, p in enumerate(positions) if "eye" in terms[p]]
    assert items.tolist() == expected and set(grades.tolist()) == {3}
    assert len(expected) >= 2


def test_queries_are_distinct_words_and_grouped_by_their_first_icon(corpus, task):
    assert len(set(task.queries)) == len(task.queries) == 627
    positions = icon_terms.positions_with_terms("test")
    for query in range(0, 627, 50):
        first = positions[task.qrels.row(query)[0][0]]
        assert task.query_groups[query] == corpus.groups[first]


def test_the_other_direction_is_the_transpose(corpus, task):
    back = icon_terms.task("test", "image_to_text")
    assert back.qrels == task.qrels.T and list(back.gallery) == list(task.queries)
    assert np.array_equal(back.queries, task.gallery)
    assert np.array_equal(back.query_groups, corpus.groups[icon_terms.positions_with_terms("test")])


def test_the_gallery_of_all_icons_keeps_the_hits_and_adds_weak_ones(corpus, terms, task):
    wide = icon_terms.task("test", gallery="all icons")
    positions, everything = icon_terms.positions_with_terms("test"), corpus.positions("test")
    assert list(wide.queries) == list(task.queries) and len(wide.gallery) == len(everything)
    for query in range(0, 627, 40):
        items, grades = wide.qrels.row(query)
        hits = everything[items[grades == 3]]
        assert hits.tolist() == positions[task.qrels.row(query)[0]].tolist()
        weak = everything[items[grades == 1]]
        assert not any(terms[p] for p in weak)
        assert set(corpus.groups[weak]) <= set(corpus.groups[hits])
        mates = np.isin(corpus.groups[everything], corpus.groups[hits])
        assert len(weak) == sum(mates) - np.isin(everything[mates], positions).sum()


def test_kinds_of_terms(corpus, terms, task):
    subsets = icon_terms.term_subsets("test")
    assert {name: int(mask.sum()) for name, mask in subsets.items()} == {
        "all terms": 627, "not in a name": 547, "not in training": 185,
    }  # fmt: skip
    train = corpus.positions("train")
    seen = {term for p in train for term in terms[p]} | {
        icons.phrase_of(corpus.names[p]) for p in train
    }
    new = np.array(task.queries)[subsets["not in training"]]
    assert seen.isdisjoint(new)
    for query in np.flatnonzero(subsets["not in a name"]):
        words = set(task.queries[query].replace("-", " ").split())
        for item in task.qrels.row(query)[0]:
            name = corpus.names[icon_terms.positions_with_terms("test")[item]]
            assert words.isdisjoint(name.split("-"))


def test_bad_arguments():
    for call in (icon_terms.task, icon_terms.captioned_icons, icon_terms.positions_with_terms):
        with pytest.raises(RetrievalInputError, match="split must be one of 'train'"):
            call("tests")
    with pytest.raises(RetrievalInputError, match="direction"):
        icon_terms.task("test", "text_to_text")
    with pytest.raises(RetrievalInputError, match="'all icons'"):
        icon_terms.task("test", gallery="all")
    with pytest.raises(RetrievalInputError, match="with terms"):
        icon_terms.task("test", "image_to_text", "all icons")
    with pytest.raises(RetrievalInputError, match="captions"):
        icon_terms.captioned_icons("test", "name")
