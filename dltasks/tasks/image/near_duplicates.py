"""Which photos show the same picture."""

import numpy as np

from dltasks.data import near_duplicates

LEVELS = 8.0
"""Of 255, that the thumbnails of one picture differ by on average, at most."""


def groups(pixels: np.ndarray) -> np.ndarray:
    """For each photo the position of the first that shows the same picture.

    pixels: uint8 (count, size, size, 3). See duplicates.groups; the likenesses are 8 x 8 colour thumbnails.
    """
    chunks = [described(pixels[start : start + 256]) for start in range(0, len(pixels), 256)]
    thumbnails, hashes = (np.concatenate(each) for each in zip(*chunks, strict=True))
    return near_duplicates.group_near_duplicates(thumbnails, hashes, LEVELS)


def described(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails float32 (count, 8, 8, 3) and difference hashes uint64 (count,) of photos uint8 (count, size, size, 3)."""
    rows, columns, wide = (near_duplicates.averaging_matrix(pixels.shape[1], to) for to in (8, 8, 9))
    strips = np.einsum("ih,bhwc->biwc", rows, pixels.astype(np.float32), optimize=True)
    grey = np.einsum("jw,biw->bij", wide, strips.mean(axis=3), optimize=True)
    rising = (grey[:, :, 1:] > grey[:, :, :-1] + 0.5).reshape(len(pixels), 64)
    return np.einsum("jw,biwc->bijc", columns, strips, optimize=True), near_duplicates.difference_hash(rising)
