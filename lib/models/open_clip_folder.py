"""Read a model's folder as data: JSON is checked key by key and can name no code, file or server.

open_clip and transformers accept much more: classes in a `.py`, paths, other repositories.
"""

import json
import math
import shutil
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from huggingface_hub import try_to_load_from_cache
from open_clip.coca_model import MultimodalCfg
from open_clip.hf_configs import arch_dict
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from open_clip.transform import PreprocessCfg
from timm.models import is_model

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError

CONFIG = "open_clip_config.json"
LARGEST = 2**20  # the largest published size, a vocabulary, is 901,629
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKEN_MAP = "special_tokens_map.json"
VOCABULARIES = (
    "tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model", "tokenizer.model", "added_tokens.json",
)  # fmt: skip

MODEL_KEYS = {
    "embed_dim": int, "vision_cfg": dict, "text_cfg": dict, "multimodal_cfg": dict,
    "quick_gelu": bool, "custom_text": bool, "init_logit_scale": float, "init_logit_bias": float,
    "nonscalar_logit_scale": bool,
}  # fmt: skip
PARTS = {"vision_cfg": CLIPVisionCfg, "text_cfg": CLIPTextCfg, "multimodal_cfg": MultimodalCfg}
KEYWORDS = {
    "act_kwargs": {"approximate": str},
    "norm_kwargs": {"eps": float, "elementwise_affine": bool, "bias": bool},
    "tokenizer_kwargs": {"clean": str, "strip_sep_token": bool, "language": str},
}
TOKENIZERS = (
    "Bert", "CLIP", "Gemma", "GPT2", "MT5", "Nllb", "Roberta", "Siglip", "T5", "XLMRoberta",
)  # fmt: skip
TOKENIZER_CLASSES = {
    *(f"{name}{end}" for name in TOKENIZERS for end in ("Tokenizer", "TokenizerFast")),
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
}
# Keys that decide ids and are passed on.
TOKENIZER_KEYS = {
    "add_bos_token", "add_eos_token", "add_prefix_space", "added_tokens_decoder",
    "additional_special_tokens", "bos_token", "clean_up_tokenization_spaces", "cls_token",
    "do_basic_tokenize", "do_lower_case", "eos_token", "errors",
    "extra_ids", "extra_special_tokens", "legacy", "legacy_behaviour", "mask_token",
    "model_input_names", "model_max_length", "never_split", "pad_token", "padding_side",
    "sep_token", "spaces_between_special_tokens", "src_lang", "strip_accents", "tgt_lang",
    "tokenize_chinese_chars", "tokenizer_class", "trim_offsets", "truncation_side", "unk_token",
}  # fmt: skip
# Keys that change no id here: notes of the authors, chats, padding that every call chooses.
IDLE_KEYS = {
    "backend", "chat_template", "is_local", "local_files_only", "max_length", "name_or_path",
    "pad_to_multiple_of", "pad_token_type_id", "processor_class", "special_tokens_map_file",
    "stride", "tokenizer_file", "transformers_version", "truncation_strategy",
    "use_default_system_prompt", "use_fast",
}  # fmt: skip


def read_json(path: Path) -> dict:
    """Read the object in a JSON file; a repeated key is refused, since readers differ there."""

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict:
        data = dict(pairs)
        if len(data) < len(pairs):
            names = [name for name, _ in pairs]
            raise RetrievalInputError(f"the key {max(names, key=names.count)!r} stands twice")
        return data

    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise RetrievalInputError(f"{path} is not read: {error or 'nested too deeply'}") from error
    if not isinstance(data, dict):
        raise RetrievalInputError(f"{path} holds {type(data).__name__}, expected a JSON object")
    return data


def folder_config(folder: Path) -> tuple[dict, dict]:
    """Read `model_cfg` and `preprocess_cfg` of a folder: known keys with values of their types."""
    path = folder / CONFIG
    if not path.is_file():
        raise MissingFileError(f"{folder} holds no {CONFIG}; a folder needs it beside its weights")
    data = _checked(read_json(path), {"model_cfg": dict, "preprocess_cfg": dict}, str(path))
    if "model_cfg" not in data:
        raise RetrievalInputError(f"{path} is no open_clip config: model_cfg is missing")
    model = _checked(data["model_cfg"], MODEL_KEYS, f"{path}: model_cfg")
    missing = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if model.get(key) is None]
    if missing:
        raise RetrievalInputError(
            f"{path} is no open_clip config: model_cfg lacks {', '.join(missing)}"
        )
    for name in PARTS.keys() & model.keys():
        where = f"{path}: {name}"
        part = _checked(model[name], get_type_hints(PARTS[name]), where)
        for key in KEYWORDS.keys() & part.keys():
            _checked(part[key] or {}, KEYWORDS[key], f"{where}: {key}")
    tower = model["vision_cfg"].get("timm_model_name")
    if tower is not None and (set(tower) & set(":/\\") or not is_model(tower)):
        raise RetrievalInputError(
            f"{path}: timm_model_name must be an architecture of timm, not a place; got {tower!r}"
        )
    where = f"{path}: preprocess_cfg"
    transform = _checked(data.get("preprocess_cfg") or {}, get_type_hints(PreprocessCfg), where)
    return model, {
        key: value for key, value in transform.items() if value is not None and key != "size"
    }


def tokenizer_files(folder: Path, target: Path) -> Path:
    """Copy the vocabulary of a folder to `target`, with the known keys of its settings."""
    for name in VOCABULARIES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    if not any(target.iterdir()):
        raise MissingFileError(
            f"{folder} holds no vocabulary; expected one of {', '.join(VOCABULARIES)}"
        )
    for name in (TOKENIZER_CONFIG, TOKEN_MAP):
        if not (folder / name).is_file():
            continue
        settings = read_json(folder / name)
        unknown = settings.keys() - TOKENIZER_KEYS - IDLE_KEYS
        if settings.get("sp_model_kwargs") in ({}, None):
            unknown.discard("sp_model_kwargs")
        if unknown:
            raise _unknown_keys(folder / name, unknown)
        kind = settings.get("tokenizer_class")
        if kind is not None and kind not in TOKENIZER_CLASSES:
            raise RetrievalInputError(
                f"{folder / name}: tokenizer_class must be one of"
                f" {', '.join(sorted(TOKENIZER_CLASSES))}; got {kind!r}"
            )
        passed_on = {key: value for key, value in settings.items() if key in TOKENIZER_KEYS}
        (target / name).write_text(json.dumps(passed_on), encoding="utf-8")
    if (folder / "config.json").is_file():
        kind = read_json(folder / "config.json").get("model_type")
        if kind in arch_dict:
            (target / "config.json").write_text(json.dumps({"model_type": kind}))
    return target


def text_tower_files(name: str, folder: Path | None, target: Path) -> Path:
    """Write the config of the text tower `name` to `target`: plain values of a known family.

    A folder holds it as `config.json`, or names a tower whose config is in the cache; no server is
    asked for a folder. For a published model, transformers may ask its server once.
    """
    from transformers import CONFIG_MAPPING, PreTrainedConfig

    if folder is not None and (folder / "config.json").is_file():
        source, data = folder / "config.json", read_json(folder / "config.json")
    elif folder is not None:
        refuse_local(name)
        source = try_to_load_from_cache(name, "config.json")
        if not isinstance(source, str):
            raise MissingFileError(
                f"the config of the text tower {name} is not here; put its config.json into"
                f" {folder}"
            )
        data = read_json(Path(source))
    else:
        refuse_local(name)
        source, (data, _) = name, PreTrainedConfig.get_config_dict(name)
    kind = data.get("model_type")
    if kind not in arch_dict:
        raise RetrievalInputError(
            f"{source}: model_type {kind!r} is no text tower of open_clip; known are"
            f" {', '.join(arch_dict)}"
        )
    family = CONFIG_MAPPING[kind]
    idle = {"model_type", "dtype", "torch_dtype", "transformers_version", "attn_implementation"}
    plain = {
        key: data[key]
        for key, default in family().to_dict().items()
        if key in data
        and key not in idle
        and not key.startswith("_")
        and isinstance(data[key], int | float | str)
        and not isinstance(default, dict | list)
    }
    family(**plain).save_pretrained(target)
    return target


def refuse_local(name: str) -> None:
    """Refuse the name of a hub repository that transformers would take for a local path."""
    if Path(name).exists() or ":" in name or name[:1] in "./~\\" or ".." in Path(name).parts:
        raise RetrievalInputError(
            f"{name!r} should name a repository of the hub, but is a place on this disk; files from"
            " there are not read. Run in another folder, or rename it"
        )


def _checked(data: Any, types: dict[str, Any], where: str) -> dict:
    """Return an object when all its keys are known and its values have their types."""
    if not isinstance(data, dict):
        raise RetrievalInputError(f"{where} must be an object, got {data!r}")
    if unknown := data.keys() - types.keys():
        raise _unknown_keys(where, unknown)
    for key, value in data.items():
        if value is not None and not _fits(value, types[key]):
            raise RetrievalInputError(
                f"{where}: {key} must be a {_type_name(types[key])}, got {value!r}"
            )
    return data


def _unknown_keys(where: Any, unknown: set[str]) -> RetrievalInputError:
    code = {"trust_remote_code", "auto_map", "custom_pipelines"} & unknown
    reason = "would run code that came with the model" if code else "is not known"
    return RetrievalInputError(
        f"{where}: {', '.join(map(repr, sorted(unknown)))} {reason}, and is refused. Remove it if"
        " you trust the rest"
    )


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(kind))
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        return (
            isinstance(value, list)
            and (inner[-1] is Ellipsis or len(inner) == len(value))
            and all(_fits(entry, inner[0]) for entry in value)
        )
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    if kind is int:
        return type(value) is int and 0 <= value <= LARGEST
    return isinstance(value, kind)


def _type_name(kind: Any) -> str:
    if kind is int:
        return f"whole number between 0 and {LARGEST:,}"
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
