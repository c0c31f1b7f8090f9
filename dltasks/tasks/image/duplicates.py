"""Photos that show the same picture: found by a difference hash, confirmed by their thumbnails."""

import numpy as np

_NEIGHBOURS = 64
_BITS = 3
_LEVELS = 8.0


def groups(pixels: np.ndarray) -> np.ndarray:
    """For each photo the position of the first that shows the same picture.

    pixels: uint8 (count, size, size, 3). Two photos are one picture if their 64-bit difference hashes
    (Krawetz, "Kind of Like That", 2013) differ in at most 3 bits and their 8 x 8 colour thumbnails by
    less than 8 of 255 levels on average. Hashes within 3 bits share one of four 16-bit bands.
    """
    thumbnails, hashes = _described(pixels)
    first = np.arange(len(pixels))
    for left, right in _candidates(hashes):
        near = np.bitwise_count(hashes[left] ^ hashes[right]) <= _BITS
        left, right = left[near], right[near]
        same = np.abs(thumbnails[left] - thumbnails[right]).mean(axis=(1, 2, 3)) < _LEVELS
        for a, b in zip(left[same].tolist(), right[same].tolist(), strict=True):
            _join(first, a, b)
    return np.array([_root(first, i) for i in range(len(first))], dtype=np.int64)


def _described(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails (count, 8, 8, 3) and hashes uint64 (count,), in chunks so that memory stays small."""
    rows, columns, wide = (_averaging(pixels.shape[1], to) for to in (8, 8, 9))
    thumbnails = np.empty((len(pixels), 8, 8, 3), np.float32)
    hashes = np.empty(len(pixels), np.uint64)
    powers = 2 ** np.arange(64, dtype=np.uint64)
    for start in range(0, len(pixels), 256):
        chunk = pixels[start : start + 256].astype(np.float32)
        strips = np.einsum("ih,bhwc->biwc", rows, chunk, optimize=True)
        thumbnails[start : start + 256] = np.einsum("jw,biwc->bijc", columns, strips, optimize=True)
        grey = np.einsum("jw,biw->bij", wide, strips.mean(axis=3), optimize=True)
        bits = (grey[:, :, 1:] > grey[:, :, :-1] + 0.5).reshape(len(chunk), 64)
        hashes[start : start + 256] = (bits * powers).sum(axis=1, dtype=np.uint64)
    return thumbnails, hashes


def _averaging(size: int, to: int) -> np.ndarray:
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
