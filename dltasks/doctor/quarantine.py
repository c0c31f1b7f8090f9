"""The quarantine of a data set: a folder beside it for what a fix removes, and a list to restore it."""

import json
import shutil
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dltasks.doctor.findings import Finding, Location
from dltasks.errors import DataError
from dltasks.files import atomic_path, hash_bytes, os_errors_as

LIST_FILE = "list.jsonl"
"""File of a quarantine with one JSON object a line for each moved file, the latest last."""

RESOLVE_CONFLICT = "move one of the two away and run --undo again"

DropRows = Callable[[Path, Container[int]], bytes]
"""From a file and the numbers of some of its rows to its content without these rows."""


@dataclass(frozen=True)
class Moved:
    """A file in the quarantine.

    Of a table the whole file is moved, and a copy without `rows` takes its place.

    Attributes:
        original: path relative to the folder of the data.
        quarantined: path relative to the quarantine.
        reason: kind of the finding.
        rows: numbers of the rows removed from a table.
        sha256: of the table without these rows.
    """

    original: str
    quarantined: str
    reason: str
    rows: tuple[int, ...] = ()
    sha256: str | None = None


def quarantine_folder(source: Any) -> Path:
    """The folder of the quarantine of a data set."""
    path = Path(source).resolve()
    return path.with_name(path.name + ".quarantine")


def quarantine(findings: Iterable[Finding], source: Any, drop_rows: DropRows) -> tuple[int, Path]:
    """Move all that is removable out of a data set on disk.

    Gives the number of files and rows moved, and the folder that they are in now. Raises DataError.
    """
    if not Path(source).exists():
        raise DataError(f"{source}: only a folder or a file can be fixed")
    files, tables = _removable(findings)
    root, folder = _data_folder(source), quarantine_folder(source)
    with os_errors_as(DataError, folder):
        for path, reason in files.items():
            _move(path, root, folder, reason)
        for path, (rows, reason) in tables.items():
            _rewrite(path, rows, root, folder, reason, drop_rows)
    return len(files) + sum(len(rows) for rows, _ in tables.values()), folder


def restore(source: Any) -> tuple[int, list[str]]:
    """Move everything in the quarantine of a data set back.

    Gives the number of restored files, and the reasons why others can't be restored; these stay in the
    quarantine. Raises DataError.
    """
    folder = quarantine_folder(source)
    moved_files = _read_list(folder)
    problems: list[str] = []
    remaining: list[Moved] = []
    with os_errors_as(DataError, folder):
        for moved in reversed(moved_files):
            if problem := _restore_file(moved, _data_folder(source), folder):
                problems.append(problem)
                # A file that is gone can't be restored later either.
                if _exists(folder / moved.quarantined):
                    remaining.insert(0, moved)
        _write_list(folder, remaining)
    return len(moved_files) - len(problems), problems


def _read_list(folder: Path) -> list[Moved]:
    path = folder / LIST_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Moved(**json.loads(line)) for line in lines]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file, so there is nothing to put back") from error
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{path}: damaged ({error})") from error


def _removable(
    findings: Iterable[Finding],
) -> tuple[dict[Path, str], dict[Path, tuple[set[int], str]]]:
    """Files to move, and rows to drop by their file; both with the kinds of the findings."""
    files: dict[Path, str] = {}
    tables: dict[Path, tuple[set[int], str]] = {}
    for finding in findings:
        for location in finding.removable:
            _add(location, finding.kind, files, tables)
    return files, tables


def _add(
    location: Location, reason: str, files: dict[Path, str], tables: dict[Path, tuple[set[int], str]]
) -> None:
    if location.row is None:
        files.setdefault(location.path, reason)
        return
    rows, reasons = tables.get(location.path, (set(), ""))
    reasons = reasons if reason in reasons else f"{reasons}, {reason}".lstrip(", ")
    tables[location.path] = (rows | {location.row}, reasons)


def _data_folder(source: Any) -> Path:
    path = Path(source).resolve()
    return path if path.is_dir() else path.parent


def _move(path: Path, root: Path, folder: Path, reason: str) -> None:
    original = _relative_path(path, root)
    target = _unused_path(folder / original)
    # Listed first: an interrupted move can be undone.
    _append(folder, Moved(original, str(target.relative_to(folder)), reason))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)


def _rewrite(path: Path, rows: set[int], root: Path, folder: Path, reason: str, drop_rows: DropRows) -> None:
    """Copy a table to the quarantine, and replace it with one without these rows."""
    original = _relative_path(path, root)
    content = drop_rows(path, rows)
    target = _unused_path(folder / original)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)
    quarantined, sha256 = str(target.relative_to(folder)), hash_bytes(content)
    _append(folder, Moved(original, quarantined, reason, tuple(sorted(rows)), sha256))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _relative_path(path: Path, root: Path) -> str:
    """The path relative to the folder of the data; links are not followed. Raises DataError."""
    absolute = path.parent.resolve() / path.name
    if not absolute.is_relative_to(root):
        raise DataError(f"{path}: lies outside {root}; fix it by hand")
    return str(absolute.relative_to(root))


def _unused_path(path: Path) -> Path:
    """The path, with a number if it exists already."""
    number, unused = 1, path
    while _exists(unused):
        number += 1
        unused = path.with_name(f"{path.name}.{number}")
    return unused


def _append(folder: Path, moved: Moved) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LIST_FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(moved), ensure_ascii=False) + "\n")


def _restore_file(moved: Moved, root: Path, folder: Path) -> str | None:
    """Move a file back; gives the reason if it can't be."""
    original, quarantined = root / moved.original, folder / moved.quarantined
    if not _exists(quarantined):
        return None if original.exists() else f"{quarantined}: missing, so it can't be put back"
    if moved.sha256 is not None and original.exists():
        if hash_bytes(original.read_bytes()) != moved.sha256:
            return f"{original}: changed since; the original is {quarantined}: {RESOLVE_CONFLICT}"
    elif original.exists():
        return (
            f"{original}: another file has this name now; the original is {quarantined}: {RESOLVE_CONFLICT}"
        )
    original.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(quarantined, original)
    return None


def _exists(path: Path) -> bool:
    """Whether a file, or a link that leads nowhere, has this path."""
    return path.exists() or path.is_symlink()


def _write_list(folder: Path, remaining: list[Moved]) -> None:
    """Write the list of what remains; remove the empty folders, and the quarantine if nothing remains."""
    if remaining:
        with atomic_path(folder / LIST_FILE) as temporary:
            lines = "".join(json.dumps(asdict(moved)) + "\n" for moved in remaining)
            temporary.write_text(lines, encoding="utf-8")
        return
    (folder / LIST_FILE).unlink()
    subfolders = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for subfolder in (*subfolders, folder):
        if not any(subfolder.iterdir()):
            subfolder.rmdir()
