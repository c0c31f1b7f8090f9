"""Files written whole or not at all."""

import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dltasks.errors import DataError

TEMPORARY = ".dltasks"
"""How the names of our temporary folders end."""

LEFT = 24 * 3600
"""Seconds after which a temporary folder is taken for one that a killed process left."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` once all of it is on the disk."""
    temporary = path.with_name(path.name + ".new")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value) -> None:
    """`value` as JSON; the old file stays whole until the new one is."""
    with replacing(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def content(path: Path) -> bytes:
    """What stands in a file that a person named. Raises DataError."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error


@contextmanager
def damage_as(error: type[Exception], what) -> Iterator[None]:
    """Failures of the disk (full, no permission) as one of our errors that names `what`."""
    try:
        yield
    except OSError as failure:
        raise error(f"{what}: {failure.strerror or failure}") from failure


def check_place(path: Path, error: type[Exception]) -> None:
    """Raises this error where nothing can be written beside `path`; the folder around it is made."""
    try:
        with _beside(path):
            pass
    except OSError as failure:
        why = f"{path.absolute().parent}: {failure.strerror or failure}"
        raise error(f"{path}: can't be written ({why}); choose another --out") from failure


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place if the block succeeds."""
    with _beside(path) as place, new_folder_in(place, path) as folder:
        yield folder


@contextmanager
def new_folder_in(place: Path, path: Path) -> Iterator[Path]:
    """A folder in `place` that takes that of `path` if the block succeeds.

    Of a process that is killed meanwhile `recover` leaves the old one or the new one, whole.
    """
    recover(place, path)
    new = place / "new"
    new.mkdir()
    try:
        yield new
        if not (path.exists() and _exchanged(new, path)):
            if path.exists():
                path.replace(place / "old")
            new.replace(path)
    finally:
        recover(place, path)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the two took each other's place, in one step, as Linux and most of its file systems can."""
    import ctypes

    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def recover(place: Path, path: Path) -> None:
    """Put back what stood at `path` and went to `place` for a new one that never came, and remove the rest."""
    old = place / "old"
    if old.exists() and not path.exists():
        old.replace(path)
    for each in (old, place / "new"):
        shutil.rmtree(each, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block succeeds."""
    with _beside(path) as place:
        temporary = place / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; those that killed processes left there are cleared away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for each in path.parent.glob(f".{glob.escape(path.name)}.*{TEMPORARY}"):
        with suppress(FileNotFoundError):
            if time.time() - each.stat().st_mtime > LEFT:
                recover(each, path)
                shutil.rmtree(each, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        TEMPORARY, f".{path.name}.", path.parent, ignore_cleanup_errors=True
    ) as place:
        yield Path(place)
