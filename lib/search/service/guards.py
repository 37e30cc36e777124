"""Guards before every request: host, token, rate, size, time, and headers of the answer."""

import asyncio
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.search.service.counters import Counters

MAX_BODY = 16 << 20  # bytes of a request
# Commas of a body. A drawing of 50,000 points has 100,000, a picture in base64 one. JSON of 16 MB
# can hold millions of numbers: to read them would take a minute and gigabytes.
MAX_COMMAS = 200_000
LARGE_BODY = 1 << 20  # bytes; no more than LARGE_AT_ONCE such bodies are in memory
LARGE_AT_ONCE = 8
TIMEOUT_S = 30.0
CLIENTS = 10_000  # whose rates are remembered
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_COOKIE = b"crossmodal_token=%s; HttpOnly; SameSite=Strict; Path=/"
OPEN = ("/healthz",)  # without a token
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:;"
    " frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Args:
        token: that requests must bring; None on loopback.
        hosts: names by which a browser may call it. A page elsewhere that lets its own name point
            here is refused by them.
        per_second: requests of one client, None for any number; short bursts may be ten times that,
            and a first request always comes through.
        max_body: bytes of a request.
        timeout_s: seconds until a request is given up.
    """

    token: str | None = None
    hosts: tuple[str, ...] = LOOPBACK
    per_second: float | None = None
    max_body: int = MAX_BODY
    timeout_s: float = TIMEOUT_S


class _TooLarge(Exception):
    """A body that is larger than it may be; the text says how large it may be."""


class Guards:
    """ASGI middleware that refuses what breaks the limits, and counts every request."""

    def __init__(self, app: ASGIApp, limits: Limits, counters: Counters) -> None:
        self.app, self.limits, self.counters = app, limits, counters
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no websockets
        start, status = time.perf_counter(), 500

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                known = {name.lower() for name, _ in message["headers"]}
                extra = ((n.encode(), v.encode()) for n, v in HEADERS.items())
                message["headers"] += [(n, v) for n, v in extra if n not in known]
                if self._opens(_in_address(scope)):  # a page that was opened with its token
                    message["headers"].append((b"set-cookie", _COOKIE % _in_address(scope)))
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, answered)
            else:
                await self._within_limits(scope, receive, answered)
        finally:
            route = scope.get("route")
            name = getattr(route, "path", "other")
            self.counters.count(name, status, time.perf_counter() - start)

    async def _within_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, whole, size, commas, excess = False, False, 0, 0, ""

        async def bounded() -> Message:
            nonlocal whole, size, commas, excess
            message = await receive()
            body = message.get("body", b"")
            size, commas = size + len(body), commas + body.count(b",")
            whole = not message.get("more_body", False)
            if size > self.limits.max_body:
                excess = f"a request may have at most {self.limits.max_body:,} bytes"
            elif commas > MAX_COMMAS:
                excess = f"a request may hold at most {MAX_COMMAS:,} values. Send fewer points"
            if excess:
                raise _TooLarge
            return message

        async def tracked(message: Message) -> None:
            nonlocal started
            if excess and not started:
                raise _TooLarge  # again: what reads bodies has made its own error of the first
            if not started:
                deadline.reschedule(None)  # a large file may take its time
            started = True
            await send(message)

        try:
            async with (
                self._large if _is_large(scope) else nullcontext(),
                asyncio.timeout(self.limits.timeout_s) as deadline,
            ):
                await self.app(scope, bounded, tracked)
        except _TooLarge:
            answer = _refuse(413, excess)
        except TimeoutError:
            seconds = f"within {self.limits.timeout_s:g} seconds; try again"
            no_answer = _refuse(503, f"no answer {seconds}")
            answer = no_answer if whole else _refuse(408, f"the request did not come {seconds}")
        else:
            return
        if not started:
            await answer(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Return the answer to a request that is not let in, or None."""
        headers = _headers(scope)
        host = headers.get("host", b"").decode("latin-1")
        if _name_of(host) not in self.limits.hosts:
            advice = "name the host when it is started: crossmodal serve ... --name HOST"
            return _refuse(421, f"this service does not answer as {host[:100]!r}; {advice}")
        if _is_of_another_page(headers, self.limits.hosts):
            return _refuse(403, "a page of another site may not ask this service")
        client = (scope.get("client") or ("unknown",))[0]
        if self.limits.per_second is not None and not self._admit(client, self.limits.per_second):
            most, wait = self.limits.per_second, math.ceil(1 / self.limits.per_second)
            return _refuse(429, f"at most {most:g} requests a second; try again", wait=str(wait))
        length = headers.get("content-length", b"0")
        if length.isdigit() and int(length) > self.limits.max_body:
            return _refuse(413, f"a request may have at most {self.limits.max_body:,} bytes")
        if self.limits.token is not None and scope["path"] not in OPEN:
            scheme, _, bearer = headers.get("authorization", b"").partition(b" ")
            given = (
                bearer if scheme.lower() == b"bearer" else b"",
                _in_address(scope),
                _cookie(headers.get("cookie", b"")),
            )
            if not any(map(self._opens, given)):
                return _refuse(
                    401,
                    "send the header Authorization: Bearer TOKEN, or open the page with ?token=",
                )
        return None

    def _opens(self, given: bytes) -> bool:
        """Return whether this is the token."""
        token = self.limits.token
        return token is not None and hmac.compare_digest(given, token.encode())

    def _admit(self, client: str, per_second: float) -> bool:
        """Take one drop from the bucket of a client; False if it is empty."""
        now, most = time.monotonic(), max(1.0, 10 * per_second)
        drops, since = self._rates.pop(client, (most, now))
        drops = min(most, drops + (now - since) * per_second)
        admitted = drops >= 1
        self._rates[client] = (drops - admitted, now)
        if len(self._rates) > CLIENTS:
            self._rates.popitem(last=False)
        return admitted


def _headers(scope: Scope) -> dict[str, bytes]:
    return {name.decode("latin-1").lower(): value for name, value in scope["headers"]}


def _name_of(host: str) -> str:
    """Return a host without its port."""
    return (host if host.endswith("]") else host.rpartition(":")[0] or host).lower()


def _is_of_another_page(headers: Mapping[str, bytes], hosts: Collection[str]) -> bool:
    """Return whether a browser asks for a page that did not come from this service.

    Such a page cannot read the answers; it could keep the service busy. A link from it may be
    followed.
    """
    origin = headers.get("origin")
    if origin is not None:
        return _name_of(origin.decode("latin-1").partition("://")[2]) not in hosts
    follows_link = headers.get("sec-fetch-mode") == b"navigate"
    return headers.get("sec-fetch-site") == b"cross-site" and not follows_link


def _is_large(scope: Scope) -> bool:
    """Return whether a body is large, or does not say its length."""
    headers = _headers(scope)
    length = headers.get("content-length", b"0")
    return "transfer-encoding" in headers or (length.isdigit() and int(length) > LARGE_BODY)


def _cookie(header: bytes) -> bytes:
    """Return the token that the page has stored as a cookie."""
    for part in header.split(b";"):
        name, _, value = part.strip().partition(b"=")
        if name == b"crossmodal_token":
            return value
    return b""


def _in_address(scope: Scope) -> bytes:
    """Return the token of an address that ends in ?token=..., as `crossmodal serve` prints it."""
    query = scope["query_string"]
    return query.removeprefix(b"token=") if query.startswith(b"token=") else b""


def _refuse(status: int, why: str, wait: str | None = None) -> JSONResponse:
    headers = {"retry-after": wait} if wait else None
    return JSONResponse({"error": why}, status, headers)
