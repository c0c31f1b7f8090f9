"""Keras and TensorFlow: whether they are installed, and imported without what native libraries print."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from importlib.util import find_spec

from dltasks.errors import MissingExtraError


@cache
def _devnull():
    """Never closed: a log handler made while it stands in for standard error keeps it."""
    return open(os.devnull, "w")


@contextmanager
def suppress_native_output() -> Iterator[None]:
    """Nothing reaches standard output or standard error inside; exceptions are not touched."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(1), os.dup(2)]
    nothing = _devnull()
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


def require_extra() -> None:
    """Raises MissingExtraError where the half that trains is not installed."""
    missing = [name for name in ("keras", "tensorflow") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"this needs Keras and TensorFlow ({missing[0]} is not installed): pip install 'dltasks[train]'"
        )


def import_frameworks() -> None:
    """Import Keras and TensorFlow without what they print of themselves."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with suppress_native_output():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
