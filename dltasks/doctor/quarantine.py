"""What a fix takes out of a data set: moved to a folder beside it, with a list that brings it back; never deleted."""

import hashlib
import json
import shutil
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from dltasks.doctor.findings import Finding, Location
from dltasks.errors import DataError
from dltasks.files import atomic_path, os_errors_as

LIST = "list.jsonl"
"""One object a line for what was moved, the last moved last."""


CURE = "move one of the two away and undo again"


@dataclass(frozen=True)
class Moved:
    """What was moved, why, and where it stood: `stood` as seen from the data's folder, `kept` as seen from the quarantine.

    Of a table the whole file is kept, and written anew without `rows`; sha256: of what was then written.
    """

    stood: str
    kept: str
    why: str
    rows: tuple[int, ...] = ()
    sha256: str | None = None


def quarantine_folder(source) -> Path:
    """Where the quarantine of a data set is: beside it."""
    path = Path(source).resolve()
    return path.with_name(path.name + ".quarantine")


def quarantine(
    findings: Iterable[Finding], source, without: Callable[[Path, Container[int]], bytes]
) -> tuple[int, Path]:
    """Move the offenders out of a data set on disk; gives how many they were, and where they are now.

    without: gives what a file holds without some of its rows. Raises DataError.
    """
    if not Path(source).exists():
        raise DataError(f"{source}: only a folder or a file can be mended")
    files, rows = _offenders(findings)
    top, kept = _top(source), quarantine_folder(source)
    with os_errors_as(DataError, kept):
        for path, why in files.items():
            _move(path, top, kept, why)
        for path, (numbers, why) in rows.items():
            _rewrite(path, numbers, top, kept, why, without)
    return len(files) + sum(len(numbers) for numbers, _ in rows.values()), kept


def restore(source) -> tuple[int, list[str]]:
    """Undo all that was taken out of a data set; gives how many files were put back, and what could not be and why.

    What could not be and is still there stays in the list. Raises DataError.
    """
    kept = quarantine_folder(source)
    try:
        lines = (kept / LIST).read_text(encoding="utf-8").splitlines()
        listed = [Moved(**json.loads(line)) for line in lines]
    except FileNotFoundError as error:
        raise DataError(f"{kept / LIST}: no such list, so nothing to put back") from error
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{kept / LIST}: not a list that can be read ({error})") from error
    problems, left = [], []
    with os_errors_as(DataError, kept):
        for each in reversed(listed):
            if problem := _put_back(each, _top(source), kept):
                problems.append(problem)
                # What is gone can't be put back later either.
                if _there(kept / each.kept):
                    left.insert(0, each)
        _write(kept, left)
    return len(listed) - len(problems), problems


def _offenders(findings: Iterable[Finding]):
    """Files to move, by path, and rows to take out, by their file; with the findings that say so."""
    files: dict[Path, str] = {}
    rows: dict[Path, tuple[set[int], str]] = {}
    for finding in findings:
        for place in finding.removable:
            _note(place, finding.kind, files, rows)
    return files, rows


def _note(place: Location, why: str, files, rows) -> None:
    if place.row is None:
        files.setdefault(place.path, why)
        return
    numbers, whys = rows.get(place.path, (set(), ""))
    whys = whys if why in whys else f"{whys}, {why}".lstrip(", ")
    rows[place.path] = (numbers | {place.row}, whys)


def _top(source) -> Path:
    path = Path(source).resolve()
    return path if path.is_dir() else path.parent


def _move(path: Path, top: Path, kept: Path, why: str) -> None:
    stood = _inside(path, top)
    to = _free(kept / stood)
    _append(kept, Moved(stood, str(to.relative_to(kept)), why))
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, to)


def _rewrite(path: Path, numbers: set[int], top: Path, kept: Path, why: str, without) -> None:
    stood = _inside(path, top)
    content = without(path, numbers)
    to = _free(kept / stood)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, to)
    sha256 = hashlib.sha256(content).hexdigest()
    _append(kept, Moved(stood, str(to.relative_to(kept)), why, tuple(sorted(numbers)), sha256))
    with atomic_path(path) as new:
        new.write_bytes(content)


def _inside(path: Path, top: Path) -> str:
    """The path as seen from the data's folder; links are moved, not what they lead to. Raises DataError."""
    whole = path.parent.resolve() / path.name
    if not whole.is_relative_to(top):
        raise DataError(f"{path}: lies outside {top}; mend it by hand")
    return str(whole.relative_to(top))


def _free(path: Path) -> Path:
    """The path, or one with a number where something stands there."""
    number, free = 1, path
    while _there(free):
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def _append(kept: Path, moved: Moved) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    with open(kept / LIST, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(moved), ensure_ascii=False) + "\n")


def _put_back(moved: Moved, top: Path, kept: Path) -> str | None:
    """Why it could not be put back, if so."""
    stood, here = top / moved.stood, kept / moved.kept
    if not _there(here):
        return None if stood.exists() else f"{here}: no longer there, so it can't be put back"
    if moved.sha256 is not None and stood.exists():
        if hashlib.sha256(stood.read_bytes()).hexdigest() != moved.sha256:
            return f"{stood}: changed since; what it was is {here}: {CURE}"
    elif stood.exists():
        return f"{stood}: something else stands there now; what it was is {here}: {CURE}"
    stood.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(here, stood)
    return None


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _write(kept: Path, left: list[Moved]) -> None:
    """The list of what is left; without any the quarantine goes."""
    if left:
        with atomic_path(kept / LIST) as new:
            new.write_text("".join(json.dumps(asdict(each)) + "\n" for each in left), encoding="utf-8")
        return
    (kept / LIST).unlink()
    for each in sorted((e for e in kept.rglob("*") if e.is_dir()), reverse=True):
        if not any(each.iterdir()):
            each.rmdir()
    if not any(kept.iterdir()):
        kept.rmdir()
