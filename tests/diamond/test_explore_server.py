"""The explorer's server: who may ask, how much, and how a page is told."""

import http.client
import json
import threading

import pytest

from diamond.explorer.server import MOST_BODY_BYTES, Server


class Session:
    def __init__(self):
        self.heard = []

    def receive(self, message):
        self.heard.append(message)


@pytest.fixture(scope="module")
def served():
    server, session = Server(), Session()
    thread = threading.Thread(target=server.serve, args=(session,), daemon=True)
    thread.start()
    yield server, session
    server.stop()
    thread.join(5)
    assert not thread.is_alive()


def asked(server, method, path, *, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers={"Host": f"127.0.0.1:{server.port}", **named})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content.decode(), dict(answer.getheaders())


def test_the_page_and_its_parts_are_there(served):
    server, _ = served
    assert server.address == f"http://127.0.0.1:{server.port}/{server.token}/"
    assert len(server.token) >= 20
    status, content, headers = asked(server, "GET", f"/{server.token}/")
    assert status == 200
    assert "explorer.js" in content
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    for name, kind in (("explorer.js", "text/javascript"), ("explorer.css", "text/css")):
        status, _, headers = asked(server, "GET", f"/{server.token}/{name}")
        assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
    assert asked(server, "GET", f"/{server.token}")[2]["Location"] == f"/{server.token}/"


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/events", "/../etc/passwd", "//"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_the_token_nothing_is_answered(served, method, path):
    server, session = served
    before = len(session.heard)
    status, content, _ = asked(server, method, path, body=b"{}" if method == "POST" else None)
    assert status == 403
    assert server.token not in content
    assert len(session.heard) == before


@pytest.mark.parametrize("path", ["nothing", "../session.py", "%2e%2e/session.py", "page.html/..", "events/x"])
def test_there_are_no_other_files(served, path):
    server, _ = served
    assert asked(server, "GET", f"/{server.token}/{path}")[0] == 404


def test_a_request_that_was_addressed_to_another_name_is_refused(served):
    server, session = served
    before = len(session.heard)
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1"):
        assert asked(server, "GET", f"/{server.token}/", Host=host)[0] == 403
        assert asked(server, "POST", f"/{server.token}/send", body=b"{}", Host=host)[0] == 403
    assert asked(server, "GET", f"/{server.token}/", Host=f"localhost:{server.port}")[0] == 200
    assert len(session.heard) == before


def test_a_request_from_another_page_is_refused(served):
    server, session = served
    before = len(session.heard)
    for origin in ("https://evil.example", "null", f"https://127.0.0.1:{server.port}", "http://127.0.0.1:1"):
        assert asked(server, "POST", f"/{server.token}/send", body=b"{}", Origin=origin)[0] == 403
    assert len(session.heard) == before
    own = f"http://127.0.0.1:{server.port}"
    assert asked(server, "POST", f"/{server.token}/send", body=b'{"do": "hello"}', Origin=own)[0] == 204
    assert session.heard[before:] == [{"do": "hello"}]


def test_what_is_too_long_or_no_message_is_refused(served):
    server, session = served
    before, path = len(session.heard), f"/{server.token}/send"
    assert asked(server, "POST", path, body=b"x" * 10, Content_Length=str(MOST_BODY_BYTES + 1))[0] == 413
    assert asked(server, "POST", path, body=b"no json")[0] == 400
    assert asked(server, "POST", path, body=b"\xff\xfe")[0] == 400
    assert asked(server, "POST", path, body=b"{}", Content_Length="-1")[0] == 411
    assert asked(server, "POST", f"/{server.token}/other", body=b"{}")[0] == 404
    assert len(session.heard) == before


def test_every_open_page_is_told_in_order(served):
    server, _ = served
    pages = []
    for _ in range(2):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", f"/{server.token}/events")
        pages.append((connection, connection.getresponse()))
    assert pages[0][1].getheader("Content-Type") == "text/event-stream; charset=utf-8"
    while len(server._pages) < 2:
        threading.Event().wait(0.01)
    server.send({"say": "status", "words": "a\nb \u2028 \u00e9"})
    server.send({"say": "map"})
    for connection, answer in pages:
        lines = [answer.readline().decode() for _ in range(4)]
        assert [json.loads(line[6:]) for line in lines if line.startswith("data: ")] == [
            {"say": "status", "words": "a\nb \u2028 \u00e9"},
            {"say": "map"},
        ]
        connection.close()


def test_it_listens_on_this_machine_alone(served):
    server, _ = served
    assert server._http.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_told(served):
    server, _ = served
    with pytest.raises(OSError, match=f"port {server.port} of 127.0.0.1 cannot be used"):
        Server(server.port)
