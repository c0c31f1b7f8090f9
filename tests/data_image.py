"""The image task in the contract suite: a data set, settings, a bad input and corrupt files."""

from pathlib import Path

import drawings

SETTINGS = {"backbone": "none", "size": 32, "epochs": 3, "batch_size": 16, "learning_rate": 0.05}


def make(path: Path) -> Path:
    """A labeled data set."""
    return drawings.folder(path, 24)


def bad_input(path: Path) -> Path:
    """A file with the name of a photo and other content."""
    bad = path / "bad.jpg"
    bad.write_text("not a photo")
    return bad


def corrupt(data: Path) -> int:
    """Add files to a data set that `--fix` removes; returns their number."""
    photo = next(data.glob("disc/*.jpg"))
    (data / "disc" / "cut.jpg").write_bytes(photo.read_bytes()[:400])
    (data / "disc" / "copy.jpg").write_bytes(photo.read_bytes())
    return 2
