"""Encode images, texts and clips with any model: `load_encoder` and the encoder that it returns."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, unit_rows
from lib.core.paths import artifacts_dir
from lib.datasets.media.pictures_with_texts import PicturesWithTexts
from lib.datasets.user_drawings import as_icon, as_picture
from lib.models.artifact_files import WEIGHTS
from lib.models.dual_encoder import DualEncoder, Progress, image_tensor, text_features
from lib.models.numpy_image import KIND as ON_WHITE
from lib.models.open_clip_loader import Towers, open_clip_towers, weights_digest
from lib.models.text_side import TextSide, checked_settings
from lib.models.trained_models import load_model

MAX_ASPECT = 64  # longer side / shorter side; resizing 30,000 x 1 pixels to 224 would take 6 GB


def load_encoder(
    model: str,
    pretrained: str | Path | None = None,
    *,
    precision: str = "fp32",
    device: str = "cpu",
    prompt: str = "",
    batch_size: int = 64,
    workers: int = 0,
    cache_dir: str | Path | None = None,
) -> "PretrainedEncoder":
    """Load a model with its own image transform and tokenizer, from one of four sources.

        load_encoder("ViT-B-32", "openai")        architecture and tag of open_clip, downloaded once
        load_encoder("ViT-B-32", "epoch_12.pt")   architecture and your own file of its weights
        load_encoder("mine", "folder")            folder with open_clip_config.json and
                                                  open_clip_model.safetensors
        load_encoder("scenes")                    committed artifact, trained in this project

    Files and folders are data: only tensors and known configuration values are read, no code runs.

    Args:
        model: an open_clip architecture, any label for a folder, or the name of an artifact.
        pretrained: a tag, a path, or None for an artifact.
        precision: `"fp32"`; `"bf16"` or `"fp16"` compute matrix products in that type (autocast).
            Weights and results stay float32. fp16 needs a GPU.
        device: `"cpu"`, `"cuda"` or `"cuda:1"`.
        prompt: a template such as `"a photo of {}"` for every text. Captions need none.
        batch_size: images, frames or texts per forward pass.
        workers: threads that read images and clips ahead; 0 reads them between forward passes.
        cache_dir: open_clip's download folder, instead of the default.

    Returns:
        A `PretrainedEncoder`. `lib.search.embedding_cache.embed` caches its embeddings.
    """
    if ":" in model:
        raise RetrievalInputError(
            f"model must be an architecture, a label or an artifact, but {model!r} names a place;"
            " pass the folder of a downloaded repository as pretrained, and any label as model"
        )
    settings = checked_settings(precision, device, prompt, batch_size, workers)
    if model == "clap":
        raise RetrievalInputError(
            "clap encodes sounds, not pictures: `crossmodal eval audiocaps --model clap` evaluates"
            " it (in Python: lib.models.clap_encoder.load_clap)"
        )
    if pretrained is None:
        towers = artifact_towers(_checked_artifact(model))
    else:
        towers = open_clip_towers(model, str(pretrained), cache_dir)
    encoder = PretrainedEncoder(towers, **settings)
    places = {"pretrained": _as_given_or_absolute(pretrained), "cache_dir": cache_dir}
    encoder.recipe = {"model": model, **places, **settings, "device": device}
    return encoder


def _as_given_or_absolute(pretrained: str | Path | None) -> str | None:
    """Name weights so that a process in another folder finds them: a tag stays as it is."""
    if pretrained is None or not Path(pretrained).exists():
        return pretrained and str(pretrained)
    return str(Path(pretrained).resolve())


def _load_again(recipe: dict[str, Any]) -> "PretrainedEncoder":
    return load_encoder(**recipe)


def _checked_artifact(model: str) -> str:
    artifacts = sorted(path.parent.name for path in artifacts_dir().glob(f"*/{WEIGHTS}"))
    architecture = model.replace("/", "-")
    if model in artifacts:
        return model
    if architecture in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        shown = ", ".join(map(repr, tags[:6])) + ("..." if len(tags) > 6 else "")
        raise RetrievalInputError(
            f"{model} is an architecture without weights. Name them with --pretrained (in Python:"
            f" pretrained=...): a path, or one of its {len(tags)} tags, {shown}"
        )
    return check_choice(model, [*artifacts, *open_clip.list_models()], "model")


def artifact_towers(name: str) -> Towers:
    """Load the towers of a committed dual encoder.

    A colour model (`"scenes"`) reads the central square of an image, and one of pictures on white
    (`"pictures"`) the whole image, as `lib.datasets.user_drawings.as_picture` lays it out. A model
    of one channel
    (`"icons"`) reads a drawing, which `lib.datasets.user_drawings.as_icon` turns into an icon; an
    image that is an icon already (gray, of the model's size, with a black border) stays as it is.
    A text that is too long is cut and counted, as with published models; `DualEncoder.encode_text`
    refuses it.
    """
    model = load_model(name)
    if not isinstance(model, DualEncoder):
        raise RetrievalInputError(
            f"{name!r} is a {type(model).__name__}, which has no single vector for an image or a"
            " text; load a dual encoder, for example 'scenes' or 'icons'"
        )
    channels, size = model.config["channels"], model.config["image_size"]
    length, text = model.tokenizer.context_length, model.config["text"]
    pieces, frozen = "byte pairs of the model", {}
    if "hf_model_name" in text:
        pieces = f"pieces of {text['hf_model_name']}"
        frozen = {"text_tower_sha256": text["sha256"]}
    pixels_of, shown = picture_reader(model.config)
    return Towers(
        network=model.network,
        dim=model.dim,
        read=lambda images: image_tensor(
            np.stack([pixels_of(image) for image in images]), channels, size
        ),
        tokenize=lambda texts: torch.from_numpy(model.tokenizer.encode(texts, cut=True)),
        too_long=lambda texts: model.tokenizer.lengths(texts) > length,
        image_features=model.network.encode_image,
        text_features=lambda tokens: text_features(model.network, tokens),
        identity={
            "model": name,
            "tag": "trained here",
            "transform": f"size {size} x {size}, {shown}, {channels} channels in [0, 1]",
            "tokenizer": f"{pieces}, context {length}",
            "weights_sha256": weights_digest(model.network),
            **frozen,
        },
    )


def picture_reader(config: dict) -> tuple[Callable[[Image.Image], np.ndarray], str]:
    """Return the function that turns a picture into the pixels of a model trained here.

    Args:
        config: of a dual encoder, see `DualEncoder`.

    Returns:
        The function, whose result is uint8 `(size, size)` or `(size, size, 3)`, and what it shows.
    """
    size, pixels_of, shown = config["image_size"], _icon_pixels, "ink of a drawing, centred"
    if config["vision"].get("timm_model_name") == ON_WHITE:
        pixels_of, shown = _picture_pixels, "the whole picture, centred on white"
    elif config["channels"] == 3:
        pixels_of, shown = _square_pixels, "central square, bicubic"
    return partial(pixels_of, size=size), shown


def _square_pixels(image: Image.Image, size: int) -> np.ndarray:
    """Return uint8 `(size, size, 3)`; an image of that size keeps its pixels."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _picture_pixels(image: Image.Image, size: int) -> np.ndarray:
    """Return uint8 `(size, size, 3)`, the picture centred on white."""
    return as_picture(image)


def _icon_pixels(image: Image.Image, size: int) -> np.ndarray:
    """Return uint8 `(size, size)`, ink bright on black."""
    if image.size == (size, size):
        pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        gray = pixels if pixels.ndim == 2 else pixels[..., 0]
        border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
        is_gray = (pixels.reshape(size, size, -1) == gray[..., None]).all()
        if is_gray and gray.any() and np.median(border) == 0:
            return gray
    return as_icon(image)


class PretrainedEncoder(TextSide):
    """Encode images, texts and clips as unit vectors of one space; made by `load_encoder`.

    It is pickled as the arguments of `load_encoder`: another process loads the model itself.

    Attributes:
        identity: everything that decides an embedding: model, tag, transform, tokenizer, prompt,
            precision, weights_sha256, and the activation where an architecture has several.
        notes: warnings about the loaded weights, for example of an activation that may not fit.
        truncated: number of texts that `encode_text` has cut to the context length until now.
    """

    def __init__(self, towers: Towers, **settings: Any) -> None:
        super().__init__(towers, **settings)
        self.recipe: dict[str, Any] | None = None  # arguments of `load_encoder`

    def __reduce__(self) -> tuple:
        if self.recipe is None:
            raise RetrievalInputError("only an encoder of `load_encoder` can go to another process")
        return _load_again, (self.recipe,)

    def encode_both(self, pairs: PicturesWithTexts) -> np.ndarray:
        """Encode pictures with texts as the sum of their vectors.

            u = (x + t) / |x + t|,   x the unit vector of the picture, t that of its text

        Args:
            pairs: pictures, each with a text.

        Returns:
            float32 `(n, dim)`, rows of length 1.

        Reference: Wei et al. 2024, "UniIR: Training and benchmarking universal multimodal
        information retrievers" (score fusion).
        """
        rows = self.encode_image(pairs.pictures) + self.encode_text(pairs.texts)
        return unit_rows(rows, "pictures with texts").astype(np.float32, copy=False)

    def encode_image(
        self, pictures: Sequence[Image.Image], *, progress: Progress | None = None
    ) -> np.ndarray:
        """Encode images of any size.

        Args:
            pictures: a list of PIL images, or files that are opened one batch at a time
                (`PictureFiles`).
            progress: called with the number of images after each forward pass.

        Returns:
            float32 `(n, dim)`, rows of length 1.
        """
        starts = range(0, len(pictures), self.batch_size)
        jobs = (
            partial(self._read, pictures, i, min(i + self.batch_size, len(pictures)))
            for i in starts
        )
        out = np.empty((len(pictures), self.dim), dtype=np.float32)
        for start, batch in zip(starts, self._ahead(jobs), strict=True):
            rows = self._unit_rows(self._towers.image_features, batch, "pictures", start)
            out[start : start + len(rows)] = rows
            if progress is not None:
                progress(len(rows))
        return out

    def encode_video(
        self, clips: Sequence[np.ndarray], *, progress: Progress | None = None
    ) -> np.ndarray:
        """Encode clips by the mean direction of their frames; their order does not count.

            v = sum_t f_t / |f_t|,  then v / |v|

        Args:
            clips: uint8 `(n_frames, height, width, 3)` each, with any number of frames; a list, or
                files that are decoded one at a time (`ClipFiles`).
            progress: called with the number of finished clips after each forward pass.

        Returns:
            float32 `(n, dim)`, rows of length 1.

        Reference: Luo et al. 2021, "CLIP4Clip: An Empirical Study of CLIP for End to End Video Clip
        Retrieval", the parameter-free similarity (meanP).
        """
        # In float64 the sum does not depend on the batches that the frames are in.
        total = np.zeros((len(clips), self.dim))
        frames, done = self._frames(clips), 0
        while chunk := list(islice(frames, self.batch_size)):
            owners = np.array([owner for owner, _ in chunk])
            batch = self._towers.read([_crop_long(frame) for _, frame in chunk])
            rows = self._unit_rows(self._towers.image_features, batch, "clips", owners)
            np.add.at(total, owners, rows)
            if progress is not None and owners[-1] > done:
                progress(int(owners[-1] - done))  # all clips before the last one are complete
                done = int(owners[-1])
        if progress is not None and len(clips) > done:
            progress(len(clips) - done)
        if not len(clips):
            return total.astype(np.float32)
        return unit_rows(total, "the mean of a clip's frames")

    def _read(self, pictures: Sequence[Image.Image], start: int, stop: int) -> Tensor:
        batch = [pictures[i] for i in range(start, stop)]
        for i, picture in enumerate(batch, start=start):
            if not isinstance(picture, Image.Image):
                raise RetrievalInputError(
                    f"pictures[{i}] is a {type(picture).__name__}; expected a PIL image, as"
                    " Image.fromarray makes"
                )
        return self._towers.read([_crop_long(picture) for picture in batch])

    def _frames(self, clips: Sequence[np.ndarray]) -> Iterator[tuple[int, Image.Image]]:
        jobs = (partial(clips.__getitem__, i) for i in range(len(clips)))
        for i, clip in enumerate(self._ahead(jobs)):
            clip = np.asarray(clip)
            if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != 3 or not clip.size:
                raise RetrievalInputError(
                    f"clips[{i}] must be uint8 (n_frames, height, width, 3) with at least one"
                    f" frame; got {clip.dtype} {clip.shape}"
                )
            yield from ((i, Image.fromarray(frame)) for frame in clip)


def _crop_long(picture: Image.Image) -> Image.Image:
    """Crop the centre of a picture that is longer than MAX_ASPECT times its shorter side."""
    longest = MAX_ASPECT * min(picture.size)
    width, height = (min(side, longest) for side in picture.size)
    if picture.size == (width, height):
        return picture
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))
