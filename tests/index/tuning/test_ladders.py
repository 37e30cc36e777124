"""Builds that are tried: sizes by rule, settings that double, and where they end."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.index.tuning.configs import Config
from lib.index.tuning.ladders import MOST_EF, MOST_RERANK, grown, ladders_for


def names(ladders):
    return [[config.name for config in ladder.builds] for ladder in ladders]


def test_builds_for_a_hundred_thousand_vectors():
    # 4 sqrt(n) gives 1024 lists; 39 vectors a list can train twice as many.
    assert names(ladders_for(100_000, 256, 10)) == [
        ["HNSW16", "HNSW32", "HNSW64"],
        ["IVF1024", "IVF2048"],
        ["IVF1024,PQ32fs,rerank"],
        ["IVF1024,PQ32", "IVF1024,PQ64", "IVF1024,PQ128", "IVF1024,PQ256"],
    ]
    last = ladders_for(100_000, 256, 10)[-1]
    assert last.codes_alone and last.builds[0].n_train == 65_536


def test_what_cannot_be_trained_is_left_out():
    assert names(ladders_for(5_000, 8, 10)) == [["HNSW16", "HNSW32", "HNSW64"], ["IVF128"]]
    assert names(ladders_for(5_000, 8, 10, ["IVF"])) == [["IVF128"]]
    assert ladders_for(5_000, 8, 10, ["Flat"]) == []
    with pytest.raises(RetrievalInputError, match="family must be one of .* Did you mean 'HNSW'"):
        ladders_for(5_000, 8, 10, ["HSNW"])


@pytest.mark.parametrize(
    ("config", "setting", "more"),
    [
        (Config("a", "IVF", {"nlist": 6}), {"nprobe": 2}, {"nprobe": 4}),
        (Config("a", "IVF", {"nlist": 6}), {"nprobe": 4}, {"nprobe": 6}),
        (Config("a", "IVF", {"nlist": 6}), {"nprobe": 6}, None),
        (Config("a", "HNSW"), {"ef_search": 40}, {"ef_search": 80}),
        (Config("a", "HNSW"), {"ef_search": MOST_EF}, None),
        (
            Config("a", "IVF-PQ", {"nlist": 2}),
            {"nprobe": 1, "rerank": 8},
            {"nprobe": 2, "rerank": 8},
        ),
        (
            Config("a", "IVF-PQ", {"nlist": 2}),
            {"nprobe": 2, "rerank": 8},
            {"nprobe": 2, "rerank": 16},
        ),
        (Config("a", "PQ"), {"rerank": MOST_RERANK}, None),
        (Config("a", "Flat"), {}, None),
    ],
)
def test_settings_double_until_their_end(config, setting, more):
    assert grown(config, setting, 10**6) == more


def test_a_graph_is_not_searched_with_more_than_all_vectors():
    assert grown(Config("a", "HNSW"), {"ef_search": 400}, 500) == {"ef_search": 500}


def test_where_more_lists_bring_little_more_is_reranked():
    ladder = ladders_for(100_000, 256, 10, ["IVF-PQ"])[0]
    config = ladder.builds[0]
    assert ladder.grow(config, {"nprobe": 4, "rerank": 8}, False) == {"nprobe": 8, "rerank": 8}
    assert ladder.grow(config, {"nprobe": 4, "rerank": 8}, True) == {"nprobe": 4, "rerank": 32}
    assert ladder.grow(config, {"nprobe": 1024, "rerank": 128}, True) is None
