"""Base of the encoders of pictures and of sounds: settings, texts, rows of length 1."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from lib.core.checks import RetrievalInputError, check_choice, check_count, unit_rows
from lib.models.dual_encoder import Progress

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
SLOT = "{}"  # the place of the text in a prompt


def checked_settings(
    precision: str, device: str, prompt: str, batch_size: int, workers: int
) -> dict[str, Any]:
    """Return the checked arguments of an encoder, with `device` as torch has it."""
    check_choice(precision, PRECISIONS, "precision")
    target = check_device(device, precision)
    if prompt and prompt.count(SLOT) != 1:
        raise RetrievalInputError(f"prompt must hold {SLOT} once, for the text; got {prompt!r}")
    return {
        "device": target,
        "precision": precision,
        "prompt": prompt,
        "batch_size": check_count(batch_size, "batch_size"),
        "workers": check_count(workers, "workers", least=0),
    }


def check_device(device: str, precision: str = "fp32") -> torch.device:
    """Return a device that torch can use here; refuse fp16 on a CPU."""
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise RetrievalInputError(
            f"device must be 'cpu', 'cuda' or 'cuda:1'; got {device!r}"
        ) from error
    try:
        torch.zeros(1, device=target).cpu()
    except Exception as error:  # a backend that is not built in, a missing GPU, 'meta'
        raise RetrievalInputError(
            f"device {device!r} is not available: torch sees {torch.cuda.device_count()} GPUs; use"
            " device='cpu'"
        ) from error
    if target.type == "cpu" and precision == "fp16":
        raise RetrievalInputError(
            "fp16 on a CPU is slower than fp32 and less exact; use 'bf16' or 'fp32'"
        )
    return target


class TextSide:
    """Encode texts with one of two towers; subclasses add the other side.

    Args:
        towers: has `network`, `dim`, `tokenize`, `too_long`, `text_features`, `identity` and
            `notes`, see `lib.models.open_clip_loader.Towers`.
    """

    def __init__(
        self,
        towers: Any,
        *,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        prompt: str = "",
        batch_size: int = 64,
        workers: int = 0,
    ) -> None:
        self._towers, self._device = towers, torch.device(device)
        self._dtype = PRECISIONS[precision]
        self.prompt, self.batch_size, self.workers = prompt, batch_size, workers
        self.identity = {**towers.identity, "prompt": prompt or SLOT, "precision": precision}
        self.notes = towers.notes
        self.truncated = 0
        towers.network.to(self._device)

    @property
    def dim(self) -> int:
        return self._towers.dim

    def encode_text(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        """Encode texts, each inside the prompt; returns float32 `(n, dim)`, rows of length 1.

        A text beyond the context length loses its end; `truncated` counts such texts.
        """
        prompted = self._prompted(texts)
        if not prompted:
            return np.empty((0, self.dim), dtype=np.float32)
        tokens = self._towers.tokenize(prompted)
        self.truncated += int(self._towers.too_long(prompted).sum())
        out = np.empty((len(tokens), self.dim), dtype=np.float32)
        for start in range(0, len(tokens), self.batch_size):
            batch = tokens[start : start + self.batch_size]
            rows = self._unit_rows(self._towers.text_features, batch, "texts", start)
            out[start : start + len(batch)] = rows
            if progress is not None:
                progress(len(batch))
        return out

    def count_truncated(self, texts: Sequence[str]) -> int:
        """Count the texts that `encode_text` would cut, prompt included; encodes nothing."""
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
                    f"texts[{i}] is {text!r}; expected words. Remove it from the corpus, with its"
                    " judgements"
                )
        return [self.prompt.replace(SLOT, text) if self.prompt else text for text in texts]

    def _ahead(self, jobs: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        """Yield the results of jobs in order, while `workers` threads compute the next ones."""
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
    def _unit_rows(
        self, features: Callable, batch: Any, name: str, first: int | np.ndarray
    ) -> np.ndarray:
        """Compute the unit rows of a batch; `first` is the index of its first input, or of each."""
        half = self._dtype is not None
        with torch.autocast(self._device.type, dtype=self._dtype) if half else nullcontext():
            rows = features(batch.to(self._device)).float().cpu().numpy()
        bad = ~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            index = int(first[i]) if isinstance(first, np.ndarray) else first + i
            kind = "only zeros" if not rows[i].any() else "a value that is not finite"
            raise RetrievalInputError(
                f"{name}[{index}] got an embedding with {kind}, which has no direction. Look at"
                " that input; if it is sound, try precision 'fp32', or another checkpoint"
            )
        return unit_rows(rows, name)
