"""What the contract suite needs to know of the fraud task: a data set, settings, and a bad input."""

import shutil
from pathlib import Path

SETTINGS = {"epochs": 3, "windows": "1d,7d"}


def make(path: Path) -> Path:
    """A labelled data set."""
    path.mkdir(parents=True)
    return Path(shutil.copy(Path(__file__).parent.parent / "samples/fraud/transactions.csv", path))


def bad_input(path: Path) -> Path:
    """A file that is not what it says."""
    bad = path / "bad.csv"
    bad.write_bytes(b"not a table\0")
    return bad
