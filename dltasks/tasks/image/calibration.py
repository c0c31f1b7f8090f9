"""Probabilities that mean what they say, and the threshold below which an answer is called unsure."""

import keras
import numpy as np


def calibrate(network: keras.Model, pixels: np.ndarray, targets: np.ndarray, right: float) -> float:
    """Fold the temperature that fits `targets` best into the network; give the threshold for `right`.

    Temperature scaling (Guo et al., 2017) on photos that were not trained on: pixels uint8
    (count, size, size, 3), targets float32 (count, classes).
    """
    chunks = [
        network.predict_on_batch({"pixels": pixels[start : start + 64]})["probabilities"]
        for start in range(0, len(pixels), 64)
    ]
    logits = np.log(np.concatenate(chunks).astype(np.float64) + 1e-30)
    truths = targets.argmax(axis=1)
    factor = sharpness(logits, truths)
    layer = network.get_layer("logits")
    layer.set_weights([weights * factor for weights in layer.get_weights()])
    return threshold(softmax(factor * logits), truths, right)


def sharpness(logits: np.ndarray, truths: np.ndarray) -> float:
    """The factor from 0.2 to 5 on the logits that gives the lowest log loss."""

    def loss(factor):
        return -np.log(softmax(factor * logits)[np.arange(len(truths)), truths] + 1e-30).mean()

    factors = np.geomspace(0.2, 5, 161)
    return float(min(factors, key=loss))


def threshold(probabilities: np.ndarray, truths: np.ndarray, right: float) -> float:
    """The lowest probability such that the answers at or above it are good enough.

    Good enough: a share of at least `right` is right, and they are wrong at most half as often as all answers.
    Where no answer is wrong it is the lowest probability seen, where none is good enough the highest.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    confidence = probabilities.max(axis=1)[order]
    hits = (probabilities.argmax(axis=1) == truths)[order]
    wanted = max(right, (1 + hits.mean()) / 2)
    good = np.flatnonzero(np.cumsum(hits) / np.arange(1, len(hits) + 1) >= wanted)
    return np.floor(1e4 * float(confidence[good[-1] if len(good) else 0])) / 1e4


def softmax(logits: np.ndarray) -> np.ndarray:
    """float64 (count, classes)"""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
