"""Loaders of films and sentences: damaged annotations are read or refused, with no traceback."""

import json
import pickle

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.registry import CORPORA

ALL = pytest.mark.parametrize("name", ["msvd", "didemo", "lsmdc", "vatex", "youcook2"])


@ALL
def test_annotations_are_the_same_each_time_and_need_no_clips(name, tmp_path):
    for folder in ("one", "two"):
        CORPORA[name].write_miniature(tmp_path / folder, media=False)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).rglob("*") if path.is_file()}
        for folder in ("one", "two")
    )
    assert first == second and len(first) > 2
    for split in CORPORA[name].splits:
        corpus = CORPORA[name].load(tmp_path / "one", split, need_media=False)
        assert all(count.ok for count in corpus.counts) and corpus.name == f"{name} (miniature)"


@ALL
def test_annotations_that_are_empty_cut_or_of_another_kind_are_read_or_refused(name, tmp_path):
    corpus, root = CORPORA[name], tmp_path / "mini"
    corpus.write_miniature(root, media=False)
    found, tried = [], 0
    for path in sorted(root.iterdir()):
        if path.name == "miniature.json":
            continue
        whole = path.read_bytes()
        others = [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"[[1]]",
            b'{"a": 1}',
            b"[null]",
            b"\xff\0",
            b"\x80\x02N.",
        ]
        others += [
            json.dumps([{"videoID": "a", "enCap": [3]}]).encode(),
            pickle.dumps({1: [["a"]]}),
        ]
        for content in [whole[:-1], whole[: len(whole) // 2], *others]:
            path.unlink()
            path.write_bytes(content)
            for split in corpus.splits[:2]:
                tried += 1
                try:
                    corpus.load(root, split, allow_partial=True, need_media=False)
                except (RetrievalInputError, DamagedFileError, MissingFileError) as error:
                    if str(root) not in str(error) and name not in str(error):
                        found.append((path.name, split, content[:20], f"no name in {error}"))
                except Exception as error:
                    found.append((path.name, split, content[:20], repr(error)))
        path.write_bytes(whole)
    assert not found and tried > 25
