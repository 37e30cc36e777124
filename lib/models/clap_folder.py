"""Find and read a CLAP checkpoint as data: known values of its JSON, tensors, and a vocabulary.

A checkpoint is a repository on the Hugging Face hub, such as laion/clap-htsat-unfused, or a folder
with its files. No code that comes with it runs.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import huggingface_hub
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoTokenizer,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    PreTrainedTokenizerBase,
)

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.datasets.media.decoding import MAX_RATE
from lib.models.clap_features import TRUNCATIONS, sound_inputs
from lib.models.open_clip_folder import LARGEST, VOCABULARIES, read_json, tokenizer_files
from lib.models.open_clip_loader import check_reachable, first_line, tensor_shapes

CONFIG, EXTRACTOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_TOKENIZER = ("tokenizer*.json", "vocab.json", "merges.txt", "special_tokens_map.json")
# Positions and types are counted, not learned: the network has its own.
_COUNTED = ("position_ids", "token_type_ids", "relative_position_index", "num_batches_tracked")
_SIZES = {
    "text_config": (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size",
        "layer_norm_eps", "pad_token_id", "bos_token_id", "eos_token_id",
    ),
    "audio_config": (
        "window_size", "num_mel_bins", "spec_size", "hidden_act", "patch_size", "patch_stride",
        "num_classes", "hidden_size", "depths", "num_attention_heads", "enable_fusion",
        "fusion_type", "patch_embed_input_channels", "flatten_patch_embeds",
        "patch_embeds_hidden_size", "enable_patch_layer_norm", "qkv_bias", "mlp_ratio",
        "aff_block_r", "num_hidden_layers", "layer_norm_eps",
    ),
}  # fmt: skip
_TOP = ("logit_scale_init_value", "projection_dim", "projection_hidden_act")
_EXTRACTOR_KEYS = (
    "feature_size", "sampling_rate", "hop_length", "max_length_s", "fft_window_size",
    "padding_value", "frequency_min", "frequency_max", "top_db", "truncation", "padding",
)  # fmt: skip
_MOST = {
    "feature_size": 1024, "sampling_rate": MAX_RATE, "hop_length": 65_536, "max_length_s": 600,
    "fft_window_size": 65_536,
}  # fmt: skip
PADDINGS = ("repeatpad", "repeat", "pad")


@dataclass(frozen=True, eq=False, repr=False)
class ClapParts:
    """A loaded checkpoint: network in evaluation mode, feature extractor and tokenizer."""

    network: ClapModel
    extractor: ClapFeatureExtractor
    tokenizer: PreTrainedTokenizerBase


def clap_folder(pretrained: str, cache_dir: str | Path | None = None) -> Path:
    """Return the folder of a checkpoint: the one named, or that of the hub's cache.

    A repository that is not in the cache is downloaded once.
    """
    path = Path(pretrained).expanduser()
    if path.is_dir():
        return path
    is_place = path.exists() or path.is_absolute() or pretrained[:1] in ".~"
    if is_place or pretrained.count("/") != 1 or ":" in pretrained:
        raise MissingFileError(
            f"{pretrained} is no folder of a CLAP checkpoint; pass one with {CONFIG}, {EXTRACTOR},"
            f" {WEIGHTS[0]} and the tokenizer, or a repository such as laion/clap-htsat-unfused"
        )
    cached = huggingface_hub.try_to_load_from_cache(pretrained, CONFIG, cache_dir=cache_dir)
    if isinstance(cached, str) and _is_complete(Path(cached).parent):
        return Path(cached).parent
    try:
        check_reachable(huggingface_hub.constants.ENDPOINT)
        for weights in WEIGHTS:
            patterns = [CONFIG, EXTRACTOR, *_TOKENIZER, weights]
            folder = Path(
                huggingface_hub.snapshot_download(
                    pretrained, allow_patterns=patterns, cache_dir=cache_dir
                )
            )
            if _weights_in(folder):
                return folder
    except Exception as error:  # network, proxy, the hub's client and the disk raise anything
        place = cache_dir or huggingface_hub.constants.HF_HUB_CACHE
        raise MissingFileError(
            f"the files of {pretrained} are not all in {place} and could not be downloaded:"
            f" {first_line(error)} With a network this happens once, automatically. Without one,"
            f" copy that folder from another machine, or put {CONFIG}, {EXTRACTOR}, {WEIGHTS[0]}"
            " and the tokenizer's files into a folder and pass it as pretrained"
        ) from error
    raise MissingFileError(f"{pretrained} holds no {' or '.join(WEIGHTS)}; is it a CLAP model?")


def read_clap(folder: Path) -> ClapParts:
    """Read a checkpoint from its folder."""
    config = _config(folder)
    weights = _weights_in(folder)
    if weights is None:
        raise MissingFileError(f"{folder} holds no weights; expected {' or '.join(WEIGHTS)}")
    extractor = _extractor(folder)
    if config.audio_config.enable_fusion != (extractor.truncation == "fusion"):
        raise RetrievalInputError(
            f"{folder}: enable_fusion is {config.audio_config.enable_fusion} in {CONFIG}, but the"
            f" truncation in {EXTRACTOR} is {extractor.truncation!r}; fusion needs 'fusion', and a"
            " model without it 'rand_trunc'. The files are of two checkpoints"
        )
    parts = ClapParts(_network(config, weights), extractor, _tokenizer(folder))
    _try_once(parts, folder)
    return parts


def _is_complete(folder: Path) -> bool:
    """Tell whether a folder of the cache has all parts; other programs fetch some of them."""
    has_vocabulary = any((folder / name).is_file() for name in VOCABULARIES)
    return bool((folder / EXTRACTOR).is_file() and has_vocabulary and _weights_in(folder))


def _weights_in(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def _json(folder: Path, name: str) -> dict:
    if not (folder / name).is_file():
        raise MissingFileError(f"{folder} holds no {name}, which a CLAP checkpoint has")
    return read_json(folder / name)


def _plain(data, keys: tuple[str, ...], where: str) -> dict:
    """Return the known keys of an object; their values must be plain and of a sensible size."""
    if not isinstance(data, dict):
        raise RetrievalInputError(f"{where} must be an object, got {data!r:.60}")
    found = {key: data[key] for key in keys if key in data}
    for key, value in found.items():
        for one in value if isinstance(value, list) else [value]:
            small = not isinstance(one, int | float) or abs(one) <= LARGEST
            if not (isinstance(one, str | int | float | None) and small):
                raise RetrievalInputError(
                    f"{where}: {key} must be plain, numbers at most {LARGEST:,}; got {value!r:.60}"
                )
    return found


def _config(folder: Path) -> ClapConfig:
    path = folder / CONFIG
    data = _json(folder, CONFIG)
    if data.get("model_type") != "clap":
        raise RetrievalInputError(
            f"{path}: model_type must be 'clap', got {data.get('model_type')!r:.40}"
        )
    parts = {name: _plain(data.get(name), keys, f"{path}: {name}") for name, keys in _SIZES.items()}
    try:
        return ClapConfig(**parts, **_plain(data, _TOP, str(path)))
    except Exception as error:  # transformers checks types with errors of its own
        raise RetrievalInputError(f"{path} is no config of CLAP: {first_line(error)}") from error


def _extractor(folder: Path) -> ClapFeatureExtractor:
    path = folder / EXTRACTOR
    settings = _plain(_json(folder, EXTRACTOR), _EXTRACTOR_KEYS, str(path))
    check_choice(settings.get("truncation", "fusion"), TRUNCATIONS, f"{path}: truncation")
    check_choice(settings.get("padding", "repeatpad"), PADDINGS, f"{path}: padding")
    for key, most in _MOST.items():
        value = settings.get(key, 1)
        if type(value) is not int or not 1 <= value <= most:
            raise RetrievalInputError(
                f"{path}: {key} must be a whole number from 1 to {most:,}, got {value!r:.40}"
            )
    try:
        return ClapFeatureExtractor(**settings)
    except Exception as error:  # sizes that no filter bank has
        raise RetrievalInputError(f"{path} is not usable: {first_line(error)}") from error


def _network(config: ClapConfig, weights: Path) -> ClapModel:
    """Build the network and fill it; every learned tensor must be there, in its shape."""
    shapes = {key: shape for key, shape in tensor_shapes(weights).items() if not _counted(key)}
    n_layers = config.text_config.num_hidden_layers + sum(config.audio_config.depths)
    words = config.text_config.vocab_size * config.text_config.hidden_size
    if n_layers > len(shapes) or words > weights.stat().st_size:
        raise RetrievalInputError(
            f"{weights} has {len(shapes):,} tensors in {weights.stat().st_size:,} bytes, too few"
            f" for the {n_layers:,} layers and {words:,} word weights of {CONFIG}"
        )
    try:
        network = ClapModel(config)
        expected = {
            key: tuple(value.shape)
            for key, value in network.state_dict().items()
            if not _counted(key)
        }
        different = [key for key in expected | shapes if expected.get(key) != shapes.get(key)]
        if different:
            key = different[0]
            raise RetrievalInputError(
                f"{len(different):,} tensors differ, the first is {key}: {expected.get(key)} in"
                f" {CONFIG}, {shapes.get(key)} in the file"
            )
        network.load_state_dict(_state(weights), strict=False)
    except Exception as error:  # transformers and torch each raise their own
        raise RetrievalInputError(
            f"{weights} does not fill the model of {CONFIG}: {first_line(error)}"
        ) from error
    return network.eval()


def _counted(key: str) -> bool:
    return key.endswith(_COUNTED)


def _state(weights: Path) -> dict[str, Tensor]:
    if weights.suffix == ".safetensors":
        state = load_file(weights)
    else:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    return {key: value for key, value in state.items() if not _counted(key)}


@torch.inference_mode()
def _try_once(parts: ClapParts, folder: Path) -> None:
    """Encode a silence and a word: sizes that do not fit each other end here."""
    vocabulary, config = len(parts.tokenizer), parts.network.config.text_config
    pad, n_places = config.pad_token_id, config.max_position_embeddings
    if vocabulary > config.vocab_size or pad is None or not 0 <= pad < n_places - 1:
        raise RetrievalInputError(
            f"{folder}: the tokenizer has {vocabulary:,} pieces, {CONFIG} vocab_size"
            f" {config.vocab_size:,}, pad_token_id {pad} and max_position_embeddings {n_places:,}"
        )
    longer = parts.extractor.nb_max_samples + parts.extractor.hop_length
    try:
        silence = sound_inputs(parts.extractor, [np.zeros(longer)])
        parts.network.get_audio_features(**silence)
        parts.network.get_text_features(**parts.tokenizer(["a"], return_tensors="pt"))
    except Exception as error:  # whatever the network raises on inputs of another size
        raise RetrievalInputError(
            f"{folder}: {CONFIG}, {EXTRACTOR} and the tokenizer do not go together:"
            f" {first_line(error)}"
        ) from error


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    with TemporaryDirectory() as target:
        files = tokenizer_files(folder, Path(target))
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                files, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # transformers and tokenizers raise anything on other files
            raise RetrievalInputError(
                f"{folder}: its tokenizer cannot be made: {first_line(error)}"
            ) from error
    tokenizer.split_special_tokens = True  # a mark such as </s> inside a text stays text
    return tokenizer
