"""Probabilities that mean what they say, and the loss they are trained with; for classifiers of one network.

The network ends in a dense layer named "logits" and a softmax named "probabilities".
"""

import numpy as np


def cross_entropy(plan, targets: np.ndarray):
    """The loss from logits, with plan.label_smoothing; each class weighed by its rarity if plan.balance.

    targets: float32 (count, classes) of the training part.
    """
    from keras import ops

    classes = targets.shape[1]
    counts = targets.sum(axis=0)
    weights = len(targets) / (classes * np.maximum(counts, 1)) if plan.balance else np.ones(classes)
    weights = weights.astype("float32")

    def loss(target, logits):
        smooth = target * (1 - plan.label_smoothing) + plan.label_smoothing / classes
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
    factor = sharpness(logits, truths)
    layer = network.get_layer("logits")
    layer.set_weights([weights * factor for weights in layer.get_weights()])
    return softmax(factor * logits)


def sharpness(logits: np.ndarray, truths: np.ndarray) -> float:
    """The factor from 0.2 to 5 on the logits that gives the lowest log loss."""

    def loss(factor):
        return -np.log(softmax(factor * logits)[np.arange(len(truths)), truths] + 1e-30).mean()

    factors = np.geomspace(0.2, 5, 161)
    return float(min(factors, key=loss))


def softmax(logits: np.ndarray) -> np.ndarray:
    """float64 (count, classes)"""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
