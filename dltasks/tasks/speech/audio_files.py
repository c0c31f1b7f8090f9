"""Sound files: their names, headers and content, from paths, pipes and bytes."""

import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from dltasks import files
from dltasks.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")

SUPPORTED = "supported formats: WAV, FLAC, OGG, MP3, AIFF"

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 2_000, 768_000
"""Bounds of the sample rate in a header, in hertz; any other is taken for damage."""

MAX_SAMPLES_PER_BYTE, MAX_UNCHECKED_SECONDS = 300, 180.0
"""Density that only silence compresses to, and the duration up to which it does no harm."""

MAX_WAV_CHUNKS = 1000
"""Maximum number of chunks of a WAV file that are checked."""


@dataclass(frozen=True)
class Clip(os.PathLike):
    """A sound file, or a stretch of one.

    Attributes:
        path: the file.
        start: where the stretch begins, in seconds; None for the whole file.
        speaker: name of the speaker; empty if unknown.
    """

    path: Path
    start: float | None = None
    speaker: str = ""

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path) if self.start is None else f"{self.path} at {self.start:g} s"


def is_audio_file(path: Path) -> bool:
    """Whether the name is that of a sound file; hidden files are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def source_name(source: Any) -> str:
    """Name of a recording in messages; bytes are named "-" like standard input."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    return "-" if isinstance(source, bytes) else f"<{type(source).__name__}>"


def read_header(source: Any) -> tuple[float, int, int]:
    """Duration in seconds, sample rate in hertz, and number of channels of a sound file or its bytes.

    Raises DataError.
    """
    import soundfile

    try:
        info = soundfile.info(open_source(source))
        return info.duration, info.samplerate, info.channels
    except soundfile.LibsndfileError as error:
        raise DataError(f"{source_name(source)}: {explain_error(error)}") from error


def open_source(source: Any) -> str | BytesIO:
    """What soundfile can open: the path of an existing file, or its content. Raises DataError."""
    name = source_name(source)
    if isinstance(source, bytes):
        if not source:
            raise DataError(f"{name}: the input is empty (0 bytes)")
        return BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        raise DataError(f"{name}: expected a path, bytes or an array of samples")
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:
            return _check_file(file, name) or path
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: is a folder; expected a recording") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name}: can't be read ({reason})") from error


def _check_file(file: BinaryIO, name: str) -> BytesIO | None:
    """The content of a pipe; None for a regular file, which can be opened again. Raises DataError."""
    if files.is_device(file):
        raise DataError(f"{name}: is a device; expected a recording")
    is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    # A pipe can be read only once, and not from the middle.
    content = file.read(1 if is_regular else -1)
    if not content:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    if not is_regular:
        return BytesIO(content)
    if extra := _count_undeclared_bytes(file):
        raise DataError(
            f"{name}: has {extra:,} more bytes of sound than its header says; "
            "rewrite it: ffmpeg -i OLD.wav NEW.wav"
        )
    return None


def _count_undeclared_bytes(file: BinaryIO) -> int:
    """Bytes of sound in a WAV file beyond those in its header, if they outnumber them; 0 otherwise.

    An interrupted recorder leaves such a file. Only another chunk may follow the sound: four printable
    letters and a size within the file (RIFF, 1991).
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    form = file.read(12)
    if form[:4] != b"RIFF" or form[8:] != b"WAVE":
        return 0
    declared = None
    for _ in range(MAX_WAV_CHUNKS):
        if len(head := file.read(8)) < 8:
            return 0
        name, length = head[:4], int.from_bytes(head[4:], "little")
        rest = size - file.tell()
        is_chunk = name.isascii() and name.decode().isprintable() and length <= rest
        if declared is not None or not is_chunk:
            return rest + 8 if declared is not None and not is_chunk and rest > declared else 0
        declared = length if name == b"data" else None
        file.seek(length + length % 2, os.SEEK_CUR)
    return 0


def check_header(file: Any, opened: str | BytesIO, name: str) -> None:
    """Raises DataError for an open SoundFile with an implausible duration or sample rate."""
    size = Path(opened).stat().st_size if isinstance(opened, str) else opened.getbuffer().nbytes
    if file.frames > max(MAX_UNCHECKED_SECONDS * file.samplerate, MAX_SAMPLES_PER_BYTE * size):
        seconds = file.frames / max(1, file.samplerate)
        raise DataError(f"{name}: {seconds:,.0f} s in {size:,} bytes; the file is silent or damaged")
    if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
        raise DataError(
            f"{name}: its header says {file.samplerate} samples per second; expected {MIN_SAMPLE_RATE:,} to "
            f"{MAX_SAMPLE_RATE:,}"
        )


def explain_error(error: Exception) -> str:
    """The reason of a LibsndfileError, for users."""
    text = str(getattr(error, "error_string", error)).rstrip(".")
    if "possibly a pipe" in text:
        return "damaged or truncated"
    if "Format not recognised" in text or "unknown format" in text.lower():
        return f"not a sound file, or one without sound; {SUPPORTED}"
    return f"damaged or unsupported ({text}); {SUPPORTED}"
