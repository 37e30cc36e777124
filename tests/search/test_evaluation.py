"""Embeddings of a task, metrics of a run by its qrels, and the recall ceiling of a first stage."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.metrics import evaluate, hit_rate_at_k
from lib.metrics.geometry import to_int8
from lib.search import Run, encode_task, evaluate_run, evaluate_task, recall_ceiling
from tests.models.toy import WORDS, toy_encoder, toy_images


@pytest.fixture(scope="module")
def encoder():
    return toy_encoder()


def task_of(queries, gallery, direction, qrels=None, **options):
    qrels = qrels or Qrels.from_owner(np.arange(len(gallery)) % len(queries), len(queries))
    return RetrievalTask("toy", "test", direction, queries, gallery, qrels, **options)


def test_encodes_both_sides_of_a_task(encoder):
    images = toy_images(4)
    texts, pixels = to_int8(encoder.encode_text(WORDS)), to_int8(encoder.encode_image(images))
    for task, expected in (
        (task_of(WORDS, images, "text_to_image"), (texts, pixels)),
        (task_of(images, WORDS, "image_to_text"), (pixels, texts)),
    ):
        for result, rows in zip(encode_task(encoder, task), expected, strict=True):
            np.testing.assert_array_equal(result, rows)


def test_refuses_a_modality_the_encoder_does_not_read(encoder):
    with pytest.raises(
        RetrievalInputError, match="modality must be one of 'text', 'image', .*; got 'audio'"
    ):
        encode_task(encoder, task_of(WORDS, toy_images(4), "text_to_audio"))


def test_evaluates_a_task_by_hand():
    # Query 0 ranks 0, 2, 1; query 1 ranks 1, 2, 0. Right is item 2 (grade 1) and item 1 (grade 2).
    queries, gallery = (
        np.eye(3, dtype=np.float32)[:2],
        np.float32([[1, 0, 0], [0, 1, 0], [1, 1, 0]]),
    )
    qrels = Qrels.from_pairs([0, 1], [2, 1], [1, 2], shape=(2, 3))
    task = task_of(
        ["a", "b"], ["x", "y", "z"], "text_to_text", qrels, query_groups=np.array([0, 1])
    )
    report = evaluate_task(queries, gallery, task)
    assert report.mean("R@1") == 0.5 and report.n_queries == 2 and report.n_gallery == 3
    assert report.mean("MRR@3") == pytest.approx((1 / 2 + 1) / 2)
    assert set(report.per_query) >= {"R@1"} and "R@5" not in report.per_query  # the gallery holds 3
    assert evaluate_task(queries, gallery, task, depth=1).mean("MRR@1") == 0.5
    row = report.rows()[0]
    assert (row["split"], row["direction"]) == ("test", "text_to_text")


def test_a_run_is_judged_as_its_ids_are():
    task = task_of(["a", "b"], ["x", "y", "z"], "text_to_text")
    scores, ids = np.float32([[3, 2, 2], [1, 0, -1]]), np.array([[0, 1, 2], [2, 1, 0]])
    run = Run.of_one_stage(scores, ids, "cosine")
    options = {"ks": (1,), "name": "toy", "split": "test", "direction": "text_to_text"}
    result, expected = evaluate_run(run, task), evaluate((scores, ids), task.qrels, **options)
    assert result.rows() == evaluate_run((scores, ids), task).rows()
    assert result.mean("R@1") == expected.mean("R@1") == 0.5
    assert "R@5" not in result.per_query  # the run is 3 deep


def test_scores_that_rise_where_two_stages_meet_do_not_stop_the_metrics():
    # Logits -4 and -4 (a tie), then cosines 0.9 and 0.8; only the tie within a stage counts as one.
    scores, ids = np.float32([[-4, -4, 0.9, 0.8]]), np.array([[1, 3, 0, 2]])
    run = Run(scores, ids, np.int8([[2, 2, 1, 1]]), ("cosine", "logit"))
    assert run.ranked[0].tolist() == [[0, 0, -1, -2]]

    task = task_of(["a"], list("wxyz"), "text_to_text", Qrels.from_pairs([0], [3], shape=(1, 4)))
    report = evaluate_run(run, task, ks=(1, 2))
    assert report.mean("R@1") == 0 and report.mean("R@2") == 1
    assert report.bounds["R@1"] == (0, 1) and report.tie_share == 1


def test_equal_scores_of_two_stages_are_no_tie():
    run = Run(np.float32([[0.5, 0.5]]), np.array([[1, 0]]), np.int8([[2, 1]]), ("cosine", "logit"))
    assert run.ranked[0].tolist() == [[0, -1]]


# ---- the ceiling


def test_recall_ceiling_by_hand():
    # First answers at ranks 1, 3 and nowhere.
    run = Run.of_one_stage(
        np.float32([[3, 2, 1]] * 3), np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2]]), "cosine"
    )
    qrels = Qrels.from_pairs([0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 2, 2], shape=(3, 4))
    assert recall_ceiling(run, qrels, [0, 1, 2, 3]).tolist() == pytest.approx(
        [0, 1 / 3, 1 / 3, 2 / 3]
    )
    assert recall_ceiling(run, qrels, [1, 2], hit_grade=2).tolist() == pytest.approx([0, 1 / 3])


def test_recall_ceiling_is_the_hit_rate_of_the_first_stage():
    rng = np.random.default_rng(0)
    ids = rng.permuted(np.tile(np.arange(30), (20, 1)), axis=1)[:, :12]
    qrels = Qrels.from_pairs(np.arange(20).repeat(2), np.tile([3, 8], 20), shape=(20, 30))
    run = Run.of_one_stage(-np.arange(240, dtype=np.float32).reshape(20, 12), ids, "cosine")
    expected = [hit_rate_at_k(ids, qrels, depth).mean() for depth in range(1, 13)]
    np.testing.assert_allclose(recall_ceiling(run, qrels, range(1, 13)), expected)


def test_recall_ceiling_refuses_what_the_run_cannot_say():
    run = Run.of_one_stage(np.float32([[2, 1]]), np.array([[0, 1]]), "cosine")
    qrels = Qrels.from_pairs([0], [0], shape=(1, 2))
    with pytest.raises(RetrievalInputError, match=r"depth 3 is outside 0..2"):
        recall_ceiling(run, qrels, [1, 3])
    with pytest.raises(RetrievalInputError, match="whole numbers, got float64"):
        recall_ceiling(run, qrels, [0.5])
    empty = Qrels.from_pairs([], [], shape=(1, 2))
    with pytest.raises(RetrievalInputError, match="no relevant item"):
        recall_ceiling(run, empty, [1])
    assert recall_ceiling(run, empty, [1], no_relevant="zero").tolist() == [0]
