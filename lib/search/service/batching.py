"""Encode the texts of waiting requests together."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lib.search.collection.searching import QueryEncoder

MOST = 64  # texts in a forward pass


class TextBatcher:
    """Give texts to an encoder, all that wait at one time in one call.

    While one call runs, further requests wait; the next call takes all of them. A lone request
    does not wait for others. All calls are made in one thread.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[str, QueryEncoder, asyncio.Future]] = []
        self._runs = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")

    async def encode(self, text: str, encoder: QueryEncoder) -> np.ndarray:
        """Return the row of one text.

        Args:
            text: of a query.
            encoder: another one only after its collection was replaced.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((text, encoder, future))
        if not self._runs:
            self._runs = True
            asyncio.ensure_future(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                encoder = self._waiting[0][1]
                batch = [one for one in self._waiting if one[1] is encoder][:MOST]
                self._waiting = [one for one in self._waiting if one not in batch]
                texts = list(dict.fromkeys(text for text, _, _ in batch))
                rows = await self._rows(texts, encoder)
                for text, _, future in batch:
                    if future.done():  # its request was given up
                        continue
                    if isinstance(rows[text], Exception):
                        future.set_exception(rows[text])
                    else:
                        future.set_result(rows[text])
        finally:
            self._runs = False

    async def _rows(
        self, texts: list[str], encoder: QueryEncoder
    ) -> dict[str, np.ndarray | Exception]:
        """Encode texts; if the encoder refuses one, the others are encoded without it."""
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(self._thread, encoder.encode_text, texts)
            return dict(zip(texts, rows, strict=True))
        except Exception as error:  # of the encoder: it goes to the request that caused it
            if len(texts) == 1:
                return {texts[0]: error}
        found = [await self._rows([text], encoder) for text in texts]
        return {text: row for one in found for text, row in one.items()}
