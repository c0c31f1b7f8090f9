"""From recordings to the samples that the network takes: mono, at one rate, from -1 to 1."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dltasks.errors import DataError
from dltasks.tasks.speech.audio_files import Clip, check_header, explain_error, open_source, source_name

SILENCE_LEVEL = -65.0
"""Level in dBFS (decibels of full scale) below which a clip contains no word."""

BLOCK_SECONDS = 4.0
"""Duration of the blocks in which a recording is read, so that memory does not grow with its length."""

MAX_BLOCK_VALUES = 1 << 23
"""Maximum number of samples in a block, over all channels."""

MAX_SECONDS = 3600.0
"""Maximum duration of a recording that is loaded at once."""


def load(source: Any, sample_rate: int, length: int) -> np.ndarray:
    """`length` samples of a recording: float32 at `sample_rate`, the mean of its channels.

    source: a path, a Clip, encoded bytes, or an array (samples,) at `sample_rate`: floats from -1 to 1,
    or int16. A short recording is centered in silence; of a long one the loudest stretch is taken, of a
    Clip with a start the samples from there. Raises DataError.
    """
    if isinstance(source, Clip) and source.start is not None:
        samples = np.concatenate(list(read_blocks(source, sample_rate, source.start, length / sample_rate)))
        return fit_length(samples[:length], length)
    blocks, count = [], 0
    for block in read_blocks(source, sample_rate):
        blocks.append(block)
        count += len(block)
        if count > MAX_SECONDS * sample_rate:
            raise DataError(f"{source_name(source)}: longer than an hour; cut it into clips")
    return fit_length(np.concatenate(blocks), length)


def read_blocks(
    source: Any, sample_rate: int, start: float = 0.0, seconds: float = np.inf
) -> Iterator[np.ndarray]:
    """All samples of a recording, or `seconds` of them from `start`, in blocks, clipped to -1 to 1.

    Raises DataError.
    """
    if isinstance(source, DataError):
        raise source
    name, count = source_name(source), 0
    blocks = (
        _convert_array(source, name)
        if isinstance(source, np.ndarray)
        else _read_file(source, sample_rate, name, start, seconds)
    )
    for block in blocks:
        if not np.isfinite(block).all():
            raise DataError(f"{name}: contains NaN or infinite samples; record it again")
        count += len(block)
        yield np.clip(block, -1, 1)
    if not count:
        raise DataError(f"{name}: contains no sound (0 samples)")


def _convert_array(samples: np.ndarray, name: str) -> list[np.ndarray]:
    if samples.ndim != 1 or samples.dtype.kind not in "fi":
        raise DataError(f"{name}: an array of {samples.dtype} {samples.shape}; expected float32 (samples,)")
    scale = 1 / 32768 if samples.dtype.kind == "i" else 1
    return [(samples * scale).astype(np.float32)]


def _read_file(
    source: Any, sample_rate: int, name: str, start: float, seconds: float
) -> Iterator[np.ndarray]:
    import soundfile

    try:
        opened = open_source(source)
        with soundfile.SoundFile(opened) as file:
            check_header(file, opened, name)
            yield from resample(_read_mono(file, start, seconds), file.samplerate, sample_rate)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name}: {explain_error(error)}") from error


def _read_mono(file: Any, start: float, seconds: float) -> Iterator[np.ndarray]:
    """float32 (samples,) blocks at the file's own rate, channels averaged."""
    if start:
        file.seek(min(round(start * file.samplerate), file.frames))
    remaining = seconds * file.samplerate
    size = max(1, min(int(BLOCK_SECONDS * file.samplerate), MAX_BLOCK_VALUES // file.channels))
    while remaining > 0:
        block = file.read(int(min(size, np.ceil(remaining))), dtype="float32", always_2d=True)
        if not len(block):
            return
        remaining -= len(block)
        yield block.mean(axis=1)


def resample(blocks: Iterable[np.ndarray], source_rate: int, target_rate: int) -> Iterator[np.ndarray]:
    """Blocks of one stream of samples, converted from one sample rate to another."""
    if source_rate == target_rate:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def sliding_windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[np.ndarray]:
    """Overlapping windows of a stream: for each block the windows (count, length) that it completes.

    The first window ends after `length` samples, each further one `hop` later.
    """
    pending = np.zeros(0, np.float32)
    for block in blocks:
        pending = np.concatenate([pending, block])
        count = (len(pending) - length) // hop + 1
        if count > 0:
            yield np.lib.stride_tricks.sliding_window_view(pending, length)[: count * hop : hop]
            pending = pending[count * hop :]


def fit_length(samples: np.ndarray, length: int) -> np.ndarray:
    """`length` samples: a short clip centered in silence, of a long one the loudest stretch."""
    if len(samples) <= length:
        before = (length - len(samples)) // 2
        return np.pad(samples, (before, length - len(samples) - before))
    step = max(1, length // 100)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - length + 1, step)
    start = int(starts[np.argmax(energy[starts + length] - energy[starts])])
    return samples[start : start + length]


def level_db(samples: np.ndarray) -> np.ndarray:
    """Root mean square of the last axis in dBFS, float64; -120 for silence."""
    power = np.square(samples, dtype=np.float64).mean(axis=-1)
    return 10 * np.log10(np.maximum(power, 1e-12))
