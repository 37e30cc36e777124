"""InfoNCE against a double loop, scipy, open_clip, its own derivative; and the cases the formula
forgets.
"""

import math
import warnings
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from scipy.special import logsumexp

from lib.core.checks import RetrievalInputError
from lib.losses import infonce_loss, infonce_of_logits
from tests.losses.batches import gradients, mask, pairs

BOTH = "both"
DIRECTIONS = ("query_to_key", "key_to_query", BOTH)


def by_hand(query, key, temperature, same=None, positives=None):
    """Compute the formula of the docstring, one number at a time."""
    total = 0.0
    for i in range(len(query)):
        right = [i] if positives is None else [j for j in range(len(key)) if positives[i][j]]
        denominator = 0.0
        for j in range(len(key)):
            if same is None or j == i or not same[i][j]:
                denominator += math.exp(float(query[i] @ key[j]) / temperature)
        terms = [math.log(denominator) - float(query[i] @ key[p]) / temperature for p in right]
        total += sum(terms) / len(terms)
    return total / len(query)


# ---- values


def test_two_orthogonal_pairs_worked_by_hand():
    # Cosines are the identity; at temperature 1 each row is log(e^1 + e^0) - 1 = log(1 + 1/e).
    eye = torch.eye(2, dtype=torch.float64)
    assert infonce_loss(eye, eye, 1.0).item() == pytest.approx(0.3132616875182228, abs=1e-12)


def test_swapped_pairs_cost_the_scale():
    # Each query equals the other's key: log(e^10 + e^0) - 0, practically the scale itself.
    eye = torch.eye(2, dtype=torch.float64)
    assert infonce_loss(eye, eye.flip(0), 0.1).item() == pytest.approx(
        10 + math.log1p(math.exp(-10)), abs=1e-12
    )


@pytest.mark.parametrize("shape", [(4, 4), (3, 4), (2, 5)])
@pytest.mark.parametrize("temperature", [1.0, 0.07])
def test_equals_the_double_loop(shape, temperature):
    query, key = pairs(*shape)
    expected = by_hand(query.numpy(), key.numpy(), temperature)
    assert infonce_loss(query, key, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_directions_are_transposes_of_each_other():
    query, key = pairs(5)
    forward = infonce_loss(query, key, direction="query_to_key")
    backward = infonce_loss(query, key, direction="key_to_query")
    torch.testing.assert_close(
        backward, infonce_loss(key, query, direction="query_to_key"), rtol=0, atol=1e-14
    )
    torch.testing.assert_close(infonce_loss(query, key, direction=BOTH), (forward + backward) / 2)


def test_equals_scipy_logsumexp():
    query, key = pairs(8, dim=5)
    logits = query.numpy() @ key.numpy().T / 0.05
    expected = np.mean(logsumexp(logits, axis=1) - np.diag(logits))
    assert infonce_loss(query, key, 0.05).item() == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_both_directions_equal_open_clip(dtype, tolerance):
    query, key = pairs(16, dim=8, dtype=dtype)
    scale = torch.tensor(1 / 0.07, dtype=dtype)
    found = gradients(lambda q, k, s: infonce_loss(q, k, 1 / s, direction=BOTH), query, key, scale)
    for mine, theirs in zip(found, gradients(ClipLoss(), query, key, scale)):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_several_positives_equal_pytorch_metric_learning(dtype, tolerance):
    peers = pytest.importorskip("pytorch_metric_learning.losses")
    labels = torch.tensor([0, 1, 0, 2, 1, 3, 2, 0])
    positives = labels[:, None] == labels
    # Raw embeddings, since the peers normalise: through them the gradient goes as through
    # F.normalize.
    generator = torch.Generator().manual_seed(2)
    raw = [torch.randn(8, 5, generator=generator, dtype=dtype) for _ in range(2)]

    def ours(query, key, **options):
        return infonce_loss(F.normalize(query), F.normalize(key), 0.1, **options)

    several, one = peers.SupConLoss(temperature=0.1), peers.NTXentLoss(temperature=0.1)
    alone = torch.arange(8)
    # Copies of the labels: the peers take one and the same tensor for one side compared with
    # itself.
    for mine, theirs in [
        (
            partial(ours, positives=positives),
            lambda q, k: several(q, labels, ref_emb=k, ref_labels=labels.clone()),
        ),
        (ours, lambda q, k: one(q, alone, ref_emb=k, ref_labels=alone.clone())),
    ]:
        for found, expected in zip(gradients(mine, *raw), gradients(theirs, *raw)):
            torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_both_directions_equal_sentence_transformers(dtype, tolerance):
    peers = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    options = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    peer = peers.MultipleNegativesRankingLoss(None, scale=20.0, **options)
    query, key = pairs(16, dim=8, dtype=dtype)
    expected = peer.compute_loss_from_embeddings([query, key], None)
    torch.testing.assert_close(
        infonce_loss(query, key, 1 / 20, direction=BOTH), expected, rtol=tolerance, atol=tolerance
    )


def test_same_by_hand():
    # Query 0 and key 1 are known to belong together: key 1 leaves row 0's denominator, nothing else
    # changes.
    query, key = pairs(3)
    same = mask([1, 1, 0], [0, 1, 0], [0, 0, 0])  # the diagonal is kept, whether marked or not
    expected = by_hand(query.numpy(), key.numpy(), 0.2, same=same.tolist())
    assert infonce_loss(query, key, 0.2, same=same).item() == pytest.approx(expected, rel=1e-12)


def test_positives_by_hand():
    query, key = pairs(3)
    positives = mask([1, 1, 0], [1, 1, 0], [0, 0, 1])
    expected = by_hand(query.numpy(), key.numpy(), 0.2, positives=positives.tolist())
    assert infonce_loss(query, key, 0.2, positives=positives).item() == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_diagonal_positives_and_diagonal_same_change_nothing(direction):
    query, key = pairs(5)
    eye = torch.eye(5, dtype=torch.bool)
    plain = infonce_loss(query, key, direction=direction)
    torch.testing.assert_close(infonce_loss(query, key, direction=direction, positives=eye), plain)
    torch.testing.assert_close(infonce_loss(query, key, direction=direction, same=eye), plain)


def test_masks_are_read_the_right_way_round():
    # An asymmetric mask: key 2 is right for query 0, and key 0 is not right for query 2.
    query, key = pairs(3)
    positives = mask([1, 0, 1], [0, 1, 0], [0, 0, 1])
    backward = infonce_loss(query, key, direction="key_to_query", positives=positives)
    torch.testing.assert_close(backward, infonce_loss(key, query, positives=positives.T))


def test_a_duplicated_pair_with_same_costs_what_the_batch_without_it_costs():
    # Pair 0 comes again as pair 4. With its copy masked everywhere, rows 0 to 3 are what they were.
    query, key = pairs(4)
    again = torch.cat([query, query[:1]]), torch.cat([key, key[:1]])
    same = torch.zeros(5, 5, dtype=torch.bool)
    same[:, 4] = same[4, 0] = True
    logits = query @ key.T / 0.07
    rows = logits.logsumexp(1) - logits.diagonal()
    torch.testing.assert_close(infonce_loss(*again, same=same), (rows.sum() + rows[0]) / 5)


def test_duplicates_leave_a_floor_of_log_2_that_same_removes():
    eye = torch.eye(4, dtype=torch.float64).repeat(
        2, 1
    )  # every pair twice, otherwise perfectly separated
    copies = torch.eye(4, dtype=torch.bool).repeat(2, 2)
    assert infonce_loss(eye, eye, 0.01, direction=BOTH).item() == pytest.approx(
        math.log(2), abs=1e-12
    )
    assert infonce_loss(eye, eye, 0.01, direction=BOTH, same=copies).item() == pytest.approx(
        0, abs=1e-12
    )
    assert infonce_loss(eye, eye, 0.01, positives=copies).item() == pytest.approx(
        math.log(2), abs=1e-12
    )


def test_perfect_pairs_in_orthogonal_directions():
    eye = torch.eye(6, dtype=torch.float64)
    expected = math.log1p(5 * math.exp(-1 / 0.1))
    assert infonce_loss(eye, eye, 0.1, direction=BOTH).item() == pytest.approx(expected, rel=1e-10)


def test_random_embeddings_cost_about_log_m():
    query, key = pairs(1024, dim=512, seed=1)
    logits = query @ key.T / 0.07
    expected = math.log(1024) + logits.var().item() / 2
    assert infonce_loss(query, key, 0.07).item() == pytest.approx(expected, abs=0.05)


def test_extra_keys_are_negatives():
    query, key = pairs(3, 3)
    hard = torch.cat([key, query])  # each query itself is a perfect negative
    assert infonce_loss(query, hard) > infonce_loss(query, key)


# ---- invariances


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(2, 6), st.integers(0, 10_000), st.sampled_from(DIRECTIONS))
def test_order_of_pairs_and_rotation_of_the_space_do_not_matter(n, dim, seed, direction):
    query, key = pairs(n, dim=dim, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q
    loss = infonce_loss(query, key, direction=direction)
    torch.testing.assert_close(infonce_loss(query[order], key[order], direction=direction), loss)
    torch.testing.assert_close(
        infonce_loss(query @ rotation, key @ rotation, direction=direction), loss
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(0, 10_000), st.floats(0.02, 5))
def test_bounds(n, seed, temperature):
    # The positive is in the denominator, so the loss is positive; a scale s leaves at most 2 s +
    # log n.
    query, key = pairs(n, seed=seed)
    loss = infonce_loss(query, key, temperature).item()
    assert -1e-12 < loss <= 2 / temperature + math.log(n) + 1e-9


# ---- gradients


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("masked", ["plain", "same", "positives"])
def test_gradcheck_with_a_learnable_temperature(direction, masked):
    query, key = (x.requires_grad_() for x in pairs(4))
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    cells = mask([1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1])
    options = {} if masked == "plain" else {masked: cells}

    def loss(query, key, temperature):
        return infonce_loss(query, key, temperature, direction=direction, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # reading a learnt temperature must not warn
        assert torch.autograd.gradcheck(loss, (query, key, temperature))


def test_gradient_on_logits_is_softmax_minus_identity():
    # With G = (P + Q - 2 I) / 2B, the gradient of the queries is G k / temperature.
    query, key = pairs(5)
    query.requires_grad_()
    infonce_loss(query, key, 0.2, direction=BOTH).backward()
    logits = query.detach() @ key.T / 0.2
    cells = (logits.softmax(1) + logits.softmax(0) - 2 * torch.eye(5)) / 10
    torch.testing.assert_close(query.grad, cells @ key / 0.2)


def test_a_masked_key_gets_no_gradient():
    query, _ = pairs(2)
    key = pairs(3)[1].requires_grad_()  # key 2 belongs to no query and is masked for both
    infonce_loss(query, key, same=mask([0, 0, 1], [0, 0, 1])).backward()
    assert key.grad[2].abs().max() == 0 and key.grad[0].abs().max() > 0


# ---- planted bugs: each breaks the value, or the value the other way round


def tutorial(query, key, temperature=1.0, normalised=True, target_of_columns="rows"):
    """Compute a widely copied CLIP loss: soft targets from the similarities within each side."""
    if not normalised:
        query, key = 16 * query, 16 * key  # LayerNorm(256) leaves rows of length 16
    logits = key @ query.T / temperature
    targets = ((query @ query.T + key @ key.T) / 2 * temperature).softmax(-1)
    rows = F.cross_entropy(logits, targets, reduction="none")
    columns = F.cross_entropy(logits.T, targets.T, reduction="none")
    return (rows + columns).mean() / 2


def plain(axis=(1, 0), target=None, temperature=lambda c: c / 0.2, clip=math.inf):
    def loss(query, key):
        logits = temperature(query @ key.T).clamp(max=clip)
        labels = torch.arange(len(logits)) if target is None else target(len(logits))
        sides = [-logits.log_softmax(a).gather(1, labels[:, None]).mean() for a in axis]
        return sum(sides) / 2

    return loss


BUGS = {
    "the tutorial's soft targets": lambda q, k: tutorial(q, k, 0.2),
    "the tutorial without normalisation": lambda q, k: tutorial(q, k, normalised=False),
    "the softmax over the same axis twice": plain(axis=(1, 1)),
    "targets off by one": plain(target=lambda n: torch.arange(n).roll(1)),
    "multiplied by the temperature": plain(temperature=lambda c: c * 0.2),
    "logits clipped": plain(clip=2.0),
    "no logarithm of the sum": lambda q, k: -(q @ k.T / 0.2).softmax(1).diagonal().mean(),
    "the positive left out of the sum": lambda q, k: (
        infonce_loss(q, k, 0.2) + (1 - (q @ k.T / 0.2).softmax(1).diagonal()).log().mean()
    ),
}


def test_the_correct_form_of_the_planted_bugs_is_the_loss():
    query, key = pairs(6)
    torch.testing.assert_close(plain()(query, key), infonce_loss(query, key, 0.2, direction=BOTH))


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug):
    query, key = pairs(6)
    expected = by_hand(query.numpy(), key.numpy(), 0.2) + by_hand(key.numpy(), query.numpy(), 0.2)
    assert abs(BUGS[bug](query, key).item() - expected / 2) > 1e-3


# ---- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    query, key = (x.to(dtype) for x in pairs(8, dim=4))
    loss = infonce_loss(query, key, 0.01)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, infonce_loss(query.float(), key.float(), 0.01))


def test_autocast_does_not_round_the_logits():
    query, key = pairs(64, dim=16, dtype=torch.float32)
    plain = infonce_loss(query, key, 0.01, direction=BOTH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = infonce_loss(query, key, 0.01, direction=BOTH)
    assert inside.dtype == torch.float32
    assert inside.item() == plain.item()


def test_mixed_precisions_take_the_wider():
    query, key = pairs(4)
    assert infonce_loss(query.half(), key).dtype == torch.float64
    assert infonce_loss(query.bfloat16(), key.half()).dtype == torch.float32


def test_extreme_scale_stays_finite():
    eye = torch.eye(4)
    assert infonce_loss(eye, eye, 1e-3).item() == 0
    assert infonce_loss(eye, -eye, 1e-3).item() == pytest.approx(1000 + math.log(3), rel=1e-6)


# ---- bad input


def test_refuses_bad_shapes():
    query, key = pairs(4)
    with pytest.raises(RetrievalInputError, match=r"expected \(B, d\).*query_emb \(3,\)"):
        infonce_loss(query[0], key)
    with pytest.raises(RetrievalInputError, match=r"\(4, 3\) and key_emb \(4, 2\)"):
        infonce_loss(query, key[:, :2])
    with pytest.raises(RetrievalInputError, match="at least 2 pairs"):
        infonce_loss(query[:1], key[:1])
    with pytest.raises(RetrievalInputError, match="at least 2 pairs"):
        infonce_loss(query[:0], key[:0])
    with pytest.raises(RetrievalInputError, match="every query needs its own key"):
        infonce_loss(query, key[:3])
    for direction in ("key_to_query", BOTH):
        with pytest.raises(RetrievalInputError, match="as many keys as queries"):
            infonce_loss(query[:3], key, direction=direction)


def test_refuses_integers():
    ones = torch.ones(3, 2, dtype=torch.int64)
    with pytest.raises(RetrievalInputError, match=r"floating point, got torch\.int64"):
        infonce_loss(ones, ones)


@pytest.mark.parametrize(
    "temperature", [0.0, -0.07, float("nan"), float("inf"), torch.tensor(-1.0)]
)
def test_refuses_a_temperature_that_is_not_positive_and_finite(temperature):
    with pytest.raises(RetrievalInputError, match="temperature must be positive and finite"):
        infonce_loss(*pairs(), temperature)


def test_refuses_several_temperatures():
    with pytest.raises(RetrievalInputError, match=r"one number, got shape \(4,\)"):
        infonce_loss(*pairs(), torch.ones(4))


def test_refuses_an_unknown_direction():
    with pytest.raises(RetrievalInputError, match=r"'both'; got 'symmetric'"):
        infonce_loss(*pairs(), direction="symmetric")


def test_refuses_bad_masks():
    query, key = pairs(3)
    eye = torch.eye(3, dtype=torch.bool)
    with pytest.raises(RetrievalInputError, match="not both"):
        infonce_loss(query, key, same=eye, positives=eye)
    with pytest.raises(
        RetrievalInputError, match=r"same must be bool \(3, 3\), got torch.bool \(2, 3\)"
    ):
        infonce_loss(query, key, same=eye[:2])
    with pytest.raises(
        RetrievalInputError, match=r"positives must be bool \(3, 3\), got torch.float32"
    ):
        infonce_loss(query, key, positives=eye.float())


def test_a_side_without_positives_is_named():
    query, key = pairs(3)
    positives = mask([1, 0, 0], [1, 1, 0], [1, 0, 0])  # nothing is right for key 2
    infonce_loss(query, key, positives=positives)
    with pytest.raises(RetrievalInputError, match="nothing as right for key 2"):
        infonce_loss(query, key, positives=positives, direction=BOTH)
    with pytest.raises(RetrievalInputError, match="nothing as right for query 2"):
        infonce_loss(query, key, positives=positives.T)


@pytest.mark.parametrize("masked", [False, True])
def test_directions_of_finished_logits(masked):
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positives = (torch.eye(4) + torch.eye(4).roll(1, 0)).bool() if masked else None
    transposed = None if positives is None else positives.T
    rows = infonce_of_logits(logits, positives)
    columns = infonce_of_logits(logits.T, transposed)
    assert infonce_of_logits(logits, positives, direction="key_to_query") == columns
    both = infonce_of_logits(logits, positives, direction="both")
    torch.testing.assert_close(both, (rows + columns) / 2)
    with pytest.raises(RetrievalInputError, match="'both'; got 'columns'"):
        infonce_of_logits(logits, direction="columns")
    with pytest.raises(RetrievalInputError, match=r"every key needs its own .* \(4, 3\) logits"):
        infonce_of_logits(logits[:3], direction="key_to_query")


def test_a_masked_logit_leaves_the_loss_with_positives_too():
    logits = torch.randn(3, 4, dtype=torch.float64)
    logits[0, 2] = -torch.inf
    logits.requires_grad_()
    plain = infonce_of_logits(logits)
    marked = infonce_of_logits(logits, torch.eye(3, 4, dtype=torch.bool))
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (plain, marked)]
    torch.testing.assert_close(marked, plain)
    torch.testing.assert_close(*gradients)
    assert plain.isfinite() and gradients[0].isfinite().all() and gradients[0][0, 2] == 0
