"""The service: HTTP endpoints over collections, and one page."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import anyio.to_thread
import numpy as np
from fastapi import FastAPI, Query
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.search import collection as collections
from lib.search.collection import Collection
from lib.search.collection.exporting import zip_originals
from lib.search.collection.searching import name_of
from lib.search.service.batching import TextBatcher
from lib.search.service.counters import Counters
from lib.search.service.drawing import decode_upload, draw_strokes
from lib.search.service.guards import Guards, Limits
from lib.search.service.messages import (
    MOST_HITS,
    MOST_TEXT,
    SearchAnswer,
    SearchRequest,
    answer_errors,
    answer_of,
    plain,
)
from lib.search.service.opened import OpenCollection, OpenCollections

PAGE = Path(__file__).parent / "page"
QUERIES_KEPT = 10_000  # vectors of earlier queries, for their next pages
EXAMPLES = 12  # pictures on the page before the first query
PICTURES_AT_ONCE = 4  # that are decoded and encoded; each may need hundreds of megabytes
_CACHED = {"cache-control": "private, max-age=3600"}
_WHOLE = ("text", "image", "strokes", "vector", "like", "without")
T = TypeVar("T")


class _Kept:
    """Vectors of the latest queries, by token; and the words of those that were ordered again."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[str, tuple[tuple, np.ndarray, str]] = OrderedDict()

    def put(self, space: tuple, vector: np.ndarray, words: str) -> str:
        token = secrets.token_urlsafe(12)
        self._vectors[token] = (space, vector, words)
        if len(self._vectors) > QUERIES_KEPT:
            self._vectors.popitem(last=False)
        return token

    def get(self, space: tuple, token: str) -> tuple[np.ndarray, str]:
        kept = self._vectors.get(token)
        if kept is None or kept[0] != space:
            raise RetrievalInputError(
                f"query must be the token of an earlier answer of this collection, got"
                f" {token[:40]!r}; search again"
            )
        return kept[1:]


def create_app(paths: Sequence[str | Path], limits: Limits | None = None) -> FastAPI:
    """Make the application that `crossmodal serve` runs.

    Args:
        paths: folders of collections.
        limits: of requests; those of loopback by default.
    """
    limits, counters, kept = limits or Limits(), Counters(), _Kept()
    opened = OpenCollections(paths)
    batchers = {name: TextBatcher() for name in opened.by_name}
    pictures = asyncio.Semaphore(PICTURES_AT_ONCE)
    app = FastAPI(title="Search your pictures", docs_url=None, redoc_url=None)
    app.add_middleware(Guards, limits=limits, counters=counters)
    app.state.opened = opened
    answer_errors(app)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the service answers."""
        return {"status": "ok"}

    @app.get("/collections")
    def list_collections() -> list[dict[str, Any]]:
        """List the collections: name, number of pictures, model, columns for conditions."""
        return [_described(one) for one in opened.by_name.values()]

    @app.post("/search")
    async def search(request: SearchRequest) -> SearchAnswer:
        """Find the best pictures for words, a picture, a drawing, a vector, or more like some."""
        one = opened.named(request.collection)
        collection = one.current()
        space = one.name, *sorted(collection.manifest.identity.items())
        drawn = request.image is not None or request.strokes is not None
        async with pictures if drawn or request.rerank else nullcontext():
            query, rows = await _in_thread(_query_of, request, kept, space)
            texts = [text for text in {request.text, *request.without} if text.strip()]
            encoder = collection.encoder
            rows |= {text: await batchers[one.name].encode(text, encoder) for text in texts}
            results = await _in_thread(
                collection.search, query, request.k, offset=request.offset, where=request.where,
                fold=request.fold, rows=rows, rerank=request.rerank, candidates=request.candidates,
            )  # fmt: skip
        words = "" if request.rerank is None else query.text
        return answer_of(one.name, request.query or kept.put(space, results.vector, words), results)

    @app.get("/search")
    async def search_text(
        q: Annotated[str, Query(max_length=MOST_TEXT)],
        collection: str | None = None,
        k: Annotated[int, Query(ge=1, le=MOST_HITS)] = 24,
    ) -> SearchAnswer:
        """Find the best pictures for words; the short form of POST /search."""
        return await search(SearchRequest(text=q, collection=collection, k=k))

    @app.get("/suggest")
    def suggest(
        prefix: Annotated[str, Query(max_length=100)] = "", collection: str | None = None
    ) -> list[str]:
        """Return frequent words of captions and names that begin with a prefix."""
        return opened.named(collection).suggest(prefix)

    @app.get("/item/{name}/{item}")
    def item_of(name: str, item: int) -> dict[str, Any]:
        """Return all columns of a picture."""
        return plain(_of_item(opened.named(name), item, lambda one: one.item(item)))

    @app.get("/thumbnail/{name}/{item}")
    def thumbnail_of(name: str, item: int) -> Response:
        """Return a small JPEG of a picture."""
        content = _of_item(opened.named(name), item, lambda one: one.thumbnail(item))
        return Response(content, media_type="image/jpeg", headers=_CACHED)

    @app.get("/original/{name}/{item}")
    def original_of(name: str, item: int) -> Response:
        """Return the file of a picture, as it was indexed."""
        content, suffix = _of_item(opened.named(name), item, lambda one: one.content(item))
        headers = _attached(f"{name}-{item}{suffix}")
        return Response(content, media_type="application/octet-stream", headers=headers)

    @app.get("/originals/{name}")
    def originals_of(
        name: str, ids: Annotated[list[int], Query(min_length=1, max_length=MOST_HITS)]
    ) -> StreamingResponse:
        """Return the files of some pictures in one ZIP file."""
        one = opened.named(name)
        for item in ids:
            _of_item(one, item, lambda _: None)
        parts = zip_originals(one.current(), ids)
        headers = _attached(f"{name}.zip")
        return StreamingResponse(parts, media_type="application/zip", headers=headers)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Return counters and gauges in the format of Prometheus."""
        sizes = {name: len(one.collection) for name, one in opened.by_name.items()}
        return PlainTextResponse(counters.text(sizes), media_type="text/plain; version=0.0.4")

    @app.get("/")
    def page() -> FileResponse:
        """Return the page."""
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


async def _in_thread(work: Callable[..., T], *args: Any, **options: Any) -> T:
    """Run a function in a thread; a request that is given up does not wait for its end."""
    return await anyio.to_thread.run_sync(partial(work, *args, **options), abandon_on_cancel=True)


def _query_of(
    request: SearchRequest, kept: _Kept, space: tuple
) -> tuple[collections.Query, dict[str, np.ndarray]]:
    """Return the query of a request, and the vectors of its texts that are known already."""
    if request.image is not None and request.strokes is not None:
        raise RetrievalInputError("give image or strokes, not both")
    image, vector = None, request.vector
    if request.image is not None:
        image = decode_upload(request.image)
    elif request.strokes is not None:
        image = draw_strokes(request.strokes)
    if request.query is not None:
        given = [name for name in _WHOLE if getattr(request, name)]
        if given:
            raise RetrievalInputError(f"query stands for the whole query; leave out {given[0]}")
        vector, words = kept.get(space, request.query)
        if request.rerank is not None:
            if not words:
                raise RetrievalInputError(
                    "query with rerank must be the token of an answer with rerank; send the text"
                )
            return collections.Query(text=words), {words: vector}
    query = collections.Query(
        text=request.text,
        image=image,
        vector=vector,
        like=tuple(request.like),
        without=tuple(request.without),
        image_weight=request.image_weight,
    )
    return query, {}


def _of_item(one: OpenCollection, item: int, read: Callable[[Collection], T]) -> T:
    """Read something of a picture; an unknown id is 404.

    The files of a collection that was replaced meanwhile are gone: then the new one is read.
    """
    try:
        one.current().position(item)
        return read(one.current())
    except (RetrievalInputError, DamagedFileError, MissingFileError):
        one.refresh()
    collection = one.collection
    try:
        collection.position(item)
    except RetrievalInputError as error:
        raise MissingFileError(str(error)) from error
    return read(collection)


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


def _examples(collection: Collection) -> list[dict[str, Any]]:
    """Pictures at equal distances, to begin with."""
    ids = collection.ids[:: max(1, len(collection) // EXAMPLES)][:EXAMPLES].tolist()
    return [{"id": item, "name": name_of(collection.item(item))} for item in ids]


def _described(one: OpenCollection) -> dict[str, Any]:
    collection = one.current()
    manifest = collection.manifest
    return {
        "name": one.name,
        "pictures": len(collection),
        "model": manifest.model["name"],
        "pretrained": manifest.model["pretrained"],
        "dim": manifest.dim,
        "columns": collection.kinds,
        "second_stages": collection.second_stages,
        "examples": _examples(collection),
        "finished": manifest.finished,
    }
