import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies import matryoshka

X = np.array([[3, 4, 0, 12], [0, 0, 5, 0]], dtype=np.int8)  # lengths 13 and 5


def test_first_coordinates_keep_their_integers():
    assert matryoshka.shorten_embeddings(X, 2, "first, normalised again").tolist() == [
        [3, 4],
        [0, 0],
    ]
    assert matryoshka.shorten_embeddings(X, 2, "last, normalised again").tolist() == [
        [0, 12],
        [5, 0],
    ]


def test_not_normalised_keeps_the_length_of_the_part():
    short = matryoshka.shorten_embeddings(X, 2, "first, not normalised")
    np.testing.assert_allclose(short, [[3 / 13, 4 / 13], [0, 0]], rtol=1e-6)


def test_all_coordinates_make_every_cut_the_same_ranking():
    rows = matryoshka.matryoshka_table(
        "icons", dims=(256,), cuts=matryoshka.CUTS, metrics=("R@1", "R@10")
    )
    by_cut = {cut: [r["value"] for r in rows if r["cut"] == cut] for cut in matryoshka.CUTS}
    assert by_cut["first, normalised again"] == by_cut["last, normalised again"]
    # float32 instead of integers may order two items a rounding apart the other way
    np.testing.assert_allclose(
        by_cut["first, not normalised"], by_cut["first, normalised again"], atol=0.003
    )


def test_bytes_and_sizes():
    rows = matryoshka.matryoshka_table("icons", dims=(16, 64), metrics=("R@10",))
    assert [(r["dim"], r["bytes_float32"], r["bytes_int8"]) for r in rows] == [
        (16, 64, 16),
        (64, 256, 64),
    ]
    assert rows[0]["value"] <= rows[1]["high"]


def test_unknown_cut():
    with pytest.raises(RetrievalInputError, match="first, normalised again"):
        matryoshka.shorten_embeddings(X, 2, "middle")


def test_controls_pair_the_prefix_with_what_anyone_can_make_of_an_embedding():
    (row,) = matryoshka.control_table(dims=(32,), draws=1)
    assert row["prefix"][0] == pytest.approx(65.0, abs=0.1) and row["PCA"][0] == pytest.approx(
        66.3, abs=0.3
    )
    low, high = row["prefix - random"][1:]
    assert low > 5 and high < 20  # a rotation alone keeps less, but most of it
    for other in ("PCA", "random", "not normalised"):
        assert row[f"prefix - {other}"][0] == pytest.approx(row["prefix"][0] - row[other][0])


@pytest.mark.slow
def test_twins_differ_in_the_loss_alone():
    rows = matryoshka.trained_pair_table(dims=(16, 128))
    assert [row["dim"] for row in rows] == [16, 128]
    assert rows[0]["with - without"][1] > 0  # the prefix that was trained for finds more
