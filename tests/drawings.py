"""Small data sets of drawn photos: colored shapes on noise, easy to tell apart, different in every photo."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("disc", "square", "stripes")


def draw(shape: str, seed: int, size: tuple[int, int] = (90, 70)) -> Image.Image:
    """One photo of a shape, with a random position, extent and color."""
    random = np.random.default_rng((SHAPES.index(shape), seed))
    noise = random.integers(0, 90, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pen = ImageDraw.Draw(image)
    color = tuple(int(level) for level in random.integers(130, 255, 3))
    side = int(random.integers(24, 44))
    left, top = (int(random.integers(8, length - side - 8)) for length in size)
    box = (left, top, left + side, top + side)
    if shape == "disc":
        pen.ellipse(box, fill=color)
    elif shape == "square":
        pen.rectangle(box, fill=color)
    else:
        for x in range(0, size[0], 12):
            pen.line((x, 0, x, size[1]), fill=color, width=4)
    return image


def folder(path: Path, count: int = 20, shapes: tuple[str, ...] = SHAPES, first: int = 0) -> Path:
    """`count` photos of each shape, in a folder of its name."""
    for shape in shapes:
        (path / shape).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            draw(shape, seed).save(path / shape / f"{seed:03}.jpg", quality=92)
    return path
