"""What tasks that choose among labels share: their answers, their loss, and probabilities that mean what they say.

Their network ends in a dense layer named "logits" and a softmax named "probabilities".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Label:
    """A label and its calibrated probability, from 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class ClassPrediction:
    """An answer among labels.

    probabilities: float32 (classes,), of the model's `names`. labels: the `top` most probable.
    """

    names: tuple[str, ...]
    probabilities: np.ndarray = field(compare=False)
    top_k: int

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        order = np.argsort(-self.probabilities, kind="stable")[: self.top_k]
        return tuple(Label(self.names[i], float(self.probabilities[i])) for i in order)

    def agrees(self, other: "ClassPrediction") -> bool:
        """Whether both hold the same label most probable."""
        return int(self.probabilities.argmax()) == int(other.probabilities.argmax())

    def labels_json(self) -> list[dict[str, object]]:
        """The labels as plain values."""
        return [{"label": e.label, "probability": round(e.probability, 4)} for e in self.labels]

    def display_rows(self) -> list[tuple[str, str]]:
        """Lines for people: label and probability."""
        return [(each.label, f"{each.probability:.1%}") for each in self.labels]

    def ranked(self, more: str) -> list[tuple]:
        """A row for each label, for CSV: rank, label, probability, and what all rows have in common."""
        return [(rank, e.label, f"{e.probability:.4f}", more) for rank, e in enumerate(self.labels, 1)]


def one_hot(positions: Sequence[int], classes: int) -> np.ndarray:
    """float32 (count, classes): 1 at each position."""
    return np.eye(classes, dtype=np.float32)[np.asarray(positions, int)]


def compile_classifier(model, optimizer, config, targets: np.ndarray) -> None:
    """Compile a model that gives logits by the name "probabilities". targets: of the training part."""
    import keras

    # Scales and offsets are not to shrink.
    optimizer.exclude_from_weight_decay([each for each in model.trainable_variables if len(each.shape) < 2])
    model.compile(
        optimizer=optimizer,
        loss={"probabilities": cross_entropy(config, targets)},
        metrics={"probabilities": [keras.metrics.CategoricalAccuracy(name="accuracy")]},
        jit_compile=keras.backend.backend() == "jax",
    )


def cross_entropy(config, targets: np.ndarray):
    """The loss from logits, with plan.label_smoothing; each class weighed by its rarity if plan.balance.

    targets: float32 (count, classes) of the training part.
    """
    from keras import ops

    classes = targets.shape[1]
    counts = targets.sum(axis=0)
    weights = len(targets) / (classes * np.maximum(counts, 1)) if config.balance else np.ones(classes)
    weights = weights.astype("float32")

    def loss(target, logits):
        smooth = target * (1 - config.label_smoothing) + config.label_smoothing / classes
        return -ops.sum(smooth * weights * ops.log_softmax(logits, axis=-1), axis=-1)

    return loss


def fit_temperature(network, inputs: dict[str, np.ndarray], truths: np.ndarray) -> np.ndarray:
    """Fold the temperature that fits `truths`, int (count,), best into the network; its probabilities then.

    Temperature scaling (Guo et al., 2017) on examples that were not trained on. Gives float64 (count, classes).
    """
    chunks = [
        network.predict_on_batch({name: values[start : start + 64] for name, values in inputs.items()})
        for start in range(0, len(truths), 64)
    ]
    logits = np.log(np.concatenate([each["probabilities"] for each in chunks]).astype(np.float64) + 1e-30)
    factor = inverse_temperature(logits, truths)
    layer = network.get_layer("logits")
    layer.set_weights([weights * factor for weights in layer.get_weights()])
    return softmax(factor * logits)


def inverse_temperature(logits: np.ndarray, truths: np.ndarray) -> float:
    """The factor from 0.2 to 5 on the logits that gives the lowest log loss."""

    def loss(factor):
        return -np.log(softmax(factor * logits)[np.arange(len(truths)), truths] + 1e-30).mean()

    factors = np.geomspace(0.2, 5, 161)
    return float(min(factors, key=loss))


def softmax(logits: np.ndarray) -> np.ndarray:
    """float64 (count, classes)"""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
