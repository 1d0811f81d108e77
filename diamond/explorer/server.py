"""The explorer as a page on one's own machine: what ``diamond explore`` opens.

    server = Server()
    session = Session(lambda: dc.load("EfficientNetLite0"), server.send)
    server.serve(session)                      # until Ctrl-C; the page is at server.address

The page asks by POST and is answered over one stream of server-sent events. Other pages in the same browser can send
requests to this machine too, so the server listens on 127.0.0.1 alone, its address holds a random token, and a request
that was addressed to another name (``Host``) or comes from another page (``Origin``) is refused.
"""

from __future__ import annotations

import hmac
import json
import queue
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from diamond.explorer.answers import Message
from diamond.explorer.session import Session

__all__ = ["MOST_BODY_BYTES", "Server"]

HERE = "127.0.0.1"
# The page sends a photo in pieces, each well below this.
MOST_BODY_BYTES = 2 * 1024 * 1024
BEAT_S = 10.0
FILES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "explorer.js": ("explorer.js", "text/javascript; charset=utf-8"),
    "explorer.css": ("explorer.css", "text/css; charset=utf-8"),
}
# The frames of maps carry their scripts and styles inside, and take this policy over.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Server:
    """A page for one session.

    Parameters
    ----------
    port
        Where to listen; any that is free where 0.

    Attributes
    ----------
    address
        Of the page, token included.

    Raises
    ------
    OSError
        Where the port is taken.
    """

    def __init__(self, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(16)
        self._session: Session | None = None
        self._pages: set[queue.SimpleQueue[str | None]] = set()
        self._lock = threading.Lock()
        try:
            self._http = _Http((HERE, port), self)
        except OSError as error:
            raise OSError(
                f"port {port} of {HERE} cannot be used ({error.strerror}); choose another, or --port 0"
            ) from None
        self.port = self._http.server_address[1]

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HERE}:{self.port}/{self.token}/"

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may be addressed to."""
        return f"{HERE}:{self.port}", f"localhost:{self.port}"

    def send(self, message: Message) -> None:
        """Tell every open page."""
        text = json.dumps(message)
        with self._lock:
            for page in self._pages:
                page.put(text)

    def serve(self, session: Session) -> None:
        """Answer until `stop`, or until interrupted."""
        self._session = session
        try:
            self._http.serve_forever(poll_interval=0.2)
        finally:
            with self._lock:
                for page in self._pages:
                    page.put(None)
            self._http.server_close()

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._http.shutdown()

    def receive(self, message: Message) -> None:
        """Hand a message of the page on."""
        if self._session is not None:
            self._session.receive(message)

    def listen(self) -> queue.SimpleQueue[str | None]:
        """Give what is sent from now on to one more page."""
        page: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with self._lock:
            self._pages.add(page)
        return page

    def leave(self, page: queue.SimpleQueue[str | None]) -> None:
        """Forget a page that was closed."""
        with self._lock:
            self._pages.discard(page)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    # A page that is closed in the middle of an answer is no error of ours.
    block_on_close = False

    def __init__(self, place: tuple[str, int], server: Server) -> None:
        self.explorer = server
        super().__init__(place, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "diamond", ""
    timeout = 30

    def do_GET(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        if asked == "events":
            self._stream()
        elif asked in FILES:
            name, kind = FILES[asked]
            self._answer(HTTPStatus.OK, resources.files("diamond.explorer").joinpath("page", name).read_bytes(), kind)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing of that name here")

    def do_POST(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        length = self.headers.get("Content-Length", "")
        if asked != "send":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing of that name here")
        elif not (length.isascii() and length.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "say how long the message is")
        elif int(length) > MOST_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BODY_BYTES:,} bytes a message")
        else:
            try:
                message = json.loads(self.rfile.read(int(length)))
            except ValueError:
                self._refuse(HTTPStatus.BAD_REQUEST, "the message is no JSON")
                return
            self.server.explorer.receive(message)
            self._answer(HTTPStatus.NO_CONTENT, b"", "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _asked(self) -> str | None:
        """Give the path behind the token; None where the request was answered already."""
        explorer = self.server.explorer
        origin = self.headers.get("Origin")
        token, slash, rest = self.path.split("?")[0].removeprefix("/").partition("/")
        if self.headers.get("Host") not in explorer.names:
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this machine only")
        elif origin is not None and origin not in [f"http://{name}" for name in explorer.names]:
            self._refuse(HTTPStatus.FORBIDDEN, "another page asked")
        elif not hmac.compare_digest(token.encode(), explorer.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "the address holds another token; copy it whole from the terminal")
        elif not slash:
            self.send_response(HTTPStatus.MOVED_PERMANENTLY)
            self.send_header("Location", f"/{explorer.token}/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            return rest
        return None

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        # What was not read of the request would be taken for the next one.
        self.close_connection = True
        self._answer(status, f"{words}\n".encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self._head(status, kind)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")

    def _stream(self) -> None:
        """Send what is said until the page is closed."""
        self.close_connection = True
        # Before the page learns that it is connected: it says hello at once, and must hear the answer.
        page = self.server.explorer.listen()
        try:
            self._head(HTTPStatus.OK, "text/event-stream; charset=utf-8")
            self.end_headers()
            while True:
                try:
                    text = page.get(timeout=BEAT_S)
                except queue.Empty:
                    # Nothing tells of a page that was closed but a write that fails.
                    self.wfile.write(b":\n\n")
                    continue
                if text is None:
                    return
                self.wfile.write(f"data: {text}\n\n".encode())
        except OSError:
            pass
        finally:
            self.server.explorer.leave(page)
