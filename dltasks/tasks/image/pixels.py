"""Decoding of photos to the pixels of the network's input."""

import os
import struct
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dltasks.errors import DataError

MAX_PIXELS = 120_000_000
"""Maximum number of pixels of a photo: enough for phones with 108 megapixels, not for decompression bombs."""

MAX_WEBP_PIXELS = 50_000_000
"""Maximum number of pixels of a WebP photo, whose decoder needs four copies of all pixels."""

MAX_JPEG_SCANS = 100
"""Maximum number of scans of a progressive JPEG, each a pass over the whole photo; a dozen are usual."""

LARGE_PIXELS = 16_000_000
"""Number of pixels above which a photo is reduced in strips, as copies of the whole would take gigabytes."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that are read; Pillow starts other programs for some of the rest."""

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif")
)
"""File name suffixes of photos; HEIC is included to report it instead of ignoring it silently."""

HEIC_BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1")
"""Bytes 4 to 12 of HEIC files."""

_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
    struct.error,
)
_WARNINGS_LOCK = threading.Lock()


def load(photo: Any, size: int) -> np.ndarray:
    """The photo upright, on white, its center square scaled to `size`; uint8 (size, size, 3), RGB.

    photo: a path, encoded bytes, a PIL image, or a uint8 array (height, width, 3) or (height, width).
    Raises DataError.
    """
    if isinstance(photo, DataError):
        raise photo
    name = display_name(photo)
    image = _open(photo, name)
    try:
        _check_cost(image, photo, name)
        # JPEG decodes at a half, a quarter or an eighth of the size in a fraction of the time.
        image.draft(None, (2 * size, 2 * size))
        image = _reduce_center(image, size) if image.width * image.height > LARGE_PIXELS else image
        ImageOps.exif_transpose(image, in_place=True)
        image = _flatten_alpha(_to_eight_bits(image, _max_level([image])))
        return np.asarray(_resize_center(image, size))
    except _DECODING_ERRORS as error:
        raise _damage_error(name, error) from error
    finally:
        if isinstance(photo, str | os.PathLike | bytes):
            image.close()


@dataclass(frozen=True)
class ImageHeader:
    """The header of a photo.

    Attributes:
        format: Pillow's name of the format.
        mode: Pillow's name of the color mode.
        width: In pixels.
        height: In pixels.
        frames: Number of frames, more than one for an animated image.
        has_wrong_suffix: Whether the file name has the suffix of another format.
    """

    format: str
    mode: str
    width: int
    height: int
    frames: int
    has_wrong_suffix: bool


def read_header(photo: Any) -> ImageHeader:
    """The header of a photo, a path or bytes. Raises DataError."""
    name = display_name(photo)
    try:
        with _open(photo, name) as image:
            formats = Image.registered_extensions()
            suffix = Path(name).suffix.lower()
            has_wrong_suffix = (
                suffix in SUFFIXES and formats.get(suffix) != image.format and suffix != ".jfif"
            )
            frames = getattr(image, "n_frames", 1)
            return ImageHeader(
                image.format or "", image.mode, image.width, image.height, frames, has_wrong_suffix
            )
    except _DECODING_ERRORS as error:
        raise _damage_error(name, error) from error


def display_name(photo: Any) -> str:
    """The name of a photo in messages: its path, "-" for bytes (standard input), or its type."""
    if isinstance(photo, str | os.PathLike):
        return str(photo)
    return "-" if isinstance(photo, bytes) else f"<{type(photo).__name__}>"


def has_photo_suffix(path: Path) -> bool:
    """Whether a file looks like a photo by its name; hidden files do not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _open(photo: Any, name: str) -> Image.Image:
    if isinstance(photo, Image.Image):
        return photo.copy()
    if isinstance(photo, np.ndarray):
        return _from_array(photo, name)
    if isinstance(photo, bytes):
        return _identify(photo, BytesIO(photo), name)
    if isinstance(photo, str | os.PathLike):
        return _identify(_read_start(photo, name), photo, name)
    raise DataError(f"{name}: expected a path, bytes, a PIL image or an array")


def _from_array(pixels: np.ndarray, name: str) -> Image.Image:
    is_gray = pixels.ndim == 2
    if pixels.dtype != np.uint8 or not (is_gray or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))):
        raise DataError(
            f"{name}: an array of {pixels.dtype} {pixels.shape}; expected uint8 (height, width, 3)"
        )
    return Image.fromarray(pixels[..., 0] if not is_gray and pixels.shape[2] == 1 else pixels)


def _read_start(path: str | os.PathLike, name: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(32)
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: a folder; expected a photo") from error
    except PermissionError as error:
        raise DataError(f"{name}: no permission to read it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: can't be read ({_reason(error)})") from error


def _identify(start: bytes, file: Any, name: str) -> Image.Image:
    """The image, opened but not decoded. start: its first bytes. Raises DataError."""
    if not start:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        # Warning filters are global to the process, hence the lock.
        with _WARNINGS_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        if start[4:12] in HEIC_BRANDS:
            raise DataError(f"{name}: HEIC is not supported; convert it to JPEG") from error
        raise DataError(f"{name}: not an image; expected JPEG, PNG, WebP, GIF, BMP or TIFF") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name}: too many pixels; at most {MAX_PIXELS // 10**6} million are supported"
        ) from error
    except _DECODING_ERRORS as error:
        raise _damage_error(name, error) from error


def _check_cost(image: Image.Image, photo: Any, name: str) -> None:
    """Raises DataError for a photo that would take minutes, or gigabytes, to decode."""
    max_pixels = MAX_WEBP_PIXELS if image.format == "WEBP" else MAX_PIXELS
    if image.width * image.height > max_pixels:
        raise DataError(
            f"{name}: {image.width} x {image.height} pixels; "
            f"at most {max_pixels // 10**6} million are supported"
        )
    if image.format in ("JPEG", "MPO"):
        content = photo if isinstance(photo, bytes) else Path(photo).read_bytes()
        # The marker that starts a scan; it can't occur inside one.
        if (scans := content.count(b"\xff\xda")) > MAX_JPEG_SCANS:
            raise DataError(f"{name}: a JPEG with {scans} scans; at most {MAX_JPEG_SCANS} are supported")


def _reduce_center(image: Image.Image, size: int) -> Image.Image:
    """The center square of a large photo, not upright yet, in 8-bit RGB.

    Its side is at least 3 * `size` if possible.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    factor = max(1, side // (3 * size))
    rows = factor * max(1, LARGE_PIXELS // (8 * side * factor))

    def strips() -> Iterator[Image.Image]:
        for y in range(0, side, rows):
            yield image.crop((left, top + y, left + side, top + min(y + rows, side)))

    max_level = _max_level(strips())
    reduced = [
        np.asarray(_flatten_alpha(_to_eight_bits(strip, max_level)).reduce(factor)) for strip in strips()
    ]
    result = Image.fromarray(np.concatenate(reduced))
    result.getexif().update(image.getexif())
    return result


def _is_deep(image: Image.Image) -> bool:
    """Whether the image holds 16-bit or floating-point grays, which Pillow would clip."""
    return image.mode.startswith("I") or image.mode == "F"


def _max_level(strips: Iterable[Image.Image]) -> float:
    """The highest level of deep grays, 0 for other images."""
    return max(
        float(np.nan_to_num(np.asarray(strip)).max(initial=0)) if _is_deep(strip) else 0.0 for strip in strips
    )


def _to_eight_bits(image: Image.Image, max_level: float) -> Image.Image:
    """Deep grays scaled to 8 bits; other images unchanged."""
    if not _is_deep(image):
        return image
    scale = 1 / 257
    if image.mode == "F" and max_level <= 1:
        scale = 255
    elif max_level <= 255 and image.mode != "I;16":
        scale = 1
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))


def _flatten_alpha(image: Image.Image) -> Image.Image:
    """The image in RGB, on white where it is transparent."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _resize_center(image: Image.Image, size: int) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=3.0)


def _damage_error(name: str, error: Exception) -> DataError:
    return DataError(f"{name}: damaged image ({_reason(error)}); replace or remove it")


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0]
