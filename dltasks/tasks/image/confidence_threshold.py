"""The probability below which an answer is called unsure."""

import numpy as np


def threshold(probabilities: np.ndarray, truths: np.ndarray, right: float) -> float:
    """The lowest probability such that the answers at or above it are good enough.

    Good enough: a share of at least `right` is right, and they are wrong at most half as often as all answers.
    Where no answer is wrong it is the lowest probability seen, where none is good enough the highest.
    probabilities: (count, classes); truths: int (count,).
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    confidence = probabilities.max(axis=1)[order]
    hits = (probabilities.argmax(axis=1) == truths)[order]
    wanted = max(right, (1 + hits.mean()) / 2)
    good = np.flatnonzero(np.cumsum(hits) / np.arange(1, len(hits) + 1) >= wanted)
    return np.floor(1e4 * float(confidence[good[-1] if len(good) else 0])) / 1e4
