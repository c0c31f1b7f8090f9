"""Training of a network for photos: its last layer on frozen features, then all layers."""

from typing import Any

import keras
import numpy as np
from keras import layers

from dltasks.litert.runtime import Arrays
from dltasks.protocols import ComputeOutputs, LabeledInputs
from dltasks.tasks.classification import class_weights, compile_classifier, fit_inverse_temperature
from dltasks.tasks.image.config import ImageConfig

FIRST_TRAINED_LAYER = "stage6_block1_expand"
"""The first layer of an EfficientNet-Lite that is trained on new photos: 80 % of its weights are above."""

RIDGE_STRENGTHS = tuple(10.0**exponent for exponent in (-5, -4.5, -4, -3.5, -3, -2.5, -2))
"""Strengths of the last layer's regularization, as fractions of the features' mean squared norm."""

MIN_SQUARED_NORM = 1e-12
"""Minimum of the features' mean squared norm that the strengths are fractions of."""

RIDGE_SCALE = 10.0
"""Scale that makes logits of regressed targets, 0 to 1, before the validation split adjusts it."""

MAX_SCALE_CHANGE = 1.5
"""Maximum factor on that scale: a few validation photos without an error would ask for the highest."""

MAX_LEAVE_ONE_OUT = 10_000
"""Maximum number of photos that choose the strength of the regularization."""


def frozen_part(network: keras.Model, config: ImageConfig) -> keras.Model | None:
    """The part of a pretrained network that keeps its weights, from "pixels" to "features" of any size.

    It is the lower part of an EfficientNet-Lite, whose edges and textures serve any photos. Other backbones
    are trained as a whole.
    """
    cut = _find_cut(network)
    if cut is None or not config.is_pretrained() or config.fine_tune == "all":
        return None
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    lower = keras.Model(network.get_layer("backbone").input, cut)
    return keras.Model({"pixels": pixels}, {"features": lower(pixels)})


def _find_cut(network: keras.Model) -> Any:
    """The tensor at which a backbone is divided; None for one that is trained as a whole."""
    backbone = network.get_layer("backbone")
    names = [layer.name for layer in backbone.layers]
    return backbone.get_layer(FIRST_TRAINED_LAYER).input if FIRST_TRAINED_LAYER in names else None


def build_training_model(network: keras.Model, config: ImageConfig, targets: np.ndarray) -> keras.Model:
    """The compiled network to logits, from pixels of any size or from the outputs of its frozen part.

    It shares the network's weights. The statistics of a pretrained backbone's normalization stay: those of a
    few photos a class are worse.

    targets: float32 (count, classes), those of the training split.
    """
    backbone = network.get_layer("backbone")
    if config.is_pretrained():
        freeze_normalization(backbone)
    if frozen_part(network, config) is None:
        inputs = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    else:
        cut = _find_cut(network)
        backbone = keras.Model(cut, backbone.output)
        inputs = keras.Input((None, None, cut.shape[-1]), name="features")
    features = network.get_layer("dropout")(backbone(inputs))
    model = keras.Model({inputs.name: inputs}, {"probabilities": network.get_layer("logits")(features)})
    compile_classifier(model, _build_optimizer(config), config, targets)
    return model


def _build_optimizer(config: ImageConfig) -> keras.optimizers.Optimizer:
    """AdamW for a pretrained backbone; momentum with Nesterov's step for random weights."""
    rate, decay = config.peak_learning_rate(), config.weight_decay
    if config.is_pretrained():
        return keras.optimizers.AdamW(rate, weight_decay=decay)
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)


def freeze_normalization(backbone: keras.Model) -> None:
    """Let the batch normalizations of a backbone, however deep, use their statistics as they are."""
    for layer in backbone._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def fit_head(
    network: keras.Model,
    config: ImageConfig,
    compute_outputs: ComputeOutputs,
    training: LabeledInputs,
    validation: LabeledInputs,
) -> None:
    """Fit the last layer to the features of the frozen backbone: ridge regression, in closed form.

    Leave-one-out errors on the training split choose the strength of the regularization, the log loss on the
    validation split the scale of the logits.
    """
    (inputs, targets), (val_inputs, val_targets) = training, validation
    features = compute_features(network, compute_outputs, inputs)
    val_features = compute_features(network, compute_outputs, val_inputs)
    one_hot = targets["probabilities"]
    weights = class_weights(one_hot) @ one_hot.T if config.balance else None
    kernel, bias = _fit_ridge(features, one_hot, weights, config.seed)
    labels = val_targets["probabilities"].argmax(axis=1)
    logits = RIDGE_SCALE * (val_features.astype(np.float64) @ kernel + bias)
    scale = RIDGE_SCALE * min(fit_inverse_temperature(logits, labels), MAX_SCALE_CHANGE)
    network.get_layer("logits").set_weights([kernel * scale, bias * scale])


def _fit_ridge(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (channels, classes) and bias (classes,) that predict the targets from the features."""
    from sklearn.linear_model import Ridge, RidgeCV

    # Regression needs some regularization even where a backbone gives only zeros.
    norm = max(float(np.mean(np.square(features).sum(axis=1))), MIN_SQUARED_NORM)
    rows = np.random.default_rng(seed).permutation(len(features))[:MAX_LEAVE_ONE_OUT]
    search = RidgeCV(norm * len(rows) * np.array(RIDGE_STRENGTHS))
    search.fit(features[rows], targets[rows], None if weights is None else weights[rows])
    strength = search.alpha_ * len(features) / len(rows)
    ridge = Ridge(strength).fit(features, targets, weights)
    return ridge.coef_.T, ridge.intercept_


def compute_features(network: keras.Model, compute_outputs: ComputeOutputs, inputs: Arrays) -> np.ndarray:
    """The features of these photos, float32 (count, channels)."""
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    model = keras.Model({"pixels": pixels}, {"features": network.get_layer("backbone")(pixels)})
    return compute_outputs(model, inputs)["features"]
