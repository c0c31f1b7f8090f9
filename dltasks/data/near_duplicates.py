"""Near-copies: found by a 64-bit difference hash, confirmed by small likenesses."""

import numpy as np

_NEIGHBOURS = 64
_BITS = 3


def group_near_duplicates(likenesses: np.ndarray, hashes: np.ndarray, closer: float) -> np.ndarray:
    """For each item the position of the first that it is a near-copy of; its own where it is of none.

    likenesses: float (count, ...). hashes: uint64 (count,). Two items are near-copies if their difference hashes
    (Krawetz, "Kind of Like That", 2013) differ in at most 3 bits and their likenesses by less than `closer` on average.
    Hashes within 3 bits share one of four 16-bit bands.
    """
    first = np.arange(len(hashes))
    inner = tuple(range(1, likenesses.ndim))
    for left, right in _candidates(hashes):
        near = np.bitwise_count(hashes[left] ^ hashes[right]) <= _BITS
        left, right = left[near], right[near]
        same = np.abs(likenesses[left] - likenesses[right]).mean(axis=inner) < closer
        for a, b in zip(left[same].tolist(), right[same].tolist(), strict=True):
            _join(first, a, b)
    return np.array([_root(first, i) for i in range(len(first))], dtype=np.int64)


def difference_hash(rising: np.ndarray) -> np.ndarray:
    """bool (count, 64), whether each of 64 neighbours is more than the one before it, to hashes uint64 (count,)."""
    powers = 2 ** np.arange(64, dtype=np.uint64)
    return (rising * powers).sum(axis=1, dtype=np.uint64)


def averaging_matrix(size: int, to: int) -> np.ndarray:
    """The matrix (to, size) that averages consecutive stretches."""
    edges = np.linspace(0, size, to + 1)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _candidates(hashes: np.ndarray):
    """Pairs of positions whose hashes share a band and stand near each other in its order."""
    for band in range(4):
        key = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.lexsort((hashes, key))
        ordered = key[order]
        for step in range(1, min(_NEIGHBOURS, len(order))):
            same = ordered[step:] == ordered[:-step]
            if not same.any():
                break
            yield order[:-step][same], order[step:][same]


def _root(first: np.ndarray, i: int) -> int:
    while first[i] != i:
        first[i] = first[first[i]]
        i = int(first[i])
    return int(i)


def _join(first: np.ndarray, a: int, b: int) -> None:
    a, b = _root(first, a), _root(first, b)
    first[max(a, b)] = min(a, b)
