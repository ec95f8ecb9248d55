"""A real HTTP server in a thread of the test, that answers as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """What was asked, and what is answered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Answer = plain(200, b"")
        self.ended = threading.Event()
        """Set when the test is over, or when a client has gone while it was answered."""

    @property
    def body(self) -> Any:
        """Of the last request."""
        return self.requests[-1][2]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            server.requests.append((self.path, dict(self.headers), body))
            self.close_connection = True
            try:
                server.answer(self)
                self.wfile.flush()
            except OSError:
                server.ended.set()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        http.block_on_close = True
        server = Server(f"http://127.0.0.1:{http.server_address[1]}/v1")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            http.shutdown()
            thread.join()


def plain(status: int, body: bytes, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def stream(*parts: bytes, kind: str = "text/event-stream", **headers: str) -> Answer:
    """Parts, each in a write of its own, then the end of the connection."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        begin(request, kind, **headers)
        for part in parts:
            request.wfile.write(part)
            request.wfile.flush()

    return answer


def begin(request: BaseHTTPRequestHandler, kind: str = "text/event-stream", **headers: str) -> None:
    request.send_response(200)
    request.send_header("Content-Type", kind)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.flush()


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def said(text: str, finish: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


def finished(reason: str = "stop") -> bytes:
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


DONE = b"data: [DONE]\n\n"
