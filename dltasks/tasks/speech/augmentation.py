"""Random changes of training clips: speed and position, level, noise, mixup."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dltasks.tasks.speech.config import SpeechConfig
from dltasks.tasks.speech.data import SILENCE

WHITE_NOISE_PROBABILITY = 0.2
"""Fraction of the mixed noise that is white noise instead of a clip of silence."""

MAX_SNR_DB = 30.0
"""Maximum signal-to-noise ratio of a mix."""

MIN_SILENCE_DB, MAX_SILENCE_DB = -100.0, -30.0
"""Range of the level of white noise that counts as silence, in dBFS."""


@lru_cache(maxsize=1)
def augmentation(length: int, labels: tuple[str, ...], config: SpeechConfig) -> keras.Model:
    """Samples (batch, length) and targets (batch, classes) to augmented ones."""
    silence, seed = labels.index(SILENCE), config.seed
    samples = keras.Input((length,), dtype="float32", name="samples")
    targets = keras.Input((len(labels),), dtype="float32", name="probabilities")
    augmented = SpeedAndShift(config.max_speed_change, config.max_shift, seed)(samples)
    augmented = Gain(config.max_gain_db, seed + 1)(augmented)
    mix = BackgroundNoise(config.noise_probability, config.min_snr_db, silence, seed + 2)
    augmented = mix(augmented, samples, targets)
    replace = WhiteNoiseSilence(config.silence_probability, silence, seed + 3)
    augmented, new_targets = replace(augmented, targets)
    if config.mixup_alpha:
        augmented, new_targets = Mixup(config.mixup_alpha, seed + 4)(augmented, new_targets)
    augmented = ops.clip(augmented, -1.0, 1.0)
    return keras.Model(
        {"samples": samples, "probabilities": targets},
        {"samples": augmented, "probabilities": new_targets},
    )


class RandomLayer(layers.Layer):
    """A layer with a random number generator."""

    def __init__(self, seed: int, **options: Any):
        super().__init__(**options)
        self.random = keras.random.SeedGenerator(seed)

    def draw_uniform(self, shape: tuple[Any, ...], low: float = 0.0, high: float = 1.0) -> Any:
        """Uniform float32 of this shape."""
        return keras.random.uniform(shape, low, high, seed=self.random)


class SpeedAndShift(RandomLayer):
    """Random speed and position, with silence at the ends.

    Pitch and formants move with the tempo, as from a smaller to a larger speaker (speed perturbation, Ko et
    al., 2015).

    max_change: of the speed, as a fraction. max_shift: as a fraction of the length.
    """

    def __init__(self, max_change: float, max_shift: float, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.max_change, self.max_shift = max_change, max_shift

    def call(self, samples: Any) -> Any:
        batch, length = ops.shape(samples)[0], samples.shape[1]
        factor = self.draw_uniform((batch, 1), 1 - self.max_change, 1 + self.max_change)
        shift = self.draw_uniform((batch, 1), -self.max_shift, self.max_shift) * length
        positions = (np.arange(length, dtype="float32") - length / 2) * factor + length / 2 + shift
        before = ops.floor(positions)
        weight = positions - before
        is_inside = ops.logical_and(before >= 0, before < length - 1)
        index = ops.cast(ops.clip(before, 0, length - 2), "int32")
        left, right = (ops.take_along_axis(samples, index + i, axis=1) for i in (0, 1))
        return ops.where(is_inside, left * (1 - weight) + right * weight, 0.0)


class Gain(RandomLayer):
    """Random change of the level by up to `max_db` decibels."""

    def __init__(self, max_db: float, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.max_db = max_db

    def call(self, samples: Any) -> Any:
        change = self.draw_uniform((ops.shape(samples)[0], 1), -self.max_db, self.max_db)
        return samples * ops.power(10.0, change / 20)


class BackgroundNoise(RandomLayer):
    """Noise mixed into a fraction of the clips: a clip of silence of the same batch, or white noise.

    The noise starts at a random position, at a signal-to-noise ratio from `min_snr_db` to MAX_SNR_DB.

    silence: index of the class of silence.
    """

    def __init__(self, probability: float, min_snr_db: float, silence: int, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.probability, self.min_snr_db, self.silence = probability, min_snr_db, silence

    def call(self, samples: Any, originals: Any, targets: Any) -> Any:
        batch, length = ops.shape(samples)[0], samples.shape[1]
        silence = self._pick_silence(originals, targets)
        noise = ops.take_along_axis(silence, self._rotated_indices(batch, length), axis=1)
        white = keras.random.normal((batch, length), seed=self.random)
        noise = ops.where(self.draw_uniform((batch, 1)) < WHITE_NOISE_PROBABILITY, white, noise)
        power, noise_power = (
            ops.mean(ops.square(values), axis=1, keepdims=True) for values in (samples, noise)
        )
        ratio = ops.power(10.0, -self.draw_uniform((batch, 1), self.min_snr_db, MAX_SNR_DB) / 10)
        scale = ops.sqrt(power * ratio / (noise_power + 1e-9))
        is_mixed = ops.cast(self.draw_uniform((batch, 1)) < self.probability, "float32")
        return samples + is_mixed * scale * noise

    def _pick_silence(self, originals: Any, targets: Any) -> Any:
        """For each clip a random clip of silence of the batch; zeros if it has none."""
        is_silence = targets[:, self.silence]
        batch = ops.shape(originals)[0]
        scores = keras.random.uniform((batch, batch), seed=self.random) * is_silence[None]
        picked = ops.argmax(scores, axis=1)
        return ops.take(originals, picked, axis=0) * ops.take(is_silence, picked, axis=0)[:, None]

    def _rotated_indices(self, batch: Any, length: int) -> Any:
        """Indices (batch, length) from a random one to the end, and on from the start."""
        start = ops.cast(self.draw_uniform((batch, 1), 0, length), "int32")
        return ops.mod(start + np.arange(length, dtype="int32")[None], length)


class WhiteNoiseSilence(RandomLayer):
    """A fraction of the clips replaced by faint white noise with the target of silence."""

    def __init__(self, probability: float, silence: int, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.probability, self.silence = probability, silence

    def call(self, samples: Any, targets: Any) -> tuple[Any, Any]:
        batch, length = ops.shape(samples)[0], samples.shape[1]
        scale = ops.power(10.0, self.draw_uniform((batch, 1), MIN_SILENCE_DB, MAX_SILENCE_DB) / 20)
        noise = scale * keras.random.normal((batch, length), seed=self.random)
        is_replaced = self.draw_uniform((batch, 1)) < self.probability
        target = ops.one_hot(ops.full((batch,), self.silence, dtype="int32"), targets.shape[1])
        return ops.where(is_replaced, noise, samples), ops.where(is_replaced, target, targets)


class Mixup(RandomLayer):
    """Weighted means of the clips, and of their targets, with others of the batch (Zhang et al., 2017)."""

    def __init__(self, alpha: float, seed: int, **options: Any):
        super().__init__(seed, **options)
        self.alpha = alpha

    def call(self, samples: Any, targets: Any) -> tuple[Any, ...]:
        weight = keras.random.beta((ops.shape(samples)[0], 1), self.alpha, self.alpha, seed=self.random)
        weight = ops.maximum(weight, 1 - weight)
        return tuple(
            weight * values + (1 - weight) * ops.flip(values, axis=0) for values in (samples, targets)
        )
