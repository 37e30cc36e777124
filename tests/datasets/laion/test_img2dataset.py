import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets.laion import shards as img2dataset
from lib.datasets.laion.shards import LinkRow, Shard, check_shard, shard_paths
from lib.datasets.miniatures.laion import FAILURES, SCHEMA, cut, write_shard, write_tar

PICTURES = np.zeros((5, 8, 8, 3), np.uint8)
CAPTIONS = [f"caption {i}" for i in range(5)]
FAILED = {1: "failed_to_download", 3: "failed_to_resize"}


@pytest.fixture
def tar(tmp_path):
    return write_shard(tmp_path, 0, PICTURES, CAPTIONS, FAILED)


def test_three_of_five_links_gave_a_sample(tar):
    shard = Shard(tar)
    found = {sample.key: (row.caption, sample.caption(), row.url) for sample, row in shard}
    assert found == {
        f"00000000{i}": (f"caption {i}", f"caption {i}", f"https://example.org/0/{i}.jpg")
        for i in (0, 2, 4)
    }
    assert shard.rows["000000003"] == LinkRow(
        "failed_to_resize", "https://example.org/0/3.jpg", "caption 3", FAILURES["failed_to_resize"]
    )
    assert shard.report.ok and shard.report.rows == 5 and shard.successes == 3
    assert shard.report.text() == (
        "00000.tar: found 3 of 3 samples; 5 links, of them 1 failed_to_download, 1 failed_to_resize"
    )


def rewrite(tar, change):
    path = tar.with_suffix(".parquet")
    pq.write_table(change(pq.read_table(path)), path)


def test_rows_are_joined_by_key_whatever_their_order(tar):
    rewrite(tar, lambda table: table.take([4, 1, 0, 3, 2]))
    shard = Shard(tar)
    assert all(sample.caption() == row.caption for sample, row in shard) and shard.report.ok


def test_rows_without_samples_and_samples_without_rows(tar):
    other = write_shard(tar.parent / "other", 0, PICTURES, CAPTIONS, {0: "failed_to_download"})
    tar.write_bytes(other.read_bytes())  # has 1 to 4; the table has successes 0, 2, 4
    shard = Shard(tar)
    rows = {sample.key: row for sample, row in shard}
    assert [key for key, row in rows.items() if row is None] == ["000000001", "000000003"]
    report = shard.report
    assert report.without_row == ["000000001", "000000003"] and report.without_sample == [
        "000000000"
    ]
    assert not report.ok
    assert "1 downloaded according to the table, not in the tar: 000000000" in report.text()
    assert (
        "2 in the tar, not downloaded according to the table: 000000001, 000000003" in report.text()
    )


def test_a_cut_shard_is_told_by_its_table(tar):
    cut(tar, next(iter(Shard(tar)))[0].offsets["json"] + 2000)  # in the second sample
    report = check_shard(tar)
    assert report.tar.damage and report.tar.samples == 1 and len(report.without_sample) == 2
    assert "found 1 of 3 samples" in report.text() and "is incomplete and left out" in report.text()


def test_without_a_table_the_samples_are_read_all_the_same(tar):
    tar.with_suffix(".parquet").unlink()
    shard = Shard(tar)
    assert [row for _, row in shard] == [None] * 3
    assert (
        shard.report.ok
        and shard.report.text() == "00000.tar: found 3 samples; no table of the links"
    )


def test_statistics_are_compared_with_the_table(tar):
    path = tar.with_name("00000_stats.json")
    stats = json.loads(path.read_text())
    path.write_text(json.dumps(stats | {"successes": 4, "failed_to_resize": 0}))
    assert check_shard(tar).problems == [
        "00000_stats.json says 4 successes, the table has 3",
        "00000_stats.json says 0 failed_to_resize, the table has 1",
    ]
    path.write_text("{")
    assert "00000_stats.json cannot be read" in check_shard(tar).text()


def test_the_table_has_the_columns_of_img2dataset(tar):
    assert pq.read_schema(tar.with_suffix(".parquet")).equals(SCHEMA)
    (first, *_) = Shard(tar)
    assert list(first[0].notes()) == SCHEMA.names


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda table: table.take([0, 1, 1]),
            "row 2: the key '000000001' must be text, and occur once",
        ),
        (lambda table: table.drop_columns(["status"]), "no column 'status'"),
        (None, "is no Parquet file"),
    ],
)
def test_samples_are_read_when_the_table_cannot_be_used(tar, change, problem):
    if change is None:
        cut(tar.with_suffix(".parquet"), 500)
    else:
        rewrite(tar, change)
    shard = Shard(tar)
    assert [row for _, row in shard] == [None] * 3
    assert not shard.report.ok and "00000.parquet" in shard.report.problems[0]
    assert problem in shard.report.text() and not shard.report.without_row


def test_a_table_that_would_not_fit_is_not_read(tar, monkeypatch):
    monkeypatch.setattr(img2dataset, "MAX_ROWS", 4)
    assert check_shard(tar).problems == ["00000.parquet has 5 rows, at most 4 are read"]


def test_a_long_list_of_refusals_is_cut_for_reading(tmp_path):
    report = check_shard(
        write_tar(tmp_path / "00000.tar", [(f"../{i}.jpg", b"") for i in range(7)])
    )
    assert len(report.tar.refused) == 7 and report.text().count("refused '") == 5
    assert "refused 2 more members" in report.text()


def test_shards_of_a_folder(tar, tmp_path):
    write_shard(tmp_path, 11, PICTURES[:1], CAPTIONS[:1])
    assert [path.name for path in shard_paths(tmp_path)] == ["00000.tar", "00011.tar"]
    with pytest.raises(MissingFileError, match="no shards"):
        shard_paths(tmp_path / "nowhere")


def test_links_out_of_the_folder_are_refused(tar, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "00000.tar").symlink_to(tar)
    with pytest.raises(RetrievalInputError, match="by a link"):
        shard_paths(inner)
    (inner / "00000.tar").unlink()
    (inner / "00000.tar").write_bytes(tar.read_bytes())
    (inner / "00000.parquet").symlink_to(tar.with_suffix(".parquet"))
    with pytest.raises(RetrievalInputError, match="by a link"):
        Shard(inner / "00000.tar")
