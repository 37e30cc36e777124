"""From a request to a search: the query that it asks for, and the tokens of earlier answers."""

import secrets
from collections import OrderedDict
from typing import Any

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection, Query, Results
from lib.search.collection.searching import name_of
from lib.search.service.drawing import decode_upload, read_strokes
from lib.search.service.messages import SearchRequest

QUERIES_KEPT = 10_000  # vectors of earlier queries, for their next pages
EXAMPLES = 12  # pictures on the page before the first query
_WHOLE = ("text", "image", "strokes", "vector", "like", "without")
Space = tuple  # name and encoder of a collection: vectors of another one mean nothing in it


class KeptQueries:
    """Vectors of the latest queries, by token; and the words of those that were ordered again."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[str, tuple[Space, np.ndarray, str]] = OrderedDict()

    def token_of(self, request: SearchRequest, space: Space, query: Query, results: Results) -> str:
        """Return the token of an answer: that of the request, or a new one."""
        if request.query is not None:
            return request.query
        token = secrets.token_urlsafe(12)
        words = "" if request.rerank is None else query.text
        self._vectors[token] = (space, results.vector, words)
        if len(self._vectors) > QUERIES_KEPT:
            self._vectors.popitem(last=False)
        return token

    def get(self, space: Space, token: str) -> tuple[np.ndarray, str]:
        """Return the vector and the words of an earlier query of a collection."""
        kept = self._vectors.get(token)
        if kept is None or kept[0] != space:
            raise RetrievalInputError(
                f"query must be the token of an earlier answer of this collection, got"
                f" {token[:40]!r}; search again"
            )
        return kept[1:]


def space_of(name: str, collection: Collection) -> Space:
    """Return what a vector of a query belongs to."""
    return name, *sorted(collection.manifest.identity.items())


def query_of(
    request: SearchRequest, kept: KeptQueries, space: Space
) -> tuple[Query, dict[str, np.ndarray]]:
    """Return the query of a request, and the vectors of its texts that are known already."""
    if request.image is not None and request.strokes is not None:
        raise RetrievalInputError("give image or strokes, not both")
    image, sketch, vector = None, None, request.vector
    if request.image is not None:
        image = decode_upload(request.image)
    elif request.strokes is not None:
        sketch = read_strokes(request.strokes)
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
            return Query(text=words), {words: vector}
    query = Query(
        text=request.text,
        image=image,
        sketch=sketch,
        vector=vector,
        like=tuple(request.like),
        without=tuple(request.without),
        image_weight=request.image_weight,
    )
    return query, {}


def results_of(
    request: SearchRequest, collection: Collection, query: Query, rows: dict[str, np.ndarray]
) -> Results:
    """Search a collection as a request asks."""
    return collection.search(
        query,
        request.k,
        offset=request.offset,
        where=request.where,
        fold=request.fold,
        rows=rows,
        rerank=request.rerank,
        candidates=request.candidates,
    )


def described(name: str, collection: Collection) -> dict[str, Any]:
    """Describe a collection for its page: size, model, columns, pictures to begin with."""
    manifest = collection.manifest
    return {
        "name": name,
        "pictures": len(collection),
        "model": manifest.model["name"],
        "pretrained": manifest.model["pretrained"],
        "dim": manifest.dim,
        "columns": collection.kinds,
        "second_stages": collection.second_stages,
        "examples": [{"id": i, "name": name_of(collection.item(i))} for i in examples(collection)],
        "finished": manifest.finished,
    }


def examples(collection: Collection, most: int = EXAMPLES) -> list[int]:
    """Return ids of pictures at equal distances."""
    return collection.ids[:: max(1, len(collection) // most)][:most].tolist()
