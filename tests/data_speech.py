"""What the contract suite needs to know of the speech task: a data set, settings, and a bad input."""

from pathlib import Path

import sounds

SETTINGS = {"epochs": 3, "batch_size": 8, "listening_minutes": 2}


def make(path: Path) -> Path:
    """A labelled data set."""
    return sounds.folder(path, 24)


def bad_input(path: Path) -> Path:
    """A file that is not what it says."""
    bad = path / "bad.wav"
    bad.write_text("not a recording")
    return bad
