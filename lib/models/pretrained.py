"""Any model by name: published ones, the reader's own, and those trained here."""

from pathlib import Path

import open_clip
import torch

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.paths import artifacts_dir
from lib.models.checkpoints import published
from lib.models.pretrained_encoder import SLOT, PretrainedEncoder
from lib.models.towers import trained_here
from lib.models.trained_models import WEIGHTS

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def load(
    model: str,
    pretrained: str | Path | None = None,
    *,
    precision: str = "fp32",
    device: str = "cpu",
    prompt: str = "",
    batch_size: int = 64,
    workers: int = 0,
    cache_dir: str | Path | None = None,
) -> PretrainedEncoder:
    """Loads a model with its own transform and tokenizer.

        load("ViT-B-32", "openai")             published: architecture and tag of open_clip
        load("ViT-B-32", "epoch_12.pt")        the reader's own weights for an architecture
        load("mine", "folder")                 open_clip_config.json and open_clip_model.safetensors
        in it
        load("scenes")                         trained here

    Args:
        model: an open_clip architecture; a label where `pretrained` is a folder; or an artifact of
            ours.
        pretrained: a tag, a path, or None for an artifact of ours.
        precision: `"fp32"`; `"bf16"` or `"fp16"`: matrix products in that type (autocast), weights
            and results in float32. fp16 is for GPUs.
        device: `"cpu"`, `"cuda"` or `"cuda:1"`.
        prompt: `"a photo of {}"`, around every text; none by default, since captions are sentences.
        batch_size: pictures, frames or texts per forward pass.
        workers: threads that read pictures and clips ahead of the network; 0 reads them between
            passes.
        cache_dir: where open_clip keeps downloads, instead of its usual place.

    Raises:
        RetrievalInputError: an unknown name or tag (the nearest are named), a checkpoint that could
            run code or does not fit, a prompt without exactly one `{}`, a device that is not here,
            fp16 on a CPU.
        MissingFileError: weights that are neither here nor reachable; the message says where to put
            them.

    Relations: `lib.search.embedding_cache.embed` keeps what the encoder computes.
    """
    if ":" in model:
        raise RetrievalInputError(
            f"model {model!r} names a place; pass the folder of a downloaded repository as"
            " pretrained, and any label as model"
        )
    dtype = PRECISIONS[check_choice(precision, PRECISIONS, "precision")]
    target = _device(device, precision)
    if prompt and prompt.count(SLOT) != 1:
        raise RetrievalInputError(
            f"prompt must hold {SLOT} once, where the text goes; got {prompt!r}"
        )
    batch_size = check_count(batch_size, "batch_size")
    workers = check_count(workers, "workers", least=0)
    towers = (
        trained_here(_artifact(model))
        if pretrained is None
        else published(model, pretrained, cache_dir)
    )
    towers.network.to(target)
    return PretrainedEncoder(towers, target, dtype, precision, prompt, batch_size, workers)


def _artifact(model: str) -> str:
    ours = sorted(path.parent.name for path in artifacts_dir().glob(f"*/{WEIGHTS}"))
    if model not in ours and model.replace("/", "-") in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(model.replace("/", "-"))
        raise RetrievalInputError(
            f"{model} is an architecture; pretrained says with which weights: a path, or one of its"
            f" {len(tags)} tags, {', '.join(map(repr, tags[:6]))}{'...' if len(tags) > 6 else ''}"
        )
    # Of two kinds of names, those of open_clip are many: the error then shows the nearest of both.
    return (
        model if model in ours else check_choice(model, [*ours, *open_clip.list_models()], "model")
    )


def _device(device: str, precision: str) -> torch.device:
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise RetrievalInputError(
            f"device must be 'cpu', 'cuda' or 'cuda:1'; got {device!r}"
        ) from error
    try:
        torch.zeros(1, device=target).cpu()
    except Exception as error:  # a backend that is not built in, a GPU that is not there, 'meta'
        raise RetrievalInputError(
            f"device {device!r} is not here: torch sees {torch.cuda.device_count()} GPUs; use"
            " device='cpu'"
        ) from error
    if target.type == "cpu" and precision == "fp16":
        raise RetrievalInputError(
            "fp16 on a CPU is slower than fp32 and less exact; use 'bf16' or 'fp32'"
        )
    return target
