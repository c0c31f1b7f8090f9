"""What is in this photo: labels with their probabilities."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks import labelled
from dltasks.classifier import Choice, one_hot
from dltasks.errors import DataError, SettingError
from dltasks.evaluation import Evaluation, classification
from dltasks.plan import Plan, setting
from dltasks.report import Report
from dltasks.task import Arrays, Batch, Parts, Task, limited, words
from dltasks.tasks.image import folders, pixels

if TYPE_CHECKING:
    from dltasks.inspection import Inspection
    from dltasks.metadata import Described
    from dltasks.stranger import Adopted, Stranger

SURE = 0.8
"""At least this share of the answers that are not called unsure is right, on the photos to choose by."""

TRAINED_RATE, RANDOM_RATE = 0.02, 0.05


@dataclass(frozen=True)
class ImagePlan(Plan):
    """All settings of a training run on photos."""

    learning_rate: float | None = setting(
        None,
        f"Highest learning rate of the schedule; if not given {TRAINED_RATE} from a trained backbone, which it "
        f"must not wash out, and {RANDOM_RATE} from random weights.",
        above=0,
    )
    size: int = setting(96, "Side of the network's square input, in pixels.", minimum=16)
    backbone: str = setting(
        "objects",
        "Where the network begins: a bundled model, none (random weights), the name of a network of "
        "keras.applications (its ImageNet weights are downloaded), a bundle, or a .keras file.",
    )
    head_epochs: int = setting(
        20, "Epochs of the last layer alone, before all layers are trained.", minimum=0
    )
    first_size: int | None = setting(
        None, "Side of the training crops at the start; 4/7 of --size if not given.", minimum=16
    )
    last_size: int | None = setting(
        None, "Side of the training crops at the end; 6/7 of --size if not given.", minimum=16
    )
    crop: float = setting(
        0.35, "Smallest share of a photo's area that a training crop keeps.", minimum=0.05, maximum=1
    )
    colour: float = setting(
        0.2, "Most that brightness, contrast and saturation change.", minimum=0, maximum=1
    )
    mixing: float = setting(
        0.2, "Alpha of mixup and CutMix: how strongly photos are mixed; 0 for not at all.", minimum=0
    )
    label_smoothing: float = setting(
        0.1, "Share of a target spread over all classes.", minimum=0, maximum=0.9
    )
    val: float = setting(0.1, "Share to choose by, where the data has no such part.", minimum=0.01)
    test: float = setting(0.1, "Share to judge by, where the data has no such part; 0 for none.", minimum=0)

    def __post_init__(self):
        super().__post_init__()
        if self.val + self.test > 0.9:
            raise SettingError(
                f"val {self.val} and test {self.test} leave too little to train on; at most 0.9 together"
            )

    def highest_rate(self) -> float:
        if self.learning_rate is not None:
            return self.learning_rate
        return RANDOM_RATE if self.backbone == "none" else TRAINED_RATE


@dataclass(frozen=True)
class ImageAnswer(Choice):
    """What a photo shows: the most probable labels. unsure: the first of them lies below the model's threshold."""

    unsure: bool

    def __repr__(self) -> str:
        return f"ImageAnswer(labels={self.labels}, unsure={self.unsure})"

    def to_json(self) -> dict[str, Any]:
        """The labels, and whether the model is unsure."""
        return {"labels": self.labels_json(), "unsure": self.unsure}

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Names of the columns of `records`."""
        return "rank", "label", "probability", "unsure"

    def records(self) -> list[tuple]:
        """A row for each label, for CSV."""
        return self.ranked(str(self.unsure).lower())

    def remark(self) -> str:
        """What people should know of this answer, or nothing."""
        return "unsure: it may show none of the things this model knows" if self.unsure else ""


@dataclass(frozen=True)
class ImageTask(Task):
    """Photos of any size to one of `labels`, through a network that takes `size` x `size` pixels.

    threshold: below this probability the most probable label is called unsure.
    """

    plan: ClassVar[type[Plan]] = ImagePlan

    labels: tuple[str, ...] = words(default=())
    size: int = limited(96, minimum=1, maximum=4096)
    threshold: float = limited(0.0, minimum=0, maximum=1)
    top: int = limited(5, minimum=1)

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"pixels": (self.size, self.size, 3), "probabilities": (len(self.labels),)}

    def check(self, plan: Plan) -> None:
        from dltasks.tasks.image.network import check_backbone

        check_backbone(plan.backbone)

    def read(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labelled.batches(sources, self.batch_size, folders.PHOTOS)

    def examples(self, source: Any, plan: Plan | None = None) -> Batch:
        return folders.examples(source)

    @classmethod
    def holds(cls, source: Any) -> bool:
        return labelled.holds(source, folders.PHOTOS)

    def inspect(self, source: Any, plan: Plan, report: Report) -> "Inspection":
        from dltasks.tasks.image.inspection import inspect

        return inspect(self, source, plan, report)

    @staticmethod
    def without(path: Path, rows: Container[int]) -> bytes:
        return labelled.without(path, rows)

    def learn(self, examples: Batch, plan: Plan) -> "ImageTask":
        labels = tuple(sorted(set(examples.truths)))
        if len(labels) < 2:
            raise DataError(
                f"one class only ({labels[0]!r}); a classifier needs two or more, each a folder directly in the "
                "data's folder"
            )
        return replace(self, labels=labels, size=plan.size)

    def notes(self, examples: Batch, inputs: Arrays) -> list[str]:
        """What is worth saying of the training data."""
        counts = {each: 0 for each in self.labels}
        for truth in examples.truths:
            counts[truth] += 1
        most, least = max(counts, key=counts.get), min(counts, key=counts.get)
        if counts[most] < 3 * counts[least]:
            return []
        uneven = f"classes are uneven: {counts[most]} of {most!r}, {counts[least]} of {least!r}"
        return [f"{uneven}; --balance weighs them alike"]

    def known(self, examples: Batch) -> tuple[Batch, list[str]]:
        names = set(self.labels)
        kept = [i for i, truth in enumerate(examples.truths) if truth in names]
        strange = sorted(set(examples.truths) - names)
        missing = len(names - set(examples.truths))
        notes = []
        if strange:
            shown = ", ".join(strange[:5]) + (" ..." if len(strange) > 5 else "")
            left = len(examples) - len(kept)
            photos = "1 photo" if left == 1 else f"{left} photos"
            notes.append(f"{photos} left out: the model does not know {shown}")
        if missing and kept:
            notes.append(f"{missing} of the model's {len(names)} classes have no photos here")
        return examples.take(kept), notes

    def split(self, examples: Batch, inputs: Arrays, plan: Plan) -> Parts:
        from dltasks.tasks.image.parts import divide
        from dltasks.tasks.image.pictures import groups

        return divide(examples, groups(inputs["pixels"]), plan)

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

    def network(self, plan: Plan):
        from dltasks.tasks.image import network

        return network.build(len(self.labels), self.size, network.find_backbone(plan.backbone))

    def tensors(self) -> "dict[str, Described]":
        from dltasks.metadata import IMAGE, Described

        side = f"{self.size} x {self.size} pixels"
        return {
            "pixels": Described(f"a photo of {side}, red, green and blue from 0 to 255", IMAGE),
            "probabilities": Described("how probable each label is, 0 to 1", labels="labels.txt"),
        }

    def learner(self, network, plan: Plan, targets: Arrays):
        from dltasks.tasks.image.network import learner

        return learner(network, plan, targets["probabilities"])

    def augmentation(self, plan: Plan, progress: float):
        from dltasks.tasks.image.schedule import augmentation_at

        return augmentation_at(self, plan, progress)

    def begin(self, network, plan: Plan, inputs: Arrays, targets: Arrays) -> None:
        from dltasks.tasks.image.schedule import train_head

        if plan.backbone != "none" and plan.head_epochs:
            train_head(network, plan, inputs["pixels"], targets["probabilities"])

    def calibrate(self, network, plan: Plan, inputs: Arrays, examples: Batch) -> "ImageTask":
        from dltasks.classifier import fit_temperature
        from dltasks.tasks.image.certainty import threshold

        true = self.target(examples.truths)["probabilities"].argmax(axis=1)
        return replace(self, threshold=threshold(fit_temperature(network, inputs, true), true, SURE))

    def decode(self, outputs: Arrays) -> list[ImageAnswer]:
        return [
            ImageAnswer(self.labels, row, self.top, bool(row.max() < self.threshold))
            for row in outputs["probabilities"]
        ]

    def agree(self, one: ImageAnswer, other: ImageAnswer) -> bool:
        return one.agrees(other)

    def caveats(self) -> str:
        if not self.threshold:
            return ""
        return (
            f"An answer whose probability is below {self.threshold} is called unsure; the threshold is the "
            f"lowest above which, on the validation part, at least {SURE:.0%} of the answers are right and they "
            "are wrong at most half as often as all answers together."
        )

    def score(self, answers: Sequence[ImageAnswer], truths: Sequence[Any]) -> Evaluation:
        probabilities = np.stack([each.probabilities for each in answers])
        return classification(self.labels, probabilities, truths)

    @classmethod
    def adopt(cls, stranger: "Stranger") -> "Adopted":
        from dltasks.stranger import Adopted
        from dltasks.tasks.image import adoption

        task = cls(size=adoption.sides(stranger), labels=adoption.labels(stranger))
        (taken,), (given,) = stranger.runtime.inputs, stranger.runtime.outputs
        names, scaled = {taken: "pixels", given: "probabilities"}, adoption.given(stranger)
        inputs = {"pixels": scaled} if scaled else {}
        # Probabilities or logits: a few photos of noise tell.
        noise = np.random.default_rng(0).integers(0, 256, (4, task.size, task.size, 3)).astype(np.uint8)
        outputs = stranger.runtime.adapted(names, inputs, {}).run({"pixels": noise})["probabilities"]
        change = adoption.answered(outputs, (len(noise), len(task.labels)))
        return Adopted(task, names, inputs, {"probabilities": change} if change else {})


TASK = ImageTask
