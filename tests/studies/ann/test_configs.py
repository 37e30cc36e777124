"""The grid: sizes by rule, options that the families know, one kind of index per config."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex
from lib.index.tuning.configs import Config, code_bytes
from lib.studies.ann.configs import standard_configs


def test_sizes_follow_the_rules_of_thumb():
    (config,) = standard_configs(100_000, 256, ["IVF"])
    assert config.name == "IVF1024" and config.build == {"nlist": 1024}
    assert config.n_train == 65_536 and [setting["nprobe"] for setting in config.search][-1] == 64
    (small,) = standard_configs(400, 8, ["IVF"])
    assert small.build == {"nlist": 8} and small.n_train == 400
    assert max(setting["nprobe"] for setting in small.search) == 8
    (large,) = standard_configs(10**7, 256, ["IVF"])
    assert large.n_train == 64 * large.build["nlist"]


@pytest.mark.parametrize(
    ("d", "plain", "fast"), [(256, 32, 32), (100, 10, 10), (96, 12, 12), (25, 1, None)]
)
def test_codes_split_the_dimension_evenly(d, plain, fast):
    assert (code_bytes(d), code_bytes(d, 2)) == (plain, fast)


def test_exact_search_comes_first_and_names_are_distinct():
    configs = standard_configs(100_000, 256)
    assert [config.name for config in configs[:2]] == ["Flat", "IVF1"]
    names = [config.name for config in configs]
    assert len(set(names)) == len(names)


def test_what_cannot_be_trained_is_left_out():
    small = standard_configs(9_000, 64)
    assert not any("PQ" in config.index_type for config in small)


def test_a_made_index_has_the_seed_and_the_first_setting():
    config = Config("a", "IVF", {"nlist": 4}, ({"nprobe": 2}, {"nprobe": 3}), seed=7)
    index = config.make(8, "l2")
    assert index.build_options == {"nlist": 4, "seed": 7} and index.search_options == {"nprobe": 2}
    assert isinstance(index, VectorSearchIndex) and index.metric == "l2"
    assert config.identity["seed"] == 7


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a", "IFV"), "index_type must be one of .* Did you mean 'IVF'"),
        (("a", "IVF", {"n_list": 4}), "build option of 'a' must be one of .* Did you mean 'nlist'"),
        (
            ("a", "IVF", {}, ({"probe": 4},)),
            "search option of 'a' must be one of .* Did you mean 'nprobe'",
        ),
        (("a", "IVF", {}, ()), "'a' has no search setting"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_built(arguments, says):
    with pytest.raises(RetrievalInputError, match=says):
        Config(*arguments)


def test_an_unknown_family_is_refused():
    with pytest.raises(RetrievalInputError, match="family must be one of .* Did you mean 'HNSW'"):
        standard_configs(1000, 8, ["HSNW"])
