"""From a photo as it comes to the pixels the network takes."""

import os
import struct
import threading
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dltasks.errors import DataError

MOST_PIXELS = 120_000_000
"""A phone of 108 megapixels is read; a bomb is not."""

MOST_OF_WEBP = 50_000_000
"""Its decoder holds four copies of all pixels."""

MOST_SCANS = 100
"""A progressive JPEG is made of a dozen; each more costs a pass over the whole photo."""

LARGE = 16_000_000
"""A photo of more pixels is made smaller strip by strip: whole copies of it would take gigabytes."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What is read. Pillow would know more, some of them by starting other programs."""

_DAMAGE = (
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
_OPENING = threading.Lock()


def load(photo, size: int) -> np.ndarray:
    """The photo upright, over white, shorter side scaled to `size`, centre cropped.

    photo: a path, encoded bytes, a PIL image, or an array (height, width, 3) or (height, width) of uint8.
    Gives uint8 (size, size, 3), RGB. Raises DataError.
    """
    if isinstance(photo, DataError):
        raise photo
    name = describe(photo)
    image = _opened(photo, name)
    try:
        _require_moderate(image, photo, name)
        # JPEG decodes at a half, a quarter or an eighth for a fraction of the time.
        image.draft(None, (2 * size, 2 * size))
        image = _smaller(image, size) if image.width * image.height > LARGE else image
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(_centre(_over_white(_eight_bit(image, _brightest([image]))), size))
    except _DAMAGE as error:
        raise DataError(f"{name}: damaged image ({_reason(error)}); replace it or remove it") from error
    finally:
        if isinstance(photo, str | os.PathLike | bytes):
            image.close()


@dataclass(frozen=True)
class Facts:
    """What the header of a photo says. mode: Pillow's word for its colours. misnamed: whether its name says another format."""

    format: str
    mode: str
    width: int
    height: int
    frames: int
    misnamed: bool


def facts(photo) -> Facts:
    """What the header of a photo, a path or bytes, says. Raises DataError."""
    name = describe(photo)
    try:
        with _opened(photo, name) as image:
            endings = [end for end, each in Image.registered_extensions().items() if each == image.format]
            own = Path(name).suffix.lower()
            misnamed = own in suffixes() and own not in endings and own != ".jfif"
            frames = getattr(image, "n_frames", 1)
            return Facts(image.format or "", image.mode, image.width, image.height, frames, misnamed)
    except _DAMAGE as error:
        raise DataError(f"{name}: damaged image ({_reason(error)}); replace it or remove it") from error


def describe(photo) -> str:
    """What to call this photo in a message; bytes are called as standard input is."""
    if isinstance(photo, str | os.PathLike):
        return str(photo)
    return "-" if isinstance(photo, bytes) else f"<{type(photo).__name__}>"


def _opened(photo, name: str) -> Image.Image:
    if isinstance(photo, Image.Image):
        return photo.copy()
    if isinstance(photo, np.ndarray):
        return _from_array(photo, name)
    if isinstance(photo, bytes):
        return _identified(photo, BytesIO(photo), name)
    if isinstance(photo, str | os.PathLike):
        return _identified(_head(photo, name), photo, name)
    raise DataError(f"{name}: a photo is a path, bytes, a PIL image or an array")


def _from_array(pixels: np.ndarray, name: str) -> Image.Image:
    grey = pixels.ndim == 2
    if pixels.dtype != np.uint8 or not (grey or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))):
        raise DataError(f"{name}: an array of {pixels.dtype} {pixels.shape}; wanted uint8 (height, width, 3)")
    return Image.fromarray(pixels[..., 0] if not grey and pixels.shape[2] == 1 else pixels)


def _head(path, name: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(32)
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: a folder, where a photo was wanted") from error
    except PermissionError as error:
        raise DataError(f"{name}: no permission to read it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: can't be read ({_reason(error)})") from error


def _identified(head: bytes, file, name: str) -> Image.Image:
    if not head:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        # The filters of `warnings` belong to the whole process, hence the lock.
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
            raise DataError(f"{name}: HEIC is not read; convert it to JPEG") from error
        raise DataError(f"{name}: not an image; JPEG, PNG, WebP, GIF, BMP and TIFF are read") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name}: too many pixels; at most {MOST_PIXELS // 10**6} million are read"
        ) from error
    except _DAMAGE as error:
        raise DataError(f"{name}: damaged image ({_reason(error)}); replace it or remove it") from error


def _require_moderate(image: Image.Image, photo, name: str) -> None:
    """Raises DataError for what would take minutes, or gigabytes, to decode."""
    most = MOST_OF_WEBP if image.format == "WEBP" else MOST_PIXELS
    if image.width * image.height > most:
        raise DataError(
            f"{name}: {image.width} x {image.height} pixels; at most {most // 10**6} million are read"
        )
    if image.format in ("JPEG", "MPO"):
        content = photo if isinstance(photo, bytes) else Path(image.filename).read_bytes()
        # The marker of a scan; inside of one it can't stand.
        if (scans := content.count(b"\xff\xda")) > MOST_SCANS:
            raise DataError(f"{name}: a JPEG of {scans} scans; at most {MOST_SCANS} are read")


def _smaller(image: Image.Image, size: int) -> Image.Image:
    """The centre of a large photo, not upright yet, in RGB and 8 bits; its side at least three times `size` if it can be."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    factor = max(1, side // (3 * size))
    rows = factor * max(1, LARGE // (8 * side * factor))

    def strips():
        return (
            image.crop((left, top + y, left + side, top + min(y + rows, side))) for y in range(0, side, rows)
        )

    brightest = _brightest(strips())
    small = [np.asarray(_over_white(_eight_bit(strip, brightest)).reduce(factor)) for strip in strips()]
    found = Image.fromarray(np.concatenate(small))
    found.getexif().update(image.getexif())
    return found


def _deep(image: Image.Image) -> bool:
    """Whether it holds greys of 16 bits or floating point, which Pillow would clip."""
    return image.mode.startswith("I") or image.mode == "F"


def _brightest(parts: Iterable[Image.Image]) -> float:
    """The largest of deep greys; 0 where there are none."""
    return max(
        float(np.nan_to_num(np.asarray(part)).max(initial=0)) if _deep(part) else 0.0 for part in parts
    )


def _eight_bit(image: Image.Image, brightest: float) -> Image.Image:
    """Deep greys scaled to 8 bits."""
    if not _deep(image):
        return image
    scale = 1 / 257
    if image.mode == "F" and brightest <= 1:
        scale = 255
    elif brightest <= 255 and image.mode != "I;16":
        scale = 1
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _centre(image: Image.Image, size: int) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=3.0)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0]


def suffixes() -> frozenset[str]:
    """How the names of photos end; HEIC among them, so that it is not passed over in silence."""
    read = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
    return frozenset((*read, ".heic", ".heif"))


def is_photo(path: Path) -> bool:
    """Whether this looks like a photo by its name; hidden files do not."""
    return path.suffix.lower() in suffixes() and not path.name.startswith(".")
