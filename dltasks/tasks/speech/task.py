"""Which command is spoken: in a clip, or when in a stream."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data import labeled_files
from dltasks.data.batch import Batch, Splits
from dltasks.errors import ConfigError, DataError, ModelError, TrainingError
from dltasks.evaluation.results import Evaluation
from dltasks.fields import bounded, text_asset
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress
from dltasks.protocols import TrainingHooks
from dltasks.task import Description, LoadPretrained, Task
from dltasks.tasks.classification import ClassPrediction, one_hot
from dltasks.tasks.speech import data, sound
from dltasks.tasks.speech.data import SILENCE, UNKNOWN
from dltasks.tasks.speech.detector import Hearing, smoothed

if TYPE_CHECKING:
    from dltasks.doctor.findings import Inspection
    from dltasks.litert.third_party import Adapter, ThirdPartyModel
from dltasks.tasks.speech.config import SpeechConfig

UNCALIBRATED_THRESHOLD = 0.5
"""Threshold of every command of a model that does not bring its own."""


@dataclass(frozen=True)
class SpeechPrediction(ClassPrediction):
    """Which command a clip holds: the most probable labels.

    time_seconds: of a clip longer than the network hears at once, the middle of where it was heard.
    """

    time_seconds: float | None = None

    @property
    def command(self) -> str:
        return self.labels[0].label

    @property
    def probability(self) -> float:
        return self.labels[0].probability

    def __repr__(self) -> str:
        return f"SpeechAnswer(command={self.command!r}, probability={self.probability:.4f})"

    def to_json(self) -> dict[str, Any]:
        """The command, its probability, the next labels; and where it was heard in a longer clip."""
        found = {
            "command": self.command,
            "probability": round(self.probability, 4),
            "labels": self.labels_json(),
        }
        return found if self.time_seconds is None else {**found, "time_seconds": round(self.time_seconds, 3)}

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `records`."""
        return "rank", "label", "probability", "time_seconds"

    def csv_rows(self) -> list[tuple]:
        """A row for each label, for CSV."""
        return self.ranked("" if self.time_seconds is None else f"{self.time_seconds:.3f}")

    def note(self) -> str:
        """What people should know of this answer, or nothing."""
        return "" if self.time_seconds is None else f"at {self.time_seconds:.2f} s"


class OperatingPoint(TypedDict):
    """How a listener does with the thresholds for a budget of false alarms an hour."""

    budget_per_hour: float
    thresholds: list[float]


@dataclass(frozen=True)
class SpeechTask(TrainingHooks, Task):
    """Recordings to one of `labels`, through a network that hears `seconds` at `sample_rate` hertz at once.

    Listening: a window every `hop_seconds`; probabilities averaged over `smoothing` windows; a command counts
    above its threshold (by label; 1 for what is no command), and then nothing for `refractory_seconds`.
    operating_points: of a listener on a recording of known words, for each budget of false alarms an hour.
    """

    config: ClassVar[type[TrainingConfig]] = SpeechConfig
    # The log-mel inside a file loses its meaning in 8 bits; the convolutions do not.
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
            return f"it hears {self.seconds:g} s every {self.hop_seconds:g} s"
        for thresholds in (self.thresholds, *(each["thresholds"] for each in self.operating_points)):
            if thresholds and len(thresholds) != len(self.labels):
                return f"it has {len(thresholds)} thresholds for {len(self.labels)} labels"
        return ""

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"samples": (self.length,), "probabilities": (len(self.labels),)}

    @property
    def length(self) -> int:
        """Samples that the network hears at once."""
        return round(self.seconds * self.sample_rate)

    @property
    def edge(self) -> int:
        """Samples of silence that a long clip is scanned between, so that a word at either end stands in a middle."""
        return self.length // 2

    @property
    def hearing(self) -> Hearing:
        """How the model listens to a stream."""
        commands = tuple("" if each in (UNKNOWN, SILENCE) else each for each in self.labels)
        thresholds = tuple(self.thresholds) or (UNCALIBRATED_THRESHOLD,) * len(self.labels)
        return Hearing(
            commands, thresholds, self.smoothing, self.refractory_seconds, self.hop_seconds, self.seconds
        )

    def at(self, budget: float) -> "SpeechTask":
        """This task listening with the thresholds for another budget of false alarms an hour. Raises SettingError."""
        points = {each["budget_per_hour"]: each["thresholds"] for each in self.operating_points}
        if budget not in points:
            there = ", ".join(f"{each:g}" for each in sorted(points)) or "none"
            raise ConfigError(f"--false-alarms-per-hour {budget:g}: this model has thresholds for {there}")
        return replace(self, thresholds=tuple(points[budget]))

    def check_config(self, config: TrainingConfig) -> None:
        from dltasks.tasks.speech.network import STEP, shortest

        samples = config.seconds * self.sample_rate
        if samples % STEP or samples < shortest():
            raise TrainingError(
                f"--seconds {config.seconds:g}: wanted a multiple of {STEP / self.sample_rate:g}, at least "
                f"{shortest() / self.sample_rate:g}"
            )

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labeled_files.iter_batches(sources, self.batch_size, data.SOUNDS)

    def load_examples(self, source: Any, config: TrainingConfig | None = None) -> Batch:
        return data.load_examples(source)

    @classmethod
    def can_load(cls, source: Any) -> bool:
        return labeled_files.has_files(source, data.SOUNDS)

    def inspect(self, source: Any, config: TrainingConfig, progress: Progress) -> "Inspection":
        from dltasks.tasks.speech.inspection import inspect

        return inspect(self, source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        return labeled_files.drop_rows(path, rows)

    def adapt(self, examples: Batch, config: TrainingConfig) -> "SpeechTask":
        there = set(examples.labels)
        if data.BACKGROUND_NOISE in there:
            raise DataError(f"{data.BACKGROUND_NOISE} as a label: call clips without words {SILENCE}")
        commands = there - {UNKNOWN, SILENCE}
        if config.words:
            wanted = {each.strip() for each in config.words.split(",")}
            if named := sorted(wanted & {UNKNOWN, SILENCE}):
                raise DataError(f"--words: {named[0]} is no command; name words")
            if missing := sorted(wanted - there):
                raise DataError(
                    f"--words: no clips of {', '.join(missing)}; there are {', '.join(sorted(there))}"
                )
            others, commands = commands - wanted, wanted
            there |= {UNKNOWN} if others else set()
        if not commands:
            raise DataError(f"no commands, only {', '.join(sorted(there))}; wanted one folder a word")
        if len(commands) == 1 and UNKNOWN not in there:
            raise DataError(
                f"one word only ({min(commands)!r}): nothing to tell it from; wanted two or more, or other words in "
                f"{UNKNOWN}/"
            )
        labels = tuple(sorted({*commands, SILENCE, *(there & {UNKNOWN})}))
        return replace(self, labels=labels, seconds=config.seconds)

    def notes(self, examples: Batch, inputs: Arrays) -> list[str]:
        """What is worth saying of the training data."""
        from dltasks.tasks.speech.split import silent

        notes = []
        if quiet := silent(examples, sound.level(inputs["samples"])):
            shown = ", ".join(examples.source_names[i] for i in quiet[:3]) + (
                ", ..." if len(quiet) > 3 else ""
            )
            clips = "1 clip of a word is" if len(quiet) == 1 else f"{len(quiet)} clips of words are"
            notes.append(f"{clips} silent (below {sound.QUIET:g} dB of full scale) and left out: {shown}")
        if SILENCE not in examples.labels:
            notes.append(
                f"no recordings of the place where it will listen; put some into {data.BACKGROUND_NOISE}/, as silence is "
                "now only white noise"
            )
        if UNKNOWN not in self.labels:
            notes.append(f"no {UNKNOWN} folder of other words: every word will be taken for one of these")
        return notes

    def filter_known_labels(self, examples: Batch) -> tuple[Batch, list[str]]:
        strange = sorted(set(examples.labels) - set(self.labels))
        if not strange:
            return examples, []
        shown = ", ".join(strange[:5]) + (" ..." if len(strange) > 5 else "")
        if UNKNOWN in self.labels:
            return examples, [f"counted as {UNKNOWN}: {shown}"]
        kept = [i for i, truth in enumerate(examples.labels) if truth in self.labels]
        left = len(examples) - len(kept)
        return examples.take(kept), [f"{left} clips left out: the model does not know {shown}"]

    def split(self, examples: Batch, inputs: Arrays, config: TrainingConfig) -> Splits:
        from dltasks.tasks.speech.split import divide

        return divide(examples, inputs["samples"], config)

    def encode(self, raws: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        clips, failures = [], {}
        for position, raw in enumerate(raws):
            try:
                clips.append(sound.load(raw, self.sample_rate, self.length))
            except DataError as error:
                failures[position] = error
        return {"samples": np.array(clips, np.float32).reshape(-1, self.length)}, failures

    def places(self, truths: Sequence[str]) -> list[int]:
        """Positions in `labels`; a word that is no label is an unknown one."""
        position = {label: i for i, label in enumerate(self.labels)}
        return [position[each] if each in position else position[UNKNOWN] for each in truths]

    def target(self, truths: Sequence[Any]) -> Arrays:
        return {"probabilities": one_hot(self.places(truths), len(self.labels))}

    def network(self, config: TrainingConfig, load_pretrained: LoadPretrained):
        from dltasks.tasks.speech.network import build

        return build(len(self.labels), self.length, self.sample_rate)

    def describe(self) -> Description:
        from dltasks.litert.metadata import AUDIO, TensorDescription
        from dltasks.tasks.speech.metrics import limitations

        heard = f"sound, one channel, {self.sample_rate} samples a second, -1 to 1"
        tensors = {
            "samples": TensorDescription(heard, AUDIO, self.sample_rate),
            "probabilities": TensorDescription("probability of each label, 0 to 1", labels="labels.txt"),
        }
        plots = {"false_alarms.png": self._plot} if self.operating_points else {}
        return Description(tensors, limitations(self), plots)

    def _plot(self) -> bytes:
        from dltasks.tasks.speech.plot import drawn

        return drawn(self.operating_points)

    def training_model(self, network, config: TrainingConfig, targets: Arrays):
        from dltasks.tasks.speech.network import training_model

        return training_model(network, config, targets["probabilities"])

    def augmentation(self, config: TrainingConfig, completed: float):
        from dltasks.tasks.speech.augmentation import augmentation

        return augmentation(self.length, self.labels, config)

    def calibrate(self, network, config: TrainingConfig, inputs: Arrays, examples: Batch) -> "SpeechTask":
        from dltasks.tasks.speech.calibration import calibrate

        return calibrate(self, network, config, inputs["samples"], examples)

    @property
    def stream_chunk_size(self) -> int:
        return round(self.hop_seconds * self.sample_rate)

    def streaming_network(self, network, step: int | None = None):
        from dltasks.tasks.speech.network import STEP, streaming

        return streaming(network, step or STEP)

    def decode(self, outputs: Arrays) -> list[SpeechPrediction]:
        return [SpeechPrediction(self.labels, row, self.top_k) for row in outputs["probabilities"]]

    def predict(self, raws: Sequence[Any], run: Run) -> list[Any]:
        """As every task; a clip longer than the network hears at once is scanned for the surest command."""
        answers: list[Any] = [None] * len(raws)
        short: dict[int, np.ndarray] = {}
        for position, raw in enumerate(raws):
            try:
                stretches = self._stretches(raw)
                first, second = next(stretches), next(stretches, None)
                if second is None and len(first) == 1:
                    short[position] = first[0]
                else:
                    answers[position] = self._scanned(
                        [first, *([] if second is None else [second])], stretches, run
                    )
            except DataError as error:
                answers[position] = error
        if short:
            decoded = self.decode(run({"samples": np.stack(list(short.values()))}))
            for position, answer in zip(short, decoded, strict=True):
                answers[position] = answer
        return answers

    def _stretches(self, raw) -> Iterator[np.ndarray]:
        """float32 (count, length): a short clip as `encode` gives it, of a long one its windows."""
        if isinstance(raw, sound.Clip) and raw.start is not None:
            yield sound.load(raw, self.sample_rate, self.length)[None]
            return
        hop, silence = round(self.hop_seconds * self.sample_rate), np.zeros(self.edge, np.float32)
        heard = np.zeros(0, np.float32)
        blocks = sound.blocks(raw, self.sample_rate)
        for block in blocks:
            heard = np.concatenate([heard, block])
            if len(heard) > self.length:
                framed = chain([silence, heard], blocks, [silence])
                yield from sound.windows(framed, self.length, hop)
                return
        yield sound.fitted(heard, self.length)[None]

    def _scanned(self, begun: list[np.ndarray], more: Iterator[np.ndarray], run: Run) -> SpeechPrediction:
        """The answer of the windows in which a command is surest; failing that another word, or silence."""
        rows = [run({"samples": each})["probabilities"] for each in chain(begun, more)]
        probabilities = np.concatenate(rows)
        averaged = smoothed(probabilities, min(self.smoothing, len(probabilities)))
        hearing = replace(self.hearing, smoothing=min(self.smoothing, len(probabilities)))
        best = max(range(len(averaged)), key=lambda row: (self._rank(averaged[row]), averaged[row].max()))
        time = hearing.times(hearing.smoothing - 1, len(averaged))[best] - self.edge / self.sample_rate
        return SpeechPrediction(self.labels, averaged[best], self.top_k, max(0.0, float(time)))

    def _rank(self, probabilities: np.ndarray) -> int:
        """2 for a command, 1 for another word, 0 for silence."""
        return {SILENCE: 0, UNKNOWN: 1}.get(self.labels[int(probabilities.argmax())], 2)

    def same_prediction(self, one: SpeechPrediction, other: SpeechPrediction) -> bool:
        return one.agrees(other)

    def evaluate(
        self, answers: Sequence[SpeechPrediction], truths: Sequence[Any], tables: bool = True
    ) -> Evaluation:
        from dltasks.tasks.speech.metrics import evaluate

        return evaluate(self, np.stack([each.probabilities for each in answers]), truths)

    @classmethod
    def from_third_party(cls, stranger: "ThirdPartyModel") -> "Adapter":
        from dltasks.litert.third_party import Adapter

        runtime, labels = stranger.runtime, stranger.label_names()
        if runtime.signatures or len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
            raise ModelError("a model of spoken commands has one input and one output")
        (taken, samples), (given, output) = *runtime.inputs.items(), *runtime.outputs.items()
        shape, given_shape = (tuple(map(int, each["shape"])) for each in (samples, output))
        if len(shape) != 2 or shape[1] < 1600 or samples["dtype"] != np.float32:
            taken = f"{np.dtype(samples['dtype']).name} ({', '.join(map(str, shape))})"
            raise ModelError(f"its input is {taken}; a model of spoken commands takes float32 (1, samples)")
        if len(given_shape) != 2:
            raise ModelError(f"its output is {given_shape}; a model of spoken commands gives (1, labels)")
        if not labels:
            raise ModelError("it carries no labels; give a text file of one label a line with --labels")
        if len(labels) != given_shape[1]:
            raise ModelError(f"it has {given_shape[1]} outputs and there are {len(labels)} labels")
        task = cls(labels=tuple(labels), seconds=shape[1] / cls.sample_rate)
        return Adapter(task, {taken: "samples", given: "probabilities"}, {}, {})
