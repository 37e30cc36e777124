"""Queries, hits and errors, as clients send and get them."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.search.collection import Results
from lib.search.collection.reranking import CANDIDATES, MOST_CANDIDATES
from lib.search.service.guards import MAX_BODY

MOST_TEXT = 4_000  # characters
MOST_HITS = 200  # of one answer
ShortText = Annotated[str, Field(max_length=MOST_TEXT)]
Point = Annotated[
    list[Annotated[float, Field(ge=-1, le=2, allow_inf_nan=False)]],
    Field(min_length=2, max_length=2),
]
Stroke = Annotated[list[Point], Field(fail_fast=True)]


class SearchRequest(BaseModel):
    """A query: at least one of text, image, strokes, vector, like and query.

    `image` is a file in base64. `strokes` are lists of points from 0 to 1, a sketch. `query` is the
    token of an earlier answer: the next pages need no encoding. `rerank`, "maxsim" or
    "cross-encoder", orders the best `candidates` for a text again, in a collection whose
    `second_stages` name it.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    collection: str | None = None
    text: ShortText = ""
    image: Annotated[str, Field(max_length=MAX_BODY)] | None = None
    strokes: Annotated[list[Stroke], Field(fail_fast=True)] | None = None
    vector: Annotated[list[float], Field(max_length=2**15, fail_fast=True)] | None = None
    like: Annotated[list[int], Field(max_length=100)] = []
    without: Annotated[list[ShortText], Field(max_length=20)] = []
    image_weight: float = 0.5
    query: str | None = None
    where: Annotated[str, Field(max_length=2_000)] = ""
    k: Annotated[int, Field(ge=1, le=MOST_HITS)] = 24
    offset: Annotated[int, Field(ge=0)] = 0
    fold: bool = True
    rerank: Annotated[str, Field(max_length=100)] | None = None
    candidates: Annotated[int, Field(ge=1, le=MOST_CANDIDATES)] = CANDIDATES

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_fields(cls, given: Any) -> Any:
        """Stop at the first unknown field: a body can hold very many."""
        unknown = isinstance(given, dict) and next(
            (n for n in given if n not in cls.model_fields), None
        )
        if unknown:
            raise PydanticCustomError("unknown_field", "{name}", {"name": unknown[:100]})
        return given


class ServedHit(BaseModel):
    """One picture found; see `CollectionHit`."""

    rank: int
    id: int
    score: float
    standing: float
    name: str
    columns: dict[str, Any]
    copies: list[int]
    second_score: float | None


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
    second_stage: list[str]


def answer_of(name: str, token: str, results: Results) -> SearchAnswer:
    """Turn results into the answer to a client."""
    hits = [
        ServedHit(
            rank=hit.rank,
            id=hit.id,
            score=hit.score,
            standing=hit.standing,
            name=hit.name,
            columns=plain(hit.columns),
            copies=list(hit.copies),
            second_score=hit.second_score,
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
        second_stage=list(results.second_stage),
    )


def plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as JSON has them: dates and other kinds as texts, no NaN."""
    texts = {}
    for name, value in columns.items():
        if isinstance(value, float) and not np.isfinite(value):
            value = None
        texts[name] = value if isinstance(value, str | int | float | None) else str(value)
    return texts


# ---- errors


def describe_invalid(error: Mapping[str, Any]) -> str:
    """Say in one sentence what pydantic found wrong: field, expectation, value."""
    places = [str(part) for part in error["loc"] if part not in ("body", "query", "path")]
    name = ".".join(places)
    if error["type"] == "json_invalid":
        why = error.get("ctx", {}).get("error", "it cannot be read")
        return f"the body must be JSON: {why}, at character {name or 0}"
    if error["type"] == "unknown_field":
        known = ", ".join(SearchRequest.model_fields)
        return f"{error['msg']!r} is no field of a query; the fields are {known}"
    if error["type"] == "missing":
        return f"{name or 'a body in JSON (content-type: application/json)'} is missing; give it"
    got = repr(error.get("input"))
    got = got if len(got) <= 100 else f"{got[:100]}..."
    name = name or "the body"
    for beginning in ("Input should", "List should", "String should"):
        if error["msg"].startswith(beginning):
            return f"{name} must{error['msg'].removeprefix(beginning)}, got {got}"
    return f"{name}: {error['msg']}, got {got}"


def error_answer(error: Exception) -> tuple[int, str]:
    """Return the status and the sentence of an error, as a client gets them."""
    if isinstance(error, RequestValidationError | ValidationError):
        status, sentence = 422, describe_invalid(error.errors()[0])
    elif isinstance(error, MissingFileError):
        status, sentence = 404, str(error)
    elif isinstance(error, RetrievalInputError | DamagedFileError):
        status, sentence = 400, str(error)
    else:
        why = getattr(error, "strerror", None) or str(error) or "it has no memory left"
        status, sentence = 503, f"the service cannot answer now: {why}. Try again"
    return status, sentence.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair


def answer_errors(app: FastAPI) -> None:
    """Let every error be JSON: `{"error": sentence}`, with a status that fits."""

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(RetrievalInputError)
    @app.exception_handler(DamagedFileError)
    @app.exception_handler(MissingFileError)
    @app.exception_handler(OSError)
    @app.exception_handler(MemoryError)
    async def wrong(request: Request, error: Exception) -> JSONResponse:
        status, sentence = error_answer(error)
        return JSONResponse({"error": sentence}, status)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        paths = sorted({getattr(route, "path", "") for route in app.routes} - {""})
        advice = {
            400: "the body must be JSON, nested less deeply",
            404: f"there is no {request.url.path[:200]!r}; there are {', '.join(paths)}",
            405: f"{request.url.path[:200]!r} does not answer {request.method[:20]!r}",
        }.get(error.status_code, str(error.detail))
        return JSONResponse({"error": advice}, error.status_code, headers=error.headers)
