"""A model's folder from elsewhere: nothing runs, and no other file or server is read."""

import json
import shutil
import socket

import pytest
import torch
from open_clip.model import CustomTextCLIP
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.models.open_clip_folder import CONFIG
from lib.models.open_clip_loader import WEIGHTS, open_clip_towers
from tests.models.toy import PUBLISHED, write_open_clip

CODE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
from transformers import BertTokenizer, BertConfig
class Evil(BertTokenizer): pass
class EvilConfig(BertConfig): model_type = "evil"
"""
AUTO_MAP = {"AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoConfig": "evil.EvilConfig"}
ROBERTA = {
    "model_type": "roberta", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 40,
    "pad_token_id": 1,
}  # fmt: skip
BERT = {**ROBERTA, "model_type": "bert", "pad_token_id": 0}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_open_clip(tmp_path_factory.mktemp("folders") / "plain")


@pytest.fixture(scope="module")
def with_vocabulary(plain, tmp_path_factory):
    """Write a folder with a tokenizer of transformers."""
    folder = tmp_path_factory.mktemp("folders") / "bert"
    shutil.copytree(plain, folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "car", "[", "]", "sep"]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(words[:4])
    tokenizer.save(str(folder / "tokenizer.json"))
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", "name_or_path": "/home/maker/x", **marks}
        )
    )
    _write(folder, text_cfg={**PUBLISHED["text_cfg"], "hf_tokenizer_name": "somebody/bert"})
    return folder


@pytest.fixture(autouse=True)
def a_person_who_says_yes(monkeypatch):
    """Answer every question with y, and fail on every use of the network."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def reached(*_, **__):
        pytest.fail("a server was asked for a folder")

    monkeypatch.setattr(socket.socket, "connect", reached)
    monkeypatch.setattr(socket, "getaddrinfo", reached)


def _write(folder, **changes):
    (folder / CONFIG).write_text(json.dumps({"model_cfg": {**PUBLISHED, **changes}}))


def _vision(**changes):
    return {"vision_cfg": {**PUBLISHED["vision_cfg"], **changes}}


def _text(**changes):
    return {"text_cfg": {**PUBLISHED["text_cfg"], **changes}}


def _copy(folder, target):
    shutil.copytree(folder, target)
    (target / "evil.py").write_text(CODE)
    return target


def test_a_config_that_names_code_or_a_place_is_refused(
    plain, with_vocabulary, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    bert = {"hf_tokenizer_name": "x"}
    (tmp_path / "roberta-base").mkdir()
    (tmp_path / "roberta-base" / "config.json").write_text(json.dumps(ROBERTA))
    configs = {
        "kwargs": _text(**bert, tokenizer_kwargs={"trust_remote_code": True}),
        "path of merges": _text(tokenizer_kwargs={"bpe_path": "/etc/passwd"}),
        "type of kwargs": _text(tokenizer_kwargs=["trust_remote_code"]),
        "other kwargs": _text(**bert, tokenizer_kwargs={"gguf_file": "../x.gguf"}),
        "nested": _text(**bert, tokenizer_kwargs={"clean": {"trust_remote_code": True}}),
        "model key": {"trust_remote_code": True},
        "auto_map": {"auto_map": AUTO_MAP},
        "cast_dtype": {"cast_dtype": "x"},
        "text tower folder": _text(hf_model_name=str(tmp_path / "roberta-base")),
        "relative text tower": _text(hf_model_name="roberta-base"),
        "parent": _text(hf_model_name="../x"),
        "timm hub": _vision(timm_model_name="hf-hub:somebody/x"),
        "timm folder": _vision(timm_model_name=f"local-dir:{tmp_path}"),
        "timm old": _vision(timm_model_name="hf_hub:somebody/x"),
        "timm path": _vision(timm_model_name="somebody/x"),
        "timm unknown": _vision(timm_model_name="no_such_net"),
        "width": _vision(width="x"),
        "negative": _vision(width=-1),
        "huge": _vision(width=2**40),
        "true": {"embed_dim": True},
        "fraction": {"embed_dim": 16.5},
        "infinite": {"init_logit_scale": float("inf")},
        "no object": {"vision_cfg": 5},
        "no number": _text(norm_kwargs={"eps": "x"}),
    }
    texts = {name: json.dumps({"model_cfg": {**PUBLISHED, **one}}) for name, one in configs.items()}
    texts["escaped"] = texts["kwargs"].replace("trust_remote_code", "trust_remote_c\\u006fde")
    cut = json.dumps({"model_cfg": {**PUBLISHED, **_text(**bert, tokenizer_kwargs={})}})
    empty, code = '"tokenizer_kwargs": {}', '"tokenizer_kwargs": {"trust_remote_code": 1}'
    texts["twice"] = cut.replace(empty, f"{code}, {empty}")
    texts["preprocess"] = json.dumps({"model_cfg": PUBLISHED, "preprocess_cfg": {"std": "x"}})
    taken = []
    for name, text in texts.items():
        folder = _copy(with_vocabulary, tmp_path / name)
        (folder / CONFIG).write_text(text)
        try:
            open_clip_towers("mine", str(folder))
            taken.append(name)
        except RetrievalInputError as error:
            if (
                CONFIG not in str(error)
                and "roberta-base" not in str(error)
                and "../x" not in str(error)
            ):
                taken.append(f"{name}: {error}")
        if (folder / "ran").exists():
            taken.append(f"{name} ran")
    assert not taken


def test_tokenizer_files_that_name_code_or_files_are_refused(with_vocabulary, tmp_path):
    given = json.loads((with_vocabulary / "tokenizer_config.json").read_text())
    secret = tmp_path / "secret.txt"
    secret.write_text("[UNK]\nsecret\n")
    changes = {
        "auto_map": ("tokenizer_config.json", {**given, "auto_map": AUTO_MAP}),
        "vocab_file": ("tokenizer_config.json", {**given, "vocab_file": str(secret)}),
        "inputs": ("tokenizer_config.json", {**given, "init_inputs": [str(secret)]}),
        "other files": (
            "tokenizer_config.json",
            {**given, "fast_tokenizer_files": ["tokenizer.9.json"]},
        ),
        "class": ("tokenizer_config.json", {**given, "tokenizer_class": "RagTokenizer"}),
        "own class": (
            "tokenizer_config.json",
            {**given, "tokenizer_class": "Evil", "auto_map": AUTO_MAP},
        ),
        "sentencepiece": (
            "tokenizer_config.json",
            {**given, "sp_model_kwargs": {"model_file": str(secret)}},
        ),
        "map": ("special_tokens_map.json", {"vocab_file": str(secret)}),
        "list": ("tokenizer_config.json", [given]),
    }
    taken = []
    for name, (file, content) in changes.items():
        folder = _copy(with_vocabulary, tmp_path / name)
        (folder / file).write_text(json.dumps(content))
        try:
            open_clip_towers("mine", str(folder))
            taken.append(name)
        except RetrievalInputError as error:
            if file not in str(error):
                taken.append(f"{name}: {error}")
        if (folder / "ran").exists():
            taken.append(f"{name} ran")
    assert not taken


def test_an_unknown_model_type_with_code_is_not_asked_about(with_vocabulary, tmp_path):
    folder = _copy(with_vocabulary, tmp_path / "evil")
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": AUTO_MAP}))
    assert open_clip_towers("mine", str(folder)).tokenize(["a red car"])[0, :5].tolist() == [
        2,
        4,
        5,
        6,
        3,
    ]
    assert not (folder / "ran").exists()
    _write(folder, **_text(hf_model_name="somebody/tower"))
    with pytest.raises(
        RetrievalInputError, match=r"config.json: model_type 'evil' is no text tower of open"
    ):
        open_clip_towers("mine", str(folder))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("config", "pooler", "projection"),
    [
        (ROBERTA, "mean_pooler", "linear"),
        (ROBERTA, "cls_last_hidden_state_pooler", "mlp"),
        (BERT, "cls_pooler", "mlp"),
        (BERT, "mean_pooler", None),
    ],
)
def test_a_text_tower_is_built_from_the_config_in_the_folder(
    with_vocabulary, tmp_path, config, pooler, projection
):
    folder = _copy(with_vocabulary, tmp_path / "tuned")
    text = {
        "hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base", "context_length": 16,
        "hf_pooler_type": pooler, "hf_proj_type": projection,
    }  # fmt: skip
    _write(folder, text_cfg=text)
    with pytest.raises(
        MissingFileError, match=r"text tower roberta-base is not here; put its config.json"
    ):
        open_clip_towers("mine", str(folder))
    code = {"auto_map": {"AutoModel": "evil.Evil"}, "_attn_implementation": "somebody/kernel"}
    (folder / "config.json").write_text(json.dumps({**config, **code}))
    (tmp_path / "tower").mkdir()
    (tmp_path / "tower" / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    built = {**text, "hf_model_name": str(tmp_path / "tower"), "hf_model_pretrained": False}
    network = CustomTextCLIP(16, PUBLISHED["vision_cfg"], built).eval()
    save_file(network.state_dict(), folder / WEIGHTS[0])
    towers = open_clip_towers("mine", str(folder))
    ids = towers.tokenize(["a red car", "car"])
    with torch.inference_mode():
        torch.testing.assert_close(towers.text_features(ids), network.encode_text(ids))
    assert not (folder / "ran").exists()


def test_a_mark_in_a_caption_is_text(plain, with_vocabulary):
    """A caption with an end mark keeps the words behind the mark."""
    simple, through = (
        open_clip_towers("mine", str(plain)),
        open_clip_towers("mine", str(with_vocabulary)),
    )
    for mark, apart in [
        ("<end_of_text>", "< end_of_text>"),
        ("<END_OF_TEXT>", "< end_of_text>"),
        ("&lt;end_of_text&gt;", "< end_of_text>"),
        ("<start_of_text>", "< start_of_text>"),
    ]:
        ids, same = simple.tokenize([f"a {mark} car"]), simple.tokenize([f"a {apart} car"])
        assert (
            ids.tolist() == same.tolist() and (ids == 49407).sum() == 1 == (ids == 49406).sum()
        ), mark
    car = "a car " * 9 + "<end_of_text>"
    assert simple.too_long([car, "a <end_of_text> car"]).tolist() == [True, False]
    assert through.tokenize(["a [SEP] car"])[0, :8].tolist() == [2, 4, 7, 1, 8, 6, 3, 0]
