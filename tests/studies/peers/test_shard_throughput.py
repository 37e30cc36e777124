import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.laion.shards import check_shard
from lib.studies.peers import shard_throughput
from lib.studies.peers.harness import format_costs


def test_the_shard_in_the_middle_is_cut(tmp_path):
    reports = [check_shard(path) for path in shard_throughput.write_shards(tmp_path, 3, 20)]
    whole, half, last = (report.samples for report in reports)
    assert whole == last == 20 and 8 <= half <= 12
    assert [bool(report.damage) for report in reports] == [False, True, False]
    assert sum(report.rows for report in reports) == 60


def test_sizes_below_one_are_refused(tmp_path):
    with pytest.raises(RetrievalInputError, match="per_shard must be at least 1"):
        shard_throughput.write_shards(tmp_path, 1, 0)


@pytest.mark.slow
def test_every_sample_that_is_whole_is_encoded_once():
    (row,) = shard_throughput.shard_throughput_table(4, 50)
    assert row["links"] == 200 and row["pairs"] + row["lost"] == 200 and 20 <= row["lost"] <= 30
    assert row["damaged"] == 1 and row["encoded_again"] == 0
    assert row["peak_mb"] < 2000 and row["memory_mb"] < row["peak_mb"]
    (text,) = format_costs([row], shard_throughput.SHOWN)
    assert text["links"] == "200" and list(text)[-1] == "peak_mb"
