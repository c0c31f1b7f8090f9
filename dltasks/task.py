"""Task: the one idea on which the package hangs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from dltasks.config import TrainingConfig
from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.evaluation.results import Evaluation
from dltasks.litert.runtime import Arrays, Run

if TYPE_CHECKING:  # written files need it, predictions do not
    from dltasks.litert.metadata import TensorDescription

LoadPretrained = Callable[[str], Any]
"""From the name of a bundled model, or the path of a bundle, to its Keras network; None where there is no such bundle."""


@dataclass(frozen=True)
class Description:
    """What is written about a model of a task.

    tensors: what the inputs and outputs of its file hold, by name; other programs read this in the file's metadata.
    limitations: a paragraph of the model card. extra_files: files by name that its bundle has beside those of every bundle, each
    as a function that makes its content. parity_sample_size: examples that an exported file is compared with its network on.
    """

    tensors: "dict[str, TensorDescription]" = field(default_factory=dict)
    limitations: str = ""
    extra_files: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    parity_sample_size: int = 500


class Task(ABC):
    """A kind of question that a network answers.

    A task is a frozen dataclass that derives from this class, in a folder of its own under dltasks/tasks that exports it as
    `TASK`. Its fields are what training and prediction share, saved with the weights; its methods are all that the rest of the
    package asks of it. What only some tasks can do is in dltasks.protocols.

    config: the class of its training settings, a subclass of TrainingConfig; methods that take a `config` take an instance of it.
    batch_size: inputs that are encoded and predicted at once. monitor: the metric of the
    training model that picks the best epoch; higher is better. quantized_ops: LiteRT's names of the only operations that "int8"
    and "dynamic" quantize; all of them where none is named.
    """

    config: ClassVar[type[TrainingConfig]] = TrainingConfig
    batch_size: ClassVar[int] = 8
    monitor: ClassVar[str] = "accuracy"
    quantized_ops: ClassVar[tuple[str, ...]] = ()

    # Data

    @abstractmethod
    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        """Batches of the inputs in `sources`, without labels, in order.

        An input that does not exist is a DataError in its place.
        """

    @abstractmethod
    def load_examples(self, source: Any, config: Any = None) -> Batch:
        """All labeled examples of a data set as one batch.

        config: of the training that they are loaded for; None where a trained model is evaluated. Raises DataError.
        """

    @abstractmethod
    def adapt(self, examples: Batch, config: Any) -> Self:
        """This task with all that it must know of its training examples: labels, a vocabulary. Raises DataError."""

    @abstractmethod
    def split(self, examples: Batch, encoded: Arrays, config: Any) -> Splits:
        """Indices of the training, validation and test examples; `encoded` holds the same examples. Raises DataError."""

    @abstractmethod
    def encode(self, inputs: Any) -> tuple[Arrays, dict[int, DataError]]:
        """The network's named inputs with a batch axis, and the failures by index in `inputs`.

        This is the only preprocessing: training, evaluation and prediction all call it. Arrays hold the inputs that did
        not fail, in order.
        """

    @abstractmethod
    def target(self, labels: Any) -> Arrays:
        """The outputs that the network is trained to give for these labels, by name."""

    # Network

    @abstractmethod
    def network(self, config: Any, load_pretrained: LoadPretrained) -> Any:
        """A new Keras model from named inputs to named outputs, both dicts."""

    @abstractmethod
    def training_model(self, network: Any, config: Any, targets: Arrays) -> Any:
        """A compiled Keras model that shares the network's weights and is trained in its place.

        It has the same named inputs and targets. targets: those of the training examples.
        """

    # Predictions

    @abstractmethod
    def decode(self, outputs: Arrays) -> Sequence[Any]:
        """A prediction for each row of the network's outputs."""

    def predict(self, inputs: Any, run: Run) -> Sequence[Any]:
        """A prediction for each input, or the DataError in its place."""
        encoded, failures = self.encode(inputs)
        predictions = iter(self.decode(run(encoded)) if len(failures) < len(inputs) else ())
        return [failures[i] if i in failures else next(predictions) for i in range(len(inputs))]

    @abstractmethod
    def evaluate(self, predictions: Any, labels: Any, tables: bool = True) -> Evaluation:
        """Scores of these predictions, the most important first.

        tables: whether tables beside the scores are wanted; without them no more is computed than the scores.
        """

    @abstractmethod
    def same_prediction(self, first: Any, second: Any) -> bool:
        """Whether two predictions have the same top-1 result."""

    # The task itself

    def validate(self) -> str:
        """What is inconsistent in the fields, each of its type and within its bounds; empty where nothing is.

        Called on a task whose fields were read from a file.
        """
        return ""

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Shapes of the inputs and outputs that this task relies on, by name and without the batch axis.

        None matches any size.
        """
        return {}

    def describe(self) -> Description:
        """What is written about a model of this task."""
        return Description()
