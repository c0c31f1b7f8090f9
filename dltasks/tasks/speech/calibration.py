"""What a trained network needs to listen: calibrated probabilities, and thresholds for a budget of false alarms."""

from dataclasses import replace

import keras
import numpy as np

from dltasks.data.batch import Batch
from dltasks.tasks.classification import fit_temperature
from dltasks.tasks.speech.network import scanner
from dltasks.tasks.speech.synthetic_stream import COMMANDS, SLOT_SECONDS, Mixture, mixture_of
from dltasks.tasks.speech.thresholds import BUDGETS, Point, Stream, curve

REPEATS = 20
"""Times that each command is said in the long recordings, at most: more would say nothing new."""

PIECE_SECONDS = 60.0
"""The long recording is scanned in pieces of this length."""


def calibrate(task, network: keras.Model, config, samples: np.ndarray, examples: Batch):
    """The task with thresholds for the plan's budget, chosen on two long recordings of different speakers.

    samples: float32 (count, samples) of the examples, not trained on. The network's temperature is fitted in place.
    """
    fit_temperature(network, {"samples": samples}, np.array(task.places(examples.labels)))
    seconds = 60 * config.listening_minutes / 2
    halves = tuple(
        _stream(task, network, samples[own], examples.take(own), seconds, config.seed)
        for own in _halves(examples)
    )
    points = curve(halves, task.hearing, (*BUDGETS, config.false_alarms_per_hour))
    chosen = next(each for each in points if each.budget == config.false_alarms_per_hour)
    return replace(
        task,
        thresholds=tuple(round(each, 4) for each in chosen.thresholds),
        operating_points=tuple(_row(each, each is chosen) for each in points),
    )


def _halves(examples: Batch) -> tuple[list[int], list[int]]:
    """Positions of the clips of every second speaker, and the rest; where none is known, of every second clip of a
    word, which are then on both sides."""
    speakers: dict[object, int] = {}
    halves: tuple[list[int], list[int]] = ([], [])
    counts: dict[object, int] = {}
    for position, raw in enumerate(examples.inputs):
        speaker = getattr(raw, "speaker", "")
        if speaker:
            side = speakers.setdefault(speaker, len(speakers) % 2)
        else:
            truth = examples.labels[position]
            side = counts[truth] = (counts.get(truth, 1) + 1) % 2
        halves[side].append(position)
    return halves


def _stream(
    task, network: keras.Model, samples: np.ndarray, examples: Batch, seconds: float, seed: int
) -> Stream:
    commands = sum(truth in task.hearing.words for truth in examples.labels)
    seconds = min(seconds, REPEATS * max(1, commands) * SLOT_SECONDS / COMMANDS)
    mixture = mixture_of(task.hearing.commands, samples, examples.labels, seconds, task.sample_rate, seed)
    return Stream(mixture, scanned(task, network, mixture), seconds)


def scanned(task, network: keras.Model, mixture: Mixture) -> np.ndarray:
    """Probabilities of all windows of the recording: float32 (windows, classes)."""
    hop = round(task.hop_seconds * task.sample_rate)
    scan = scanner(network, hop)
    piece = round(PIECE_SECONDS / task.hop_seconds)
    length = (piece - 1) * hop + task.length
    windows = (len(mixture.samples) - task.length) // hop + 1
    found = []
    for first in range(0, windows, piece):
        stretch = mixture.samples[first * hop : first * hop + length]
        found.append(scan.predict_on_batch(np.pad(stretch, (0, length - len(stretch)))[None])[0])
    return np.concatenate(found)[:windows]


def _row(point: Point, chosen: bool) -> dict:
    """Plain values of a point of the curve."""
    found = point.tally
    return {
        "budget_per_hour": point.budget,
        "chosen": chosen,
        "false_accepts": sum(found.false.values()),
        "missed": sum(found.said.values()) - sum(found.hits.values()),
        "commands": sum(found.said.values()),
        "hours": round(found.seconds / 3600, 4),
        "thresholds": [round(each, 4) for each in point.thresholds],
    }
