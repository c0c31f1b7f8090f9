"""Clips changed at random, in training only: tempo and place, loudness, noise, mixing."""

from functools import lru_cache

import keras
import numpy as np
from keras import layers, ops

from dltasks.tasks.speech.data import SILENCE


@lru_cache(maxsize=1)
def augmentation(length: int, labels: tuple[str, ...], config) -> keras.Model:
    """Samples (batch, length) and targets (batch, classes) to changed ones."""
    silence = labels.index(SILENCE)
    samples = keras.Input((length,), dtype="float32", name="samples")
    targets = keras.Input((len(labels),), dtype="float32", name="probabilities")
    heard = SpeedAndShift(config.speed, config.shift, config.seed)(samples)
    heard = Gain(config.gain, config.seed + 1)(heard)
    heard = BackgroundNoise(config.noise, config.signal_to_noise, silence, config.seed + 2)(
        heard, samples, targets
    )
    heard, wanted = WhiteNoiseSilence(config.silence_probability, silence, config.seed + 3)(heard, targets)
    if config.mixup_alpha:
        heard, wanted = Mixup(config.mixup_alpha, config.seed + 4)(heard, wanted)
    heard = ops.clip(heard, -1.0, 1.0)
    return keras.Model(
        {"samples": samples, "probabilities": targets}, {"samples": heard, "probabilities": wanted}
    )


class Random(layers.Layer):
    """A layer that draws numbers."""

    def __init__(self, seed: int, **options):
        super().__init__(**options)
        self.random = keras.random.SeedGenerator(seed)

    def drawn(self, shape: tuple, low: float = 0.0, high: float = 1.0):
        """Uniform float32 of this shape."""
        return keras.random.uniform(shape, low, high, seed=self.random)


class SpeedAndShift(Random):
    """Played faster or slower by up to `speed`, and moved by up to `shift` of its length; silence comes in.

    Pitch and formants move with the tempo, as from a smaller to a larger speaker (speed perturbation, Ko et al., 2015).
    """

    def __init__(self, speed: float, shift: float, seed: int, **options):
        super().__init__(seed, **options)
        self.speed, self.shift = speed, shift

    def call(self, samples):
        batch, length = ops.shape(samples)[0], samples.shape[1]
        factor = self.drawn((batch, 1), 1 - self.speed, 1 + self.speed)
        moved = self.drawn((batch, 1), -self.shift, self.shift) * length
        places = (np.arange(length, dtype="float32") - length / 2) * factor + length / 2 + moved
        before = ops.floor(places)
        share = places - before
        inside = ops.logical_and(before >= 0, before < length - 1)
        index = ops.cast(ops.clip(before, 0, length - 2), "int32")
        one, next = (ops.take_along_axis(samples, index + i, axis=1) for i in (0, 1))
        return ops.where(inside, one * (1 - share) + next * share, 0.0)


class Gain(Random):
    """Made louder or softer by up to so many decibels."""

    def __init__(self, decibels: float, seed: int, **options):
        super().__init__(seed, **options)
        self.decibels = decibels

    def call(self, samples):
        change = self.drawn((ops.shape(samples)[0], 1), -self.decibels, self.decibels)
        return samples * ops.power(10.0, change / 20)


class BackgroundNoise(Random):
    """A share of the clips with noise over them: a clip of silence of the same batch, or white noise.

    The noise begins anywhere, and lies below the clip by at least so many decibels and at most 30.
    """

    def __init__(self, share: float, least: float, silence: int, seed: int, **options):
        super().__init__(seed, **options)
        self.share, self.least, self.silence = share, least, silence

    def call(self, samples, originals, targets):
        batch, length = ops.shape(samples)[0], samples.shape[1]
        noise = ops.take_along_axis(self._of_batch(originals, targets), self._turned(batch, length), axis=1)
        white = keras.random.normal((batch, length), seed=self.random)
        noise = ops.where(self.drawn((batch, 1)) < 0.2, white, noise)
        power = [ops.mean(ops.square(each), axis=1, keepdims=True) for each in (samples, noise)]
        ratio = ops.power(10.0, -self.drawn((batch, 1), self.least, 30.0) / 10)
        loud = ops.sqrt(power[0] * ratio / (power[1] + 1e-9))
        chosen = ops.cast(self.drawn((batch, 1)) < self.share, "float32")
        return samples + chosen * loud * noise

    def _of_batch(self, originals, targets):
        """For each clip one of the batch's clips of silence, at random; zeros where there is none."""
        silent = targets[:, self.silence]
        batch = ops.shape(originals)[0]
        scores = keras.random.uniform((batch, batch), seed=self.random) * silent[None]
        chosen = ops.argmax(scores, axis=1)
        return ops.take(originals, chosen, axis=0) * ops.take(silent, chosen, axis=0)[:, None]

    def _turned(self, batch, length: int):
        """Positions from a random one on, and round."""
        start = ops.cast(self.drawn((batch, 1), 0, length), "int32")
        return ops.mod(start + np.arange(length, dtype="int32")[None], length)


class WhiteNoiseSilence(Random):
    """A share of the clips becomes silence: white noise far below full scale."""

    def __init__(self, share: float, silence: int, seed: int, **options):
        super().__init__(seed, **options)
        self.share, self.silence = share, silence

    def call(self, samples, targets):
        batch, length = ops.shape(samples)[0], samples.shape[1]
        loud = ops.power(10.0, self.drawn((batch, 1), -100.0, -30.0) / 20)
        hush = loud * keras.random.normal((batch, length), seed=self.random)
        chosen = self.drawn((batch, 1)) < self.share
        target = ops.one_hot(ops.full((batch,), self.silence, dtype="int32"), targets.shape[1])
        return ops.where(chosen, hush, samples), ops.where(chosen, target, targets)


class Mixup(Random):
    """Clips and their targets in a weighted mean with another of the batch (mixup, Zhang et al., 2017)."""

    def __init__(self, alpha: float, seed: int, **options):
        super().__init__(seed, **options)
        self.alpha = alpha

    def call(self, samples, targets):
        share = keras.random.beta((ops.shape(samples)[0], 1), self.alpha, self.alpha, seed=self.random)
        share = ops.maximum(share, 1 - share)
        return tuple(share * each + (1 - share) * ops.flip(each, axis=0) for each in (samples, targets))
