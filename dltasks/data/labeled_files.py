"""Labeled files of any kind: one folder per class, or an index in CSV."""

import csv
import os
import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from dltasks.data.batch import Batch
from dltasks.errors import DataError
from dltasks.files import match_pattern

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders and values of a split column, with the splits they stand for."""

_PATH_COLUMNS = ("path", "file", "filename", "filepath")
_LABEL_COLUMNS = ("label", "class", "category")

INDEX_FILE = "index.csv"
"""Name of the file that lists the files of a folder and their labels."""

MAX_SCANNED = 1000
"""Maximum number of file names that `has_files` looks at."""

MAX_LINE_LENGTH = 10_000
"""Maximum number of characters of a line of an index that `has_files` looks at."""


@dataclass(frozen=True)
class FileKind:
    """A kind of files that a data set consists of.

    Attributes:
        one: What a file is called ("photo").
        many: What several files are called ("photos").
        matches: Whether a file is of this kind, by its name.
        describe: The name of an input in messages.
        suffix: A suffix of file names, for examples in messages.
        feature: Name of the feature in TensorFlow Datasets.
        skipped_folders: Names of folders that hold no class.
        columns: Names of further columns of an index.
    """

    one: str
    many: str
    matches: Callable[[Path], bool]
    describe: Callable[[Any], str]
    suffix: str
    feature: str
    skipped_folders: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabeledFile:
    """A labeled file.

    Attributes:
        path: Path of the file.
        label: Its label.
        split: "train", "val", "test" or None.
        extra: Values of the further columns that its FileKind names.
        row: Its row in the index, from 1, a header counted; None where a folder names the label.
    """

    path: Path
    label: str
    split: str | None = None
    extra: tuple[str, ...] = ()
    row: int | None = None


@dataclass(frozen=True)
class LabeledFiles:
    """The files of a data set on disk.

    Attributes:
        source: The folder, or the index.
        kind: The kind of its files.
        rows: The labeled files.
        ignored: Files that were ignored.
        empty_folders: Class folders without files of this kind.
    """

    source: Path
    kind: FileKind
    rows: tuple[LabeledFile, ...]
    ignored: tuple[Path, ...] = ()
    empty_folders: tuple[Path, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """A note on the ignored files."""
        return (_ignored_note(self.ignored, self.source, self.kind),) if self.ignored else ()

    def splits(self) -> list[str | None] | None:
        """The splits of the rows; None where no row has one."""
        return [row.split for row in self.rows] if any(row.split for row in self.rows) else None

    def batch(self) -> Batch:
        """The rows as a batch of paths."""
        return Batch(
            [row.path for row in self.rows],
            [self.kind.describe(row.path) for row in self.rows],
            [row.label for row in self.rows],
            self.splits(),
            self.notes(),
        )


def iter_batches(sources: Sequence[Any], size: int, kind: FileKind) -> Iterator[Batch]:
    """Batches of at most `size` files; folders are searched.

    A folder without files is a DataError in its place.
    """
    inputs: list[Any] = []
    names: list[str] = []
    for source in sources:
        for value in _expand(source, kind):
            inputs.append(value)
            names.append(kind.describe(source if isinstance(value, DataError) else value))
            if len(inputs) == size:
                yield Batch(inputs, names)
                inputs, names = [], []
    if inputs:
        yield Batch(inputs, names)


def _expand(source: Any, kind: FileKind) -> Iterator[Any]:
    if not isinstance(source, str | os.PathLike) or not Path(source).is_dir():
        yield source
        return
    empty = True
    for path in walk_files(Path(source)):
        if kind.matches(path):
            empty = False
            yield path
    if empty:
        yield DataError(f"{source}: no {kind.many} in this folder")


def walk_files(folder: Path) -> Iterator[Path]:
    """All files below a folder, except pipes; links are followed, and no folder is entered twice."""
    visited = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(parent, name) for name in sorted(names)):
            # Reading a pipe without a writer would never end.
            if not path.is_fifo():
                yield path


def check_exists(source: Any) -> None:
    """Raise DataError if a source is a path and does not exist; it may also be a pattern, or tfds:NAME."""
    if not isinstance(source, str | os.PathLike) or str(source).startswith("tfds:"):
        return
    if not Path(source).exists() and not match_pattern(str(source)):
        raise DataError(f"{source}: no such file or folder")


def find_labeled_files(source: Any, kind: FileKind) -> LabeledFiles:
    """All labeled files of a folder or an index. Raises DataError."""
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder")
    if not os.access(path, os.R_OK):
        raise DataError(f"{source}: no permission to read it")
    if path.is_dir() and (path / INDEX_FILE).is_file():
        path = path / INDEX_FILE
    if path.is_file():
        return LabeledFiles(path, kind, tuple(_read_index(path, kind)))
    return _find_in_folders(path, kind)


def _find_in_folders(folder: Path, kind: FileKind) -> LabeledFiles:
    rows: list[LabeledFile] = []
    ignored: list[Path] = []
    empty_folders: list[Path] = []
    splits = {path: SPLIT_NAMES.get(path.name.lower()) for path in _subfolders(folder, kind)}
    comes_split = "train" in splits.values() and all(
        _subfolders(path, kind) for path, split in splits.items() if split
    )
    for parent, split in splits.items() if comes_split else ((folder, None),):
        if comes_split and split is None:
            ignored += walk_files(parent)
            continue
        ignored += sorted(path for path in parent.iterdir() if path.is_file())
        for class_folder in _subfolders(parent, kind):
            paths = list(walk_files(class_folder))
            matching = [path for path in paths if kind.matches(path)]
            extra = ("",) * len(kind.columns)
            rows += [LabeledFile(path, class_folder.name, split, extra) for path in matching]
            ignored += [path for path in paths if not kind.matches(path)]
            empty_folders += [] if matching else [class_folder]
    if not rows:
        name = folder.name or "."
        raise DataError(
            f"{folder}: no {kind.many} in class folders; expected one folder per class "
            f"({name}/one/1{kind.suffix}, {name}/other/2{kind.suffix})"
        )
    return LabeledFiles(folder, kind, tuple(rows), tuple(ignored), tuple(empty_folders))


def _ignored_note(paths: Sequence[Path], folder: Path, kind: FileKind) -> str:
    names = [str(path.relative_to(folder)) for path in paths[:3]] + ["..."] * (len(paths) > 3)
    if len(paths) == 1:
        return f"1 file that is not a {kind.one} in a class folder was ignored: {names[0]}"
    return f"{len(paths)} files that are not {kind.many} in a class folder were ignored: {', '.join(names)}"


def _subfolders(folder: Path, kind: FileKind) -> list[Path]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except PermissionError as error:
        raise DataError(f"{folder}: no permission to read it") from error
    return [path for path in paths if path.name not in kind.skipped_folders]


def _read_index(path: Path, kind: FileKind) -> list[LabeledFile]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(row)]
    except (UnicodeDecodeError, csv.Error, PermissionError) as error:
        raise DataError(f"{path}: not a readable CSV file of path,label ({error})") from error
    if not rows:
        raise DataError(f"{path}: empty; expected rows of path,label")
    columns = _parse_header([name.strip().lower() for name in rows[0][1]], kind)
    if columns:
        rows = rows[1:]
    else:
        columns = _IndexColumns(0, 1, None, (None,) * len(kind.columns))
    if not rows:
        raise DataError(f"{path}: a header and no rows; expected rows of path,label")
    return [_parse_row(path, number, row, columns) for number, row in rows]


@dataclass(frozen=True)
class _IndexColumns:
    """Positions of the columns of an index; None for those it lacks."""

    path: int
    label: int
    split: int | None
    extra: tuple[int | None, ...]


def _parse_header(header: list[str], kind: FileKind) -> _IndexColumns | None:
    """The positions of the columns, if this row is a header."""

    def position(*names: str) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    path, label = position(*_PATH_COLUMNS, kind.feature), position(*_LABEL_COLUMNS)
    if path is None or label is None:
        return None
    return _IndexColumns(path, label, position("split"), tuple(position(name) for name in kind.columns))


def _parse_row(path: Path, number: int, row: list[str], columns: _IndexColumns) -> LabeledFile:
    def cell(position: int | None) -> str:
        return row[position].strip() if position is not None and position < len(row) else ""

    file, label, split = cell(columns.path), cell(columns.label), cell(columns.split).lower()
    if not file or not label:
        raise DataError(f"{path}, row {number}: {','.join(row)!r}; expected path,label")
    if split and split not in SPLIT_NAMES:
        raise DataError(f"{path}, row {number}: split {split!r}; expected train, val or test")
    return LabeledFile(
        path.parent / file, label, SPLIT_NAMES.get(split), tuple(map(cell, columns.extra)), number
    )


def drop_rows(path: Path, rows: Container[int]) -> bytes:
    """The content of an index without some rows, counted from 1, a header included."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        remaining = [row for number, row in enumerate(csv.reader(file), 1) if number not in rows]
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(remaining)
    return text.getvalue().encode("utf-8")


def has_files(source: Any, kind: FileKind) -> bool:
    """Whether a folder or an index seems to have files of this kind, by the first file names.

    An index need not be valid.
    """
    path = Path(source)
    try:
        if path.is_dir() and (path / INDEX_FILE).is_file():
            path = path / INDEX_FILE
        paths = walk_files(path) if path.is_dir() else _cells(path)
        return any(kind.matches(path) for path, _ in zip(paths, range(MAX_SCANNED), strict=False))
    except OSError:
        return False


def _cells(path: Path) -> Iterator[Path]:
    """The cells of a table, as paths."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            yield from (Path(cell.strip()) for cell in re.split("[,;\t]", line[:MAX_LINE_LENGTH]))
