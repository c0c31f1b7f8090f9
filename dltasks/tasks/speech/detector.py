"""From the probabilities of overlapping windows to commands at points in time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LATE = 0.2
"""A command passes its threshold before it stands in the middle of the windows: by this share of a window, the median
on validation clips."""


@dataclass(frozen=True)
class Detection:
    """A command heard in a stream.

    time_seconds: about the middle of the word, from the start of the stream. probability: smoothed, from 0 to 1.
    """

    time_seconds: float
    command: str
    probability: float

    def to_json(self) -> dict[str, object]:
        """Plain values, rounded to milliseconds and four digits."""
        return {
            "time_seconds": round(self.time_seconds, 3),
            "command": self.command,
            "probability": round(self.probability, 4),
        }


@dataclass(frozen=True)
class Hearing:
    """When windows of a stream count as a command.

    commands: names by column; empty for a column that is no command. thresholds: one a column.
    smoothing: windows that a probability is averaged over. refractory: seconds after a detection in which
    nothing more is heard; the same command counts again only once its probability has fallen in between.
    hop, length: seconds from one window to the next, and of a window.
    """

    commands: tuple[str, ...]
    thresholds: tuple[float, ...]
    smoothing: int
    refractory: float
    hop: float
    length: float

    @property
    def words(self) -> list[str]:
        """The commands alone."""
        return [each for each in self.commands if each]

    @property
    def limits(self) -> np.ndarray:
        """What a column must reach, float64 (columns,): its threshold; of a column that is no command, infinity."""
        return np.where([bool(each) for each in self.commands], self.thresholds, np.inf)

    def times(self, first: int, count: int) -> np.ndarray:
        """Middles, in seconds, of what is averaged up to each of `count` windows from the window `first`."""
        ends = self.length + self.hop * (first + np.arange(count))
        return ends - (self.length + self.hop * (self.smoothing - 1)) / 2


class Listener:
    """Hears one stream; keeps the last few windows and nothing else."""

    def __init__(self, hearing: Hearing):
        self.hearing = hearing
        self._limits = hearing.limits
        self._last = np.zeros((0, len(hearing.commands)), np.float32)
        self._seen = 0
        self._deaf_until = -np.inf
        self._held: int | None = None

    def hear(self, probabilities: np.ndarray) -> Iterator[Detection]:
        """What is heard in the next windows of the stream: float32 (count, classes)."""
        known = np.concatenate([self._last, probabilities])
        averaged = smoothed(known, self.hearing.smoothing)
        times = self.hearing.times(self._seen + len(probabilities) - len(averaged), len(averaged))
        self._seen += len(probabilities)
        self._last = known[max(0, len(known) - self.hearing.smoothing + 1) :]
        passed = averaged >= self._limits
        any_passed = passed.any(axis=1)
        # A window without a command matters only where it lets go of the one before.
        for row in np.flatnonzero(any_passed | np.append(True, any_passed)[:-1]):
            if self._held is not None and not passed[row, self._held]:
                self._held = None
            if times[row] < self._deaf_until:
                continue
            yield from self._heard(averaged[row], passed[row], float(times[row]))

    def _heard(self, averaged: np.ndarray, passed: np.ndarray, time: float) -> Iterator[Detection]:
        """The most probable command of a window that passes, unless it is the last one going on."""
        best = int(np.where(passed, averaged, -1).argmax())
        if not passed[best] or best == self._held:
            return
        self._held, self._deaf_until = best, time + self.hearing.refractory
        middle = time + LATE * self.hearing.length
        yield Detection(middle, self.hearing.commands[best], float(averaged[best]))


def smoothed(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The mean of each row and those before it, `count` in all: (rows - count + 1, classes)."""
    if len(probabilities) < count:
        return probabilities[:0]
    return np.lib.stride_tricks.sliding_window_view(probabilities, count, axis=0).mean(axis=-1)
