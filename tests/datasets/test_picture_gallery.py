"""The gallery: what `load_pictures` finds by drawing everything, without drawing."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError, load_arrays
from lib.core.writing import save_arrays
from lib.datasets import emoji_files, icons, picture_gallery, pictures
from lib.datasets.picture_gallery import FILE, UNSEEN, load_gallery, store_gallery


@pytest.fixture(scope="module")
def gallery():
    return load_gallery()


@pytest.fixture(scope="module")
def corpus():
    return pictures.load_pictures()


@pytest.fixture(scope="module")
def searched(corpus):
    return corpus.positions(sources=pictures.GALLERIES)


# ---- it is the corpus


def test_it_holds_what_the_corpus_holds(gallery, corpus, searched):
    np.testing.assert_array_equal(searched, np.arange(len(gallery)))
    assert gallery.names == corpus.names[: len(gallery)]
    for name in ("sources", "groups", "splits"):
        np.testing.assert_array_equal(getattr(gallery, name), getattr(corpus, name)[searched])


@pytest.mark.parametrize("split", pictures.SPLITS)
@pytest.mark.parametrize("sources", [("icons",), ("emoji",), pictures.GALLERIES])
def test_positions_are_those_of_the_corpus(gallery, corpus, split, sources):
    np.testing.assert_array_equal(
        gallery.positions(split, sources), corpus.positions(split, sources)
    )


def test_unseen_concepts_are_in_no_training_picture(gallery, corpus):
    unseen = gallery.positions(UNSEEN)
    trained = corpus.positions("train")
    assert len(unseen) > 3000
    assert not set(corpus.groups[unseen].tolist()) & set(corpus.groups[trained].tolist())


def test_pictures_are_drawn_as_models_see_them(gallery, corpus):
    some = [5, 16_000, 16_546, 18_459, 5]
    drawn = gallery.pixels(some)
    assert drawn.dtype == np.uint8 and drawn.shape == (5, 64, 64, 3)
    np.testing.assert_array_equal(drawn, corpus.pixels(np.array(some)))
    assert gallery.pixels([]).shape == (0, 64, 64, 3)


@pytest.mark.parametrize("position", [3, 16_700])
def test_a_larger_picture_is_the_same_picture(gallery, position):
    small, large = (gallery.pixels([position], size)[0].astype(float) for size in (64, 128))
    means = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(means.ravel(), small.ravel())[0, 1] > 0.9


def test_families_and_drawings(gallery):
    assert gallery.family(0) == "codicon" and gallery.family(len(gallery) - 1) == "openmoji"
    corpus = icons.load_icons()
    for position in (17, 400, 12_345):
        assert gallery.family(position) == corpus.families[position]
    same: dict = {}
    for position in range(2000):
        same.setdefault(gallery.drawing_of(position), []).append(position)
    twins = [own for own in same.values() if len(own) > 1]
    assert twins
    for first, *others in twins:
        assert all((corpus.images[first] == corpus.images[other]).all() for other in others)


def test_nothing_is_drawn_to_load_it(monkeypatch):
    def drawn(*_):
        pytest.fail("drew pictures")

    monkeypatch.setattr(icons, "draw_glyph", drawn)
    monkeypatch.setattr(emoji_files, "cached_pictures", drawn)
    monkeypatch.setattr(icons, "load_icons", drawn)
    picture_gallery._load_gallery.cache_clear()
    gallery = load_gallery()
    assert len(gallery.positions(UNSEEN)) and len(gallery.names) == len(gallery)


# ---- emoji as words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alarm clock", "alarm clock"),
        ("\u23f0", "alarm clock"),
        ("\U0001f334 at night", "palm tree at night"),
        ("a\U0001f334b", "a palm tree b"),
        ("\U0001f44b\U0001f3fd", "waving hand"),  # with a skin tone
        ("\u2764\ufe0f and \u2764", "red heart and red heart"),  # with and without the mark
        ("\U0001f469\u200d\U0001f680", "woman astronaut"),  # one symbol, not woman and rocket
        ("line\nline \t two", "line line two"),
        ("", ""),
        ("7 #", "7 #"),
    ],
)
def test_emoji_are_spelt(gallery, text, expected):
    assert gallery.spell_emoji(text) == expected


# ---- the file


def test_the_committed_file_is_made_again_by_the_command(tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    store_gallery(folder)
    stored = load_arrays(folder / FILE)
    for name, array in load_arrays(picture_gallery.artifacts_dir() / "pictures" / FILE).items():
        np.testing.assert_array_equal(stored[name], array)
    assert len(load_gallery(folder)) == len(stored["groups"])


def test_other_packages_are_refused(monkeypatch, tmp_path):
    store_gallery(tmp_path)
    entries = emoji_files.read_entries()
    monkeypatch.setattr(emoji_files, "read_entries", lambda: entries[1:])
    with pytest.raises(RetrievalInputError, match="Install the versions of qtawesome"):
        load_gallery(tmp_path)


def test_bad_files_and_choices_are_refused(gallery, tmp_path):
    with pytest.raises(MissingFileError, match="crossmodal train pictures"):
        load_gallery(tmp_path)
    save_arrays(tmp_path / FILE, groups=np.arange(3))
    with pytest.raises(DamagedFileError, match="instead of a gallery"):
        load_gallery(tmp_path)
    with pytest.raises(RetrievalInputError, match="source must be one of"):
        gallery.positions(sources=["tunes"])
    with pytest.raises(RetrievalInputError, match="split must be one of"):
        gallery.positions("dev")
