"""Counted costs against formulas, and exponents of lines whose exponents are known."""

import numpy as np
import pytest
import torch
from scipy.stats import linregress

from lib.core.checks import RetrievalInputError
from lib.index import TokenIndex
from lib.models.cross_encoder import CrossEncoder
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction
from lib.search import LateInteractionRetriever, Run, TwoStageRetriever, Work
from lib.studies.architectures import costs
from lib.studies.architectures.costs import (
    fitted_exponent,
    galleries_by_size,
    seconds_by_size,
    timing_rows,
)
from tests.models.toy import WORDS, interaction_config, small_images

TEXT, WIDTH, LAYERS = "red car", 16, 1


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    config = interaction_config()
    return DualEncoder(config), LateInteraction(config), CrossEncoder(config)


@pytest.fixture(scope="module")
def made(models):
    return galleries_by_size(*models, small_images(5), (5, 12), depth=3)


def test_a_matrix_product_is_two_operations_per_multiply_add():
    assert costs.flops(torch.matmul, torch.ones(3, 4), torch.ones(4, 5)) == 2 * 3 * 4 * 5


def test_attention_is_counted_and_the_fused_path_comes_back(models):
    assert torch.backends.mha.get_fastpath_enabled()
    cross = models[2]
    n_words = int(cross.read_text([TEXT]).counts[0])
    places = 1 + n_words + 4
    # Queries, keys, values and the way out: 4 w^2. The hidden layer, four times as wide: 8 w^2.
    # Scores and their mixture: 2 L w a place. Each a multiply-add, 2 operations; then one row
    # through the last layer.
    layer = 2 * places * (12 * WIDTH**2 + 2 * places * WIDTH)
    assert costs.pair_flops(cross, TEXT, small_images(1)[0]) == LAYERS * layer + 2 * WIDTH
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_pair_of_vectors_or_tokens_costs_their_products(models):
    dual, late, _ = models
    image = small_images(1)[0]
    assert costs.pair_flops(dual, TEXT, image) == 2 * 16
    n_words = late.encode_text([TEXT]).n_tokens
    assert costs.pair_flops(late, TEXT, image) == 2 * n_words * 4 * 8


def test_encoders_with_more_on_top_cost_more(models):
    image = small_images(1)[0]
    dual, late, cross = (costs.encoder_flops(model, TEXT, image) for model in models)
    assert 0 < dual["text"] < late["text"] and 0 < dual["image"] < late["image"]
    assert cross["image"] > 0 and cross["text"] > 0
    assert costs.parameters(models[:1]) == sum(p.numel() for p in models[0].network.parameters())


def test_bytes_are_those_of_what_is_kept(models, made):
    of = {name: costs.stored_bytes(retriever) for name, retriever in made[12].items()}
    assert of["dual encoder"] == 16 + 8 + 8  # int8 vector, norm, id
    assert of["late interaction"] == 4 * 8
    assert of["cross-encoder"] == 4 * 4 * WIDTH
    assert of["two stages"] == of["dual encoder"] + of["cross-encoder"]
    late = models[1]
    index = TokenIndex(late.dim, "residual", bits=2, n_centroids=2)
    index.add(late.encode_image(small_images(5)))
    found = costs.stored_bytes(LateInteractionRetriever(late, index, nprobe=1))
    assert found == index.bytes_by_part()["total"] / 5


def test_scores_of_all_stages_are_added(models):
    none = np.zeros((4, 1))
    work = (Work("dual encoder", 40, 40), Work("MaxSim", 8, 96), Work("cross-encoder", 12, 0))
    run = Run(none, none.astype(int), none.astype(np.int8), (), work)
    total = 40 * 2 * 16 + 96 * 2 * 8 + 12 * 1000
    assert costs.scoring_flops(run, models, 1000) == total / 4


def test_multiply_adds_grow_with_the_gallery_or_not_at_all(models):
    sizes = np.array([250, 1000, 16_000])
    dual, late, _ = models
    found = costs.scoring_by_size(sizes, dual, late, 600, words=5, patches=4, depth=50)
    for name in ("dual encoder", "late interaction", "cross-encoder"):
        assert fitted_exponent(sizes, found[name])["value"] == pytest.approx(1, abs=1e-12)
    assert fitted_exponent(sizes, found["two stages, second alone"])["value"] == pytest.approx(
        0, abs=1e-12
    )
    assert found["dual encoder"][1] == 1000 * 16 and found["cross-encoder"][0] == 250 * 300
    assert found["late interaction"][1] == 1000 * 5 * 4 * 8
    assert found["two stages"][2] == 16_000 * 16 + 50 * 300


# ---- latency: what is measured, not how long it takes


def test_galleries_repeat_the_images(made):
    assert list(made) == [5, 12]
    assert {name: retriever.n_items for name, retriever in made[12].items()} == dict.fromkeys(
        made[12], 12
    )
    assert isinstance(made[5]["two stages"], TwoStageRetriever) and made[5]["two stages"].depth == 3
    hits = made[12]["dual encoder"].by_text(TEXT, 12)
    assert hits[0].score == hits[1].score  # an image and its copy


def test_every_architecture_is_timed_and_large_exhaustive_ones_are_not(made):
    found = seconds_by_size(made, WORDS[:2], k=3, repeats=3, most_pairs=5)
    assert {name: sizes for name, (sizes, _) in found.items()} == {
        "dual encoder": [5, 12], "late interaction": [5, 12], "two stages": [5, 12],
        "cross-encoder": [5],
    }  # fmt: skip
    assert timing_rows({"a": ([5], [[0.1, 0.2]])}) == [
        {"": "a", "images": "5", "seconds": [0.1, 0.2]}
    ]
    took = [of_size for _, seconds in found.values() for of_size in seconds]
    assert all(
        len(of_size) == 2 * 3 and min(of_size) > 0 for of_size in took
    )  # every text, every repeat


def test_the_exponent_is_the_slope_on_logarithms():
    sizes = np.array([100.0, 200, 400, 1600])
    exact = fitted_exponent(sizes, 3e-4 * sizes**0.75)
    assert exact["value"] == pytest.approx(0.75) and exact["high"] - exact["low"] < 1e-9
    noisy = sizes * np.array([1.1, 0.9, 1.2, 0.95])
    peer = linregress(np.log(sizes), np.log(noisy))
    found = fitted_exponent(sizes, noisy)
    assert found["value"] == pytest.approx(peer.slope)
    assert found["high"] - found["value"] == pytest.approx(
        4.302652729911275 * peer.stderr
    )  # t, 2 degrees
    two = fitted_exponent([1, 10], [1, 100])
    assert two["value"] == pytest.approx(2) and np.isnan(two["low"]) and np.isnan(two["high"])


@pytest.mark.parametrize(
    ("sizes", "values", "message"),
    [
        ([1, 2], [1], "two different sizes"),
        ([2, 2], [1, 2], "two different sizes"),
        ([1, 2], [0, 1], "finite and above 0"),
        ([1, 2], [np.nan, 1], "finite and above 0"),
    ],
)
def test_refuses_what_has_no_slope(sizes, values, message):
    with pytest.raises(RetrievalInputError, match=message):
        fitted_exponent(sizes, values)
