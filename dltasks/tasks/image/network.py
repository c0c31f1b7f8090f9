"""The Keras network for photos: a backbone with a classification head, and how both are trained."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers

from dltasks.tasks.classification import compile_classifier
from dltasks.tasks.image.config import ImageConfig

FEATURE_BATCH_SIZE = 64
"""Number of photos per batch of the frozen backbone, and of features per step of the head."""

HEAD_WEIGHT_DECAY = 1e-3
"""Weight decay of the head on frozen features."""


def build_network(classes: int, size: int, backbone: keras.Model) -> keras.Model:
    """uint8 "pixels" (batch, size, size, 3) to float32 "probabilities" (batch, classes)."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    logits = _logits_layer(classes)(layers.Dropout(0.1, name="dropout")(backbone(pixels)))
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model({"pixels": pixels}, {"probabilities": probabilities}, name="image")


def _logits_layer(classes: int) -> layers.Dense:
    small = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Dense(classes, kernel_initializer=small, name="logits")


def build_training_model(network: keras.Model, config: ImageConfig, targets: np.ndarray) -> keras.Model:
    """The compiled network from pixels of any size to logits; it shares the network's weights.

    targets: float32 (count, classes), those of the training split.
    """
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    features = network.get_layer("backbone")(pixels)
    return _compile_head(network, pixels, features, config, targets)


def _compile_head(
    network: keras.Model, inputs: Any, features: Any, config: ImageConfig, targets: np.ndarray
) -> keras.Model:
    """A compiled model from the inputs, by their name, to the logits of these features."""
    logits = network.get_layer("logits")(network.get_layer("dropout")(features))
    model = keras.Model({inputs.name: inputs}, {"probabilities": logits})
    optimizer = keras.optimizers.SGD(
        config.peak_learning_rate(), momentum=0.9, nesterov=True, weight_decay=config.weight_decay
    )
    compile_classifier(model, optimizer, config, targets)
    return model


def train_head(network: keras.Model, config: ImageConfig, pixels: np.ndarray, targets: np.ndarray) -> None:
    """Fit the last layer to the features of the frozen backbone, which are computed once.

    pixels: uint8 (count, size, size, 3); targets: float32 (count, classes).
    """
    backbone = network.get_layer("backbone")
    features = compute_features(backbone, pixels)
    scale = float(np.sqrt(np.mean(np.square(features).sum(axis=1)))) or 1.0
    config = replace(config, learning_rate=8.0 / scale**2, weight_decay=HEAD_WEIGHT_DECAY)
    inputs = keras.Input(backbone.output.shape[1:], name="features")
    head = _compile_head(network, inputs, inputs, config, targets)
    head.fit(
        {"features": features},
        {"probabilities": targets},
        batch_size=FEATURE_BATCH_SIZE,
        epochs=config.head_epochs,
        verbose=0,
    )


def compute_features(backbone: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """The features of these photos, float32 (count, channels)."""
    chunks = [
        backbone.predict_on_batch(pixels[start : start + FEATURE_BATCH_SIZE])
        for start in range(0, len(pixels), FEATURE_BATCH_SIZE)
    ]
    return np.concatenate(chunks)
