"""Rows kept as columns: the batch of a table is a few arrays, not a hundred thousand objects."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any

import numpy as np

from dltasks.errors import DltasksError


def failed_indices(answers: Sequence[Any]) -> list[int]:
    """Positions of the inputs that could not be answered; of answers in columns all could."""
    if isinstance(answers, Columns):
        return []
    return [i for i, each in enumerate(answers) if isinstance(each, DltasksError)]


SHARED = {"shared": True}
"""Metadata of a field of Columns that all rows have in common."""


class Columns(Sequence, ABC):
    """A sequence whose rows are made when they are asked for.

    A subclass is a dataclass of arrays (or Columns) of one length, and of SHARED fields.
    """

    @abstractmethod
    def row(self, position: int):
        """What a loop over the rows gets."""

    def class_names(self) -> list[str] | None:
        """The class of each row, where the rows are labels that name one; else None."""
        return None

    def __len__(self) -> int:
        return len(getattr(self, self._columns()[0]))

    def __getitem__(self, position):
        if isinstance(position, slice):
            return self.take(np.arange(len(self))[position])
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        return self.row(position % len(self))

    def take(self, positions) -> "Columns":
        """The rows at these positions, in this order."""
        return replace(self, **{name: take(getattr(self, name), positions) for name in self._columns()})

    @classmethod
    def joined(cls, parts: Sequence["Columns"]) -> "Columns":
        """All rows, one part after the other; what is shared is the first part's."""
        names = parts[0]._columns()
        return replace(parts[0], **{name: concat([getattr(each, name) for each in parts]) for name in names})

    def _columns(self) -> list[str]:
        return [each.name for each in fields(self) if each.metadata != SHARED]


def take(values: Sequence, positions: Iterable[int]) -> Sequence:
    """The values at these positions: columns of columns, an array of an array, a list of anything else."""
    if isinstance(values, np.ndarray):
        return values[np.asarray(positions, int)]
    return values.take(positions) if isinstance(values, Columns) else [values[i] for i in positions]


def concat(parts: Iterable[Sequence]) -> Sequence:
    """Parts of one kind as one."""
    parts = list(parts)
    if parts and isinstance(parts[0], Columns):
        return type(parts[0]).joined(parts)
    if parts and isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return list(chain.from_iterable(parts))
