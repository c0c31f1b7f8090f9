"""Speed of spoken commands: a window, a stream, and the log-mel; against MLPerf Tiny's DS-CNN and librosa.

    python benchmarks/speech.py [--rounds 5]

On one core. The DS-CNN is that of MLPerf Tiny's keyword spotting (Banbury et al., 2021), built in Keras and
untrained, behind the same log-mel averaged to its 49 x 10 inputs, and exported in the same way. Goal: 50
streams per core.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from measure import COMMAND, ROOT, measure_process, write_results

import dltasks
from dltasks.bundle import storage
from dltasks.export import convert
from dltasks.frameworks import import_frameworks
from dltasks.litert.runtime import Runtime
from dltasks.tasks.speech.audio import read_blocks

MODEL, RECORDING = "commands", ROOT / "samples/speech/go-happy-right-no.flac"
MINUTES = 5
LIBROSA = "log-mel by librosa"
COLUMNS = ("", "bytes", "ms per window", "real-time factor", "streams per core")


def build_ds_cnn(length: int, sample_rate: int, classes: int) -> Any:
    """MLPerf Tiny's network on samples: log-mel (98, 40), averaged to (49, 10), and 24 k parameters."""
    import keras
    from keras import layers

    from dltasks.tasks.speech.network import MEL_BANDS, LogMel

    def normalize(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(x))

    samples = keras.Input((length,), dtype="float32", name="samples")
    x = layers.Reshape((-1, MEL_BANDS, 1))(LogMel(sample_rate)(samples))
    x = layers.AveragePooling2D((2, 4))(x)
    x = normalize(layers.Conv2D(64, (10, 4), 2, padding="same")(x))
    for _ in range(4):
        x = normalize(layers.DepthwiseConv2D(3, padding="same")(x))
        x = normalize(layers.Conv2D(64, 1)(x))
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model({"samples": samples}, {"probabilities": outputs})


def build_log_mel(sample_rate: int, length: int) -> Any:
    """The front end alone."""
    import keras

    from dltasks.tasks.speech.network import LogMel

    samples = keras.Input((length,), dtype="float32", name="samples")
    return keras.Model({"samples": samples}, {"log_mel": LogMel(sample_rate)(samples)})


def librosa_log_mel(clip: np.ndarray, sample_rate: int) -> np.ndarray:
    """The same log-mel by librosa: float (frames, MEL_BANDS)."""
    import librosa

    from dltasks.tasks.speech import network

    power = librosa.feature.melspectrogram(
        y=np.pad(clip, (network.FFT_LENGTH - network.FRAME_LENGTH) // 2),
        sr=sample_rate,
        n_fft=network.FFT_LENGTH,
        hop_length=network.HOP_LENGTH,
        win_length=network.FRAME_LENGTH,
        center=False,
        n_mels=network.MEL_BANDS,
        fmin=network.MIN_HERTZ,
        fmax=network.MAX_HERTZ,
        htk=True,
        norm=None,
    )
    return np.log(power + network.POWER_FLOOR).T


def time_interleaved(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of a call of each function, called in turn; the first calls are not counted."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(100 * rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values[20:]) for name, values in times.items()}


def real_time_factor(model: str | Path, recording: Path, rounds: int) -> float:
    """Processor seconds of `dltasks listen` per second of sound, including the start of the process."""
    arguments = [COMMAND, "listen", str(recording), "--model", str(model), "--json"]
    return min(measure_process(arguments).processor for _ in range(rounds)) / (60 * MINUTES)


def export(folder: Path, file_format: str, mode: str, data: str) -> Path:
    """The bundled model in another form; without thresholds, as a handful of clips is not representative."""
    out = folder / f"{file_format}-{mode}.tflite"
    dltasks.load(MODEL).export(out, file_format, mode, data, min_agreement=0, max_score_drop=1)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", default=str(RECORDING.parent), help="Clips for the calibration of int8.")
    arguments = parser.parse_args()
    import_frameworks()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    task = dltasks.load(MODEL).task
    sentence = np.concatenate(list(read_blocks(RECORDING, task.sample_rate)))
    with tempfile.TemporaryDirectory() as name:
        result, rows = _measure(task, sentence, Path(name), arguments)
    write_results("speech", result, rows, COLUMNS)


def _measure(
    task: Any, sentence: np.ndarray, folder: Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    clip = sentence[: task.window_length]
    windows, listeners = _export_all(task, folder, arguments.data)
    recording = _write_recording(sentence, task.sample_rate, folder / "long.flac")
    calls = {name: partial(Runtime(model).run, {"samples": clip[None]}) for name, model in windows.items()}
    calls[LIBROSA] = partial(librosa_log_mel, clip, task.sample_rate)
    times = time_interleaved(calls, arguments.rounds)
    factors = {
        name: real_time_factor(model, recording, arguments.rounds) for name, model in listeners.items()
    }
    sizes = {name: len(model) for name, model in windows.items()}
    sizes |= {name: path.stat().st_size for name, path in listeners.items() if isinstance(path, Path)}
    log_mel = calls["log-mel in the file"]()["log_mel"][0]
    difference = float(np.abs(log_mel - calls[LIBROSA]()).max())
    result = {
        "bytes": sizes,
        "window_ms": times,
        "real_time_factor": factors,
        "log_mel_difference": difference,
    }
    rows = [_row(name, sizes, times, factors) for name in dict.fromkeys([*listeners, *windows, LIBROSA])]
    return result, [*rows, ("largest difference of the two", "", f"{difference:.2g} nats", "", "")]


def _export_all(task: Any, folder: Path, data: str) -> tuple[dict[str, bytes], dict[str, str | Path]]:
    """Models whose windows are timed, and models that listen."""
    encoded, _ = task.encode([*Path(data).rglob("*.flac")][:200])
    int8 = export(folder, "litert", "int8", data)
    ds_cnn = build_ds_cnn(task.window_length, task.sample_rate, len(task.labels))
    log_mel = build_log_mel(task.sample_rate, task.window_length)
    windows = {
        f"{MODEL}, float16, as bundled": (storage.find_bundle(MODEL) / "model.tflite").read_bytes(),
        f"{MODEL}, int8": int8.read_bytes(),
        "MLPerf Tiny's DS-CNN, float16": convert.to_tflite(ds_cnn, "float16", {}),
        "MLPerf Tiny's DS-CNN, int8": convert.to_tflite(ds_cnn, "int8", encoded, task.quantized_ops),
        "log-mel in the file": convert.to_tflite(log_mel, "none", {}),
    }
    listeners = {
        f"{MODEL}, float16, as bundled": MODEL,
        f"{MODEL}, int8": int8,
        f"{MODEL}, streaming, float32": export(folder, "streaming", "none", data),
        f"{MODEL}, streaming, int8": export(folder, "streaming", "int8", data),
    }
    return windows, listeners


def _write_recording(sentence: np.ndarray, sample_rate: int, path: Path) -> Path:
    """The sentence repeated for MINUTES."""
    length = 60 * MINUTES * sample_rate
    soundfile.write(path, np.tile(sentence, length // len(sentence) + 1)[:length], sample_rate)
    return path


def _row(
    name: str, sizes: dict[str, int], times: dict[str, float], factors: dict[str, float]
) -> tuple[str, ...]:
    return (
        name,
        f"{sizes[name]:,}" if name in sizes else "",
        f"{times[name]:.2f}" if name in times else "",
        f"{factors[name]:.4f}" if name in factors else "",
        f"{1 / factors[name]:.0f}" if name in factors else "",
    )


if __name__ == "__main__":
    main()
