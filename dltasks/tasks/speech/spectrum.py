"""Random changes of log-mels in training: vocal tract length, equalizer, masks."""

from typing import Any

import numpy as np
from keras import layers, ops

from dltasks.tasks.speech.augmentation import RandomLayer
from dltasks.tasks.speech.config import SpeechConfig

EQUALIZER_POINTS = 6
"""Number of frequencies with a random gain of their own; it is interpolated linearly between them."""

FRAMES_PER_SECOND = 100


def spectrum_augmentation(config: SpeechConfig) -> list[layers.Layer]:
    """Layers from log-mels float32 (batch, frames, bands) to augmented ones."""
    return [
        VocalTractLength(config.vtlp, config.seed),
        RandomEqualizer(config.equalizer_db, config.seed + 1),
        SpecAugment(config.time_mask_seconds, config.frequency_mask_bands, config.seed + 2),
    ]


class _TrainingLayer(RandomLayer):
    """A layer that is the identity outside training."""

    def call(self, log_mel: Any, training: bool = False) -> Any:
        return self.augment(log_mel) if training else log_mel

    def augment(self, log_mel: Any) -> Any:
        raise NotImplementedError


class VocalTractLength(_TrainingLayer):
    """Frequency scale stretched by up to `max_stretch`, as from a smaller or larger speaker of equal tempo
    (vocal tract length perturbation; Jaitly and Hinton, 2013)."""

    def __init__(self, max_stretch: float, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.max_stretch = max_stretch

    def augment(self, log_mel: Any) -> Any:
        bands = np.arange(log_mel.shape[2], dtype="float32")
        shape = (ops.shape(log_mel)[0], 1, 1)
        factor = self.draw_uniform(shape, 1 - self.max_stretch, 1 + self.max_stretch)
        positions = ops.clip(factor * bands, 0.0, float(bands[-1]))
        weights = ops.maximum(0.0, 1 - ops.abs(bands[:, None] - positions))
        return ops.matmul(log_mel, weights)


class RandomEqualizer(_TrainingLayer):
    """Random gains of up to `max_db` decibels at a few frequencies, interpolated between them."""

    def __init__(self, max_db: float, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.max_nats = max_db * np.log(10) / 10

    def augment(self, log_mel: Any) -> Any:
        bands = np.arange(log_mel.shape[2])
        points = np.linspace(0, log_mel.shape[2] - 1, EQUALIZER_POINTS)
        weights = [np.interp(bands, points, row) for row in np.eye(EQUALIZER_POINTS)]
        shape = (ops.shape(log_mel)[0], 1, EQUALIZER_POINTS)
        gains = self.draw_uniform(shape, -self.max_nats, self.max_nats)
        return log_mel + ops.matmul(gains, np.array(weights, "float32"))


class SpecAugment(_TrainingLayer):
    """Two masks over time and two over the bands, filled with the mean of the log-mel (Park et al., 2019).

    max_seconds, max_bands: maximum sizes of the masks.
    """

    def __init__(self, max_seconds: float, max_bands: int, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.max_sizes = {1: max_seconds * FRAMES_PER_SECOND, 2: max_bands}

    def augment(self, log_mel: Any) -> Any:
        mean = ops.mean(log_mel, axis=(1, 2), keepdims=True)
        for axis, max_size in (*self.max_sizes.items(), *self.max_sizes.items()):
            length = log_mel.shape[axis]
            size, start = ops.unstack(self.draw_uniform((2, ops.shape(log_mel)[0], 1)), axis=0)
            size = size * max_size
            start = start * (length - size)
            positions = ops.arange(length, dtype="float32")[None]
            is_masked = ops.logical_and(positions >= start, positions < start + size)
            log_mel = ops.where(ops.expand_dims(is_masked, 3 - axis), mean, log_mel)
        return log_mel
