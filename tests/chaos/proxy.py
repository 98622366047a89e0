"""What stands between our processes and a server: passes bytes on, until it is told to do worse.

Knows of HTTP only that a request gets an answer; of Redis nothing.
"""

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from socket import SO_LINGER, SOL_SOCKET

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Open = Callable[[], Awaitable[Streams]]

_CHUNK = 1 << 16
_SLOW_SECONDS = 0.1


class Trouble(StrEnum):
    """
    What can be wrong with the way to a server.
    """

    CUT = "cut"  # Connections are reset, new ones too.
    STALL = "stall"  # Nothing passes, but it comes later.
    BREAK = "break"  # Nothing passes, and then connections are reset.
    SLOW = "slow"  # Every piece is late.
    DEAF = "deaf"  # Requests arrive, answers are lost.
    HALF = "half"  # Answers end in the middle.
    BUSY = "busy"  # HTTP: 503 in place of an answer.
    ILL = "ill"  # HTTP: 500 in place of an answer.


_ANSWERS = {Trouble.BUSY: b"503 Slow Down", Trouble.ILL: b"500 Internal Server Error"}


def _reset(writer: asyncio.StreamWriter) -> None:
    """
    End a connection as a router does that has forgotten it: without a word of goodbye.
    """
    at_once = struct.pack("ii", 1, 0)
    with suppress(OSError):  # It has ended, or is a unix socket.
        socket = writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, at_once)
    writer.transport.abort()


class Proxy:
    """
    One listening port before one server. Runs in a thread of its own.
    """

    def __init__(self, open_server: Open) -> None:
        self._open_server = open_server
        self._loop = asyncio.new_event_loop()
        self._trouble: Trouble | None = None
        self._calm = asyncio.Event()
        self._calm.set()
        self._writers: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.port: int = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def suffer(self, trouble: Trouble | None) -> None:
        """
        Begin a trouble; none ends it.
        """
        self._loop.call_soon_threadsafe(self._change, trouble)

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    def _change(self, trouble: Trouble | None) -> None:
        before, self._trouble = self._trouble, trouble
        if trouble is Trouble.CUT or before is Trouble.BREAK:
            for writer in list(self._writers):
                _reset(writer)
        if trouble in (Trouble.STALL, Trouble.BREAK):
            self._calm.clear()
        else:
            self._calm.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._trouble is Trouble.CUT:
            _reset(writer)
            return
        try:
            server = await self._open_server()
        except OSError:
            _reset(writer)
            return
        await _Connection(self, (reader, writer), server).run()

    async def passage(self) -> None:
        """
        Wait as long as the next bytes have to.
        """
        if self._trouble is Trouble.SLOW:
            await asyncio.sleep(_SLOW_SECONDS)
        await self._calm.wait()

    @property
    def trouble(self) -> Trouble | None:
        """
        What is wrong now.
        """
        return self._trouble

    def holds(self, *writers: asyncio.StreamWriter) -> None:
        """
        Note the ends of a connection, which may have to be cut.
        """
        self._writers.update(writers)

    def lets_go(self, *writers: asyncio.StreamWriter) -> None:
        """
        They have ended.
        """
        self._writers.difference_update(writers)


class _Connection:
    """
    One client and the server, until either ends.
    """

    def __init__(self, proxy: Proxy, client: Streams, server: Streams) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._is_asked = False

    async def run(self) -> None:
        writers = self._client[1], self._server[1]
        self._proxy.holds(*writers)
        tasks = [asyncio.ensure_future(self._up()), asyncio.ensure_future(self._down())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for writer in writers:
                writer.close()
            self._proxy.lets_go(*writers)

    async def _up(self) -> None:
        """
        Pass on what the client says; answer in the server's place where it is ill.
        """
        with suppress(OSError):
            while data := await self._client[0].read(_CHUNK):
                await self._proxy.passage()
                answer = _ANSWERS.get(self._proxy.trouble) if self._proxy.trouble else None
                if answer and not self._is_asked:
                    self._client[1].write(
                        b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % answer
                    )
                    await self._client[1].drain()
                    return
                self._is_asked = True
                self._server[1].write(data)
                await self._server[1].drain()

    async def _down(self) -> None:
        """
        Pass on what the server says; some of it, or nothing, where that is the trouble.
        """
        with suppress(OSError):
            while data := await self._server[0].read(_CHUNK):
                await self._proxy.passage()
                if self._proxy.trouble in (Trouble.DEAF, Trouble.HALF):
                    if self._proxy.trouble is Trouble.HALF:
                        self._client[1].write(data[: len(data) // 2])
                        await self._client[1].drain()
                    _reset(self._client[1])
                    return
                self._is_asked = False
                self._client[1].write(data)
                await self._client[1].drain()
