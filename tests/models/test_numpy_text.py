"""The text tower in numpy: the embeddings of torch, without torch."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import write_checksum
from lib.models import numpy_text as parts
from lib.models.dual_encoder import DualEncoder
from lib.models.numpy_text import load_text_encoder
from lib.models.published_weights import WEIGHTS, published_tower
from lib.models.trained_models import load_model, save_model
from tests.models.toy import install_published_tower, tower_config, toy_config, toy_encoder

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = ["red car", "a blue clock", "cars", "red red red blue clocks"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    return install_published_tower(tmp_path, monkeypatch, tmp_path / "hub")


def saved(config: dict, folder, bits: int = 16):
    torch.manual_seed(0)
    save_model(DualEncoder(config), folder, {}, bits=bits)
    return folder


# ---- the parts, by hand and as in torch


def test_softmax_and_gelu_by_hand():
    np.testing.assert_allclose(parts.softmax(np.log([[1.0, 3.0]])), [[0.25, 0.75]])
    np.testing.assert_allclose(parts.softmax(np.array([[1000.0, 1000.0]])), [[0.5, 0.5]])
    np.testing.assert_allclose(
        parts.gelu(np.array([0.0, 1.0, -1.0])), [0, 0.8413447, -0.1586553], atol=1e-7
    )


def test_normalize_by_hand():
    weights = {"n.weight": np.array([1.0, 2.0]), "n.bias": np.array([0.0, 1.0])}
    np.testing.assert_allclose(
        parts.normalize(np.array([[3.0, 1.0]]), weights, "n"), [[1, -1]], atol=1e-5
    )


def test_attention_by_hand():
    """One head, d = 1: scores 0 and ln 3 for the second text piece."""
    queries, keys = np.array([[0.0], [1.0]]), np.array([[0.0], [np.log(3)]])
    read = parts.attend(queries, keys, np.array([[4.0], [8.0]]), heads=1)
    np.testing.assert_allclose(read, [[6.0], [7.0]])


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_torchs(heads):
    torch.manual_seed(0)
    peer = torch.nn.MultiheadAttention(8, heads, batch_first=True, dtype=torch.float64)
    x = torch.randn(5, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = peer(x[None], x[None], x[None])[0][0].numpy()
    state = {name: value.detach().numpy() for name, value in peer.named_parameters()}
    packed = x.numpy() @ state["in_proj_weight"].T + state["in_proj_bias"]
    read = parts.attend(*np.split(packed, 3, axis=1), heads)
    result = read @ state["out_proj.weight"].T + state["out_proj.bias"]
    np.testing.assert_allclose(result, expected, atol=1e-7)


def test_linear_is_torchs():
    torch.manual_seed(0)
    peer, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    state = {f"a.{name}": value.detach().numpy() for name, value in peer.named_parameters()}
    result = parts.linear(x.numpy(), parts.transposed(state), "a")
    np.testing.assert_allclose(result, peer(x).detach().numpy(), atol=1e-6)


# ---- whole towers


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "head", [{}, {"layers": 0}, {"layers": 2, "heads": 4}, {"pooling": "mean", "dropout": 0.1}]
)
def test_embeddings_are_those_of_torch(files, tmp_path, head, bits):
    folder = saved(tower_config(files, **head), tmp_path / "toy", bits)
    expected = load_model("toy", folder).encode_text(TEXTS)
    rows = load_text_encoder("toy", folder).encode_text(TEXTS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=2e-6)


def test_embeddings_on_minilm_are_those_of_torch(tmp_path):
    sha256 = published_tower(MINILM).sha256[WEIGHTS]
    text = {"hf_model_name": MINILM, "sha256": sha256, "width": 32, "heads": 2, "layers": 1}
    tokenizer = {"published": MINILM, "context_length": 32}
    folder = saved(toy_config(3, text=text, tokenizer=tokenizer), tmp_path / "toy")
    texts = ["alarm clock", "sunset over the sea with palm trees", "Café 東京 4k"]
    expected = load_model("toy", folder).encode_text(texts)
    rows = load_text_encoder("toy", folder).encode_text(texts)
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_texts_together_are_those_alone(files, tmp_path, monkeypatch):
    folder = saved(tower_config(files, layers=2), tmp_path / "toy")
    encoder = load_text_encoder("toy", folder)
    alone = np.concatenate([encoder.encode_text([text]) for text in TEXTS])
    for together in (64, 3):
        monkeypatch.setattr(parts, "TOGETHER", together)
        rows = load_text_encoder("toy", folder).encode_text(TEXTS + TEXTS[:1])
        np.testing.assert_allclose(rows, np.concatenate([alone, alone[:1]]), atol=1e-6)


def test_states_of_the_latest_texts_are_kept(files, tmp_path, monkeypatch):
    encoder = load_text_encoder("toy", saved(tower_config(files), tmp_path / "toy"))
    monkeypatch.setattr(parts, "KEPT", 2)
    computed = []
    compute = encoder._compute_states
    monkeypatch.setattr(
        encoder, "_compute_states", lambda texts: computed.append(len(texts)) or compute(texts)
    )
    for texts in (TEXTS, TEXTS[2:], TEXTS[3:], TEXTS[:1], TEXTS[2:3]):
        encoder.encode_text(texts)
    assert computed == [4, 1, 1] and len(encoder._kept) == 2


def test_nothing_gives_nothing_and_bad_texts_are_refused(files, tmp_path):
    encoder = load_text_encoder("toy", saved(tower_config(files), tmp_path / "toy"))
    assert encoder.encode_text([]).shape == (0, 16) == (0, encoder.dim)
    with pytest.raises(RetrievalInputError, match="no letter or digit"):
        encoder.encode_text(["?"])
    with pytest.raises(RetrievalInputError, match="too long: 12 pieces"):
        encoder.encode_text(["red " * 10])


def test_it_runs_without_torch(files, tmp_path):
    """Torch and open_clip would take seconds and most of the memory of a search."""
    folder = saved(tower_config(files), tmp_path / "toy")
    code = f"""
import sys
from pathlib import Path
sys.path.append({str(tmp_path)!r})
from lib.models.numpy_text import load_text_encoder
assert load_text_encoder("toy", Path({str(folder)!r})).encode_text(["red car"]).shape == (1, 16)
print(sorted({{"torch", "open_clip", "transformers", "timm"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr[-500:]


# ---- what it does not read


def test_refuses_a_tower_of_its_own_and_an_unlocked_one(files, tmp_path):
    save_model(toy_encoder(), tmp_path / "toy", {})
    unlocked = saved(tower_config(files, unlocked_layers=1), tmp_path / "unlocked" / "toy")
    for folder in (tmp_path / "toy", unlocked):
        with pytest.raises(RetrievalInputError, match="must be a published one that stayed locked"):
            load_text_encoder("toy", folder)


def test_refuses_a_head_of_other_weights(files, tmp_path):
    config = tower_config(files)
    encoder = DualEncoder(config)
    config["text"]["sha256"] = "0" * 64
    save_model(encoder, tmp_path / "toy", {})
    with pytest.raises(RetrievalInputError, match="sha256 of tiny/tower must be .*, got 0000"):
        load_text_encoder("toy", tmp_path / "toy")


def test_refuses_another_family(files, tmp_path):
    folder = saved(tower_config(files), tmp_path / "toy")
    facts = tmp_path / "published" / "text_towers.toml"
    facts.write_text(facts.read_text().replace('"gelu"', '"relu"'))
    write_checksum(facts)
    with pytest.raises(RetrievalInputError, match=r"must be a BERT with gelu, got .*'relu'"):
        load_text_encoder("toy", folder)


def test_missing_or_other_weights_are_an_error_when_a_text_comes(files, tmp_path):
    folder = saved(tower_config(files), tmp_path / "toy")
    content = (files / WEIGHTS).read_bytes()
    (files / WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    encoder = load_text_encoder("toy", folder)
    with pytest.raises(DamagedFileError, match="is not the published file"):
        encoder.encode_text(["red"])
    (files / WEIGHTS).unlink()
    with pytest.raises(MissingFileError, match="pip install tiny-tower"):
        load_text_encoder("toy", folder).encode_text(["red"])
