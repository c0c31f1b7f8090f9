"""The fraud task for the contract suite: a data set, settings, and a bad input."""

import shutil
from pathlib import Path

SETTINGS = {"epochs": 3, "windows": "1d,7d"}


def make(path: Path) -> Path:
    """A labeled data set."""
    path.mkdir(parents=True)
    return Path(shutil.copy(Path(__file__).parent.parent / "samples/fraud/transactions.csv", path))


def bad_input(path: Path) -> Path:
    """A file that is not a table."""
    bad = path / "bad.csv"
    bad.write_bytes(b"not a table\0")
    return bad


def corrupt(data: Path) -> int:
    """Add rows that a fix removes to a data set; returns their number."""
    lines = data.read_text().splitlines()
    wrong = [lines[1].replace("2026-", "2099-", 1).replace("T0", "X0"), lines[2].replace("T0", "X0") + "x"]
    data.write_text("\n".join([*lines, *wrong]) + "\n")
    return 2
