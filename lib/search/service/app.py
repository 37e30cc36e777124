"""The service: HTTP endpoints over collections, and one page."""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote

import anyio.to_thread
from fastapi import FastAPI, Query, Request
from fastapi.responses import (
    FileResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from fastapi.staticfiles import StaticFiles

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.search.collection import Collection
from lib.search.collection.exporting import zip_originals
from lib.search.service.batching import TextBatcher
from lib.search.service.counters import Counters
from lib.search.service.guards import Guards, Limits
from lib.search.service.hum_messages import MOST_TUNES, NOT_SERVED, HumAnswer
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
from lib.search.service.queries import (
    KeptQueries,
    described,
    query_of,
    results_of,
    space_of,
)

if TYPE_CHECKING:
    from lib.search.service.tunes import ServedTunes  # it loads torch

PAGE = Path(__file__).parent / "page"
PICTURES_AT_ONCE = 4  # that are decoded and encoded; each may need hundreds of megabytes
_CACHED = {"cache-control": "private, max-age=3600"}
T = TypeVar("T")


def create_app(
    paths: Sequence[str | Path], limits: Limits | None = None, tunes: "ServedTunes | None" = None
) -> FastAPI:
    """Make the application that `crossmodal serve` runs.

    Args:
        paths: folders of collections; none where tunes alone are served.
        limits: of requests; those of loopback by default.
        tunes: that a hum finds.
    """
    limits, counters, kept = limits or Limits(), Counters(), KeptQueries()
    opened = OpenCollections(paths, may_be_none=tunes is not None)
    batchers = {name: TextBatcher() for name in opened.by_name}
    pictures = asyncio.Semaphore(PICTURES_AT_ONCE)
    # More threads than processors would only take turns, and delay the loop that answers.
    searches = asyncio.Semaphore(os.cpu_count() or 1)
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
        return [described(one.name, one.current()) for one in opened.by_name.values()]

    @app.post("/search")
    async def search(request: SearchRequest) -> SearchAnswer:
        """Find the best pictures for words, a picture, a drawing, a vector, or more like some."""
        one = opened.named(request.collection)
        collection = one.current()
        space = space_of(one.name, collection)
        drawn = request.image is not None or request.strokes is not None
        long = drawn or request.rerank is not None
        async with pictures if long else nullcontext():
            read = partial(query_of, request, kept, space)
            query, rows = await _in_thread(read) if drawn else read()
            texts = [text for text in {request.text, *request.without} if text.strip()]
            encoder = collection.encoder
            rows |= {text: await batchers[one.name].encode(text, encoder) for text in texts}
            async with nullcontext() if long else searches:
                results = await _in_thread(results_of, request, collection, query, rows)
        return answer_of(one.name, kept.token_of(request, space, query, results), results)

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

    _add_tunes(app, tunes, searches)

    @app.get("/")
    def page() -> Response:
        """Return the page of the pictures, or lead to that of the tunes where there are none."""
        return _page("index.html") if opened.by_name else RedirectResponse("/hum")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


def _add_tunes(app: FastAPI, tunes: "ServedTunes | None", searches: asyncio.Semaphore) -> None:
    """Add what finds tunes: a description, the search by a hum, and its page."""

    @app.get("/tunes")
    def describe_tunes() -> dict[str, Any]:
        """Describe the tunes: their number, books and pitch tracker; or say that there are none."""
        return {"tunes": 0, "message": NOT_SERVED} if tunes is None else tunes.described()

    @app.post("/hum")
    async def find_tunes(
        request: Request, k: Annotated[int, Query(ge=1, le=MOST_TUNES)] = 10
    ) -> HumAnswer:
        """Find the tune that is hummed in a WAV file, the body: 16-bit PCM, at most 60 s."""
        if tunes is None:
            raise MissingFileError(NOT_SERVED)
        content = await request.body()
        async with searches:
            return await _in_thread(tunes.find, content, k)

    @app.get("/hum")
    def hum_page() -> Response:
        """Return the page that listens."""
        return _page("hum.html")


def _page(name: str) -> FileResponse:
    return FileResponse(PAGE / name, headers={"cache-control": "no-cache"})


async def _in_thread(work: Callable[..., T], *args: Any, **options: Any) -> T:
    """Run a function in a thread; a request that is given up does not wait for its end."""
    return await anyio.to_thread.run_sync(partial(work, *args, **options), abandon_on_cancel=True)


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
