"""Image classification: a photo to labels with their probabilities."""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data import labeled_files
from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.fields import bounded, text_asset
from dltasks.litert.runtime import Arrays
from dltasks.progress import Progress
from dltasks.protocols import ComputeOutputs, LabeledInputs, TrainingHooks
from dltasks.task import Description, LoadPretrained, Task
from dltasks.tasks.classification import one_hot
from dltasks.tasks.image import data, pixels
from dltasks.tasks.image.calibration import MIN_CONFIDENT_ACCURACY, calibrate
from dltasks.tasks.image.config import ImageConfig
from dltasks.tasks.image.groups import LabelGroups
from dltasks.tasks.image.prediction import ImagePrediction

if TYPE_CHECKING:
    from dltasks.doctor.findings import Inspection
    from dltasks.evaluation.results import Evaluation
    from dltasks.litert.third_party import Adapter, ThirdPartyModel

MIN_IMBALANCE_RATIO = 3
"""Minimum ratio of the largest to the smallest class for a note before training."""

MAX_LISTED_LABELS = 5
"""Maximum number of labels listed in a note."""


@dataclass(frozen=True)
class ImageTask(TrainingHooks, Task):
    """Photos of any size to one of `labels`.

    Attributes:
        labels: Names of the classes, in the order of the network's output.
        size: Side length of the network's square input, in pixels.
        threshold: Confidence threshold; a prediction with a lower highest probability is uncertain.
        top_k: Number of labels in a prediction.
        groups: Labels that have something in common, by the name of what they have in common.
        rejected_labels: Labels that pictures of none of the others get, such as "website" for any screenshot;
            a prediction of one is uncertain.
        synonyms: Other names of a label, which labeled data may use: WordNet ids, for example.
    """

    config: ClassVar[type[TrainingConfig]] = ImageConfig

    labels: tuple[str, ...] = text_asset(default=())
    size: int = bounded(96, minimum=1, maximum=4096)
    threshold: float = bounded(0.0, minimum=0, maximum=1)
    top_k: int = bounded(5, minimum=1)
    groups: dict[str, list[str]] = field(default_factory=dict)
    rejected_labels: tuple[str, ...] = ()
    synonyms: dict[str, list[str]] = field(default_factory=dict)

    def validate(self) -> str:
        labels = set(self.labels)
        for name, members in self.groups.items():
            if not members or not labels.issuperset(members):
                return f"its group {name!r:.80} is not a group of its labels"
        if unknown := {*self.synonyms, *self.rejected_labels} - labels:
            return f"it has a field about {min(unknown)!r:.80}, which is not a label"
        return ""

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"pixels": (self.size, self.size, 3), "probabilities": (len(self.labels),)}

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
        uncertain = f"A prediction with a probability below {self.threshold} is reported as uncertain."
        if self.rejected_labels:
            names = ", ".join(f'"{label}"' for label in self.rejected_labels)
            return f"{uncertain} So is {names}, which pictures that show none of the labels often get."
        return (
            f"{uncertain} On the validation split this is the lowest threshold above which at least "
            f"{MIN_CONFIDENT_ACCURACY:.0%} of the predictions are correct and the error rate is at "
            "most half of the overall one."
        )

    # Data

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labeled_files.iter_batches(sources, self.batch_size, data.PHOTOS)

    def load_examples(self, source: Any, config: ImageConfig | None = None) -> Batch:
        return data.load_examples(source)

    @classmethod
    def can_load(cls, source: Any) -> bool:
        return labeled_files.has_files(source, data.PHOTOS)

    def inspect(self, source: Any, config: ImageConfig, progress: Progress) -> "Inspection":
        from dltasks.tasks.image.inspection import inspect

        return inspect(self, source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        return labeled_files.drop_rows(path, rows)

    def adapt(self, examples: Batch, config: ImageConfig) -> "ImageTask":
        labels = tuple(sorted(set(examples.labels)))
        if len(labels) < 2:
            raise DataError(
                f"one class only ({labels[0]!r}); expected two or more, "
                "each a folder directly in the data folder"
            )
        return replace(self, labels=labels, size=config.input_size())

    def filter_known_labels(self, examples: Batch) -> tuple[Batch, list[str]]:
        labels = set(self.labels)
        known_as = self._labels_by_synonym
        examples = replace(examples, labels=[known_as.get(label, label) for label in examples.labels])
        indices = [i for i, label in enumerate(examples.labels) if label in labels]
        unknown = sorted(set(examples.labels) - labels)
        missing = len(labels - set(examples.labels))
        notes = []
        if unknown:
            names = ", ".join(unknown[:MAX_LISTED_LABELS]) + (
                " ..." if len(unknown) > MAX_LISTED_LABELS else ""
            )
            ignored = len(examples) - len(indices)
            photos = "1 photo" if ignored == 1 else f"{ignored} photos"
            notes.append(f"{photos} left out: the model does not know {names}")
        if missing and indices:
            notes.append(f"{missing} of the model's {len(labels)} classes have no photos here")
        return examples.take(indices), notes

    def split(self, examples: Batch, encoded: Arrays, config: ImageConfig) -> Splits:
        from dltasks.tasks.image.near_duplicates import group_photos
        from dltasks.tasks.image.split import split_photos

        return split_photos(examples, group_photos(encoded["pixels"]), config)

    def encode(self, inputs: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        photos, failures = [], {}
        for index, photo in enumerate(inputs):
            try:
                photos.append(pixels.load(photo, self.size))
            except DataError as error:
                failures[index] = error
        shape = (-1, self.size, self.size, 3)
        return {"pixels": np.array(photos, dtype=np.uint8).reshape(shape)}, failures

    def target(self, labels: Sequence[str]) -> Arrays:
        indices = {label: i for i, label in enumerate(self.labels)}
        return {"probabilities": one_hot([indices[label] for label in labels], len(self.labels))}

    # Training

    def check_config(self, config: ImageConfig) -> None:
        from dltasks.tasks.image.backbones import check_backbone

        check_backbone(config.backbone)

    def start(self, config: ImageConfig) -> dict[str, str] | None:
        from dltasks.tasks.image.backbones import describe_origin

        return describe_origin(config.backbone)

    def notes(self, examples: Batch, encoded: Arrays) -> list[str]:
        counts = {label: 0 for label in self.labels}
        for label in examples.labels:
            counts[label] += 1
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        if counts[most] < MIN_IMBALANCE_RATIO * counts[least]:
            return []
        return [
            f"class imbalance: {counts[most]} of {most!r}, {counts[least]} of {least!r}; "
            "--balance gives all classes equal weight"
        ]

    def network(self, config: ImageConfig, load_pretrained: LoadPretrained) -> Any:
        from dltasks.tasks.image.backbones import find_backbone
        from dltasks.tasks.image.network import build_network

        backbone = find_backbone(config.backbone, load_pretrained, self.size)
        return build_network(len(self.labels), self.size, backbone)

    def training_model(self, network: Any, config: ImageConfig, targets: Arrays) -> Any:
        from dltasks.tasks.image.fine_tuning import build_training_model

        return build_training_model(network, config, targets["probabilities"])

    def warm_start(
        self,
        network: Any,
        config: ImageConfig,
        compute_outputs: ComputeOutputs,
        training: LabeledInputs,
        validation: LabeledInputs,
    ) -> None:
        from dltasks.tasks.image.fine_tuning import fit_head

        if config.is_pretrained():
            fit_head(network, config, compute_outputs, training, validation)

    def frozen_part(self, network: Any, config: ImageConfig) -> Any:
        from dltasks.tasks.image.fine_tuning import frozen_part

        return frozen_part(network, config)

    def augmentation(self, config: ImageConfig, completed: float) -> Any:
        from dltasks.tasks.image.augmentation import augmentation_at

        return augmentation_at(self.size, len(self.labels), config, completed)

    def calibrate(self, network: Any, config: ImageConfig, encoded: Arrays, examples: Batch) -> "ImageTask":
        return calibrate(self, network, encoded, examples)

    # Predictions

    def decode(self, outputs: Arrays) -> list[ImagePrediction]:
        return [self._decode_one(probabilities) for probabilities in outputs["probabilities"]]

    def _decode_one(self, probabilities: np.ndarray) -> ImagePrediction:
        top = int(probabilities.argmax())
        group = self._label_groups.common_group(probabilities) if self._label_groups else None
        confidence = group.probability if group else float(probabilities[top])
        uncertain = confidence < self.threshold or self.labels[top] in self.rejected_labels
        return ImagePrediction(self.labels, probabilities, self.top_k, uncertain, group)

    def is_right(self, prediction: ImagePrediction, labels: Container[str]) -> bool:
        """Whether the answer is one of these labels, or a group that contains one."""
        answer = prediction.answer.label
        names = self.groups[answer] if prediction.group else [answer]
        return any(name in labels for name in names)

    @cached_property
    def _label_groups(self) -> LabelGroups | None:
        return LabelGroups(self.labels, self.groups) if self.groups else None

    @cached_property
    def _labels_by_synonym(self) -> dict[str, str]:
        """The label of each synonym that only one label has."""
        counts = Counter(name for names in self.synonyms.values() for name in names)
        return {
            name: label
            for label, names in self.synonyms.items()
            for name in names
            if counts[name] == 1 and name not in self.labels
        }

    def same_prediction(self, first: ImagePrediction, second: ImagePrediction) -> bool:
        return first.has_same_label(second)

    def evaluate(
        self, predictions: Sequence[ImagePrediction], labels: Sequence[str], tables: bool = True
    ) -> "Evaluation":
        from dltasks.evaluation.results import evaluate_classification

        probabilities = np.stack([prediction.probabilities for prediction in predictions])
        return evaluate_classification(self.labels, probabilities, labels)

    @classmethod
    def from_third_party(cls, model: "ThirdPartyModel") -> "Adapter":
        from dltasks.tasks.image.third_party import build_adapter

        return build_adapter(model, cls)
