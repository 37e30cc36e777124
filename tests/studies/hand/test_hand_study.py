"""Characters, pairs, fit and test: by hand, and on drawings whose hand is known."""

import numpy as np
import pytest

from lib.datasets.strokes import Drawing, fit_box, resample_to
from lib.datasets.strokes.hand import Hand, deform_drawings
from lib.studies.hand import characters, fitting, pairs, two_sample

HAND = Hand(rotation=0.1, aspect=0.15, shear=0.1, warp=0.03, jitter=0.01, stroke_shift=0.02)


def prototypes(n, seed=0):
    """Drawings of two to four strokes of three or four points on a grid."""
    rng = np.random.default_rng(seed)
    return [
        Drawing(
            tuple(
                rng.permutation(25)[: rng.integers(3, 5), None] // [5, 1] % 5.0
                for _ in range(rng.integers(2, 5))
            )
        )
        for _ in range(n)
    ]


def drawn_by_people(n_characters, n_people, hand=HAND):
    return [
        deform_drawings([prototype] * n_people, hand, [i])
        for i, prototype in enumerate(prototypes(n_characters))
    ]


# ---- characters


def test_shuffled_drawings_are_grouped_by_character():
    people = drawn_by_people(24, 20)
    flat = [drawing for part in people for drawing in part]
    order = np.random.default_rng(1).permutation(len(flat))
    groups, sizes = characters.find_characters([flat[i] for i in order], log=lambda text: None)
    assert len(groups) >= 18 and set(sizes) == set(range(12, 29))
    pure = [len(np.unique(order[group] // 20)) == 1 for group in groups]
    assert np.mean(pure) > 0.9


def test_directions_of_a_horizontal_and_an_upright_line():
    lines = [Drawing(([[0, 0], [10, 0]],)), Drawing(([[0, 0], [0, 10]],))]
    maps = characters.direction_features(lines).reshape(2, characters.DIRECTIONS, -1)
    np.testing.assert_allclose((maps**2).sum(axis=(1, 2)), 1, rtol=1e-5)
    assert (maps[0] ** 2).sum(axis=1).argmax() == 0
    assert (maps[1] ** 2).sum(axis=1).argmax() == characters.DIRECTIONS // 2


def test_shared_neighbours_by_hand():
    """0, 1, 2 name each other, 3 names 0 and 1, and is named by none."""
    shared = characters.shared_neighbours(np.array([[1, 2], [0, 2], [0, 1], [0, 1]])).toarray()
    np.testing.assert_array_equal(shared[:3, :3], 3 * (1 - np.eye(3)))
    assert (shared[3] == 0).all()
    labels = characters.joined(characters.shared_neighbours(np.array([[1], [0], [3], [2]])), 2)
    assert labels[0] == labels[1] != labels[2] == labels[3]
    (one, two) = characters.group_members(labels, 2, 2)
    assert one.tolist() == [0, 1] and two.tolist() == [2, 3]


def test_nearest_rows_do_not_name_themselves():
    rows = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], dtype=np.float32)
    assert [sorted(row) for row in characters.nearest(rows, 1, block=3)] == [[1], [0], [1], [2]]


# ---- pairs


def test_an_affine_map_is_measured_and_leaves_no_rest():
    (one,) = pairs.stroke_points(prototypes(1))
    angle, stretch, slope = 0.1, 0.2, 0.05
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    form = np.array([[np.exp(stretch / 2), slope], [0, np.exp(-stretch / 2)]])
    (found,) = pairs.pair_statistics(one[None], (one @ (turn @ form).T)[None])
    np.testing.assert_allclose(found[:3], [angle, stretch, slope], atol=1e-9)
    np.testing.assert_allclose(found[[3, *pairs.IN_BANDS, -1]], 0, atol=1e-9)


def test_strokes_are_matched_whatever_their_order_and_direction():
    (one,) = pairs.stroke_points(prototypes(3)[2:])
    others = np.stack([one[::-1, ::-1], one])
    np.testing.assert_array_equal(pairs.matched(np.stack([one, one]), others), [one, one])


def test_points_lie_at_equal_distances_along_each_stroke():
    corner = Drawing(([[0, 0], [0, 0], [2, 0], [2, 2]], [[1, 1]]))
    line, dot = pairs.stroke_points([corner, Drawing(([[0, 0], [31, 0]],))])[0]
    expected = resample_to(fit_box(corner, 1.0, centre=True), pairs.N_POINTS).strokes[0]
    np.testing.assert_allclose(line, expected, atol=1e-9)
    np.testing.assert_allclose(dot, np.full((32, 2), 0.5), atol=1e-9)


def test_bands_by_hand():
    """A cosine with three half periods along a line is slow, one with sixteen is fast."""
    x = np.linspace(0, 1, pairs.N_POINTS)
    line = np.stack([x, np.zeros_like(x)], axis=1)[None]
    at = (np.arange(pairs.N_POINTS) + 0.5) / pairs.N_POINTS
    for periods, band in ((3, "slow"), (16, "fast")):
        waved = line.copy()
        waved[0, :, 1] += 0.05 * np.cos(np.pi * periods * at)
        found = dict(zip(pairs.NAMES, pairs.pair_statistics(line[None], waved[None])[0]))
        assert found[band] == pytest.approx(0.05 / np.sqrt(2), rel=0.02)
        assert np.isnan(found["shift"])


def test_far_drawings_are_not_compared():
    rng = np.random.default_rng(0)
    ones, others = rng.random((2, 4, 3, 32, 2))
    assert np.isnan(pairs.pair_statistics(ones, others)).all()


def test_pairs_are_compared_whatever_their_number_of_strokes():
    """Many pairs at once give what each gives alone; other numbers of strokes give nan."""
    drawings = [drawing for people in drawn_by_people(6, 2) for drawing in people]
    couples = [*zip(drawings[::2], drawings[1::2]), (drawings[0], Drawing(([[0, 0], [1, 1]],)))]
    together = pairs.compare(couples)
    alone = [pairs.compare([couple])[0] for couple in couples]
    np.testing.assert_allclose(together, alone, atol=1e-9)
    assert np.isfinite(together[:-1, 0]).any() and np.isnan(together[-1]).all()


def test_counts_by_hand():
    whole = Drawing(([[0, 0], [10, 0]],))
    lifted = Drawing(([[0, 0], [4, 0]], [[5, 0], [10, 0]]))
    lifts, bare, gap = pairs.count_statistics([(whole, lifted)])
    assert (lifts, bare) == (1, 0) and gap == pytest.approx(0.1)
    cross = Drawing(([[0, 0], [10, 0]], [[5, -5], [5, 5]]))
    assert pairs.count_statistics([(whole, cross)])[1] == pytest.approx(0.19, abs=0.03)
    assert np.isnan(pairs.count_statistics([(whole, whole)])[2])


# ---- fit


def test_only_pairs_with_the_usual_number_of_strokes_are_compared():
    drawings = [prototypes(1)[0]] * 5 + [Drawing(([[0, 0], [1, 1]],))]
    found = pairs.comparable_pairs(drawings, 100, 0)
    assert sorted(found) == [(a, b) for a in range(5) for b in range(a + 1, 5)]
    assert len(pairs.comparable_pairs(drawings, 3, 0)) == 3


@pytest.mark.slow
def test_a_known_hand_is_found_again():
    true = Hand(rotation=0.08, aspect=0.15, shear=0.08, stroke_shift=0.03, stroke_scale=0.08,
                overshoot=0.04, warp=0.03, warp_length=0.4, jitter=0.012, jitter_length=0.08,
                drop=0.05, gap_rate=0.05, gap_length=0.05, care=0.3)  # fmt: skip
    fit = fitting.fit_hand(drawn_by_people(24, 16, true), log=lambda text: None)
    for name in ("rotation", "aspect", "stroke_shift", "stroke_scale", "overshoot", "warp",
                 "jitter", "care"):  # fmt: skip
        assert getattr(fit.hand, name) == pytest.approx(getattr(true, name), rel=0.35)
    inside = [low <= getattr(true, name) <= high for name, (low, high) in fit.intervals.items()]
    assert len(inside) == len(fitting.FITTED) and sum(inside) >= 12
    for name, value in fit.human.items():
        if name not in ("gap", "lifts"):
            assert fit.generated[name] == pytest.approx(value, rel=0.2)


def test_an_interval_is_wide_where_statistics_say_nothing():
    """One residual follows log p with the slope 50; the other parameter has the prior alone."""
    slopes = np.diag([50.0, 1 / fitting.PRIOR])
    found = fitting._intervals(("a", "b"), np.array([0.1, 0.1]), np.array([1.0, 2.0]), slopes)
    assert found["a"] == pytest.approx((0.1 * np.exp(-0.0392), 0.1 * np.exp(0.0392)), rel=1e-4)
    width = fitting.Z_95 * fitting.PRIOR / 2
    assert found["b"] == pytest.approx((0.2 * np.exp(-width), 0.2 * np.exp(width)))


def test_means_leave_out_what_is_missing():
    rows = np.array([[1.0, np.nan], [3.0, 2.0]])
    np.testing.assert_allclose(fitting.log_means(rows), np.log([2, 2]))


# ---- two-sample test


def test_a_classifier_learns_a_square():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((600, 2))
    labels = (rows**2).sum(axis=1) > 1.5
    scores = two_sample.classifier_scores(rows[:400], labels[:400], rows[400:])
    assert two_sample.auroc(scores[labels[400:]], scores[~labels[400:]]) > 0.95


def test_equal_hands_cannot_be_told_and_others_can():
    hands = [(16, HAND), (18, HAND), (16, HAND.only("jitter"))]
    features = [
        two_sample.pair_features([list(zip(part[::2], part[1::2])) for part in people])
        for people in (drawn_by_people(24, n_people, hand) for n_people, hand in hands)
    ]
    auc, low, high = two_sample.two_sample_auc(features[0], features[1])
    assert low < 0.55 and high > 0.45 and abs(auc - 0.5) < 0.15
    assert two_sample.two_sample_auc(features[0], features[2])[1] > 0.85


def test_the_compared_hands():
    systems = two_sample.systems_of(HAND)
    assert systems["no deformation"] == Hand() and systems["fitted"] == HAND
    assert systems["without warp"] == HAND.without("warp") and len(systems) == 13
