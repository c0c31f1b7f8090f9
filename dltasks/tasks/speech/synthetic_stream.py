"""A long recording mixed from clips: words at known times over noise; and the errors of a detector on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dltasks.tasks.speech.audio import SILENCE_LEVEL, level_db
from dltasks.tasks.speech.data import SILENCE
from dltasks.tasks.speech.detector import Detection

SLOT_SECONDS = 3.0
"""Length of a slot, which contains at most one word."""

COMMAND_PROBABILITY, OTHER_WORD_PROBABILITY = 0.3, 0.3
"""Probabilities that a slot contains a command, and another word."""

SECTION_SECONDS = 30.0
"""Time after which the level of the noise changes."""

MIN_SNR_DB, MAX_SNR_DB = 5.0, 25.0
"""Range of the signal-to-noise ratio of a section."""

SPEECH_LEVEL_DB, SPEECH_VARIATION_DB = -26.0, 4.0
"""Mean level of the words in dBFS, and its maximum deviation either way."""

TOLERANCE_SECONDS = 0.75
"""Maximum distance between a detection and the middle of its word."""


@dataclass(frozen=True)
class WordEvent:
    """A word and the time of its middle, in seconds of the recording."""

    seconds: float
    word: str


@dataclass(frozen=True)
class SyntheticStream:
    """A recording, float32 (samples,) from -1 to 1, and all words in it, in order; not only commands."""

    samples: np.ndarray
    events: tuple[WordEvent, ...]


def synthesize_stream(
    commands: Sequence[str],
    samples: np.ndarray,
    labels: Sequence[str],
    seconds: float,
    sample_rate: int,
    seed: int,
) -> SyntheticStream:
    """A recording of commands and other words over the clips of silence, or over faint noise without any.

    commands: the words that count as such. samples: float32 (count, samples), the clips; labels: theirs.
    """
    silent = [i for i, label in enumerate(labels) if label == SILENCE]
    audible = [
        i for i, label in enumerate(labels) if label != SILENCE and level_db(samples[i]) > SILENCE_LEVEL
    ]
    noise = samples[silent] if silent else _make_faint_noise(samples.shape[1], seed)
    return mix_stream(
        [(labels[i], samples[i]) for i in audible if labels[i] in commands],
        [(labels[i], samples[i]) for i in audible if labels[i] not in commands],
        noise,
        seconds,
        sample_rate,
        seed,
    )


def _make_faint_noise(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1e-3, (20, length)).astype(np.float32)


def mix_stream(
    commands: Sequence[tuple[str, np.ndarray]],
    others: Sequence[tuple[str, np.ndarray]],
    noise: np.ndarray,
    seconds: float,
    sample_rate: int,
    seed: int,
) -> SyntheticStream:
    """`seconds` of noise with random commands and other words mixed in.

    commands, others: words with their clips (samples,). noise: (count, samples) stretches.
    """
    random = np.random.default_rng(seed)
    samples = _mix_noise(noise, round(seconds * sample_rate), sample_rate, random)
    events = []
    for slot in range(int(seconds / SLOT_SECONDS)):
        draw = random.random()
        is_command = draw < COMMAND_PROBABILITY
        is_other = not is_command and draw < COMMAND_PROBABILITY + OTHER_WORD_PROBABILITY
        source = commands if is_command else others if is_other else ()
        if not source:
            continue
        word, clip = source[int(random.integers(len(source)))]
        room = round(SLOT_SECONDS * sample_rate) - len(clip)
        start = round(slot * SLOT_SECONDS * sample_rate) + int(random.integers(max(1, room)))
        stretch = samples[start : start + len(clip)]
        level = SPEECH_LEVEL_DB + random.uniform(-SPEECH_VARIATION_DB, SPEECH_VARIATION_DB)
        stretch += clip[: len(stretch)] * np.float32(10 ** ((level - level_db(clip)) / 20))
        events.append(WordEvent((start + len(clip) / 2) / sample_rate, word))
    return SyntheticStream(np.clip(samples, -1, 1), tuple(events))


def _mix_noise(noise: np.ndarray, count: int, sample_rate: int, random: np.random.Generator) -> np.ndarray:
    """Random stretches of noise cross-faded, at a level that changes from section to section."""
    length = noise.shape[1] // 2 * 2
    half = length // 2
    # Squares of this window and of the next add up to one, so that the power of the sum is even.
    fade = np.sin(np.pi * (np.arange(length) + 0.5) / length).astype(np.float32)
    mixed = np.zeros((count // half + 2) * half, np.float32)
    sections = int(len(mixed) / sample_rate / SECTION_SECONDS) + 1
    ratios = random.uniform(MIN_SNR_DB, MAX_SNR_DB, sections)
    for start in range(0, len(mixed) - length + 1, half):
        stretch = noise[random.integers(len(noise)), :length]
        ratio = ratios[int(start / sample_rate / SECTION_SECONDS)]
        gain = 10 ** ((SPEECH_LEVEL_DB - ratio - max(level_db(stretch), -70)) / 20)
        mixed[start : start + length] += fade * stretch * np.float32(gain)
    return mixed[:count]


@dataclass(frozen=True)
class DetectionCounts:
    """Hits and errors of a detector on a stream, by command.

    Attributes:
        spoken: occurrences of each command.
        hits: occurrences that were detected.
        false_alarms: detections without an occurrence.
        seconds: duration of the stream.
    """

    spoken: dict[str, int]
    hits: dict[str, int]
    false_alarms: dict[str, int]
    seconds: float

    def __add__(self, other: "DetectionCounts") -> "DetectionCounts":
        """Counts of both streams together, of the same commands."""

        def add(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
            return {word: first[word] + second[word] for word in first}

        return DetectionCounts(
            add(self.spoken, other.spoken),
            add(self.hits, other.hits),
            add(self.false_alarms, other.false_alarms),
            self.seconds + other.seconds,
        )

    def miss_rate(self) -> float:
        """Fraction of the spoken commands that were not detected."""
        return 1 - sum(self.hits.values()) / max(1, sum(self.spoken.values()))

    def false_alarms_per_hour(self) -> float:
        """Number of false alarms per hour of the stream."""
        return 3600 * sum(self.false_alarms.values()) / self.seconds


def match_detections(detections: Sequence[Detection], events: Sequence[WordEvent]) -> list[bool]:
    """Whether each detection is of a word within the tolerance; the first detection of a word takes it."""
    times = np.array([event.seconds for event in events])
    is_taken = np.zeros(len(events), bool)
    matches = []
    for detection in detections:
        is_near = np.abs(times - detection.time_seconds) <= TOLERANCE_SECONDS
        near = np.flatnonzero(is_near & ~is_taken).tolist()
        match = next((i for i in near if events[i].word == detection.command), None)
        matches.append(match is not None)
        if match is not None:
            is_taken[match] = True
    return matches


def count_detections(
    detections: Sequence[Detection], events: Sequence[WordEvent], commands: Sequence[str], seconds: float
) -> DetectionCounts:
    """Occurrences, hits and false alarms of each command."""
    spoken, hits, false_alarms = (dict.fromkeys(commands, 0) for _ in range(3))
    for event in events:
        if event.word in spoken:
            spoken[event.word] += 1
    for detection, is_match in zip(detections, match_detections(detections, events), strict=True):
        (hits if is_match else false_alarms)[detection.command] += 1
    return DetectionCounts(spoken, hits, false_alarms, seconds)
