"""CLAP: equal to transformers, without its random crops; files read as data; clear refusals."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ClapFeatureExtractor, ClapModel, ClapProcessor

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets.media.decoding import available
from lib.datasets.media.files import AudioFiles
from lib.datasets.miniatures.sounds import wave_of
from lib.datasets.miniatures.writing import Clip, Miniature, write_miniature
from lib.models.clap_encoder import load_clap
from lib.models.clap_features import sound_inputs
from lib.models.encoder import load_encoder
from tests.models.toy import write_clap

TEXTS = ["a low hum", "A dog barks, twice.", "Geräusch </s> und mehr"]
RATE = 48_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("clap")
    return {
        fusion: write_clap(root / f"fusion {fusion}", fusion=fusion) for fusion in (False, True)
    }


@pytest.fixture(scope="module")
def encoder(folders):
    return load_clap(folders[False], batch_size=2)


@pytest.fixture
def copy(folders, tmp_path):
    """A checkpoint to break."""
    for path in folders[False].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_embeddings_of_short_sounds_and_texts_are_those_of_transformers(folders, encoder):
    folder, sounds = folders[False], [noise(2), noise(0.5, 1), noise(10, 2)]
    model, processor = ClapModel.from_pretrained(folder), ClapProcessor.from_pretrained(folder)
    texts = TEXTS[:2]  # the mark of an end inside a text stays text here
    inputs = processor(
        text=texts, audio=sounds, sampling_rate=RATE, padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        theirs = model.eval()(**inputs)
    assert np.allclose(encoder.encode_audio(sounds), theirs.audio_embeds.numpy(), atol=1e-5)
    assert np.allclose(encoder.encode_text(texts), theirs.text_embeds.numpy(), atol=1e-5)
    assert encoder.dim == 12 and encoder.rate == RATE


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
def test_long_sounds_get_the_middle_of_what_transformers_draws(monkeypatch, truncation):
    extractor = ClapFeatureExtractor(truncation=truncation, frequency_min=50)
    sounds = [noise(13.7), noise(10.005, 1), noise(3, 2)]  # the second has no frame more
    ours = sound_inputs(extractor, sounds)
    monkeypatch.setattr(np.random, "choice", lambda values: values[len(values) // 2])
    monkeypatch.setattr(np.random, "randint", lambda low, high: (high - 1) // 2)
    theirs = extractor(
        [sound.astype(np.float64) for sound in sounds], sampling_rate=RATE, return_tensors="pt"
    )
    assert ours["input_features"].shape[1] == (4 if truncation == "fusion" else 1)
    assert torch.allclose(ours["input_features"], theirs["input_features"], atol=1e-4)
    assert ours["is_longer"].tolist() == theirs["is_longer"].tolist()
    assert ours["is_longer"][:, 0].tolist() == [True, truncation == "rand_trunc", False]


def test_no_short_sound_is_called_longer_and_batches_do_not_matter(folders):
    encoder = load_clap(folders[True])
    sounds = [noise(1), noise(12, 1), noise(2, 2)]
    together = encoder.encode_audio(sounds)
    alone = np.concatenate([encoder.encode_audio([sound]) for sound in sounds])
    assert np.allclose(together, alone, atol=1e-5) and np.array_equal(
        together, encoder.encode_audio(sounds)
    )
    assert not sound_inputs(ClapFeatureExtractor(), [noise(1)])["is_longer"].any()
    assert "squeezed" not in encoder.notes[0] and "the whole in 10 s" in encoder.notes[0]
    assert "middle 10 s of front" in encoder.identity["transform"]


@pytest.mark.skipif(not available(), reason="needs PyAV")
def test_files_are_decoded_at_the_rate_of_the_model(tmp_path, encoder):
    waves = [wave_of("whistle", "steadily"), wave_of("low hum", "fading away")]
    clips = [Clip(f"{at}.wav", None, wave) for at, wave in enumerate(waves)]
    write_miniature(tmp_path / "mini", "toy", lambda root: Miniature({}, clips))
    files = AudioFiles(tmp_path / "mini", ["0.wav", "1.wav"])
    steps = []
    rows = encoder.encode_audio(files, progress=steps.append)
    assert steps == [2] and files.rate == 16_000 and len(files.at_rate(RATE)[0]) == 72_000
    assert np.array_equal(rows, encoder.encode_audio([files.at_rate(RATE)[at] for at in (0, 1)]))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_texts_are_cut_at_the_context_and_counted(encoder):
    assert encoder.count_truncated(["a" * 30, "a" * 31]) == 1  # of 32 places two are marks
    assert np.array_equal(encoder.encode_text(["a" * 31]), encoder.encode_text(["a" * 30 + "b"]))
    assert encoder.identity["tokenizer"].endswith("context 32")


def test_a_prompt_is_put_around_texts(folders, encoder):
    prompted = load_clap(folders[False], prompt="sound of {}")
    rows = prompted.encode_text(["rain"]), encoder.encode_text(["sound of rain"])
    assert np.allclose(*rows, atol=1e-6) and prompted.identity["prompt"] == "sound of {}"


def test_a_repository_in_the_cache_of_the_hub_is_found_without_a_network(folders, tmp_path):
    snapshot = tmp_path / "models--somebody--tiny" / "snapshots" / "a1"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--somebody--tiny" / "refs").mkdir()
    (tmp_path / "models--somebody--tiny" / "refs" / "main").write_text("a1")
    for path in folders[False].iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    encoder = load_clap("somebody/tiny", cache_dir=tmp_path)
    assert encoder.identity["model"] == "clap" and encoder.identity["tag"] == "somebody/tiny"
    with pytest.raises(MissingFileError, match="files of somebody/other are not all in "):
        load_clap("somebody/other", cache_dir=tmp_path)
    (snapshot / "preprocessor_config.json").unlink()  # as after loading the network alone
    with pytest.raises(MissingFileError, match="files of somebody/tiny are not all in"):
        load_clap("somebody/tiny", cache_dir=tmp_path)


def test_the_pickled_weights_of_older_repositories_are_read_as_tensors(copy, encoder):
    state = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    state = {key: value for key, value in state.items() if "position_ids" not in key}
    torch.save(state, copy / "pytorch_model.bin")
    rows = load_clap(copy).encode_text(TEXTS)
    assert np.allclose(rows, encoder.encode_text(TEXTS), atol=1e-6)

    class Bomb:
        def __reduce__(self):
            return print, ("run",)

    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Bomb()}, protocol=2))
    with pytest.raises(RetrievalInputError, match="could run code when read"):
        load_clap(copy)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("config.json", {"model_type": "clip"}, "model_type must be 'clap', got 'clip'"),
        ("config.json", {"text_config": None}, "text_config must be an object"),
        ("config.json", {"projection_dim": 13}, "does not fill.*tensors differ.*projection"),
        ("config.json", {"projection_dim": {}}, "projection_dim must be plain"),
        ("config.json", {"projection_dim": 2**40}, "numbers at most 1,048,576"),
        ("config.json", {"projection_hidden_act": "none"}, "does not fill|no config of CLAP"),
        ("preprocessor_config.json", {"truncation": "fusion"}, "of two checkpoints"),
        ("preprocessor_config.json", {"truncation": "first"}, "truncation must be"),
        ("preprocessor_config.json", {"sampling_rate": 0}, "sampling_rate must be a whole number"),
        ("preprocessor_config.json", {"max_length_s": 10**6}, "max_length_s must be .* to 600"),
        ("preprocessor_config.json", {"feature_size": 32}, "do not go together"),
        ("preprocessor_config.json", {"max_length_s": 20}, "do not go together.*wav size"),
        ("tokenizer_config.json", {"auto_map": {"x": "y"}}, "would run code"),
        ("tokenizer_config.json", {"tokenizer_class": "Odd"}, "tokenizer_class must be one of"),
    ],
)
def test_files_that_do_not_go_together_are_refused(copy, name, values, message):
    change(copy / name, **values)
    with pytest.raises(RetrievalInputError, match=message):
        load_clap(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vocab_size", 299, "tensors differ"),
        ("vocab_size", 2**20, "too few for the"),
        ("num_hidden_layers", 2**20, "too few for the"),
        ("pad_token_id", None, "pad_token_id None"),
        ("max_position_embeddings", "34", "no config of CLAP"),
    ],
)
def test_sizes_that_the_weights_do_not_have_are_refused(copy, key, value, message):
    config = json.loads((copy / "config.json").read_text())
    change(copy / "config.json", text_config=config["text_config"] | {key: value})
    with pytest.raises(RetrievalInputError, match=message):
        load_clap(copy)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_cut_and_missing_files_are_named(copy, name):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RetrievalInputError, match=name):
        load_clap(copy)
    (copy / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        load_clap(copy)


def test_a_larger_vocabulary_than_the_weights_and_a_missing_one_are_refused(copy):
    state = load_file(copy / "model.safetensors")
    words = state["text_model.embeddings.word_embeddings.weight"]
    state["text_model.embeddings.word_embeddings.weight"] = words[:200].clone()
    save_file(state, copy / "model.safetensors")
    config = json.loads((copy / "config.json").read_text())
    change(copy / "config.json", text_config=config["text_config"] | {"vocab_size": 200})
    with pytest.raises(RetrievalInputError, match="the tokenizer has 262 pieces"):
        load_clap(copy)
    for path in (*copy.glob("tokenizer*"), copy / "vocab.json", copy / "merges.txt"):
        path.unlink()
    with pytest.raises(MissingFileError, match="holds no vocabulary"):
        load_clap(copy)


@pytest.mark.parametrize(
    "sound",
    [np.zeros((2, 100), np.float32), np.zeros(0), np.array([np.nan]), np.zeros(9, int), "a"],
)
def test_what_is_no_waveform_is_refused(encoder, sound):
    with pytest.raises(RetrievalInputError, match=r"sounds\[0\] must be finite floats"):
        encoder.encode_audio([sound])


@pytest.mark.parametrize(
    ("pretrained", "message"),
    [
        (None, "architecture without weights.*laion/clap-htsat-unfused"),
        ("./nowhere", "no folder of a CLAP checkpoint"),
        ("one-word", "no folder of a CLAP checkpoint"),
        ("https://example.org/x", "no folder of a CLAP checkpoint"),
    ],
)
def test_names_that_are_no_checkpoint_are_refused(pretrained, message):
    with pytest.raises(ValueError, match=message):
        load_clap(pretrained)


def test_load_encoder_says_where_clap_is():
    with pytest.raises(RetrievalInputError, match="clap encodes sounds, not pictures"):
        load_encoder("clap", "laion/clap-htsat-unfused")
