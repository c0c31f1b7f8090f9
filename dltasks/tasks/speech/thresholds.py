"""How probable a command must be before it counts: chosen for a budget of false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dltasks.tasks.speech.listening import Detection, Hearing, Listener, smoothed
from dltasks.tasks.speech.mixture import Mixture, Tally, matched, tally

LOWEST, HIGHEST = 0.2, 0.99
"""No threshold lies outside these."""

BUDGETS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""False alarms an hour at which the curve is measured."""


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
        thresholds = _chosen(peaks, hearing, int(budget * seconds / 3600))
        detections = heard(probabilities, replace(hearing, thresholds=thresholds))
        points.append(Point(budget, thresholds, tally(detections, mixture.said, commands, seconds)))
    return points


@dataclass(frozen=True)
class _Peak:
    """The highest probability of a stretch in which a command leads, and whether it was said there."""

    probability: float
    right: bool


def _peaks(probabilities, mixture: Mixture, hearing: Hearing) -> dict[int, list[_Peak]]:
    """Peaks of each command by column, the highest first."""
    averaged = smoothed(probabilities, hearing.smoothing)
    times = hearing.times(hearing.smoothing - 1, len(averaged))
    columns = [i for i, command in enumerate(hearing.commands) if command]
    found = {}
    for column in columns:
        candidates = _tops(averaged[:, column], averaged[:, columns].max(axis=1), times, hearing.refractory)
        detections = [
            Detection(float(times[row]), hearing.commands[column], float(averaged[row, column]))
            for row in candidates
        ]
        right = matched(detections, mixture.said)
        found[column] = [_Peak(d.probability, r) for d, r in zip(detections, right, strict=True)]
    return found


def _tops(own: np.ndarray, most: np.ndarray, times: np.ndarray, apart: float) -> list[int]:
    """Rows of the highest values, from the highest on, each at least `apart` seconds from the others taken."""
    rows = np.flatnonzero((own >= most) & (own > LOWEST))
    taken: list[int] = []
    free = np.ones(len(times), bool)
    reach = max(1, int(np.ceil(apart / (times[1] - times[0])))) if len(times) > 1 else 1
    for row in rows[np.argsort(-own[rows], kind="stable")]:
        if free[row]:
            taken.append(int(row))
            free[max(0, row - reach) : row + reach + 1] = False
    return taken


def _chosen(peaks: dict[int, list[_Peak]], hearing: Hearing, budget: int) -> tuple[float, ...]:
    """Thresholds that let at most `budget` false peaks through, spent where each brings the most hits."""
    allowed = dict.fromkeys(peaks, 0)
    for _ in range(budget):
        gains = {
            column: _hits(peaks[column], n + 1) - _hits(peaks[column], n) for column, n in allowed.items()
        }
        best = max(gains, key=gains.get)
        if not gains[best]:
            break
        allowed[best] += 1
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
