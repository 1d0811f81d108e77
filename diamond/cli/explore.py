"""``diamond explore [NAME]``: the explorer as a page on this machine."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diamond.cli.app import app
from diamond.cli.arguments import Name, Store, Weights
from diamond.cli.completion import layers
from diamond.cli.networks import load_network, number_or_word
from diamond.cli.printing import tell

if TYPE_CHECKING:
    from diamond.explorer.server import Server
    from diamond.explorer.session import Session

__all__: list[str] = []

NETWORK = "EfficientNetLite0"
# Time for an open page to hear why there is no network.
LAST_WORDS_S = 0.5


@app.command()
def explore(
    name: Name = NETWORK,
    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="The first picture: a path or an address.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="LAYER",
            help="The first layer; the deepest landmark with a map without.",
            autocompletion=layers,
        ),
    ] = None,
    positive: Annotated[
        str, typer.Option(metavar="CLASS", help="The first class: a label, an index, top1, top2.")
    ] = "top1",
    weights: Weights = "default",
    store: Store = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Where to listen; any free port without.")
    ] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address, and open no browser.")] = False,
) -> None:
    """Choose a picture, a layer and a class in the browser, and see what the network sees.

    The page is for this machine alone, at the address that is printed. Ctrl-C ends it.

    Example: diamond explore EfficientNetLite0
    """
    from diamond.explorer.server import Server
    from diamond.explorer.session import Session

    _check(name, image)
    server = Server(port)
    # The page is there before TensorFlow is.
    session = Session(
        lambda: load_network(name, weights),
        server.send,
        picture=image,
        layer=layer,
        positive=number_or_word(positive),
        store=store,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.echo(server.address)
    tell("Ctrl-C ends it")
    session.start()
    threading.Thread(target=_end_where_it_fails, args=(session, server), daemon=True).start()
    if not no_open:
        threading.Thread(target=_open, args=(server.address,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve(session)
    with contextlib.suppress(KeyboardInterrupt):
        session.close()
    if session.failed is not None:
        raise session.failed
    tell("ended")


def _check(name: str, image: str | None) -> None:
    """Refuse what can be refused before anything is loaded."""
    from modelzoo.persist import is_saved
    from modelzoo.registry import read_model_card
    from modelzoo.weights.model_file import MODEL_SUFFIXES

    if image is not None and "://" not in image and not Path(image).is_file():
        raise FileNotFoundError(f"no picture {image}; give the path of a file, or an address")
    if Path(name).suffix in MODEL_SUFFIXES:
        if not Path(name).is_file():
            raise FileNotFoundError(f"no file {name}; give the path of a .keras or .h5 file, or a name of the zoo")
    elif not is_saved(name):
        card = read_model_card(name)
        if card.input.audio is not None:
            raise ValueError(
                f"{card.name} takes sounds, and the explorer shows pictures; diamond occlude {card.name} SOUND shows "
                "where it listens"
            )


def _end_where_it_fails(session: Session, server: Server) -> None:
    session.wait_for_network()
    if session.failed is not None:
        threading.Event().wait(LAST_WORDS_S)
        server.stop()


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        tell("no browser was found; open the address above in one")
