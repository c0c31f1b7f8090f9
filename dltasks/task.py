"""Task and Examples: the one idea on which the package hangs."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.columns import taken
from dltasks.errors import DataError, ExportError, ModelError
from dltasks.evaluation import Evaluation, Score, Table
from dltasks.plan import Plan
from dltasks.report import Report

if TYPE_CHECKING:  # only data that is looked at, and files that are written or that others made, need them
    from dltasks.inspection import Inspection
    from dltasks.metadata import Described
    from dltasks.stranger import Adopted, Stranger

MOST_WORDS = 1_000_000
"""Of a field that is kept as a text file."""

Arrays = dict[str, np.ndarray]
Run = Callable[..., Arrays]
"""Runs named inputs through a network, or through one of its signatures where it has several: run(inputs, "encode")."""


@dataclass(frozen=True)
class Signature:
    """A function of a network that can be called in an exported file.

    network: whose weights it uses. function: from named Keras tensors to named ones. inputs: shape, None where any size will do, and dtype of each.
    """

    network: Any
    function: Callable[[dict[str, Any]], dict[str, Any]]
    inputs: dict[str, tuple[tuple[int | None, ...], str]]


@dataclass(frozen=True)
class Batch:
    """Some raw inputs with where each came from, and their truths where the data says them.

    raws: n inputs as the task's `encode` takes them (paths, say; they are read there), a list or Columns.
    origins: n names for people. truths: n true answers, or None.
    splits: n of "train", "val", "test" or None; where the data comes divided.
    notes: what a reader of the data should know (files passed over, say).
    files: those that the raws stand in, where they are not the raws themselves.
    """

    raws: Sequence[Any]
    origins: Sequence[str]
    truths: Sequence[Any] | None = None
    splits: Sequence[str | None] | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.raws)

    def take(self, positions: Iterable[int]) -> "Batch":
        """The batch of the inputs at these positions, in this order."""
        positions = positions if isinstance(positions, np.ndarray) else list(positions)
        columns = (self.raws, self.origins, self.truths, self.splits)
        return Batch(
            *(None if each is None else taken(each, positions) for each in columns), self.notes, self.files
        )

    def fingerprint(self) -> dict[str, object]:
        """Number of files, their bytes, and sha256 over the sorted sha256 of each; a file of many inputs counts once."""
        raws = self.files or self.raws
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

    def cut(self, size: int) -> Iterator["Batch"]:
        """This batch in consecutive batches of at most `size` inputs."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Parts:
    """Positions of the examples to train on, to choose by, and to judge by; lists or int arrays."""

    train: Sequence[int]
    val: Sequence[int]
    test: Sequence[int]


class Task(ABC):
    """A kind of question. Fields are what training and prediction share; methods are all the rest asks.

    A task is a frozen dataclass that derives from this class, named `TASK` in its folder's module.
    The abstract methods must be given.
    """

    plan: ClassVar[type[Plan]] = Plan
    batch_size: ClassVar[int] = 8
    monitor: ClassVar[str] = "accuracy"
    """The metric of the learner that training chooses by; more is better."""
    quantised: ClassVar[tuple[str, ...]] = ()
    """LiteRT's names of the only operations that "int8" and "dynamic" quantise; none named are all."""

    def check(self, plan: Plan) -> None:
        """Raises PlanError, before any data is read, for a plan that can't be kept."""

    def flaw(self) -> str:
        """What of the fields, each of its type and within its limits, makes no sense together; nothing where all does.

        Asked of a task whose fields came from a file.
        """
        return ""

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Of inputs and outputs of a file of the network, by name and without the batch axis, what this task relies on; None
        for an axis of any size."""
        return {}

    @abstractmethod
    def read(self, sources: Sequence[Any]) -> Iterator[Batch]:
        """Batches of what stands in `sources`, without truths, in their order.

        What can't be found is a DataError in the place of the raw input.
        """

    @abstractmethod
    def examples(self, source: Any, plan: Plan | None = None) -> Batch:
        """All labelled examples of a data set as one batch. Raises DataError.

        plan: of the training that they are read for; None where a trained model is judged.
        """

    @classmethod
    @abstractmethod
    def holds(cls, source: Any) -> bool:
        """Whether a data set looks like one for this task, at a glance."""

    @abstractmethod
    def inspect(self, source: Any, plan: Plan, report: Report) -> "Inspection":
        """What is wrong with a data set to train on. Raises DataError where nothing can be looked at."""

    @staticmethod
    @abstractmethod
    def without(path: Path, rows: Container[int]) -> bytes:
        """What a file of the data holds without these of its rows, as the places of findings count them."""

    @abstractmethod
    def learn(self, examples: Batch, plan: Plan) -> "Task":
        """This task, knowing what it must from the training examples. Raises DataError."""

    def notes(self, examples: Batch, inputs: Arrays) -> list[str]:
        """What is worth saying of the examples, which `inputs` are encoded from, before the work begins."""
        return []

    @abstractmethod
    def split(self, examples: Batch, inputs: Arrays, plan: Plan) -> Parts:
        """Positions to train on, to choose by and to judge by; `inputs` are the encoded examples.

        Raises DataError.
        """

    def known(self, examples: Batch) -> tuple[Batch, list[str]]:
        """The examples whose truths this task can answer, and notes on the others."""
        return examples, []

    @abstractmethod
    def encode(self, raws: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        """The network's named inputs with a batch axis, and the failures by position in `raws`.

        THE ONLY preprocessing. Inputs hold the raws that did not fail, in order.
        """

    @abstractmethod
    def target(self, truths: Sequence[Any]) -> Arrays:
        """What the network is trained to put out for these truths, by output name."""

    @abstractmethod
    def network(self, plan: Plan):
        """A new Keras model from named inputs to named outputs, both dicts."""

    @abstractmethod
    def learner(self, network, plan: Plan, targets: Arrays):
        """A compiled Keras model that shares the network's weights and is trained in its place.

        It takes the same named inputs and targets. `targets` are those of the training part.
        """

    def augmentation(self, plan: Plan, progress: float):
        """A Keras model from inputs and targets to changed ones, or None; `progress` runs from 0 to 1.

        Layers with random numbers keep a SeedGenerator in `random`.
        """
        return

    def begin(self, network, plan: Plan, inputs: Arrays, targets: Arrays) -> None:
        """Work before the first epoch: fit the last layer to a frozen network, say."""

    def calibrate(self, network, plan: Plan, inputs: Arrays, examples: Batch) -> "Task":
        """This task after the network's outputs were fitted to the validation part, of which `inputs` are encoded."""
        return self

    def signatures(self, network) -> dict[str, Signature]:
        """What a file of the network can be asked; one function, the network itself, where a task does not say."""
        return served(network)

    def tensors(self) -> "dict[str, Described]":
        """What the inputs and outputs of a file hold, by name; other programs read it in its metadata."""
        return {}

    @property
    def pairs(self) -> int:
        """Examples that a written file is compared with its network on."""
        return 500

    @property
    def stream_step(self) -> int | None:
        """Length of the pieces of a stream that the `stream.tflite` of a bundle takes; None where it has no such file."""
        return None

    def streaming(self, network, step: int | None = None):
        """A Keras model of one step of a stream: the next piece of the inputs and the state, float32, to the outputs
        and the next state, under the names of the last.

        step: length of the piece; by default the shortest. Raises ExportError.
        """
        raise ExportError("a model of this task has no streaming form")

    def attachments(self) -> dict[str, bytes]:
        """Files by name that a bundle of this task has beside those of every bundle; a drawing, say."""
        return {}

    def caveats(self) -> str:
        """What a card must say of the answers."""
        return ""

    def peers(self, inputs: Arrays, examples: Batch, parts: Parts) -> tuple[Table, ...]:
        """How other methods do on the same inputs, trained and judged on the same parts."""
        return ()

    def outputs(self, inputs: Arrays, run: Run) -> Arrays:
        """What `decode` takes, of these inputs. Only a task that must run its network many times overrides it."""
        return run(inputs)

    @abstractmethod
    def decode(self, outputs: Arrays) -> Sequence[Any]:
        """An answer for each row of the network's outputs."""

    @abstractmethod
    def agree(self, one: Any, other: Any) -> bool:
        """Whether two answers say the same first of all."""

    @abstractmethod
    def score(self, answers: Sequence[Any], truths: Sequence[Any]) -> Evaluation:
        """How good these answers are."""

    def scores(self, answers: Sequence[Any], truths: Sequence[Any]) -> dict[str, Score]:
        """The scores alone, the one that matters most first."""
        return self.score(answers, truths).scores

    def classes(self, truths: Sequence[Any]) -> list[str] | None:
        """The class of each truth; None where truths are no classes."""
        return list(truths) if all(isinstance(each, str) for each in truths) else None

    def brief(self, decoded: Any) -> str:
        """One of what `decode` gives, in a few words."""
        return " ".join(decoded.rows()[0]) if hasattr(decoded, "rows") else str(decoded)

    @classmethod
    def adopt(cls, stranger: "Stranger") -> "Adopted":
        """A task for a .tflite made elsewhere, and what its inputs and outputs must be changed by.

        Raises ModelError, with the reason or with nothing to say, if it is not of this kind.
        """
        raise ModelError

    def answer(self, raws: Sequence[Any], run: Run) -> Sequence[Any]:
        """An answer, or the DataError in its place, for each raw input."""
        inputs, failures = self.encode(raws)
        answers = iter(self.decode(self.outputs(inputs, run)) if len(failures) < len(raws) else ())
        return [failures[i] if i in failures else next(answers) for i in range(len(raws))]


def served(network) -> dict[str, Signature]:
    """The network itself as its only signature."""
    inputs = {each.name: (tuple(each.shape), each.dtype) for each in network.inputs}
    return {"serve": Signature(network, lambda given: network(given, training=False), inputs)}


def limited(default, **limits):
    """A field that a bundle.json may set within limits: see dltasks.hints.beyond."""
    return field(default=default, metadata=limits)


def words(**options):
    """A field of many words, kept as a text file of its name in the bundle, one word per line."""
    return field(metadata={"kept": (".txt", _from_words, _to_words)}, **options)


def content(**options):
    """A field of bytes, kept as a file of its name in the bundle."""
    return field(metadata={"kept": (".bin", bytes, bytes)}, repr=False, **options)


def _from_words(values: Sequence[str]) -> bytes:
    return "".join(f"{each}\n" for each in values).encode("utf-8")


def _to_words(kept: bytes) -> tuple[str, ...]:
    if kept.count(b"\n") > MOST_WORDS:
        raise ValueError(f"more than {MOST_WORDS:,}")
    return tuple(kept.decode("utf-8").splitlines())


def kept_names(kind: type[Task] | Task) -> dict[str, str]:
    """File names, by field, of what a bundle of this task keeps in files of their own."""
    return {
        each.name: each.name + each.metadata["kept"][0] for each in fields(kind) if "kept" in each.metadata
    }


def kept(task: Task) -> dict[str, bytes]:
    """Their contents by file name."""
    names = kept_names(task)
    return {
        names[each.name]: each.metadata["kept"][1](getattr(task, each.name))
        for each in fields(task)
        if each.name in names
    }


def restored(kind: type[Task], read: Callable[[str], bytes]) -> dict[str, Any]:
    """The fields that `kept` wrote. read: from a file's name to its content."""
    names = kept_names(kind)
    return {
        each.name: each.metadata["kept"][2](read(names[each.name]))
        for each in fields(kind)
        if each.name in names
    }
