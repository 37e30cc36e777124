import hashlib

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets.laion import ShardPictures, load_laion, same_captions
from lib.datasets.laion.shards import check_shard
from lib.datasets.miniatures.laion import TWIN
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laion") / "mini"
    CORPORA["laion"].write_miniature(folder)
    return folder


@pytest.fixture(scope="module")
def corpus(root):
    return CORPORA["laion"].load(root, CORPORA["laion"].splits[0])


def test_identical_captions_are_relevant_to_each_others_pictures():
    qrels = same_captions(["b", "a", "b", "c", "b"])
    rows = [qrels.row(i)[0].tolist() for i in range(5)]
    assert rows == [[0, 2, 4], [1], [0, 2, 4], [3], [0, 2, 4]]
    assert qrels == qrels.T and qrels.max_grade == 1


def test_the_miniature_loads_whole(corpus):
    assert corpus.name == "laion (miniature)" and corpus.captions == "one per picture"
    assert [count.text() for count in corpus.counts] == [
        "found 50 of 50 samples"
    ] and not corpus.missing
    twins = [f"0000100{TWIN - 1:02d}", f"0000100{TWIN:02d}"]
    first, second = (corpus.item_ids.index(key) for key in twins)
    assert corpus.qrels.row(first)[0].tolist() == [first, second]
    assert corpus.qrels.items.size == 50 + 2
    task = corpus.task("text_to_image")
    assert len(task.queries) == len(task.gallery) == 50 and task.hit_grade == 1


def test_pictures_are_read_from_their_place_in_the_shard(corpus):
    assert corpus.media.names[3] == "00001.tar/000010000.jpg"
    assert all(
        corpus.media[i].size == (64, 64) and corpus.media[i].mode == "RGB" for i in (0, 3, 49)
    )
    part = corpus.take_items([49, 3])
    assert isinstance(part.media, ShardPictures) and part.item_ids == (
        corpus.item_ids[49],
        corpus.item_ids[3],
    )
    assert np.array_equal(part.media[1], corpus.media[3])
    assert corpus.media[1:3].names == corpus.media.names[1:3]
    assert part.checksum() != corpus.checksum() == corpus.checksum()


def test_the_miniature_is_the_same_bytes_each_time(root, tmp_path):
    CORPORA["laion"].write_miniature(tmp_path / "again")

    def digests(folder):
        return {
            path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*.*")
            if path.is_file()
        }

    assert digests(root) == digests(tmp_path / "again") and len(digests(root)) == 13


def test_a_folder_of_shards_alone_is_enough(root):
    corpus = load_laion(root / "shards")
    assert corpus.name == "laion" and len(corpus.item_ids) == 50


def test_what_cannot_be_used_is_refused_or_named(root):
    with pytest.raises(
        RetrievalInputError, match=r"found 7 of 16 samples; first missing: 00002\.tar/000020005"
    ):
        load_laion(root / "damaged")
    corpus = load_laion(root / "damaged", allow_partial=True)
    assert corpus.item_ids == (*(f"00002000{i}" for i in range(5)), "000030000", "000030009")
    reasons = "\n".join(corpus.missing)
    for what in (
        "00002.tar/000020005 (not in the tar)",
        "00002.tar is damaged in or behind '000020005.jpg'",
        "00003.tar/000030001 (sample '000030001' lacks a caption",
        "00003.tar/000030002 (the caption of sample '000030002' is blank",
        "00003.tar/000030003 (the picture of sample '000030003' is too large",
        "00003.tar/000030008 (the picture of sample '000030008' cannot be decoded",
        "member '../000030004.jpg' (the name",
        "member '/tmp/000030005.jpg' (the name",
        "member '000030006.jpg' (it is a link",
        "member '000030007.jpg' (it is a link",
    ):
        assert what in reasons
    assert len(corpus.missing) == 14


def test_damage_raises_even_when_no_table_says_what_is_missing(root, tmp_path):
    content = (root / "shards" / "00001.tar").read_bytes()
    (tmp_path / "00001.tar").write_bytes(content[: len(content) // 2 // 512 * 512])
    assert check_shard(tmp_path / "00001.tar").damage
    with pytest.raises(
        RetrievalInputError, match=r"found \d+ of \d+ samples; first missing: 00001\.tar \("
    ):
        load_laion(tmp_path)


def test_a_table_that_cannot_be_used_is_named(root, tmp_path):
    (tmp_path / "00000.tar").write_bytes((root / "shards" / "00000.tar").read_bytes())
    (tmp_path / "00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        RetrievalInputError, match=r"00000\.tar \(00000\.parquet is no Parquet file"
    ):
        load_laion(tmp_path)
    assert len(load_laion(tmp_path, allow_partial=True).item_ids) == 3


def test_a_missing_shard_of_the_miniature_is_noticed(root, tmp_path):
    (tmp_path / "shards").mkdir()
    for name in ("miniature.json", "shards/00001.tar", "shards/00001.parquet"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    with pytest.raises(RetrievalInputError, match="found 47 of 50 samples"):
        load_laion(tmp_path)


def test_bad_input(tmp_path):
    with pytest.raises(MissingFileError, match="no shards"):
        load_laion(tmp_path)
    with pytest.raises(RetrievalInputError, match="split must be one of 'shards'"):
        load_laion(tmp_path, "test")


def test_captions_that_nearly_all_pictures_share_are_refused_before_they_fill_the_memory():
    with pytest.raises(
        RetrievalInputError, match="got 400,000,001; 20,000 pictures have the caption 'pic'"
    ):
        same_captions(["other", *["pic"] * 20_000])
