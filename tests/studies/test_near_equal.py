"""Nearly equal drawings: hand-made drawings, the rows and the sentence."""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.studies import near_equal


def frame_with(*signs):
    """Draw a square frame, uint8 (64, 64), and square signs in it: (row, column, side)."""
    ink = np.zeros((64, 64), np.uint8)
    ink[8:56, 8:56], ink[14:50, 14:50] = 255, 0
    for row, column, side in signs:
        ink[row : row + side, column : column + side] = 255
    return ink


@pytest.fixture
def made(monkeypatch):
    """Four training icons and three test icons made by hand."""
    radius = np.hypot(*np.mgrid[-31.5:32, -31.5:32])
    disc, ring = ((radius < 20) & (radius >= hole) for hole in (0, 16))
    disc, ring = (255 * drawing.astype(np.uint8) for drawing in (disc, ring))
    corpus = SimpleNamespace(
        images=np.stack(
            [
                *(disc, frame_with((20, 20, 4)), ring, frame_with((40, 20, 20))),
                *(frame_with((40, 40, 4)), frame_with((16, 16, 32)), disc[:, ::-1]),
            ]
        ),
        names=("ball", "box-left", "moon", "box-half", "box-right", "full", "coin"),
        positions=lambda split: {"train": np.arange(4), "test": np.arange(4, 7)}[split],
    )
    monkeypatch.setattr(near_equal.icons, "load_icons", lambda: corpus)
    return corpus


def test_frames_that_differ_in_a_small_sign_are_nearly_equal(made):
    correlations, which = near_equal.closest_training_icons("dual encoder")
    assert which[0] == 1 and which[2] == 0
    near = correlations >= near_equal.NEARLY_EQUAL
    assert near.tolist() == [True, False, True] and correlations[2] == pytest.approx(1, abs=1e-5)


def test_pairs_that_share_a_word_are_counted(made):
    # box-right and box-left share a word; coin and ball do not.
    assert near_equal.count_shared_words("dual encoder") == (2, 1)


def test_the_sheet_has_pairs_of_both_sides_of_the_threshold(made, monkeypatch):
    monkeypatch.setattr(near_equal, "PAIRS", 2)
    figure = near_equal.pairs_sheet("dual encoder")
    shown = [ax for ax in figure.axes if ax.images]
    assert len(shown) == 4
    drawn = [np.asarray(ax.images[0].get_array()) for ax in shown]
    np.testing.assert_array_equal(drawn[0], 255 - made.images[4])  # the lowest of the near ones
    np.testing.assert_array_equal(drawn[2], 255 - made.images[5])


def test_a_name_counts_with_one_of_its_pictures():
    qrels = Qrels.from_pairs([0, 0, 1, 2], [0, 1, 2, 0], [3, 3, 3, 1], shape=(3, 3))
    near = np.array([True, False, False])
    # Query 2 has the marked picture for a lower grade alone.
    assert near_equal.names_with(near, qrels, 3).tolist() == [True, False, False]
    assert near_equal.names_with(near, qrels, 1).tolist() == [True, False, True]


@pytest.fixture(scope="module")
def rows():
    return near_equal.near_equal_rows()


def test_both_parts_make_up_all_names(rows):
    assert len(rows) == 2 * 2 * 2
    for model in near_equal.MODELS:
        for metric in near_equal.METRICS:
            found = {
                row["near_equal"]: row
                for row in rows
                if (row["system"], row["metric"]) == (model, metric)
            }
            n = {part: row["n_queries"] for part, row in found.items()}
            assert sum(n.values()) == 1327 and 300 < n["with"] < 600
            assert found["with"]["low"] > found["without"]["high"]
            whole = near_equal.picture_results.both_models()[model]
            mean = sum(n[part] * found[part]["value"] for part in n) / 1327
            assert mean == pytest.approx(hit_rate(whole, int(metric[2:])), abs=1e-9)


def hit_rate(sides, k):
    """Compute the share of names with a hit among the first k, from all names together."""
    task = near_equal.picture_results.load_set_task("icons")
    _, ids = near_equal.topk_exact(*sides, k, metric="cosine")
    hits = [set(task.qrels.row(query)[0][task.qrels.row(query)[1] >= 3]) for query in range(1327)]
    return np.mean([bool(own & set(found)) for own, found in zip(hits, ids.tolist(), strict=True)])


def test_the_table_and_the_sentence_say_what_was_measured(rows):
    lines = near_equal.format_rows(rows)
    assert len(lines) == 4 and set(lines[0]) == {"system", "names", "n", "R@1", "R@10"}
    (row,) = (
        row
        for row in rows
        if (row["system"], row["near_equal"], row["metric"]) == ("pictures", "without", "R@10")
    )
    told = near_equal.sentence_of(rows, (7, 3))
    assert f"is {lines[2]['R@10']} with such a drawing and {100 * row['value']:.1f} [" in told
    assert "in 3 of 7 pairs the names share a word" in told


def test_an_unknown_model_is_refused():
    with pytest.raises(RetrievalInputError, match="dual encoder"):
        near_equal.training_icons("icons")
