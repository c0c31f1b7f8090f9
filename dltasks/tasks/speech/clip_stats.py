"""Measurements of a clip for the inspection of a data set, and a fingerprint by which to find copies."""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.data import near_duplicates
from dltasks.errors import DataError
from dltasks.files import read_file
from dltasks.tasks.speech.audio import fit_length, level_db, read_blocks
from dltasks.tasks.speech.audio_files import read_header

FULL_SCALE = 0.999
"""Absolute value from which a sample counts as clipped."""

FRAME_LENGTH = 512
"""Samples of a frame of the fingerprint's spectrogram."""

FINGERPRINT_BANDS, FINGERPRINT_TIMES = 8, 16
"""Shape of a fingerprint."""

NOISE_FLOOR = 1e-6
"""Power relative to the loudest band (-60 dB) below which sound counts as noise of the recording."""


@dataclass(frozen=True)
class ClipStats:
    """Measurements of one clip.

    Attributes:
        digest: hash of the file, equal for identical copies.
        fingerprint: see `fingerprint`.
        hash: difference hash of the fingerprint, uint64.
        level: in dBFS, of the stretch that the network takes.
        clipped: fraction of the samples at full scale.
        seconds: duration.
        sample_rate: in hertz.
        channels: their number.
    """

    digest: bytes
    fingerprint: np.ndarray
    hash: Any
    level: float
    clipped: float
    seconds: float
    sample_rate: int
    channels: int


def measure_clip(source: Any, sample_rate: int, length: int) -> ClipStats | DataError:
    """Measurements of a clip at `sample_rate`, or why it can't be read."""
    try:
        samples = np.concatenate(list(read_blocks(source, sample_rate)))
        seconds, own_rate, channels = len(samples) / sample_rate, sample_rate, 1
        if isinstance(source, np.ndarray):
            content = source.tobytes()
        else:
            content = source if isinstance(source, bytes) else read_file(Path(source))
            seconds, own_rate, channels = read_header(source)
    except DataError as error:
        return error
    stretch = fit_length(samples, length)
    return ClipStats(
        blake2b(content, digest_size=16).digest(),
        *fingerprint(stretch),
        float(level_db(stretch)),
        float((np.abs(samples) >= FULL_SCALE).mean()),
        seconds,
        own_rate,
        channels,
    )


def fingerprint(samples: np.ndarray) -> tuple[np.ndarray, Any]:
    """A coarse spectrogram of a clip (samples,) and its difference hash; neither depends on the level.

    float32 (FINGERPRINT_BANDS, FINGERPRINT_TIMES) in decibels around the mean, and uint64.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_LENGTH)[:: FRAME_LENGTH // 2]
    frames = frames * np.hanning(FRAME_LENGTH)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))[:, 1:]
    edges = np.geomspace(3, power.shape[1], FINGERPRINT_BANDS + 1).astype(int)
    bands = np.add.reduceat(power, edges[:-1], axis=1).T
    floor = max(float(bands.max()) * NOISE_FLOOR, 1e-12)
    coarse, wide = (_centered_db(bands, times, floor) for times in (FINGERPRINT_TIMES, 9))
    is_rising = wide[:, 1:] > wide[:, :-1] + 0.5
    return coarse.astype(np.float32), near_duplicates.difference_hash(is_rising.reshape(1, 64))[0]


def _centered_db(bands: np.ndarray, times: int, floor: float) -> np.ndarray:
    """Power (bands, times) in decibels around its mean."""
    averages = bands @ near_duplicates.averaging_matrix(bands.shape[1], times).T
    decibels = 10 * np.log10(averages + floor)
    return decibels - decibels.mean()
