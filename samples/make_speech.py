"""Make samples/speech/ with a free synthesizer: espeak-ng (apt install espeak-ng).

    python samples/make_speech.py

One second per word, and one recording of several words with pauses between them; 16 kHz, mono, FLAC.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from dltasks.tasks.speech.audio import fit_length, read_blocks

FOLDER, RATE = Path(__file__).parent / "speech", 16_000
VOICE = ("-v", "en-us+m3", "-s", "150", "-p", "45")
WORDS = ("yes", "stop", "left")
SENTENCE = ("go", "happy", "right", "no")
LEVEL = 0.05
"""Root mean square of a word."""


def synthesize(word: str) -> np.ndarray:
    """The word alone: float32 (samples,) at RATE."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        subprocess.run(["espeak-ng", *VOICE, "-w", str(path), word], check=True)
        samples = np.concatenate(list(read_blocks(path, RATE)))
    return samples * LEVEL / np.sqrt(np.mean(np.square(samples)))


def add_hiss(samples: np.ndarray) -> np.ndarray:
    """The samples with the hiss of a cheap microphone, 40 dB below the words."""
    hiss = np.random.default_rng(0).normal(0, LEVEL / 100, len(samples))
    return (samples + hiss).astype(np.float32)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for word in WORDS:
        soundfile.write(FOLDER / f"{word}.flac", add_hiss(fit_length(synthesize(word), RATE)), RATE)
    pause = np.zeros(RATE // 2, np.float32)
    stretches = [
        samples for word in SENTENCE for samples in (pause, fit_length(synthesize(word), RATE), pause)
    ]
    soundfile.write(FOLDER / "go-happy-right-no.flac", add_hiss(np.concatenate(stretches)), RATE)


if __name__ == "__main__":
    main()
