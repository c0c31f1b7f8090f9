"""Fits of a trained network to the validation examples: its trees, its calibration, and error quantiles."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from dltasks.data.batch import Batch
from dltasks.litert.runtime import Arrays
from dltasks.tasks.fraud.config import FraudConfig
from dltasks.tasks.fraud.layers import EPSILON
from dltasks.tasks.fraud.trees import BoostedTrees

PRIOR_SLOPES = (0.2, 0.8)
"""Weights of the log-odds of the ensemble and of the trees, which the validation examples adjust."""

ANOMALY_THRESHOLD = 0.999
"""Anomaly score from which an unsupervised model alerts."""

BATCH_SIZE = 8192


def calibrate(task: Any, network: Any, config: FraudConfig, encoded: Arrays, examples: Batch) -> Any:
    """The task once the network is fitted to the validation examples, which `encoded` holds too."""
    if task.unsupervised:
        quantiles = error_quantiles(network, encoded)
        return replace(task, error_quantiles=quantiles, threshold=ANOMALY_THRESHOLD)
    table, validation = examples.inputs.table, examples.inputs.indices
    train = np.flatnonzero(table.splits == "train")
    fit_trees(network, table.features[train], table.labels.fraud[train], config.seed)
    fit_calibration(network, encoded, examples.labels.fraud)
    # Nothing else is chosen by the validation split from here on, and frauds are few.
    rows = np.sort(np.concatenate([train, validation]))
    fit_trees(network, table.features[rows], table.labels.fraud[rows], config.seed)
    return task


def fit_trees(network: keras.Model, features: np.ndarray, fraud: np.ndarray, seed: int) -> None:
    """Grow the trees of a network that has some: features (count, features), fraud 0 or 1 (count,)."""
    for layer in network.layers:
        if isinstance(layer, BoostedTrees):
            layer.adapt(features, fraud == 1, seed)


def fit_calibration(network: keras.Model, inputs: Arrays, fraud: np.ndarray) -> None:
    """Fit the weights of the log-odds of ensemble and trees, and their offset, to the validation examples."""
    outputs = {layer.name: layer.output for layer in network.layers if layer.name in ("logits", "trees")}
    parts = keras.Model(network.inputs, outputs)
    logits, *trees = (_predict(parts, inputs, name).astype(np.float64) for name in sorted(outputs))
    mean = np.clip((1 / (1 + np.exp(-logits))).mean(axis=1, keepdims=True), EPSILON, 1 - EPSILON)
    odds = np.concatenate([np.log(mean / (1 - mean)), *trees], axis=1)
    slopes, offset = fit_stacking(odds, fraud, PRIOR_SLOPES if trees else (1.0,))
    layer = network.get_layer("probability")
    layer.slopes.assign(slopes)
    layer.offset.assign(offset)


def fit_stacking(
    odds: np.ndarray, fraud: np.ndarray, prior_slopes: tuple[float, ...]
) -> tuple[np.ndarray, float]:
    """Slopes (parts,) of log-odds (count, parts), and an offset, of the lowest log loss (Platt, 1999).

    Found by Newton's method with a weak prior around `prior_slopes` and 0. The prior counts as ten
    transactions: a fit to few frauds must not reverse the probabilities.
    """
    inputs = np.concatenate([odds, np.ones((len(odds), 1))], axis=1)
    prior = np.array([*prior_slopes, 0.0])
    weights, precision = prior, np.diag([10.0] * len(prior_slopes) + [1.0])
    for _ in range(50):
        probabilities = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (probabilities - fraud) + precision @ (weights - prior)
        curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs + precision
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return np.clip(weights[:-1], 0.2 * prior[:-1], 5), float(np.clip(weights[-1], -5, 5))


def error_quantiles(network: keras.Model, inputs: Arrays) -> tuple[float, ...]:
    """The 1001 quantiles of the reconstruction error, from the lowest to the highest."""
    quantiles = np.quantile(_predict(network, inputs, "reconstruction_error"), np.linspace(0, 1, 1001))
    # Strictly increasing, because anomaly scores are interpolated between them.
    return tuple(map(float, np.maximum.accumulate(quantiles + 1e-9 * np.arange(len(quantiles)))))


def _predict(network: keras.Model, inputs: Arrays, output: str) -> np.ndarray:
    count = len(next(iter(inputs.values())))
    parts = []
    for start in range(0, count, BATCH_SIZE):
        batch = {name: values[start : start + BATCH_SIZE] for name, values in inputs.items()}
        parts.append(np.asarray(network.predict_on_batch(batch)[output]))
    return np.concatenate(parts)
