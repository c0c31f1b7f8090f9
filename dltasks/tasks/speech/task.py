"""The speech task: which command is spoken, in a clip or at what time in a stream."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data import labeled_files
from dltasks.data.batch import Batch, Splits
from dltasks.errors import ConfigError, DataError, TrainingError
from dltasks.fields import bounded, text_asset
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress
from dltasks.protocols import TrainingHooks
from dltasks.task import Description, LoadPretrained, Task
from dltasks.tasks.classification import one_hot
from dltasks.tasks.speech import audio, data, scan
from dltasks.tasks.speech.config import SpeechConfig
from dltasks.tasks.speech.data import SILENCE, UNKNOWN
from dltasks.tasks.speech.detector import DetectorConfig, OperatingPoint
from dltasks.tasks.speech.prediction import SpeechPrediction

if TYPE_CHECKING:
    from dltasks.doctor.findings import Inspection
    from dltasks.evaluation.results import Evaluation
    from dltasks.litert.third_party import Adapter, ThirdPartyModel

UNCALIBRATED_THRESHOLD = 0.5
"""Threshold of every command of a model without thresholds of its own."""

MAX_SHOWN = 5
"""Maximum number of unknown labels listed in a note."""


@dataclass(frozen=True)
class SpeechTask(TrainingHooks, Task):
    """Recordings to one of `labels`.

    Attributes:
        labels: words, `_silence_`, and `_unknown_` for other words.
        sample_rate: in hertz.
        seconds: length of the network's input, which is one window of a stream.
        top_k: number of labels in a prediction.
        hop_seconds: time from one window of a stream to the next.
        smoothing: number of windows over which a probability is averaged.
        refractory_seconds: time after a detection without another one.
        thresholds: smoothed probability from which a label is detected; 1 for what is not a command.
        operating_points: errors on a synthetic stream for each budget of false alarms per hour.
    """

    config: ClassVar[type[TrainingConfig]] = SpeechConfig
    # The log-mel inside a file is useless in 8 bits; the convolutions are not.
    quantized_ops: ClassVar[tuple[str, ...]] = ("CONV_2D", "DEPTHWISE_CONV_2D")

    labels: tuple[str, ...] = text_asset(default=())
    sample_rate: int = bounded(16_000, minimum=1000, maximum=768_000)
    seconds: float = bounded(1.0, minimum=0.01, maximum=60)
    top_k: int = bounded(3, minimum=1)
    hop_seconds: float = bounded(0.1, minimum=0.001, maximum=60)
    smoothing: int = bounded(4, minimum=1, maximum=1000)
    refractory_seconds: float = bounded(1.0, minimum=0)
    thresholds: tuple[float, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()

    def validate(self) -> str:
        if self.hop_seconds > self.seconds:
            return f"its hop of {self.hop_seconds:g} s exceeds its window of {self.seconds:g} s"
        for thresholds in (self.thresholds, *(point["thresholds"] for point in self.operating_points)):
            if thresholds and len(thresholds) != len(self.labels):
                return f"it has {len(thresholds)} thresholds for {len(self.labels)} labels"
        return ""

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"samples": (self.window_length,), "probabilities": (len(self.labels),)}

    @property
    def window_length(self) -> int:
        """Number of samples that the network takes."""
        return round(self.seconds * self.sample_rate)

    @property
    def edge_padding(self) -> int:
        """Samples of silence at both ends of a scanned clip, so that a word there is centered in a window."""
        return self.window_length // 2

    @property
    def stream_chunk_size(self) -> int:
        return round(self.hop_seconds * self.sample_rate)

    @property
    def detector_config(self) -> DetectorConfig:
        """Settings for detection in a stream."""
        commands = tuple("" if label in (UNKNOWN, SILENCE) else label for label in self.labels)
        thresholds = tuple(self.thresholds) or (UNCALIBRATED_THRESHOLD,) * len(self.labels)
        return DetectorConfig(
            commands, thresholds, self.smoothing, self.refractory_seconds, self.hop_seconds, self.seconds
        )

    def with_budget(self, budget: float) -> "SpeechTask":
        """This task with the thresholds for another budget of false alarms per hour. Raises ConfigError."""
        thresholds = {point["budget_per_hour"]: point["thresholds"] for point in self.operating_points}
        if budget not in thresholds:
            available = ", ".join(f"{value:g}" for value in sorted(thresholds)) or "none"
            option = f"--false-alarms-per-hour {budget:g}"
            raise ConfigError(f"{option}: this model has thresholds for {available}")
        return replace(self, thresholds=tuple(thresholds[budget]))

    # Data

    def check_config(self, config: SpeechConfig) -> None:
        from dltasks.tasks.speech.network import STEP_LENGTH, min_samples

        samples = config.seconds * self.sample_rate
        if samples % STEP_LENGTH or samples < min_samples():
            raise TrainingError(
                f"--seconds {config.seconds:g}: expected a multiple of {STEP_LENGTH / self.sample_rate:g}, "
                f"at least {min_samples() / self.sample_rate:g}"
            )

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labeled_files.iter_batches(sources, self.batch_size, data.RECORDINGS)

    def load_examples(self, source: Any, config: SpeechConfig | None = None) -> Batch:
        return data.load_examples(source)

    @classmethod
    def can_load(cls, source: Any) -> bool:
        return labeled_files.has_files(source, data.RECORDINGS)

    def inspect(self, source: Any, config: SpeechConfig, progress: Progress) -> "Inspection":
        from dltasks.tasks.speech.inspection import inspect

        return inspect(self, source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        return labeled_files.drop_rows(path, rows)

    def adapt(self, examples: Batch, config: SpeechConfig) -> "SpeechTask":
        labels = data.select_labels(examples.labels, config.words)
        return replace(self, labels=labels, seconds=config.seconds)

    def notes(self, examples: Batch, encoded: Arrays) -> list[str]:
        return data.training_notes(examples, self.labels, audio.level_db(encoded["samples"]))

    def filter_known_labels(self, examples: Batch) -> tuple[Batch, list[str]]:
        unknown = sorted(set(examples.labels) - set(self.labels))
        if not unknown:
            return examples, []
        shown = ", ".join(unknown[:MAX_SHOWN]) + (" ..." if len(unknown) > MAX_SHOWN else "")
        if UNKNOWN in self.labels:
            return examples, [f"counted as {UNKNOWN}: {shown}"]
        indices = [i for i, label in enumerate(examples.labels) if label in self.labels]
        left_out = len(examples) - len(indices)
        return examples.take(indices), [f"{left_out} clips left out: the model does not know {shown}"]

    def split(self, examples: Batch, encoded: Arrays, config: SpeechConfig) -> Splits:
        from dltasks.tasks.speech.split import split_examples

        return split_examples(examples, encoded["samples"], config)

    def encode(self, inputs: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        clips, failures = [], {}
        for index, source in enumerate(inputs):
            try:
                clips.append(audio.load(source, self.sample_rate, self.window_length))
            except DataError as error:
                failures[index] = error
        return {"samples": np.array(clips, np.float32).reshape(-1, self.window_length)}, failures

    def label_indices(self, labels: Sequence[str]) -> list[int]:
        """Indices in the task's labels; that of `_unknown_` for a word that is none of them."""
        indices = {label: i for i, label in enumerate(self.labels)}
        return [indices[label] if label in indices else indices[UNKNOWN] for label in labels]

    def target(self, labels: Sequence[Any]) -> Arrays:
        return {"probabilities": one_hot(self.label_indices(labels), len(self.labels))}

    # Network

    def network(self, config: SpeechConfig, load_pretrained: LoadPretrained) -> Any:
        from dltasks.tasks.speech.network import build

        return build(len(self.labels), self.window_length, self.sample_rate)

    def training_model(self, network: Any, config: SpeechConfig, targets: Arrays) -> Any:
        from dltasks.tasks.speech.network import training_model

        return training_model(network, config, targets["probabilities"])

    def augmentation(self, config: SpeechConfig, completed: float) -> Any:
        from dltasks.tasks.speech.augmentation import augmentation

        return augmentation(self.window_length, self.labels, config)

    def calibrate(self, network: Any, config: SpeechConfig, encoded: Arrays, examples: Batch) -> "SpeechTask":
        from dltasks.tasks.speech.calibration import calibrate

        return calibrate(self, network, config, encoded["samples"], examples)

    def streaming_network(self, network: Any, chunk_size: int | None = None) -> Any:
        from dltasks.tasks.speech.network import STEP_LENGTH, streaming_network

        return streaming_network(network, chunk_size or STEP_LENGTH)

    # Predictions

    def decode(self, outputs: Arrays) -> list[SpeechPrediction]:
        return [SpeechPrediction(self.labels, row, self.top_k) for row in outputs["probabilities"]]

    def predict(self, inputs: Sequence[Any], run: Run) -> list[Any]:
        return scan.predict(self, inputs, run)

    def evaluate(
        self, predictions: Sequence[SpeechPrediction], labels: Sequence[Any], tables: bool = True
    ) -> "Evaluation":
        from dltasks.tasks.speech.metrics import evaluate

        return evaluate(self, np.stack([prediction.probabilities for prediction in predictions]), labels)

    def same_prediction(self, first: SpeechPrediction, second: SpeechPrediction) -> bool:
        return first.has_same_label(second)

    # The task itself

    def describe(self) -> Description:
        from dltasks.litert.metadata import AUDIO, TensorDescription
        from dltasks.tasks.speech.metrics import describe_limitations

        content = f"sound, one channel, {self.sample_rate} samples per second, -1 to 1"
        tensors = {
            "samples": TensorDescription(content, AUDIO, self.sample_rate),
            "probabilities": TensorDescription("probability of each label, 0 to 1", labels="labels.txt"),
        }
        plots = {"false_alarms.png": self._plot} if self.operating_points else {}
        return Description(tensors, describe_limitations(self), plots)

    def _plot(self) -> bytes:
        from dltasks.tasks.speech.plot import plot_operating_points

        return plot_operating_points(self.operating_points)

    @classmethod
    def from_third_party(cls, model: "ThirdPartyModel") -> "Adapter":
        from dltasks.tasks.speech.third_party import create_adapter

        return create_adapter(cls, model)
