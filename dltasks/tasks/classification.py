"""Shared by tasks that choose among labels: predictions, one-hot targets, loss and temperature scaling.

Their network ends in a dense layer named "logits" and a softmax named "probabilities".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dltasks.errors import printable

CALIBRATION_BATCH_SIZE = 64
"""Number of inputs predicted at once during temperature scaling."""


@dataclass(frozen=True)
class Label:
    """A label and its calibrated probability, 0 to 1."""

    label: str
    probability: float

    def to_json(self) -> dict[str, object]:
        """Plain values, the probability rounded to four digits."""
        return {"label": self.label, "probability": round(self.probability, 4)}


@dataclass(frozen=True)
class ClassPrediction:
    """Probabilities over the labels of a model.

    Attributes:
        names: All labels of the model.
        probabilities: float32 (classes,), in the order of `names`.
        top_k: Number of labels in `labels`.
    """

    names: tuple[str, ...]
    probabilities: np.ndarray = field(compare=False)
    top_k: int

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The `top_k` most probable labels, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[: self.top_k]
        return tuple(Label(self.names[i], float(self.probabilities[i])) for i in order)

    def has_same_label(self, other: "ClassPrediction") -> bool:
        """Whether both predictions have the same most probable label."""
        return int(self.probabilities.argmax()) == int(other.probabilities.argmax())

    def labels_to_json(self) -> list[dict[str, object]]:
        """The labels as plain values, probabilities rounded to four digits."""
        return [label.to_json() for label in self.labels]

    def display_rows(self) -> list[tuple[str, str]]:
        """Label and probability of each label, as text."""
        return [(printable(label.label), f"{label.probability:.1%}") for label in self.labels]

    def rank_labels(self, last_column: str) -> list[tuple]:
        """A CSV row for each label: rank from 1, label, probability, and `last_column`."""
        return [
            (rank, label.label, f"{label.probability:.4f}", last_column)
            for rank, label in enumerate(self.labels, 1)
        ]


def one_hot(indices: Sequence[int], classes: int) -> np.ndarray:
    """float32 (count, classes), 1 at each index and 0 elsewhere."""
    return np.eye(classes, dtype=np.float32)[np.asarray(indices, int)]


def compile_classifier(model: Any, optimizer: Any, config: Any, targets: np.ndarray) -> None:
    """Compile a Keras model whose output "probabilities" holds logits.

    targets: float32 (count, classes), those of the training split.
    """
    import keras

    # Scales and offsets should not decay.
    optimizer.exclude_from_weight_decay(
        [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    )
    model.compile(
        optimizer=optimizer,
        loss={"probabilities": build_loss(config, targets)},
        metrics={"probabilities": [keras.metrics.CategoricalAccuracy(name="accuracy")]},
        jit_compile=keras.backend.backend() == "jax",
    )


def build_loss(config: Any, targets: np.ndarray) -> Callable[[Any, Any], Any]:
    """Cross-entropy on logits with config.label_smoothing.

    With config.balance, classes are weighted by their inverse frequency.

    targets: float32 (count, classes), those of the training split.
    """
    from keras import ops

    classes = targets.shape[1]
    weights = class_weights(targets) if config.balance else np.ones(classes, np.float32)

    def loss(target: Any, logits: Any) -> Any:
        smooth = target * (1 - config.label_smoothing) + config.label_smoothing / classes
        return -ops.sum(smooth * weights * ops.log_softmax(logits, axis=-1), axis=-1)

    return loss


def class_weights(targets: np.ndarray) -> np.ndarray:
    """The inverse frequency of each class, 1 on average over the examples; float32 (classes,).

    targets: float32 (count, classes).
    """
    counts = np.maximum(targets.sum(axis=0), 1)
    return (len(targets) / (targets.shape[1] * counts)).astype(np.float32)


def fit_temperature(network: Any, inputs: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Scale the logits of the network in place for the lowest log loss; returns the probabilities after that.

    Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017), on examples not
    used for training.

    labels: int (count,). Returns float64 (count, classes).
    """
    outputs = [
        network.predict_on_batch(
            {name: values[start : start + CALIBRATION_BATCH_SIZE] for name, values in inputs.items()}
        )
        for start in range(0, len(labels), CALIBRATION_BATCH_SIZE)
    ]
    probabilities = np.concatenate([output["probabilities"] for output in outputs])
    logits = np.log(probabilities.astype(np.float64) + 1e-30)
    factor = fit_inverse_temperature(logits, labels)
    layer = network.get_layer("logits")
    layer.set_weights([weights * factor for weights in layer.get_weights()])
    return softmax(factor * logits)


def fit_inverse_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The factor on the logits, 0.2 to 5, with the lowest log loss.

    logits: float64 (count, classes); labels: int (count,).
    """

    def loss(factor: float) -> float:
        return -np.log(softmax(factor * logits)[np.arange(len(labels)), labels] + 1e-30).mean()

    factors = np.geomspace(0.2, 5, 161)
    return float(min(factors, key=loss))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (count, classes) in the dtype of the logits."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
