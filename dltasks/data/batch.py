"""Batch: raw inputs with their labels and sources; Splits: the training, validation and test examples."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.data.columns import take
from dltasks.files import hash_bytes

Indices = Sequence[int] | np.ndarray
"""Indices of examples, as a list or an int array."""


@dataclass(frozen=True)
class Batch:
    """Raw inputs, with their labels where these are known.

    Attributes:
        inputs: n inputs as the task's `encode` takes them, in a list or Columns; files may be given as paths.
        source_names: n names of the inputs, for messages.
        labels: n labels, or None.
        splits: n of "train", "val", "test" or None, for data that comes split.
        notes: Remarks on the data for the user, such as ignored files.
        files: Files that contain the inputs, where the inputs are not files themselves.
    """

    inputs: Any
    source_names: Sequence[str]
    labels: Any = None
    splits: Sequence[str | None] | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, indices: Iterable[int]) -> "Batch":
        """The batch of the inputs at these indices, in this order."""
        indices = indices if isinstance(indices, np.ndarray) else list(indices)
        return Batch(
            take(self.inputs, indices),
            take(self.source_names, indices),
            None if self.labels is None else take(self.labels, indices),
            None if self.splits is None else take(self.splits, indices),
            self.notes,
            self.files,
        )

    def fingerprint(self) -> dict[str, int | str]:
        """Identity of the data: number of files, their total bytes, and the sha256 of their sorted sha256s.

        A file of many inputs counts once; files that can't be read are left out.
        """
        sources = self.files or self.inputs
        paths = dict.fromkeys(
            os.fspath(source) for source in sources if isinstance(source, str | os.PathLike)
        )
        hashes, size = [], 0
        for source in [*paths, *(source for source in sources if isinstance(source, bytes))]:
            try:
                content = source if isinstance(source, bytes) else Path(source).read_bytes()
            except OSError:
                continue
            size += len(content)
            hashes.append(hash_bytes(content))
        return {"files": len(hashes), "bytes": size, "sha256": hash_bytes("\n".join(sorted(hashes)).encode())}

    def chunks(self, size: int) -> Iterator["Batch"]:
        """Consecutive batches of at most `size` inputs."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Splits:
    """Indices of the training, validation and test examples."""

    train: Indices
    val: Indices
    test: Indices
