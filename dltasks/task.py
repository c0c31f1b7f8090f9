"""Task: the interface that every kind of model implements, and on which the rest of the package builds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from dltasks.config import TrainingConfig
from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.litert.runtime import Arrays, Run

if TYPE_CHECKING:  # export needs it, predictions do not
    from dltasks.evaluation.results import Evaluation
    from dltasks.litert.metadata import TensorDescription

LoadPretrained = Callable[[str], Any]
"""From a bundled model's name or a bundle's path to its Keras network; None if there is no such bundle."""


@dataclass(frozen=True)
class Description:
    """Documentation of a model, written to its files.

    Attributes:
        tensors: Contents of the network's inputs and outputs by name, for the metadata of the .tflite file.
        limitations: A paragraph of the model card, in Markdown.
        extra_files: Further files of the bundle: functions that return their contents, by file name.
        parity_sample_size: Number of examples on which an exported file is compared with its network.
    """

    tensors: "dict[str, TensorDescription]" = field(default_factory=dict)
    limitations: str = ""
    extra_files: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    parity_sample_size: int = 500


class Task(ABC):
    """A kind of model: its data, its network and training, its predictions and their scores.

    A task is a frozen dataclass derived from this class, in a folder of its own under dltasks/tasks that
    exports it as `TASK`. Its fields are the state that training and prediction share, saved with the weights.
    Abilities that only some tasks have are in dltasks.protocols.

    Attributes:
        config: Class of its training settings; methods with a `config` argument get an instance of it.
        batch_size: Number of inputs that are encoded and predicted at once.
        monitor: Metric of the training model that selects the best epoch; higher is better.
        quantized_ops: LiteRT's names of the operations that "int8" and "dynamic" quantize; all if empty.
    """

    config: ClassVar[type[TrainingConfig]] = TrainingConfig
    batch_size: ClassVar[int] = 8
    monitor: ClassVar[str] = "accuracy"
    quantized_ops: ClassVar[tuple[str, ...]] = ()

    # Data

    @abstractmethod
    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        """Read inputs without labels.

        Args:
            sources: Paths of files or folders, or data in memory.

        Yields:
            Batches of at most `batch_size` inputs, in order; an input that does not exist is a DataError in
            its place.
        """

    @abstractmethod
    def load_examples(self, source: Any, config: Any = None) -> Batch:
        """Load a labeled data set.

        Args:
            source: A folder, a file, or whatever else the task reads.
            config: The training config; None for the evaluation of a trained model.

        Returns:
            All examples as one batch.

        Raises:
            DataError: The data can't be read or makes no sense.
        """

    @abstractmethod
    def adapt(self, examples: Batch, config: Any) -> Self:
        """Adapt the task to its training data: its labels, a vocabulary.

        Args:
            examples: All examples of the data set.
            config: The training config.

        Returns:
            A task whose fields describe this data.

        Raises:
            DataError: The data is not sufficient.
        """

    @abstractmethod
    def split(self, examples: Batch, encoded: Arrays, config: Any) -> Splits:
        """Split the examples into training, validation and test sets.

        Args:
            examples: All examples.
            encoded: The same examples as encoded by `encode`.
            config: The training config.

        Returns:
            Disjoint indices of the examples of each split.

        Raises:
            DataError: There are too few examples.
        """

    @abstractmethod
    def encode(self, inputs: Any) -> tuple[Arrays, dict[int, DataError]]:
        """Preprocess raw inputs; training, evaluation and prediction have no other preprocessing.

        Args:
            inputs: The raw inputs of a batch.

        Returns:
            The network's inputs by name, with a batch axis, for the inputs that could be encoded, in order;
            and the failures by index in `inputs`.
        """

    @abstractmethod
    def target(self, labels: Any) -> Arrays:
        """Training targets.

        Args:
            labels: The labels of a batch.

        Returns:
            The desired outputs of the training model by name, with a batch axis.
        """

    # Network

    @abstractmethod
    def network(self, config: Any, load_pretrained: LoadPretrained) -> Any:
        """Build the network.

        Args:
            config: The training config.
            load_pretrained: Loads the network of another bundle, for transfer learning.

        Returns:
            A new Keras model whose inputs and outputs are dicts of named tensors.
        """

    @abstractmethod
    def training_model(self, network: Any, config: Any, targets: Arrays) -> Any:
        """Build the model that is trained.

        Args:
            network: The network.
            config: The training config.
            targets: Targets of the training examples.

        Returns:
            A compiled Keras model that shares the network's weights; its inputs have the network's names, its
            outputs those of the targets.
        """

    # Predictions

    @abstractmethod
    def decode(self, outputs: Arrays) -> Sequence[Any]:
        """Convert outputs of the network to predictions.

        Args:
            outputs: Arrays by name, with a batch axis.

        Returns:
            One prediction per row.
        """

    def predict(self, inputs: Any, run: Run) -> Sequence[Any]:
        """Predict raw inputs.

        Args:
            inputs: The raw inputs of a batch.
            run: Runs the network.

        Returns:
            One prediction per input, or the DataError in its place.
        """
        encoded, failures = self.encode(inputs)
        predictions = iter(self.decode(run(encoded)) if len(failures) < len(inputs) else ())
        return [failures[i] if i in failures else next(predictions) for i in range(len(inputs))]

    @abstractmethod
    def evaluate(self, predictions: Any, labels: Any, tables: bool = True) -> "Evaluation":
        """Score predictions.

        Args:
            predictions: Predictions, none of them failed.
            labels: Their labels.
            tables: Whether to compute tables in addition to the scores.

        Returns:
            The scores, the most important first.
        """

    @abstractmethod
    def same_prediction(self, first: Any, second: Any) -> bool:
        """Whether two predictions have the same top-1 result."""

    # The task itself

    def validate(self) -> str:
        """Check the consistency of the fields, which have the right types and are within their limits.

        Called on a task whose fields were read from a file.

        Returns:
            What is inconsistent, in a few words; empty if nothing is.
        """
        return ""

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Expected shapes of the network's inputs and outputs.

        Returns:
            Shapes by name, without the batch axis; None matches any size.
        """
        return {}

    def describe(self) -> Description:
        """Documentation of a model of this task, for its card and the metadata of its file."""
        return Description()
