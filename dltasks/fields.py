"""Fields of a task: values within bounds, and assets that a bundle keeps in files of their own."""

from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Any

from dltasks.task import Task

MAX_LINES = 1_000_000
"""Of a field that is kept as a text file."""


def bounded(default, **limits):
    """A field that a bundle.json may set within limits: see dltasks.hints.beyond."""
    return field(default=default, metadata=limits)


def text_asset(**options):
    """A field of many words, kept as a text file of its name in the bundle, one word per line."""
    return field(metadata={"kept": (".txt", _encode_lines, _decode_lines)}, **options)


def binary_asset(**options):
    """A field of bytes, kept as a file of its name in the bundle."""
    return field(metadata={"kept": (".bin", bytes, bytes)}, repr=False, **options)


def _encode_lines(values: Sequence[str]) -> bytes:
    return "".join(f"{each}\n" for each in values).encode("utf-8")


def _decode_lines(kept: bytes) -> tuple[str, ...]:
    if kept.count(b"\n") > MAX_LINES:
        raise ValueError(f"more than {MAX_LINES:,}")
    return tuple(kept.decode("utf-8").splitlines())


def asset_names(kind: type[Task] | Task) -> dict[str, str]:
    """File names, by field, of what a bundle of this task keeps in files of their own."""
    return {
        each.name: each.name + each.metadata["kept"][0] for each in fields(kind) if "kept" in each.metadata
    }


def save_assets(task: Task) -> dict[str, bytes]:
    """Their contents by file name."""
    names = asset_names(task)
    return {
        names[each.name]: each.metadata["kept"][1](getattr(task, each.name))
        for each in fields(task)
        if each.name in names
    }


def load_assets(kind: type[Task], read: Callable[[str], bytes]) -> dict[str, Any]:
    """The fields that `kept` wrote. read: from a file's name to its content."""
    names = asset_names(kind)
    return {
        each.name: each.metadata["kept"][2](read(names[each.name]))
        for each in fields(kind)
        if each.name in names
    }
