"""Melodies come back from the cache as they were; the cache follows files and reader."""

import numpy as np
import pytest

from lib.core.reading import DamagedFileError
from lib.datasets.tunes import Melody, collections
from lib.datasets.tunes.packed import pack_melodies, unpack_melodies

MELODIES = [
    Melody([0, 1.5], [1, 0.5], [60, 62], "Ä tune", "book#1", "G", 90.0, "6/8"),
    Melody([0], [2], [71]),
]


def same(one, other):
    for name in ("onsets", "durations", "pitches"):
        mine, its = getattr(one, name), getattr(other, name)
        assert np.array_equal(mine, its) and mine.dtype == its.dtype
    for name in ("title", "source", "key", "tempo", "meter"):
        assert getattr(one, name) == getattr(other, name)


def test_melodies_come_back():
    for one, other in zip(MELODIES, unpack_melodies(pack_melodies(MELODIES)), strict=True):
        same(one, other)
    assert unpack_melodies(pack_melodies([])) == []


def test_a_missing_title_is_damage():
    arrays = pack_melodies(MELODIES) | {"texts": np.array('[["a"], ["b"], ["c"], ["d"]]')}
    with pytest.raises(DamagedFileError, match="must name 2 melodies"):
        unpack_melodies(arrays)


def test_tunes_are_read_once_and_again_when_the_file_is_damaged(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(collections, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(
        collections, "read_collection", lambda name, repeats: read.append(name) or MELODIES
    )
    load = collections.load_tunes.__wrapped__
    for _ in range(2):
        for one, other in zip(MELODIES, load(("miscFolk",)), strict=True):
            same(one, other)
    assert read == ["miscFolk"]
    (path,) = tmp_path.glob("tunes/*.npz")
    path.write_bytes(path.read_bytes()[:-10])
    load(("miscFolk",))
    assert len(read) == 2


def test_the_key_tells_collections_and_repeats_apart():
    keys = {collections.cache_key("miscFolk", False), collections.cache_key("miscFolk", True)}
    assert len(keys | {collections.cache_key("oneills1850", False)}) == 3
