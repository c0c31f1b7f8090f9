"""What is in this photo: labels with their probabilities."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data import labeled_files
from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.evaluation.results import Evaluation, evaluate_classification
from dltasks.fields import bounded, text_asset
from dltasks.litert.runtime import Arrays
from dltasks.progress import Progress
from dltasks.protocols import TrainingHooks
from dltasks.task import Description, LoadPretrained, Task
from dltasks.tasks.classification import ClassPrediction, one_hot
from dltasks.tasks.image import data, pixels

if TYPE_CHECKING:
    from dltasks.doctor.findings import Inspection
    from dltasks.litert.third_party import Adapter, ThirdPartyModel
from dltasks.tasks.image.config import ImageConfig

MIN_CONFIDENT_ACCURACY = 0.8
"""At least this share of the answers that are not called unsure is right, on the photos to choose by."""


@dataclass(frozen=True)
class ImagePrediction(ClassPrediction):
    """What a photo shows: the most probable labels. unsure: the first of them lies below the model's threshold."""

    uncertain: bool

    def __repr__(self) -> str:
        return f"ImageAnswer(labels={self.labels}, unsure={self.uncertain})"

    def to_json(self) -> dict[str, Any]:
        """The labels, and whether the model is unsure."""
        return {"labels": self.labels_json(), "uncertain": self.uncertain}

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `records`."""
        return "rank", "label", "probability", "uncertain"

    def csv_rows(self) -> list[tuple]:
        """A row for each label, for CSV."""
        return self.ranked(str(self.uncertain).lower())

    def note(self) -> str:
        """What people should know of this answer, or nothing."""
        return "unsure: it may show none of the things this model knows" if self.uncertain else ""


@dataclass(frozen=True)
class ImageTask(TrainingHooks, Task):
    """Photos of any size to one of `labels`, through a network that takes `size` x `size` pixels.

    threshold: below this probability the most probable label is called unsure.
    """

    config: ClassVar[type[TrainingConfig]] = ImageConfig

    labels: tuple[str, ...] = text_asset(default=())
    size: int = bounded(96, minimum=1, maximum=4096)
    threshold: float = bounded(0.0, minimum=0, maximum=1)
    top_k: int = bounded(5, minimum=1)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"pixels": (self.size, self.size, 3), "probabilities": (len(self.labels),)}

    def check_config(self, config: TrainingConfig) -> None:
        from dltasks.tasks.image.network import check_backbone

        check_backbone(config.backbone)

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labeled_files.iter_batches(sources, self.batch_size, data.PHOTOS)

    def load_examples(self, source: Any, config: TrainingConfig | None = None) -> Batch:
        return data.load_examples(source)

    @classmethod
    def can_load(cls, source: Any) -> bool:
        return labeled_files.has_files(source, data.PHOTOS)

    def inspect(self, source: Any, config: TrainingConfig, progress: Progress) -> "Inspection":
        from dltasks.tasks.image.inspection import inspect

        return inspect(self, source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        return labeled_files.drop_rows(path, rows)

    def adapt(self, examples: Batch, config: TrainingConfig) -> "ImageTask":
        labels = tuple(sorted(set(examples.labels)))
        if len(labels) < 2:
            raise DataError(
                f"one class only ({labels[0]!r}); a classifier needs two or more, each a folder directly in the "
                "data's folder"
            )
        return replace(self, labels=labels, size=config.size)

    def notes(self, examples: Batch, inputs: Arrays) -> list[str]:
        """What is worth saying of the training data."""
        counts = {each: 0 for each in self.labels}
        for truth in examples.labels:
            counts[truth] += 1
        most, least = max(counts, key=counts.get), min(counts, key=counts.get)
        if counts[most] < 3 * counts[least]:
            return []
        uneven = f"classes are uneven: {counts[most]} of {most!r}, {counts[least]} of {least!r}"
        return [f"{uneven}; --balance weighs them alike"]

    def filter_known_labels(self, examples: Batch) -> tuple[Batch, list[str]]:
        names = set(self.labels)
        kept = [i for i, truth in enumerate(examples.labels) if truth in names]
        strange = sorted(set(examples.labels) - names)
        missing = len(names - set(examples.labels))
        notes = []
        if strange:
            shown = ", ".join(strange[:5]) + (" ..." if len(strange) > 5 else "")
            left = len(examples) - len(kept)
            photos = "1 photo" if left == 1 else f"{left} photos"
            notes.append(f"{photos} left out: the model does not know {shown}")
        if missing and kept:
            notes.append(f"{missing} of the model's {len(names)} classes have no photos here")
        return examples.take(kept), notes

    def split(self, examples: Batch, inputs: Arrays, config: TrainingConfig) -> Splits:
        from dltasks.tasks.image.near_duplicates import groups
        from dltasks.tasks.image.split import divide

        return divide(examples, groups(inputs["pixels"]), config)

    def encode(self, raws: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        photos, failures = [], {}
        for position, raw in enumerate(raws):
            try:
                photos.append(pixels.load(raw, self.size))
            except DataError as error:
                failures[position] = error
        shape = (-1, self.size, self.size, 3)
        return {"pixels": np.array(photos, dtype=np.uint8).reshape(shape)}, failures

    def target(self, truths: Sequence[Any]) -> Arrays:
        position = {label: i for i, label in enumerate(self.labels)}
        return {"probabilities": one_hot([position[each] for each in truths], len(self.labels))}

    def network(self, config: TrainingConfig, load_pretrained: LoadPretrained):
        from dltasks.tasks.image import network

        return network.build(
            len(self.labels), self.size, network.find_backbone(config.backbone, load_pretrained)
        )

    def describe(self) -> Description:
        from dltasks.litert.metadata import IMAGE, TensorDescription

        side = f"{self.size} x {self.size} pixels"
        tensors = {
            "pixels": TensorDescription(f"a photo of {side}, red, green and blue from 0 to 255", IMAGE),
            "probabilities": TensorDescription("probability of each label, 0 to 1", labels="labels.txt"),
        }
        return Description(tensors, self._limitations())

    def _limitations(self) -> str:
        if not self.threshold:
            return ""
        return (
            f"A prediction with a probability below {self.threshold} is reported as uncertain. On the validation split this is "
            f"the lowest threshold above which at least {MIN_CONFIDENT_ACCURACY:.0%} of the predictions are right, and wrong at "
            "most half as often as all predictions together."
        )

    def training_model(self, network, config: TrainingConfig, targets: Arrays):
        from dltasks.tasks.image.network import training_model

        return training_model(network, config, targets["probabilities"])

    def augmentation(self, config: TrainingConfig, completed: float):
        from dltasks.tasks.image.schedule import augmentation_at

        return augmentation_at(self, config, completed)

    def warm_start(self, network, config: TrainingConfig, inputs: Arrays, targets: Arrays) -> None:
        from dltasks.tasks.image.schedule import train_head

        if config.backbone != "none" and config.head_epochs:
            train_head(network, config, inputs["pixels"], targets["probabilities"])

    def calibrate(self, network, config: TrainingConfig, inputs: Arrays, examples: Batch) -> "ImageTask":
        from dltasks.tasks.classification import fit_temperature
        from dltasks.tasks.image.confidence_threshold import threshold

        true = self.target(examples.labels)["probabilities"].argmax(axis=1)
        return replace(
            self, threshold=threshold(fit_temperature(network, inputs, true), true, MIN_CONFIDENT_ACCURACY)
        )

    def decode(self, outputs: Arrays) -> list[ImagePrediction]:
        return [
            ImagePrediction(self.labels, row, self.top_k, bool(row.max() < self.threshold))
            for row in outputs["probabilities"]
        ]

    def same_prediction(self, one: ImagePrediction, other: ImagePrediction) -> bool:
        return one.agrees(other)

    def evaluate(
        self, answers: Sequence[ImagePrediction], truths: Sequence[Any], tables: bool = True
    ) -> Evaluation:
        probabilities = np.stack([each.probabilities for each in answers])
        return evaluate_classification(self.labels, probabilities, truths)

    @classmethod
    def from_third_party(cls, stranger: "ThirdPartyModel") -> "Adapter":
        from dltasks.litert.third_party import Adapter
        from dltasks.tasks.image import third_party

        task = cls(size=third_party.sides(stranger), labels=third_party.labels(stranger))
        (taken,), (given,) = stranger.runtime.inputs, stranger.runtime.outputs
        names, scaled = {taken: "pixels", given: "probabilities"}, third_party.preprocess(stranger)
        inputs = {"pixels": scaled} if scaled else {}
        # Probabilities or logits: a few photos of noise tell.
        noise = np.random.default_rng(0).integers(0, 256, (4, task.size, task.size, 3)).astype(np.uint8)
        outputs = stranger.runtime.with_adapters(names, inputs, {}).run({"pixels": noise})["probabilities"]
        change = third_party.postprocess(outputs, (len(noise), len(task.labels)))
        return Adapter(task, names, inputs, {"probabilities": change} if change else {})
