"""A long recording made of clips: words at known times over noise; and what a listener makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dltasks.tasks.speech.data import SILENCE
from dltasks.tasks.speech.detector import Detection
from dltasks.tasks.speech.sound import QUIET, level

SLOT_SECONDS = 3.0
"""At most one word is said in each slot."""

COMMANDS, OTHERS = 0.3, 0.3
"""Shares of the slots in which a command is said, and another word."""

SECTION_SECONDS = 30.0
"""How long the noise keeps its level."""

SIGNAL_TO_NOISE = 5.0, 25.0
"""Decibels between which a section's level lies below that of the words."""

SPEECH_LEVEL = -26.0, 4.0
"""Mean level of the words in decibels of full scale, and how far it varies either way."""

TOLERANCE_SECONDS = 0.75
"""A detection this near the middle of a word is of that word."""


@dataclass(frozen=True)
class Said:
    """A word and the second of the recording at which its middle lies."""

    seconds: float
    word: str


@dataclass(frozen=True)
class Mixture:
    """samples: float32 (samples,) from -1 to 1. said: the words in it, in order; not only commands."""

    samples: np.ndarray
    said: tuple[Said, ...]


def mixture_of(
    commands: Sequence[str],
    samples: np.ndarray,
    truths: Sequence[str],
    seconds: float,
    rate: int,
    seed: int,
) -> Mixture:
    """A long recording of these clips: commands and other words over the clips of silence, or over hardly audible
    noise where there are none.

    commands: which words count; samples: float32 (count, samples), truths: what each clip holds.
    """
    silent = [i for i, truth in enumerate(truths) if truth == SILENCE]
    heard = [i for i, truth in enumerate(truths) if truth != SILENCE and level(samples[i]) > QUIET]
    noise = samples[silent] if silent else _hush(samples.shape[1], seed)
    return mixed(
        [(truths[i], samples[i]) for i in heard if truths[i] in commands],
        [(truths[i], samples[i]) for i in heard if truths[i] not in commands],
        noise,
        seconds,
        rate,
        seed,
    )


def _hush(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1e-3, (20, length)).astype(np.float32)


def mixed(
    commands: Sequence[tuple[str, np.ndarray]],
    others: Sequence[tuple[str, np.ndarray]],
    noise: np.ndarray,
    seconds: float,
    rate: int,
    seed: int,
) -> Mixture:
    """`seconds` of noise, and over it commands and other words drawn from these.

    commands, others: words with their clips (samples,). noise: (count, samples) stretches.
    """
    random = np.random.default_rng(seed)
    samples = _bed(noise, round(seconds * rate), rate, random)
    said = []
    for slot in range(int(seconds / SLOT_SECONDS)):
        drawn = random.random()
        source = commands if drawn < COMMANDS else others if drawn < COMMANDS + OTHERS else ()
        if not source:
            continue
        word, clip = source[random.integers(len(source))]
        room = round(SLOT_SECONDS * rate) - len(clip)
        start = round(slot * SLOT_SECONDS * rate) + int(random.integers(max(1, room)))
        stretch = samples[start : start + len(clip)]
        wanted = SPEECH_LEVEL[0] + random.uniform(-SPEECH_LEVEL[1], SPEECH_LEVEL[1])
        stretch += clip[: len(stretch)] * np.float32(10 ** ((wanted - level(clip)) / 20))
        said.append(Said((start + len(clip) / 2) / rate, word))
    return Mixture(np.clip(samples, -1, 1), tuple(said))


def _bed(noise: np.ndarray, count: int, rate: int, random) -> np.ndarray:
    """Stretches of noise faded into each other, at a level that changes from section to section."""
    length = noise.shape[1] // 2 * 2
    half = length // 2
    # Squares of this window and of the next sum to one, so that the power of the sum is even.
    fade = np.sin(np.pi * (np.arange(length) + 0.5) / length).astype(np.float32)
    bed = np.zeros((count // half + 2) * half, np.float32)
    sections = int(len(bed) / rate / SECTION_SECONDS) + 1
    ratios = random.uniform(*SIGNAL_TO_NOISE, sections)
    for start in range(0, len(bed) - length + 1, half):
        stretch = noise[random.integers(len(noise)), :length]
        ratio = ratios[int(start / rate / SECTION_SECONDS)]
        quiet = 10 ** ((SPEECH_LEVEL[0] - ratio - max(level(stretch), -70)) / 20)
        bed[start : start + length] += fade * stretch * np.float32(quiet)
    return bed[:count]


@dataclass(frozen=True)
class Tally:
    """What a listener made of a mixture, by word.

    said: times each command was said. hits: of these heard. false: times each was heard and not said.
    """

    said: dict[str, int]
    hits: dict[str, int]
    false: dict[str, int]
    seconds: float

    def __add__(self, other: "Tally") -> "Tally":
        """Both together, of the same commands."""

        def summed(one, more):
            return {word: one[word] + more[word] for word in one}

        return Tally(
            summed(self.said, other.said),
            summed(self.hits, other.hits),
            summed(self.false, other.false),
            self.seconds + other.seconds,
        )

    def miss_rate(self) -> float:
        """Share of the commands that were not heard."""
        return 1 - sum(self.hits.values()) / max(1, sum(self.said.values()))

    def false_per_hour(self) -> float:
        """False alarms in an hour."""
        return 3600 * sum(self.false.values()) / self.seconds


def matched(detections: Sequence[Detection], said: Sequence[Said]) -> list[bool]:
    """Whether each detection is of a word said within the tolerance; a word is heard once, by who comes first."""
    times = np.array([each.seconds for each in said])
    heard = np.zeros(len(said), bool)
    found = []
    for each in detections:
        near = np.flatnonzero((np.abs(times - each.time_seconds) <= TOLERANCE_SECONDS) & ~heard)
        match = next((i for i in near if said[i].word == each.command), None)
        found.append(match is not None)
        if match is not None:
            heard[match] = True
    return found


def tally(
    detections: Sequence[Detection], said: Sequence[Said], commands: Sequence[str], seconds: float
) -> Tally:
    """Counts by word of what was said, heard, and heard without having been said."""
    counts = {kind: dict.fromkeys(commands, 0) for kind in ("said", "hits", "false")}
    for each in said:
        if each.word in counts["said"]:
            counts["said"][each.word] += 1
    for each, right in zip(detections, matched(detections, said), strict=True):
        counts["hits" if right else "false"][each.command] += 1
    return Tally(**counts, seconds=seconds)
