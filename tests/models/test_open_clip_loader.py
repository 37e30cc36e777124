"""Loading of open_clip models: names, files, refusals, and facts about the loaded weights."""

import json
import pickle

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory, pretrained
from safetensors.torch import load_file, save_file

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.models.open_clip_folder import CONFIG
from lib.models.open_clip_loader import WEIGHTS, find_source, open_clip_towers, tensor_shapes
from tests.models.toy import PUBLISHED, write_open_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_open_clip(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def weights(folder):
    return folder / WEIGHTS[0]


@pytest.fixture
def registered(folder, weights, monkeypatch):
    """Register an architecture `tiny` with tags, as open_clip does."""
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", PUBLISHED)
    stated = {
        "quick": {"file": str(weights), "quick_gelu": True, "resize_mode": "squash"},
        "plain": {"file": str(weights), "resize_mode": "squash"},
        "far": {"hf_hub": "somebody/tiny/", "url": "", "resize_mode": "squash"},
    }
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", stated)
    return stated


# ---- names


@pytest.mark.parametrize(
    ("model", "tag", "message"),
    [
        ("ViT-B-23", "openai", r"model must be one of \d+ names, the nearest are 'ViT-B-32', "),
        (
            "tiny",
            "quik",
            r"pretrained of tiny, .* must be one of 'quick', .* Did you mean 'quick'\?",
        ),
        ("tiny", "no/such/file.pt", "the checkpoint no/such/file.pt is missing"),
        ("RN50-texttest", "x", "model must be"),
    ],
)
def test_unknown_names_are_told_what_is_near(registered, model, tag, message):
    with pytest.raises(ValueError, match=message):
        open_clip_towers(model, tag)


def test_weights_that_cannot_be_fetched_are_one_clear_error(registered, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingFileError) as caught:
        open_clip_towers("tiny", "far", tmp_path / "kept")
    for part in ("of tiny", "'far'", str(tmp_path / "kept"), "somebody/tiny", CONFIG, WEIGHTS[0]):
        assert part in str(caught.value)


def test_without_a_network_the_hub_is_not_asked(registered, tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", dict)

    def unknown(*_):
        raise OSError("no such name")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    monkeypatch.setattr(
        "lib.models.open_clip_loader.download_pretrained", lambda *_, **__: pytest.fail("asked")
    )
    with pytest.raises(MissingFileError, match="there is no network"):
        open_clip_towers("tiny", "far", tmp_path / "kept")


@pytest.mark.parametrize("name", WEIGHTS)
def test_an_earlier_download_is_found_without_asking(registered, tmp_path, monkeypatch, name):
    repository = tmp_path / "models--somebody--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    cached = repository / "snapshots" / "abc" / name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"")
    monkeypatch.setattr(
        "lib.models.open_clip_loader.download_pretrained", lambda *_, **__: pytest.fail("asked")
    )
    assert find_source("tiny", "far", tmp_path).weights == cached


def test_tag_file_and_folder_are_the_same_weights(registered, folder, weights):
    tag, file, whole = (
        open_clip_towers("tiny", str(source)) for source in ("plain", weights, folder)
    )
    assert len({towers.identity["weights_sha256"] for towers in (tag, file, whole)}) == 1
    assert [towers.identity["tag"] for towers in (tag, file)] == ["plain", WEIGHTS[0]]
    # A file takes the transform on which all tags of its architecture agree; squash is not the
    # default.
    transforms = {towers.identity["transform"] for towers in (tag, file, whole)}
    assert len(transforms) == 1 and "size 32 x 32, squash, bicubic" in transforms.pop()


def test_the_activation_that_the_weights_were_trained_with_is_used(registered, weights):
    quick, plain, file = (
        open_clip_towers("tiny", str(source)) for source in ("quick", "plain", weights)
    )
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = open_clip.create_model("tiny", str(weights), force_quick_gelu=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(quick.image_features(pixels), expected.encode_image(pixels))
        assert not torch.equal(quick.image_features(pixels), plain.image_features(pixels))
    assert quick.identity["activation"] == "quick_gelu" != plain.identity["activation"]
    assert not quick.notes and "tiny-quickgelu" in file.notes[0]


def test_tags_that_disagree_on_the_transform_are_told(registered, weights):
    registered["plain"]["resize_mode"] = "longest"
    towers = open_clip_towers("tiny", str(weights))
    assert "shortest" in towers.identity["transform"] and "several transforms" in towers.notes[0]


def test_every_published_tag_has_a_source_with_the_activation_of_its_maker(monkeypatch):
    monkeypatch.setattr(
        "lib.models.open_clip_loader.download_pretrained", lambda stated, cache_dir: "weights.bin"
    )
    monkeypatch.setattr("lib.models.open_clip_loader.check_reachable", lambda address: None)
    loaded = {name: find_source(*name, None) for name in open_clip.list_pretrained()}
    assert len(loaded) > 190 and all(source.config["embed_dim"] for source in loaded.values())
    for name, quick in {
        ("ViT-B-32", "openai"): True,
        ("ViT-B-32", "laion2b_s34b_b79k"): False,
        ("ViT-L-14", "dfn2b"): True,
        ("roberta-ViT-B-32", "laion2b_s12b_b32k"): True,  # said by the architecture alone
    }.items():
        assert loaded[name].quick_gelu is quick
    assert loaded["ViT-B-16-SigLIP", "webli"].transform["resize_mode"] == "squash"
    assert find_source("ViT-B/32", "openai", None).model == "ViT-B-32"


# ---- files


class Malicious:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return open, (self.target, "w")


@pytest.mark.parametrize(
    "write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))]
)
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".pth"])
def test_a_checkpoint_that_would_run_code_is_refused(registered, tmp_path, write, suffix):
    path, target = tmp_path / f"weights{suffix}", tmp_path / "created"
    write({"state_dict": {"x": torch.zeros(1)}, "extra": Malicious(target)}, path)
    with pytest.raises(RetrievalInputError, match="could run code"):
        open_clip_towers("tiny", str(path))
    assert not target.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_training_checkpoints_of_torch_are_read(registered, weights, tmp_path, legacy):
    state = {f"module.{key}": value for key, value in load_file(weights).items()}
    path = tmp_path / "epoch_3.pt"
    torch.save({"epoch": 3, "state_dict": state}, path, _use_new_zipfile_serialization=not legacy)
    assert tensor_shapes(path) == tensor_shapes(weights)
    loaded = open_clip_towers("tiny", str(path)).identity
    assert (
        loaded["weights_sha256"]
        == open_clip_towers("tiny", str(weights)).identity["weights_sha256"]
    )


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # TorchScript
def test_other_files_are_refused(registered, weights, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(weights.read_bytes()[:-7])
    (tmp_path / "a.npz").write_bytes(b"PK")
    torch.save([1, 2], tmp_path / "list.pt")
    script = torch.jit.script(torch.nn.Linear(2, 2))
    script.save(str(tmp_path / "script.pt"))
    for name, message in [
        ("a.safetensors", "is not loaded: .* damaged"),
        ("a.npz", "no checkpoint that can be read: its suffix must be one of .safetensors, .pt"),
        ("list.pt", "holds no state_dict"),
        ("script.pt", "is not loaded: .*TorchScript"),
    ]:
        with pytest.raises(RetrievalInputError, match=message):
            open_clip_towers("tiny", str(tmp_path / name))


def test_weights_of_another_architecture_are_refused(
    registered, folder, weights, tmp_path, monkeypatch
):
    deeper = {**PUBLISHED, "text_cfg": {**PUBLISHED["text_cfg"], "layers": 2}}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "deeper", deeper)
    with pytest.raises(RetrievalInputError, match="does not fill deeper: .* Pass the architecture"):
        open_clip_towers("deeper", str(weights))
    larger = {**PUBLISHED, "vision_cfg": {**PUBLISHED["vision_cfg"], "image_size": 64}}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "larger", larger)
    with pytest.raises(
        RetrievalInputError, match=r"shape \(5, 32\), larger \(17, 32\): .* another image size"
    ):
        open_clip_towers("larger", str(weights))


# ---- folders


def test_folders_say_what_they_lack(folder, tmp_path):
    with pytest.raises(MissingFileError, match=f"holds no {CONFIG}"):
        open_clip_towers("mine", str(tmp_path))
    path = tmp_path / CONFIG
    path.write_text((folder / CONFIG).read_text())
    with pytest.raises(MissingFileError, match=f"holds no weights; expected one of {WEIGHTS[0]}"):
        open_clip_towers("mine", str(tmp_path))
    for text, message in [
        ("{", "is not read: Expecting property name"),
        ("[]", "expected a JSON object"),
        (
            '{"model_cfg": {"embed_dim": 3}}',
            "is no open_clip config: model_cfg lacks vision_cfg, text_cfg",
        ),
        ("[" * 100_000, "is not read: "),
    ]:
        path.write_text(text)
        with pytest.raises(RetrievalInputError, match=message):
            open_clip_towers("mine", str(tmp_path))


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        (
            "preprocess_cfg",
            "interpolation",
            "sinc",
            "preprocess_cfg must be one that open_clip supports, got .*sinc",
        ),
        ("preprocess_cfg", "mode", "L", "must be one that open_clip supports"),
        ("vision_cfg", "layers", 1_000_000, "too few for the 1,000,000 layers of vision_cfg"),
        ("text_cfg", "layers", 1_000_000, "too few for the 1,000,000 layers of text_cfg"),
        ("text_cfg", "vocab_size", 1_000_000, "bytes, too few for the .* word weights of text_cfg"),
    ],
)
def test_a_config_that_no_model_has_is_refused(folder, tmp_path, part, key, value, message):
    (tmp_path / WEIGHTS[0]).write_bytes((folder / WEIGHTS[0]).read_bytes())
    config = json.loads((folder / CONFIG).read_text())
    inner = config if part == "preprocess_cfg" else config["model_cfg"]
    inner.setdefault(part, {})[key] = value
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(RetrievalInputError, match=message):
        open_clip_towers("mine", str(tmp_path))


def test_the_name_of_a_folders_model_is_a_label(folder):
    towers = open_clip_towers("mine", str(folder))
    assert towers.identity["model"] == "mine" and str(folder) not in str(towers.identity)
    assert towers.dim == 16 and not towers.network.training


def test_other_weights_have_another_digest(folder, weights, tmp_path):
    state = load_file(weights)
    state["logit_scale"] = np.nextafter(1, 2, dtype=np.float32) * state["logit_scale"]
    other = tmp_path / "b"
    other.mkdir()
    (other / CONFIG).write_text((folder / CONFIG).read_text())
    save_file(state, other / WEIGHTS[0])
    digests = [
        open_clip_towers("mine", str(path)).identity["weights_sha256"] for path in (folder, other)
    ]
    assert digests[0] != digests[1]
