"""What the contract suite needs to know of the image task: a data set, settings, and a bad input."""

from pathlib import Path

import drawings

SETTINGS = {"backbone": "none", "size": 32, "epochs": 3, "batch_size": 16, "learning_rate": 0.05}


def make(path: Path) -> Path:
    """A labelled data set."""
    return drawings.folder(path, 24)


def bad_input(path: Path) -> Path:
    """A file that is not what it says."""
    bad = path / "bad.jpg"
    bad.write_text("not a photo")
    return bad


def spoil(data: Path) -> int:
    """Put things to be moved out of the way into a data set; gives how many."""
    photo = next(data.glob("disc/*.jpg"))
    (data / "disc" / "cut.jpg").write_bytes(photo.read_bytes()[:400])
    (data / "disc" / "copy.jpg").write_bytes(photo.read_bytes())
    return 2
