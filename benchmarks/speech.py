"""Spoken commands: one window, a stream, and the log-mel; against MLPerf Tiny's DS-CNN and librosa.

    python benchmarks/speech.py [--rounds 5]

On one core. The peer is the DS-CNN of MLPerf Tiny's keyword spotting (Banbury et al., 2021) built in Keras, untrained,
behind the same log-mel averaged to its 49 x 10 inputs, exported the same way. Wanted: 50 streams' worth a core.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from measured import COMMAND, ROOT, measured, progress

import dltasks
from dltasks.bundle import storage
from dltasks.export import convert
from dltasks.frameworks import import_frameworks
from dltasks.litert.runtime import Runtime
from dltasks.tasks.speech.sound import blocks

MODEL, RECORDING = "commands", ROOT / "samples/speech/go-happy-right-no.flac"
MINUTES = 5
LIBROSA = "log-mel by librosa"


def ds_cnn(samples: int, rate: int, classes: int):
    """MLPerf Tiny's network on samples: log-mel (98, 40), averaged to (49, 10), and 24 k parameters."""
    import keras
    from keras import layers

    from dltasks.tasks.speech.network import MELS, LogMel

    def normalised(x):
        return layers.ReLU()(layers.BatchNormalization()(x))

    heard = keras.Input((samples,), dtype="float32", name="samples")
    x = layers.Reshape((-1, MELS, 1))(LogMel(rate)(heard))
    x = layers.AveragePooling2D((2, 4))(x)
    x = normalised(layers.Conv2D(64, (10, 4), 2, padding="same")(x))
    for _ in range(4):
        x = normalised(layers.DepthwiseConv2D(3, padding="same")(x))
        x = normalised(layers.Conv2D(64, 1)(x))
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model({"samples": heard}, {"probabilities": outputs})


def log_mel(rate: int, samples: int):
    """Only the front end."""
    import keras

    from dltasks.tasks.speech.network import LogMel

    heard = keras.Input((samples,), dtype="float32", name="samples")
    return keras.Model({"samples": heard}, {"log_mel": LogMel(rate)(heard)})


def librosas(clip: np.ndarray, rate: int) -> np.ndarray:
    """The same log-mel by librosa: float (frames, MELS)."""
    import librosa

    from dltasks.tasks.speech.network import FFT, FLOOR, FRAME, HIGHEST, HOP, LOWEST, MELS

    power = librosa.feature.melspectrogram(
        y=np.pad(clip, (FFT - FRAME) // 2),
        sr=rate,
        n_fft=FFT,
        hop_length=HOP,
        win_length=FRAME,
        center=False,
        n_mels=MELS,
        fmin=LOWEST,
        fmax=HIGHEST,
        htk=True,
        norm=None,
    )
    return np.log(power + FLOOR).T


def milliseconds(functions: dict[str, Callable], rounds: int) -> dict[str, float]:
    """The median time of a call of each, called in turn; the first ones are not counted."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(100 * rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(each[20:]) for name, each in times.items()}


def real_time_factor(model, recording: Path, rounds: int) -> float:
    """Processor seconds of `dltasks listen` for a second of sound, the start of the process included."""
    arguments = [COMMAND, "listen", str(recording), "--model", str(model), "--json"]
    return min(measured(arguments).processor for _ in range(rounds)) / (60 * MINUTES)


def exported(folder: Path, to: str, level: str, data) -> Path:
    """The bundled model in another form; agreement is not asked of an untypical handful of calibration clips."""
    out = folder / f"{to}-{level}.tflite"
    dltasks.load(MODEL).export(out, to, level, data, min_agreement=0, max_score_drop=1)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--data", default=str(RECORDING.parent), help="Clips that int8 takes its ranges from."
    )
    given = parser.parse_args()
    import_frameworks()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    task = dltasks.load(MODEL).task
    sentence = np.concatenate(list(blocks(RECORDING, task.sample_rate)))
    clip = sentence[: task.length]
    with tempfile.TemporaryDirectory() as name:
        result, rows = _measured(task, clip, sentence, Path(name), given)
    progress("speech", result, rows, ("", "bytes", "ms a window", "real-time factor", "streams a core"))


def _measured(task, clip, sentence, folder: Path, given):
    recording = folder / "long.flac"
    count = int(60 * MINUTES * task.sample_rate / len(sentence)) + 1
    soundfile.write(recording, np.tile(sentence, count)[: 60 * MINUTES * task.sample_rate], task.sample_rate)
    inputs, _ = task.encode([*Path(given.data).rglob("*.flac")][:200])
    int8 = exported(folder, "litert", "int8", given.data)
    peer = ds_cnn(task.length, task.sample_rate, len(task.labels))
    front = convert.to_tflite(log_mel(task.sample_rate, task.length), "none", {})
    windows = {
        f"{MODEL}, float16, as bundled": (storage.find_bundle(MODEL) / "model.tflite").read_bytes(),
        f"{MODEL}, int8": int8.read_bytes(),
        "MLPerf Tiny's DS-CNN, float16": convert.to_tflite(peer, "float16", {}),
        "MLPerf Tiny's DS-CNN, int8": convert.to_tflite(peer, "int8", inputs, task.quantized_ops),
        "log-mel in the file": front,
    }
    listening = {
        f"{MODEL}, float16, as bundled": MODEL,
        f"{MODEL}, int8": int8,
        f"{MODEL}, streaming, float32": exported(folder, "streaming", "none", given.data),
        f"{MODEL}, streaming, int8": exported(folder, "streaming", "int8", given.data),
    }
    taken = milliseconds(
        {name: partial(Runtime(model).run, {"samples": clip[None]}) for name, model in windows.items()}
        | {LIBROSA: partial(librosas, clip, task.sample_rate)},
        given.rounds,
    )
    factors = {name: real_time_factor(each, recording, given.rounds) for name, each in listening.items()}
    sizes = {name: len(model) for name, model in windows.items()}
    sizes |= {name: each.stat().st_size for name, each in listening.items() if isinstance(each, Path)}
    ours = Runtime(front).run({"samples": clip[None]})["log_mel"][0]
    difference = float(np.abs(ours - librosas(clip, task.sample_rate)).max())
    result = {
        "bytes": sizes,
        "window_ms": taken,
        "real_time_factor": factors,
        "log_mel_difference": difference,
    }
    rows = [_row(name, sizes, taken, factors) for name in dict.fromkeys([*listening, *windows, LIBROSA])]
    return result, [*rows, ("largest difference of the two", "", f"{difference:.2g} nats", "", "")]


def _row(name: str, sizes, taken, factors) -> tuple[str, ...]:
    return (
        name,
        f"{sizes[name]:,}" if name in sizes else "",
        f"{taken[name]:.2f}" if name in taken else "",
        f"{factors[name]:.4f}" if name in factors else "",
        f"{1 / factors[name]:.0f}" if name in factors else "",
    )


if __name__ == "__main__":
    main()
