"""Examples encoded once, into files that are mapped into memory, and divided."""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data.batch import Batch, Splits
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
"""Examples decoded as one piece of work."""


@dataclass(frozen=True)
class Dataset:
    """Encoded examples: named arrays with a row for each; the examples themselves, and their division. places: of each in the data as it was read."""

    inputs: Arrays
    examples: Batch
    splits: Splits
    source_indices: Sequence[int]

    def take(self, positions: Sequence[int]) -> Arrays:
        """The inputs at these positions, in memory."""
        return {name: np.asarray(values[positions]) for name, values in self.inputs.items()}


def prepare_dataset(
    task: Task, examples: Batch, config: TrainingConfig, work: Path, progress: Progress
) -> tuple[Task, Dataset]:
    """The task as it learned from the examples, and the examples encoded once into `work`, divided."""
    task = task.adapt(examples, config)
    inputs, kept = _encode_examples(task, examples, work, progress)
    if not kept:
        raise DataError(f"none of the {len(examples)} examples could be read")
    good = examples.take(kept)
    task = task.adapt(good, config)
    for note in hooks_of(task).notes(good, inputs):
        progress.log(f"note: {note}")
    parts = task.split(good, inputs, config)
    for name, positions in (("train", parts.train), ("val", parts.val)):
        if not len(positions):
            raise DataError(f"no examples to {'train on' if name == 'train' else 'choose by'}")
    progress.log(
        f"{len(parts.train)} examples to train on, {len(parts.val)} to choose by, {len(parts.test)} to judge by"
    )
    return task, Dataset(inputs, good, parts, kept)


def _encode_examples(task: Task, examples: Batch, work: Path, progress: Progress) -> tuple[Arrays, list[int]]:
    """Memory-mapped inputs of the examples that can be read, and the positions of these."""
    record, key = work / INPUTS_FILE, _inputs_key(task, examples)
    if record.is_file():
        found = json.loads(record.read_text())
        if found["key"] == key:
            return _open_maps(work, found["names"], len(found["kept"])), found["kept"]
        if last_epoch(work):
            raise TrainingError(
                f"{work}: the data is not what this run began with; restore it, or remove that folder and train "
                "anew"
            )
        record.unlink()
    files: dict[str, np.memmap] = {}
    kept: list[int] = []
    size = max(CHUNK_SIZE, task.batch_size)
    chunks = [range(at, min(at + size, len(examples))) for at in range(0, len(examples), size)]
    encode = _chunk_encoder(task, examples)
    for chunk, (inputs, failures) in zip(chunks, parallel_map(encode, chunks), strict=True):
        good = [position for i, position in enumerate(chunk) if i not in failures]
        for name, values in inputs.items():
            if name not in files:
                files[name] = _new_map(work / f"{name}.npy", values, len(examples))
            files[name][len(kept) : len(kept) + len(good)] = values
        for error in failures.values():
            progress.log(f"skipped: {error}")
        kept += good
        progress.update("reading", chunk[-1] + 1, len(examples))
    for values in files.values():
        values.flush()
    write_json(record, {"key": key, "names": list(files), "kept": kept})
    return _open_maps(work, list(files), len(kept)), kept


def _chunk_encoder(task: Task, examples: Batch):
    return lambda chunk: task.encode(examples.take(chunk).inputs)


def _new_map(path: Path, values: np.ndarray, count: int) -> np.memmap:
    """A new .npy of this many rows; its disk space is taken now, as a full disk later would kill the process."""
    shape = (count, *values.shape[1:])
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=values.dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return rows


def _open_maps(work: Path, names: list[str], count: int) -> Arrays:
    return {name: np.load(work / f"{name}.npy", mmap_mode="r")[:count] for name in names}


def _inputs_key(task: Task, examples: Batch) -> str:
    """Changes when the files or what the task makes of them do."""
    seen = hashlib.sha256(f"{task!r} {len(examples)}".encode())
    for content in save_assets(task).values():
        seen.update(content)
    for origin in () if examples.files else examples.source_names:
        seen.update(origin.encode(errors="surrogateescape"))
    for raw in examples.files or examples.inputs:
        if isinstance(raw, str | os.PathLike):
            with suppress(OSError):  # what is gone is told when it is read
                status = os.stat(raw)
                seen.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return seen.hexdigest()
