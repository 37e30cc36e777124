"""Random requests: none fails inside, and none leaves anything behind."""

import gc
import json
import random
import tracemalloc
from urllib.parse import quote

import pytest

from tests.search.service.conftest import upload

ODD = (
    "", " ", "red", "blue green", "\x00", "\u202e", "e\u0301" * 50, "🌈", "x" * 5000, "'", '"',
    "\\", None, True, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, -(10**400), 0.5, -0.0, 1e308, 1e-320,
    float("nan"), float("inf"), [], [[]], [[[]]], {}, {"a": 1}, [None], ["red", 3], [0.1] * 4,
    [1, 2], [[[0.5, 0.5]]], [[[0, 1], [1, 0]]], [[[2, 2]]], [[[1e9, 1]]], "../../etc/passwd",
    "data:,", "data:image/png;base64,", "AAAA", upload(), upload(kind="GIF"), upload()[:40],
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "year == 2020", "not year",
    "contains(caption, 1)", "year in [1, 'x']", "caption in []", "1 == 1", "year == -9e999",
    "path == path", "bought > 1", "f(x)", "lambda: 0", "year if year else year", "year.x == 1",
    "contains()", "year < caption", "a" * 300, "[" * 150, "not " * 450, "- " * 900 + "1 == year",
    "year == 0x" + "f" * 900, "b'x' == path", "path == '\\ud800'", "1j == year", "... == year",
)  # fmt: skip
FIELDS = (
    "collection", "text", "image", "strokes", "vector", "like", "without", "image_weight", "query",
    "where", "k", "offset", "fold", "rerank", "candidates", "other",
)  # fmt: skip
PLACES = (
    "/item/{}/{}", "/thumbnail/{}/{}", "/original/{}/{}", "/originals/{}?ids={}", "/page/{}/{}",
    "/search?q={}&k={}", "/suggest?prefix={}&collection={}", "/{}{}", "/metrics?{}={}",
)  # fmt: skip


def ask(client, chance: random.Random):
    """Send one random request."""
    kind = chance.random()
    if kind < 0.7:
        query = {"text": "red"} if chance.random() < 0.5 else {}
        for name in chance.sample(FIELDS, chance.randint(1, 3)):
            query[name] = chance.choice(ODD)
        return client.post("/search", content=as_json(query), headers=JSON)
    if kind < 0.8:
        content = bytearray(as_json({"text": chance.choice(ODD), "k": 3}))
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        return client.post("/search", content=bytes(content), headers=JSON)
    parts = [quoted(chance.choice(("mine", 0, 3, *ODD))) for _ in range(2)]
    return client.request(
        chance.choice(("GET", "GET", "POST", "PUT", "HEAD")), chance.choice(PLACES).format(*parts)
    )


JSON = {"content-type": "application/json"}


def as_json(query) -> bytes:
    return json.dumps(query).encode()


def quoted(value) -> str:
    return quote(str(value)[:2000], safe="")


def check_answers(client, seed: int, n: int) -> set[int]:
    chance, statuses = random.Random(seed), set()
    for number in range(n):
        answer = ask(client, chance)
        request = answer.request
        assert answer.status_code < 500, (
            seed,
            number,
            request.url,
            request.content[:500],
            answer.text,
        )
        if answer.status_code >= 400 and request.method != "HEAD":
            assert answer.json()["error"], request.url
        assert b"root:" not in answer.content and b"Traceback" not in answer.content
        statuses.add(answer.status_code)
    return statuses


def test_random_requests(client):
    assert {200, 400, 404, 405, 422} <= check_answers(client, 0, 300)


@pytest.mark.slow
def test_ten_thousand_random_requests_leave_no_memory(client):
    check_answers(client, 1, 1_000)
    tracemalloc.start()
    try:
        check_answers(client, 2, 2_000)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        check_answers(client, 3, 7_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4 << 20, f"{grown:,} bytes"  # vectors of the latest queries, at most 10,000
