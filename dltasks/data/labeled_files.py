"""Labelled files, whatever they hold: a folder a class, an index in CSV, TensorFlow Datasets."""

import csv
import os
import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from io import StringIO
from pathlib import Path
from typing import Any

from dltasks.data.batch import Batch
from dltasks.errors import DataError, MissingExtraError

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
_PATH_COLUMNS = ("path", "file", "filename", "filepath")
_LABEL_COLUMNS = ("label", "class", "category")

INDEX_FILE = "index.csv"
"""The file that says what the files of a folder are."""

MAX_SCANNED = 1000
"""Files whose names are looked at to tell what a folder holds."""


@dataclass(frozen=True)
class FileKind:
    """What the files of a data set hold.

    one, many: what a file is called ("photo", "photos"). matches: whether a file is one, by its name.
    describe: what to call one in a message. suffix: how a name may end, for examples in messages.
    feature: its name in TensorFlow Datasets. passed: folders that are read otherwise, by name.
    columns: of an index, more that is wanted of each file.
    """

    one: str
    many: str
    matches: Callable[[Path], bool]
    describe: Callable[[Any], str]
    suffix: str
    feature: str
    passed: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabeledFile:
    """One labelled file. split: train, val, test or None. more: the columns that a Kind asks for. number: its row of an
    index, from 1, a header counted; None where a folder names the label."""

    path: Path
    label: str
    split: str | None = None
    more: tuple[str, ...] = ()
    number: int | None = None


@dataclass(frozen=True)
class LabeledFiles:
    """What a data set on disk holds. source: the folder, or the index. stray: files that were passed over. empty: folders
    of a class that hold none of its files."""

    source: Path
    kind: FileKind
    rows: tuple[LabeledFile, ...]
    stray: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """What to say of what was passed over."""
        return (_ignored_note(self.stray, self.source, self.kind),) if self.stray else ()

    def splits(self) -> list[str | None] | None:
        """The rows' splits; None where no row has one."""
        return [each.split for each in self.rows] if any(each.split for each in self.rows) else None

    def batch(self) -> Batch:
        """The rows as a batch of paths."""
        return Batch(
            [each.path for each in self.rows],
            [self.kind.describe(each.path) for each in self.rows],
            [each.label for each in self.rows],
            self.splits(),
            self.notes(),
        )


def iter_batches(sources: Sequence, size: int, kind: FileKind) -> Iterator[Batch]:
    """Batches of at most `size` files; folders are walked. What can't be found is an error in its place."""
    raws, origins = [], []
    for source in sources:
        for raw in _walk(source, kind):
            raws.append(raw)
            origins.append(kind.describe(source if isinstance(raw, DataError) else raw))
            if len(raws) == size:
                yield Batch(raws, origins)
                raws, origins = [], []
    if raws:
        yield Batch(raws, origins)


def _walk(source, kind: FileKind) -> Iterator:
    if not isinstance(source, str | os.PathLike) or not os.path.isdir(source):
        yield source
        return
    found = False
    for path in walk_files(Path(source)):
        if kind.matches(path):
            found = True
            yield path
    if not found:
        yield DataError(f"{source}: no {kind.many} in this folder")


def walk_files(folder: Path) -> Iterator[Path]:
    """All files below, links followed, pipes left out; a folder that is met again is not entered."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for path in (Path(parent, name) for name in sorted(names)):
            # One that nobody writes to would be waited for without end.
            if not path.is_fifo():
                yield path


def check_exists(source) -> None:
    """Raises DataError where a source is a path, and nothing is there; a pattern may name files, tfds:NAME a set."""
    if not isinstance(source, str | os.PathLike) or str(source).startswith("tfds:"):
        return
    if not Path(source).exists() and not glob(str(source)):
        raise DataError(f"{source}: no such file or folder")


def find_labeled_files(source, kind: FileKind) -> LabeledFiles:
    """All labelled files of a folder or CSV. Raises DataError."""
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder")
    if not os.access(path, os.R_OK):
        raise DataError(f"{source}: no permission to read it")
    if path.is_dir() and (path / INDEX_FILE).is_file():
        path = path / INDEX_FILE
    return (
        LabeledFiles(path, kind, tuple(_from_csv(path, kind)))
        if path.is_file()
        else _from_folders(path, kind)
    )


def _from_folders(folder: Path, kind: FileKind) -> LabeledFiles:
    rows, stray, empty = [], [], []
    parts = {each: SPLIT_NAMES.get(each.name.lower()) for each in _subfolders(folder, kind)}
    divided = "train" in parts.values() and all(
        _subfolders(each, kind) for each, split in parts.items() if split
    )
    for part, split in parts.items() if divided else ((folder, None),):
        if divided and split is None:
            stray += walk_files(part)
            continue
        stray += sorted(each for each in part.iterdir() if each.is_file())
        for label in _subfolders(part, kind):
            there = list(walk_files(label))
            own = [each for each in there if kind.matches(each)]
            rows += [LabeledFile(path, label.name, split, ("",) * len(kind.columns)) for path in own]
            stray += [each for each in there if not kind.matches(each)]
            empty += [] if own else [label]
    if not rows:
        name = folder.name or "."
        raise DataError(
            f"{folder}: no {kind.many} in folders of their own; wanted one folder a class "
            f"({name}/one/1{kind.suffix}, {name}/other/2{kind.suffix})"
        )
    return LabeledFiles(folder, kind, tuple(rows), tuple(stray), tuple(empty))


def _ignored_note(stray: Sequence[Path], folder: Path, kind: FileKind) -> str:
    shown = ", ".join(str(each.relative_to(folder)) for each in stray[:3]) + (
        ", ..." if len(stray) > 3 else ""
    )
    if len(stray) == 1:
        return f"1 file that is not a {kind.one} in a class folder was passed over: {shown}"
    return f"{len(stray)} files that are not {kind.many} in a class folder were passed over: {shown}"


def _subfolders(folder: Path, kind: FileKind) -> list[Path]:
    try:
        found = sorted(e for e in folder.iterdir() if e.is_dir() and not e.name.startswith("."))
    except PermissionError as error:
        raise DataError(f"{folder}: no permission to read it") from error
    return [each for each in found if each.name not in kind.passed]


def _from_csv(path: Path, kind: FileKind) -> list[LabeledFile]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(row)]
    except (UnicodeDecodeError, csv.Error, PermissionError) as error:
        raise DataError(f"{path}: not a CSV of path,label that can be read ({error})") from error
    if not lines:
        raise DataError(f"{path}: empty; wanted rows of path,label")
    columns = _columns([each.strip().lower() for each in lines[0][1]], kind)
    if columns:
        lines = lines[1:]
    else:
        columns = _Columns(0, 1, None, (None,) * len(kind.columns))
    found = [_row(path, number, row, columns) for number, row in lines]
    if not found:
        raise DataError(f"{path}: a header and no rows; wanted rows of path,label")
    return found


@dataclass(frozen=True)
class _Columns:
    """Positions in the rows of a CSV."""

    path: int
    label: int
    split: int | None
    more: tuple[int | None, ...]


def _columns(header: list[str], kind: FileKind) -> _Columns | None:
    """The positions if this row is a header."""

    def place(*names):
        return next((header.index(name) for name in names if name in header), None)

    path, label = place(*_PATH_COLUMNS, kind.feature), place(*_LABEL_COLUMNS)
    if path is None or label is None:
        return None
    return _Columns(path, label, place("split"), tuple(place(name) for name in kind.columns))


def _row(path: Path, number: int, row: list[str], columns: _Columns) -> LabeledFile:
    def cell(place):
        return row[place].strip() if place is not None and place < len(row) else ""

    file, label, split = cell(columns.path), cell(columns.label), cell(columns.split).lower()
    if not file or not label:
        raise DataError(f"{path}, row {number}: {','.join(row)!r}; wanted path,label")
    if split and split not in SPLIT_NAMES:
        raise DataError(f"{path}, row {number}: split {split!r}; wanted train, val or test")
    return LabeledFile(
        path.parent / file, label, SPLIT_NAMES.get(split), tuple(map(cell, columns.more)), number
    )


def drop_rows(path: Path, numbers: Container[int]) -> bytes:
    """What an index says without the rows of these numbers."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [row for number, row in enumerate(csv.reader(file), 1) if number not in numbers]
    written = StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue().encode("utf-8")


def has_files(source, kind: FileKind) -> bool:
    """Whether a folder or an index has files of this kind, by the names of the first of them; an index need not make sense."""
    path = Path(source)
    try:
        if path.is_dir() and (path / INDEX_FILE).is_file():
            path = path / INDEX_FILE
        named = walk_files(path) if path.is_dir() else _cells(path)
        return any(kind.matches(each) for each, _ in zip(named, range(MAX_SCANNED), strict=False))
    except OSError:
        return False


def _cells(path: Path) -> Iterator[Path]:
    """What the cells of a table may name."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            yield from (Path(each.strip()) for each in re.split("[,;\t]", line[:10_000]))


def from_tensorflow_datasets(name: str, kind: FileKind, raw: Callable, decoders: Callable) -> Batch:
    """A set of TensorFlow Datasets that has kind.feature and label.

    raw: from the feature's numpy value to a raw input. decoders: from the imported module to `decoders` of
    as_dataset. Raises DataError, MissingExtraError.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise MissingExtraError("tfds: needs TensorFlow Datasets; pip install 'dltasks[train]'") from error
    builder = prepare_builder(tensorflow_datasets, name)
    features = builder.info.features
    if not {kind.feature, "label"} <= set(features) or not hasattr(features["label"], "int2str"):
        raise DataError(f"tfds:{name}: not a set of labelled {kind.many} (no {kind.feature} and label)")
    raws, labels, splits, origins = [], [], [], []
    for part in builder.info.splits:
        split = SPLIT_NAMES.get(part.lower())
        if split is None and len(builder.info.splits) > 1:
            continue
        data = builder.as_dataset(split=part, decoders=decoders(tensorflow_datasets), shuffle_files=False)
        for position, example in enumerate(tensorflow_datasets.as_numpy(data)):
            raws.append(raw(example[kind.feature]))
            labels.append(features["label"].int2str(int(example["label"])))
            splits.append(split)
            origins.append(f"tfds:{name}/{part}[{position}]")
    if not raws:
        raise DataError(f"tfds:{name}: no examples in its splits")
    return Batch(raws, origins, labels, None if len(builder.info.splits) == 1 else splits)


def prepare_builder(tensorflow_datasets, name: str):
    """The builder of a set of TensorFlow Datasets that is on this machine, downloaded if need be. Raises DataError."""
    try:
        builder = tensorflow_datasets.builder(name)
        builder.download_and_prepare()
    except tensorflow_datasets.core.DatasetNotFoundError as error:
        raise DataError(f"tfds:{name}: TensorFlow Datasets has no set of this name") from error
    except Exception as error:  # a download fails in as many ways as there are hosts
        raise DataError(
            f"tfds:{name}: could not be prepared ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    return builder
