"""Texts to tune with: captions, words of file names, or none."""

import pytest

from lib.search.collection.text_queries import MOST_TEXTS, text_queries, words_of_name


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a/red_Car-12.jpg", "red car"),
        ("holiday/IMG_2041.JPG", ""),
        ("SunsetAtSea.png", "sunset sea"),
        ("NASALaunch (copy).webp", "nasa launch"),
        ("häuser am Fluß.png", "häuser fluß"),
        ("写真集の人.jpg", "写真集の人"),
        ("PXL_20230101_120000.jpg", ""),
        ("0f3a9c.png", ""),
        ("", ""),
    ],
)
def test_words_of_file_names(path, words):
    assert words_of_name(path) == words


class Fake:
    def __init__(self, captions, paths):
        import pyarrow as pa

        self.table = pa.table({"caption": pa.array(captions, pa.string()), "path": paths})


def test_captions_come_first_and_each_counts_once():
    paths = [f"{i}.png" for i in range(100)]
    texts, source = text_queries(Fake([f" boat {i // 2} " for i in range(100)], paths))
    assert source == "captions" and texts == [f"boat {i}" for i in range(50)]
    texts, source = text_queries(Fake([""] * 99 + [None], ["tree " + "x" * i for i in range(100)]))
    assert source == "words of file names" and "tree xxx" in texts
    texts, source = text_queries(Fake(["a"] * 100, paths))
    assert texts == [] and source == "none: 1 captions and 0 file names with words are too few"


def test_many_texts_are_sampled():
    many = [f"boat {i}" for i in range(MOST_TEXTS + 500)]
    texts, _ = text_queries(Fake(many, many))
    assert len(set(texts)) == MOST_TEXTS and texts != many[:MOST_TEXTS]
    assert texts == text_queries(Fake(many, many))[0]
