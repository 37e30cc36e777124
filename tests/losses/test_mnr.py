"""MNR equals one-way InfoNCE, a loop, and sentence-transformers; wrong forms are caught."""

import math

import pytest
import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError
from lib.losses import infonce_loss, infonce_of_logits, mnr_loss
from tests.losses.batches import gradients


def units(*sizes, dim=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(size,) if isinstance(size, int) else size for size in sizes]
    return [
        F.normalize(torch.randn(*s, dim, generator=generator, dtype=dtype), dim=-1) for s in shapes
    ]


def by_hand(anchor, keys, scale):
    total = 0.0
    for i in range(len(anchor)):
        denominator = sum(math.exp(scale * float(anchor[i] @ key)) for key in keys)
        total -= math.log(math.exp(scale * float(anchor[i] @ keys[i])) / denominator)
    return total / len(anchor)


def test_two_orthogonal_pairs_worked_by_hand():
    # Cosines are the identity: each anchor pays log(e^2 + e^0) - 2 = log(1 + e^-2).
    eye = torch.eye(2, dtype=torch.float64)
    assert mnr_loss(eye, eye, scale=2.0).item() == pytest.approx(0.12692801104297263, abs=1e-12)


def test_equals_the_loop_with_and_without_negatives():
    anchor, positive, shared, own = units(3, 3, 2, (3, 2))
    assert mnr_loss(anchor, positive, scale=5.0).item() == pytest.approx(
        by_hand(anchor, positive, 5.0)
    )
    for negatives in (shared, own):
        keys = [*positive, *negatives.reshape(-1, 4)]
        found = mnr_loss(anchor, positive, negatives, 5.0).item()
        assert found == pytest.approx(by_hand(anchor, keys, 5.0), rel=1e-12)


def test_is_one_way_infonce():
    anchor, positive, negatives = units(5, 5, (5, 2))
    torch.testing.assert_close(mnr_loss(anchor, positive), infonce_loss(anchor, positive, 1 / 20))
    keys = torch.cat([positive, negatives.reshape(10, 4)])
    torch.testing.assert_close(
        mnr_loss(anchor, positive, negatives), infonce_loss(anchor, keys, 0.05)
    )


def test_the_order_of_negatives_and_whose_they_are_do_not_matter():
    anchor, positive, negatives = units(4, 4, (4, 3))
    loss = mnr_loss(anchor, positive, negatives)
    torch.testing.assert_close(mnr_loss(anchor, positive, negatives.flip(0)), loss)
    torch.testing.assert_close(mnr_loss(anchor, positive, negatives.reshape(12, 4).flip(0)), loss)
    assert loss > mnr_loss(anchor, positive)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("n_negatives", [0, 1, 3])
def test_equals_sentence_transformers_in_value_and_gradient(dtype, tolerance, n_negatives):
    peers = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    peer = peers.MultipleNegativesRankingLoss(None, scale=20.0)
    # Raw embeddings, since the peer normalises: through it the gradient goes as through
    # F.normalize.
    generator = torch.Generator().manual_seed(1)
    raw = [torch.randn(6, 8, generator=generator, dtype=dtype) for _ in range(2 + n_negatives)]

    def ours(anchor, positive, *negatives):
        anchor, positive, *negatives = (
            F.normalize(x, dim=1) for x in (anchor, positive, *negatives)
        )
        return mnr_loss(anchor, positive, torch.stack(negatives, dim=1) if negatives else None)

    theirs = gradients(lambda *x: peer.compute_loss_from_embeddings(list(x), None), *raw)
    for mine, other in zip(gradients(ours, *raw), theirs):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("negatives", [None, 2, (4, 2)])
def test_gradcheck_with_a_learnable_scale(negatives):
    anchor, positive = (x.requires_grad_() for x in units(4, 4, dim=3))
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    extra = [] if negatives is None else [units(negatives, dim=3, seed=1)[0].requires_grad_()]
    assert torch.autograd.gradcheck(
        lambda a, p, s, *n: mnr_loss(a, p, *n, scale=s), (anchor, positive, scale, *extra)
    )


# ---- further directions and hardness weights

ALL_DIRECTIONS = ("query_to_key", "key_to_query", "query_to_query", "key_to_key")
HARDNESS = [(0.0, "all"), (9.0, "all"), (9.0, "in_batch"), (5.0, "hard")]


def test_four_directions_and_hardness_worked_by_hand():
    # Orthogonal pairs, scale log 3: s_ii = log 3, all other logits 0. Row of the softmax: 3 + 1 by
    # query_to_key, 3 + 1 by key_to_query, 1 by query_to_query, 1 by key_to_key.
    eye, scale = torch.eye(2, dtype=torch.float64), math.log(3)
    loss = mnr_loss(eye, eye, scale=scale, directions=ALL_DIRECTIONS)
    assert loss.item() == pytest.approx(math.log(10 / 3), abs=1e-12)
    # The negative (0.6, 0.8) has cosines 0.6 and 0.8; hardness 5 multiplies exp(2 c) by exp(5 c).
    negative = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    rows = [math.log(math.exp(2) + 1 + math.exp(7 * c)) - 2 for c in (0.6, 0.8)]
    loss = mnr_loss(eye, eye, negative, 2.0, hardness=5.0)
    assert loss.item() == pytest.approx(sum(rows) / 2, abs=1e-12)


@pytest.mark.parametrize("directions", [ALL_DIRECTIONS[:n] for n in (1, 2, 3, 4)])
@pytest.mark.parametrize(("hardness", "hardness_on"), HARDNESS)
@pytest.mark.parametrize("n_negatives", [0, 2])
def test_directions_and_hardness_equal_sentence_transformers(
    directions, hardness, hardness_on, n_negatives
):
    peers = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    modes = {"all": "all_negatives", "in_batch": "in_batch_negatives", "hard": "hard_negatives"}
    peer = peers.MultipleNegativesRankingLoss(
        None,
        scale=20.0,
        directions=tuple(name.replace("key", "doc") for name in directions),
        hardness_mode=modes[hardness_on] if hardness else None,
        hardness_strength=hardness,
    )
    generator = torch.Generator().manual_seed(2)
    raw = [
        torch.randn(5, 6, generator=generator, dtype=torch.float64) for _ in range(2 + n_negatives)
    ]

    def ours(*x):
        anchor, positive, *negatives = (F.normalize(rows, dim=1) for rows in x)
        return mnr_loss(
            anchor,
            positive,
            torch.stack(negatives, dim=1) if negatives else None,
            directions=directions,
            hardness=hardness,
            hardness_on=hardness_on,
        )

    theirs = gradients(lambda *x: peer.compute_loss_from_embeddings(list(x), None), *raw)
    for mine, other in zip(gradients(ours, *raw), theirs):
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("negatives", [None, 2, (4, 2)])
def test_gradcheck_of_all_directions(negatives):
    anchor, positive = (x.requires_grad_() for x in units(4, 4, dim=3))
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    extra = [] if negatives is None else [units(negatives, dim=3, seed=1)[0].requires_grad_()]
    assert torch.autograd.gradcheck(
        lambda a, p, s, *n: mnr_loss(a, p, *n, scale=s, directions=ALL_DIRECTIONS),
        (anchor, positive, scale, *extra),
    )


def test_hardness_has_no_gradient_of_its_own():
    # With the weights held constant, gradcheck agrees; hardness counts as a constant factor.
    anchor, positive = (x.requires_grad_() for x in units(4, 4, dim=3))
    weights = 4.0 * (anchor @ positive.T).detach()
    weights.fill_diagonal_(0)

    def held(a, p):
        return infonce_of_logits(3.0 * a @ p.T + weights)

    assert torch.autograd.gradcheck(held, (anchor, positive))
    expected = torch.autograd.grad(held(anchor, positive), (anchor, positive))
    loss = mnr_loss(anchor, positive, scale=3.0, hardness=4.0)
    found = torch.autograd.grad(loss, (anchor, positive))
    for mine, other in zip(found, expected):
        torch.testing.assert_close(mine, other)


def test_shared_negatives_belong_to_every_anchor():
    anchor, positive, shared = units(4, 4, 3)
    per_anchor = shared[:1].expand(4, 1, 4)
    in_batch = {"hardness": 5.0, "hardness_on": "in_batch"}
    assert mnr_loss(anchor, positive, shared, **in_batch) > mnr_loss(anchor, positive, shared)
    hard = {"hardness": 5.0, "hardness_on": "hard"}
    torch.testing.assert_close(mnr_loss(anchor, positive, **hard), mnr_loss(anchor, positive))
    # Not among the candidates of key_to_key, so one direction more than without negatives.
    both = {"directions": ("query_to_key", "key_to_key")}
    by_loop = 0.0
    for i in range(4):
        logits = [20 * float(anchor[i] @ key) for key in [*positive, *shared]]
        logits += [20 * float(positive[i] @ positive[j]) for j in range(4) if j != i]
        by_loop += math.log(sum(map(math.exp, logits))) - logits[i]
    found = mnr_loss(anchor, positive, shared, **both).item()
    assert found == pytest.approx(by_loop / 4, rel=1e-12)
    assert mnr_loss(anchor, positive, per_anchor, **both).isfinite()


# ---- planted bugs


BUGS = {
    "anchors compete for a positive": lambda a, p, n: infonce_loss(p, torch.cat([a, n]), 1 / 20),
    "both directions": lambda a, p, n: infonce_loss(a, p, 1 / 20, direction="both"),
    "negatives forgotten": lambda a, p, n: mnr_loss(a, p),
    "the scale divides": lambda a, p, n: mnr_loss(a, p, n, scale=1 / 20),
    "negatives before positives": lambda a, p, n: infonce_loss(a, torch.cat([n, p]), 1 / 20),
    "not in the denominator": lambda a, p, n: (
        mnr_loss(a, p, n) + (20 * a @ torch.cat([p, n]).T).logsumexp(1).mean() * 0.01
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug):
    anchor, positive, negatives = units(5, 5, 5)
    expected = by_hand(anchor, [*positive, *negatives], 20.0)
    assert mnr_loss(anchor, positive, negatives).item() == pytest.approx(expected)
    assert abs(BUGS[bug](anchor, positive, negatives).item() - expected) > 0.01


# ---- bad input


def test_refuses():
    anchor, positive = units(4, 4)
    with pytest.raises(
        RetrievalInputError, match=r"as many keys as queries.*\(4, 4\) and key_emb \(3, 4\)"
    ):
        mnr_loss(anchor, positive[:3])
    with pytest.raises(RetrievalInputError, match="at least 2 pairs"):
        mnr_loss(anchor[:1], positive[:1])
    for shape in [(4,), (2, 3), (3, 2, 4), (4, 2, 3), (4, 1, 1, 4)]:
        with pytest.raises(
            RetrievalInputError, match=r"negatives must be \(K, 4\) or \(4, K, 4\).*got \("
        ):
            mnr_loss(anchor, positive, torch.zeros(shape, dtype=torch.float64))
    for scale in (0.0, -20.0, float("nan"), float("inf")):
        with pytest.raises(RetrievalInputError, match="scale must be positive and finite"):
            mnr_loss(anchor, positive, scale=scale)
    with pytest.raises(RetrievalInputError, match="floating point"):
        mnr_loss(anchor.long(), positive.long())
    with pytest.raises(RetrievalInputError, match="'key_to_key'; got 'doc_to_doc'"):
        mnr_loss(anchor, positive, directions=("query_to_key", "doc_to_doc"))
    for directions in ((), ("key_to_query",), ("query_to_key", "query_to_key")):
        with pytest.raises(RetrievalInputError, match="must name 'query_to_key'"):
            mnr_loss(anchor, positive, directions=directions)
    with pytest.raises(RetrievalInputError, match="hardness must be at least 0 and finite"):
        mnr_loss(anchor, positive, hardness=-1.0)
    with pytest.raises(RetrievalInputError, match="'in_batch', 'hard'; got 'batch'"):
        mnr_loss(anchor, positive, hardness=1.0, hardness_on="batch")
    for options in ({"hardness": 1.0}, {"directions": ("query_to_key", "key_to_query")}):
        with pytest.raises(RetrievalInputError, match="block_size works with 'query_to_key' alone"):
            mnr_loss(anchor, positive, block_size=2, **options)
