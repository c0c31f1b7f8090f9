"""Files written whole or not at all, and read with distrust: nothing without end, nothing out of its folder."""

import json
import os
import shutil
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from dltasks.errors import DataError, ModelError

MAX_BYTES = 2 << 30
"""Of a file of a bundle; a FlatBuffer ends there."""

MAX_MEMBERS = 1000
"""Files in a zip."""

TEMPORARY_SUFFIX = ".dltasks"
"""How the names of our temporary folders end."""

STALE_SECONDS = 24 * 3600
"""Seconds after which a temporary folder is taken for one that a killed process left."""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
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
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def read_file(path: Path, most: int | None = None) -> bytes:
    """What stands in a file that a person named, or in a pipe. most: bytes that are taken at most. Raises DataError."""
    try:
        with open(path, "rb") as file:
            if is_device(file):
                raise DataError(f"{path}: a device; wanted a file")
            found = file.read(-1 if most is None else most + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    if most is not None and len(found) > most:
        raise DataError(f"{path}: more than {most / 1e6:,.0f} MB; cut it into parts")
    return found


def is_device(file) -> bool:
    """Whether an open file is a device, which need not end."""
    mode = os.fstat(file.fileno()).st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def read_inside(folder: Path, name: str, most: int = MAX_BYTES) -> bytes:
    """The content of a file that stands in a folder.

    Raises ModelError for a name that is a way elsewhere, and for what is no file, lies elsewhere (a link) or is too large;
    OSError where it can't be read.
    """
    path = folder / name
    if not is_plain_name(name):
        raise ModelError(f"{folder}: {name!r:.80} is not the name of a file in it")
    if os.path.dirname(os.path.realpath(path)) != os.path.realpath(folder):
        raise ModelError(
            f"{path} is a link that leads out of the bundle; copy the bundle with what it links to"
        )
    return read_limited(path, most)


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file, and not a way to one."""
    return name == Path(name).name and name not in ("", ".", "..") and not set("\0\\") & set(name)


def read_limited(path: Path, most: int = MAX_BYTES) -> bytes:
    """The content of a plain file. Raises ModelError for what is none or too large, OSError where it can't be read."""
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        raise ModelError(f"{path}: not a file")
    if state.st_size > most:
        raise ModelError(f"{path}: {state.st_size:,} bytes; at most {most:,} are read")
    return path.read_bytes()


def check_unzipped_size(archive: zipfile.ZipFile, most: int) -> None:
    """Raises BadZipFile for an archive that says it unpacks to more bytes; no more than it says is unpacked."""
    size = sum(each.file_size for each in archive.infolist())
    if size > most:
        raise zipfile.BadZipFile(f"they unpack to {size:,} bytes; at most {most:,} are read")


def unzip(content: bytes, most: int) -> dict[str, bytes]:
    """The files of a zip, by name; they are never written anywhere.

    most: bytes that they may unpack to. Raises BadZipFile for what is damaged or more.
    """
    import lzma

    # Each name costs time and memory before any can be counted.
    if content.count(b"PK\1\2") > MAX_MEMBERS:
        raise zipfile.BadZipFile(f"more than {MAX_MEMBERS} files")
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            check_unzipped_size(archive, most)
            return {each: archive.read(each) for each in archive.namelist()}
    except (zlib.error, lzma.LZMAError, RuntimeError, EOFError, OSError, ValueError, IndexError) as error:
        raise zipfile.BadZipFile(str(error) or type(error).__name__) from error


@contextmanager
def os_errors_as(error: type[Exception], what) -> Iterator[None]:
    """Failures of the disk (full, no permission) as one of our errors that names `what`."""
    try:
        yield
    except OSError as failure:
        raise error(f"{what}: {failure.strerror or failure}") from failure


def check_writable(path: Path, error: type[Exception], option: str = "--out") -> None:
    """Raises this error where nothing can be written beside `path`, that the option names; the folder around it is made."""
    try:
        with _temporary_folder(path):
            pass
    except OSError as failure:
        why = f"{path.absolute().parent}: {failure.strerror or failure}"
        raise error(f"{path}: can't be written ({why}); choose another {option}") from failure


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place if the block succeeds."""
    with _temporary_folder(path) as place, atomic_folder_in(place, path) as folder:
        yield folder


@contextmanager
def atomic_folder_in(place: Path, path: Path) -> Iterator[Path]:
    """A folder in `place` that takes that of `path` if the block succeeds.

    Of a process that is killed meanwhile `recover` leaves the old one or the new one, whole.
    """
    recover(place, path)
    new = place / "new"
    new.mkdir()
    try:
        yield new
        if not (path.exists() and _exchange(new, path)):
            if path.exists():
                path.replace(place / "old")
            new.replace(path)
    finally:
        recover(place, path)


def _exchange(one: Path, other: Path) -> bool:
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
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block succeeds."""
    with _temporary_folder(path) as place:
        temporary = place / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; those that killed processes left there are cleared away."""
    import glob
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    for each in path.parent.glob(f".{glob.escape(path.name)}.*{TEMPORARY_SUFFIX}"):
        with suppress(FileNotFoundError):
            if time.time() - each.stat().st_mtime > STALE_SECONDS:
                recover(each, path)
                shutil.rmtree(each, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        TEMPORARY_SUFFIX, f".{path.name}.", path.parent, ignore_cleanup_errors=True
    ) as place:
        yield Path(place)
