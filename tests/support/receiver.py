"""A receiver of webhooks: a real HTTP server on this machine that answers as it is told."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Got:
    """
    A request as it came.
    """

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ReceiverServer:
    """
    Where it is, what came, and how it answers: with a status, a body, headers, and how slowly.
    """

    url: str = ""
    got: list[Got] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)  # The next ones; then 200.
    body: bytes = b"thanks"
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0  # Before each byte of the body.


@contextmanager
def receiver_server(tls: ssl.SSLContext | None = None) -> Iterator[ReceiverServer]:
    """
    A running one; with a certificate it speaks TLS.
    """
    told = ReceiverServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.got.append(Got(self.path, dict(self.headers), body))
            self.send_response(told.statuses.pop(0) if told.statuses else 200)
            self.send_header("Content-Length", str(len(told.body)))
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self._send(told.body)

        def _send(self, body: bytes) -> None:
            try:
                if not told.pause:
                    self.wfile.write(body)
                    return
                for place in range(len(body)):
                    time.sleep(told.pause)
                    self.wfile.write(body[place : place + 1])
            except OSError:
                return  # The sender has had enough.

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    told.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
