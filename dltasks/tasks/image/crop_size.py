"""The schedule of the training crops: their side length grows during the run."""

from dltasks.tasks.image.config import ImageConfig

STEP = 8
"""Training crops have a multiple of this side length, so that few graphs are traced."""

GROWTH_END = 0.75
"""Fraction of a run after which the crops have their final size."""


def crop_size(config: ImageConfig, completed: float) -> int:
    """Side length of the training crops when this fraction of the run is completed, 0 to 1.

    By default it grows from 4/7 to 6/7 of the network's side. Objects appear larger in random crops than in
    whole photos, so training uses smaller crops than prediction (Touvron et al., "Fixing the train-test
    resolution discrepancy", 2019).
    """
    final = config.final_crop_size or _round_to_step(config.size * 6 / 7)
    initial = config.initial_crop_size or min(final, _round_to_step(config.size * 4 / 7))
    if completed >= GROWTH_END:
        return final
    return max(initial, int(initial + (final - initial) * completed / GROWTH_END) // STEP * STEP)


def _round_to_step(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)
