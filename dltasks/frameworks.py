"""Keras, TensorFlow and KerasHub: whether they are installed, and their import without startup messages."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from importlib.util import find_spec
from typing import Any, TextIO

from dltasks.errors import MissingExtraError


@cache
def _devnull() -> TextIO:
    """Never closed: a log handler created while it replaces standard error holds on to it."""
    return open(os.devnull, "w")


@contextmanager
def suppress_native_output() -> Iterator[None]:
    """Discard everything written to standard output and standard error, also by native code."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    stdout, stderr = os.dup(1), os.dup(2)
    devnull = _devnull()
    with redirect_stdout(devnull), redirect_stderr(devnull):
        os.dup2(devnull.fileno(), 1)
        os.dup2(devnull.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            os.close(stdout)
            os.close(stderr)


def require_extra() -> None:
    """Raise MissingExtraError if the train extra is not installed."""
    missing = [name for name in ("keras", "tensorflow") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"this needs Keras and TensorFlow ({missing[0]} is not installed): pip install 'dltasks[train]'"
        )


def import_frameworks() -> None:
    """Import Keras and TensorFlow without their startup messages."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with suppress_native_output():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def import_keras_hub() -> Any:
    """The module of KerasHub, imported without startup messages. Raises MissingExtraError."""
    if find_spec("keras_hub") is None:
        raise MissingExtraError(
            "this needs KerasHub (keras_hub is not installed): pip install 'dltasks[kerashub]'"
        )
    with suppress_native_output():
        import keras_hub
    return keras_hub
