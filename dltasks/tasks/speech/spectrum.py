"""Log-mels changed at random, in training only: the speaker's build, the tone of microphone and room, masks."""

import numpy as np
from keras import layers, ops

from dltasks.tasks.speech.augmentation import Random

ANCHORS = 6
"""Points of the frequency scale between which the tone changes in straight lines."""


def changes(config) -> list[layers.Layer]:
    """Layers from log-mels float32 (batch, frames, bands) to the same, changed."""
    return [
        VocalTractLength(config.vtlp, config.seed),
        RandomEqualiser(config.equalizer_db, config.seed + 1),
        SpecAugment(config.masked_seconds, config.masked_bands, config.seed + 2),
    ]


class _InTraining(Random):
    """A layer that changes nothing but in training."""

    def call(self, log_mel, training=False):
        return self.changed(log_mel) if training else log_mel


class VocalTractLength(_InTraining):
    """The scale of frequencies stretched or shrunk by up to `most`, as from a smaller or a larger speaker who says it
    no faster (vocal tract length perturbation; Jaitly and Hinton, 2013)."""

    def __init__(self, most: float, seed: int, **options):
        super().__init__(seed, **options)
        self.most = most

    def changed(self, log_mel):
        """Each band becomes what stood at its place times the factor, between two bands by their nearness."""
        bands = np.arange(log_mel.shape[2], dtype="float32")
        factor = self.drawn((ops.shape(log_mel)[0], 1, 1), 1 - self.most, 1 + self.most)
        places = ops.clip(factor * bands, 0.0, float(bands[-1]))
        return ops.matmul(log_mel, ops.maximum(0.0, 1 - ops.abs(bands[:, None] - places)))


class RandomEqualiser(_InTraining):
    """Louder or softer by up to so many decibels at each of a few frequencies, in straight lines between them."""

    def __init__(self, decibels: float, seed: int, **options):
        super().__init__(seed, **options)
        self.nats = decibels * np.log(10) / 10

    def changed(self, log_mel):
        anchors = np.linspace(0, log_mel.shape[2] - 1, ANCHORS)
        shares = [np.interp(np.arange(log_mel.shape[2]), anchors, each) for each in np.eye(ANCHORS)]
        change = self.drawn((ops.shape(log_mel)[0], 1, ANCHORS), -self.nats, self.nats)
        return log_mel + ops.matmul(change, np.array(shares, "float32"))


class SpecAugment(_InTraining):
    """Two stretches of time and two of the bands of each log-mel become its mean (Park et al., 2019).

    seconds, bands: the longest of them.
    """

    def __init__(self, seconds: float, bands: int, seed: int, **options):
        super().__init__(seed, **options)
        self.longest = {1: seconds * 100, 2: bands}

    def changed(self, log_mel):
        mean = ops.mean(log_mel, axis=(1, 2), keepdims=True)
        for axis, longest in (*self.longest.items(), *self.longest.items()):
            size = log_mel.shape[axis]
            extent, start = ops.unstack(self.drawn((2, ops.shape(log_mel)[0], 1)), axis=0)
            extent = extent * longest
            start = start * (size - extent)
            place = ops.arange(size, dtype="float32")[None]
            masked = ops.expand_dims(ops.logical_and(place >= start, place < start + extent), 3 - axis)
            log_mel = ops.where(masked, mean, log_mel)
        return log_mel
