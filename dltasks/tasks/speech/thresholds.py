"""How probable a command must be before it counts: chosen for a budget of false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dltasks.tasks.speech.listening import Detection, Hearing, Listener, smoothed
from dltasks.tasks.speech.mixture import Mixture, Tally, matched, tally

LOWEST, HIGHEST = 0.2, 0.999
"""No threshold lies outside these."""

BUDGETS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""False alarms an hour at which the curve is measured."""


AHEAD = 10
"""Most false alarms of one command that are weighed together against the hits they bring."""


@dataclass(frozen=True)
class Point:
    """A row of the curve: the thresholds for a budget and what a listener with them made of the mixture."""

    budget: float
    thresholds: tuple[float, ...]
    tally: Tally


def heard(probabilities: np.ndarray, hearing: Hearing) -> list[Detection]:
    """What a listener hears in all windows of a stream: float32 (windows, classes)."""
    return list(Listener(hearing).hear(probabilities))


def curve(
    probabilities: np.ndarray, mixture: Mixture, seconds: float, hearing: Hearing, budgets: Sequence[float]
) -> list[Point]:
    """The thresholds for each budget of false alarms an hour, measured on a mixture of known words."""
    peaks = _peaks(probabilities, mixture, hearing)
    commands = [each for each in hearing.commands if each]
    points = []
    for budget in sorted(set(budgets)):
        allowed = int(budget * seconds / 3600)
        # Peaks foretell nearly, not quite, what a listener hears; so less is spent until that keeps to the budget.
        for spent in range(allowed, -1, -1):
            thresholds = _chosen(peaks, hearing, spent)
            detections = heard(probabilities, replace(hearing, thresholds=thresholds))
            found = tally(detections, mixture.said, commands, seconds)
            if sum(found.false.values()) <= allowed:
                break
        points.append(Point(budget, thresholds, found))
    return points


@dataclass(frozen=True)
class _Peak:
    """The highest probability of a stretch, and whether the command was said there."""

    probability: float
    right: bool


def _peaks(probabilities, mixture: Mixture, hearing: Hearing) -> dict[int, list[_Peak]]:
    """Peaks of each command by column, the highest first."""
    averaged = smoothed(probabilities, hearing.smoothing)
    times = hearing.times(hearing.smoothing - 1, len(averaged))
    columns = [i for i, command in enumerate(hearing.commands) if command]
    found = {}
    for column in columns:
        candidates = _tops(averaged[:, column])
        detections = [
            Detection(float(times[row]), hearing.commands[column], float(averaged[row, column]))
            for row in candidates
        ]
        right = matched(detections, mixture.said)
        found[column] = [_Peak(d.probability, r) for d, r in zip(detections, right, strict=True)]
    return found


def _tops(values: np.ndarray) -> list[int]:
    """The highest row of every stretch above LOWEST, the highest of all first."""
    above = np.concatenate([[False], values > LOWEST, [False]])
    bounds = np.flatnonzero(np.diff(above)).reshape(-1, 2)
    tops = [int(start + values[start:end].argmax()) for start, end in bounds]
    return sorted(tops, key=lambda row: -values[row])


def _chosen(peaks: dict[int, list[_Peak]], hearing: Hearing, budget: int) -> tuple[float, ...]:
    """Thresholds that let at most `budget` false peaks through, spent where each brings the most hits."""
    allowed = dict.fromkeys(peaks, 0)
    while (left := budget - sum(allowed.values())) > 0:
        gains = {
            (column, more): (_hits(peaks[column], n + more) - _hits(peaks[column], n)) / more
            for column, n in allowed.items()
            for more in range(1, min(left, AHEAD) + 1)
        }
        column, more = max(gains, key=gains.get)
        if not gains[column, more]:
            break
        allowed[column] += more
    return tuple(
        _threshold(peaks[column], allowed[column]) if column in peaks else 1.0
        for column in range(len(hearing.commands))
    )


def _hits(peaks: list[_Peak], false: int) -> int:
    """Right peaks above the false one that comes after `false` others."""
    wrong = [i for i, peak in enumerate(peaks) if not peak.right]
    last = wrong[false] if false < len(wrong) else len(peaks)
    return sum(peak.right for peak in peaks[:last])


def _threshold(peaks: list[_Peak], false: int) -> float:
    """Halfway between the first peak that must not pass and the last before it."""
    wrong = [i for i, peak in enumerate(peaks) if not peak.right]
    if false >= len(wrong):
        return LOWEST
    barred = peaks[wrong[false]].probability
    above = peaks[wrong[false] - 1].probability if wrong[false] else 1.0
    return float(np.clip((barred + above) / 2, LOWEST, HIGHEST))
