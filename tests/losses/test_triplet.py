"""Triplet losses and mining against loops, peers and gradcheck; wrong forms are caught."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.losses import (
    infonce_loss,
    mine_triplets,
    mined_triplet_loss,
    triplet_cosine_gradient,
    triplet_loss,
)
from tests.losses.batches import gradients, mined_by_hand, pairs

DIRECTIONS = ("query_to_key", "key_to_query", "both")
MINING = ("all", "semi_hard", "hard")
REDUCTIONS = ("mean", "sum", "active")


def noisy_pairs(n=12, dim=4, seed=0, dtype=torch.float64):
    """Keys near their queries, so that every kind of triplet occurs: solved, in the band, and
    wrong.
    """
    query, noise = pairs(n, dim=dim, seed=seed, dtype=dtype)
    return query, F.normalize(query + 0.7 * noise, dim=1)


def one_direction(cosines, margin, mining, same):
    """Hinges of the mined triplets, one number at a time."""
    hinges = []
    for i, row in enumerate(cosines):
        wrong = mined_by_hand(row, i, margin, mining, same)
        hinges += [max(0.0, margin + row[j] - row[i]) for j in wrong]
    return hinges


def by_hand(query, key, margin, mining, direction="query_to_key", same=None, reduction="mean"):
    cosines = query @ key.T
    hinges = []
    if direction != "key_to_query":
        hinges += one_direction(
            cosines.tolist(), margin, mining, None if same is None else same.tolist()
        )
    if direction != "query_to_key":
        hinges += one_direction(
            cosines.T.tolist(), margin, mining, None if same is None else same.T.tolist()
        )
    count = {"mean": len(hinges), "sum": 1, "active": sum(h > 0 for h in hinges)}[reduction]
    return sum(hinges) / max(count, 1)


def vse_plus_plus(query, key, margin=0.2):
    """Equation 6 of the paper summed over the batch: for each pair the worst key plus the worst
    query.
    """
    total, n = 0.0, len(query)
    for i in range(n):
        right = float(query[i] @ key[i])
        total += max(
            max(0.0, margin + float(query[i] @ key[j]) - right) for j in range(n) if j != i
        )
        total += max(
            max(0.0, margin + float(query[j] @ key[i]) - right) for j in range(n) if j != i
        )
    return total


def assert_same_loss_and_gradient(ours, theirs, *inputs, tolerance):
    for mine, other in zip(gradients(ours, *inputs), gradients(theirs, *inputs)):
        torch.testing.assert_close(mine, other, rtol=0, atol=tolerance)


# ---- values


def test_three_triplets_worked_by_hand():
    # Cosines with the anchor: positive 0.8, 0.6, 0; negative 0.6, 0.8, 1. Hinges at 0.1: 0, 0.3,
    # 1.1.
    anchor = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(3, 2)
    positive = torch.tensor([[0.8, 0.6], [0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
    negative = torch.tensor([[0.6, 0.8], [0.8, 0.6], [1.0, 0.0]], dtype=torch.float64)
    found = [triplet_loss(anchor, positive, negative, 0.1, reduction=r).item() for r in REDUCTIONS]
    assert found == pytest.approx([1.4 / 3, 1.4, 0.7], abs=1e-12)


def test_mined_on_four_pairs_worked_by_hand():
    # The rows of `key` are unit axes, so the cosines are the rows of `query`.
    query = torch.tensor(
        [[0.8, 0.6, 0, 0], [0.6, 0.64, 0.48, 0], [0, 0, 1, 0], [0.48, 0.6, 0, 0.64]]
    ).double()
    key = torch.eye(4, dtype=torch.float64)
    # Hinges at margin 0.1. Row 1: 0.06. Row 3: 0.06. Rows 0 and 2 keep the margin.
    assert mined_triplet_loss(query, key, 0.1, "hard", reduction="sum").item() == pytest.approx(
        0.12
    )
    assert mined_triplet_loss(query, key, 0.1, "hard").item() == pytest.approx(0.03)
    assert mined_triplet_loss(query, key, 0.1, "hard", reduction="active").item() == pytest.approx(
        0.06
    )
    # Column 1 is the only one to break it: 0.1 + 0.6 - 0.64, twice (queries 0 and 3).
    assert mined_triplet_loss(
        query, key, 0.1, "all", direction="key_to_query", reduction="sum"
    ).item() == pytest.approx(0.12)
    assert mined_triplet_loss(
        query, key, 0.1, "all", direction="both", reduction="sum"
    ).item() == pytest.approx(0.24)


@pytest.mark.parametrize("mining", MINING)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_equals_the_loop(mining, direction, reduction):
    same = torch.rand(12, 12, generator=torch.Generator().manual_seed(3)) < 0.2
    for mask in (None, same):
        query, key = noisy_pairs()
        options = dict(direction=direction, same=mask, reduction=reduction)
        expected = by_hand(query, key, 0.2, mining, **options)
        found = mined_triplet_loss(query, key, 0.2, mining, **options)
        assert found.item() == pytest.approx(expected, rel=1e-12)


def test_more_keys_than_queries():
    query, key = pairs(3, 7)
    expected = by_hand(query, key, 0.2, "hard")
    assert mined_triplet_loss(query, key, 0.2, "hard").item() == pytest.approx(expected, rel=1e-12)


def test_mined_is_the_plain_loss_on_the_triplets_it_mined():
    query, key = noisy_pairs()
    cosines = query @ key.T
    hardest = (cosines - 10 * torch.eye(12)).argmax(dim=1)
    torch.testing.assert_close(
        mined_triplet_loss(query, key, mining="hard"), triplet_loss(query, key, key[hardest])
    )


# ---- relations


def test_hard_and_summed_over_both_directions_is_vse_plus_plus():
    query, key = noisy_pairs()
    found = mined_triplet_loss(query, key, 0.2, "hard", direction="both", reduction="sum")
    assert found.item() == pytest.approx(vse_plus_plus(query, key), rel=1e-12)


def test_equals_the_published_code_of_vse_plus_plus_in_value_and_gradient():
    def published(query, key):  # ContrastiveLoss of the authors, max_violation on
        scores = query @ key.T
        right = scores.diagonal()[:, None]
        off = torch.eye(len(scores), dtype=torch.bool)
        rows = (0.2 + scores - right).clamp(min=0).masked_fill(off, 0)
        columns = (0.2 + scores - right.T).clamp(min=0).masked_fill(off, 0)
        return rows.max(1)[0].sum() + columns.max(0)[0].sum()

    def ours(query, key):
        return mined_triplet_loss(query, key, 0.2, "hard", direction="both", reduction="sum")

    assert_same_loss_and_gradient(ours, published, *noisy_pairs(), tolerance=1e-12)


def test_facenet_with_twice_the_margin_is_exactly_twice_this():
    (anchor, positive), (negative, _) = noisy_pairs(), noisy_pairs(seed=1)
    squared = ((anchor - positive) ** 2).sum(1) - ((anchor - negative) ** 2).sum(1)
    facenet = (squared + 0.4).relu().mean()
    torch.testing.assert_close(2 * triplet_loss(anchor, positive, negative, 0.2), facenet)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01, 0.001])
def test_infonce_tends_to_the_hardest_hinge_without_a_margin(temperature):
    # tau log sum exp(x / tau) lies between max x and max x + tau log n, whatever x is.
    query, key = noisy_pairs(20)
    for direction in DIRECTIONS:
        hinge = mined_triplet_loss(query, key, 0.0, "hard", direction=direction)
        gap = temperature * infonce_loss(query, key, temperature, direction=direction) - hinge
        assert 0 <= gap.item() <= temperature * math.log(20)


def test_the_soft_hinge_with_a_margin_tends_to_the_hardest_hinge():
    # tau log(1 + sum_j exp((m + c_ij - c_ii) / tau)) is InfoNCE in which m is taken from the right
    # logit.
    query, key = pairs(20, dim=8)
    violations = 0.2 + query @ key.T - (query * key).sum(1, keepdim=True)
    violations.fill_diagonal_(0)
    hinge = mined_triplet_loss(query, key, 0.2, "hard")
    gaps = [
        (t * (violations / t).logsumexp(1)).mean().item() - hinge.item()
        for t in (1, 0.1, 0.01, 0.001)
    ]
    assert all(a > b for a, b in zip(gaps, gaps[1:])) and 0 <= gaps[-1] < 1e-4 and gaps[0] > 1


def test_one_negative_is_a_softplus_softened_hinge():
    query, key = pairs(2)
    cosines = query @ key.T
    worst = cosines.flip(1).diagonal() - cosines.diagonal()
    torch.testing.assert_close(infonce_loss(query, key, 0.1), F.softplus(worst / 0.1).mean())
    torch.testing.assert_close(mined_triplet_loss(query, key, 0.0), worst.relu().mean())


# ---- peers


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("direction", ["query_to_key", "key_to_query"])
@pytest.mark.parametrize(
    ("mining", "reduction"),
    [
        ("all", "mean"),
        ("all", "active"),
        ("semi_hard", "mean"),
        ("hard", "mean"),
        ("hard", "active"),
    ],
)
def test_equals_pytorch_metric_learning(mining, reduction, direction, dtype, tolerance):
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import distances, losses, miners, reducers

    distance = distances.CosineSimilarity()
    reducer = reducers.MeanReducer() if reduction == "mean" else reducers.AvgNonZeroReducer()
    theirs = losses.TripletMarginLoss(margin=0.2, distance=distance, reducer=reducer)
    semi_hard = miners.TripletMarginMiner(
        margin=0.2, type_of_triplets="semihard", distance=distance
    )
    miner = {"all": None, "semi_hard": semi_hard, "hard": miners.BatchHardMiner(distance=distance)}[
        mining
    ]
    # Equal but not the same tensor: where it is one object, the diagonal is taken for
    # self-similarity.
    labels, other = torch.arange(12), torch.arange(12)

    def peer(query, key):
        if direction == "key_to_query":
            query, key = key, query
        triplets = None if miner is None else miner(query, labels, key, other)
        return theirs(query, labels, triplets, key, other)

    def ours(query, key):
        return mined_triplet_loss(query, key, 0.2, mining, direction=direction, reduction=reduction)

    # Both sides normalise here: that library does so itself, and its gradient goes through it.
    def unit(loss):
        return lambda query, key: loss(F.normalize(query, dim=1), F.normalize(key, dim=1))

    assert_same_loss_and_gradient(
        unit(ours), unit(peer), *noisy_pairs(dtype=dtype), tolerance=tolerance
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_given_triplets_equal_sentence_transformers(dtype, tolerance):
    peers = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    cosine = peers.TripletDistanceMetric.COSINE
    theirs = peers.TripletLoss(None, distance_metric=cosine, triplet_margin=0.2)
    triplets = *noisy_pairs(dtype=dtype), pairs(12, dim=4, seed=5, dtype=dtype)[0]

    def unit(loss):
        return lambda *rows: loss(*(F.normalize(x, dim=1) for x in rows))

    def peer(*rows):
        return theirs.compute_loss_from_embeddings(list(rows), None)

    def ours(*rows):
        return triplet_loss(*rows, 0.2)

    assert_same_loss_and_gradient(unit(ours), unit(peer), *triplets, tolerance=tolerance)


# ---- invariances


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 8),
    st.integers(0, 10_000),
    st.sampled_from(MINING),
    st.sampled_from(DIRECTIONS),
    st.sampled_from(REDUCTIONS),
)
def test_order_of_pairs_and_rotation_of_the_space_do_not_matter(
    n, seed, mining, direction, reduction
):
    query, key = noisy_pairs(n, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    options = dict(mining=mining, direction=direction, reduction=reduction)
    loss = mined_triplet_loss(query, key, **options)
    torch.testing.assert_close(mined_triplet_loss(query[order], key[order], **options), loss)
    torch.testing.assert_close(
        mined_triplet_loss(query @ rotation, key @ rotation, **options), loss
    )


@pytest.mark.parametrize("mining", MINING)
def test_directions_are_transposes_of_each_other(mining):
    query, key = noisy_pairs()
    backward = mined_triplet_loss(query, key, mining=mining, direction="key_to_query")
    torch.testing.assert_close(backward, mined_triplet_loss(key, query, mining=mining))
    total = [
        mined_triplet_loss(query, key, mining=mining, direction=d, reduction="sum")
        for d in DIRECTIONS
    ]
    torch.testing.assert_close(total[2], total[0] + total[1])


def test_a_known_copy_costs_nothing_and_an_unknown_one_the_whole_margin():
    eye = torch.eye(4, dtype=torch.float64).repeat(
        2, 1
    )  # every pair twice, otherwise perfectly separated
    copies = torch.eye(4, dtype=torch.bool).repeat(2, 2)
    assert mined_triplet_loss(eye, eye, 0.2, "hard").item() == pytest.approx(0.2)
    assert mined_triplet_loss(eye, eye, 0.2, "hard", same=copies).item() == 0
    assert mined_triplet_loss(eye, eye, 0.2, "all", direction="both", same=copies).item() == 0


# ---- gradients


@pytest.mark.parametrize("mining", MINING)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck_and_the_gradient_on_the_cosines(mining, direction, reduction):
    query, key = (x.requires_grad_() for x in noisy_pairs(8))
    same = torch.rand(8, 8, generator=torch.Generator().manual_seed(1)) < 0.2
    options = dict(direction=direction, same=same, reduction=reduction)

    def loss(query, key):
        return mined_triplet_loss(query, key, 0.2, mining, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.autograd.gradcheck(loss, (query, key))
    cells = triplet_cosine_gradient((query @ key.T).detach(), 0.2, mining, **options)
    loss(query, key).backward()
    torch.testing.assert_close(query.grad, cells @ key.detach())
    torch.testing.assert_close(key.grad, cells.T @ query.detach())


def test_the_gradient_on_the_cosines_worked_by_hand():
    # Row 0 breaks the margin once, row 1 twice, row 2 not at all: each breach pushes one cell,
    # pulls one.
    cosines = torch.tensor([[0.5, 0.4, 0.0], [0.6, 0.5, 0.45], [0.0, 0.1, 0.9]])
    expected = torch.tensor([[-1.0, 1, 0], [1, -2, 1], [0, 0, 0]])
    assert triplet_cosine_gradient(cosines, 0.2, "all", reduction="sum").equal(expected)
    assert triplet_cosine_gradient(cosines, 0.2, "all", reduction="mean").allclose(expected / 6)
    assert triplet_cosine_gradient(cosines, 0.2, "all", reduction="active").allclose(expected / 3)
    hard = torch.tensor([[-1.0, 1, 0], [1, -1, 0], [0, 0, 0]])
    assert triplet_cosine_gradient(cosines, 0.2, "hard", reduction="sum").equal(hard)
    # By column the hardest are 0.6, 0.4 and 0.45; the first two break the margin.
    backward = torch.tensor([[-1.0, 1, 0], [1, -1, 0], [0, 0, 0]])
    found = triplet_cosine_gradient(cosines, 0.2, "hard", direction="both", reduction="sum")
    assert found.equal(hard + backward)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck_of_given_triplets(reduction):
    rows = [x.requires_grad_() for x in (*noisy_pairs(8), pairs(8, dim=4, seed=5)[0])]
    assert torch.autograd.gradcheck(
        lambda *rows: triplet_loss(*rows, 0.2, reduction=reduction), rows
    )


def test_a_solved_batch_has_no_gradient_where_infonce_still_has_one():
    eye = torch.eye(4, dtype=torch.float64)
    for mining in MINING:
        value, query_grad, key_grad = gradients(
            lambda q, k, m=mining: mined_triplet_loss(q, k, 0.2, m), eye, eye
        )
        assert value == 0 and not query_grad.any() and not key_grad.any()
    assert gradients(lambda q, k: infonce_loss(q, k, 0.2), eye, eye)[1].abs().max() > 0


def test_a_batch_without_triplets_is_zero_and_can_be_trained_on():
    query, key = noisy_pairs(3)
    everything = torch.ones(3, 3, dtype=torch.bool)
    for mining in MINING:
        for reduction in REDUCTIONS:
            value, grad, _ = gradients(
                lambda q, k, m=mining, r=reduction: mined_triplet_loss(
                    q, k, 0.2, m, same=everything, reduction=r
                ),
                query,
                key,
            )
            assert value == 0 and grad.isfinite().all() and not grad.any()


def test_equal_embeddings_have_a_finite_gradient():
    # A distance with a square root has none here.
    same_point = torch.ones(4, 2, dtype=torch.float64) / 2**0.5
    value, grad, _ = gradients(
        lambda q, k: mined_triplet_loss(q, k, 0.2, "hard"), same_point, same_point
    )
    assert value.item() == pytest.approx(0.2) and grad.isfinite().all()


def test_eight_pairs_are_learnt():
    torch.manual_seed(0)
    query, key = (x.requires_grad_() for x in pairs(8, dim=16, seed=2))
    optimizer = torch.optim.Adam([query, key], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        mined_triplet_loss(
            F.normalize(query), F.normalize(key), 0.2, "hard", direction="both"
        ).backward()
        optimizer.step()
    ranks = (F.normalize(query) @ F.normalize(key).T).argmax(1)
    assert ranks.tolist() == list(range(8))


# ---- planted bugs: each breaks a property that the real loss has


def hinge(query, key, margin=0.2, sign=1, dim=1, diagonal=0.0, over=lambda h: h.sum()):
    cosines = query @ key.T
    right = cosines.diagonal()[:, None] if dim == 1 else cosines.diagonal()[None, :]
    hinges = (margin + sign * (cosines - right)).relu()
    eye = torch.eye(len(cosines), dtype=torch.bool)
    return over(hinges.masked_fill(eye, diagonal * margin))


def hardest_of_both(**options):
    def loss(query, key):
        rows = hinge(query, key, over=lambda h: h.max(1)[0].sum(), **options)
        return rows + hinge(query, key, dim=0, over=lambda h: h.max(0)[0].sum(), **options)

    return loss


BUGS = {
    "the sign of the hinge": hardest_of_both(sign=-1),
    "the diagonal counted as its own negative": hardest_of_both(diagonal=1.0),
    "averaged over the batch": lambda q, k: hardest_of_both()(q, k) / len(q),
    "directions averaged": lambda q, k: hardest_of_both()(q, k) / 2,
    "the sum of hinges": lambda q, k: hinge(q, k) + hinge(q, k, dim=0),
    "the maximum over the wrong axis": lambda q, k: (
        2 * hinge(q, k, dim=0, over=lambda h: h.max(1)[0].sum())
    ),
    "one direction twice": lambda q, k: 2 * hinge(q, k, over=lambda h: h.max(1)[0].sum()),
    "FaceNet's margin on cosines": hardest_of_both(margin=0.1),
}


def test_the_correct_form_of_the_planted_bugs_is_the_loss():
    query, key = noisy_pairs()
    expected = vse_plus_plus(query, key)
    assert hardest_of_both()(query, key).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug):
    query, key = noisy_pairs()
    assert abs(BUGS[bug](query, key).item() - vse_plus_plus(query, key)) > 1e-3


# ---- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    query, key = (x.to(dtype) for x in noisy_pairs())
    plain = mined_triplet_loss(query.float(), key.float(), mining="hard")
    assert mined_triplet_loss(query, key, mining="hard").item() == plain.item()
    assert triplet_loss(query, key, key.roll(1, 0)).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = mined_triplet_loss(query.float(), key.float(), mining="hard")
        given = triplet_loss(query.float(), key.float(), key.float().roll(1, 0))
    assert inside.dtype == torch.float32 and inside.item() == plain.item()
    assert given.item() == triplet_loss(query.float(), key.float(), key.float().roll(1, 0)).item()


# ---- bad input


def test_refuses_bad_triplets():
    query, key = pairs(4)
    with pytest.raises(
        RetrievalInputError,
        match=r"B >= 1, got torch.float64 \(4, 3\), torch.float64 \(4, 3\), torch.float64 \(3, 3\)",
    ):
        triplet_loss(query, key, key[:3])
    with pytest.raises(RetrievalInputError, match=r"float64 \(3,\)"):
        triplet_loss(query[0], key[0], key[1])
    with pytest.raises(RetrievalInputError, match=r"float64 \(0, 3\)"):
        triplet_loss(query[:0], key[:0], key[:0])
    with pytest.raises(
        RetrievalInputError, match=r"positive must be floating point, got torch.int64"
    ):
        triplet_loss(query, key.long(), key)


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_refuses_a_margin_that_is_negative_or_not_finite(margin):
    query, key = pairs(4)
    with pytest.raises(RetrievalInputError, match="margin must be at least 0 and finite"):
        triplet_loss(query, key, key, margin)
    for mining in MINING:
        with pytest.raises(RetrievalInputError, match="margin must be at least 0 and finite"):
            mined_triplet_loss(query, key, margin, mining)


def test_refuses_unknown_options():
    query, key = pairs(4)
    with pytest.raises(RetrievalInputError, match="'mean', 'sum', 'active'; got 'none'"):
        mined_triplet_loss(query, key, reduction="none")
    with pytest.raises(RetrievalInputError, match="'mean', 'sum', 'active'; got 'none'"):
        triplet_loss(query, key, key, reduction="none")
    with pytest.raises(RetrievalInputError, match="'all', 'semi_hard', 'hard'; got 'hardest'"):
        mined_triplet_loss(query, key, mining="hardest")
    with pytest.raises(RetrievalInputError, match="'both'; got 'symmetric'"):
        mined_triplet_loss(query, key, direction="symmetric")


def test_refuses_bad_pairs_and_masks():
    query, key = pairs(4)
    with pytest.raises(RetrievalInputError, match="at least 2 pairs"):
        mined_triplet_loss(query[:1], key[:1])
    with pytest.raises(RetrievalInputError, match="as many keys as queries"):
        mined_triplet_loss(query[:3], key, direction="both")
    with pytest.raises(RetrievalInputError, match="floating point"):
        mined_triplet_loss(query.long(), key)
    for direction in DIRECTIONS:
        with pytest.raises(
            RetrievalInputError, match=r"same must be bool \(4, 4\), got torch.bool \(2, 4\)"
        ):
            mined_triplet_loss(
                query, key, direction=direction, same=torch.zeros(2, 4, dtype=torch.bool)
            )


def test_the_gradient_on_the_cosines_refuses_what_the_loss_refuses():
    cosines = torch.rand(3, 4)
    with pytest.raises(
        RetrievalInputError, match=r"cosines must be floating point \(B, B\).*\(3, 4\)"
    ):
        triplet_cosine_gradient(cosines, direction="both")
    with pytest.raises(
        RetrievalInputError, match=r"cosines must be floating point, got torch.int64"
    ):
        triplet_cosine_gradient(cosines.long())
    with pytest.raises(RetrievalInputError, match="'mean', 'sum', 'active'; got 'none'"):
        triplet_cosine_gradient(cosines, reduction="none")
    with pytest.raises(
        RetrievalInputError, match=r"same must be bool \(3, 4\), got torch.bool \(3, 3\)"
    ):
        triplet_cosine_gradient(cosines, same=torch.eye(3, dtype=torch.bool))
    with pytest.raises(RetrievalInputError, match="margin must be at least 0 and finite"):
        triplet_cosine_gradient(cosines, -1.0)


# ---- mining, on matrices small enough to read

# Row 0: positive 0.8; 0.7 is in the band of 0.2, 0.9 is above the positive, 0.1 is easy.
COSINES = torch.tensor([[0.8, 0.7, 0.9, 0.1], [0.5, 0.6, 0.2, 0.3], [0.0, 0.4, 0.5, 0.45]])


def cells(mask):
    return {(i, j) for i, j in mask.nonzero().tolist()}


def mined_cells_by_hand(cosines, margin, mining, same=None):
    found = set()
    for i, row in enumerate(cosines):
        found |= {(i, j) for j in mined_by_hand(row, i, margin, mining, same)}
    return found


def test_mining_worked_by_hand():
    assert cells(mine_triplets(COSINES, 0.2, "all")) == {
        (i, j) for i in range(3) for j in range(4) if i != j
    }
    assert cells(mine_triplets(COSINES, 0.2, "semi_hard")) == {(0, 1), (1, 0), (2, 1), (2, 3)}
    assert cells(mine_triplets(COSINES, 0.2, "hard")) == {(0, 2), (1, 0), (2, 3)}


def test_hard_marks_the_best_negative_even_where_the_margin_is_kept():
    assert cells(mine_triplets(torch.eye(2), 0.2, "hard")) == {(0, 1), (1, 0)}


def test_the_band_is_open_at_both_ends():
    row = [0.5, 0.5, 0.25, 0.375]  # exact in binary, as is the margin
    cosines = torch.tensor([row, row])
    assert cells(mine_triplets(cosines, 0.25, "semi_hard")) == {(0, 3), (1, 3)}
    assert not mine_triplets(cosines, 0.0, "semi_hard").any()


def test_same_is_never_a_negative():
    same = torch.zeros(3, 4, dtype=torch.bool)
    same[0, 2] = same[2, 3] = True
    assert cells(mine_triplets(COSINES, 0.2, "hard", same=same)) == {(0, 1), (1, 0), (2, 1)}


def test_a_row_without_negatives_has_no_triplet():
    same = torch.tensor([[True, True], [False, True]])
    for mining in ("all", "hard"):
        assert cells(mine_triplets(torch.eye(2), 0.2, mining, same=same)) == {(1, 0)}


def test_the_first_of_equals_is_the_hardest():
    cosines = torch.tensor([[0.9, 0.3, 0.3, 0.3], [0.3, 0.9, 0.3, 0.3]])
    assert cells(mine_triplets(cosines, 0.2, "hard")) == {(0, 1), (1, 0)}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 7),
    st.integers(0, 3),
    st.integers(0, 10_000),
    st.sampled_from(["all", "semi_hard", "hard"]),
    st.booleans(),
)
def test_mining_equals_the_loop(n, extra, seed, mining, masked):
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.rand(n, n + extra, generator=generator, dtype=torch.float64)
    same = torch.rand(n, n + extra, generator=generator) < 0.3 if masked else None
    expected = mined_cells_by_hand(
        cosines.tolist(), 0.2, mining, None if same is None else same.tolist()
    )
    assert cells(mine_triplets(cosines, 0.2, mining, same=same)) == expected


def test_a_transpose_lets_keys_be_the_anchors():
    square = COSINES[:, :3]
    assert cells(mine_triplets(square.T, 0.2, "hard")) == mined_cells_by_hand(
        square.T.tolist(), 0.2, "hard"
    )


def test_mining_refuses():
    with pytest.raises(RetrievalInputError, match=r"M >= B >= 2, got torch.float32 \(4, 3\)"):
        mine_triplets(COSINES.T)
    with pytest.raises(RetrievalInputError, match=r"got torch.float32 \(1, 4\)"):
        mine_triplets(COSINES[:1])
    with pytest.raises(RetrievalInputError, match=r"got torch.int64 \(3, 4\)"):
        mine_triplets(COSINES.long())
    with pytest.raises(
        RetrievalInputError, match="'semi_hard', 'hard'; got 'semihard'. Did you mean 'semi_hard'"
    ):
        mine_triplets(COSINES, mining="semihard")
    with pytest.raises(
        RetrievalInputError, match=r"margin must be at least 0 and finite, got -0.1"
    ):
        mine_triplets(COSINES, -0.1)
    with pytest.raises(
        RetrievalInputError, match=r"same must be bool \(3, 4\), got torch.bool \(3, 3\)"
    ):
        mine_triplets(COSINES, same=torch.eye(3, dtype=torch.bool))
