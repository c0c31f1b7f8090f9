"""The data of a training run: examples encoded once into memory-mapped files, and split."""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data.batch import Batch, Indices, Splits
from dltasks.errors import DataError, TrainingError
from dltasks.fields import save_assets
from dltasks.files import write_json
from dltasks.litert.runtime import Arrays
from dltasks.parallel import parallel_map
from dltasks.progress import Progress
from dltasks.protocols import hooks_of
from dltasks.task import Task
from dltasks.training.checkpoints import INPUTS_FILE, last_epoch

CHUNK_SIZE = 64
"""Minimum number of examples encoded in one piece of work."""


@dataclass(frozen=True)
class Dataset:
    """The examples of a run.

    Attributes:
        inputs: encoded inputs (examples, ...), memory-mapped.
        examples: the same examples.
        splits: indices of the training, validation and test examples.
        source_indices: index of each example among those of the source, unreadable ones included.
    """

    inputs: Arrays
    examples: Batch
    splits: Splits
    source_indices: Sequence[int]

    def take(self, indices: Indices) -> Arrays:
        """The inputs at these indices, in memory."""
        return {name: np.asarray(values[indices]) for name, values in self.inputs.items()}


def prepare_dataset(
    task: Task, examples: Batch, config: TrainingConfig, folder: Path, progress: Progress
) -> tuple[Task, Dataset]:
    """Adapt the task to the examples, encode them into `folder`, and split them.

    Raises DataError, TrainingError.
    """
    task = task.adapt(examples, config)
    inputs, readable = _encode_examples(task, examples, folder, progress)
    if not readable:
        raise DataError(f"none of the {len(examples)} examples can be read")
    examples = examples.take(readable)
    task = task.adapt(examples, config)
    for note in hooks_of(task).notes(examples, inputs):
        progress.log(f"note: {note}")
    splits = task.split(examples, inputs, config)
    for name, indices in (("training", splits.train), ("validation", splits.val)):
        if not len(indices):
            raise DataError(f"no {name} examples")
    progress.log(
        f"{len(splits.train)} training examples, {len(splits.val)} for validation, "
        f"{len(splits.test)} for testing"
    )
    return task, Dataset(inputs, examples, splits, readable)


def _encode_examples(
    task: Task, examples: Batch, folder: Path, progress: Progress
) -> tuple[Arrays, list[int]]:
    """Memory-mapped inputs of the readable examples, and the indices of these examples."""
    key = _inputs_key(task, examples)
    if record := _read_record(folder, key):
        return _open_maps(folder, record["names"], len(record["readable"])), record["readable"]
    maps: dict[str, np.memmap] = {}
    readable: list[int] = []
    size = max(CHUNK_SIZE, task.batch_size)
    chunks = [range(start, min(start + size, len(examples))) for start in range(0, len(examples), size)]

    def encode(chunk: range) -> tuple[Arrays, dict[int, DataError]]:
        return task.encode(examples.take(chunk).inputs)

    for chunk, (inputs, failures) in zip(chunks, parallel_map(encode, chunks), strict=True):
        indices = [index for i, index in enumerate(chunk) if i not in failures]
        for name, values in inputs.items():
            if name not in maps:
                maps[name] = _new_map(folder / f"{name}.npy", values, len(examples))
            maps[name][len(readable) : len(readable) + len(indices)] = values
        for error in failures.values():
            progress.log(f"skipped: {error}")
        readable += indices
        progress.update("reading", chunk[-1] + 1, len(examples))
    for rows in maps.values():
        rows.flush()
    write_json(folder / INPUTS_FILE, {"key": key, "names": list(maps), "readable": readable})
    return _open_maps(folder, list(maps), len(readable)), readable


def _read_record(folder: Path, key: str) -> dict:
    """The record of inputs that were encoded with this key; empty if there are none. Raises TrainingError."""
    path = folder / INPUTS_FILE
    if not path.is_file():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["key"] == key:
        return record
    if last_epoch(folder):
        raise TrainingError(
            f"{folder}: the data has changed since this run started; restore it, or remove the folder and "
            "start training again"
        )
    path.unlink()
    return {}


def _new_map(path: Path, values: np.ndarray, count: int) -> np.memmap:
    """A new .npy of `count` rows like those of `values`.

    Its disk space is allocated now: a write to a mapped file on a full disk would kill the process.
    """
    shape = (count, *values.shape[1:])
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=values.dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return rows


def _open_maps(folder: Path, names: list[str], count: int) -> Arrays:
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r")[:count] for name in names}


def _inputs_key(task: Task, examples: Batch) -> str:
    """A hash that changes when the files change, or what the task makes of them."""
    digest = hashlib.sha256(f"{task!r} {len(examples)}".encode())
    for content in save_assets(task).values():
        digest.update(content)
    for name in () if examples.files else examples.source_names:
        digest.update(name.encode(errors="surrogateescape"))
    for source in examples.files or examples.inputs:
        if isinstance(source, str | os.PathLike):
            with suppress(OSError):  # a missing file is reported when it is read
                status = Path(source).stat()
                digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
