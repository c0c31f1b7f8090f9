"""Near-duplicate photos: 8 x 8 color thumbnails and difference hashes."""

import numpy as np

from dltasks.data import near_duplicates

MAX_THUMBNAIL_DIFFERENCE = 8.0
"""Maximum mean difference between the thumbnails of near-duplicates, in levels of 255."""

CHUNK_SIZE = 256
"""Number of photos reduced at once."""


def group_photos(pixels: np.ndarray) -> np.ndarray:
    """For each photo the index of its first near-duplicate, or its own index; int64 (count,).

    pixels: uint8 (count, size, size, 3).
    """
    chunks = [
        compute_fingerprints(pixels[start : start + CHUNK_SIZE])
        for start in range(0, len(pixels), CHUNK_SIZE)
    ]
    thumbnails, hashes = (np.concatenate(arrays) for arrays in zip(*chunks, strict=True))
    return near_duplicates.group_near_duplicates(thumbnails, hashes, MAX_THUMBNAIL_DIFFERENCE)


def compute_fingerprints(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails float32 (count, 8, 8, 3) and difference hashes uint64 (count,).

    pixels: uint8 (count, size, size, 3).
    """
    rows, columns, hash_columns = (
        near_duplicates.averaging_matrix(pixels.shape[1], length) for length in (8, 8, 9)
    )
    strips = np.einsum("ih,bhwc->biwc", rows, pixels.astype(np.float32), optimize=True)
    gray = np.einsum("jw,biw->bij", hash_columns, strips.mean(axis=3), optimize=True)
    rising = (gray[:, :, 1:] > gray[:, :, :-1] + 0.5).reshape(len(pixels), 64)
    thumbnails = np.einsum("jw,biwc->bijc", columns, strips, optimize=True)
    return thumbnails, near_duplicates.difference_hash(rising)
