"""From a recording as it comes to the samples the network takes: mono, at one rate, from -1 to 1."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from dltasks import files
from dltasks.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")

QUIET = -65.0
"""A clip below this level, in decibels of full scale, holds no word."""

RATES = 2_000, 768_000
"""Samples a second that recordings have; a header that says less or more is wrong."""

BLOCK_SECONDS = 4.0
"""Length of the pieces that a recording is read in, so that memory does not grow with it."""

BLOCK_VALUES = 1 << 23
"""Samples of all channels that a piece has at most."""

LONGEST = 3600.0
"""Seconds of a recording that is read whole."""

DENSE, MOMENT = 300, 180.0
"""Samples in a byte that only silence packs into, and seconds in which it does no harm: hours of nothing fit into little."""

MOST_CHUNKS = 1000
"""Parts of a WAV file that are gone through."""


@dataclass(frozen=True)
class Clip(os.PathLike):
    """A sound file, or of a long one the stretch that begins at `start` seconds, and who speaks, if that is known."""

    path: Path
    start: float | None = None
    speaker: str = ""

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path) if self.start is None else f"{self.path} at {self.start:g} s"


def is_sound(path: Path) -> bool:
    """Whether this looks like a recording by its name; hidden files do not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def describe(sound) -> str:
    """What to call this recording in a message; bytes are called as standard input is."""
    if isinstance(sound, str | os.PathLike):
        return str(sound)
    return "-" if isinstance(sound, bytes) else f"<{type(sound).__name__}>"


def load(sound, rate: int, length: int) -> np.ndarray:
    """`length` samples of a recording: float32 at `rate`, the mean of its channels.

    sound: a path, a Clip, encoded bytes, or an array (samples,) at `rate`: floats from -1 to 1, or int16.
    A short recording stands in the middle of silence; of a long one the loudest stretch is taken, of a Clip
    that says where it starts the samples from there. Raises DataError.
    """
    if isinstance(sound, Clip) and sound.start is not None:
        samples = np.concatenate(list(blocks(sound, rate, sound.start, length / rate)))
        return fitted(samples[:length], length)
    heard, count = [], 0
    for block in blocks(sound, rate):
        heard.append(block)
        count += len(block)
        if count > LONGEST * rate:
            raise DataError(f"{describe(sound)}: longer than an hour; cut it into clips")
    return fitted(np.concatenate(heard), length)


def header(sound) -> tuple[float, int, int]:
    """Seconds, samples a second and channels of a sound file or its bytes, as its header says. Raises DataError."""
    import soundfile

    try:
        told = soundfile.info(_opened(sound, describe(sound)))
        return told.duration, told.samplerate, told.channels
    except soundfile.LibsndfileError as error:
        raise DataError(f"{describe(sound)}: {_reason(error)}") from error


def blocks(sound, rate: int, start: float = 0.0, seconds: float = np.inf) -> Iterator[np.ndarray]:
    """All samples of a recording, or `seconds` of them from `start`, piece by piece, cut off at full scale.

    Raises DataError.
    """
    if isinstance(sound, DataError):
        raise sound
    name, heard = describe(sound), 0
    pieces = (
        _array(sound, name) if isinstance(sound, np.ndarray) else _read(sound, rate, name, start, seconds)
    )
    for block in pieces:
        if not np.isfinite(block).all():
            raise DataError(f"{name}: holds samples that are not numbers (NaN or infinite); record it again")
        heard += len(block)
        yield np.clip(block, -1, 1)
    if not heard:
        raise DataError(f"{name}: holds no sound (0 samples)")


def _array(samples: np.ndarray, name: str) -> Iterable[np.ndarray]:
    if samples.ndim != 1 or samples.dtype.kind not in "fi":
        raise DataError(f"{name}: an array of {samples.dtype} {samples.shape}; wanted float32 (samples,)")
    scale = 1 / 32768 if samples.dtype.kind == "i" else 1
    return [(samples * scale).astype(np.float32)]


def _read(sound, rate: int, name: str, start: float, seconds: float) -> Iterator[np.ndarray]:
    import soundfile

    try:
        opened = _opened(sound, name)
        with soundfile.SoundFile(opened) as file:
            size = os.path.getsize(opened) if isinstance(opened, str) else opened.getbuffer().nbytes
            if file.frames > max(MOMENT * file.samplerate, DENSE * size):
                raise DataError(
                    f"{name}: {file.frames / max(1, file.samplerate):,.0f} s in {size:,} bytes: nothing but silence, or damaged"
                )
            if not RATES[0] <= file.samplerate <= RATES[1]:
                raise DataError(
                    f"{name}: its header says {file.samplerate} samples a second; wanted {RATES[0]:,} to {RATES[1]:,}"
                )
            yield from resampled(_frames(file, start, seconds), file.samplerate, rate)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name}: {_reason(error)}") from error


def _opened(sound, name: str):
    """What soundfile opens: a path that is there, or bytes as a file. Raises DataError."""
    if isinstance(sound, bytes):
        if not sound:
            raise DataError(f"{name}: the input is empty (0 bytes)")
        return BytesIO(sound)
    if not isinstance(sound, str | os.PathLike):
        raise DataError(f"{name}: a recording is a path, bytes or an array of samples")
    path = os.fspath(sound)
    try:
        with open(path, "rb") as file:
            if files.is_device(file):
                raise DataError(f"{name}: a device; wanted a recording")
            plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            # A pipe can be read only once, and not from the middle.
            content = file.read(1 if plain else -1)
            if not content:
                raise DataError(f"{name}: the file is empty (0 bytes)")
            if not plain:
                return BytesIO(content)
            if missing := _unsaid(file):
                raise DataError(
                    f"{name}: its header says less sound than there is ({missing:,} bytes more); "
                    "write it again: ffmpeg -i OLD.wav NEW.wav"
                )
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: a folder, where a recording was wanted") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name}: can't be read ({reason})") from error
    return path


def _unsaid(file) -> int:
    """Bytes of sound in a WAV file after those that its header speaks of, where they are the most of it; a recorder that
    was cut off leaves such a file.

    What follows the sound rightly is another chunk: four printable letters and a size that is there (RIFF, 1991).
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    form = file.read(12)
    if form[:4] != b"RIFF" or form[8:] != b"WAVE":
        return 0
    sound = None
    for _ in range(MOST_CHUNKS):
        if len(head := file.read(8)) < 8:
            return 0
        name, length = head[:4], int.from_bytes(head[4:], "little")
        there = size - file.tell()
        chunk = name.isascii() and name.decode().isprintable() and length <= there
        if sound is not None or not chunk:
            return there + 8 if sound is not None and not chunk and there > sound else 0
        sound = length if name == b"data" else None
        file.seek(length + length % 2, os.SEEK_CUR)
    return 0


def _reason(error) -> str:
    """What libsndfile could not do, for people."""
    text = str(getattr(error, "error_string", error)).rstrip(".")
    if "possibly a pipe" in text:
        return "damaged, or cut short"
    if "Format not recognised" in text or "unknown format" in text.lower():
        return "not a sound file, or one without sound; WAV, FLAC, OGG, MP3 and AIFF are read"
    return f"damaged or of a kind that is not read ({text}); WAV, FLAC, OGG, MP3 and AIFF are"


def _frames(file, start: float, seconds: float) -> Iterator[np.ndarray]:
    """float32 (samples,) pieces at the file's own rate, channels averaged."""
    if start:
        file.seek(min(round(start * file.samplerate), file.frames))
    left = seconds * file.samplerate
    size = max(1, min(int(BLOCK_SECONDS * file.samplerate), BLOCK_VALUES // file.channels))
    while left > 0:
        block = file.read(int(min(size, np.ceil(left))), dtype="float32", always_2d=True)
        if not len(block):
            return
        left -= len(block)
        yield block.mean(axis=1)


def resampled(pieces: Iterable[np.ndarray], given: int, wanted: int) -> Iterator[np.ndarray]:
    """Pieces of one stream of samples from one rate to another."""
    if given == wanted:
        yield from pieces
        return
    import soxr

    stream = soxr.ResampleStream(given, wanted, 1, dtype="float32")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def windows(pieces: Iterable[np.ndarray], length: int, hop: int) -> Iterator[np.ndarray]:
    """Overlapping stretches of a stream: for each piece the windows (count, length) that it completes.

    The first window ends after `length` samples, each next `hop` later.
    """
    kept = np.zeros(0, np.float32)
    for piece in pieces:
        kept = np.concatenate([kept, piece])
        count = (len(kept) - length) // hop + 1
        if count > 0:
            yield np.lib.stride_tricks.sliding_window_view(kept, length)[: count * hop : hop]
            kept = kept[count * hop :]


def fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """`length` samples: a short clip in the middle of silence, of a long one the loudest stretch."""
    if len(samples) <= length:
        before = (length - len(samples)) // 2
        return np.pad(samples, (before, length - len(samples) - before))
    step = max(1, length // 100)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - length + 1, step)
    start = int(starts[np.argmax(energy[starts + length] - energy[starts])])
    return samples[start : start + length]


def level(samples: np.ndarray) -> np.ndarray:
    """Root mean square of the last axis, in decibels of full scale; -120 for silence."""
    power = np.square(samples, dtype=np.float64).mean(axis=-1)
    return 10 * np.log10(np.maximum(power, 1e-12))
