"""Load a service in a closed loop: each connection sends its next request when it has an answer.

    queries a second = requests / seconds of all,   latency = last byte received - first byte sent

One thread serves all connections and does nothing else, so that it costs little of the processors
that it shares with the service. `client_ceiling` measures what it could do at most.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, takewhile

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_number
from lib.core.paths import ROOT

LONGEST_S = 60.0  # of one answer
HOST = "127.0.0.1"
OK = 200


@dataclass(frozen=True)
class Load:
    """Latencies of a closed loop.

    Args:
        concurrency: requests on their way at one time.
        seconds: of the whole loop.
        latencies: (n,) seconds, in the order in which answers came; those of errors count too.
        errors: answers that are not "200 OK", and broken connections.
        answers: bodies by the number of the request, as far as they were kept.
    """

    concurrency: int
    seconds: float
    latencies: np.ndarray
    errors: int
    answers: Mapping[int, bytes] = field(repr=False, default_factory=dict)

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def row(self) -> dict[str, float]:
        """Return what a table shows: queries a second, and percentiles in milliseconds."""
        row = {"concurrency": self.concurrency, "requests": len(self.latencies)}
        row |= {"per_second": self.per_second}
        for percent in (50, 95, 99):
            row[f"p{percent}_ms"] = 1e3 * percentile(self.latencies, percent)
        return row | {"errors": self.errors}


def percentile(values: Sequence[float] | np.ndarray, percent: float) -> float:
    """Compute the nearest-rank percentile: the smallest value that p percent do not exceed.

        x_(r) of the sorted values,   r = ceil(p n / 100)

    It is one of the values: of fewer than 100 the 99th percentile is the largest.
    """
    check_number(percent, "percent", 0, 100, above=True)
    values = np.sort(np.asarray(values, np.float64))
    if not len(values):
        raise RetrievalInputError("there must be at least one value, got none")
    # In whole numbers where the percent is one: 0.95 * 20 is more than 19 in binary fractions.
    rank = int(np.ceil(np.round(percent * len(values) / 100, 9)))
    return float(values[rank - 1])


# ---- requests


def post(path: str, body: Mapping) -> bytes:
    """Write a request with a JSON body, as it goes over the wire."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


class _Connection:
    """A connection that is kept open, and the answer that arrives on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=LONGEST_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number, self.start, self._received = -1, 0.0, b""

    def send(self, number: int, request: bytes) -> None:
        self.number, self.start, self._received = number, time.perf_counter(), b""
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Return status and body when they are complete; status 0 of a broken connection."""
        try:
            piece = self.socket.recv(1 << 20)
        except OSError:
            piece = b""
        if not piece:
            return 0, b""
        self._received += piece
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return (int(lines[0].split(b" ")[1]), body) if len(body) >= length else None


def closed_loop(
    port: int,
    requests: Sequence[bytes],
    concurrency: int,
    *,
    keep: int = 0,
    while_running: Callable[[], bool] | None = None,
) -> Load:
    """Send requests in order, `concurrency` at a time, and measure each answer.

    Args:
        port: of a service on this machine.
        requests: from `post`.
        concurrency: connections; each sends its next request when it has the answer.
        keep: bodies of that many requests, the first ones, are kept.
        while_running: repeat the requests until this returns False; None sends them once.
    """
    check_count(concurrency, "concurrency")
    if not requests:
        raise RetrievalInputError("there must be at least one request, got none")
    numbers: Iterator[int] = iter(range(len(requests)))
    if while_running is not None:
        numbers = takewhile(lambda _: while_running(), count())
    latencies: list[float] = []
    answers: dict[int, bytes] = {}
    errors = 0
    with selectors.DefaultSelector() as ready:

        def send(connection: _Connection) -> None:
            number = next(numbers, None)
            if number is None:
                ready.unregister(connection.socket)
                connection.socket.close()
            else:
                connection.send(number, requests[number % len(requests)])

        def connect() -> None:
            connection = _Connection(port)
            ready.register(connection.socket, selectors.EVENT_READ, connection)
            send(connection)

        start = time.perf_counter()
        for _ in range(concurrency):
            connect()
        while ready.get_map():
            found = ready.select(LONGEST_S)
            if not found:
                raise TimeoutError(f"no answer within {LONGEST_S:g} seconds")
            for key, _ in found:
                connection = key.data
                answer = connection.receive()
                if answer is None:
                    continue
                latencies.append(time.perf_counter() - connection.start)
                status, body = answer
                errors += status != OK
                if connection.number < keep:
                    answers[connection.number] = body
                if status:
                    send(connection)
                else:
                    ready.unregister(connection.socket)
                    connection.socket.close()
                    connect()
        seconds = time.perf_counter() - start
    return Load(concurrency, seconds, np.array(latencies), errors, answers)


def load_function(function: Callable, inputs: Sequence, concurrency: int) -> Load:
    """Call a function in so many threads; each calls it again when it has returned."""
    check_count(concurrency, "concurrency")

    def timed(value: object) -> float:
        start = time.perf_counter()
        function(value)
        return time.perf_counter() - start

    with ThreadPoolExecutor(concurrency) as pool:
        start = time.perf_counter()
        latencies = list(pool.map(timed, inputs))
        seconds = time.perf_counter() - start
    return Load(concurrency, seconds, np.array(latencies), 0)


# ---- the client's own limit


def client_ceiling(concurrency: int, *, request: int, answer: int, n: int = 5_000) -> Load:
    """Measure the client against a process that answers at once, with bodies of so many bytes."""
    command = [sys.executable, "-m", "lib.studies.serving.instant_answers", str(answer)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            port = int(process.stdout.readline())
            requests = [post("/search", {"text": "x" * request})] * n
            closed_loop(port, requests[: n // 10], concurrency)
            return closed_loop(port, requests, concurrency)
        finally:
            process.terminate()
