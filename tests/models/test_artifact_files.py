"""Files of a trained model, read with numpy alone. Their damage: test_trained_models."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.models.artifact_files import SCALE, read_artifact, unpacked
from lib.models.trained_models import save_model
from tests.models.toy import toy_encoder


def test_unpacked_by_hand():
    arrays = {
        "half": np.array([0.5, -2.0], np.float16),
        "matrix": np.array([[127, -127], [2, 0]], np.int8),
        "matrix" + SCALE: np.array([0.5, 0.25], np.float32),
        "count": np.array(3, np.int64),
    }
    state = unpacked(arrays)
    assert state.keys() == {"half", "matrix", "count"}
    assert state["half"].dtype == state["matrix"].dtype == np.float32
    assert state["half"].tolist() == [0.5, -2.0] and state["count"].dtype == np.int64
    assert state["matrix"].tolist() == [[63.5, -63.5], [0.5, 0.0]]
    assert arrays["matrix"].dtype == np.int8  # the input is left as it was


def test_filters_have_one_scale_per_row():
    arrays = {"filters": np.ones((2, 1, 1, 3), np.int8), "filters" + SCALE: np.float32([2, 3])}
    assert unpacked(arrays)["filters"][:, 0, 0].tolist() == [[2, 2, 2], [3, 3, 3]]
    with pytest.raises(RetrievalInputError, match="filters.scale must have one number per row"):
        unpacked({**arrays, "filters" + SCALE: np.float32([2])})


def test_an_artifact_is_config_card_and_weights(tmp_path):
    encoder = toy_encoder()
    save_model(encoder, tmp_path, {"data": "toys"}, bits=8)
    config, card, arrays = read_artifact("toy", tmp_path)
    assert config == encoder.config and card == {"data": "toys"}
    expected = encoder.network.state_dict()
    state = unpacked(arrays)
    assert state.keys() == expected.keys()
    assert all(state[name].shape == tuple(expected[name].shape) for name in state)
