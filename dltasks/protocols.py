"""What only some tasks can do: a task takes part by having the methods of a protocol, or by deriving from TrainingHooks."""

from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from dltasks.data.batch import Batch, Splits
from dltasks.evaluation.results import Table
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress

if TYPE_CHECKING:  # predictions need neither
    from dltasks.doctor.findings import Inspection
    from dltasks.litert.third_party import Adapter, ThirdPartyModel


@dataclass(frozen=True)
class Signature:
    """A function of a network that an exported file offers.

    network: the Keras model whose weights it uses. function: from named Keras tensors to named ones. inputs: shape and dtype of
    each input by name; None in a shape is any size.
    """

    network: Any
    function: Callable[[dict[str, Any]], dict[str, Any]]
    inputs: dict[str, tuple[tuple[int | None, ...], str]]


def default_signature(network: Any) -> dict[str, Signature]:
    """The network itself as its only signature."""
    inputs = {tensor.name: (tuple(tensor.shape), tensor.dtype) for tensor in network.inputs}
    return {"serve": Signature(network, lambda tensors: network(tensors, training=False), inputs)}


@runtime_checkable
class Stepwise(Protocol):
    """A task whose network has several signatures, or is run many times for one prediction."""

    def signatures(self, network: Any) -> dict[str, Signature]:
        """The functions of an exported file, by name."""
        ...

    def run_network(self, encoded: Arrays, run: Run) -> Arrays:
        """The outputs that `decode` takes, for these encoded inputs."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A task that also predicts on a stream, a chunk at a time."""

    @property
    def stream_chunk_size(self) -> int:
        """Length of the chunks that the stream.tflite of a bundle takes."""
        ...

    def streaming_network(self, network: Any, chunk_size: int | None = None) -> Any:
        """A Keras model from a chunk of the inputs and the state, float32, to the outputs and the next state, which has the
        names of the last.

        chunk_size: the shortest possible by default. Raises ExportError.
        """
        ...


@runtime_checkable
class ThirdParty(Protocol):
    """A task that can use a .tflite which dltasks did not write."""

    @classmethod
    def from_third_party(cls, model: "ThirdPartyModel") -> "Adapter":
        """A task for the file, and how its inputs and outputs are converted.

        Raises ModelError with the reason if the file is not a model for this task.
        """
        ...


@runtime_checkable
class KnownLabels(Protocol):
    """A task that knows a fixed set of labels."""

    def filter_known_labels(self, examples: Batch) -> tuple[Batch, list[str]]:
        """The examples whose labels this task can predict, and notes on the others."""
        ...


@runtime_checkable
class DataDoctor(Protocol):
    """A task whose data `dltasks doctor` inspects."""

    @classmethod
    def can_load(cls, source: Any) -> bool:
        """Whether a data set looks like one for this task, at a glance."""
        ...

    def inspect(self, source: Any, config: Any, progress: Progress) -> "Inspection":
        """What is wrong with a data set to train on. Raises DataError where nothing in it can be inspected."""
        ...

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        """The content of a data file without these rows, numbered as the locations of findings are."""
        ...


class TrainingHooks:
    """Steps of a training run that a task may fill in; each does nothing by default."""

    def check_config(self, config: Any) -> None:
        """Raises TrainingError, before any data is read, for settings that can't work."""

    def notes(self, examples: Batch, encoded: Arrays) -> list[str]:
        """What the user should know of the examples before training starts; `encoded` holds the same examples."""
        return []

    def warm_start(self, network: Any, config: Any, encoded: Arrays, targets: Arrays) -> None:
        """Prepare the new network with the training examples: fit the last layer to a frozen backbone, say."""

    def augmentation(self, config: Any, completed: float) -> Any:
        """A Keras model from inputs and targets to augmented ones, or None.

        completed: fraction of the run, 0 to 1. Layers with random numbers keep a SeedGenerator in `random`.
        """
        return

    def calibrate(self, network: Any, config: Any, encoded: Arrays, examples: Batch) -> Self:
        """This task once the network's outputs are fitted to the validation examples, which `encoded` holds too."""
        return self

    def baselines(self, encoded: Arrays, examples: Batch, splits: Splits) -> tuple[Table, ...]:
        """Scores of other methods, trained and tested on the same splits of the same inputs."""
        return ()


def signatures_of(task: Any, network: Any) -> dict[str, Signature]:
    """The functions that an exported file of the network offers, by name."""
    return task.signatures(network) if isinstance(task, Stepwise) else default_signature(network)


def run_network(task: Any, encoded: Arrays, run: Run) -> Arrays:
    """The outputs that `task.decode` takes, for these encoded inputs."""
    return task.run_network(encoded, run) if isinstance(task, Stepwise) else run(encoded)


def hooks_of(task: Any) -> TrainingHooks:
    """The task's own hooks, or those that do nothing."""
    return task if isinstance(task, TrainingHooks) else TrainingHooks()


def known_examples(task: Any, examples: Batch) -> tuple[Batch, list[str]]:
    """The examples whose labels the task can predict, and notes on the others."""
    return task.filter_known_labels(examples) if isinstance(task, KnownLabels) else (examples, [])
