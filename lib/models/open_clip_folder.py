"""The folder of a model as data: its JSON is read once, checked key by key, and can name no code
and no file.

open_clip and transformers take much more from such a folder: classes in a `.py`, paths, other
repositories.
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
LARGEST = 2**20  # of a number that sizes something; the largest published, a vocabulary, is 901,629
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKEN_MAP = "special_tokens_map.json"
VOCABULARIES = (
    "tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model",
    "tokenizer.model", "added_tokens.json",
)  # fmt: skip

MODEL_KEYS = {
    "embed_dim": int, "vision_cfg": dict, "text_cfg": dict, "multimodal_cfg": dict, "quick_gelu": bool,
    "custom_text": bool, "init_logit_scale": float, "init_logit_bias": float, "nonscalar_logit_scale": bool,
}  # fmt: skip
KEYWORDS = {
    "act_kwargs": {"approximate": str},
    "norm_kwargs": {"eps": float, "elementwise_affine": bool, "bias": bool},
    "tokenizer_kwargs": {"clean": str, "strip_sep_token": bool, "language": str},
}
TOKENIZER_CLASSES = {
    f"{name}{end}"
    for name in (
        "Bert",
        "CLIP",
        "Gemma",
        "GPT2",
        "MT5",
        "Nllb",
        "Roberta",
        "Siglip",
        "T5",
        "XLMRoberta",
    )
    for end in ("Tokenizer", "TokenizerFast")
} | {"PreTrainedTokenizerFast", "TokenizersBackend"}
# Keys that decide ids and are passed on.
TOKENIZER_KEYS = {
    "add_bos_token", "add_eos_token", "add_prefix_space", "added_tokens_decoder",
    "additional_special_tokens", "bos_token", "clean_up_tokenization_spaces", "cls_token",
    "do_basic_tokenize", "do_lower_case", "eos_token", "errors",
    "extra_ids", "extra_special_tokens", "legacy", "legacy_behaviour", "mask_token",
    "model_input_names", "model_max_length", "never_split", "pad_token", "padding_side", "sep_token",
    "spaces_between_special_tokens", "src_lang", "strip_accents", "tgt_lang", "tokenize_chinese_chars",
    "tokenizer_class", "trim_offsets", "truncation_side", "unk_token",
}  # fmt: skip
# Keys that change no id here: notes of the maker, chats, padding that is chosen with every call.
IDLE_KEYS = {
    "backend", "chat_template", "is_local", "local_files_only", "max_length", "name_or_path",
    "pad_to_multiple_of", "pad_token_type_id", "processor_class", "special_tokens_map_file", "stride",
    "tokenizer_file", "transformers_version", "truncation_strategy", "use_default_system_prompt", "use_fast",
}  # fmt: skip


def read_json(path: Path) -> dict:
    """The object in a JSON file; a key that stands twice is refused: readers differ in which they
    take.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise RetrievalInputError(f"the key {max(names, key=names.count)!r} stands twice")
        return found

    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        raise RetrievalInputError(f"{path} is not read: {error or 'nested too deeply'}") from error
    if not isinstance(data, dict):
        raise RetrievalInputError(f"{path} holds {type(data).__name__}, expected a JSON object")
    return data


def folder_config(folder: Path) -> tuple[dict, dict]:
    """`model_cfg` and `preprocess_cfg` of a folder of open_clip, with known keys of the right type
    alone.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise MissingFileError(f"{folder} holds no {CONFIG}; a folder needs it beside its weights")
    data = _known(read_json(path), {"model_cfg": dict, "preprocess_cfg": dict}, str(path))
    if "model_cfg" not in data:
        raise RetrievalInputError(f"{path} is no open_clip config: model_cfg is missing")
    model = _known(data["model_cfg"], MODEL_KEYS, f"{path}: model_cfg")
    missing = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if model.get(key) is None]
    if missing:
        raise RetrievalInputError(
            f"{path} is no open_clip config: model_cfg lacks {', '.join(missing)}"
        )
    parts = {"vision_cfg": CLIPVisionCfg, "text_cfg": CLIPTextCfg, "multimodal_cfg": MultimodalCfg}
    for name in parts.keys() & model.keys():
        where = f"{path}: {name}"
        part = _known(model[name], get_type_hints(parts[name]), where)
        for key in KEYWORDS.keys() & part.keys():
            _known(part[key] or {}, KEYWORDS[key], f"{where}: {key}")
    tower = model["vision_cfg"].get("timm_model_name")
    if tower is not None and (set(tower) & set(":/\\") or not is_model(tower)):
        raise RetrievalInputError(
            f"{path}: timm_model_name {tower!r} is no architecture of timm, and a place is not"
            " taken"
        )
    stated = _known(
        data.get("preprocess_cfg") or {}, get_type_hints(PreprocessCfg), f"{path}: preprocess_cfg"
    )
    return model, {
        key: value for key, value in stated.items() if value is not None and key != "size"
    }


def tokenizer_files(folder: Path, room: Path) -> Path:
    """Copies the vocabulary of a folder to `room`, with the keys of its settings that are known."""
    for name in VOCABULARIES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, room / name)
    if not any(room.iterdir()):
        raise MissingFileError(
            f"{folder} holds no vocabulary; expected one of {', '.join(VOCABULARIES)}"
        )
    for name in (TOKENIZER_CONFIG, TOKEN_MAP):
        if (folder / name).is_file():
            settings = read_json(folder / name)
            unknown = settings.keys() - TOKENIZER_KEYS - IDLE_KEYS
            if settings.get("sp_model_kwargs", None) in ({}, None):
                unknown.discard("sp_model_kwargs")
            if unknown:
                raise _refusal(folder / name, sorted(unknown))
            kind = settings.get("tokenizer_class")
            if kind is not None and kind not in TOKENIZER_CLASSES:
                raise RetrievalInputError(
                    f"{folder / name}: tokenizer_class {kind!r} is not read here; known are "
                    f"{', '.join(sorted(TOKENIZER_CLASSES))}"
                )
            kept = {key: value for key, value in settings.items() if key in TOKENIZER_KEYS}
            (room / name).write_text(json.dumps(kept), encoding="utf-8")
    if (folder / "config.json").is_file():
        kind = read_json(folder / "config.json").get("model_type")
        if kind in arch_dict:
            (room / "config.json").write_text(json.dumps({"model_type": kind}))
    return room


def text_tower_files(name: str, folder: Path | None, room: Path) -> Path:
    """Writes to `room` what transformers builds the text tower `name` from: plain values of a known
    family.

    A folder gives them in its own `config.json`, or names a tower whose config an earlier download
    has kept; no server is asked for a folder. A published model asks once.
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
    made = CONFIG_MAPPING[kind]
    plain = {
        key: data[key]
        for key, usual in made().to_dict().items()
        if key in data
        and isinstance(data[key], (int, float, str))
        and not isinstance(usual, (dict, list))
    }
    idle = {"model_type", "dtype", "torch_dtype", "transformers_version", "attn_implementation"}
    made(**{k: v for k, v in plain.items() if k not in idle and k[0] != "_"}).save_pretrained(room)
    return room


def refuse_local(name: str) -> None:
    """Refuses the name of a hub repository that transformers would take for a place on this
    disk.
    """
    if Path(name).exists() or ":" in name or name[:1] in "./~\\" or ".." in Path(name).parts:
        raise RetrievalInputError(
            f"{name!r} should name a repository of the hub, but is a place on this disk; files from"
            " there are not taken. Run in another folder, or rename it"
        )


def _known(data: Any, types: dict[str, Any], where: str) -> dict:
    if not isinstance(data, dict):
        raise RetrievalInputError(f"{where} is {data!r}, expected an object")
    unknown = sorted(data.keys() - types.keys())
    if unknown:
        raise _refusal(where, unknown)
    for key, value in data.items():
        if value is not None and not _fits(value, types[key]):
            raise RetrievalInputError(
                f"{where}: {key} is {value!r}, which is no {_named(types[key])}"
            )
    return data


def _refusal(where: Any, unknown: list[str]) -> RetrievalInputError:
    code = {"trust_remote_code", "auto_map", "custom_pipelines"} & set(unknown)
    reason = "asks to run code that came with the model" if code else "is not known"
    return RetrievalInputError(
        f"{where}: {', '.join(map(repr, unknown))} {reason}; that is not done here. Remove it if"
        " you trust the rest"
    )


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        same = (
            inner[-1] is Ellipsis or len(inner) == len(value) if isinstance(value, list) else False
        )
        return same and all(_fits(one, inner[0]) for one in value)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    if kind is int:
        return type(value) is int and 0 <= value <= LARGEST
    return isinstance(value, kind)


def _named(kind: Any) -> str:
    if kind is int:
        return f"whole number between 0 and {LARGEST:,}"
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
