"""A published text tower, frozen, with a trained head: embeddings, states, training, storage."""

import copy
import shutil

import numpy as np
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from safetensors import safe_open

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.models import text_tower
from lib.models.artifact_files import save_embeddings
from lib.models.dual_encoder import DualEncoder, text_features, untrained
from lib.models.encoder import artifact_towers
from lib.models.published_tokenizer import PublishedTokenizer
from lib.models.published_weights import WEIGHTS, published_tower
from lib.models.text_tower import frozen_states, published_text_encoder
from lib.models.trained_models import load_model, save_model
from tests.models.toy import install_published_tower, tower_config, toy_images

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = ["red car", "a blue clock", "cars", "red red red blue clocks"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    files = install_published_tower(tmp_path, monkeypatch, tmp_path / "hub")
    text_tower._shared_encoder.cache_clear()
    yield files
    text_tower._shared_encoder.cache_clear()


def tiny(files, **changes) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(tower_config(files, **changes))


# ---- the published tower


def test_sentence_vectors_are_those_of_sentence_transformers():
    peers = pytest.importorskip("sentence_transformers")
    folder = published_tower(MINILM).file(WEIGHTS).parent
    peer = peers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    texts = ["alarm clock", "sunset over the sea with palm trees", "xyzzy qwrt", "Feuer & Wasser"]
    ids = torch.from_numpy(PublishedTokenizer(MINILM, 16).encode(texts))
    with torch.inference_mode():
        rows = torch.nn.functional.normalize(published_text_encoder(MINILM)(ids), dim=-1)
    np.testing.assert_allclose(rows.numpy(), peer.encode(texts), atol=1e-5)


def test_it_is_open_clips_tower_and_one_for_all(files):
    encoder = published_text_encoder("tiny/tower")
    assert isinstance(encoder, HFTextEncoder) and encoder is published_text_encoder("tiny/tower")
    assert not encoder.training and not any(p.requires_grad for p in encoder.parameters())


def test_weights_are_those_of_the_file(files):
    state = published_text_encoder("tiny/tower").transformer.state_dict()
    with safe_open(files / WEIGHTS, "pt") as stream:
        for name in stream.keys():  # noqa: SIM118
            torch.testing.assert_close(state[name], stream.get_tensor(name), rtol=0, atol=0)


# ---- embeddings


def test_rows_have_length_one_and_do_not_depend_on_the_batch(files):
    encoder = tiny(files)
    together = encoder.encode_text(TEXTS)
    assert together.shape == (4, 16) and together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.vstack([encoder.encode_text([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=2e-6)
    assert encoder.encode_text([]).shape == (0, 16)


def test_the_context_length_does_not_matter_for_a_text_that_fits(files):
    torch.manual_seed(0)
    short, long = DualEncoder(tower_config(files, 8)), DualEncoder(tower_config(files, 12))
    state = long.network.state_dict()
    state["text.pooler.position_embedding"] = state["text.pooler.position_embedding"][:8]
    short.network.load_state_dict(state)
    np.testing.assert_allclose(short.encode_text(TEXTS), long.encode_text(TEXTS), atol=2e-6)


def test_the_embedding_is_open_clips_forward(files):
    """With all padding: transformer, pooler and projection of open_clip's own tower."""
    encoder = tiny(files)
    tower = encoder.network.text
    ids = torch.from_numpy(encoder.tokenizer.encode(TEXTS))
    with torch.no_grad():
        expected = HFTextEncoder.forward(tower, ids)
        torch.testing.assert_close(text_features(encoder.network, ids), expected)


def test_refuses_bad_texts(files):
    encoder = tiny(files)
    with pytest.raises(RetrievalInputError, match=r"pass \[text\]"):
        encoder.encode_text("red car")
    with pytest.raises(RetrievalInputError, match=r"texts\[1\] is ' ': it holds no letter"):
        encoder.encode_text(["red", " "])
    with pytest.raises(RetrievalInputError, match=r"texts\[0\] is too long: 12 pieces"):
        encoder.encode_text(["red " * 10])


def test_a_first_text_in_inference_mode_leaves_weights_that_training_can_read(files):
    encoder = tiny(files)
    encoder.encode_text(TEXTS)  # loads the shared transformer, inside inference mode
    ids = torch.from_numpy(encoder.tokenizer.encode(TEXTS))
    encoder.network.encode_text(ids).sum().backward()
    assert encoder.network.text.proj.weight.grad.abs().sum() > 0


# ---- frozen states


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_features_of_stored_states_are_those_of_the_tower(files, batch_size):
    encoder, done = tiny(files), []
    tokens = encoder.tokenizer.encode(TEXTS)
    states = frozen_states("tiny/tower", tokens, batch_size=batch_size, progress=done.append)
    assert sum(done) == 4 and max(done) <= batch_size
    assert states.lengths.tolist() == encoder.tokenizer.lengths(TEXTS).tolist()
    assert states.words.shape == states.contexts.shape == (states.lengths.sum(), 16)
    assert states.words.dtype == states.contexts.dtype == np.float16
    order = [2, 0, 3, 0]
    with torch.no_grad():
        features = encoder.network.text.features_of_states(*states.batch(order))
        direct = text_features(encoder.network, torch.from_numpy(tokens[order]))
    torch.testing.assert_close(features, direct, atol=2e-3, rtol=0)  # states are float16


def test_a_batch_is_as_long_as_its_longest_text(files):
    tokens = PublishedTokenizer("tiny/tower", 10).encode(TEXTS)
    states = frozen_states("tiny/tower", tokens)
    words, contexts, mask = states.batch(np.array([2, 0]))
    assert words.shape == contexts.shape == (2, 4, 16) and mask.tolist() == [[True] * 4] * 2
    words, _, mask = states.batch([3, 0])
    assert mask.sum(dim=1).tolist() == [8, 4] and not words[1, 4:].any()
    np.testing.assert_array_equal(words[1, :4].numpy(), states.words[:4].astype(np.float32))


def test_nothing_has_no_states(files):
    states = frozen_states("tiny/tower", np.zeros((0, 10), np.int64))
    assert states.words.shape == (0, 16) and states.lengths.shape == (0,)


# ---- what is trained


def trained_names(encoder: DualEncoder) -> set[str]:
    parameters = encoder.network.text.named_parameters()
    return {name.split(".")[0] for name, parameter in parameters if parameter.requires_grad}


def test_a_locked_tower_trains_its_head_alone(files):
    encoder = tiny(files)
    encoder.network.train()
    assert trained_names(encoder) == {"pooler", "proj"}
    assert not any("transformer" in name for name in encoder.network.text.state_dict())
    shared = published_text_encoder("tiny/tower")
    ids = torch.from_numpy(encoder.tokenizer.encode(TEXTS))
    encoder.network.encode_text(ids).sum().backward()
    assert not shared.training and all(p.grad is None for p in shared.parameters())
    assert copy.deepcopy(encoder.network).text.transformer is shared.transformer


def test_an_unlocked_tower_trains_its_last_layers(files):
    encoder = tiny(files, unlocked_layers=1)
    names = {n for n, p in encoder.network.text.unlocked.named_parameters() if p.requires_grad}
    assert {".".join(name.split(".")[:3]) for name in names} == {"encoder.layer.1"}
    everything = tiny(files, unlocked_layers=3).network.text.unlocked
    locked = {n for n, p in everything.named_parameters() if not p.requires_grad}
    assert {name.split(".")[0] for name in locked} == {"pooler"}  # no result depends on it


def test_an_unlocked_tower_starts_from_the_published_weights_and_is_its_own(files):
    locked, unlocked = tiny(files), tiny(files, unlocked_layers=2)
    head = {k: v for k, v in locked.network.state_dict().items() if k.startswith("text.")}
    assert not unlocked.network.load_state_dict(head, strict=False).unexpected_keys
    before = locked.encode_text(TEXTS)
    np.testing.assert_allclose(unlocked.encode_text(TEXTS), before, atol=2e-6)
    with torch.no_grad():
        for parameter in unlocked.network.text.unlocked.parameters():
            parameter.add_(0.1)
    assert np.abs(unlocked.encode_text(TEXTS) - before).max() > 1e-3
    np.testing.assert_allclose(locked.encode_text(TEXTS), before, atol=0)


@pytest.mark.parametrize("layers", [-1, 4, 1.5])
def test_refuses_other_numbers_of_layers(files, layers):
    with pytest.raises(RetrievalInputError, match="unlocked_layers must be"):
        tiny(files, unlocked_layers=layers)


def test_untrained_has_a_fresh_head(files):
    encoder = tiny(files)
    fresh = untrained(encoder, 1, toy_images())
    assert np.abs(fresh.encode_text(TEXTS) - encoder.encode_text(TEXTS)).max() > 0.1


# ---- storage


@pytest.mark.parametrize(("bits", "atol"), [(16, 5e-3), (8, 5e-2)])
def test_round_trip_without_the_frozen_weights(files, tmp_path, bits, atol):
    encoder = tiny(files)
    save_model(encoder, tmp_path / "toy", {}, bits=bits)
    with safe_open(tmp_path / "toy" / WEIGHTS, "pt") as stream:
        assert not [name for name in stream.keys() if "transformer.embeddings" in name]  # noqa: SIM118
    loaded = load_model("toy", tmp_path / "toy")
    assert loaded.config == encoder.config
    for encode, inputs in (("encode_text", TEXTS), ("encode_image", toy_images())):
        rows, again = getattr(encoder, encode)(inputs), getattr(loaded, encode)(inputs)
        np.testing.assert_allclose(again, rows, atol=atol)


def test_without_the_tower_images_are_encoded_and_texts_are_an_error(files, tmp_path):
    encoder = tiny(files)
    expected = encoder.encode_image(toy_images())
    save_model(encoder, tmp_path / "toy", {})
    save_embeddings("toy", tmp_path / "toy", test_image=np.ones((2, 16), np.int8))
    shutil.rmtree(files.parent)
    text_tower._shared_encoder.cache_clear()
    loaded = load_model("toy", tmp_path / "toy")
    np.testing.assert_allclose(loaded.encode_image(toy_images()), expected, atol=5e-3)
    with pytest.raises(MissingFileError, match=r"tiny/tower must be.*pip install tiny-tower==1\.0"):
        loaded.encode_text(["red car"])


def test_a_head_of_other_weights_is_refused(files, tmp_path):
    encoder = tiny(files)
    encoder.config["text"]["sha256"] = "0" * 64
    save_model(encoder, tmp_path / "toy", {})
    with pytest.raises(DamagedFileError, match="sha256 of tiny/tower must be .* got 0000"):
        load_model("toy", tmp_path / "toy")


def test_other_weights_are_refused_when_a_text_comes(files):
    encoder = tiny(files)
    (files / WEIGHTS).write_bytes(b"other")
    with pytest.raises(DamagedFileError, match="is not the published file"):
        encoder.encode_text(["red"])


def test_its_identity_names_the_frozen_weights(files, tmp_path):
    save_model(tiny(files), tmp_path / "artifacts" / "toy", {})
    towers = artifact_towers("toy")
    assert towers.identity["text_tower_sha256"] == published_tower("tiny/tower").sha256[WEIGHTS]
    assert towers.identity["tokenizer"] == "pieces of tiny/tower, context 10"
    assert towers.too_long(["red", "red " * 12]).tolist() == [False, True]
