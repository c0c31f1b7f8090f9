"""The schedule of the training crops: their side length grows during the run."""

from dltasks.tasks.image.config import ImageConfig

STEP = 8
"""Crops have a multiple of this side length."""

GROWTH_STEPS = 3
"""Number of sizes that the crops have during a run, as each is compiled anew."""

GROWTH_END = 0.75
"""Fraction of a run after which the crops have their final size."""


def crop_size(size: int, config: ImageConfig, completed: float) -> int:
    """Side length of the training crops when this fraction of the run is completed, 0 to 1.

    By default it is 6/7 of the network's side, and grows to that from 4/7 for random weights; a pretrained
    backbone knows larger crops. Objects appear larger in random crops than in
    whole photos, so training uses smaller crops than prediction (Touvron et al., "Fixing the train-test
    resolution discrepancy", 2019).

    size: of the network's input.
    """
    final = config.final_crop_size or _round_to_step(size * 6 / 7)
    smallest = final if config.is_pretrained() else min(final, _round_to_step(size * 4 / 7))
    initial = config.initial_crop_size or smallest
    steps = int(GROWTH_STEPS * completed / GROWTH_END)
    if steps >= GROWTH_STEPS - 1:
        return final
    return _round_to_step(initial + (final - initial) * steps / (GROWTH_STEPS - 1))


def _round_to_step(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)
