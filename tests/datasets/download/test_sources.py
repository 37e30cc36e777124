"""Sources of the benchmarks: complete, consistent, and no number without a source."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.download.sources import choose_files, load_sources, missing_space
from lib.datasets.registry import CORPORA

SOURCES_BY_CORPUS = load_sources()
FILES = [(name, source) for name, source in SOURCES_BY_CORPUS.items() for source in source.files]


def test_every_corpus_has_terms_and_a_way_to_it():
    assert set(CORPORA) <= set(SOURCES_BY_CORPUS)
    for name, source in SOURCES_BY_CORPUS.items():
        assert source.terms.endswith(".") and (source.files or source.by_hand), name
        for step in source.by_hand:
            assert not re.search(r"[{}]", step.replace("{root}", "")), step


@pytest.mark.parametrize(
    "name, source", FILES, ids=[f"{name}-{source.file}" for name, source in FILES]
)
def test_addresses_names_and_checksums_are_of_their_form(name, source):
    address = urlsplit(source.url)
    assert address.hostname and source.seen_in
    assert PurePosixPath(source.file).name == source.file == PurePosixPath(address.path).name
    # Without TLS, only a published checksum says whose bytes arrived.
    assert address.scheme == "https" or (address.scheme == "http" and source.sha256)
    assert source.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", source.sha256)
    assert source.is_archive or not source.members
    if name in CORPORA:
        assert set(source.splits or ()) <= set(CORPORA[name].splits)


def test_no_file_is_offered_twice():
    for source in SOURCES_BY_CORPUS.values():
        files = [source.file for source in source.files]
        assert len(set(files)) == len(files)


def test_a_split_gets_what_it_needs_and_extras_come_by_name():
    coco = SOURCES_BY_CORPUS["coco"]
    assert [source.file for source in choose_files(coco, "test")] == [
        "caption_datasets.zip",
        "val2014.zip",
    ]
    assert "train2014.zip" in [source.file for source in choose_files(coco, "train")]
    assert [source.file for source in choose_files(coco, "test", ("sits_test.csv",))] == [
        "sits_test.csv"
    ]
    with pytest.raises(
        RetrievalInputError, match=r"must be among caption_datasets.*got 'sits\.csv'"
    ):
        choose_files(coco, "test", ("sits.csv",))


def test_archives_need_their_space_twice():
    val, annotations = choose_files(
        SOURCES_BY_CORPUS["coco"], "test", ("val2014.zip", "sits_test.csv")
    )
    assert annotations.size is None
    assert missing_space((val, annotations), 0) == 2 * 6_645_013_297
    assert missing_space((val,), 10**10) == 2 * 6_645_013_297 - 10**10
    assert missing_space((val,), 10**11) == 0
