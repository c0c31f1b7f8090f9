"""Small data sets of synthetic words: whistles that rise or fall, easy to distinguish, all different."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
WORDS = {"rise": (400, 2500), "fall": (2500, 400), "_unknown_": (1000, 1000)}


def whistle(word: str, seed: int, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """A whistle of 0.4 s near the middle of a clip, over faint noise: float32 (samples,)."""
    random = np.random.default_rng((list(WORDS).index(word), seed))
    samples = random.normal(0, 0.002, round(seconds * rate))
    first, last = np.array(WORDS[word]) * random.uniform(0.8, 1.25)
    count = round(0.4 * rate)
    phase = 2 * np.pi * np.cumsum(np.linspace(first, last, count)) / rate
    start = (len(samples) - count) // 2 + int(random.integers(-rate // 10, rate // 10))
    samples[start : start + count] += random.uniform(0.1, 0.4) * np.hanning(count) * np.sin(phase)
    return samples.astype(np.float32)


def noise(seed: int, seconds: float) -> np.ndarray:
    """Low-pass noise: float32 (samples,)."""
    random = np.random.default_rng((9, seed))
    white = random.normal(0, 0.05, round(seconds * RATE) + 31)
    return np.convolve(white, np.hanning(32) / 16, "valid").astype(np.float32)


def folder(path: Path, count: int = 24, words: tuple[str, ...] = tuple(WORDS), first: int = 0) -> Path:
    """A folder of `count` clips of each word, by a quarter as many speakers, and two recordings of noise."""
    for word in words:
        (path / word).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            name = f"{seed % (count // 4 or 1):04x}_nohash_{seed}.wav"
            soundfile.write(path / word / name, whistle(word, seed), RATE)
    (path / "_background_noise_").mkdir(exist_ok=True)
    for seed in range(2):
        soundfile.write(path / "_background_noise_" / f"{seed}.flac", noise(seed, 12), RATE)
    return path
