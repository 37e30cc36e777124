"""Connections that send no head of a request are closed; others are answered."""

import asyncio

import uvicorn
from uvicorn.server import ServerState

from lib.search.service import connections
from lib.search.service.connections import ImpatientConnection
from tests.search.service.conftest import in_a_loop

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def app(scope, receive, send):
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_head_that_does_not_end(monkeypatch):
    monkeypatch.setattr(connections, "SECONDS", 0.2)

    async def talk():
        config = uvicorn.Config(app, http=ImpatientConnection, ws="none", lifespan="off")
        config.load()
        state, loop = ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: ImpatientConnection(config, state, {}, loop), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        answers = []
        for sent in (b"", HEAD, HEAD + b"\r\n" + HEAD):  # the last: a whole one, and a begun one
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            try:
                answers.append(await asyncio.wait_for(reader.read(), 20))
            except ConnectionResetError:
                answers.append(b"")
            writer.close()
        server.close()
        return answers, len(state.connections)

    (nothing, begun, answered), n_open = in_a_loop(talk())
    assert nothing == begun == b"" and n_open == 0
    assert answered.startswith(b"HTTP/1.1 200 OK") and answered.endswith(b"ok")
