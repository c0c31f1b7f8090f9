"""The speech task in the contract suite: a data set, settings, a bad input and corrupt files."""

from pathlib import Path

import numpy as np
import soundfile
import sounds

SETTINGS = {"epochs": 3, "batch_size": 8, "calibration_minutes": 2}

LONG_SETTINGS = {"epochs": 14, "calibration_minutes": 10, "false_alarms_per_hour": 20}
"""Settings of a training that distinguishes the words."""


def make(path: Path) -> Path:
    """A labeled data set."""
    return sounds.folder(path, 24)


def bad_input(path: Path) -> Path:
    """A file whose content does not match its name."""
    file = path / "bad.wav"
    file.write_text("not a recording")
    return file


def corrupt(data: Path) -> int:
    """Add a truncated and a silent file, which the doctor removes, to a data set; returns their number."""
    clip = next(data.glob("rise/*.wav"))
    (data / "rise" / "0abc_nohash_0.wav").write_bytes(clip.read_bytes()[:30])
    soundfile.write(data / "rise" / "0abc_nohash_1.wav", np.zeros(sounds.RATE), sounds.RATE)
    return 2
