"""Task: the one idea on which the package hangs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dltasks.config import TrainingConfig
from dltasks.errors import DataError, ExportError, ModelError
from dltasks.evaluation.results import Evaluation, Score, Table
from dltasks.progress import Progress

if TYPE_CHECKING:  # only data that is looked at, and files that are written or that others made, need them
    from dltasks.doctor.findings import Inspection
    from dltasks.litert.metadata import TensorDescription
    from dltasks.litert.third_party import Adapter, ThirdPartyModel
from dltasks.data.batch import Batch, Splits
from dltasks.litert.runtime import Arrays, Run


@dataclass(frozen=True)
class Signature:
    """A function of a network that can be called in an exported file.

    network: whose weights it uses. function: from named Keras tensors to named ones. inputs: shape, None where any size will do, and dtype of each.
    """

    network: Any
    function: Callable[[dict[str, Any]], dict[str, Any]]
    inputs: dict[str, tuple[tuple[int | None, ...], str]]


class Task(ABC):
    """A kind of question. Fields are what training and prediction share; methods are all the rest asks.

    A task is a frozen dataclass that derives from this class, named `TASK` in its folder's module.
    The abstract methods must be given.
    """

    config: ClassVar[type[TrainingConfig]] = TrainingConfig
    batch_size: ClassVar[int] = 8
    monitor: ClassVar[str] = "accuracy"
    """The metric of the learner that training chooses by; more is better."""
    quantized_ops: ClassVar[tuple[str, ...]] = ()
    """LiteRT's names of the only operations that "int8" and "dynamic" quantise; none named are all."""

    def check_config(self, config: TrainingConfig) -> None:
        """Raises PlanError, before any data is read, for a plan that can't be kept."""

    def validate(self) -> str:
        """What of the fields, each of its type and within its limits, makes no sense together; nothing where all does.

        Asked of a task whose fields came from a file.
        """
        return ""

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Of inputs and outputs of a file of the network, by name and without the batch axis, what this task relies on; None
        for an axis of any size."""
        return {}

    @abstractmethod
    def read(self, sources: Sequence[Any]) -> Iterator[Batch]:
        """Batches of what stands in `sources`, without truths, in their order.

        What can't be found is a DataError in the place of the raw input.
        """

    @abstractmethod
    def load_examples(self, source: Any, config: TrainingConfig | None = None) -> Batch:
        """All labelled examples of a data set as one batch. Raises DataError.

        plan: of the training that they are read for; None where a trained model is judged.
        """

    @classmethod
    @abstractmethod
    def can_load(cls, source: Any) -> bool:
        """Whether a data set looks like one for this task, at a glance."""

    @abstractmethod
    def inspect(self, source: Any, config: TrainingConfig, progress: Progress) -> "Inspection":
        """What is wrong with a data set to train on. Raises DataError where nothing can be looked at."""

    @staticmethod
    @abstractmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        """What a file of the data holds without these of its rows, as the places of findings count them."""

    @abstractmethod
    def adapt(self, examples: Batch, config: TrainingConfig) -> "Task":
        """This task, knowing what it must from the training examples. Raises DataError."""

    def notes(self, examples: Batch, inputs: Arrays) -> list[str]:
        """What is worth saying of the examples, which `inputs` are encoded from, before the work begins."""
        return []

    @abstractmethod
    def split(self, examples: Batch, inputs: Arrays, config: TrainingConfig) -> Splits:
        """Positions to train on, to choose by and to judge by; `inputs` are the encoded examples.

        Raises DataError.
        """

    def filter_known_labels(self, examples: Batch) -> tuple[Batch, list[str]]:
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
    def network(self, config: TrainingConfig):
        """A new Keras model from named inputs to named outputs, both dicts."""

    @abstractmethod
    def training_model(self, network, config: TrainingConfig, targets: Arrays):
        """A compiled Keras model that shares the network's weights and is trained in its place.

        It takes the same named inputs and targets. `targets` are those of the training part.
        """

    def augmentation(self, config: TrainingConfig, progress: float):
        """A Keras model from inputs and targets to changed ones, or None; `progress` runs from 0 to 1.

        Layers with random numbers keep a SeedGenerator in `random`.
        """
        return

    def warm_start(self, network, config: TrainingConfig, inputs: Arrays, targets: Arrays) -> None:
        """Work before the first epoch: fit the last layer to a frozen network, say."""

    def calibrate(self, network, config: TrainingConfig, inputs: Arrays, examples: Batch) -> "Task":
        """This task after the network's outputs were fitted to the validation part, of which `inputs` are encoded."""
        return self

    def signatures(self, network) -> dict[str, Signature]:
        """What a file of the network can be asked; one function, the network itself, where a task does not say."""
        return default_signature(network)

    def tensor_metadata(self) -> "dict[str, TensorDescription]":
        """What the inputs and outputs of a file hold, by name; other programs read it in its metadata."""
        return {}

    @property
    def parity_sample_size(self) -> int:
        """Examples that a written file is compared with its network on."""
        return 500

    @property
    def stream_chunk_size(self) -> int | None:
        """Length of the pieces of a stream that the `stream.tflite` of a bundle takes; None where it has no such file."""
        return None

    def streaming_network(self, network, step: int | None = None):
        """A Keras model of one step of a stream: the next piece of the inputs and the state, float32, to the outputs
        and the next state, under the names of the last.

        step: length of the piece; by default the shortest. Raises ExportError.
        """
        raise ExportError("a model of this task has no streaming form")

    def extra_files(self) -> dict[str, bytes]:
        """Files by name that a bundle of this task has beside those of every bundle; a drawing, say."""
        return {}

    def limitations(self) -> str:
        """What a card must say of the answers."""
        return ""

    def baselines(self, inputs: Arrays, examples: Batch, parts: Splits) -> tuple[Table, ...]:
        """How other methods do on the same inputs, trained and judged on the same parts."""
        return ()

    def run_network(self, inputs: Arrays, run: Run) -> Arrays:
        """What `decode` takes, of these inputs. Only a task that must run its network many times overrides it."""
        return run(inputs)

    @abstractmethod
    def decode(self, outputs: Arrays) -> Sequence[Any]:
        """An answer for each row of the network's outputs."""

    @abstractmethod
    def same_prediction(self, one: Any, other: Any) -> bool:
        """Whether two answers say the same first of all."""

    @abstractmethod
    def evaluate(self, answers: Sequence[Any], truths: Sequence[Any]) -> Evaluation:
        """How good these answers are."""

    def metrics(self, answers: Sequence[Any], truths: Sequence[Any]) -> dict[str, Score]:
        """The scores alone, the one that matters most first."""
        return self.evaluate(answers, truths).scores

    def classes(self, truths: Sequence[Any]) -> list[str] | None:
        """The class of each truth; None where truths are no classes."""
        return list(truths) if all(isinstance(each, str) for each in truths) else None

    def brief(self, decoded: Any) -> str:
        """One of what `decode` gives, in a few words."""
        return " ".join(decoded.display_rows()[0]) if hasattr(decoded, "rows") else str(decoded)

    @classmethod
    def from_third_party(cls, stranger: "ThirdPartyModel") -> "Adapter":
        """A task for a .tflite made elsewhere, and what its inputs and outputs must be changed by.

        Raises ModelError, with the reason or with nothing to say, if it is not of this kind.
        """
        raise ModelError

    def predict(self, raws: Sequence[Any], run: Run) -> Sequence[Any]:
        """An answer, or the DataError in its place, for each raw input."""
        inputs, failures = self.encode(raws)
        answers = iter(self.decode(self.run_network(inputs, run)) if len(failures) < len(raws) else ())
        return [failures[i] if i in failures else next(answers) for i in range(len(raws))]


def default_signature(network) -> dict[str, Signature]:
    """The network itself as its only signature."""
    inputs = {each.name: (tuple(each.shape), each.dtype) for each in network.inputs}
    return {"serve": Signature(network, lambda given: network(given, training=False), inputs)}
