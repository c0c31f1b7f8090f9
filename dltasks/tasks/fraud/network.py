"""The networks: a classifier of an ensemble that shares its weights and of trees, and an autoencoder."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dltasks.litert.runtime import Arrays
from dltasks.tasks.fraud.config import FraudConfig
from dltasks.tasks.fraud.layers import (
    EPSILON,
    BatchEnsembleDense,
    CalibratedProbability,
    CategoryEmbeddings,
    EnsembleLogits,
    HistoryAttention,
    LogStandardization,
    PiecewiseLinearEncoding,
    ReconstructionError,
)
from dltasks.tasks.fraud.trees import BoostedTrees


def classifier(
    features: int, vocabulary_sizes: list[int], history_length: int, config: FraudConfig
) -> keras.Model:
    """A model of features (batch, features) and category_ids (batch, categories) to probability (batch, 1).

    An input without columns is absent. With a history length there are also history (batch, steps, features)
    and history_mask (batch, steps).
    """
    inputs = _inputs(features, vocabulary_sizes, history_length)
    x = _encode(inputs, vocabulary_sizes)
    if history_length:
        attention = HistoryAttention(config.width, name="history_attention")
        x = layers.Concatenate(name="with_history")([x, attention(inputs["history"], inputs["history_mask"])])
    for depth in (1, 2):
        hidden = BatchEnsembleDense(config.ensemble_size, config.width, name=f"ensemble_{depth}")(x)
        hidden = layers.Activation("relu", name=f"relu_{depth}")(hidden)
        x = hidden if depth == 1 else layers.Add(name="residual")([x, hidden])
    parts = [EnsembleLogits(name="logits")(x)]
    if config.trees and features:
        parts.append(BoostedTrees(config.trees, name="trees")(inputs["features"]))
    probability = CalibratedProbability(name="probability")(parts)
    return keras.Model(inputs, {"probability": probability}, name="classifier")


def autoencoder(features: int, vocabulary_sizes: list[int], config: FraudConfig) -> keras.Model:
    """features (batch, features) to reconstruction_error (batch, 1).

    The mean squared error of the standardized features, reconstructed from noisy ones through width / 8
    values (Vincent et al., 2008, denoising autoencoders). Categories are inputs, and are not reconstructed.
    """
    inputs = _inputs(features, vocabulary_sizes, 0)
    target = LogStandardization(name="standardized")(inputs["features"])
    x = layers.GaussianNoise(0.1, name="noise")(target)
    if vocabulary_sizes:
        embeddings = CategoryEmbeddings(vocabulary_sizes, name="categories")(inputs["category_ids"])
        x = layers.Concatenate(name="encoded")([x, embeddings])
    for i, units in enumerate((config.width, max(2, config.width // 8), config.width)):
        x = layers.Dense(units, activation="relu", name=f"dense_{i}")(x)
    reconstruction = layers.Dense(features, name="reconstruction")(x)
    error = ReconstructionError(name="reconstruction_error")([target, reconstruction])
    return keras.Model(inputs, {"reconstruction_error": error}, name="autoencoder")


def _inputs(features: int, vocabulary_sizes: list[int], history_length: int) -> dict[str, Any]:
    inputs = {}
    if features:
        inputs["features"] = keras.Input((features,), name="features")
    if vocabulary_sizes:
        inputs["category_ids"] = keras.Input((len(vocabulary_sizes),), dtype="int32", name="category_ids")
    if history_length:
        inputs["history"] = keras.Input((history_length, features), name="history")
        inputs["history_mask"] = keras.Input((history_length,), name="history_mask")
    return inputs


def _encode(inputs: dict[str, Any], vocabulary_sizes: list[int]) -> Any:
    """(batch, values) of the transaction itself."""
    parts = []
    if "features" in inputs:
        parts.append(PiecewiseLinearEncoding(name="piecewise_encoding")(inputs["features"]))
    if vocabulary_sizes:
        parts.append(CategoryEmbeddings(vocabulary_sizes, name="categories")(inputs["category_ids"]))
    return layers.Concatenate(name="encoded")(parts) if len(parts) > 1 else parts[0]


def adapt_layers(network: keras.Model, inputs: Arrays, targets: Arrays) -> None:
    """Fit edges, scales and the initial fraud rate to the training examples."""
    for layer in network.layers:
        if isinstance(layer, LogStandardization):
            layer.adapt(inputs["features"])
        if isinstance(layer, PiecewiseLinearEncoding | HistoryAttention):
            encoding = layer if isinstance(layer, PiecewiseLinearEncoding) else layer.encoding
            encoding.adapt(inputs["features"], targets["probability"][:, 0] > 0.5)
        if isinstance(layer, EnsembleLogits):
            rate = float(np.clip(targets["probability"].mean(), 1e-4, 1 - 1e-4))
            layer.bias.assign(np.full(layer.bias.shape, np.log(rate / (1 - rate)), np.float32))


@keras.saving.register_keras_serializable("dltasks.fraud")
class Likelihood(keras.metrics.Mean):
    """Mean natural log-likelihood of the ensemble's mean probability; higher is better."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        mean = ops.clip(ops.mean(ops.sigmoid(y_pred), -1, keepdims=True), EPSILON, 1 - EPSILON)
        return super().update_state(y_true * ops.log(mean) + (1 - y_true) * ops.log(1 - mean), sample_weight)


@keras.saving.register_keras_serializable("dltasks.fraud")
class NegativeError(keras.metrics.Mean):
    """Mean reconstruction error, negative: higher is better."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(-y_pred, sample_weight)


def training_model(network: keras.Model, config: FraudConfig, targets: Arrays) -> keras.Model:
    """The compiled network: each member has its own log loss; the autoencoder's loss is its error."""
    if config.unsupervised:
        model, output = network, "reconstruction_error"
        loss: Callable[[Any, Any], Any] = _mean_error
        metric: keras.metrics.Metric = NegativeError(name="likelihood")
    else:
        logits, output = network.get_layer("logits").output, "probability"
        model = keras.Model(network.inputs, {output: logits}, name="training_model")
        loss, metric = _log_loss(config, targets[output]), Likelihood(name="likelihood")
    model.compile(
        optimizer=keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay),
        loss={output: loss},
        metrics={output: [metric]},
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def _mean_error(_: Any, errors: Any) -> Any:
    return ops.mean(errors, axis=-1)


def _log_loss(config: FraudConfig, targets: np.ndarray) -> Callable[[Any, Any], Any]:
    """Mean log loss of the members' logits; with `balance` frauds weigh as much in total as the others."""
    rate = float(np.clip(targets.mean(), 1e-6, 1 - 1e-6))
    class_weights = (0.5 / rate, 0.5 / (1 - rate)) if config.balance else (1.0, 1.0)

    def loss(target: Any, logits: Any) -> Any:
        losses = ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
        weights = ops.where(target > 0.5, *class_weights)
        return ops.mean(losses * weights, axis=-1)

    return loss
