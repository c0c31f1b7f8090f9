"""Augmentation on the fly: random crops that grow during the run, color jitter, MixUp and CutMix."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dltasks.tasks.image.config import ImageConfig
from dltasks.tasks.image.crop_size import crop_size

# Each layer takes and returns a batch of pixels as float32, 0 to 255.


class RandomCrop(layers.Layer):
    """A crop of random position, area and aspect ratio, mirrored half of the time, resized to a square.

    "Inception crop" (Szegedy et al., 2014): area from `min_area` to 1 of the photo, aspect ratio 3:4 to
    4:3. Resizing is antialiased and takes two matrix products, which every backend computes alike and fast.

    Attributes:
        size: Side length of the crops, in pixels.
        min_area: Minimum fraction of the photo's area.
    """

    def __init__(self, size: int, min_area: float, seed: int, **options: Any):
        super().__init__(**options)
        self.size, self.min_area = size, min_area
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images):
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        area, shape, x, y, flip = ops.unstack(keras.random.uniform((5, batch), seed=self.random), axis=0)
        area = self.min_area + (1 - self.min_area) * area
        ratio = ops.exp((2 * shape - 1) * float(np.log(4 / 3)) / 2)
        # Within these bounds both sides fit into the photo at the drawn area.
        ratio = ops.clip(ratio, ops.sqrt(area), 1 / ops.sqrt(area))
        crop_height, crop_width = ops.sqrt(area) / ratio, ops.sqrt(area) * ratio
        rows = self._resampling_matrix(height, y * (1 - crop_height), crop_height, flip * 0)
        columns = self._resampling_matrix(width, x * (1 - crop_width), crop_width, flip)
        images = ops.cast(images, "float32")
        strips = ops.matmul(rows, ops.reshape(images, (-1, height, width * 3)))
        strips = ops.reshape(strips, (-1, self.size, width, 3))
        strips = ops.reshape(ops.transpose(strips, (0, 2, 1, 3)), (-1, width, self.size * 3))
        crops = ops.reshape(ops.matmul(columns, strips), (-1, self.size, self.size, 3))
        return ops.transpose(crops, (0, 2, 1, 3))

    def _resampling_matrix(self, length: int, start, extent, flip):
        """Triangle filter weights (batch, size, length); rows sum to 1."""
        steps = (np.arange(self.size, dtype="float32") + 0.5) / self.size
        steps = ops.where(flip[:, None] > 0.5, 1 - steps[None], steps[None])
        centers = (start[:, None] + extent[:, None] * steps) * length
        support = ops.maximum(extent * length / self.size, 1.0)[:, None, None]
        pixels = np.arange(length, dtype="float32") + 0.5
        weights = ops.relu(1 - ops.abs(centers[:, :, None] - pixels) / support)
        return weights / ops.sum(weights, axis=-1, keepdims=True)

    def compute_output_shape(self, shape):
        return (shape[0], self.size, self.size, 3)


class RandomColorJitter(layers.Layer):
    """Brightness, contrast and saturation scaled by 1 - strength to 1 + strength, drawn for each photo."""

    def __init__(self, strength: float, seed: int, **options: Any):
        super().__init__(**options)
        self.strength = strength
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images):
        batch = ops.shape(images)[0]
        factors = keras.random.uniform((3, batch, 1, 1, 1), -1.0, 1.0, seed=self.random)
        brightness, contrast, saturation = ops.unstack(1 + self.strength * factors, axis=0)
        images = images * brightness
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = mean + (images - mean) * contrast
        gray = ops.mean(images, axis=3, keepdims=True)
        return gray + (images - gray) * saturation


class MixUpCutMix(layers.Layer):
    """Each photo and its target mixed with those of another photo of the batch.

    Half of the batches by a weighted mean (MixUp, Zhang et al., 2017), the other half by a pasted rectangle
    (CutMix, Yun et al., 2019); the proportion is drawn from Beta(alpha, alpha) for each photo.
    """

    def __init__(self, alpha: float, seed: int, **options: Any):
        super().__init__(**options)
        self.alpha = alpha
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images, targets):
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        proportion = keras.random.beta((batch,), self.alpha, self.alpha, seed=self.random)
        proportion = ops.reshape(ops.maximum(proportion, 1 - proportion), (-1, 1, 1))
        x, y, cut = ops.unstack(keras.random.uniform((3, batch, 1, 1), seed=self.random), axis=0)
        side = ops.sqrt(1 - proportion)
        rows = (np.arange(height, dtype="float32").reshape(1, -1, 1) + 0.5) / height
        columns = (np.arange(width, dtype="float32").reshape(1, 1, -1) + 0.5) / width
        inside = ops.logical_and(ops.abs(rows - y) < side / 2, ops.abs(columns - x) < side / 2)
        mask = ops.where(cut[0] > 0.5, 1.0 - ops.cast(inside, "float32"), proportion)
        images = mask[..., None] * images + (1 - mask[..., None]) * ops.flip(images, axis=0)
        weight = ops.mean(mask, axis=(1, 2))[:, None]
        return images, weight * targets + (1 - weight) * ops.flip(targets, axis=0)


class RoundToUint8(layers.Layer):
    """Levels rounded and clipped to uint8."""

    def __init__(self, **options: Any):
        super().__init__(autocast=False, **options)

    def call(self, images):
        return ops.cast(ops.clip(ops.round(images), 0, 255), "uint8")

    def compute_output_spec(self, images):
        return keras.KerasTensor(images.shape, "uint8")


@lru_cache(maxsize=8)
def build_augmentation(size: int, classes: int, config: ImageConfig, side: int) -> keras.Model:
    """A model from photos and their targets to random crops and mixed targets.

    Its inputs are "pixels", uint8 (batch, size, size, 3), and "probabilities", float32 (batch, classes); its
    outputs have the same names, with crops (batch, side, side, 3).
    """
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    targets = keras.Input((classes,), name="probabilities")
    crops = RandomCrop(side, config.min_crop_area, config.seed)(pixels)
    mixed = targets
    if config.color_jitter:
        crops = RandomColorJitter(config.color_jitter, config.seed + 1)(crops)
    if config.mixup_alpha:
        crops, mixed = MixUpCutMix(config.mixup_alpha, config.seed + 2)(crops, targets)
    crops = RoundToUint8(dtype="uint8")(crops)
    return keras.Model(
        {"pixels": pixels, "probabilities": targets}, {"pixels": crops, "probabilities": mixed}
    )


def augmentation_at(size: int, classes: int, config: ImageConfig, completed: float) -> keras.Model:
    """The augmentation when this fraction of the run is completed."""
    return build_augmentation(size, classes, config, crop_size(size, config, completed))
