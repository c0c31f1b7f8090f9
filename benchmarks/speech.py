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
from pathlib import Path

import numpy as np
from measured import COMMAND, ROOT, measured, report

import dltasks
from dltasks import bundle, exporting, training
from dltasks.runtime import Runtime
from dltasks.tasks.speech.sound import blocks

MODEL, RECORDING = "commands", ROOT / "samples/speech/go-happy-right-no.flac"
MINUTES = 5


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


def milliseconds(function, rounds: int) -> float:
    """The median time of a call, the first ones not counted."""
    times = []
    for _ in range(100 * rounds):
        began = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[20:])


def latency(model: bytes, clip: np.ndarray, rounds: int) -> float:
    runtime = Runtime(model)
    return milliseconds(lambda: runtime.run({"samples": clip[None]}), rounds)


def real_time_factor(model, recording: Path, rounds: int) -> float:
    """Processor seconds of `dltasks listen` for a second of sound, the start of the process included."""
    arguments = [COMMAND, "listen", str(recording), "--model", str(model), "--json"]
    return min(measured(arguments).processor for _ in range(rounds)) / (60 * MINUTES)


def exported(folder: Path, to: str, level: str, data) -> Path:
    """The bundled model in another form; agreement is not asked of an untypical handful of calibration clips."""
    out = folder / f"{to}-{level}.tflite"
    dltasks.load(MODEL).export(out, to, level, data, floor=0.0)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--data", default=str(RECORDING.parent), help="Clips that int8 takes its ranges from."
    )
    given = parser.parse_args()
    training.import_frameworks()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    task = dltasks.load(MODEL).task
    sentence = np.concatenate(list(blocks(RECORDING, task.sample_rate)))
    clip = sentence[: task.length]
    with tempfile.TemporaryDirectory() as name:
        result, rows = _measured(task, clip, sentence, Path(name), given)
    report("speech", result, rows, ("", "bytes", "ms a window", "real-time factor", "streams a core"))


def _measured(task, clip, sentence, folder: Path, given):
    import soundfile

    recording = folder / "long.flac"
    count = int(60 * MINUTES * task.sample_rate / len(sentence)) + 1
    soundfile.write(recording, np.tile(sentence, count)[: 60 * MINUTES * task.sample_rate], task.sample_rate)
    inputs, _ = task.encode([*Path(given.data).rglob("*.flac")][:200])
    result, rows = {"ours": {}, "ds_cnn": {}}, []
    whole = bundle.find_folder(MODEL) / "model.tflite"
    files = {
        "float16, as bundled": (MODEL, whole.read_bytes()),
        "int8": (file := exported(folder, "litert", "int8", given.data), file.read_bytes()),
        "streaming, float32": (exported(folder, "streaming", "none", given.data), None),
        "streaming, int8": (exported(folder, "streaming", "int8", given.data), None),
    }
    for name, (model, content) in files.items():
        factor = real_time_factor(model, recording, given.rounds)
        window = latency(content, clip, given.rounds) if content else None
        size = len(content) if content else model.stat().st_size
        result["ours"][name] = {"bytes": size, "window_ms": window, "real_time_factor": factor}
        rows.append(
            (
                f"{MODEL}, {name}",
                f"{size:,}",
                f"{window:.2f}" if window else "",
                f"{factor:.4f}",
                f"{1 / factor:.0f}",
            )
        )
    peer = ds_cnn(task.length, task.sample_rate, len(task.labels))
    for name, level in (("float16", "float16"), ("int8", "int8")):
        model = exporting.litert(peer, level, inputs, task.quantised)
        window = latency(model, clip, given.rounds)
        result["ds_cnn"][name] = {"bytes": len(model), "window_ms": window}
        rows.append((f"MLPerf Tiny's DS-CNN, {name}", f"{len(model):,}", f"{window:.2f}", "", ""))
    result["log_mel"], more = _front_end(task, clip, given.rounds)
    return result, [*rows, *more]


def _front_end(task, clip, rounds: int):
    model = exporting.litert(log_mel(task.sample_rate, task.length), "none", {})
    runtime = Runtime(model)
    ours = runtime.run({"samples": clip[None]})["log_mel"][0]
    theirs = librosas(clip, task.sample_rate)
    found = {
        "in_graph_ms": milliseconds(lambda: runtime.run({"samples": clip[None]}), rounds),
        "librosa_ms": milliseconds(lambda: librosas(clip, task.sample_rate), rounds),
        "largest_difference": float(np.abs(ours - theirs).max()),
    }
    rows = [
        ("log-mel in the file", f"{len(model):,}", f"{found['in_graph_ms']:.2f}", "", ""),
        ("log-mel by librosa", "", f"{found['librosa_ms']:.2f}", "", ""),
        ("largest difference of the two", "", f"{found['largest_difference']:.2g} nats", "", ""),
    ]
    return found, rows


if __name__ == "__main__":
    main()
