"""Predictions for clips of any length: a long one is scanned for its most probable command."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from dltasks.errors import DataError
from dltasks.litert.runtime import Run
from dltasks.tasks.speech.audio import fit_length, load, read_blocks, sliding_windows
from dltasks.tasks.speech.audio_files import Clip
from dltasks.tasks.speech.data import SILENCE, UNKNOWN
from dltasks.tasks.speech.detector import moving_average
from dltasks.tasks.speech.prediction import SpeechPrediction


def predict(task: Any, inputs: Sequence[Any], run: Run) -> list[Any]:
    """A SpeechPrediction for each clip, or the DataError in its place."""
    predictions: list[Any] = [None] * len(inputs)
    short: dict[int, np.ndarray] = {}
    for index, source in enumerate(inputs):
        try:
            windows = _read_windows(task, source)
            first, second = next(windows), next(windows, None)
            if second is None and len(first) == 1:
                short[index] = first[0]
            else:
                head = [first] if second is None else [first, second]
                predictions[index] = _scan(task, chain(head, windows), run)
        except DataError as error:
            predictions[index] = error
    if short:
        decoded = task.decode(run({"samples": np.stack(list(short.values()))}))
        for index, prediction in zip(short, decoded, strict=True):
            predictions[index] = prediction
    return predictions


def _read_windows(task: Any, source: Any) -> Iterator[np.ndarray]:
    """float32 (count, length) arrays: a short clip as `encode` returns it, the windows of a long one."""
    if isinstance(source, Clip) and source.start is not None:
        yield load(source, task.sample_rate, task.window_length)[None]
        return
    silence = np.zeros(task.edge_padding, np.float32)
    samples = np.zeros(0, np.float32)
    blocks = read_blocks(source, task.sample_rate)
    for block in blocks:
        samples = np.concatenate([samples, block])
        if len(samples) > task.window_length:
            padded = chain([silence, samples], blocks, [silence])
            yield from sliding_windows(padded, task.window_length, task.stream_chunk_size)
            return
    yield fit_length(samples, task.window_length)[None]


def _scan(task: Any, windows: Iterable[np.ndarray], run: Run) -> SpeechPrediction:
    """The windows with the most probable command; without one those with another word, or silence."""
    probabilities = np.concatenate([run({"samples": batch})["probabilities"] for batch in windows])
    config = replace(task.detector_config, smoothing=min(task.smoothing, len(probabilities)))
    averages = moving_average(probabilities, config.smoothing)
    best = max(range(len(averages)), key=lambda row: (_rank(task, averages[row]), averages[row].max()))
    middle = config.window_times(config.smoothing - 1, len(averages))[best]
    time = middle - task.edge_padding / task.sample_rate
    return SpeechPrediction(task.labels, averages[best], task.top_k, max(0.0, float(time)))


def _rank(task: Any, probabilities: np.ndarray) -> int:
    """2 for a command, 1 for another word, 0 for silence."""
    return {SILENCE: 0, UNKNOWN: 1}.get(task.labels[int(probabilities.argmax())], 2)
