"""How a run on photos goes: the last layer first, then all of them on crops that may grow."""

from functools import lru_cache

import keras
import numpy as np

from dltasks.config import with_overrides
from dltasks.tasks.image import network as networks

STEP = 8
"""Sides of training crops are multiples of this, so that few graphs are traced."""

GROWN = 0.75
"""Share of a run after which the crops have their last size."""


def crop_size(config, progress: float) -> int:
    """Side of the training crops when `progress` (0 to 1) of the run is done.

    They grow from 4/7 to 6/7 of the network's side where the plan does not say otherwise. A network sees things
    larger in random crops than in whole photos, so it is trained on smaller crops than it is used on (Touvron et al.,
    "Fixing the train-test resolution discrepancy", 2019).
    """
    last = config.final_crop_size or _stepped(config.size * 6 / 7)
    first = config.initial_crop_size or min(last, _stepped(config.size * 4 / 7))
    if progress >= GROWN:
        return last
    return max(first, int(first + (last - first) * progress / GROWN) // STEP * STEP)


def _stepped(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)


@lru_cache(maxsize=8)
def _augmentation(size: int, classes: int, config, to: int) -> keras.Model:
    return networks.augmentation(size, classes, config, to)


def augmentation_at(task, config, progress: float) -> keras.Model:
    """The augmentation for this part of the run."""
    return _augmentation(task.size, len(task.labels), config, crop_size(config, progress))


def train_head(network: keras.Model, config, pixels: np.ndarray, targets: np.ndarray) -> None:
    """Fit the last layer to features that the backbone computes once."""
    backbone = network.get_layer("backbone")
    features = features_of(backbone, pixels)
    scale = float(np.sqrt(np.mean(np.square(features).sum(axis=1)))) or 1.0
    config = with_overrides(config, {"learning_rate": 8.0 / scale**2, "weight_decay": 1e-3})
    head = networks.training_model(network, config, targets, frozen=True)
    head.fit(
        {"features": features},
        {"probabilities": targets},
        batch_size=64,
        epochs=config.head_epochs,
        verbose=0,
    )


def features_of(backbone: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """float32 (count, channels)"""
    chunks = [backbone.predict_on_batch(pixels[start : start + 64]) for start in range(0, len(pixels), 64)]
    return np.concatenate(chunks)
