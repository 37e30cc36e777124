"""Host, token, cookie, rate, size and time; and what every answer carries."""

import asyncio
import threading

import pytest

from lib.search.service import counters, guards
from lib.search.service.guards import Guards, Limits
from tests.search.service.conftest import in_a_loop

TOKEN = "a-token-of-many-characters"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8008", "127.0.0.1:80", "[::1]", "[::1]:80"]
)
def test_names_of_this_machine_are_let_in(client, host):
    assert client.get("/collections", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["example.org", "localhost.example.org", "evil:80", "", "127.0.0.1.nip.io:8008", "[::2]:80"],
)
def test_a_page_whose_name_points_here_is_refused(client, host):
    answer = client.get("/collections", headers={"host": host})
    assert answer.status_code == 421 and "--name HOST" in answer.json()["error"]


def test_hosts_that_were_named_are_let_in(serve, folder):
    client = serve(folder, hosts=("pictures.home",))
    assert client.get("/healthz", headers={"host": "pictures.home:8008"}).status_code == 200
    assert client.get("/healthz").status_code == 421


def test_a_token_by_header_address_and_cookie(serve, folder):
    client = serve(folder, token=TOKEN)
    for headers in ({}, {"authorization": "Bearer no"}, {"authorization": f"Bearer {TOKEN}x"}):
        answer = client.get("/collections", headers=headers)
        assert answer.status_code == 401 and "Authorization: Bearer" in answer.json()["error"]
    assert client.get("/healthz").status_code == 200
    given = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/collections", headers=given).status_code == 200
    assert client.get("/page/page.js").status_code == 401
    for wrong in ("/?token=no", "/healthz?token=no", f"/?token={TOKEN}x"):
        assert "set-cookie" not in client.get(wrong).headers
    opened = client.get(f"/?token={TOKEN}")
    cookie = opened.headers["set-cookie"]
    assert opened.status_code == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert client.get("/page/page.js").status_code == 200  # the client keeps the cookie
    client.cookies.set("crossmodal_token", "no")
    assert client.get("/collections").status_code == 401


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("bearer {}", 200),  # the name of a scheme has no case
        ("BEARER {}", 200),
        ("Bearer  {}", 401),
        ("Basic {}", 401),
        ("{}", 401),
        ("Bearer", 401),
    ],
)
def test_the_scheme_of_the_header(serve, folder, given, status):
    client = serve(folder, token="t" * 20)
    answer = client.get("/collections", headers={"authorization": given.format("t" * 20)})
    assert answer.status_code == status


def test_without_a_token_no_cookie_is_set(client):
    assert "set-cookie" not in client.get("/?token=anything;Domain=x").headers


def test_rate(serve, folder, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(guards.time, "monotonic", lambda: now[0])
    client = serve(folder, per_second=0.5)  # bursts of five
    got = [client.get("/healthz") for _ in range(6)]
    assert [answer.status_code for answer in got] == [200] * 5 + [429]
    assert got[-1].headers["retry-after"] == "2" and "0.5 requests a second" in got[-1].text
    now[0] += 2
    assert [client.get("/healthz").status_code for _ in range(2)] == [200, 429]


def test_a_small_rate_still_lets_requests_in(serve, folder, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(guards.time, "monotonic", lambda: now[0])
    client = serve(folder, per_second=0.05)
    got = [client.get("/healthz") for _ in range(2)]
    assert [answer.status_code for answer in got] == [200, 429]
    assert got[1].headers["retry-after"] == "20"
    now[0] += 20
    assert client.get("/healthz").status_code == 200


def test_the_rates_of_many_clients_do_not_grow(monkeypatch):
    monkeypatch.setattr(guards, "CLIENTS", 3)
    guard = Guards(None, Limits(per_second=1), counters.Counters())
    assert all(guard._admit(f"client {n}", 1.0) for n in range(20))
    assert len(guard._rates) == 3


def test_size_told_and_size_found(serve, folder):
    client = serve(folder, max_body=2_000)
    as_json = {"content-type": "application/json"}
    answer = client.post("/search", json={"text": "red", "image": "x" * 3_000})
    assert answer.status_code == 413 and "at most 2,000 bytes" in answer.json()["error"]

    def chunks():  # no content-length
        yield b'{"text": "red", "image": "'
        for _ in range(30):
            yield b"x" * 100

    answer = client.post("/search", content=chunks(), headers=as_json)
    assert answer.status_code == 413 and "at most 2,000 bytes" in answer.json()["error"]
    assert client.post("/search", json={"text": "red"}).status_code == 200


def test_values_are_counted_before_they_are_read(client, monkeypatch):
    monkeypatch.setattr(guards, "MAX_COMMAS", 300)
    assert client.post("/search", json={"strokes": [[[0.5, 0.5]] * 100]}).status_code == 200
    for content in ({"strokes": [[[0.5, 9]] * 200]}, {str(n): 1 for n in range(400)}):
        answer = client.post("/search", json=content)
        assert answer.status_code == 413 and "at most 300 values" in answer.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://localhost:8008"}, 200),
        ({"origin": "http://127.0.0.1"}, 200),
        ({"origin": "https://example.org"}, 403),
        ({"origin": "http://localhost.example.org"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_pages_of_other_sites_do_not_keep_it_busy(client, headers, status):
    answer = client.get("/search?q=red", headers=headers)
    assert answer.status_code == status, answer.text
    assert status == 200 or "a page of another site" in answer.json()["error"]


@pytest.mark.parametrize("length", [100, guards.LARGE_BODY + 1])
def test_a_body_that_does_not_come(length):
    sent = []

    async def read_body(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    async def receive():
        await asyncio.sleep(30)

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", str(length).encode())]
    scope = {"type": "http", "path": "/search", "query_string": b"", "headers": headers}
    guard = Guards(read_body, Limits(timeout_s=0.05), counters.Counters())
    in_a_loop(guard(scope, receive, send))
    assert sent[0]["status"] == 408 and b"did not come within 0.05 seconds" in sent[1]["body"]


def test_time_also_where_a_thread_cannot_be_stopped(serve, folder, encoder):
    goes_on = threading.Event()
    whole = type(encoder)
    encoder.encode_text = lambda texts: goes_on.wait(30) and whole.encode_text(encoder, texts)
    encoder.encode_image = lambda pictures: (
        goes_on.wait(30) and whole.encode_image(encoder, pictures)
    )
    client = serve(folder, timeout_s=0.1)
    for query in ({"text": "red"}, {"strokes": [[[0.5, 0.5]]]}):
        answer = client.post("/search", json=query)
        assert answer.status_code == 503 and "no answer within 0.1 seconds" in answer.text
    goes_on.set()


def test_every_answer_has_the_headers_also_a_refusal(client):
    for answer in (client.get("/"), client.get("/nothing"), client.get("/", headers={"host": "x"})):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_no_websocket_is_opened():
    asked = []

    async def app(scope, receive, send):
        asked.append(scope["type"])

    guard = Guards(app, Limits(), counters.Counters())
    in_a_loop(guard({"type": "websocket"}, None, None))
    assert not asked
