"""Task and Examples: the one idea on which the package hangs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from dltasks.errors import DataError
from dltasks.plan import Plan

Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Batch:
    """Some raw inputs with where each came from, and their truths where the data says them.

    raws: n inputs as the task's `encode` takes them (paths, say; they are read there).
    origins: n names for people. truths: n true answers, or None.
    splits: n of "train", "val", "test" or None; where the data comes divided.
    notes: what a reader of the data should know (files passed over, say).
    """

    raws: Sequence[Any]
    origins: Sequence[str]
    truths: Sequence[Any] | None = None
    splits: Sequence[str | None] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.raws)

    def take(self, positions: Iterable[int]) -> "Batch":
        """The batch of the inputs at these positions, in this order."""
        positions = list(positions)

        def pick(values):
            return None if values is None else [values[i] for i in positions]

        return Batch(
            pick(self.raws), pick(self.origins), pick(self.truths), pick(self.splits), self.notes
        )

    def cut(self, size: int) -> Iterator["Batch"]:
        """This batch in consecutive batches of at most `size` inputs."""
        for start in range(0, len(self), size):
            yield self.take(range(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Parts:
    """Positions of the examples to train on, to choose by, and to judge by."""

    train: list[int]
    val: list[int]
    test: list[int]


class Task:
    """A kind of question. Fields are what training and prediction share; methods are all the rest asks.

    A task is a frozen dataclass that derives from this class, named `TASK` in its folder's module.
    Everything below that raises NotImplementedError must be given.
    """

    plan: ClassVar[type[Plan]] = Plan
    batch_size: ClassVar[int] = 8

    def read(self, sources: Sequence[Any]) -> Iterator[Batch]:
        """Batches of what stands in `sources`, without truths, in their order. Raises DataError."""
        raise NotImplementedError

    def examples(self, source: Any) -> Batch:
        """All labelled examples of a data set as one batch. Raises DataError."""
        raise NotImplementedError

    def learn(self, examples: Batch, plan: Plan) -> "Task":
        """This task, knowing what it must from the training examples. Raises DataError."""
        raise NotImplementedError

    def split(self, examples: Batch, inputs: Arrays, seed: int) -> Parts:
        """Positions to train, validate and test on; `inputs` are the encoded examples. Raises DataError."""
        raise NotImplementedError

    def encode(self, raws: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        """The network's named inputs with a batch axis, and the failures by position in `raws`.

        THE ONLY preprocessing. Inputs hold the raws that did not fail, in order.
        """
        raise NotImplementedError

    def target(self, truths: Sequence[Any]) -> Arrays:
        """What the network is trained to put out for these truths, by output name."""
        raise NotImplementedError

    def network(self, plan: Plan):
        """A new Keras model from named inputs to named outputs."""
        raise NotImplementedError

    def decode(self, outputs: Arrays) -> list[Any]:
        """An answer for each row of the network's outputs."""
        raise NotImplementedError

    def score(self, answers: Sequence[Any], truths: Sequence[Any]):
        """The Evaluation of these answers."""
        raise NotImplementedError

    def answer(self, raws: Sequence[Any], run: Run) -> list[Any]:
        """An answer, or the DataError in its place, for each raw input."""
        inputs, failures = self.encode(raws)
        answers = iter(self.decode(run(inputs)) if len(failures) < len(raws) else ())
        return [failures[i] if i in failures else next(answers) for i in range(len(raws))]


def text_lists(task: Task) -> list[str]:
    """Names of the fields that a bundle keeps as a text file, one word per line."""
    return [each.name for each in fields(task) if each.metadata.get("text_file")]


def words(**options):
    """A field that holds many words and is kept as a text file of its name in the bundle."""
    return field(metadata={"text_file": True}, **options)
