"""Where photos and their labels stand: folders, CSV files, TensorFlow Datasets."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dltasks.errors import DataError, MissingExtraError
from dltasks.task import Batch
from dltasks.tasks.image.pixels import describe, is_photo

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_PATH_COLUMNS = ("path", "file", "filename", "image", "filepath")
_LABEL_COLUMNS = ("label", "class", "category")


def photos(sources: Sequence, size: int) -> Iterator[Batch]:
    """Batches of at most `size` photos; folders are walked. What can't be found is an error in its place."""
    raws, origins = [], []
    for source in sources:
        for raw in _walked(source):
            raws.append(raw)
            origins.append(describe(source if isinstance(raw, DataError) else raw))
            if len(raws) == size:
                yield Batch(raws, origins)
                raws, origins = [], []
    if raws:
        yield Batch(raws, origins)


def _walked(source) -> Iterator:
    if not isinstance(source, str | os.PathLike) or not os.path.isdir(source):
        yield source
        return
    found = False
    for path in _files(Path(source)):
        if is_photo(path):
            found = True
            yield path
    if not found:
        yield DataError(f"{source}: no photos in this folder")


def _files(folder: Path) -> Iterator[Path]:
    """All files below, links followed; a folder that is met again is not entered."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            yield Path(parent, name)


def labelled(source) -> Batch:
    """All photos of a data set with their labels, and their splits where they are given. Raises DataError."""
    if str(source).startswith("tfds:"):
        return _from_tensorflow_datasets(str(source).removeprefix("tfds:"))
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder")
    if not os.access(path, os.R_OK):
        raise DataError(f"{source}: no permission to read it")
    if path.is_file():
        return _from_csv(path)
    if (path / "index.csv").is_file():
        return _from_csv(path / "index.csv")
    return _from_folders(path)


def _from_folders(folder: Path) -> Batch:
    rows, stray = [], []
    parts = {each: _SPLITS.get(each.name.lower()) for each in _subfolders(folder)}
    divided = "train" in parts.values() and all(_subfolders(each) for each, split in parts.items() if split)
    for part, split in parts.items() if divided else ((folder, None),):
        if divided and split is None:
            stray += _files(part)
            continue
        stray += sorted(each for each in part.iterdir() if each.is_file())
        for label in _subfolders(part):
            for path in _files(label):
                if is_photo(path):
                    rows.append((path, label.name, split))
                else:
                    stray.append(path)
    if not rows:
        raise DataError(
            f"{folder}: no photos in folders of their own; wanted one folder a class "
            f"({folder.name or '.'}/cat/1.jpg, {folder.name or '.'}/dog/2.jpg)"
        )
    return _batch(rows, (_passed_over(stray, folder),) if stray else ())


def _passed_over(stray: list[Path], folder: Path) -> str:
    shown = ", ".join(str(each.relative_to(folder)) for each in stray[:3]) + (
        ", ..." if len(stray) > 3 else ""
    )
    if len(stray) == 1:
        return f"1 file that is not a photo in a class folder was passed over: {shown}"
    return f"{len(stray)} files that are not photos in a class folder were passed over: {shown}"


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(e for e in folder.iterdir() if e.is_dir() and not e.name.startswith("."))
    except PermissionError as error:
        raise DataError(f"{folder}: no permission to read it") from error


def _batch(rows: list[tuple], notes: tuple[str, ...]) -> Batch:
    paths, labels, splits = zip(*rows, strict=True)
    return Batch(
        list(paths),
        [describe(each) for each in paths],
        list(labels),
        list(splits) if any(splits) else None,
        notes,
    )


def _from_csv(path: Path) -> Batch:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(row)]
    except (UnicodeDecodeError, csv.Error, PermissionError) as error:
        raise DataError(f"{path}: not a CSV of path,label that can be read ({error})") from error
    if not lines:
        raise DataError(f"{path}: empty; wanted rows of path,label")
    columns = _columns([each.strip().lower() for each in lines[0][1]])
    if columns:
        lines = lines[1:]
    rows = [_row(path, number, row, columns or (0, 1, None)) for number, row in lines]
    if not rows:
        raise DataError(f"{path}: a header and no rows; wanted rows of path,label")
    return _batch(rows, ())


def _columns(header: list[str]) -> tuple[int, int, int | None] | None:
    """Positions of path, label and split if this row is a header."""
    path = next((header.index(name) for name in _PATH_COLUMNS if name in header), None)
    label = next((header.index(name) for name in _LABEL_COLUMNS if name in header), None)
    if path is None or label is None:
        return None
    return path, label, header.index("split") if "split" in header else None


def _row(path: Path, number: int, row: list[str], columns) -> tuple[Path, str, str | None]:
    file, label, split = columns
    if len(row) <= max(file, label) or not row[file].strip() or not row[label].strip():
        raise DataError(f"{path}, row {number}: {','.join(row)!r}; wanted path,label")
    part = row[split].strip().lower() if split is not None and split < len(row) else ""
    if part and part not in _SPLITS:
        raise DataError(f"{path}, row {number}: split {part!r}; wanted train, val or test")
    return path.parent / row[file].strip(), row[label].strip(), _SPLITS.get(part)


def _from_tensorflow_datasets(name: str) -> Batch:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise MissingExtraError("tfds: needs TensorFlow Datasets; pip install 'dltasks[train]'") from error
    try:
        builder = tensorflow_datasets.builder(name)
        builder.download_and_prepare()
    except tensorflow_datasets.core.DatasetNotFoundError as error:
        raise DataError(f"tfds:{name}: TensorFlow Datasets has no set of this name") from error
    except Exception as error:  # a download fails in as many ways as there are hosts
        raise DataError(
            f"tfds:{name}: could not be prepared ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    features = builder.info.features
    if not {"image", "label"} <= set(features) or not hasattr(features["label"], "int2str"):
        raise DataError(f"tfds:{name}: not an image classification set (no image and label)")
    rows = []
    decoders = {"image": tensorflow_datasets.decode.SkipDecoding()}
    for part in builder.info.splits:
        split = _SPLITS.get(part.lower())
        if split is None and len(builder.info.splits) > 1:
            continue
        data = builder.as_dataset(split=part, decoders=decoders, shuffle_files=False)
        for position, example in enumerate(tensorflow_datasets.as_numpy(data)):
            label = features["label"].int2str(int(example["label"]))
            rows.append((bytes(example["image"]), label, split, f"tfds:{name}/{part}[{position}]"))
    if not rows:
        raise DataError(f"tfds:{name}: no examples in its splits")
    photos, labels, splits, origins = (list(each) for each in zip(*rows, strict=True))
    only = len(builder.info.splits) == 1
    return Batch(photos, origins, labels, None if only else splits)
