"""The heads of requests on the wire: each has a size and a time, before anybody is known to have sent it."""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 65_536  # bytes beyond what arrives at once; uvicorn would collect a head without end
HEAD_S = 30.0


class BoundedHeads(HttpToolsProtocol):
    """A connection that is closed when the head of a request grows too long or does not come."""

    _timer: TimerHandle | None = None
    _in_head = False
    _begun_now = False  # with the bytes at hand, of which some may belong to the request before
    _size = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Somebody is there; the first request is due."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; give up on a head that is too long already."""
        self._begun_now = False
        super().data_received(data)
        if self._in_head and not self._begun_now:
            self._size += len(data)
            if self._size > HEAD_LIMIT:
                self._give_up("The head of the request is too long.")
        if self._in_head or self.cycle is None or self.cycle.response_complete:
            self._wait()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._begun_now, self._size = True, True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is complete; the body has a time of its own."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _wait(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_S, self._too_late)

    def _too_late(self) -> None:
        if self._in_head:
            self._give_up("The head of the request did not come in time.")
        else:  # nothing was asked: an answer would be taken for that to the next request
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, because: str) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.send_400_response(because)
