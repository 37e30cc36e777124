"""MaxSim against loops, a peer and finite differences; padding, negative scores, empty inputs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens
from lib.models.maxsim import late_interaction_logits, maxsim, maxsim_pairs

REDUCTIONS = ("sum", "mean")


def side(n, length, dim=4, seed=0, dtype=torch.float32, holes=True):
    """Make unit tokens, with garbage where the mask is False, and at least one token per item."""
    generator = torch.Generator().manual_seed(seed)
    vectors = F.normalize(
        torch.randn(n, length, dim, generator=generator, dtype=torch.float64), dim=2
    )
    mask = torch.rand(n, length, generator=generator) < 0.6
    mask[torch.arange(n), torch.randint(length, (n,), generator=generator)] = True
    if not holes:
        return vectors.to(dtype), None
    return torch.where(mask[:, :, None], vectors, 1e3).to(dtype), mask


def by_loop(query, document, query_mask=None, document_mask=None, reduce="sum"):
    """Compute MaxSim by its definition, one token at a time."""
    scores, every = [], [slice(None)]
    for q, q_counts in zip(query, every * len(query) if query_mask is None else query_mask):
        tokens, row = q[q_counts], []
        for d, d_counts in zip(
            document, every * len(document) if document_mask is None else document_mask
        ):
            others = d[d_counts]
            best = [
                max(float(token.double() @ other.double()) for other in others) for token in tokens
            ]
            row.append(sum(best) / (len(best) if reduce == "mean" else 1))
        scores.append(row)
    return torch.tensor(scores)


def test_by_hand():
    query = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    document = torch.tensor([[[0.6, 0.8], [0.8, 0.6]], [[-1.0, 0.0], [-0.6, -0.8]]])
    assert maxsim(query, document).tolist() == [
        [pytest.approx(0.8 + 0.8), pytest.approx(-0.6 + 0.0)]
    ]
    assert maxsim(query, document, reduce="mean")[0].tolist() == pytest.approx([0.8, -0.3])
    one = torch.tensor([[True, False], [True, False]])
    assert maxsim(query, document, document_mask=one)[0].tolist() == pytest.approx(
        [0.6 + 0.8, -1.0]
    )
    assert maxsim(query, document, query_mask=one[:1])[0].tolist() == pytest.approx([0.8, -0.6])


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(REDUCTIONS),
    st.sampled_from([1, 64, 300, 2**20]),
    st.integers(0, 1000),
)
def test_it_is_the_loop_whatever_the_tiles(sizes, holes, reduce, block_bytes, seed):
    query, query_mask = side(*sizes[:2], seed=seed, holes=holes[0])
    document, document_mask = side(*sizes[2:], seed=seed + 1, holes=holes[1])
    sides = query, document, query_mask, document_mask
    scores = maxsim(*sides, reduce=reduce, block_bytes=block_bytes)
    assert scores.numpy() == pytest.approx(by_loop(*sides, reduce=reduce).numpy(), abs=2e-6)
    # every document as a candidate of every query, in another order
    candidates = torch.randperm(len(document)).repeat(len(query), 1)
    pairs = maxsim_pairs(
        query, document, candidates, *sides[2:], reduce=reduce, block_bytes=block_bytes
    )
    assert pairs.numpy() == pytest.approx(scores.gather(1, candidates).numpy(), abs=2e-6)


@pytest.mark.parametrize("filler", [0.0, 1e6, float("nan"), float("inf")])
def test_padding_changes_nothing_whatever_it_holds(filler):
    query, _ = side(3, 4, seed=3, holes=False)
    document = -query.flip(0).abs()  # against queries of both signs
    query = (
        query.abs()
    )  # so all similarities are negative: a mask that multiplies by 0 would win here
    alone = maxsim(query, document)
    assert (alone < 0).all()
    padded = F.pad(document, (0, 0, 2, 3), value=filler)
    document_mask = torch.tensor([False] * 2 + [True] * 4 + [False] * 3).repeat(3, 1)
    more = F.pad(query, (0, 0, 1, 2), value=filler)
    query_mask = torch.tensor([False] + [True] * 4 + [False] * 2).repeat(3, 1)
    for reduce in REDUCTIONS:
        alone = maxsim(query, document, reduce=reduce)
        scores = maxsim(more, padded, query_mask, document_mask, reduce=reduce)
        assert (scores - alone).abs().max() < 1e-6
        every = torch.arange(3).repeat(3, 1)
        pairs = maxsim_pairs(more, padded, every, query_mask, document_mask, reduce=reduce)
        assert (pairs - alone).abs().max() < 1e-6


def test_one_token_a_side_is_the_dot_product():
    query, _ = side(5, 1, 8, holes=False)
    document, _ = side(7, 1, 8, seed=1, holes=False)
    assert torch.allclose(maxsim(query, document), query[:, 0] @ document[:, 0].T, atol=1e-6)


def test_the_order_of_tokens_and_a_token_twice_do_not_matter():
    query, _ = side(4, 3, holes=False)
    document, _ = side(6, 5, seed=1, holes=False)
    expected = maxsim(query, document)
    assert torch.allclose(
        maxsim(query.flip(1), document[:, [4, 0, 2, 1, 3, 3]]), expected, atol=1e-6
    )
    assert torch.allclose(maxsim(query.repeat(1, 2, 1), document), 2 * expected, atol=1e-6)


def test_int8_scores_are_exact_whole_numbers():
    rng = np.random.default_rng(0)
    query = torch.from_numpy(rng.integers(-127, 128, (6, 9, 64)).astype(np.int8))
    document = torch.from_numpy(rng.integers(-127, 128, (8, 7, 64)).astype(np.int8))
    exact = torch.einsum("qid,njd->qnij", query.long(), document.long()).amax(3).sum(2)
    assert (maxsim(query, document) == exact).all()
    assert (maxsim_pairs(query, document, torch.arange(8).repeat(6, 1)) == exact).all()


def test_dtypes():
    query, _ = side(2, 3, holes=False)
    document, _ = side(2, 3, seed=1, holes=False)
    expected = maxsim(query, document)
    half = maxsim(query.bfloat16(), document.bfloat16())
    assert half.dtype == torch.float32 and (half - expected).abs().max() < 0.05
    assert maxsim(query, document.double()).dtype == torch.float64
    aligned = torch.arange(2)[:, None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (maxsim(query, document) == expected).all()
        assert torch.allclose(
            maxsim_pairs(query, document, aligned)[:, 0], expected.diagonal(), atol=1e-6
        )


def test_tokens_of_numpy_go_in_as_they_are():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5, 4)).astype(np.float32)
    tokens = Tokens.from_flat(vectors, np.array([2, 3]))
    padded, mask = torch.from_numpy(tokens.vectors), torch.from_numpy(tokens.mask)
    similarities, items = vectors @ vectors.T, (slice(0, 2), slice(2, 5))
    expected = [[similarities[a, b].max(axis=1).sum() for b in items] for a in items]
    assert maxsim(padded, padded, mask, mask).numpy() == pytest.approx(np.array(expected), rel=1e-6)


def test_no_items_give_no_scores():
    none, some = torch.zeros(0, 3, 4), torch.ones(2, 1, 4)
    assert maxsim(none, some).shape == (0, 2) and maxsim(some, none).shape == (2, 0)
    assert maxsim_pairs(none, some, torch.zeros(0, 5, dtype=torch.int64)).shape == (0, 5)
    assert maxsim_pairs(some, none, torch.zeros(2, 0, dtype=torch.int64)).shape == (2, 0)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_it_is_what_sentence_transformers_computes(reduce):
    peer = pytest.importorskip("sentence_transformers").util
    query, query_mask = side(9, 5, 16, seed=4)
    document, document_mask = side(11, 7, 16, seed=5)
    peer_maxsim = peer.maxsim if reduce == "sum" else peer.mean_maxsim
    expected = peer_maxsim(query, document, query_mask, document_mask)
    assert torch.allclose(
        maxsim(query, document, query_mask, document_mask, reduce=reduce), expected, atol=1e-5
    )


# ---- FILIP


def test_both_directions_have_a_row_per_text():
    text = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # two words
    image = torch.tensor(
        [[[1.0, 0.0]] * 3, [[0.0, 1.0], [0.6, 0.8], [0.0, -1.0]]]
    )  # two, of three patches
    text_to_image, image_to_text = late_interaction_logits(text, image)
    assert text_to_image[0].tolist() == pytest.approx([(1 + 0) / 2, (0.6 + 1) / 2])
    assert image_to_text[0].tolist() == pytest.approx([1, (1 + 0.8 + 0) / 3])


@given(st.integers(0, 100))
def test_directions_are_each_other_mirrored(seed):
    text, text_mask = side(3, 4, seed=seed)
    image, image_mask = side(5, 6, seed=seed + 1)
    one, other = late_interaction_logits(text, image, text_mask, image_mask)
    mirrored = late_interaction_logits(image, text, image_mask, text_mask)
    assert one.shape == other.shape == (3, 5)
    assert torch.equal(one, mirrored[1].T) and torch.equal(other, mirrored[0].T)


# ---- gradients


@pytest.mark.parametrize("block_bytes", [8, 300, 2**20])
def test_gradients_are_those_of_finite_differences(block_bytes):
    query, query_mask = side(3, 4, seed=1, dtype=torch.float64)
    document, document_mask = side(4, 3, seed=2, dtype=torch.float64)
    candidates = torch.tensor([[0, 3], [2, -1], [1, 1]])

    def everything(q, d):
        return maxsim(q, d, query_mask, document_mask, reduce="mean", block_bytes=block_bytes)

    def chosen(q, d):
        scores = maxsim_pairs(q, d, candidates, query_mask, document_mask, block_bytes=block_bytes)
        return scores[candidates >= 0]

    for function in (everything, chosen):
        assert torch.autograd.gradcheck(
            function, (query.requires_grad_(), document.requires_grad_())
        )


def test_the_gradient_reaches_winners_alone_and_the_first_of_equals():
    query = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    document = torch.tensor([[[0.0, 1.0], [0.8, 0.6], [0.8, 0.6]]], requires_grad=True)
    padding_first = torch.tensor([[False, True, True]])
    for mask in (None, padding_first):
        gradients = torch.autograd.grad(
            maxsim(query, document, None, mask).sum(), (query, document)
        )
        assert gradients[0].tolist() == [[pytest.approx([0.8, 0.6])]]
        assert gradients[1].tolist() == [[[0, 0], [1, 0], [0, 0]]]


def test_half_precision_gradients_and_one_side_alone():
    query, _ = side(3, 4, seed=1, holes=False)
    document, document_mask = side(4, 3, seed=2)
    leaf = query.clone().requires_grad_()
    maxsim(leaf, document, None, document_mask).sum().backward()
    low = query.bfloat16().requires_grad_()
    maxsim(low, document, None, document_mask).sum().backward()
    assert low.grad.dtype == torch.bfloat16 and (low.grad - leaf.grad).abs().max() < 0.1


def test_a_second_derivative_is_refused():
    query, document = torch.ones(1, 1, 2, requires_grad=True), torch.ones(1, 1, 2)
    with pytest.raises(RetrievalInputError, match="maxsim can be differentiated once only"):
        torch.autograd.grad(maxsim(query, document).sum(), query, create_graph=True)


# ---- bad input


ONE, NOTHING = torch.ones(1, 1, 1), torch.tensor([[False]])
BAD = [
    ((torch.ones(2, 3), torch.ones(2, 3, 4)), r"query must be .* got \(2, 3\)"),
    ((torch.ones(2, 3, 4), torch.ones(2, 0, 4)), r"document must be .* got \(2, 0, 4\)"),
    ((torch.ones(2, 3, 4), torch.ones(2, 3, 5)), "dimension 4, those of documents 5"),
    ((ONE.int(), ONE), "query must be floating point or int8, got torch.int32"),
    ((ONE, ONE.repeat(2, 1, 1), None, torch.tensor([[True], [False]])), "document 1 has no token"),
    ((ONE, ONE, NOTHING), "query 0 has no token"),
    (
        (ONE, ONE, torch.ones(1, 2).bool()),
        r"query_mask must be bool \(1, 1\), got torch.bool \(1, 2\)",
    ),
    ((ONE, ONE, None, torch.ones(1, 1)), "document_mask must be bool .* got torch.float32"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_refuses(arguments, message):
    with pytest.raises(RetrievalInputError, match=message):
        maxsim(*arguments)
    query, document, *masks = arguments
    with pytest.raises(RetrievalInputError, match=message):
        maxsim_pairs(query, document, torch.zeros(len(query), 1, dtype=torch.int64), *masks)


def test_refuses_options_and_candidates():
    one = torch.ones(1, 1, 1)
    with pytest.raises(RetrievalInputError, match="reduce must be one of 'sum', 'mean'; got 'max'"):
        maxsim(one, one, reduce="max")
    with pytest.raises(RetrievalInputError, match="block_bytes must be at least 1, got 0"):
        maxsim(one, one, block_bytes=0)
    with pytest.raises(
        RetrievalInputError, match="candidate 1 of query 0 is no document: there are 1"
    ):
        maxsim_pairs(one, one, torch.tensor([[0, 1]]))
    with pytest.raises(
        RetrievalInputError, match=r"candidates must be int64 \(1, k\).*int64 \(1,\)"
    ):
        maxsim_pairs(one, one, torch.tensor([0]))
