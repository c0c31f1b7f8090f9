"""Near-duplicates: found by 64-bit difference hashes, confirmed by small feature arrays."""

from collections.abc import Iterator

import numpy as np

MAX_NEIGHBORS = 64
"""Number of following hashes, in the order of a band, with which each hash is compared."""

MAX_DIFFERING_BITS = 3
"""Maximum number of bits in which the hashes of near-duplicates differ."""


def group_near_duplicates(features: np.ndarray, hashes: np.ndarray, max_difference: float) -> np.ndarray:
    """The index of the first near-duplicate of each item; the item's own index if it has none.

    Two items are near-duplicates if their difference hashes (Krawetz, "Kind of Like That", 2013) differ in at
    most MAX_DIFFERING_BITS and their features by less than `max_difference` on average. Hashes within 3 bits
    share at least one of four 16-bit bands, so only those that do are compared.

    Args:
        features: Float array of shape (count, ...).
        hashes: uint64 array of shape (count,).
        max_difference: Upper bound of the mean absolute difference of the features, exclusive.

    Returns:
        int64 array of shape (count,).
    """
    first = np.arange(len(hashes))
    axes = tuple(range(1, features.ndim))
    for left, right in _candidates(hashes):
        near = np.bitwise_count(hashes[left] ^ hashes[right]) <= MAX_DIFFERING_BITS
        left, right = left[near], right[near]
        same = np.abs(features[left] - features[right]).mean(axis=axes) < max_difference
        for a, b in zip(left[same].tolist(), right[same].tolist(), strict=True):
            _merge(first, a, b)
    return np.array([_find_root(first, i) for i in range(len(first))], dtype=np.int64)


def difference_hash(rising: np.ndarray) -> np.ndarray:
    """Hashes from the signs of differences between neighboring values.

    Args:
        rising: Bool array of shape (count, 64): whether each value is larger than the one before it.

    Returns:
        uint64 array of shape (count,).
    """
    powers = 2 ** np.arange(64, dtype=np.uint64)
    return (rising * powers).sum(axis=1, dtype=np.uint64)


def averaging_matrix(size: int, target_size: int) -> np.ndarray:
    """The float32 matrix (target_size, size) that averages consecutive intervals of equal length."""
    edges = np.linspace(0, size, target_size + 1)
    position = np.arange(size)
    overlap = np.minimum(edges[1:, None], position + 1) - np.maximum(edges[:-1, None], position)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _candidates(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of indices whose hashes share a band and are close to each other in its order."""
    for band in range(4):
        key = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.lexsort((hashes, key))
        ordered = key[order]
        for step in range(1, min(MAX_NEIGHBORS, len(order))):
            same = ordered[step:] == ordered[:-step]
            if not same.any():
                break
            yield order[:-step][same], order[step:][same]


def _find_root(first: np.ndarray, i: int) -> int:
    while first[i] != i:
        first[i] = first[first[i]]
        i = int(first[i])
    return int(i)


def _merge(first: np.ndarray, a: int, b: int) -> None:
    a, b = _find_root(first, a), _find_root(first, b)
    first[max(a, b)] = min(a, b)
