"""What the contract suite needs to know of the speech task: a data set, settings, and a bad input."""

from pathlib import Path

import numpy as np
import soundfile
import sounds

SETTINGS = {"epochs": 3, "batch_size": 8, "calibration_minutes": 2}


def make(path: Path) -> Path:
    """A labelled data set."""
    return sounds.folder(path, 24)


def bad_input(path: Path) -> Path:
    """A file that is not what it says."""
    bad = path / "bad.wav"
    bad.write_text("not a recording")
    return bad


def spoil(data: Path) -> int:
    """Put things to be moved out of the way into a data set; gives how many."""
    clip = next(data.glob("rise/*.wav"))
    (data / "rise" / "0abc_nohash_0.wav").write_bytes(clip.read_bytes()[:30])
    soundfile.write(data / "rise" / "0abc_nohash_1.wav", np.zeros(sounds.RATE), sounds.RATE)
    return 2
