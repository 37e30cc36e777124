"""Cross-encoders: scores depend on both sides, and not on padding or on the rest of the batch."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.models.artifact_files import WEIGHTS
from lib.models.cross_encoder import CrossEncoder
from lib.models.late_interaction import LateInteraction
from lib.models.trained_models import load_model, save_model
from tests.models.toy import WORDS, interaction_config, small_images


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CrossEncoder(interaction_config())


@pytest.fixture(scope="module")
def sides(model):
    return model.read_text(WORDS), model.read_image(small_images(len(WORDS)))


def test_a_pair_scores_alike_alone_and_in_company(model, sides):
    text, image = sides
    together = model.score(text, image)
    assert together.dtype == np.float32 and together.shape == (len(WORDS),)
    for i in range(len(WORDS)):
        np.testing.assert_allclose(
            model.score(text.take([i]), image.take([i])), together[i], atol=1e-5
        )
    progress = []
    in_threes = model.score(text, image, batch_size=3, progress=progress.append)
    np.testing.assert_allclose(in_threes, together, atol=1e-5)
    assert progress == [3, 1]


def test_what_padding_holds_changes_nothing(model, sides):
    text, image = sides
    spoilt = text.vectors.copy()
    spoilt[~text.mask] = 100.0
    np.testing.assert_allclose(
        model.score(type(text)(spoilt, text.mask), image), model.score(text, image)
    )


def test_the_two_sides_are_read_together(model, sides):
    # A sum of one term per side would make this difference of differences zero.
    text, image = sides
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    same, other, third, fourth = model.score(text.take(a), image.take(b))
    assert abs((same - other) - (third - fourth)) > 1e-4


def test_states_do_not_depend_on_the_other_side(model):
    np.testing.assert_allclose(
        model.read_text(WORDS).take([2]).flat()[0], model.read_text([WORDS[2]]).flat()[0], atol=1e-5
    )


# ---- from the tokens of another model


def features_config(**more) -> dict:
    made = {
        "reads": "features",
        "features": 64 * 9,
        "hashed": 50,
        "patches": 3,
        "dim": 6,
        "dropout": 0.0,
    }
    return {
        "name": "toy",
        "interaction": made | {"width": 8, "heads": 2, "layers": 1, "hidden": 5},
        **more,
    }


def test_tokens_of_features_are_read_and_not_trained():
    torch.manual_seed(0)
    model = CrossEncoder(features_config())
    text, image = model.read_text(["red car", "alarm"]), model.read_image(small_images(2)[..., 0])
    assert text.counts.tolist() == [3, 2] and image.counts.tolist() == [3, 3]
    together = model.score(text, image)
    np.testing.assert_allclose(
        model.score(text.take([1]), image.take([1])), together[1:], atol=1e-5
    )
    trained = {name for name, weight in model.network.named_parameters() if weight.requires_grad}
    assert trained and not any(name.startswith("tokens.") for name in trained)


def test_shared_tokens_come_from_their_own_artifact(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    torch.manual_seed(0)
    made = features_config()["interaction"] | {"width": 5}
    late = LateInteraction({"name": "lender", "kind": "late_interaction", "interaction": made})
    save_model(late, artifacts_dir() / "lender", {})
    model = CrossEncoder(features_config(name="borrower", kind="cross_encoder", shared="lender"))
    model.network.tokens.load_state_dict(load_model("lender").network.state_dict())
    save_model(model, artifacts_dir() / "borrower", {})
    loaded = load_model("borrower")
    for key, value in loaded.network.tokens.state_dict().items():
        torch.testing.assert_close(
            value, load_model("lender").network.state_dict()[key], rtol=0, atol=0
        )
    with safe_open(artifacts_dir() / "borrower" / WEIGHTS, framework="pt") as stored:
        assert not any(key.startswith("tokens.") for key in list(stored.keys()))


def test_refuses(model, sides):
    text, image = sides
    with pytest.raises(RetrievalInputError, match="aligned, got 4 texts and 2 images"):
        model.score(text, image.take([0, 1]))
    with pytest.raises(RetrievalInputError, match="batch_size"):
        model.score(text, image, batch_size=0)
    with pytest.raises(RetrievalInputError, match="images must be uint8"):
        model.read_image(small_images()[..., 0])
