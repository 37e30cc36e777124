"""The closed loop: percentiles by hand, order, errors, and the limit of the client."""

import asyncio
import threading

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.serving.load import (
    Load,
    client_ceiling,
    closed_loop,
    load_function,
    percentile,
    post,
)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([30, 10, 20, 40], 50, 20),  # rank ceil(2.0) = 2
        ([30, 10, 20, 40], 51, 30),  # rank ceil(2.04) = 3
        ([30, 10, 20, 40], 95, 40),
        ([30, 10, 20, 40], 1, 10),
        ([7], 99, 7),
        (range(1, 101), 99, 99),
        (range(1, 21), 95, 19),  # 0.95 * 20 is 19 and not a little more
        (range(1, 1001), 99, 990),
        (range(1, 11), 100, 10),
    ],
)
def test_percentiles_by_hand(values, percent, expected):
    assert percentile(list(values), percent) == expected


def test_percentiles_are_those_of_numpy():
    values = np.random.default_rng(0).random(357)
    for percent in (0.5, 5, 50, 95, 99, 99.9, 100):
        expected = np.percentile(values, percent, method="inverted_cdf")
        assert percentile(values, percent) == expected


def test_percentiles_that_cannot_be():
    with pytest.raises(RetrievalInputError, match="at least one value"):
        percentile([], 50)
    for percent in (0, 101, float("nan")):
        with pytest.raises(RetrievalInputError, match="percent must be"):
            percentile([1.0], percent)


def test_a_row_by_hand():
    load = Load(2, 2.0, np.array([0.010, 0.030, 0.020, 0.040]), errors=1)
    assert load.per_second == 2.0
    assert load.row() == {
        "concurrency": 2, "requests": 4, "per_second": 2.0,
        "p50_ms": 20.0, "p95_ms": 40.0, "p99_ms": 40.0, "errors": 1,
    }  # fmt: skip


class Server:
    """A server that answers by a function of the body, and counts requests that it has at once."""

    def __init__(self, answer):
        self.answer, self.bodies, self.most, self.now = answer, [], 0, 0
        self.loop, ready = asyncio.new_event_loop(), threading.Event()

        async def begin():
            self.server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        self.loop.create_task(begin())
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        ready.wait(10)

    async def talk(self, reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            self.bodies.append(body)
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.002)
            self.now -= 1
            answer = self.answer(body)
            if answer is None:
                break
            for at in range(0, len(answer), 20):  # in pieces
                writer.write(answer[at : at + 20])
                await writer.drain()
        writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def serving():
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def echo(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def test_each_request_is_sent_once_and_never_more_at_one_time_than_asked(serving):
    server = serving(echo)
    requests = [post("/x", {"n": n}) for n in range(20)]
    load = closed_loop(server.port, requests, 3, keep=5)
    assert sorted(server.bodies) == sorted(b'{"n": %d}' % n for n in range(20))
    assert server.most == 3 and len(load.latencies) == 20 and load.errors == 0
    assert load.answers == {n: b'{"n": %d}' % n for n in range(5)}
    assert load.latencies.min() >= 0.002 and load.latencies.max() <= load.seconds


def test_more_connections_than_requests(serving):
    server = serving(echo)
    load = closed_loop(server.port, [post("/x", {})], 4)
    assert len(server.bodies) == len(load.latencies) == 1


def test_errors_are_counted_and_a_broken_connection_is_opened_again(serving):
    def answer(body):
        if b"1" in body:
            return echo(b"no", b"503 Busy")
        return None if b"2" in body else echo(body)

    server = serving(answer)
    load = closed_loop(server.port, [post("/x", {"n": n}) for n in (0, 1, 2, 3, 2, 3)], 1)
    assert len(server.bodies) == len(load.latencies) == 6 and load.errors == 3


def test_requests_are_repeated_while_something_runs(serving):
    server, left = serving(echo), iter([True] * 9 + [False] * 9)
    requests = [post("/x", {"n": n}) for n in range(4)]
    closed_loop(server.port, requests, 2, while_running=lambda: next(left))
    assert sorted(server.bodies) == sorted(b'{"n": %d}' % (n % 4) for n in range(9))


def test_loops_that_cannot_be():
    with pytest.raises(RetrievalInputError, match="at least one request"):
        closed_loop(1, [], 1)
    with pytest.raises(RetrievalInputError, match="concurrency must be at least 1, got 0"):
        closed_loop(1, [b"x"], 0)


def test_a_function_is_called_for_each_input():
    seen = []
    load = load_function(seen.append, range(10), 3)
    assert sorted(seen) == list(range(10)) and len(load.latencies) == 10 and load.concurrency == 3


def test_the_client_is_measured_against_a_process_that_answers_at_once():
    load = client_ceiling(4, request=3_000, answer=6_000, n=50)
    assert len(load.latencies) == 50 and load.errors == 0
