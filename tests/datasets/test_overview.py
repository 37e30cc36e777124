"""One line on every benchmark: complete, short, and the same in data/README.md."""

import re

import pytest

from lib.core.paths import data_dir
from lib.datasets import registry
from lib.datasets.overview import OVERVIEWS, table_lines

KNOWN = registry.CORPORA | registry.FORMS


def test_every_benchmark_has_one_line_that_fits_eighty_columns():
    assert set(OVERVIEWS) == set(KNOWN)
    for name, one in OVERVIEWS.items():
        assert len(name) <= 13 and len(one.task) <= 42 and len(one.reported) <= 18, name


@pytest.mark.parametrize(
    ("name", "kind", "split", "what"),
    [
        ("coco", "pictures", "test", "images"),
        ("flickr30k", "pictures", "test", "images"),
        ("msrvtt", "clips", "1k-A", "videos"),
        ("activitynet", "videos", "val_1", "videos"),
        ("msvd", "clips", "test", "videos"),
        ("didemo", "films", "test", "videos"),
        ("lsmdc", "clips", "test", "videos"),
        ("vatex", "clips", "test", "videos"),
        ("audiocaps", "sounds", "test", "sounds"),
        ("clotho", "sounds", "evaluation", "sounds"),
    ],
)
def test_sizes_are_the_published_ones(name, kind, split, what):
    size = re.match(r"([\d,]+) " + kind, OVERVIEWS[name].searched)[1]
    module = __import__(f"lib.datasets.{name}", fromlist=["PUBLISHED"])
    assert KNOWN[name].splits[0] == split
    published = module.PUBLISHED
    assert int(size.replace(",", "")) == published.get(split, published)[what]


def test_the_table_of_the_readme_is_this_one():
    text = (data_dir() / "README.md").read_text(encoding="utf-8")
    assert "\n".join(table_lines(KNOWN.values(), registry.FAMILIES)) in text
