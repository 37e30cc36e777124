"""Two systems on the same queries: the tests that belong to them, and results that must not be
compared.
"""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.metrics import holm, mcnemar_exact, paired_bootstrap_interval, paired_randomization
from lib.studies.published import compare_results, evaluate_rows
from tests.studies.published.corpora import OWNER, corpus, rows

TOYS = corpus()


@pytest.fixture(scope="module")
def systems():
    media, texts = rows()
    worse = texts + 2 * np.random.default_rng(5).normal(size=texts.shape)
    return evaluate_rows(media, texts, TOYS), evaluate_rows(media, worse, TOYS)


def test_rows_are_the_paired_tests(systems):
    a, b = systems
    found = compare_results(a, b, n_resamples=499)
    assert [(row["direction"], row["metric"]) for row in found] == [
        *(("image_to_text", metric) for metric in ("R@1", "R@5", "R@10", "MAP@R")),
        *(
            ("text_to_image", metric) for metric in ("R@1", "R@5", "R@10")
        ),  # one image each: MAP@R is R@1
    ]
    mine, other = (result.direction("text_to_image") for result in systems)
    row = found[4]
    test = paired_randomization(mine.hits(1), other.hits(1), OWNER, n_resamples=499)
    assert (row["difference"], row["p_value"]) == (test.difference, test.p_value)
    assert row["a"] == mine["R@1"].value and row["b"] == other["R@1"].value
    assert (row["low"], row["high"]) == paired_bootstrap_interval(
        mine.hits(1), other.hits(1), OWNER
    )
    split = mcnemar_exact(mine.hits(1), other.hits(1))
    assert (row["only_a"], row["only_b"], row["p_mcnemar"]) == (
        split.only_a,
        split.only_b,
        split.p_value,
    )
    assert (row["n_queries"], row["n_clusters"]) == (108, 20) and found[0]["n_clusters"] == 20
    assert row["difference"] > 0 and row["low"] > 0 and found[1]["p_mcnemar"] is None
    np.testing.assert_allclose([r["p_holm"] for r in found], holm([r["p_value"] for r in found]))


def test_a_system_equals_itself(systems):
    for row in compare_results(systems[0], systems[0], n_resamples=99):
        assert (row["difference"], row["low"], row["high"], row["p_value"], row["p_holm"]) == (
            0,
            0,
            0,
            1,
            1,
        )


def test_one_direction_is_enough(systems):
    a, b = systems
    assert {
        row["direction"] for row in compare_results(a, replace(b, directions=b.directions[:1]))
    } == {"image_to_text"}
    with pytest.raises(RetrievalInputError, match="no direction is in both"):
        compare_results(
            replace(a, directions=a.directions[1:]), replace(b, directions=b.directions[:1])
        )


def test_results_without_a_metric_that_is_tested_are_refused(systems):
    (part,) = systems[0].directions[:1]
    ranks = replace(part, values={"MedR": part.values["MedR"]}, map_at_r=part.hits(1))
    result = replace(systems[0], directions=(ranks,))
    with pytest.raises(RetrievalInputError, match="none of R@1, R@5, R@10 and MAP@R in common"):
        compare_results(result, result)


def test_other_protocols_are_refused_unless_named(systems):
    a, b = systems
    prompted = replace(b, protocol=replace(b.protocol, prompt="a photo of {}", precision="fp16"))
    with pytest.raises(
        RetrievalInputError, match=r"prompt: '' and 'a photo of \{\}'; precision.*allow"
    ):
        compare_results(a, prompted)
    with pytest.raises(RetrievalInputError, match="precision: 'fp32' and 'fp16'"):
        compare_results(a, prompted, allow=["prompt"])
    assert compare_results(a, prompted, allow=["prompt", "precision"], n_resamples=9)
    message = "no column of the protocol is named promt"  # codespell:ignore
    with pytest.raises(RetrievalInputError, match=message):
        compare_results(a, prompted, allow=["promt"])  # codespell:ignore


def test_other_queries_are_refused(systems):
    a, b = systems
    other = evaluate_rows(*rows(), corpus(text_ids=[f"s{i}" for i in range(OWNER.size)]))
    with pytest.raises(RetrievalInputError, match="text_to_image: the queries differ"):
        compare_results(a, other)
    with pytest.raises(RetrievalInputError, match="the corpora differ"):
        compare_results(a, replace(b, corpus_checksum="0" * 64))
