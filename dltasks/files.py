"""Files: written completely or not at all, and read with limits on their size and location."""

import hashlib
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
from typing import Any, BinaryIO

from dltasks.errors import DataError, ModelError

MAX_BYTES = 2 << 30
"""Maximum size of a file of a bundle, that of a FlatBuffer."""

MAX_MEMBERS = 1000
"""Maximum number of files in a zip."""

TEMPORARY_SUFFIX = ".dltasks"
"""Suffix of the names of temporary folders."""

STALE_SECONDS = 24 * 3600
"""Age in seconds of a temporary folder from which on its process is taken to have been killed."""


def hash_bytes(content: bytes) -> str:
    """The sha256 of the content, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; it replaces `path` once it is complete and on disk."""
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


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON; an old file stays intact until the new one is complete."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def read_file(path: Path, max_bytes: int | None = None) -> bytes:
    """The content of a user's file or pipe. Raises DataError, also for more than `max_bytes`."""
    try:
        with open(path, "rb") as file:
            if is_device(file):
                raise DataError(f"{path}: a device; expected a file")
            content = file.read(-1 if max_bytes is None else max_bytes + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    if max_bytes is not None and len(content) > max_bytes:
        raise DataError(f"{path}: more than {max_bytes / 1e6:,.0f} MB; split it into several files")
    return content


def match_pattern(pattern: str) -> list[Path]:
    """The paths that match a shell pattern, sorted."""
    import glob

    return sorted(map(Path, glob.glob(pattern)))  # noqa: PTH207  # Path.glob takes no absolute pattern


def is_device(file: BinaryIO) -> bool:
    """Whether an open file is a device, which may never end."""
    mode = os.fstat(file.fileno()).st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def read_inside(folder: Path, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file directly inside a folder.

    Raises ModelError if the name is a path, the file is a link out of the folder, not a plain file or too
    large; OSError if it can't be read.
    """
    path = folder / name
    if not is_plain_name(name):
        raise ModelError(f"{folder}: {name!r:.80} is not the name of a file in it")
    if Path(os.path.realpath(path)).parent != Path(os.path.realpath(folder)):
        raise ModelError(
            f"{path} is a link that leads out of the bundle; copy the bundle with the linked files"
        )
    return read_limited(path, max_bytes)


def is_plain_name(name: str) -> bool:
    """Whether a name is a file name, not a path."""
    return name == Path(name).name and name not in ("", ".", "..") and not set("\0\\") & set(name)


def read_limited(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a plain file.

    Raises ModelError if it is not a plain file or too large, OSError if it can't be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path}: not a file")
    if status.st_size > max_bytes:
        raise ModelError(f"{path}: {status.st_size:,} bytes; at most {max_bytes:,} are read")
    return path.read_bytes()


def check_unzipped_size(archive: zipfile.ZipFile, max_bytes: int) -> None:
    """Raise BadZipFile if an archive declares more unzipped bytes; zipfile never unzips more."""
    size = sum(member.file_size for member in archive.infolist())
    if size > max_bytes:
        raise zipfile.BadZipFile(f"its files unpack to {size:,} bytes; at most {max_bytes:,} are read")


def unzip(content: bytes, max_bytes: int) -> dict[str, bytes]:
    """The files of a zip, by name; nothing is written to disk.

    Raises BadZipFile if the zip is damaged or its files unzip to more than `max_bytes`.
    """
    import lzma

    # Every entry costs time and memory before zipfile lets them be counted.
    if content.count(b"PK\1\2") > MAX_MEMBERS:
        raise zipfile.BadZipFile(f"more than {MAX_MEMBERS} files")
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            check_unzipped_size(archive, max_bytes)
            return {name: archive.read(name) for name in archive.namelist()}
    except (zlib.error, lzma.LZMAError, RuntimeError, EOFError, OSError, ValueError, IndexError) as error:
        raise zipfile.BadZipFile(str(error) or type(error).__name__) from error


@contextmanager
def os_errors_as(error: type[Exception], subject: Any) -> Iterator[None]:
    """Convert OSError (disk full, no permission) to another error, whose message names `subject`."""
    try:
        yield
    except OSError as failure:
        raise error(f"{subject}: {failure.strerror or failure}") from failure


def check_writable(path: Path, error: type[Exception], option: str = "--out") -> None:
    """Raise `error` if nothing can be written next to `path`; missing parents are created.

    option: The command-line option that names `path`, for the message.
    """
    try:
        with _temporary_folder(path):
            pass
    except OSError as failure:
        reason = f"{path.absolute().parent}: {failure.strerror or failure}"
        raise error(f"{path}: can't be written ({reason}); choose another {option}") from failure


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder next to `path`; it replaces `path` if the block succeeds."""
    with _temporary_folder(path) as workspace, atomic_folder_in(workspace, path) as folder:
        yield folder


@contextmanager
def atomic_folder_in(workspace: Path, path: Path) -> Iterator[Path]:
    """A folder inside `workspace`; it replaces `path` if the block succeeds.

    If the process is killed meanwhile, `recover` restores either the old or the new folder, intact.
    """
    recover(workspace, path)
    new = workspace / "new"
    new.mkdir()
    try:
        yield new
        if not (path.exists() and _exchange(new, path)):
            if path.exists():
                path.replace(workspace / "old")
            new.replace(path)
    finally:
        recover(workspace, path)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step, as Linux and most of its file systems can; whether that succeeded."""
    import ctypes

    current_folder, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(current_folder, os.fsencode(first), current_folder, os.fsencode(second), exchange) == 0


def recover(workspace: Path, path: Path) -> None:
    """Restore the old `path` from `workspace` if the new one never replaced it, and clear the workspace."""
    old = workspace / "old"
    if old.exists() and not path.exists():
        old.replace(path)
    for folder in (old, workspace / "new"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`; it replaces `path` if the block succeeds."""
    with _temporary_folder(path) as workspace:
        temporary = workspace / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """A temporary folder next to `path`; stale ones are removed."""
    import glob
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in path.parent.glob(f".{glob.escape(path.name)}.*{TEMPORARY_SUFFIX}"):
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                recover(folder, path)
                shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        TEMPORARY_SUFFIX, f".{path.name}.", path.parent, ignore_cleanup_errors=True
    ) as workspace:
        yield Path(workspace)
