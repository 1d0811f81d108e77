"""A web server on this machine's own address, for tests that read from the web."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass
class Answer:
    """What the server says at one path; `times` answers of status 503 come first."""

    body: bytes = b""
    content_type: str | None = "application/octet-stream"
    status: int = 200
    announced: int | None = None
    location: str | None = None
    wait_s: float = 0.0
    times_busy: int = 0


@dataclass
class Site:
    """A running server: its address, what it answers, and what it was asked as ``(path, user agent)``."""

    address: str
    answers: dict[str, Answer]
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def serving(answers: Mapping[str, Answer]) -> Iterator[Site]:
    """Answer at ``http://127.0.0.1:<free port>/<path>`` for as long as the block lasts."""
    site = Site("", dict(answers))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            site.asked.append((self.path, self.headers.get("User-Agent", "")))
            answer = site.answers.get(self.path)
            if answer is None:
                self.send_error(404)
                return
            if answer.times_busy:
                answer.times_busy -= 1
                self.send_error(503)
                return
            time.sleep(answer.wait_s)
            with contextlib.suppress(ConnectionError):
                self.send_response(answer.status)
                if answer.content_type:
                    self.send_header("Content-Type", answer.content_type)
                if answer.location:
                    self.send_header("Location", answer.location)
                length = len(answer.body) if answer.announced is None else answer.announced
                if length >= 0:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
