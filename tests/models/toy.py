"""Models small enough to build in a test."""

import json
from pathlib import Path

import numpy as np
import open_clip
import tokenizers
import torch
from open_clip.model import CustomTextCLIP
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, ClapConfig, ClapModel

from lib.core.writing import sha256_of, write_checksum
from lib.models.dual_encoder import DualEncoder, build_network
from lib.models.tokenizer import Tokenizer

WORDS = ["red car", "blue car", "alarm clock", "arrow left"]


def toy_config(channels: int = 1, size: int = 16, **changes) -> dict:
    return {
        "name": "toy",
        "embed_dim": 16,
        "channels": channels,
        "image_size": size,
        "dims": [8, 16],
        "vision": {"image_size": size, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8},
        "text": {"width": 16, "heads": 2, "layers": 1},
        "tokenizer": Tokenizer.train(WORDS, 20, context_length=10).to_dict(),
        **changes,
    }


def toy_encoder(seed: int = 0, **changes) -> DualEncoder:
    """Build a colour encoder for 16 x 16; open_clip's vision transformer reads three channels."""
    torch.manual_seed(seed)
    return DualEncoder(toy_config(channels=3, **changes))


def toy_images(n: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(n, 16, 16, 3), dtype=np.uint8)


def interaction_config(**changes) -> dict:
    """Make a config with a 2 x 2 map of 128 channels and `interaction` for both kinds of model."""
    interaction = {
        "maps": 1, "patches": 4, "image_width": 128,
        "width": 16, "heads": 2, "layers": 1, "dim": 8, "dropout": 0.0,
        **changes,
    }  # fmt: skip
    vision = {"timm_model_name": "cm_resnet_small_rgb", "image_size": 32, "timm_pool": "avg"}
    return toy_config(3, 32, vision=vision, interaction=interaction)


def toy_towers(seed: int = 0) -> CustomTextCLIP:
    torch.manual_seed(seed)
    return build_network(interaction_config())


def toy_tokens() -> tuple[torch.Tensor, list[int]]:
    """Make ids of texts of different lengths, and their numbers of pieces with the end mark."""
    tokenizer = Tokenizer.from_dict(toy_config()["tokenizer"])
    texts = ["car", "red car", "blue alarm"]
    counts = [1 + sum(len(tokenizer.pieces(word)) for word in text.split()) for text in texts]
    return torch.from_numpy(tokenizer.encode(texts)), counts


def small_images(n: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(n, 32, 32, 3), dtype=np.uint8)


PUBLISHED = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def write_clap(folder: Path, *, fusion: bool = False, seed: int = 0) -> Path:
    """Write a tiny CLAP checkpoint with the file names and keys of the published ones."""
    torch.manual_seed(seed)
    text = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 16, "max_position_embeddings": 34}
    audio = {"hidden_size": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1]}
    audio |= {"num_attention_heads": [1, 2], "num_hidden_layers": 2}
    audio |= {"enable_fusion": fusion, "fusion_type": "aff_2d" if fusion else None}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=12)
    network = ClapModel(config).eval()
    for value in network.parameters():  # as published, sounds would differ by a millionth
        if value.ndim > 1:
            torch.nn.init.normal_(value, std=0.4)
    norm = network.audio_model.audio_encoder.batch_norm  # of decibels
    norm.running_mean.fill_(-30)
    norm.running_var.fill_(900)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    save_file(network.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    extractor = {
        "chunk_length_s": 10, "feature_extractor_type": "ClapFeatureExtractor", "feature_size": 64,
        "fft_window_size": 1024, "frequency_max": 14000, "frequency_min": 50, "hop_length": 480,
        "max_length_s": 10, "n_fft": 1024, "nb_frequency_bins": 513, "nb_max_frames": 1000,
        "nb_max_samples": 480000, "padding": "repeatpad", "padding_side": "right",
        "padding_value": 0.0, "processor_class": "ClapProcessor", "return_attention_mask": False,
        "sampling_rate": 48000, "top_db": None,
        "truncation": "fusion" if fusion else "rand_trunc",
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor))
    write_roberta_tokenizer(folder)
    return folder


def write_roberta_tokenizer(folder: Path) -> None:
    """Write the tokenizer files of RoBERTa: bytes as pieces, and no merges but one."""
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = [*tokenizers.pre_tokenizers.ByteLevel.alphabet(), "ow", "<mask>"]
    vocabulary = {piece: at for at, piece in enumerate([*marks, *sorted(letters)])}
    model = tokenizers.models.BPE(vocab=vocabulary, merges=[("o", "w")], unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens([*marks, "<mask>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))  # vocab.json and merges.txt
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    special |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    settings = {
        **special, "add_prefix_space": False, "errors": "replace", "model_max_length": 512,
        "processor_class": "ClapProcessor", "tokenizer_class": "RobertaTokenizer",
        "trim_offsets": True,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_open_clip(folder: Path, *, seed: int = 0, **changes) -> Path:
    """Write a folder as in open_clip's hub repositories: random weights for 32 x 32 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": {**PUBLISHED, **changes}, "preprocess_cfg": {"resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    network = open_clip.CLIP(**config["model_cfg"])
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder


TINY_TOWER = {
    "model_type": "bert", "vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 12,
    "pad_token_id": 0, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
}  # fmt: skip
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "car", "blue", "clock", "##s", "[", "]", "sep"]


def write_vocabulary(folder: Path) -> None:
    """Write a WordPiece `tokenizer.json` that pads and cuts, as that of a sentence transformer."""
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(PIECES[:4])
    tokenizer.enable_padding(length=10)
    tokenizer.enable_truncation(10)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_published_tower(root: Path) -> Path:
    """Write a package `tiny_tower` with random weights, and the facts that name it `tiny/tower`.

    `root` is then a data folder and a place of packages. Importing the package is an error.
    """
    files = root / "tiny_tower" / "model"
    files.mkdir(parents=True)
    (root / "tiny_tower" / "__init__.py").write_text("raise RuntimeError('code of a package ran')")
    write_vocabulary(files)
    torch.manual_seed(7)
    values = {key: value for key, value in TINY_TOWER.items() if key != "model_type"}
    save_file(BertModel(BertConfig(**values)).state_dict(), files / "model.safetensors")
    sums = {path.name: sha256_of(path) for path in sorted(files.iterdir())}
    tables = {"": {"package": "tiny_tower", "folder": "model", "install": "tiny-tower==1.0",
                   "licence": "none", "reference": "none"},
              ".sha256": sums, ".config": TINY_TOWER}  # fmt: skip
    lines = [
        f'["tiny/tower"{part}]\n' + "".join(f'"{k}" = {json.dumps(v)}\n' for k, v in table.items())
        for part, table in tables.items()
    ]
    (root / "published").mkdir()
    path = root / "published" / "text_towers.toml"
    path.write_text("\n".join(lines))
    write_checksum(path)
    return files


def install_published_tower(root: Path, monkeypatch, hub: Path) -> Path:
    """Write the tower, make it the only one that is found, and let `hub` be the hub's cache."""
    files = write_published_tower(root)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setenv("CROSSMODAL_DATA", str(root))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    return files


def tower_config(files: Path, length: int = 10, **changes) -> dict:
    """Make the config of a toy dual encoder on the tower of `write_published_tower`."""
    text = {
        "hf_model_name": "tiny/tower", "sha256": sha256_of(files / "model.safetensors"),
        "width": 8, "heads": 2, "layers": 1, **changes,
    }  # fmt: skip
    tokenizer = {"published": "tiny/tower", "context_length": length}
    return toy_config(channels=3, text=text, tokenizer=tokenizer)
