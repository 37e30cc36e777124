"""Encode images, texts and clips with any model: one loader, one encoder."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_count, unit_rows
from lib.core.paths import artifacts_dir
from lib.models.dual_encoder import Progress
from lib.models.open_clip_loader import Towers, published, trained_here
from lib.models.trained_models import WEIGHTS

SLOT = "{}"  # where a prompt takes the text
MAX_ASPECT = (
    64  # longer side over shorter; resizing the shorter side of 30,000 x 1 pixels to 224 takes 6 GB
)


def _within_aspect(picture: Image.Image) -> Image.Image:
    """Crop the centre of a picture that is longer than MAX_ASPECT times its shorter side."""
    longest = MAX_ASPECT * min(picture.size)
    width, height = (min(side, longest) for side in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return (
        picture.crop((left, top, left + width, top + height))
        if picture.size != (width, height)
        else picture
    )


class PretrainedEncoder:
    """Pictures, texts and clips to unit vectors of one space; made by `lib.models.encoder.load_encoder`.

    Attributes:
        identity: what decides an embedding: model, tag, transform, tokenizer, prompt, precision,
            weights_sha256, and activation where it could be another.
        notes: what a reader of its numbers should know.
        truncated: how many texts `encode_text` has cut to the context length so far.
    """

    def __init__(
        self,
        towers: Towers,
        device: torch.device,
        dtype: torch.dtype | None,
        precision: str,
        prompt: str,
        batch_size: int,
        workers: int,
    ) -> None:
        self._towers, self._device, self._dtype = towers, device, dtype
        self.prompt, self.batch_size, self.workers = prompt, batch_size, workers
        self.identity = {**towers.identity, "prompt": prompt or SLOT, "precision": precision}
        self.notes = towers.notes
        self.truncated = 0

    @property
    def dim(self) -> int:
        return self._towers.dim

    def encode_image(
        self, pictures: Sequence[Image.Image], *, progress: Progress | None = None
    ) -> np.ndarray:
        """Unit embeddings of pictures of any size.

        Args:
            pictures: a list, or files that are opened when their turn comes (`PictureFiles`).
            progress: called with the number of pictures done after each pass.

        Returns:
            float32 `(n, dim)`, rows of length 1.

        Raises:
            RetrievalInputError: an entry that is no picture, or whose embedding has no direction.
        """
        starts = range(0, len(pictures), self.batch_size)
        jobs = (
            partial(self._read, pictures, i, min(i + self.batch_size, len(pictures)))
            for i in starts
        )
        out = np.empty((len(pictures), self.dim), dtype=np.float32)
        for start, batch in zip(starts, self._ahead(jobs), strict=True):
            rows = self._rows(self._towers.image_features, batch, "pictures", start)
            out[start : start + len(rows)] = rows
            if progress is not None:
                progress(len(rows))
        return out

    def encode_text(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        """Unit embeddings of texts, each put into the prompt; result as of `encode_image`.

        Raises:
            RetrievalInputError: one string instead of a list, or an entry that is no text or blank.

        Relations: a text longer than the context loses its end; `truncated` and `count_truncated`
        say how many did.
        """
        prompted = self._prompted(texts)
        if not prompted:
            return np.empty((0, self.dim), dtype=np.float32)
        tokens = self._towers.tokenize(prompted)
        self.truncated += int(self._towers.too_long(prompted).sum())
        out = np.empty((len(tokens), self.dim), dtype=np.float32)
        for start in range(0, len(tokens), self.batch_size):
            batch = tokens[start : start + self.batch_size]
            out[start : start + len(batch)] = self._rows(
                self._towers.text_features, batch, "texts", start
            )
            if progress is not None:
                progress(len(batch))
        return out

    def encode_video(
        self, clips: Sequence[np.ndarray], *, progress: Progress | None = None
    ) -> np.ndarray:
        """Unit embeddings of clips: the mean direction of their frames.

            v = sum_t f_t / |f_t|,  then v / |v|

        Args:
            clips: uint8 `(n_frames, height, width, 3)` each, frame counts may differ; a list, or
                files that are decoded when their turn comes (`ClipFiles`).
            progress: called with the number of clips done after each pass.

        Returns:
            float32 `(n, dim)`, rows of length 1.

        Raises:
            RetrievalInputError: a clip of another shape or dtype, or without a frame.

        Relations: a clip of equal frames gets the vector of that picture. Frames of several clips
        share a pass. The order of the frames does not count.

        Reference: Luo et al. 2021, "CLIP4Clip: An Empirical Study of CLIP for End to End Video Clip
        Retrieval", the parameter-free similarity (meanP).
        """
        total = np.zeros(
            (len(clips), self.dim)
        )  # float64: the sum does not depend on how frames are batched
        frames, done = self._frames(clips), 0
        while chunk := list(islice(frames, self.batch_size)):
            owners = np.array([owner for owner, _ in chunk])
            batch = self._towers.read([_within_aspect(frame) for _, frame in chunk])
            np.add.at(
                total, owners, self._rows(self._towers.image_features, batch, "clips", owners)
            )
            if progress is not None and owners[-1] > done:
                progress(int(owners[-1] - done))  # all clips before the last are complete
                done = int(owners[-1])
        if progress is not None and len(clips) > done:
            progress(len(clips) - done)
        return (
            unit_rows(total, "the mean of a clip's frames")
            if len(clips)
            else total.astype(np.float32)
        )

    def count_truncated(self, texts: Sequence[str]) -> int:
        """How many texts `encode_text` would cut, prompt included; encodes nothing."""
        prompted = self._prompted(texts)
        return int(self._towers.too_long(prompted).sum()) if prompted else 0

    def _prompted(self, texts: Sequence[str]) -> list[str]:
        if isinstance(texts, str):
            raise RetrievalInputError(
                f"texts must be a list, got one string {texts[:60]!r}; pass [text]"
            )
        for i, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise RetrievalInputError(
                    f"texts[{i}] is {text!r}; expected words. Leave it out of the corpus, with its"
                    " judgements"
                )
        return [self.prompt.replace(SLOT, text) if self.prompt else text for text in texts]

    def _read(self, pictures: Sequence[Image.Image], start: int, stop: int) -> Tensor:
        batch = [pictures[i] for i in range(start, stop)]
        for i, picture in enumerate(batch, start=start):
            if not isinstance(picture, Image.Image):
                kind = type(picture).__name__
                raise RetrievalInputError(
                    f"pictures[{i}] is a {kind}; expected a PIL image, as Image.fromarray makes"
                )
        return self._towers.read([_within_aspect(picture) for picture in batch])

    def _frames(self, clips: Sequence[np.ndarray]) -> Iterator[tuple[int, Image.Image]]:
        for i, clip in enumerate(
            self._ahead(partial(clips.__getitem__, i) for i in range(len(clips)))
        ):
            clip = np.asarray(clip)
            if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != 3 or not clip.size:
                raise RetrievalInputError(
                    f"clips[{i}] must be uint8 (n_frames, height, width, 3) with a frame at least; "
                    f"got {clip.dtype} {clip.shape}"
                )
            yield from ((i, Image.fromarray(frame)) for frame in clip)

    def _ahead(self, jobs: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        """Results in order, computed by `workers` threads, one job each, before they are asked
        for.
        """
        if not self.workers:
            yield from (job() for job in jobs)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            pending: deque = deque()
            try:
                for job in jobs:
                    pending.append(pool.submit(job))
                    if len(pending) > self.workers:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:  # after an error nothing more is read
                for future in pending:
                    future.cancel()

    @torch.inference_mode()
    def _rows(
        self, features: Callable, batch: Tensor, what: str, first: int | np.ndarray
    ) -> np.ndarray:
        """Unit rows of one pass; `first` is the index of its first input, or that of each."""
        half = self._dtype is not None
        with torch.autocast(self._device.type, dtype=self._dtype) if half else nullcontext():
            rows = features(batch.to(self._device)).float().cpu().numpy()
        bad = ~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            where = int(first[i]) if isinstance(first, np.ndarray) else first + i
            kind = "only zeros" if not rows[i].any() else "a value that is not finite"
            raise RetrievalInputError(
                f"{what}[{where}] got an embedding with {kind}, which has no direction. Look at"
                " that input; if it is sound, try precision 'fp32', or another checkpoint"
            )
        return unit_rows(rows, what)


PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


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
) -> PretrainedEncoder:
    """Loads a model with its own transform and tokenizer.

        load_encoder("ViT-B-32", "openai")             published: architecture and tag of open_clip
        load_encoder("ViT-B-32", "epoch_12.pt")        the reader's own weights for an architecture
        load_encoder("mine", "folder")                 open_clip_config.json and open_clip_model.safetensors
        in it
        load_encoder("scenes")                         trained here

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
