"""A session of the explorer: what is chosen, the work under way, and what the page is told.

    session = Session(lambda: dc.load("EfficientNetLite0"), print)
    session.start()                                                # loads the network, shows an example
    session.receive({"do": "address", "address": "https://example.org/cat.jpg"})
    session.receive({"do": "ask", "layer": "block14_add", "positive": "tabby"})
    session.close()

It knows no user interface: messages come in by `receive`, which returns at once, and go out by the function it is given,
from threads of its own. Every choice begins a *turn*; the turn before ends at its next step, and what it still finds is
not sent. A picture is read before its turn begins, so one that cannot be read leaves what is shown as it is.

What was said last of each kind is kept, and a page that is opened again (``"hello"``) is told all of it.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.explorer.answers import Asked, Message, answers, in_words, map_message, wanting
from diamond.explorer.choices import check_network, checked_class, described, first_layer
from diamond.explorer.sources import Picture, Source, examples, from_address, read, thumbnails
from diamond.explorer.sprites import as_spritemap, growing

if TYPE_CHECKING:
    from modelzoo import Network
    from spritemaps import Store

__all__ = ["MOST_BYTES", "Session"]

# Of a file that is uploaded.
MOST_BYTES = 40 * 1024 * 1024
SHOWN_PX = 560
JOIN_S = 8.0


class Session:
    """One network, one picture, one question at a time.

    Parameters
    ----------
    load
        Gives the network; called in a thread.
    send
        Takes each message for the page; called from several threads, never from two at once.
    picture
        What to show at first; an example where None.
    layer, positive, negative
        What to ask at first; the landmark whose map says most where no layer is named.
    store
        Where to look first for sprites.
    paths
        Whether an address may be a path of this machine.
    """

    def __init__(
        self,
        load: Callable[[], Network],
        send: Callable[[Message], None],
        *,
        picture: Any = None,
        layer: str | None = None,
        positive: int | str | None = "top1",
        negative: int | str | None = None,
        store: Store | str | Path | None = None,
        paths: bool = False,
    ) -> None:
        self._load, self._send, self._store, self._paths = load, send, store, paths
        self._first = picture
        self._asked = Asked(layer or "", positive, negative)
        self._net: Network | None = None
        self._picture: Picture | None = None
        self._render = True
        self._ready = threading.Event()
        self._turn = self._reading = 0
        self._pieces: dict[str, list[bytes]] = {}
        self._tiles: dict[tuple[str, int], np.ndarray] = {}
        self._covered: dict[tuple[Any, ...], Message] = {}
        self._told: dict[tuple[Any, ...], Message] = {}
        # One says at a time; one computes at a time.
        self._saying, self._working = threading.RLock(), threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self.failed: Exception | None = None

    def start(self) -> None:
        """Load the network and show the first picture, without waiting for either."""
        self._in_thread(self._open)

    def wait_for_network(self) -> None:
        """Wait until the network is loaded, or `failed` says why it is not."""
        self._ready.wait()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is left to do; say whether that came in time."""
        import time

        end = None if timeout_s is None else time.monotonic() + timeout_s
        while (busy := [thread for thread in self._threads if thread.is_alive()]) and not self._closed:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            busy[0].join(left)
        return True

    def close(self) -> None:
        """End the work under way, and say no more."""
        with self._saying:
            self._closed = True
            self._turn += 1
            self._reading += 1
        self._ready.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)

    def receive(self, message: Message) -> None:
        """Take a message of the page; what is not understood is told, never raised."""
        doing = {
            "hello": self._hello,
            "picture": self._take_piece,
            "address": self._take_address,
            "example": self._take_example,
            "ask": self._ask,
            "sprites": self._switch_sprites,
        }
        try:
            kind = message.get("do") if isinstance(message, dict) else None
            if not isinstance(kind, str) or kind not in doing:
                raise ValueError(f"the page asked for {kind!r}; expected one of {', '.join(doing)}")
            doing[kind](message)
        except Exception as error:
            self._trouble("picture", error)

    # ---- what the page asks for

    def _hello(self, _message: Message) -> None:
        with self._saying:
            for told in list(self._told.values()):
                self._send(told)

    def _take_piece(self, message: Message) -> None:
        """Put the pieces of a file together; a connection carries no whole photo in one message."""
        name, upload = str(message.get("name") or "picture")[:200], str(message.get("upload"))
        at, of = message.get("at"), message.get("of")
        if not isinstance(at, int) or not isinstance(of, int):
            raise ValueError(f"{name} did not arrive whole; try again")
        if at == 0:
            self._pieces = {upload: []}
        pieces = self._pieces.get(upload)
        if pieces is None or len(pieces) != at or at >= of:
            # Of an upload that another one has taken the place of.
            return
        try:
            pieces.append(base64.b64decode(message.get("content", ""), validate=True))
        except (binascii.Error, TypeError, ValueError):
            raise ValueError(f"{name} did not arrive whole; try again") from None
        if sum(map(len, pieces)) > MOST_BYTES:
            self._pieces.clear()
            raise ValueError(f"{name} is larger than {MOST_BYTES // 2**20} MB; make it smaller")
        if at + 1 == of:
            self._pieces.clear()
            self._read(Source(name, b"".join(pieces)))

    def _take_address(self, message: Message) -> None:
        self._read(from_address(str(message.get("address", "")), paths=self._paths))

    def _take_example(self, message: Message) -> None:
        known = examples()
        name = str(message.get("name"))
        if name not in known:
            raise ValueError(f"no example {name!r}; there are {', '.join(known)}")
        self._read(known[name])

    def _ask(self, message: Message) -> None:
        net = self._net
        if net is None or self._picture is None:
            return
        asked = self._asked
        try:
            if "layer" in message:
                asked = replace(asked, layer=net.layers[str(message["layer"])].name)
        except KeyError as error:
            self._trouble("layer", error)
            return
        try:
            if "positive" in message:
                asked = replace(asked, positive=checked_class(net, message["positive"], "positive"))
            if "negative" in message:
                asked = replace(asked, negative=checked_class(net, message["negative"], "negative"))
            if asked.positive is None:
                asked = replace(asked, negative=None)
            if asked.negative is not None and asked.negative == asked.positive:
                raise ValueError("a class cannot be held against itself; choose another one")
        except (KeyError, ValueError) as error:
            self._trouble("class", error)
            return
        self._asked = asked
        self._begin()

    def _switch_sprites(self, message: Message) -> None:
        on = bool(message.get("on"))
        if on != self._render:
            self._render = on
            self._say({"say": "rendering", "on": on})
            if self._picture is not None:
                self._begin()

    # ---- the work

    def _open(self) -> None:
        self._say({"say": "examples", "rows": list(thumbnails())})
        self._say({"say": "status", "words": "Loading the network", "busy": True})
        try:
            net = self._load()
            check_network(net)
            layer = net.layers[self._asked.layer].name if self._asked.layer else first_layer(net)
            checked_class(net, self._asked.positive, "positive")
            checked_class(net, self._asked.negative, "negative")
        except Exception as error:
            self.failed = error
            self._say({"say": "broken", "words": in_words(error)})
            self._ready.set()
            return
        self._net, self._asked = net, replace(self._asked, layer=layer)
        self._say(described(net, self._asked))
        self._ready.set()
        with self._saying:
            chosen = self._reading
        if not chosen:
            first = next(iter(examples().values())) if self._first is None else _given(self._first)
            self._read(first, keep_question=True)

    def _read(self, source: Source, *, keep_question: bool = False) -> None:
        """Read a picture in a thread, then begin its turn; one that is asked for later comes before it."""
        with self._saying:
            self._reading += 1
            reading = self._reading

        def work() -> None:
            self._say({"say": "status", "words": f"Reading {source.name}", "busy": True}, reading=reading)
            self._ready.wait()
            if self._net is None or self._closed:
                return
            try:
                picture = read(self._net, source)
            except Exception as error:
                self._say(_told("picture", error), reading=reading)
                self._say({"say": "status", "words": "The picture was not read", "busy": False}, reading=reading)
                return
            with self._saying:
                if reading != self._reading:
                    return
                self._picture, self._covered = picture, {}
                if not keep_question:
                    self._asked = replace(self._asked, positive="top1", negative=None)
            self._begin(new_picture=True)

        self._in_thread(work)

    def _begin(self, *, new_picture: bool = False) -> None:
        with self._saying:
            self._turn += 1
            turn, picture, asked, covered = self._turn, self._picture, self._asked, self._covered
            for key in [key for key in self._told if key[0] not in _LASTING]:
                del self._told[key]
            assert picture is not None
            if new_picture:
                self._say(_shown(picture))
            self._say({"say": "turn", "number": turn})
        self._in_thread(lambda: self._take_turn(turn, picture, asked, covered))

    def _take_turn(self, turn: int, picture: Picture, asked: Asked, covered: dict[tuple[Any, ...], Message]) -> None:
        net = self._net
        assert net is not None
        channels = seen = None
        try:
            print_ = net.fingerprint(asked.layer)
            own = {channel: tile for (of, channel), tile in self._tiles.items() if of == print_}
            rendered = as_spritemap(net, asked.layer, own)
            found = answers(net, picture, asked, store=self._store, rendered=rendered, covered=covered)
            for message in self._steps(turn, found):
                result = message.pop("found", None)
                channels = result if message["say"] == "channels" else channels
                seen = result if message["say"] == "map" else seen
                busy = {"busy": True} if message["say"] == "status" else {}
                self._say({**message, **busy}, turn=turn)
            missing = wanting(channels, seen)
            if self._render and missing and turn == self._turn:
                self._render_missing(turn, net, asked.layer, missing, seen, print_)
        except Exception as error:
            self._say(_told("channels", error), turn=turn)
        self._say({"say": "status", "words": "Done", "busy": False}, turn=turn)

    def _steps(self, turn: int, messages: Iterator[Message]) -> Iterator[Message]:
        """Go on as long as the turn lasts, in the place of the turn before and not beside it."""
        while True:
            with self._working:
                message = next(messages, None) if turn == self._turn else None
            if message is None:
                return
            yield message

    def _render_missing(
        self, turn: int, net: Network, layer: str, channels: list[int], seen: Any, fingerprint: str
    ) -> None:
        from diamond.show.pages import picture_uri

        of = len(channels)
        words = f"Rendering {of} sprite{'s' * (of != 1)} that no store has"
        self._say({"say": "status", "words": words, "busy": True}, turn=turn)
        # Beside the next turn's work, not in its way: compiling cannot be interrupted.
        for look in growing(net, layer, channels, stop=lambda: turn != self._turn):
            if look.is_final:
                self._tiles |= {(fingerprint, channel): tile for channel, tile in look.tiles.items()}
            tiles = {str(channel): picture_uri(tile) for channel, tile in look.tiles.items()}
            said = {"say": "sprites", "layer": layer, "tiles": tiles, "done": look.done, "of": look.of}
            self._say(said, turn=turn)
        own = {channel: tile for (print_, channel), tile in self._tiles.items() if print_ == fingerprint}
        sprites = as_spritemap(net, layer, own)
        if seen is not None and sprites is not None and turn == self._turn:
            self._say(map_message(replace(seen, sprites=sprites)), turn=turn)

    # ---- saying

    def _say(self, message: Message, *, turn: int | None = None, reading: int | None = None) -> None:
        with self._saying:
            if self._closed or turn not in (None, self._turn) or reading not in (None, self._reading):
                return
            self._told[_key(message)] = message
            self._send(message)

    def _trouble(self, panel: str, error: Exception) -> None:
        self._say(_told(panel, error))

    def _in_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="diamond explorer", daemon=True)
        self._threads = [*(old for old in self._threads if old.is_alive()), thread]
        thread.start()


# What stays when a turn begins.
_LASTING = ("network", "examples", "rendering", "picture")


def _key(message: Message) -> tuple[Any, ...]:
    """Under what a message is kept: the next of its kind takes its place."""
    if message["say"] == "trouble":
        return "trouble", message["panel"]
    if message["say"] == "sprites":
        return "sprites", *sorted(message["tiles"])
    return (message["say"],)


def _told(panel: str, error: Exception) -> Message:
    return {"say": "trouble", "panel": panel, "words": in_words(error)}


def _shown(picture: Picture) -> Message:
    from diamond.show.pages import picture_uri

    height, width = picture.seen.shape[:2]
    uri = picture_uri(picture.photo, most_px=SHOWN_PX)
    return {"say": "picture", "name": picture.name, "uri": uri, "height": height, "width": width}


def _given(first: Any) -> Source:
    name = Path(first).name if isinstance(first, str | Path) else "picture"
    return Source(name, first)
