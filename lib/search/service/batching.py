"""Encode the texts of waiting requests together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

MOST = 64  # texts in a forward pass


class TextBatcher:
    """Give texts to an encoder, all that wait at one time in one call.

    While one call runs, further requests wait; the next call takes all of them. A lone request
    does not wait for others.

    Args:
        encode: texts -> rows; called in one thread.
    """

    def __init__(self, encode: Callable[[Sequence[str]], np.ndarray]) -> None:
        self._encode = encode
        self._waiting: list[tuple[str, asyncio.Future]] = []
        self._runs = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")

    async def encode(self, text: str) -> np.ndarray:
        """Return the row of one text."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        if not self._runs:
            self._runs = True
            asyncio.ensure_future(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                texts = list(dict.fromkeys(text for text, _ in batch))
                rows = await self._rows(texts)
                for text, future in batch:
                    if future.done():  # its request was given up
                        continue
                    if isinstance(rows[text], Exception):
                        future.set_exception(rows[text])
                    else:
                        future.set_result(rows[text])
        finally:
            self._runs = False

    async def _rows(self, texts: list[str]) -> dict[str, np.ndarray | Exception]:
        """Encode texts; if the encoder refuses one, the others are encoded without it."""
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(self._thread, self._encode, texts)
            return dict(zip(texts, rows, strict=True))
        except Exception as error:  # of the encoder: it goes to the request that caused it
            if len(texts) == 1:
                return {texts[0]: error}
        found = [await self._rows([text]) for text in texts]
        return {text: row for one in found for text, row in one.items()}
