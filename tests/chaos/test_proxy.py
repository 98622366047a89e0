"""The proxy does to connections what it is told, and nothing when it is told nothing."""

import asyncio
import random
import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.chaos.faults import TARGETS, drawn
from tests.chaos.proxy import Proxy, Trouble


@pytest.fixture
def proxy():
    """
    A proxy before a server that says everything again.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        yield Proxy(lambda: asyncio.open_connection("127.0.0.1", port))


def echo(server):
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def answer(client):
    with client, suppress(OSError):
        while data := client.recv(1000):
            client.sendall(data)


def said(proxy, data=b"hello"):
    """
    What comes back for `data` until the connection ends or pauses.

    A reset shows wherever it is noticed first: in the connect, what is sent or what is read.
    """
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
            client.sendall(data)
            while len(got) < len(data) and (piece := client.recv(1000)):
                got += piece
    except (ConnectionResetError, BrokenPipeError):
        return got, "reset"
    return got, "whole" if got == data else "ended"


class TestProxy:
    def test_passes_on(self, proxy):
        """
        Without trouble every byte comes through, both ways.
        """
        assert said(proxy) == (b"hello", "whole")

    @pytest.mark.parametrize(
        ("trouble", "expected"),
        [
            (Trouble.CUT, (b"", "reset")),
            (Trouble.DEAF, (b"", "reset")),
            (Trouble.SLOW, (b"hello", "whole")),
        ],
    )
    def test_makes_trouble_for_a_while(self, proxy, trouble, expected):
        """
        Each trouble shows as it is described, and is over when it is over.
        """
        proxy.suffer(trouble)
        assert expected == said(proxy)

        proxy.suffer(None)
        assert said(proxy) == (b"hello", "whole")

    @pytest.mark.parametrize(
        ("trouble", "expected"), [(Trouble.STALL, "whole"), (Trouble.BREAK, "reset")]
    )
    def test_holds_back(self, proxy, trouble, expected):
        """
        Held bytes come later, or never.
        """
        proxy.suffer(trouble)
        begin = time.monotonic()
        threading.Timer(0.3, proxy.suffer, [None]).start()

        assert expected == said(proxy)[1]
        assert time.monotonic() - begin > 0.2

    @pytest.mark.parametrize(("trouble", "status"), [(Trouble.BUSY, 503), (Trouble.ILL, 500)])
    def test_answers_in_the_servers_place(self, proxy, trouble, status):
        """
        A request is answered with the status, and does not arrive.
        """
        proxy.suffer(trouble)

        assert said(proxy, b"GET / HTTP/1.1\r\n\r\n" * 9)[0].startswith(b"HTTP/1.1 %d " % status)


class TestFaults:
    def test_follow_from_the_seed(self):
        """
        The same seed draws the same faults, in the order in which they strike.
        """
        one, same, other = (drawn(random.Random(seed), list(TARGETS)) for seed in (3, 3, 4))

        assert one == same
        assert one != other
        assert sorted(one, key=lambda fault: fault.at) == one

    def test_are_of_every_kind(self):
        """
        A few hundred seeds meet every kind at every target.
        """
        met = {
            (fault.kind, fault.target)
            for seed in range(600)
            for fault in drawn(random.Random(seed), list(TARGETS))
        }

        assert {(kind, target) for kind in TARGETS for target in TARGETS[kind]} == met
