"""Batch: raw inputs with their labels and sources; Splits: which of them are for training, validation and test."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.data.columns import take


@dataclass(frozen=True)
class Batch:
    """Some raw inputs with where each came from, and their truths where the data says them.

    raws: n inputs as the task's `encode` takes them (paths, say; they are read there), a list or Columns.
    origins: n names for people. truths: n true answers, or None.
    splits: n of "train", "val", "test" or None; where the data comes divided.
    notes: what a reader of the data should know (files passed over, say).
    files: those that the raws stand in, where they are not the raws themselves.
    """

    inputs: Any
    source_names: Sequence[str]
    labels: Any = None
    splits: Sequence[str | None] | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, positions: Iterable[int]) -> "Batch":
        """The batch of the inputs at these positions, in this order."""
        positions = positions if isinstance(positions, np.ndarray) else list(positions)
        columns = (self.inputs, self.source_names, self.labels, self.splits)
        return Batch(
            *(None if each is None else take(each, positions) for each in columns), self.notes, self.files
        )

    def fingerprint(self) -> dict[str, object]:
        """Number of files, their bytes, and sha256 over the sorted sha256 of each; a file of many inputs counts once."""
        raws = self.files or self.inputs
        paths = dict.fromkeys(os.fspath(raw) for raw in raws if isinstance(raw, str | os.PathLike))
        hashes, size = [], 0
        for raw in [*paths, *(raw for raw in raws if isinstance(raw, bytes))]:
            try:
                content = raw if isinstance(raw, bytes) else Path(raw).read_bytes()
            except OSError:
                continue
            size += len(content)
            hashes.append(hashlib.sha256(content).hexdigest())
        whole = hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
        return {"files": len(hashes), "bytes": size, "sha256": whole}

    def chunks(self, size: int) -> Iterator["Batch"]:
        """This batch in consecutive batches of at most `size` inputs."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Splits:
    """Positions of the examples to train on, to choose by, and to judge by; lists or int arrays."""

    train: Sequence[int]
    val: Sequence[int]
    test: Sequence[int]
