"""Metrics of predictions and their confidence intervals, in numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution, for 95 % intervals."""

MIN_PROBABILITY = 1e-7
"""Smallest probability whose logarithm counts."""


def wilson_interval(hits: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson, 1927): `hits` of `count`."""
    if not count:
        return 0.0, 1.0
    proportion, square = hits / count, Z_95**2
    center = (proportion + square / (2 * count)) / (1 + square / count)
    variance = proportion * (1 - proportion) / count + square / (4 * count**2)
    margin = Z_95 / (1 + square / count) * np.sqrt(variance)
    return max(0.0, float(center - margin)), min(1.0, float(center + margin))


def poisson_interval(count: int) -> tuple[float, float]:
    """The 95 % interval of the mean of a Poisson distribution, from one observed count.

    Byar's approximation of the exact interval (Breslow and Day, Statistical Methods in Cancer Research II,
    1987).
    """
    low = count * (1 - 1 / (9 * count) - Z_95 / (3 * np.sqrt(count))) ** 3 if count else 0.0
    following = count + 1
    high = following * (1 - 1 / (9 * following) + Z_95 / (3 * np.sqrt(following))) ** 3
    return float(low), float(high)


def equal_error_rate(scores: np.ndarray, positive: np.ndarray) -> float:
    """The error rate at the threshold where false positives and false negatives are equally frequent.

    Between two thresholds the rates are interpolated linearly.

    Args:
        scores: Array of shape (count,), higher for the positive class.
        positive: Bool array of shape (count,), with both values.
    """
    order = np.argsort(-scores, kind="stable")
    # Thresholds lie between different scores only.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true_rate = np.concatenate([[0.0], np.cumsum(positive[order])[ends] / positive.sum()])
    false_rate = np.concatenate([[0.0], np.cumsum(~positive[order])[ends] / (~positive).sum()])
    gaps = false_rate - (1 - true_rate)
    after = int(np.argmax(gaps >= 0))
    fraction = -gaps[after - 1] / (gaps[after] - gaps[after - 1])
    return float(false_rate[after - 1] + fraction * (false_rate[after] - false_rate[after - 1]))


def average_precision(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of the precision over all thresholds, weighted by the increase of recall; nan without positives.

    Args:
        scores: Array of shape (count,), higher for the positive class.
        positive: Bool array of shape (count,).
        weights: Weights of the examples, of shape (count,); 1 if None.
    """
    true, false = _cumulative_weights(scores, positive, weights)
    if not len(true) or not true[-1]:
        return float("nan")
    precision = true / np.maximum(true + false, 1e-300)
    return float((np.diff(true, prepend=0) * precision).sum() / true[-1])


def roc_auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Probability that a positive scores higher than a negative, ties counting half; nan without either.

    Args:
        scores: Array of shape (count,), higher for the positive class.
        positive: Bool array of shape (count,).
        weights: Weights of the examples, of shape (count,); 1 if None.
    """
    true, false = _cumulative_weights(scores, positive, weights)
    if not len(true) or not true[-1] or not false[-1]:
        return float("nan")
    heights = (true + np.append(0, true[:-1])) / 2
    return float((np.diff(false, prepend=0) * heights).sum() / (true[-1] * false[-1]))


def _cumulative_weights(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the positives and of the negatives at or above each different score, from the highest."""
    order = np.argsort(-scores, kind="stable")
    weights = np.ones(len(scores)) if weights is None else weights
    ends = (
        np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        if len(scores)
        else np.zeros(0, int)
    )
    positives = np.where(positive, weights, 0.0)[order].cumsum()
    negatives = np.where(positive, 0.0, weights)[order].cumsum()
    return positives[ends], negatives[ends]


def bootstrap_interval(
    measure: Callable[[np.ndarray], float | np.ndarray],
    count: int,
    maximum: float | np.ndarray = np.inf,
    rounds: int = 500,
    seed: int = 0,
    minimum: float | np.ndarray = 0.0,
) -> tuple[Any, Any]:
    """The 95 % percentile interval of a statistic, less the bootstrap's estimate of its bias.

    The bias matters for statistics such as a calibration error, which is larger on resampled data than on the
    data itself (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10 and 13).

    Args:
        measure: From indices of examples of shape (count,), drawn with replacement, to the statistic or to an
            array of statistics.
        count: Number of examples.
        maximum: Upper bound of the statistic, to which the interval is clipped.
        rounds: Number of resampled data sets.
        seed: Seed of the random draws.
        minimum: Lower bound of the statistic.

    Returns:
        Lower and upper end of the interval: floats, or arrays if `measure` returns arrays.
    """
    random = np.random.default_rng(seed)
    values = np.array([measure(random.integers(0, count, count)) for _ in range(rounds)])
    bias = np.nanmean(values, axis=0) - measure(np.arange(count))
    low, high = np.clip(np.nanpercentile(values, [2.5, 97.5], axis=0) - bias, minimum, maximum)
    return (low, high) if values.ndim > 1 else (float(low), float(high))


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix.

    Args:
        labels: Int array of shape (count,).
        predictions: Int array of shape (count,).
        classes: Number of classes.

    Returns:
        Counts of shape (classes, classes), with a row per label and a column per prediction.
    """
    flat = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return flat.reshape(classes, classes)


def recalls(counts: np.ndarray) -> np.ndarray:
    """Recall of each class, from a confusion matrix; nan for a class that does not occur."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.diag(counts) / counts.sum(axis=1)


def precisions(counts: np.ndarray) -> np.ndarray:
    """Precision of each class, from a confusion matrix; nan for a class that is never predicted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.diag(counts) / counts.sum(axis=0)


def balanced_accuracy(counts: np.ndarray) -> float:
    """Mean recall over the classes that occur, from a confusion matrix."""
    return float(np.nanmean(recalls(counts)))


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """F1 of each class, from a confusion matrix; nan for a class that neither occurs nor is predicted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1))


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 over the classes that occur, from a confusion matrix."""
    return float(np.mean(f1_scores(counts)[counts.sum(axis=1) > 0]))


def expected_calibration_error(confidence: np.ndarray, hits: np.ndarray, bins: int = 15) -> float:
    """Mean difference of confidence and accuracy over bins of equal width (Naeini et al., 2015).

    Args:
        confidence: Probability of each prediction, of shape (count,), 0 to 1.
        hits: Whether each prediction is correct, bool of shape (count,).
        bins: Number of bins.
    """
    positions = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(positions, weights=confidence - hits, minlength=bins)
    return float(np.abs(gaps).sum() / len(hits))


def log_losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative natural logarithm of each label's probability, float64 (count,).

    Args:
        probabilities: Array of shape (count, classes); those below MIN_PROBABILITY count as that.
        labels: Int array of shape (count,).
    """
    of_labels = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(of_labels, MIN_PROBABILITY))


def in_top(probabilities: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether each label is among the k most probable classes, bool (count,).

    Args:
        probabilities: Array of shape (count, classes).
        labels: Int array of shape (count,).
        k: Number of classes.
    """
    of_labels = probabilities[np.arange(len(labels)), labels]
    return (probabilities > of_labels[:, None]).sum(axis=1) < k
