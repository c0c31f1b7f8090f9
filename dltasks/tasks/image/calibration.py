"""Calibration after training: the temperature of the network and the confidence threshold."""

from dataclasses import replace
from typing import Any

import numpy as np

from dltasks.data.batch import Batch
from dltasks.litert.runtime import Arrays
from dltasks.tasks.classification import fit_temperature

MIN_CONFIDENT_ACCURACY = 0.8
"""Minimum accuracy of the predictions not reported as uncertain, on the validation split."""


def calibrate(task: Any, network: Any, encoded: Arrays, examples: Batch) -> Any:
    """The task with its confidence threshold; the temperature of the network is fitted in place.

    encoded: the validation examples, encoded.
    """
    labels = task.target(examples.labels)["probabilities"].argmax(axis=1)
    probabilities = fit_temperature(network, encoded, labels)
    return replace(task, threshold=select_threshold(probabilities, labels, MIN_CONFIDENT_ACCURACY))


def select_threshold(probabilities: np.ndarray, labels: np.ndarray, min_accuracy: float) -> float:
    """The lowest confidence threshold with accurate predictions at or above it.

    Accurate: correct in at least `min_accuracy` of the cases, and an error rate at most half of the overall
    one. Without errors, the lowest confidence of all; where no threshold qualifies, the highest.

    probabilities: (count, classes); labels: int (count,). Rounded down to four digits.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    confidence = probabilities.max(axis=1)[order]
    correct = (probabilities.argmax(axis=1) == labels)[order]
    required = max(min_accuracy, (1 + correct.mean()) / 2)
    qualified = np.flatnonzero(np.cumsum(correct) / np.arange(1, len(correct) + 1) >= required)
    threshold = confidence[qualified[-1] if len(qualified) else 0]
    return np.floor(1e4 * float(threshold)) / 1e4
