"""Columns: rows stored as columns, so that a table of many rows is a few arrays."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any, Self, cast

import numpy as np

from dltasks.errors import DltasksError

SHARED = {"shared": True}
"""Metadata of a field of Columns whose value all rows share."""


class Columns(Sequence, ABC):
    """A sequence whose rows are created on access.

    A subclass is a dataclass of arrays (or Columns) of equal length, and of SHARED fields.
    """

    @abstractmethod
    def row(self, index: int) -> Any:
        """The row at this index, from 0 on."""

    def class_names(self) -> list[str] | None:
        """The class of each row, where the rows are labels that name one; else None."""
        return None

    def __len__(self) -> int:
        return len(getattr(self, self._names()[0]))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.row(index % len(self))

    def take(self, indices: Iterable[int]) -> Self:
        """The rows at these indices, in this order."""
        columns = {name: take(getattr(self, name), indices) for name in self._names()}
        return replace(cast(Any, self), **columns)

    @classmethod
    def concat(cls, blocks: Sequence["Columns"]) -> "Columns":
        """The rows of all blocks, one block after the other; SHARED fields are the first block's."""
        first = blocks[0]
        columns = {name: concat([getattr(block, name) for block in blocks]) for name in first._names()}
        return replace(cast(Any, first), **columns)

    def _names(self) -> list[str]:
        return [entry.name for entry in fields(cast(Any, self)) if entry.metadata != SHARED]


def failed_indices(predictions: Sequence[Any]) -> list[int]:
    """Indices of the inputs whose prediction failed; none of a prediction in Columns has."""
    if isinstance(predictions, Columns):
        return []
    return [i for i, prediction in enumerate(predictions) if isinstance(prediction, DltasksError)]


def take(values: Any, indices: Iterable[int]) -> Any:
    """The values at these indices: Columns of Columns, an array of an array, a list of anything else."""
    if isinstance(values, np.ndarray):
        return values[np.asarray(indices, int)]
    return values.take(indices) if isinstance(values, Columns) else [values[i] for i in indices]


def concat(blocks: Iterable[Any]) -> Any:
    """Blocks of one kind (Columns, arrays or other sequences) as one."""
    blocks = list(blocks)
    if blocks and isinstance(blocks[0], Columns):
        return type(blocks[0]).concat(blocks)
    if blocks and isinstance(blocks[0], np.ndarray):
        return np.concatenate(blocks)
    return list(chain.from_iterable(blocks))
