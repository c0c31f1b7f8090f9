"""Measures of how good answers are, and how sure one can be of them; numpy only."""

from collections.abc import Callable

import numpy as np

Z_95 = 1.959963984540054


def wilson(hits: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927): `hits` of `count`."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, Z_95**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    margin = Z_95 / (1 + square / count) * np.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, float(centre - margin)), min(1.0, float(centre + margin))


def poisson(count: int) -> tuple[float, float]:
    """The 95 % interval of the mean of a count that is Poisson's.

    Byar's approximation of the exact interval (Breslow and Day, 1987, Statistical Methods in Cancer Research II).
    """
    low = count * (1 - 1 / (9 * count) - Z_95 / (3 * np.sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + Z_95 / (3 * np.sqrt(more))) ** 3
    return float(low), float(high)


def equal_error_rate(scores: np.ndarray, own: np.ndarray) -> float:
    """Where as large a share of a class is rejected as of the others accepted, over all thresholds.

    scores: (count,), higher for the class; own: bool (count,), some true and some false. Between two thresholds
    the line that joins their points is taken.
    """
    order = np.argsort(-scores, kind="stable")
    # Thresholds lie between different scores only.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    accepted = np.concatenate([[0.0], np.cumsum(own[order])[ends] / own.sum()])
    false = np.concatenate([[0.0], np.cumsum(~own[order])[ends] / (~own).sum()])
    gaps = false - (1 - accepted)
    after = int(np.argmax(gaps >= 0))
    share = -gaps[after - 1] / (gaps[after] - gaps[after - 1])
    return float(false[after - 1] + share * (false[after] - false[after - 1]))


def average_precision(scores: np.ndarray, own: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of the precision at each threshold, weighed by the recall it adds; nan without any of the class.

    scores: (count,), higher for the class; own: bool (count,). weights: how often each example counts.
    """
    true, false, _ = _ranked(scores, own, weights)
    if not len(true) or not true[-1]:
        return float("nan")
    precision = true / np.maximum(true + false, 1e-300)
    return float((np.diff(true, prepend=0) * precision).sum() / true[-1])


def roc_auc(scores: np.ndarray, own: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Chance that one of the class scores higher than one of the others, ties halved; nan where either is absent."""
    true, false, _ = _ranked(scores, own, weights)
    if not len(true) or not true[-1] or not false[-1]:
        return float("nan")
    heights = (true + np.append(0, true[:-1])) / 2
    return float((np.diff(false, prepend=0) * heights).sum() / (true[-1] * false[-1]))


def _ranked(scores, own, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight of the class and of the others at and above each different score, from the highest; and these scores."""
    order = np.argsort(-scores, kind="stable")
    weights = np.ones(len(scores)) if weights is None else weights
    ends = (
        np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        if len(scores)
        else np.zeros(0, int)
    )
    of_class = np.where(own, weights, 0.0)[order].cumsum()
    of_others = np.where(own, 0.0, weights)[order].cumsum()
    return of_class[ends], of_others[ends], scores[order][ends]


def bootstrap(
    measure: Callable[[np.ndarray], float | np.ndarray],
    count: int,
    most: float | np.ndarray = np.inf,
    rounds: int = 500,
    seed: int = 0,
    least: float | np.ndarray = 0.0,
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """The 95 % percentile interval of `measure`, less the bootstrap's estimate of its bias.

    measure: from positions (count,) drawn with return to a value from `least` to `most`, or to many in an array. A
    calibration error is larger on drawn samples than on the data itself, so that its plain percentiles may miss the value
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10 and 13).
    """
    random = np.random.default_rng(seed)
    values = np.array([measure(random.integers(0, count, count)) for _ in range(rounds)])
    bias = np.nanmean(values, axis=0) - measure(np.arange(count))
    low, high = np.clip(np.nanpercentile(values, [2.5, 97.5], axis=0) - bias, least, most)
    return (low, high) if values.ndim > 1 else (float(low), float(high))


def confusion(truths: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): row the truth, column the guess. Both int (count,)."""
    flat = np.bincount(truths * classes + guesses, minlength=classes * classes)
    return flat.reshape(classes, classes)


def recalls(counts: np.ndarray) -> np.ndarray:
    """Share of each class that was found; nan for a class that does not occur."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.diag(counts) / counts.sum(axis=1)


def precisions(counts: np.ndarray) -> np.ndarray:
    """Share of the guesses of each class that were right; nan for a class never guessed."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.diag(counts) / counts.sum(axis=0)


def balanced_accuracy(counts: np.ndarray) -> float:
    """Mean recall over the classes that occur."""
    return float(np.nanmean(recalls(counts)))


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """F1 of each class: 0 where it occurs or is guessed but never rightly; nan where it does neither."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1))


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 over the classes that occur."""
    return float(np.mean(f1_scores(counts)[counts.sum(axis=1) > 0]))


def expected_calibration_error(confidence: np.ndarray, hits: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over equal bins of confidence (Naeini et al., 2015).

    confidence: (count,) from 0 to 1; hits: bool (count,).
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidence - hits, minlength=bins)
    return float(np.abs(gaps).sum() / len(hits))


def log_losses(probabilities: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Negative natural log of each truth's probability, float64 (count,); floored at 1e-7."""
    chosen = probabilities[np.arange(len(truths)), truths].astype(np.float64)
    return -np.log(np.maximum(chosen, 1e-7))


def in_top(probabilities: np.ndarray, truths: np.ndarray, k: int) -> np.ndarray:
    """Whether fewer than k classes are more probable than the truth, bool (count,)."""
    chosen = probabilities[np.arange(len(truths)), truths]
    return (probabilities > chosen[:, None]).sum(axis=1) < k
