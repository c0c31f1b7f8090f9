"""Keeps what native libraries print of their own accord off the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache


@cache
def _nothing():
    """Never closed: a log handler made while it stands in for standard error keeps it."""
    return open(os.devnull, "w")


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing reaches standard output or standard error inside; exceptions are not touched."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(1), os.dup(2)]
    nothing = _nothing()
    with redirect_stdout(nothing), redirect_stderr(nothing):
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])
