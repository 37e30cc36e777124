"""The committed drawings by mouse: form, counts, concepts, and the splits of what they mean."""

from collections import Counter

import numpy as np
import pytest

from lib.core.paths import data_dir
from lib.datasets import emoji, pictures
from lib.datasets.sketches import read_hand_drawn
from lib.datasets.strokes import read_ndjson

PATHS = sorted((data_dir() / "hand_drawn").glob("*.ndjson"))
SIDE = 512  # units of the canvas


@pytest.fixture(scope="module")
def records():
    return [record for path in PATHS for record in read_ndjson(path)]


def test_the_reader_of_quickdraw_reads_them(records):
    assert len(records) == 76 and len({record.key_id for record in records}) == 76
    assert sum(path.stat().st_size for path in PATHS) < 300_000
    for record in records:
        assert set(record.further) == {"concept", "drawer"} and record.country is None
        points, times = record.drawing.points, np.concatenate(record.drawing.times)
        assert points.min() >= 0 and points.max() <= SIDE and np.ptp(points, axis=0).max() > 300
        assert times[0] == 0 and (np.diff(times) >= 0).all() and times[-1] < 60_000
        assert len(points) > 100 and len(record.drawing.strokes) >= 3


def test_every_concept_is_drawn_twice_and_has_its_own_name(records):
    of_concept = Counter(record.further["concept"] for record in records)
    assert len(of_concept) == 38 and set(of_concept.values()) == {2}
    corpus = emoji.load_emoji()
    for record in records:
        place = corpus.codes.index(record.further["concept"])
        assert record.word == corpus.names["en"][place].lower()
    drawn = [one for path in PATHS for one in read_hand_drawn(path)]
    assert [corpus.codes[one.place] for one in drawn] == [r.further["concept"] for r in records]


def test_two_drawings_of_a_concept_differ(records):
    for one, other in zip(records[::2], records[1::2], strict=True):
        assert one.word == other.word
        lengths = [drawing.lengths.tolist() for drawing in (one.drawing, other.drawing)]
        assert lengths[0] != lengths[1]


def test_most_concepts_were_never_trained_on(records):
    corpus, codes = pictures.load_pictures(), emoji.load_emoji().codes
    rows = corpus.positions(sources=["emoji"])
    split_of = dict(zip((codes[p] for p in corpus.places[rows]), corpus.splits[rows], strict=True))
    splits = Counter(split_of[record.further["concept"]] for record in records)
    assert splits == {"test": 56, "test_b": 6, "train": 12, "aside": 2}
