"""Counted costs against formulas."""

import numpy as np
import pytest
import torch

from lib.index import TokenIndex, VectorSearchIndex
from lib.metrics.geometry import to_int8
from lib.models.cross_encoder import CrossEncoder
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction
from lib.search import (
    CrossEncoderRetriever,
    DualEncoderRetriever,
    LateInteractionRetriever,
    Run,
    TwoStageRetriever,
    Work,
)
from lib.studies.architectures import costs
from tests.models.toy import interaction_config, small_images

TEXT, WIDTH, LAYERS = "red car", 16, 1


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    config = interaction_config()
    return DualEncoder(config), LateInteraction(config), CrossEncoder(config)


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


def test_bytes_are_those_of_what_is_kept(models):
    dual, late, cross = models
    images = small_images(12)
    index = VectorSearchIndex(dual.dim, "Flat", metric="cosine")
    index.add(to_int8(dual.encode_image(images)))
    one = DualEncoderRetriever(dual, index)
    joint = CrossEncoderRetriever(cross, cross.read_image(images))
    tokens = LateInteractionRetriever(late, late.encode_image(images).as_int8())
    assert costs.stored_bytes(one) == 16 + 8 + 8  # int8 vector, norm, id
    assert costs.stored_bytes(tokens) == 4 * 8
    assert costs.stored_bytes(joint) == 4 * 4 * WIDTH
    staged = TwoStageRetriever(one, joint, 3)
    assert costs.stored_bytes(staged) == 16 + 8 + 8 + 4 * 4 * WIDTH
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
