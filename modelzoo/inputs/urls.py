r"""The bytes behind a web address, or the reason why there are none.

::

        answer = read_url("https://example.org/cat.jpg")
        answer.content_type, answer.content[:2]
        # ('image/jpeg', b'\xff\xd8')

Read by hand, a page that says "sign in first" arrives as a picture that cannot be opened, a server that never answers
stops a notebook for good, a download that broke off looks like a whole one, and an address such as ``file:///etc/passwd``
reads the machine's own files. Only ``http`` and ``https`` are read here, also after a redirection; every wait ends, and
the size is bounded while it is read.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

__all__ = ["Answer", "UrlError", "is_url", "read_url"]

TIMEOUT_S = 20.0
MOST_BYTES = 100 * 1024 * 1024
USER_AGENT = "diamond-cutter (Python urllib; reads single pictures and sounds)"
SCHEMES = ("http", "https")


class UrlError(ValueError):
    """An address that cannot be read, or does not give what was asked for."""


@dataclass(frozen=True)
class Answer:
    """What a server sent: its bytes, and what it says they are (``"image/png"``; empty where it says nothing)."""

    content: bytes
    content_type: str


def is_url(text: str) -> bool:
    """Whether a text is an address with a scheme (of any kind) rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(//|[A-Za-z0-9]+/.*,)", text) is not None


def read_url(url: str, *, timeout_s: float | None = None, most_bytes: int | None = None) -> Answer:
    """Read what lies at a web address.

    Parameters
    ----------
    url
        ``http://`` or ``https://``; blanks and letters outside ASCII are encoded.
    timeout_s
        Longest wait for the server, in seconds, at each step; the whole takes at most ten times as long. `TIMEOUT_S`
        by default.
    most_bytes
        Largest size that is read; `MOST_BYTES` by default.

    Raises
    ------
    UrlError
        Where the scheme is another, the server is not found, does not answer in time, answers with an error, sends
        more than `most_bytes` or less than it announced.
    """
    timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
    most_bytes = MOST_BYTES if most_bytes is None else most_bytes
    scheme = url.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise UrlError(f"{_shown(url)}: cannot read {scheme}: addresses; expected {' or '.join(SCHEMES)}, or a path")
    try:
        request = urllib.request.Request(
            urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]"), headers={"User-Agent": USER_AGENT}
        )
        with _opener().open(request, timeout=timeout_s) as response:
            content = _bounded(response, url, most_bytes, time.monotonic() + 10 * timeout_s)
            return Answer(content, response.headers.get_content_type() if response.headers["Content-Type"] else "")
    except urllib.error.HTTPError as error:
        with error:
            raise UrlError(f"{_shown(url)}: the server answered {error.code} {error.reason}") from None
    except TimeoutError:
        raise UrlError(f"{_shown(url)}: no answer within {timeout_s:g} s") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise UrlError(f"{_shown(url)}: no answer within {timeout_s:g} s") from None
        raise UrlError(f"{_shown(url)}: cannot be reached ({error.reason})") from None
    except UrlError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UrlError(f"{_shown(url)}: cannot be read ({type(error).__name__}: {error})") from None


def _opener() -> urllib.request.OpenerDirector:
    # The default opener also follows redirections to ftp; this one knows nothing but http and https.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _bounded(response: http.client.HTTPResponse, url: str, most_bytes: int, deadline_s: float) -> bytes:
    announced = response.headers.get("Content-Length", "")
    length = int(announced) if announced.isdecimal() else None
    if length is not None and length > most_bytes:
        raise UrlError(f"{_shown(url)}: {length / 1e6:.0f} MB; at most {most_bytes / 1e6:.3g} MB are read from the web")
    content = bytearray()
    while chunk := response.read1(65536):
        content += chunk
        if len(content) > most_bytes:
            raise UrlError(f"{_shown(url)}: over {most_bytes / 1e6:.3g} MB; no more is read from the web")
        if time.monotonic() > deadline_s:
            raise UrlError(f"{_shown(url)}: still sending after ten times the timeout; {len(content):,} bytes came")
    if length is not None and len(content) < length:
        raise UrlError(f"{_shown(url)}: broke off after {len(content):,} of {length:,} bytes; try again")
    return bytes(content)


def _shown(url: str) -> str:
    return url if len(url) <= 200 else f"{url[:197]}..."
