"""From the probabilities of overlapping windows to commands at points in time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

DETECTION_LEAD = 0.2
"""Median lead of a detection over the moment when the word is centered, as a fraction of a window;
measured on validation clips."""


class OperatingPoint(TypedDict):
    """Thresholds for a budget of false alarms per hour, and the errors of a detector that uses them."""

    budget_per_hour: float
    chosen: bool
    false_alarms: int
    missed: int
    commands: int
    hours: float
    thresholds: list[float]


@dataclass(frozen=True)
class Detection:
    """A command detected in a stream.

    Attributes:
        time_seconds: approximate middle of the word, from the start of the stream.
        command: the word.
        probability: smoothed, from 0 to 1.
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
class DetectorConfig:
    """When the windows of a stream count as a command.

    Attributes:
        commands: name of each column; empty for a column that is not a command.
        thresholds: one for each column.
        smoothing: number of windows over which a probability is averaged.
        refractory_seconds: time after a detection without another one. The same command counts again
            only after its probability has fallen below the threshold.
        hop_seconds: time from one window to the next.
        window_seconds: length of a window.
    """

    commands: tuple[str, ...]
    thresholds: tuple[float, ...]
    smoothing: int
    refractory_seconds: float
    hop_seconds: float
    window_seconds: float

    @property
    def command_names(self) -> list[str]:
        """The commands, without the columns that are none."""
        return [command for command in self.commands if command]

    @property
    def column_thresholds(self) -> np.ndarray:
        """Thresholds float64 (columns,): infinity for a column that is not a command."""
        return np.where([bool(command) for command in self.commands], self.thresholds, np.inf)

    def window_times(self, first: int, count: int) -> np.ndarray:
        """Middle in seconds of the average that ends with each of `count` windows from index `first`."""
        ends = self.window_seconds + self.hop_seconds * (first + np.arange(count))
        return ends - (self.window_seconds + self.hop_seconds * (self.smoothing - 1)) / 2


class Detector:
    """Detects commands in one stream; stores only the last few windows."""

    def __init__(self, config: DetectorConfig):
        self.config = config
        self._thresholds = config.column_thresholds
        self._recent = np.zeros((0, len(config.commands)), np.float32)
        self._window_count = 0
        self._refractory_until = -np.inf
        self._active: int | None = None

    def process(self, probabilities: np.ndarray) -> Iterator[Detection]:
        """Detections in the next windows of the stream: float32 (count, classes)."""
        recent = np.concatenate([self._recent, probabilities])
        averages = moving_average(recent, self.config.smoothing)
        first = self._window_count + len(probabilities) - len(averages)
        times = self.config.window_times(first, len(averages))
        self._window_count += len(probabilities)
        self._recent = recent[max(0, len(recent) - self.config.smoothing + 1) :]
        passed = averages >= self._thresholds
        any_passed = passed.any(axis=1)
        # A window without a command matters only where it ends the command before it.
        for row in np.flatnonzero(any_passed | np.append(True, any_passed)[:-1]):
            if self._active is not None and not passed[row, self._active]:
                self._active = None
            if times[row] < self._refractory_until:
                continue
            yield from self._detect(averages[row], passed[row], float(times[row]))

    def _detect(self, averages: np.ndarray, passed: np.ndarray, time: float) -> Iterator[Detection]:
        """The most probable command of a window above its threshold, unless it is still the last one."""
        best = int(np.where(passed, averages, -1).argmax())
        if not passed[best] or best == self._active:
            return
        self._active, self._refractory_until = best, time + self.config.refractory_seconds
        middle = time + DETECTION_LEAD * self.config.window_seconds
        yield Detection(middle, self.config.commands[best], float(averages[best]))


def moving_average(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Mean of each row and those before it, `count` in all: (rows - count + 1, classes)."""
    if len(probabilities) < count:
        return probabilities[:0]
    return np.lib.stride_tricks.sliding_window_view(probabilities, count, axis=0).mean(axis=-1)
