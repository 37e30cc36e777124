"""The service: HTTP endpoints over collections, and one page."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.search import collection as collections
from lib.search.collection import Results
from lib.search.service.batching import TextBatcher
from lib.search.service.counters import Counters
from lib.search.service.drawing import decode_upload, draw_strokes
from lib.search.service.guards import MAX_BODY, Guards, Limits
from lib.search.service.opened import OpenCollection, OpenCollections

PAGE = Path(__file__).parent / "page"
QUERIES_KEPT = 10_000  # vectors of earlier queries, for their next pages
MOST_TEXT = 4_000  # characters
MOST_HITS = 200  # of one answer
Point = Annotated[
    list[Annotated[float, Field(ge=-1, le=2, allow_inf_nan=False)]],
    Field(min_length=2, max_length=2),
]
ShortText = Annotated[str, Field(max_length=MOST_TEXT)]


class SearchRequest(BaseModel):
    """A query: at least one of text, image, strokes, vector, like and query.

    `image` is a file in base64. `strokes` are lists of points from 0 to 1, drawn in black on
    white. `query` is the token of an earlier answer: the next pages need no encoding.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    collection: str | None = None
    text: ShortText = ""
    image: Annotated[str, Field(max_length=MAX_BODY)] | None = None
    strokes: list[list[Point]] | None = None
    vector: Annotated[list[float], Field(max_length=2**15)] | None = None
    like: Annotated[list[int], Field(max_length=100)] = []
    without: Annotated[list[ShortText], Field(max_length=20)] = []
    image_weight: float = 0.5
    query: str | None = None
    where: Annotated[str, Field(max_length=2_000)] = ""
    k: Annotated[int, Field(ge=1, le=MOST_HITS)] = 24
    offset: Annotated[int, Field(ge=0)] = 0
    fold: bool = True


class ServedHit(BaseModel):
    """One picture found; see `CollectionHit`."""

    rank: int
    id: int
    score: float
    standing: float
    name: str
    columns: dict[str, Any]
    copies: list[int]


class SearchAnswer(BaseModel):
    """Hits, the token of the query for its next page, and what a score means."""

    collection: str
    query: str
    hits: list[ServedHit]
    offset: int
    more: bool
    mean: float
    deviation: float
    doubts: list[str]


class _Kept:
    """Vectors of the latest queries, by token."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[str, tuple[str, np.ndarray]] = OrderedDict()

    def put(self, name: str, vector: np.ndarray) -> str:
        token = secrets.token_urlsafe(12)
        self._vectors[token] = (name, vector)
        if len(self._vectors) > QUERIES_KEPT:
            self._vectors.popitem(last=False)
        return token

    def get(self, name: str, token: str) -> np.ndarray:
        kept = self._vectors.get(token)
        if kept is None or kept[0] != name:
            raise RetrievalInputError(
                f"query must be the token of an earlier answer of this collection, got"
                f" {token[:40]!r}; search again"
            )
        self._vectors.move_to_end(token)
        return kept[1]


def create_app(paths: Sequence[str | Path], limits: Limits | None = None) -> FastAPI:
    """Make the application that `crossmodal serve` runs.

    Args:
        paths: folders of collections.
        limits: of requests; those of loopback by default.
    """
    limits, counters, kept = limits or Limits(), Counters(), _Kept()
    opened = OpenCollections(paths)
    batchers = {
        name: TextBatcher(lambda texts, one=one: one.current().encoder.encode_text(texts))
        for name, one in opened.by_name.items()
    }
    app = FastAPI(title="Search your pictures", docs_url=None, redoc_url=None)
    app.add_middleware(Guards, limits=limits, counters=counters)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
        got = repr(first.get("input"))[:100]
        return JSONResponse({"error": f"{place or 'the body'}: {first['msg']}, got {got}"}, 422)

    @app.exception_handler(RetrievalInputError)
    @app.exception_handler(DamagedFileError)
    async def wrong(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(MissingFileError)
    async def missing(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 404)

    @app.exception_handler(OSError)
    async def unreadable(request: Request, error: OSError) -> JSONResponse:
        return JSONResponse({"error": f"the disk does not answer: {error.strerror}"}, 503)

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
        query = await run_in_threadpool(_query_of, request, kept, one.name)
        texts = [text for text in {request.text, *request.without} if text.strip()]
        rows = {text: await batchers[one.name].encode(text) for text in texts}
        results = await run_in_threadpool(
            collection.search, query, request.k, offset=request.offset, where=request.where,
            fold=request.fold, rows=rows,
        )  # fmt: skip
        token = request.query or kept.put(one.name, results.vector)
        return _answer(one.name, token, results)

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
        prefix: Annotated[str, Query(max_length=100)], collection: str | None = None
    ) -> list[str]:
        """Return frequent words of captions and names that begin with a prefix."""
        return opened.named(collection).suggest(prefix)

    @app.get("/item/{name}/{item}")
    def item_of(name: str, item: int) -> dict[str, Any]:
        """Return all columns of a picture."""
        return _plain(_known(opened.named(name), item).item(item))

    @app.get("/thumbnail/{name}/{item}")
    def thumbnail_of(name: str, item: int) -> Response:
        """Return a small JPEG of a picture."""
        content = _known(opened.named(name), item).thumbnail(item)
        return Response(content, media_type="image/jpeg", headers=_CACHED)

    @app.get("/original/{name}/{item}")
    def original_of(name: str, item: int) -> Response:
        """Return the file of a picture, as it was indexed."""
        content, suffix = _known(opened.named(name), item).content(item)
        attached = {"content-disposition": f'attachment; filename="{name}-{item}{suffix}"'}
        return Response(content, media_type="application/octet-stream", headers=attached)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Return counters and gauges in the format of Prometheus."""
        sizes = {
            f'crossmodal_pictures{{collection="{name}"}}': len(one.collection)
            for name, one in opened.by_name.items()
        }
        return PlainTextResponse(counters.text(sizes), media_type="text/plain; version=0.0.4")

    @app.get("/")
    def page() -> FileResponse:
        """Return the page."""
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


_CACHED = {"cache-control": "private, max-age=86400"}


def _query_of(request: SearchRequest, kept: _Kept, name: str) -> collections.Query:
    pictures = [value for value in (request.image, request.strokes) if value is not None]
    if len(pictures) > 1:
        raise RetrievalInputError("give image or strokes, not both")
    image = None
    if request.image is not None:
        image = decode_upload(request.image)
    elif request.strokes is not None:
        image = draw_strokes(request.strokes)
    vector = request.vector
    if request.query is not None:
        others = [n for n in ("text", "image", "strokes", "vector", "like", "without")]
        given = [n for n in others if getattr(request, n)]
        if given:
            raise RetrievalInputError(f"query stands for the whole query; leave out {given[0]}")
        vector = kept.get(name, request.query)
    return collections.Query(
        text=request.text,
        image=image,
        vector=None if vector is None else np.asarray(vector, np.float64),
        like=tuple(request.like),
        without=tuple(request.without),
        image_weight=request.image_weight,
    )


def _answer(name: str, token: str, results: Results) -> SearchAnswer:
    hits = [
        ServedHit(
            rank=hit.rank,
            id=hit.id,
            score=hit.score,
            standing=hit.standing,
            name=hit.name,
            columns=_plain(hit.columns),
            copies=list(hit.copies),
        )
        for hit in results.hits
    ]
    return SearchAnswer(
        collection=name,
        query=token,
        hits=hits,
        offset=results.offset,
        more=results.more,
        mean=results.mean,
        deviation=results.deviation,
        doubts=list(results.doubts),
    )


def _known(one: OpenCollection, item: int) -> collections.Collection:
    """Return the collection if it holds an id; else the answer is 404."""
    collection = one.current()
    try:
        collection.position(item)
    except RetrievalInputError as error:
        raise MissingFileError(str(error)) from error
    return collection


def _plain(columns: dict[str, Any]) -> dict[str, Any]:
    """Return columns as JSON has them: dates and other kinds as texts, no NaN."""
    plain = {}
    for name, value in columns.items():
        if isinstance(value, float) and not np.isfinite(value):
            value = None
        plain[name] = value if isinstance(value, str | int | float | None) else str(value)
    return plain


def _described(one: OpenCollection) -> dict[str, Any]:
    collection = one.current()
    manifest = collection.manifest
    return {
        "name": one.name,
        "pictures": len(collection),
        "model": manifest.model["name"],
        "pretrained": manifest.model["pretrained"],
        "dim": manifest.dim,
        "columns": collection.columns,
        "finished": manifest.finished,
    }
