"""Training of a network for photos: its last layer on frozen features, then all layers."""

import warnings
from typing import Any

import keras
import numpy as np
from keras import layers

from dltasks.evaluation.metrics import log_losses
from dltasks.litert.runtime import Arrays
from dltasks.protocols import ComputeOutputs, LabeledInputs
from dltasks.tasks.classification import compile_classifier, softmax
from dltasks.tasks.image.config import ImageConfig

FIRST_TRAINED_LAYER = "stage6_block1_expand"
"""The first layer of an EfficientNet-Lite that is trained on new photos: 80 % of its weights are above."""

HEAD_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
"""Inverse strengths of the last layer's regularization that are tried, for centered features of norm 1."""

HEAD_ITERATIONS = 200
"""Maximum number of iterations of L-BFGS for the last layer."""

ABSENT_BIAS = -10.0
"""Logit of a class without a training photo."""

MIN_SQUARED_NORM = 1e-12
"""Minimum of the features' mean squared norm, which they are divided by."""


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
    """Fit the last layer to the features of the frozen backbone: logistic regression by L-BFGS.

    The strength of its regularization is that with the lowest log loss on the validation split.
    """
    from sklearn.linear_model import LogisticRegression

    (inputs, targets), (val_inputs, val_targets) = training, validation
    features = compute_features(network, compute_outputs, inputs)
    val_features = compute_features(network, compute_outputs, val_inputs)
    mean = features.mean(axis=0)
    features, val_features = features - mean, val_features - mean
    scale = 1 / np.sqrt(max(float(np.mean(np.square(features).sum(axis=1))), MIN_SQUARED_NORM))
    labels = targets["probabilities"].argmax(axis=1)
    val_labels = val_targets["probabilities"].argmax(axis=1)
    if len(set(labels.tolist())) < 2:
        return  # declared splits may leave one class to train on
    model = LogisticRegression(
        max_iter=HEAD_ITERATIONS,
        warm_start=True,
        class_weight="balanced" if config.balance else None,
        tol=1e-3,
    )
    candidates = []
    for strength in HEAD_STRENGTHS:
        with warnings.catch_warnings():
            # The last iterations change the probabilities by less than the augmented photos will.
            warnings.simplefilter("ignore")
            model.set_params(C=strength).fit(features * scale, labels)
        kernel, bias = _weights_of(model, targets["probabilities"].shape[1])
        losses = log_losses(softmax(val_features * scale @ kernel + bias), val_labels)
        candidates.append((float(losses.mean()), kernel * scale, bias - mean * scale @ kernel))
    _, kernel, bias = min(candidates, key=lambda candidate: candidate[0])
    network.get_layer("logits").set_weights([kernel, bias])


def _weights_of(model: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (channels, classes) and bias (classes,) of a logistic regression."""
    kernel, bias = model.coef_.T, model.intercept_
    if kernel.shape[1] == 1:  # of two classes, scikit-learn has one logit
        kernel, bias = np.concatenate([-kernel, kernel], axis=1) / 2, np.concatenate([-bias, bias]) / 2
    all_kernels, all_biases = np.zeros((len(kernel), classes)), np.full(classes, ABSENT_BIAS)
    all_kernels[:, model.classes_], all_biases[model.classes_] = kernel, bias
    return all_kernels, all_biases


def compute_features(network: keras.Model, compute_outputs: ComputeOutputs, inputs: Arrays) -> np.ndarray:
    """The features of these photos, float32 (count, channels)."""
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    model = keras.Model({"pixels": pixels}, {"features": network.get_layer("backbone")(pixels)})
    return compute_outputs(model, inputs)["features"]
