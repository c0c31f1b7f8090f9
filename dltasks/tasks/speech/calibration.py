"""Calibration of a trained network: its temperature, and thresholds for a budget of false alarms."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from dltasks.data.batch import Batch
from dltasks.tasks.classification import fit_temperature
from dltasks.tasks.speech.config import SpeechConfig
from dltasks.tasks.speech.detector import OperatingPoint
from dltasks.tasks.speech.network import scanning_network
from dltasks.tasks.speech.synthetic_stream import (
    COMMAND_PROBABILITY,
    SLOT_SECONDS,
    SyntheticStream,
    synthesize_stream,
)
from dltasks.tasks.speech.thresholds import BUDGETS, CurvePoint, ScoredStream, fit_curve

MAX_REPEATS = 20
"""Maximum number of times that a clip of a command occurs in a synthetic stream."""

CHUNK_SECONDS = 60.0
"""Approximate length of the chunks in which a synthetic stream is scanned."""


def calibrate(
    task: Any, network: keras.Model, config: SpeechConfig, samples: np.ndarray, examples: Batch
) -> Any:
    """The task with thresholds for the configured budget, chosen on two streams of different speakers.

    samples: float32 (count, samples) of the validation examples. The network's temperature is fitted in
    place.
    """
    fit_temperature(network, {"samples": samples}, np.array(task.label_indices(examples.labels)))
    seconds = 60 * config.calibration_minutes / 2
    first, second = (
        _score_stream(task, network, samples[half], examples.take(half), seconds, config.seed)
        for half in _split_speakers(examples)
    )
    points = fit_curve((first, second), task.detector_config, (*BUDGETS, config.false_alarms_per_hour))
    chosen = next(point for point in points if point.budget == config.false_alarms_per_hour)
    return replace(
        task,
        thresholds=tuple(round(threshold, 4) for threshold in chosen.thresholds),
        operating_points=tuple(_operating_point(point, point is chosen) for point in points),
    )


def _split_speakers(examples: Batch) -> tuple[list[int], list[int]]:
    """Indices of the clips of every second speaker, and of the others.

    Of clips without a speaker every second clip of a word, so that the word is in both halves.
    """
    speakers: dict[object, int] = {}
    halves: tuple[list[int], list[int]] = ([], [])
    last_sides: dict[object, int] = {}
    for index, source in enumerate(examples.inputs):
        speaker = getattr(source, "speaker", "")
        if speaker:
            side = speakers.setdefault(speaker, len(speakers) % 2)
        else:
            label = examples.labels[index]
            side = last_sides[label] = (last_sides.get(label, 1) + 1) % 2
        halves[side].append(index)
    return halves


def _score_stream(
    task: Any, network: keras.Model, samples: np.ndarray, examples: Batch, seconds: float, seed: int
) -> ScoredStream:
    count = sum(label in task.detector_config.command_names for label in examples.labels)
    seconds = min(seconds, MAX_REPEATS * max(1, count) * SLOT_SECONDS / COMMAND_PROBABILITY)
    commands = task.detector_config.commands
    stream = synthesize_stream(commands, samples, examples.labels, seconds, task.sample_rate, seed)
    return ScoredStream(stream, scan_stream(task, network, stream), seconds)


def scan_stream(task: Any, network: keras.Model, stream: SyntheticStream) -> np.ndarray:
    """Probabilities of all windows of the recording: float32 (windows, classes)."""
    hop = round(task.hop_seconds * task.sample_rate)
    scan = scanning_network(network, hop)
    chunk_windows = round(CHUNK_SECONDS / task.hop_seconds)
    length = (chunk_windows - 1) * hop + task.window_length
    windows = (len(stream.samples) - task.window_length) // hop + 1
    probabilities = []
    for first in range(0, windows, chunk_windows):
        chunk = stream.samples[first * hop : first * hop + length]
        padded = np.pad(chunk, (0, length - len(chunk)))
        probabilities.append(scan.predict_on_batch(padded[None])[0])
    return np.concatenate(probabilities)[:windows]


def _operating_point(point: CurvePoint, chosen: bool) -> OperatingPoint:
    """Plain values of a point of the curve."""
    counts = point.counts
    return {
        "budget_per_hour": point.budget,
        "chosen": chosen,
        "false_alarms": sum(counts.false_alarms.values()),
        "missed": sum(counts.spoken.values()) - sum(counts.hits.values()),
        "commands": sum(counts.spoken.values()),
        "hours": round(counts.seconds / 3600, 4),
        "thresholds": [round(threshold, 4) for threshold in point.thresholds],
    }
