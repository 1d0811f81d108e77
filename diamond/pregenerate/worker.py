"""A process that renders what another one asks of it: ``python -m diamond.pregenerate.worker NETWORK``.

It reads pickles of (job spec, task) from its standard input, and writes pickles of what it made, or a string that says
what failed, to its standard output. It ends when its input does, so that it outlives no parent for longer than a batch.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path

__all__ = ["main"]


def main(path: Path) -> None:
    """Answer until the input ends."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints would be taken for an answer.
    os.dup2(2, 1)
    from diamond.pregenerate.portable import unpack_network
    from diamond.pregenerate.sprites import Make, sprite_maker
    from spritemaps import JobSpec

    net = unpack_network(path.read_bytes())
    current: dict[bytes, Make] = {}
    while True:
        try:
            content, task = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: object
        try:
            if content not in current:
                current.clear()
                current[content] = sprite_maker(net, JobSpec.from_bytes(content))
            answer = tuple(current[content](task.channels, task.attempt))
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
