"""How probable a command must be before it counts: chosen for a budget of false alarms.

Thresholds that are fitted to some speakers word by word let ten times as many false alarms through with others. So
the words' thresholds relative to each other are fitted, all are then raised together, in logits, and how far is
chosen by what each half of the speakers hears with the thresholds of the other half.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dltasks.tasks.speech.detector import Detection, Hearing, Listener, smoothed
from dltasks.tasks.speech.synthetic_stream import Mixture, Tally, matched, tally

LOWEST, HIGHEST = 0.2, 0.999
"""No threshold lies outside these."""

BUDGETS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""False alarms an hour at which the curve is measured."""

LOOSE = 100
"""False alarms an hour at which the words' thresholds are fitted relative to each other: enough to count."""

RAISED = np.arange(0, 6.01, 0.125)
"""Logits by which all thresholds may be raised."""

AHEAD = 10
"""Most false alarms of one command that are weighed together against the hits they bring."""


@dataclass(frozen=True)
class Stream:
    """A recording of known words, and the network's probabilities for its windows: float32 (windows, classes)."""

    mixture: Mixture
    probabilities: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Point:
    """A row of the curve: the thresholds for a budget, and what is heard at it of speakers they were not fitted to."""

    budget: float
    thresholds: tuple[float, ...]
    tally: Tally


def heard(probabilities: np.ndarray, hearing: Hearing) -> list[Detection]:
    """What a listener hears in all windows of a stream: float32 (windows, classes)."""
    return list(Listener(hearing).hear(probabilities))


def curve(halves: tuple[Stream, Stream], hearing: Hearing, budgets: Sequence[float]) -> list[Point]:
    """The thresholds for each budget of false alarms an hour. halves: streams of different speakers."""
    hours = sum(each.seconds for each in halves) / 3600
    peaks = [_peaks(each, hearing) for each in halves]
    apart = [_fitted(own, hearing, hours / 2) for own in peaks]
    both = {column: _merged(peaks[0][column], peaks[1][column]) for column in peaks[0]}
    together = _fitted(both, hearing, hours)
    found = [_crossed(halves, apart, hearing, shift) for shift in RAISED]
    points = []
    for budget in sorted(set(budgets)):
        place = _best(found, budget * hours)
        points.append(Point(budget, _raised(together, RAISED[place]), found[place]))
    return points


def _crossed(halves, thresholds, hearing: Hearing, shift: float) -> Tally:
    """What is heard in each half with the raised thresholds of the other."""
    tallies = []
    for stream, others in zip(halves, reversed(thresholds), strict=True):
        detections = heard(stream.probabilities, replace(hearing, thresholds=_raised(others, shift)))
        tallies.append(tally(detections, stream.mixture.said, hearing.words, stream.seconds))
    return tallies[0] + tallies[1]


def _best(found: Sequence[Tally], allowed: float) -> int:
    """The raise with the fewest misses among those from which on no more false alarms are heard than allowed.

    Low thresholds may miss more than higher ones: after a false alarm nothing is heard for a while.
    """
    too_many = [i for i, each in enumerate(found) if sum(each.false.values()) > allowed]
    first = min(too_many[-1] + 1, len(found) - 1) if too_many else 0
    return min(range(first, len(found)), key=lambda i: found[i].miss_rate())


def _raised(thresholds: tuple[float, ...], shift: float) -> tuple[float, ...]:
    """Thresholds between LOWEST and HIGHEST; 1, of what is no command, stays."""
    values = np.array(thresholds)
    logits = np.log(np.clip(values, LOWEST, HIGHEST) / (1 - np.clip(values, LOWEST, HIGHEST)))
    raised = np.clip(1 / (1 + np.exp(-logits - shift)), LOWEST, HIGHEST)
    return tuple(float(each) for each in np.where(values < 1, raised, 1.0))


@dataclass(frozen=True)
class _Peak:
    """The highest probability of a stretch, and whether the command was said there."""

    probability: float
    right: bool


def _peaks(stream: Stream, hearing: Hearing) -> dict[int, list[_Peak]]:
    """Peaks of each command by column, the highest first."""
    averaged = smoothed(stream.probabilities, hearing.smoothing)
    times = hearing.times(hearing.smoothing - 1, len(averaged))
    found = {}
    for column, command in enumerate(hearing.commands):
        if not command:
            continue
        rows = _tops(averaged[:, column])
        detections = [Detection(float(times[row]), command, float(averaged[row, column])) for row in rows]
        right = matched(detections, stream.mixture.said)
        found[column] = [_Peak(d.probability, r) for d, r in zip(detections, right, strict=True)]
    return found


def _tops(values: np.ndarray) -> list[int]:
    """The highest row of every stretch above LOWEST, the highest of all first."""
    above = np.concatenate([[False], values > LOWEST, [False]])
    bounds = np.flatnonzero(np.diff(above)).reshape(-1, 2)
    tops = [int(start + values[start:end].argmax()) for start, end in bounds]
    return sorted(tops, key=lambda row: -values[row])


def _merged(one: list[_Peak], other: list[_Peak]) -> list[_Peak]:
    return sorted([*one, *other], key=lambda peak: -peak.probability)


def _fitted(peaks: dict[int, list[_Peak]], hearing: Hearing, hours: float) -> tuple[float, ...]:
    """Thresholds that let LOOSE false peaks an hour through, spent where each brings the most hits."""
    budget, allowed = int(LOOSE * hours), dict.fromkeys(peaks, 0)
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
