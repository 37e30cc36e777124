"""Trained models on disk: they load whole, or an error names the command that restores them."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import write_checksum
from lib.models.artifact_files import (
    CARD,
    EMBEDDINGS,
    WEIGHTS,
    load_card,
    load_embeddings,
    save_embeddings,
)
from lib.models.cross_encoder import CrossEncoder
from lib.models.late_interaction import LateInteraction
from lib.models.trained_models import (
    KINDS,
    card_text,
    class_of,
    load_model,
    round_weights,
    save_model,
)
from tests.models.toy import WORDS, interaction_config, toy_config, toy_encoder, toy_images

ROW = {"metric": "R@1", "value": 0.5, "low": 0.25, "high": 0.75, "n_queries": 8}
MODEL_CARD = {
    "data": "toys",
    "plan": {"steps": 3, "seed": 0},
    "history": {"loss": [1, 2]},
    "metrics": [ROW],
}


@pytest.fixture
def folder(tmp_path):
    save_model(toy_encoder(), tmp_path / "toy", MODEL_CARD)
    return tmp_path / "toy"


def forge(folder, tensors, metadata):
    """Write a weights file with a valid checksum and any content."""
    save_file(tensors, folder / WEIGHTS, metadata)
    write_checksum(folder / WEIGHTS)


# ---- round trip


def test_round_trip_rounds_to_float16_and_nothing_else(folder):
    encoder, loaded = toy_encoder(), load_model("toy", folder)
    assert loaded.config == encoder.config
    stored, original = loaded.network.state_dict(), encoder.network.state_dict()
    assert stored.keys() == original.keys()
    for key, value in original.items():
        assert stored[key].dtype == value.dtype
        rounded = value.half().float() if value.is_floating_point() else value
        torch.testing.assert_close(stored[key], rounded, rtol=0, atol=0)
    assert not loaded.network.training


def test_embeddings_survive_the_round_trip(folder):
    encoder, loaded = toy_encoder(), load_model("toy", folder)
    np.testing.assert_allclose(loaded.encode_text(WORDS), encoder.encode_text(WORDS), atol=5e-3)
    np.testing.assert_allclose(
        loaded.encode_image(toy_images()), encoder.encode_image(toy_images()), atol=5e-3
    )


def test_saving_what_was_loaded_gives_the_same_bytes(folder, tmp_path):
    save_model(load_model("toy", folder), tmp_path / "again", load_card("toy", folder))
    for name in (WEIGHTS, CARD):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_card_round_trip(folder):
    assert load_card("toy", folder) == MODEL_CARD


def test_card_as_markdown():
    assert card_text("toy", MODEL_CARD) == (
        "# toy\n"
        "\n"
        "- **data**: toys\n"
        "- **plan**: steps 3, seed 0\n"
        "\n"
        "| metric | value | low | high | n_queries |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| R@1 | 0.5000 | 0.2500 | 0.7500 | 8 |\n"
    )
    assert card_text("toy", {"data": "toys"}) == "# toy\n\n- **data**: toys\n"


def test_the_written_card_is_the_markdown(folder):
    assert (folder / CARD).read_text() == card_text("toy", MODEL_CARD)


def test_the_folder_is_found_by_name(folder, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_DATA", str(folder.parent))
    folder.parent.joinpath("artifacts").mkdir()
    folder.rename(folder.parent / "artifacts" / "toy")
    assert load_model("toy").config["name"] == "toy"


def test_int8_embeddings_round_trip(tmp_path):
    rows = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
    save_embeddings("toy", tmp_path, test_text=rows, test_image=rows[:2])
    loaded = load_embeddings("toy", tmp_path)
    assert set(loaded) == {"test_text", "test_image"} and loaded["test_text"].dtype == np.int8
    np.testing.assert_array_equal(loaded["test_text"], rows)


# ---- damage


@pytest.mark.parametrize("load", [load_model, load_card])
def test_one_flipped_bit_is_refused(folder, load):
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-5] ^= 4  # in the weights, where no parser would notice
    path.write_bytes(content)
    with pytest.raises(
        DamagedFileError, match=r"model\.safetensors is damaged.*git.*crossmodal train toy"
    ):
        load("toy", folder)


def test_flipped_bit_in_the_embeddings_is_refused(tmp_path):
    save_embeddings("toy", tmp_path, test_text=np.zeros((3, 4), np.int8))
    content = bytearray((tmp_path / EMBEDDINGS).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / EMBEDDINGS).write_bytes(content)
    with pytest.raises(DamagedFileError, match="embeddings.npz is damaged.*crossmodal train toy"):
        load_embeddings("toy", tmp_path)


@pytest.mark.parametrize("load", [load_model, load_card, load_embeddings])
def test_missing_names_the_command(tmp_path, load):
    with pytest.raises(MissingFileError, match="is missing.*crossmodal train toy"):
        load("toy", tmp_path)


def test_a_missing_checksum_is_not_trusted(folder):
    (folder / (WEIGHTS + ".sha256")).unlink()
    with pytest.raises(MissingFileError, match="sha256 is missing"):
        load_model("toy", folder)


# ---- sealed, but not ours


def test_garbage_with_a_valid_checksum_is_refused(folder):
    (folder / WEIGHTS).write_bytes(b"not a model at all, but sealed" * 10)
    write_checksum(folder / WEIGHTS)
    with pytest.raises(DamagedFileError, match="no model of ours"):
        load_model("toy", folder)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"config": "{", "card": "{}"},
        {"config": "{}", "card": ""},
        {"config": "[]", "card": "{}"},
    ],
)
def test_safetensors_of_another_project_are_refused(folder, metadata):
    forge(folder, {"weight": torch.ones(2)}, metadata)
    with pytest.raises(DamagedFileError, match="no model of ours.*crossmodal train toy"):
        load_model("toy", folder)


def test_another_model_under_this_name_is_refused(folder):
    for load in (load_model, load_card):
        with pytest.raises(
            DamagedFileError, match="holds the model 'toy' instead of 'icons'.*train icons"
        ):
            load("icons", folder)


@pytest.mark.parametrize(
    "change",
    [
        {"embed_dim": 24},
        {"tokenizer": {}},
        {"vision": {"timm_model_name": "no_such_tower", "image_size": 16}},
        {"text": {"width": 15, "heads": 2, "layers": 1}},
        {"text": {"wdth": 16}},
        {"embed_dim": None},
        {"channels": -1},
        {"channels": "x"},
        {"channels": 2},
        {"channels": True},
        {"image_size": 32},
        {"image_size": 16.0},
        {"tokenizer": {**toy_config()["tokenizer"], "alphabet": ["a"]}},
        {"tokenizer": {**toy_config()["tokenizer"], "merges": [[1, 2]] * 30}},
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(folder, change):
    tensors = {key: value.contiguous() for key, value in toy_encoder().network.state_dict().items()}
    forge(folder, tensors, {"config": json.dumps({**toy_config(3), **change}), "card": "{}"})
    with pytest.raises(DamagedFileError, match="'toy' does not fit its own config"):
        load_model("toy", folder)


def test_scales_of_another_shape_are_refused(tmp_path):
    save_model(toy_encoder(), tmp_path, MODEL_CARD, bits=8)
    with safe_open(tmp_path / WEIGHTS, "pt") as stream:
        keys, metadata = stream.keys(), stream.metadata()
        tensors = {key: stream.get_tensor(key) for key in keys}
    name = next(key for key in tensors if key.endswith(".scale"))
    forge(tmp_path, {**tensors, name: tensors[name][:1].clone()}, metadata)
    with pytest.raises(DamagedFileError, match="must have one number per row"):
        load_model("toy", tmp_path)


def test_embeddings_that_are_none_are_refused(tmp_path):
    rows = np.ones((3, 4), np.int8)
    for arrays in (
        {"a": rows, "b": rows[:, :2]},
        {"a": rows.astype(np.float32)},
        {"a": rows[0]},
        {},
    ):
        save_embeddings("toy", tmp_path, **arrays)
        with pytest.raises(
            DamagedFileError, match=r"embeddings.npz holds .*expected int8 \(rows, dim\)"
        ):
            load_embeddings("toy", tmp_path)


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_weights_that_float16_cannot_hold_are_not_written(tmp_path, value):
    encoder = toy_encoder()
    with torch.no_grad():
        encoder.network.text.token_embedding.weight[0, 0] = value
    with pytest.raises(
        RetrievalInputError, match="token_embedding.weight has a value that is not finite"
    ):
        save_model(encoder, tmp_path / "toy", {})
    assert not (tmp_path / "toy").exists()


# ---- eight bits


def test_eight_bits_store_what_round_weights_measures(tmp_path):
    encoder = toy_encoder()
    save_model(encoder, tmp_path / "toy", MODEL_CARD, bits=8)
    loaded = load_model("toy", tmp_path / "toy").network.state_dict()
    rounded = round_weights(encoder.network, 8).state_dict()
    for key, value in encoder.network.state_dict().items():
        torch.testing.assert_close(loaded[key], rounded[key], rtol=0, atol=0)
        if value.ndim > 1:
            step = value.flatten(1).abs().amax(dim=1) / 127
            error = (loaded[key] - value).flatten(1).abs().amax(dim=1)
            assert (error <= step * 0.51).all()
        else:  # vectors and scalars keep float16
            torch.testing.assert_close(loaded[key], value.half().float(), rtol=0, atol=0)


def test_rounding_twice_is_rounding_once():
    network = toy_encoder().network
    once = round_weights(network, 8)
    twice = round_weights(once, 8)
    for key, value in once.state_dict().items():
        torch.testing.assert_close(twice.state_dict()[key], value, rtol=1e-6, atol=0)


def test_a_row_of_zeros_stays_zero():
    network = torch.nn.Linear(3, 2)
    torch.nn.init.zeros_(network.weight)
    assert not round_weights(network, 8).weight.any()


def test_refuses_other_bits(tmp_path):
    with pytest.raises(RetrievalInputError, match="bits must be 8 or 16, got 4"):
        save_model(toy_encoder(), tmp_path, MODEL_CARD, bits=4)


@pytest.mark.parametrize("kind", [LateInteraction, CrossEncoder])
def test_models_with_interaction_come_back_as_what_they_are(tmp_path, kind):
    names = {class_of(name): name for name in KINDS}
    torch.manual_seed(0)
    model = kind(interaction_config() | {"kind": names[kind]})
    save_model(model, tmp_path / "toy", MODEL_CARD)
    assert isinstance(load_model("toy", tmp_path / "toy"), kind)
