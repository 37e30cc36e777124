"""A process that answers every request at once: the limit of the client that loads services.

It prints its port, and ends when it is terminated.
"""

import asyncio
import re
import sys

LENGTH = re.compile(rb"content-length: (\d+)")


class InstantAnswers(asyncio.Protocol):
    """Read a request, and answer with a body that was made before."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.received = answer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if end and len(body) >= int(LENGTH.search(head)[1]):
            self.received = b""
            self.transport.write(self.answer)


async def serve(body_bytes: int) -> None:
    """Listen on a free port of this machine."""
    body = b"x" * body_bytes
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: InstantAnswers(answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
