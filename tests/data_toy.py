"""The toy task's data set, training settings and bad input for the contract suite."""

from pathlib import Path

import numpy as np

SETTINGS = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01}


def make(path: Path) -> Path:
    """A labeled data set: lists of four numbers, "low" around -1 and "high" around 1."""
    random = np.random.default_rng(0)
    for label, mean in (("high", 1), ("low", -1)):
        (path / label).mkdir(parents=True)
        for number, row in enumerate(random.normal(mean, 1, (80, 4))):
            (path / label / f"{number:03}.txt").write_text(" ".join(f"{value:.4f}" for value in row))
    return path


def bad_input(path: Path) -> Path:
    """A file whose content is not what its name says."""
    bad = path / "bad.txt"
    bad.write_text("not four numbers")
    return bad
