"""Detection in recordings, on standard input and in a microphone; streams get the probabilities of clips."""

import json
import shutil
import signal
import subprocess
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import data_speech
import numpy as np
import pytest
import soundfile
import sounds
from conftest import COMMAND, ENVIRONMENT, ROOT, dltasks, train_once

import dltasks as library
from dltasks.errors import DataError
from dltasks.export import convert
from dltasks.litert.runtime import Runtime
from dltasks.model import Model
from dltasks.progress import Progress
from dltasks.tasks.speech import TASK, audio, streams

YES = ROOT / "samples/speech/yes.flac"
SENTENCE = ROOT / "samples/speech/go-happy-right-no.flac"
RATE = 16_000


@pytest.fixture(scope="session")
def trained_speech(tmp_path_factory):
    """A bundle trained to distinguish two synthetic words."""
    return train_once("speech", "words", tmp_path_factory, **data_speech.LONG_SETTINGS).bundle


def make_stream(seed: int) -> tuple[np.ndarray, list[str]]:
    """Ten synthetic words, two seconds each."""
    words = [list(sounds.WORDS)[i] for i in np.random.default_rng(seed).integers(0, 3, 10)]
    clips = [sounds.whistle(word, 900 + i, seconds=2.0) for i, word in enumerate(words)]
    return np.concatenate(clips), words


def test_a_recording_and_standard_input_give_the_same_detections(trained_speech, tmp_path):
    samples, words = make_stream(1)
    soundfile.write(tmp_path / "long.wav", samples, RATE, subtype="PCM_16")
    command = ("listen", "-m", trained_speech, "--json", "--threshold", 0.7)
    file = dltasks(*command, tmp_path / "long.wav")
    piped = dltasks(*command, "-", input=soundfile.read(tmp_path / "long.wav", dtype="int16")[0].tobytes())
    assert file.returncode == piped.returncode == 0, file.stderr
    assert file.stdout == piped.stdout and "listened to 20.0 s" in file.stderr
    detections = [json.loads(line) for line in file.stdout.splitlines()]
    assert all(set(detection) == {"time_seconds", "command", "probability"} for detection in detections)
    expected = [(2 * i + 1, word) for i, word in enumerate(words) if word != "_unknown_"]
    pairs = [(detection["time_seconds"], detection["command"]) for detection in detections]
    hits = [
        word
        for seconds, word in expected
        if any(abs(seconds - time) < 0.75 and command == word for time, command in pairs)
    ]
    assert len(hits) >= 0.7 * len(expected)


def test_a_streaming_file_detects_the_same_as_the_bundle(trained_speech, tmp_path):
    out = tmp_path / "stream.tflite"
    data = trained_speech.with_name("data")
    result = dltasks(
        *("export", trained_speech, "--format", "streaming", "--quantize", "none", "--out", out),
        *("--data", data, "--json"),
    )
    assert result.returncode == 0, result.stderr
    parity = json.loads(result.stdout)
    assert parity["agreement"] == 1.0 and parity["max_difference"] < 1e-4
    samples, _ = make_stream(2)
    soundfile.write(tmp_path / "long.flac", samples, RATE)
    in_windows, in_chunks = (
        [
            json.loads(line)
            for line in dltasks("listen", "-m", model, "--json", tmp_path / "long.flac").stdout.splitlines()
        ]
        for model in (trained_speech, out)
    )
    assert len(in_windows) > 0
    for key in ("time_seconds", "command"):
        assert [detection[key] for detection in in_windows] == [detection[key] for detection in in_chunks]
    refused = dltasks("recognize", "-m", out, YES)
    assert refused.returncode == 1 and "takes a stream in chunks, not whole inputs" in refused.stderr


@pytest.mark.parametrize("length, chunk_size", [(13_120, 1600), (19_840, 4800)])
def test_a_stream_in_chunks_gets_the_probabilities_of_its_windows(length, chunk_size):
    from dltasks.tasks.speech.network import build, streaming_network

    network = build(3, length, RATE)
    model = convert.to_tflite(network, "none", {})
    streaming_model = convert.to_tflite(streaming_network(network, chunk_size), "none", {})
    labels = ("_silence_", "fall", "rise")
    task = TASK(labels=labels, seconds=length / RATE, hop_seconds=chunk_size / RATE)
    blocks = np.split(make_stream(4)[0][: 6 * RATE], [777, 30_000])
    loaded = Model("x", Path("x"), task, {}, Runtime(model))
    in_windows = np.concatenate(list(streams.score_windows(loaded, blocks)))
    in_chunks = np.concatenate(list(streams.score_chunks(task, Runtime(streaming_model), blocks)))
    assert in_chunks.shape == in_windows.shape and np.abs(in_chunks - in_windows).max() < 1e-4


def test_a_word_at_either_end_of_a_recording_is_detected(tmp_path):
    listen = partial(dltasks, "listen", "--json", "--threshold", 0.5)
    clip = audio.load(YES, RATE, RATE)
    detections = [json.loads(line) for line in listen(YES).stdout.splitlines()]
    assert [detection["command"] for detection in detections] == ["yes"]
    assert abs(detections[0]["time_seconds"] - 0.5) < 0.75
    late = np.concatenate([np.zeros(5 * RATE, np.float32), clip[: np.flatnonzero(np.abs(clip) > 0.003)[-1]]])
    soundfile.write(tmp_path / "late.wav", late, RATE)
    result = listen(tmp_path / "late.wav")
    assert [json.loads(line)["command"] for line in result.stdout.splitlines()] == ["yes"]


def test_listening_ends_quietly_when_the_reader_leaves_or_it_is_interrupted():
    samples = np.tile(audio.load(YES, RATE, RATE), 60)
    command = [*COMMAND, "listen", "-", "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    content = (samples * 32767).astype("<i2").tobytes()
    abandoned = subprocess.Popen(command, env=ENVIRONMENT, **pipes)
    abandoned.stdout.close()
    assert b"Traceback" not in abandoned.communicate(content)[1]
    interrupted = subprocess.Popen(command, env=ENVIRONMENT, **pipes)
    interrupted.stdin.write(content[: 20 * 2 * RATE])
    interrupted.stdin.flush()
    assert json.loads(interrupted.stdout.readline())["command"] == "yes"
    interrupted.send_signal(signal.SIGINT)
    _, stderr = interrupted.communicate()
    assert interrupted.returncode == 130 and stderr.strip() == b"interrupted"


def test_dropped_sound_of_a_microphone_becomes_silence_and_is_logged():
    from dltasks.tasks.speech.microphone import BlockQueue, read_queue

    class Lines(Progress):
        lines: ClassVar[list[str]] = []

        def log(self, text):
            self.lines.append(text)

    blocks = BlockQueue(2)
    for value in range(1, 6):
        blocks.put(np.full(RATE, value, np.float32))
    received = read_queue(blocks, None, RATE, Lines())
    assert [float(next(received)[0]) for _ in range(2)] == [1, 2]
    blocks.put(np.full(RATE, 6, np.float32))
    silence, after = next(received), next(received)
    assert len(silence) == 3 * RATE and not silence.any() and after[0] == 6
    assert Lines.lines == ["the default microphone: 3.0 s dropped; the detector could not keep up"]


def test_an_mp3_on_standard_input_is_distinguished_from_samples_that_start_like_one(tmp_path):
    from dltasks.tasks.speech.streams import read_pcm

    soundfile.write(tmp_path / "clip.mp3", audio.load(YES, RATE, RATE), RATE, format="MP3")
    with pytest.raises(DataError, match="a sound file; expected raw"):
        list(read_pcm(BytesIO((tmp_path / "clip.mp3").read_bytes()), 0.1, RATE))
    samples = np.append(np.int16(-1025), np.zeros(RATE - 1, np.int16))
    assert sum(map(len, read_pcm(BytesIO(samples.tobytes()), 0.1, RATE))) == RATE


def test_a_bundle_listens_in_chunks_and_its_single_file_in_windows(trained_speech, tmp_path):
    samples, _ = make_stream(2)
    bundle = library.load(trained_speech)
    manifest = {key: value for key, value in bundle.manifest.items() if key != "files"}
    single_file = replace(bundle, manifest=manifest)
    assert bundle.streaming_runtime() is not None and single_file.streaming_runtime() is None
    in_chunks, in_windows = (list(streams.listen(model, [samples])) for model in (bundle, single_file))
    assert len(in_chunks) > 0
    assert [d.time_seconds for d in in_chunks] == [d.time_seconds for d in in_windows]
    assert bundle.manifest["stream_parity"]["agreement"] == 1.0
    assert f"{bundle.manifest['stream_parity']['latency']:.2f} ms per chunk" in (
        trained_speech / "README.md"
    ).read_text(encoding="utf-8")
    damaged = shutil.copytree(trained_speech, tmp_path / "damaged")
    (damaged / "stream.tflite").unlink()
    result = dltasks("listen", "-m", damaged, SENTENCE)
    assert result.returncode == 1 and "stream.tflite is missing" in result.stderr


def test_a_scanned_recording_gets_the_probabilities_of_its_windows(trained_speech):
    from dltasks.export.networks import load_network
    from dltasks.tasks.speech.network import scanning_network

    network = load_network(trained_speech)
    samples, _ = make_stream(3)
    windows = np.concatenate(list(audio.sliding_windows([samples], RATE, 1600)))
    in_windows = network.predict({"samples": windows}, verbose=0)["probabilities"]
    scanned = scanning_network(network, 1600).predict_on_batch(samples[None])[0]
    assert scanned.shape == in_windows.shape and np.abs(scanned - in_windows).max() < 1e-4


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["missing.wav"], "missing.wav: no such file"),
        (["-"], "contains no sound (0 samples)"),
        ([ROOT / "README.md"], "README.md: not a sound file"),
        ([YES, "--model", "objects"], "objects: not a speech model"),
    ],
)
def test_an_error_of_listening_is_one_line(arguments, message):
    result = dltasks("listen", *arguments, input=b"")
    assert result.returncode == 1 and message in result.stderr and result.stderr.count("\n") == 1


MICROPHONE = """
import threading
import numpy as np

class PortAudioError(Exception):
    pass

def query_devices(device=None, kind=None):
    if device == 7:
        raise PortAudioError("Error querying device 7")
    return {"default_samplerate": 44100.0}

class InputStream:
    def __init__(self, samplerate, blocksize, callback, **_):
        self.size, self.callback = blocksize, callback
    def __enter__(self):
        for _ in range(20):
            self.callback(np.zeros((self.size, 1), np.float32), self.size, None, None)
    def __exit__(self, *_):
        pass
"""


def test_the_error_of_an_unplugged_or_unknown_microphone_is_one_line(tmp_path):
    (tmp_path / "sounddevice.py").write_text(MICROPHONE)
    environment = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def listen(*arguments):
        command = [*COMMAND, "listen", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    unplugged, unknown = listen(), listen("--device", "7")
    assert unplugged.returncode == unknown.returncode == 1
    expected = "dltasks: the default microphone: no more sound; is it still plugged in?\n"
    assert unplugged.stderr == expected
    assert "microphone 7: can't be opened" in unknown.stderr and unknown.stderr.count("\n") == 1


@pytest.mark.parametrize("path", [YES, SENTENCE])
def test_a_sound_file_on_standard_input_is_not_taken_for_samples(path):
    result = dltasks("listen", "-", input=path.read_bytes())
    assert result.returncode == 1 and result.stdout == ""
    assert "-: a sound file; expected raw 16-bit samples" in result.stderr
