"""Optional abilities of tasks: the methods of a protocol, or those of TrainingHooks."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from dltasks.data.batch import Batch, Splits
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress

if TYPE_CHECKING:  # predictions need neither
    from dltasks.doctor.findings import Inspection
    from dltasks.evaluation.results import Table
    from dltasks.litert.third_party import Adapter, ThirdPartyModel


LabeledInputs = tuple[Arrays, Arrays]
"""Encoded examples and their targets, by name."""

ComputeOutputs = Callable[[Any, Arrays], Arrays]
"""From a Keras model and its inputs by name to its outputs by name."""


@dataclass(frozen=True)
class Signature:
    """A function that an exported file offers.

    Attributes:
        network: The Keras model whose weights it uses.
        function: From named Keras tensors to named Keras tensors.
        inputs: Shape and dtype of each input by name, with the batch axis; None in a shape is any size.
    """

    network: Any
    function: Callable[[dict[str, Any]], dict[str, Any]]
    inputs: Mapping[str, tuple[tuple[int | None, ...], str]]


def default_signature(network: Any) -> dict[str, Signature]:
    """The network itself as the only signature, named "serve"."""
    inputs = {tensor.name: (tuple(tensor.shape), tensor.dtype) for tensor in network.inputs}
    return {"serve": Signature(network, lambda tensors: network(tensors, training=False), inputs)}


@runtime_checkable
class Stepwise(Protocol):
    """A task whose network has several signatures, or runs several times for one prediction."""

    def signatures(self, network: Any) -> dict[str, Signature]:
        """The signatures of an exported file, by name."""
        ...

    def run_network(self, encoded: Arrays, run: Run) -> Arrays:
        """Run the network on encoded inputs.

        Args:
            encoded: The network's inputs by name, with a batch axis.
            run: Runs one signature once.

        Returns:
            The outputs that `decode` takes.
        """
        ...


@runtime_checkable
class Streams(Protocol):
    """A task that also predicts on a stream, chunk by chunk."""

    @property
    def stream_chunk_size(self) -> int:
        """Length of the chunks that the stream.tflite of a bundle takes, in samples."""
        ...

    def streaming_network(self, network: Any, chunk_size: int | None = None) -> Any:
        """Convert the network to one that takes a stream.

        Args:
            network: The network.
            chunk_size: Length of a chunk, in samples; the shortest possible if None.

        Returns:
            A Keras model from a chunk of the inputs and the float32 state to the outputs and the next state,
            which has the same names.

        Raises:
            ExportError: The chunk size is not possible.
        """
        ...


@runtime_checkable
class ThirdParty(Protocol):
    """A task that can use .tflite files that dltasks did not write."""

    @classmethod
    def from_third_party(cls, model: "ThirdPartyModel") -> "Adapter":
        """Adapt a third-party file.

        Args:
            model: The file and its metadata.

        Returns:
            A task for the file, and the conversions of its inputs and outputs.

        Raises:
            ModelError: The file is not a model for this task; the message says why.
        """
        ...


@runtime_checkable
class KnownLabels(Protocol):
    """A task that knows a fixed set of labels."""

    def filter_known_labels(self, examples: Batch) -> tuple[Batch, list[str]]:
        """The examples whose labels the task can predict, and notes on the others."""
        ...


@runtime_checkable
class DataDoctor(Protocol):
    """A task whose data `dltasks doctor` inspects."""

    @classmethod
    def can_load(cls, source: Any) -> bool:
        """Whether a data set looks like one for this task, at a glance."""
        ...

    def inspect(self, source: Any, config: Any, progress: Progress) -> "Inspection":
        """Find problems of a training data set.

        Args:
            source: The data set.
            config: The training config.
            progress: Receives messages and progress.

        Returns:
            The findings.

        Raises:
            DataError: Nothing in it can be inspected.
        """
        ...

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        """The content of a data file without some rows.

        Args:
            path: The file.
            rows: Numbers of the rows, as in the locations of findings.

        Returns:
            The new content.

        Raises:
            DataError: The file can't be read.
        """
        ...


class TrainingHooks:
    """Optional steps of a training run; each does nothing by default."""

    def check_config(self, config: Any) -> None:
        """Check the config before any data is read. Raises TrainingError for settings that can't work."""

    def start(self, config: Any) -> dict[str, str] | None:
        """Name, license and source of the weights that training starts from; None for random weights."""
        return None

    def notes(self, examples: Batch, encoded: Arrays) -> list[str]:
        """Notes on the examples for the user, before training starts.

        Args:
            examples: All examples.
            encoded: The same examples as encoded by `encode`.
        """
        return []

    def warm_start(
        self,
        network: Any,
        config: Any,
        compute_outputs: ComputeOutputs,
        training: LabeledInputs,
        validation: LabeledInputs,
    ) -> None:
        """Prepare the new network, for example by fitting the last layer to a frozen backbone.

        Args:
            network: The network; its weights are changed in place.
            config: The training config.
            compute_outputs: Runs a Keras model on many inputs, fast.
            training: The encoded training examples and their targets.
            validation: The encoded validation examples and their targets.
        """

    def frozen_part(self, network: Any, config: Any) -> Any:
        """The part of the network, from its inputs on, that is not trained.

        Args:
            network: The network.
            config: The training config.

        Returns:
            A Keras model from the network's inputs to those of `training_model`; None if the whole network is
            trained.
        """
        return

    def augmentation(self, config: Any, completed: float) -> Any:
        """Build the augmentation of the training batches.

        Layers with random numbers keep their SeedGenerator in the attribute `random`.

        Args:
            config: The training config.
            completed: Fraction of the run that is completed, 0 to 1.

        Returns:
            A Keras model from inputs and targets to augmented inputs and targets, or None.
        """
        return

    def calibrate(self, network: Any, config: Any, encoded: Arrays, examples: Batch) -> Self:
        """Calibrate the task on the validation examples, after training.

        Args:
            network: The trained network.
            config: The training config.
            encoded: The encoded validation examples.
            examples: The same examples with their labels.

        Returns:
            The task with its calibrated fields.
        """
        return self

    def baselines(self, encoded: Arrays, examples: Batch, splits: Splits) -> "tuple[Table, ...]":
        """Scores of other methods, trained and tested on the same splits of the same inputs.

        Args:
            encoded: All encoded examples.
            examples: The same examples with their labels.
            splits: Indices of the splits.
        """
        return ()


def signatures_of(task: Any, network: Any) -> dict[str, Signature]:
    """The signatures of an exported file of the network, by name."""
    return task.signatures(network) if isinstance(task, Stepwise) else default_signature(network)


def run_network(task: Any, encoded: Arrays, run: Run) -> Arrays:
    """The outputs that `task.decode` takes, for encoded inputs."""
    return task.run_network(encoded, run) if isinstance(task, Stepwise) else run(encoded)


def hooks_of(task: Any) -> TrainingHooks:
    """The task's own hooks, or hooks that do nothing."""
    return task if isinstance(task, TrainingHooks) else TrainingHooks()


def known_examples(task: Any, examples: Batch) -> tuple[Batch, list[str]]:
    """The examples whose labels the task can predict, and notes on the others."""
    return task.filter_known_labels(examples) if isinstance(task, KnownLabels) else (examples, [])
