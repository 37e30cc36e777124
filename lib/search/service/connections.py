"""Connections of the service: one that is open and asks nothing is closed after some seconds."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 20  # for the head of a request; the guards limit the time of its body


class ImpatientConnection(H11Protocol):
    """Close a connection that does not send the head of a request in time.

    uvicorn itself waits for ever: some hundred such connections would take all file descriptors.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop()
        super().connection_lost(error)

    def _wait(self) -> None:
        """Start the time where no request is being answered; bytes of a head do not prolong it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(SECONDS, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
