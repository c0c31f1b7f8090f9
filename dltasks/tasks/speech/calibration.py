"""What a trained network needs to listen: calibrated probabilities, and thresholds for a budget of false alarms."""

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np

from dltasks.calibration import fit_temperature
from dltasks.tasks.speech.mixture import Mixture, mixture_of
from dltasks.tasks.speech.network import scanner
from dltasks.tasks.speech.thresholds import BUDGETS, Point, curve

PIECE_SECONDS = 60.0
"""The long recording is scanned in pieces of this length."""


def calibrate(task, network: keras.Model, plan, samples: np.ndarray, truths: Sequence[str]):
    """The task with thresholds for the plan's budget, chosen on a long recording mixed from these clips.

    samples: float32 (count, samples), not trained on. The network's temperature is fitted in place.
    """
    fit_temperature(network, {"samples": samples}, np.array(task.places(truths)))
    seconds = 60 * plan.listening_minutes
    mixture = mixture_of(task.hearing.commands, samples, truths, seconds, task.sample_rate, plan.seed)
    probabilities = scanned(task, network, mixture)
    budgets = (*BUDGETS, plan.false_alarms_per_hour)
    points = curve(probabilities, mixture, seconds, task.hearing, budgets)
    chosen = next(each for each in points if each.budget == plan.false_alarms_per_hour)
    return replace(
        task,
        thresholds=tuple(round(each, 4) for each in chosen.thresholds),
        operating_points=tuple(_row(each, each is chosen) for each in points),
    )


def scanned(task, network: keras.Model, mixture: Mixture) -> np.ndarray:
    """Probabilities of all windows of the recording: float32 (windows, classes)."""
    hop = round(task.hop_seconds * task.sample_rate)
    scan = scanner(network, hop)
    piece = round(PIECE_SECONDS / task.hop_seconds)
    windows = (len(mixture.samples) - task.length) // hop + 1
    found = []
    for first in range(0, windows, piece):
        stretch = mixture.samples[first * hop : (first + piece - 1) * hop + task.length]
        if len(stretch) < (piece - 1) * hop + task.length:
            stretch = np.pad(stretch, (0, (piece - 1) * hop + task.length - len(stretch)))
        found.append(scan.predict_on_batch(stretch[None])[0])
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
