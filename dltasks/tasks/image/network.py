"""The Keras networks for photos: backbones of our own, and the classification head on a backbone.

A backbone takes uint8 pixels (batch, height, width, 3) of any size and returns features (batch, channels).
"""

import math
from typing import Any, NamedTuple

import keras
from keras import layers

STAGE_WIDTHS = (32, 64, 128, 256)
"""Channels of the stages of the residual network."""

BLOCKS_PER_STAGE = 2
"""Number of residual blocks per stage of the residual network."""


class Stage(NamedTuple):
    """A stage of EfficientNet: inverted residual blocks of equal width, the first with the stride."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


class Scaling(NamedTuple):
    """How a member of the family differs from the smallest one; size: of its training photos, in pixels."""

    width: float
    depth: float
    size: int


EFFICIENTNET_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""The stages of EfficientNet-B0 (Tan and Le, "EfficientNet", 2019, table 1), which Lite0 shares."""

EFFICIENTNET_LITE = (
    Scaling(1.0, 1.0, 224),
    Scaling(1.0, 1.1, 240),
    Scaling(1.1, 1.2, 260),
    Scaling(1.2, 1.4, 280),
    Scaling(1.4, 1.8, 300),
)
"""EfficientNet-Lite0 to 4."""

STEM_CHANNELS, TOP_CHANNELS = 32, 1280
"""Channels of the first and the last convolution of EfficientNet-Lite, which are not scaled."""


def build_network(classes: int, size: int, backbone: keras.Model) -> keras.Model:
    """uint8 "pixels" (batch, size, size, 3) to float32 "probabilities" (batch, classes)."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    logits = _logits_layer(classes)(layers.Dropout(0.1, name="dropout")(backbone(pixels)))
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model({"pixels": pixels}, {"probabilities": probabilities}, name="image")


def _logits_layer(classes: int) -> layers.Dense:
    small = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Dense(classes, kernel_initializer=small, name="logits")


def build_efficientnet_lite(level: int) -> keras.Model:
    """EfficientNet-Lite without its classification head, for levels from 0 to 4, with random weights.

    Tan and Le, "EfficientNet", 2019, with the changes of Google's TPU repository for phones: ReLU6 instead of
    Swish, no squeeze-and-excitation, and a first and last stage that are not scaled. Lite0 has 3.4 M
    parameters.
    """
    scaling = EFFICIENTNET_LITE[level]
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scaling")(pixels)
    x = _apply_relu6(layers.Conv2D(STEM_CHANNELS, 3, 2, padding="same", use_bias=False, name="stem"), x)
    for number, stage in enumerate(EFFICIENTNET_STAGES, 1):
        is_scaled = 1 < number < len(EFFICIENTNET_STAGES)
        blocks = math.ceil(stage.blocks * scaling.depth) if is_scaled else stage.blocks
        channels = _round_channels(stage.channels * scaling.width)
        for block in range(blocks):
            stride = 1 if block else stage.stride
            x = _add_inverted_residual(x, stage, channels, stride, f"stage{number}_block{block + 1}")
    x = _apply_relu6(layers.Conv2D(TOP_CHANNELS, 1, use_bias=False, name="top"), x)
    return keras.Model(pixels, layers.GlobalAveragePooling2D(name="pooling")(x), name="backbone")


def _round_channels(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth smaller."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _add_inverted_residual(x: Any, stage: Stage, channels: int, stride: int, name: str) -> Any:
    """An inverted residual block (Sandler et al., "MobileNetV2", 2018), with its shortcut."""
    shortcut = x
    if stage.expansion > 1:
        expand = layers.Conv2D(stage.expansion * x.shape[-1], 1, use_bias=False, name=f"{name}_expand")
        x = _apply_relu6(expand, x)
    depthwise = layers.DepthwiseConv2D(
        stage.kernel_size, stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )
    x = _apply_relu6(depthwise, x)
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(name=f"{name}_project_norm")(x)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _apply_relu6(convolution: layers.Layer, x: Any) -> Any:
    """The convolution, normalized and activated by layers named after it."""
    x = layers.BatchNormalization(name=f"{convolution.name}_norm")(convolution(x))
    return layers.ReLU(6.0, name=f"{convolution.name}_relu6")(x)


def build_resnet() -> keras.Model:
    """A residual network (He et al., 2015) with 2.8 M parameters and random weights.

    Its first convolution halves the resolution.
    """
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 64, offset=-2, name="scaling")(pixels)
    x = _normalize(layers.Conv2D(STAGE_WIDTHS[0], 3, 2, padding="same", use_bias=False)(x), "relu")
    for stage, width in enumerate(STAGE_WIDTHS):
        for block in range(BLOCKS_PER_STAGE):
            x = _add_residual(x, width, stride=2 if stage and not block else 1)
    return keras.Model(pixels, layers.GlobalAveragePooling2D()(x), name="backbone")


def _add_residual(x: Any, width: int, stride: int) -> Any:
    """Two convolutions and a shortcut.

    Where the size shrinks, the shortcut averages (ResNet-D, He et al., 2018).
    """
    shortcut = x
    if stride > 1 or x.shape[-1] != width:
        if stride > 1:
            shortcut = layers.AveragePooling2D(stride, padding="same")(shortcut)
        shortcut = _normalize(layers.Conv2D(width, 1, use_bias=False)(shortcut))
    x = _normalize(layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x), "relu")
    x = _normalize(layers.Conv2D(width, 3, padding="same", use_bias=False)(x), gamma="zeros")
    return layers.ReLU()(layers.Add()([x, shortcut]))


def _normalize(x: Any, activation: str | None = None, gamma: str = "ones") -> Any:
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma)(x)
    return layers.Activation(activation)(x) if activation else x
