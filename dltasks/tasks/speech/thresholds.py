"""Detection thresholds of the commands for a budget of false alarms.

Thresholds fitted to some speakers word by word let through ten times as many false alarms with others.
So the thresholds are fitted relative to each other, then raised together, in logits, by the amount that
is best for each half of the speakers with the thresholds of the other half.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dltasks.tasks.speech.detector import Detection, Detector, DetectorConfig, moving_average
from dltasks.tasks.speech.synthetic_stream import (
    DetectionCounts,
    SyntheticStream,
    count_detections,
    match_detections,
)

MIN_THRESHOLD, MAX_THRESHOLD = 0.2, 0.999

BUDGETS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""False alarms per hour for which thresholds are chosen and measured."""

RELATIVE_BUDGET = 100
"""False alarms per hour at which the thresholds are fitted relative to each other: enough to count."""

LOGIT_OFFSETS = np.arange(0, 6.01, 0.125)
"""Candidate offsets, in logits, by which all thresholds are raised."""

MAX_LOOKAHEAD = 10
"""Maximum number of false alarms of one command that are weighed at once against the hits they bring."""


@dataclass(frozen=True)
class ScoredStream:
    """A recording and the network's probabilities.

    Attributes:
        stream: the recording with its words.
        probabilities: float32 (windows, classes).
        seconds: duration of the recording.
    """

    stream: SyntheticStream
    probabilities: np.ndarray
    seconds: float


@dataclass(frozen=True)
class CurvePoint:
    """The thresholds for a budget of false alarms.

    Attributes:
        budget: false alarms per hour.
        thresholds: one for each column.
        counts: hits and errors with speakers to whom the thresholds were not fitted.
    """

    budget: float
    thresholds: tuple[float, ...]
    counts: DetectionCounts


def detect_all(probabilities: np.ndarray, config: DetectorConfig) -> list[Detection]:
    """Detections in all windows of a stream: float32 (windows, classes)."""
    return list(Detector(config).process(probabilities))


def fit_curve(
    halves: tuple[ScoredStream, ScoredStream], config: DetectorConfig, budgets: Sequence[float]
) -> list[CurvePoint]:
    """The thresholds for each budget of false alarms per hour. halves: streams of different speakers."""
    hours = sum(half.seconds for half in halves) / 3600
    peaks = [_find_peaks(half, config) for half in halves]
    separate = [_fit_relative(half_peaks, config, hours / 2) for half_peaks in peaks]
    pooled_peaks = {column: _merge_peaks(peaks[0][column], peaks[1][column]) for column in peaks[0]}
    pooled = _fit_relative(pooled_peaks, config, hours)
    counts = [_cross_validate(halves, separate, config, offset) for offset in LOGIT_OFFSETS]
    points = []
    for budget in sorted(set(budgets)):
        best = _select_offset(counts, budget * hours)
        points.append(CurvePoint(budget, _raise_thresholds(pooled, LOGIT_OFFSETS[best]), counts[best]))
    return points


def _cross_validate(
    halves: tuple[ScoredStream, ScoredStream],
    thresholds: Sequence[tuple[float, ...]],
    config: DetectorConfig,
    offset: float,
) -> DetectionCounts:
    """Counts of each half with the raised thresholds of the other, added up."""
    counts = []
    for half, others in zip(halves, reversed(thresholds), strict=True):
        raised = replace(config, thresholds=_raise_thresholds(others, offset))
        detections = detect_all(half.probabilities, raised)
        counts.append(count_detections(detections, half.stream.events, config.command_names, half.seconds))
    return counts[0] + counts[1]


def _select_offset(counts: Sequence[DetectionCounts], allowed: float) -> int:
    """Index of the fewest misses, from the offset at which the false alarms stay within the allowed number.

    Low thresholds may miss more than higher ones: nothing is detected for a while after a false alarm.
    """
    too_many = [i for i, count in enumerate(counts) if sum(count.false_alarms.values()) > allowed]
    first = min(too_many[-1] + 1, len(counts) - 1) if too_many else 0
    return min(range(first, len(counts)), key=lambda i: counts[i].miss_rate())


def _raise_thresholds(thresholds: tuple[float, ...], offset: float) -> tuple[float, ...]:
    """Thresholds raised within their bounds; 1, that of a column without a command, stays."""
    values = np.array(thresholds)
    clipped = np.clip(values, MIN_THRESHOLD, MAX_THRESHOLD)
    logits = np.log(clipped / (1 - clipped))
    raised = np.clip(1 / (1 + np.exp(-logits - offset)), MIN_THRESHOLD, MAX_THRESHOLD)
    return tuple(float(value) for value in np.where(values < 1, raised, 1.0))


@dataclass(frozen=True)
class _Peak:
    """The highest probability of a stretch, and whether the command was spoken there."""

    probability: float
    is_hit: bool


def _find_peaks(half: ScoredStream, config: DetectorConfig) -> dict[int, list[_Peak]]:
    """Peaks of each command by column, the highest first."""
    averages = moving_average(half.probabilities, config.smoothing)
    times = config.window_times(config.smoothing - 1, len(averages))
    peaks = {}
    for column, command in enumerate(config.commands):
        if not command:
            continue
        rows = _peak_rows(averages[:, column])
        detections = [Detection(float(times[row]), command, float(averages[row, column])) for row in rows]
        matches = match_detections(detections, half.stream.events)
        peaks[column] = [
            _Peak(detection.probability, is_hit)
            for detection, is_hit in zip(detections, matches, strict=True)
        ]
    return peaks


def _peak_rows(values: np.ndarray) -> list[int]:
    """The highest row of every stretch above MIN_THRESHOLD, the highest of all first."""
    above = np.concatenate([[False], values > MIN_THRESHOLD, [False]])
    bounds = np.flatnonzero(np.diff(above)).reshape(-1, 2)
    rows = [int(start + values[start:end].argmax()) for start, end in bounds]
    return sorted(rows, key=lambda row: -values[row])


def _merge_peaks(first: list[_Peak], second: list[_Peak]) -> list[_Peak]:
    return sorted([*first, *second], key=lambda peak: -peak.probability)


def _fit_relative(peaks: dict[int, list[_Peak]], config: DetectorConfig, hours: float) -> tuple[float, ...]:
    """Thresholds that let through RELATIVE_BUDGET false peaks per hour, spent where they bring most hits."""
    budget, allowed = int(RELATIVE_BUDGET * hours), dict.fromkeys(peaks, 0)
    while (remaining := budget - sum(allowed.values())) > 0:
        gains = {
            (column, extra): (_count_hits(peaks[column], count + extra) - _count_hits(peaks[column], count))
            / extra
            for column, count in allowed.items()
            for extra in range(1, min(remaining, MAX_LOOKAHEAD) + 1)
        }
        column, extra = max(gains, key=lambda option: gains[option])
        if not gains[column, extra]:
            break
        allowed[column] += extra
    return tuple(
        _threshold_for(peaks[column], allowed[column]) if column in peaks else 1.0
        for column in range(len(config.commands))
    )


def _count_hits(peaks: list[_Peak], false_alarms: int) -> int:
    """Hits among the peaks before the first false one beyond `false_alarms`."""
    false_peaks = [i for i, peak in enumerate(peaks) if not peak.is_hit]
    end = false_peaks[false_alarms] if false_alarms < len(false_peaks) else len(peaks)
    return sum(peak.is_hit for peak in peaks[:end])


def _threshold_for(peaks: list[_Peak], false_alarms: int) -> float:
    """Threshold halfway between the first false peak beyond `false_alarms` and the peak before it."""
    false_peaks = [i for i, peak in enumerate(peaks) if not peak.is_hit]
    if false_alarms >= len(false_peaks):
        return MIN_THRESHOLD
    first = false_peaks[false_alarms]
    below = peaks[first].probability
    above = peaks[first - 1].probability if first else 1.0
    return float(np.clip((below + above) / 2, MIN_THRESHOLD, MAX_THRESHOLD))
