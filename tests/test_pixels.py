"""Decoding of photos: every format, mode and source alike, large photos in strips, clear errors."""

import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, dltasks
from PIL import Image

from dltasks.errors import DataError
from dltasks.tasks.image import pixels

COFFEE = ROOT / "samples/image/coffee.jpg"


def coffee() -> Image.Image:
    return Image.open(COFFEE).convert("RGB").resize((120, 90))


def mean_difference(first: np.ndarray, second: np.ndarray) -> float:
    """In levels of 255."""
    return float(np.abs(first.astype(float) - second).mean())


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_every_format_gives_the_same_pixels(tmp_path, suffix):
    coffee().save(tmp_path / f"c.{suffix}", quality=95)
    assert mean_difference(pixels.load(tmp_path / f"c.{suffix}", 64), pixels.load(coffee(), 64)) < 6


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "YCbCr"])
def test_every_color_mode_is_read(mode):
    gray = coffee().convert("L").convert("RGB")
    expected = gray if mode in ("L", "LA", "1") else coffee()
    difference = mean_difference(pixels.load(coffee().convert(mode), 64), pixels.load(expected, 64))
    assert difference < (30 if mode == "1" else 12)


def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path):
    deep = np.asarray(coffee().convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tiff")
    expected = pixels.load(coffee().convert("L"), 64)
    assert mean_difference(pixels.load(tmp_path / "deep.png", 64), expected) < 1
    assert mean_difference(pixels.load(tmp_path / "deep.tiff", 64), expected) < 1


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    assert (pixels.load(clear, 32) == 255).all()


def test_the_exif_orientation_is_applied(tmp_path):
    rotated = coffee().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated.save(tmp_path / "rotated.jpg", exif=exif, quality=95)
    assert mean_difference(pixels.load(tmp_path / "rotated.jpg", 64), pixels.load(coffee(), 64)) < 4


def test_bytes_arrays_paths_and_images_are_accepted():
    content, image = COFFEE.read_bytes(), Image.open(COFFEE)
    expected = pixels.load(COFFEE, 64)
    assert (pixels.load(content, 64) == expected).all()
    assert (pixels.load(str(COFFEE), 64) == expected).all()
    assert mean_difference(pixels.load(np.asarray(image), 64), expected) < 3
    assert mean_difference(pixels.load(image, 64), expected) < 3


def test_a_photo_of_the_right_size_stays_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert (pixels.load(photo, 64) == photo).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
def test_a_large_photo_reduced_in_strips_looks_as_it_does_at_once(mode, tmp_path, monkeypatch):
    x, y = np.meshgrid(np.linspace(0, 1, 1501), np.linspace(0, 1, 1303))
    values = {"RGB": np.stack([x, y, x * y], -1), "L": x * y}
    values["RGBA"] = np.concatenate([values["RGB"], y[..., None]], -1)
    if mode == "I;16":
        photo = Image.fromarray((60_000 * values["L"]).astype(np.uint16))
    else:
        photo = Image.fromarray((255 * values[mode]).astype(np.uint8), mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "large.png", exif=exif)
    at_once = pixels.load(tmp_path / "large.png", 96)
    monkeypatch.setattr(pixels, "LARGE_PIXELS", 10_000)
    in_strips = pixels.load(tmp_path / "large.png", 96)
    assert np.abs(in_strips.astype(int) - at_once).max() <= 4
    assert np.abs(in_strips.astype(int) - at_once).mean() < 1


def write_bomb(path: Path, side: int) -> None:
    """A PNG whose header declares side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


def write_broken_files(path: Path) -> dict[str, str]:
    """Broken files in `path`; returns what the message on each must contain, by name."""
    (path / "text.jpg").write_text("hello")
    (path / "short.jpg").write_bytes(COFFEE.read_bytes()[:9000])
    (path / "empty.jpg").write_bytes(b"")
    write_bomb(path / "bomb.png", 30_000)
    write_bomb(path / "large.png", 12_000)
    (path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    return {
        "text.jpg": "not an image",
        "short.jpg": "damaged",
        "empty.jpg": "0 bytes",
        "bomb.png": "pixels",
        "large.png": "pixels",
        "phone.heic": "HEIC",
        "missing.jpg": "no such file",
    }


def test_every_broken_file_gets_one_clear_line_and_the_good_photo_a_prediction(tmp_path):
    reasons = write_broken_files(tmp_path)
    result = dltasks("classify", *(tmp_path / name for name in reasons), COFFEE)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == len(reasons)
    for line, (name, reason) in zip(lines, reasons.items(), strict=True):
        assert line.startswith(f"dltasks: {tmp_path / name}: ") and reason in line
    assert result.stdout.startswith(f"{COFFEE}: ") and result.stdout.count("\n") == 1


@pytest.fixture
def photo() -> bytes:
    return COFFEE.read_bytes()


@pytest.fixture
def nobody():
    """Root may read everything, so the test runs as another user."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_a_missing_permission_is_named(photo, nobody):
    with tempfile.TemporaryDirectory() as folder:
        for name, mode in (("open.jpg", 0o600), ("secret.jpg", 0)):
            Path(folder, name).write_bytes(photo)
            Path(folder, name).chmod(mode)
        assert pixels.load(Path(folder, "open.jpg"), 64).shape == (64, 64, 3)
        with pytest.raises(DataError, match="secret.jpg: no permission to read it"):
            pixels.load(Path(folder, "secret.jpg"), 64)
