"""The tables of notebook 04 on embeddings small enough to know what they must say."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.datasets import coco_judgements
from lib.metrics.hubness import INFERENCE
from lib.studies import readme_results
from lib.studies.metrics import evaluation_tables

N, EACH, DIM = 40, 5, 16
OWNER = np.arange(N * EACH) // EACH
TRUTH = Qrels.from_owner(OWNER, N).T


@pytest.fixture(scope="module")
def embeddings():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(N, DIM))
    return image[OWNER] + rng.normal(size=(N * EACH, DIM)), image, rng.normal(size=(60, DIM))


# ---- hub_remedies


def test_remedies_are_compared_with_the_plain_ranking_and_labelled(embeddings):
    text, image, bank = embeddings
    rows = evaluation_tables.hubness_rows(
        evaluation_tables.hubness_runs(text, image, bank), TRUTH, OWNER
    )
    assert [row["inference"] for row in rows] == [
        "inductive",
        "querybank",
        "querybank",
        "transductive",
    ]
    assert rows[0]["change"] == (None, None, None)
    for row in rows[1:]:
        change, low, high = row["change"]
        assert change == pytest.approx(row["R@1"] - rows[0]["R@1"]) and low <= change <= high
    assert {row["inference"] for row in rows} <= set(INFERENCE)
    assert all((row["n_queries"], row["n_gallery"]) == (N * EACH, N) for row in rows)


def test_a_planted_hub_is_tamed_by_a_bank_of_the_same_kind():
    rng = np.random.default_rng(1)
    common = 2 * np.ones(DIM)  # what all texts share
    image = rng.normal(size=(N, DIM))
    asked = [
        image[rng.integers(1, N, 400)] + rng.normal(size=(400, DIM)) + common for _ in range(2)
    ]
    image[0] = common  # an item that is nothing else
    plain, helped, *_ = evaluation_tables.hubness_runs(asked[0], image, asked[1], depth=5)
    first = [np.mean(run.ids[:, 0] == 0) for run in (plain, helped)]
    assert first[0] > 0.5 and first[1] < first[0] / 2


@pytest.mark.parametrize("corpus", ["icons", "scenes"])
def test_a_bank_holds_no_test_query(corpus):
    texts = evaluation_tables.bank_texts(corpus, 300)
    assert len(texts) == 300 and all(isinstance(text, str) for text in texts)
    if corpus == "icons":
        assert not set(texts) & set(readme_results.load_test_task(corpus, "text_to_image").queries)
        assert len(set(texts)) == 300


def test_an_unknown_bank_is_refused():
    with pytest.raises(RetrievalInputError, match="corpus"):
        evaluation_tables.bank_texts("coco")


# ---- judgement_sets


@pytest.fixture(scope="module")
def coco():
    pytest.importorskip("eccv_caption")
    return coco_judgements.load_judgements()


def test_coverage_is_counted_from_the_pairs(coco):
    rows = {
        (row["judgements"], row["direction"]): row for row in evaluation_tables.coverage_rows(coco)
    }
    # 6,296 of 22,548 findable pairs, 8,905 of them by CxC; 1,332 and 1,895 of 11,279.
    assert rows["original", "image_to_text"]["known"] == pytest.approx(6296 / 22548)
    assert rows["cxc", "image_to_text"]["known"] == pytest.approx(8905 / 22548)
    assert rows["original", "text_to_image"]["known"] == pytest.approx(1332 / 11279)
    assert rows["cxc", "text_to_image"]["known"] == pytest.approx(1895 / 11279)
    assert (
        rows["eccv", "text_to_image"]["known"] == 1
        and rows["eccv", "text_to_image"]["readme"] is None
    )
    assert rows["original", "image_to_text"]["positives"] == 5


def test_what_a_ranker_knows_decides_before_which_judge_it_wins(coco):
    rankers = {"pairs": (5.0, 0.0), "meaning": (4.0, 4.0), "all": (30.0, 30.0)}
    rows = {
        (row["judgements"], row["ranker"]): row
        for row in evaluation_tables.judgement_rows(coco, rankers)
    }
    r1, deep = "R@1", "MAP@R"
    assert rows["original", "pairs"][r1][0] > rows["original", "meaning"][r1][2]
    assert rows["eccv", "meaning"][deep][0] > rows["eccv", "pairs"][deep][2]
    assert rows["eccv", "all"][deep] == (1.0, 1.0, 1.0)  # perfect before the judge it listens to
    assert rows["original", "all"][deep][2] < 1
    assert (
        rows["eccv", "pairs"]["n_queries"] == 1261 and rows["eccv", "pairs"]["n_gallery"] == 25_000
    )
