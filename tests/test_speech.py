"""Speech: sound formats, splits by speaker, streams that equal their clips, thresholds, errors."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import wave
import zipfile
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import sounds
from conftest import COMMAND, ENVIRONMENT, ROOT, dltasks, train_once

import dltasks as library
from dltasks.config import with_overrides
from dltasks.errors import DataError
from dltasks.export import convert
from dltasks.litert.runtime import Runtime
from dltasks.model import Model
from dltasks.progress import Progress
from dltasks.tasks.speech import TASK, audio, streams
from dltasks.tasks.speech.data import load_examples
from dltasks.tasks.speech.detector import Detection, Detector, DetectorConfig
from dltasks.tasks.speech.split import split_examples
from dltasks.tasks.speech.synthetic_stream import (
    SyntheticStream,
    WordEvent,
    count_detections,
    mix_stream,
)
from dltasks.tasks.speech.task import SpeechTask
from dltasks.tasks.speech.thresholds import ScoredStream, detect_all, fit_curve

YES = ROOT / "samples/speech/yes.flac"
SENTENCE = ROOT / "samples/speech/go-happy-right-no.flac"
RATE = 16_000


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two recordings."""
    return float(np.corrcoef(first, second)[0, 1])


@pytest.mark.parametrize(
    "suffix, subtype, rate, channels, minimum",
    [
        ("wav", "PCM_U8", 16_000, 1, 0.98),
        ("wav", "PCM_16", 44_100, 2, 0.999),
        ("wav", "PCM_24", 48_000, 1, 0.999),
        ("wav", "PCM_32", 16_000, 1, 0.9999),
        ("wav", "FLOAT", 22_050, 2, 0.999),
        ("wav", "ULAW", 16_000, 1, 0.99),
        ("flac", "PCM_16", 8_000, 1, 0.9),
        ("flac", "PCM_24", 96_000, 6, 0.999),
        ("ogg", "VORBIS", 44_100, 2, 0.95),
        ("mp3", "MPEG_LAYER_III", 44_100, 2, 0.95),
        ("aiff", "PCM_16", 16_000, 1, 0.9999),
    ],
)
def test_every_format_rate_and_number_of_channels_gives_the_same_samples(
    tmp_path, suffix, subtype, rate, channels, minimum
):
    import soxr

    clip = sounds.whistle("rise", 3)
    resampled = soxr.resample(clip, RATE, rate)
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, np.repeat(resampled[:, None], channels, axis=1), rate, subtype=subtype)
    samples = audio.load(path, RATE, RATE)
    assert samples.dtype == np.float32 and samples.shape == (RATE,)
    assert correlation(samples, clip) > minimum
    assert correlation(audio.load(path.read_bytes(), RATE, RATE), clip) > minimum


def test_channels_are_averaged(tmp_path):
    left, right = np.full(RATE, 0.5), np.full(RATE, -0.1)
    soundfile.write(tmp_path / "both.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    assert audio.load(tmp_path / "both.wav", RATE, RATE) == pytest.approx(0.2)


def test_integers_are_taken_as_16_bit():
    assert audio.load(np.full(RATE, 16384, np.int16), RATE, RATE) == pytest.approx(0.5)


def test_a_short_clip_is_centered_and_the_loudest_stretch_of_a_long_one_is_taken():
    short = audio.fit_length(np.ones(10, np.float32), 20)
    assert short.tolist() == [0] * 5 + [1] * 10 + [0] * 5
    long = np.zeros(100, np.float32)
    long[60:80] = 1
    assert audio.fit_length(long, 20).tolist() == [1] * 20


def wav_file(samples: int, claimed: int, rate: int = RATE) -> bytes:
    """A WAV file whose header claims a wrong number of bytes of sound, or a wrong sample rate."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((8000 * sounds.whistle("fall", 1)[:samples]).astype("<i2").tobytes())
    content = file.getvalue()
    return content[:40] + claimed.to_bytes(4, "little") + content[44:]


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 64_000, 0x7FFFFFFF])
def test_a_header_that_claims_too_much_gives_the_actual_samples(claimed):
    assert audio.load(wav_file(RATE, claimed), RATE, RATE).std() > 0.01


def test_chunks_after_the_sound_and_padding_are_not_sound(tmp_path):
    for name, extra in {"list.wav": b"LIST\4\0\0\0INFO", "filled.wav": bytes(2048)}.items():
        (tmp_path / name).write_bytes(wav_file(RATE, 32_000) + extra)
        assert len(np.concatenate(list(audio.read_blocks(tmp_path / name, RATE)))) == RATE


def test_a_pipe_is_read_like_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(YES.read_bytes(),))
    writer.start()
    assert correlation(audio.load(pipe, RATE, RATE), audio.load(YES, RATE, RATE)) > 0.999
    writer.join()


def test_samples_beyond_full_scale_are_clipped(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.full(RATE, 1e20), RATE, subtype="DOUBLE")
    assert audio.load(tmp_path / "loud.wav", RATE, RATE).max() == 1
    result = dltasks("recognize", tmp_path / "loud.wav", "--json")
    assert 0 < json.loads(result.stdout)["probability"] <= 1


BAD = {
    "cut-off.wav": (wav_file(RATE, 0), "has 32,000 more bytes of sound than its header says"),
    "empty.wav": (b"", "the file is empty (0 bytes)"),
    "text.wav": (b"hello, this is not sound at all", "not a sound file"),
    "slow.wav": (wav_file(RATE, 2 * RATE, rate=1), "1 samples per second; expected 2,000 to 768,000"),
    "none.wav": (wav_file(0, 0), "contains no sound (0 samples)"),
    "film.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200), "not a sound file"),
    "cut.flac": (YES.read_bytes()[:20], "damaged or unsupported"),
    "cut.wav": (wav_file(RATE, 32_000)[:30], "damaged or unsupported"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_error_of_a_bad_recording_names_the_file_and_the_reason(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(name)) as raised:
        audio.load(tmp_path / name, RATE, RATE)
    assert reason in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinite_samples_are_refused(tmp_path, value):
    clip = sounds.whistle("rise", 1)
    clip[5000] = value
    soundfile.write(tmp_path / "odd.wav", clip, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match=r"odd.wav: contains NaN or infinite samples"):
        audio.load(tmp_path / "odd.wav", RATE, RATE)


def test_the_log_mel_of_the_network_and_of_the_file_equals_librosas():
    import keras
    import librosa

    from dltasks.tasks.speech.network import (
        FFT_LENGTH,
        FRAME_LENGTH,
        HOP_LENGTH,
        MAX_HERTZ,
        MEL_BANDS,
        MIN_HERTZ,
        POWER_FLOOR,
        LogMel,
    )

    clip = audio.load(YES, RATE, RATE)
    samples = keras.Input((RATE,), dtype="float32", name="samples")
    network = keras.Model({"samples": samples}, {"log_mel": LogMel(RATE)(samples)})
    in_file = Runtime(convert.to_tflite(network, "none", {})).run({"samples": clip[None]})["log_mel"][0]
    in_network = network.predict_on_batch({"samples": clip[None]})["log_mel"][0]
    filters = librosa.filters.mel(
        sr=RATE,
        n_fft=FFT_LENGTH,
        n_mels=MEL_BANDS,
        fmin=MIN_HERTZ,
        fmax=MAX_HERTZ,
        htk=True,
        norm=None,
        dtype=np.float64,
    )
    # librosa centers a frame shorter than the transform, which changes only phases.
    padded = np.pad(clip.astype(np.float64), ((FFT_LENGTH - FRAME_LENGTH) // 2,))
    power = (
        np.abs(
            librosa.stft(
                padded,
                n_fft=FFT_LENGTH,
                hop_length=HOP_LENGTH,
                win_length=FRAME_LENGTH,
                window="hann",
                center=False,
                dtype=np.complex128,
            )
        )
        ** 2
    )
    expected = np.log(filters @ power + POWER_FLOOR).T
    for log_mel in (in_network, in_file):
        assert log_mel.shape == expected.shape == (98, 40)
        assert np.abs(log_mel - expected).max() < 2e-3


def test_windows_do_not_depend_on_the_blocks_of_the_stream():
    samples = sounds.noise(1, 5)
    whole = np.concatenate(list(audio.sliding_windows([samples], RATE, 1600)))
    in_blocks = np.concatenate(list(audio.sliding_windows(np.array_split(samples, 37), RATE, 1600)))
    assert whole.shape == (41, RATE) and (whole == in_blocks).all()


def test_a_clip_of_any_length_gets_one_prediction(trained_speech):
    model = library.load(trained_speech)
    rise = sounds.whistle("rise", 77)
    hiss = np.random.default_rng(0).normal(0, 0.002, 3 * RATE).astype(np.float32)
    whistle = rise[2000:-2000]
    long = np.concatenate([np.zeros(1000, np.float32), rise, np.zeros(3 * RATE, np.float32)])
    scanned = model.predict(long)[0]
    assert scanned.command == "rise" and 0.3 < scanned.time_seconds < 1.0
    short, first, last = model.predict(rise, np.concatenate([whistle, hiss]), np.concatenate([hiss, whistle]))
    assert short.command == first.command == last.command == "rise"
    assert short.time_seconds is None and 0 <= first.time_seconds < 1 and 3 < last.time_seconds < 4
    assert set(first.to_json()) == {"command", "probability", "labels", "time_seconds"}


@pytest.fixture(scope="session")
def trained_speech(tmp_path_factory):
    """A bundle trained to distinguish two synthetic words."""
    settings = {"epochs": 14, "calibration_minutes": 10, "false_alarms_per_hour": 20}
    return train_once("speech", "words", tmp_path_factory, **settings).bundle


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
    assert refused.returncode == 1 and "a step of a stream at a time" in refused.stderr


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
    assert f"{bundle.manifest['stream_parity']['latency']:.2f} ms a piece" in (
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


CONFIG = DetectorConfig(
    ("", "go", "stop"),
    (1.0, 0.6, 0.8),
    smoothing=2,
    refractory_seconds=1.0,
    hop_seconds=0.1,
    window_seconds=1.0,
)


def rows(*values: float, column: int = 1) -> np.ndarray:
    probabilities = np.zeros((len(values), 3), np.float32)
    probabilities[:, column] = values
    return probabilities


def detect(probabilities: np.ndarray) -> list[Detection]:
    return list(Detector(CONFIG).process(probabilities))


def test_a_command_is_detected_when_its_mean_passes_the_threshold_and_not_again_for_a_while():
    detections = detect(rows(0, 0.7, 0.7, *[0.9] * 5, 0, 0, 0.9, 0.9, *[0.0] * 5, 0.9, 0.9))
    assert [round(detection.time_seconds, 2) for detection in detections] == [0.85, 2.45]
    assert detections[0].command == "go" and detections[0].probability == pytest.approx(0.7)
    assert detect(rows(0.7, 0.7, column=2)) == []


def test_a_lasting_command_is_detected_once_and_another_one_after_it_too():
    lasting = rows(*[0.9] * 30)
    assert len(detect(lasting)) == 1
    both = np.concatenate([lasting, rows(*[0.95] * 5, column=2)])
    assert [detection.command for detection in detect(both)] == ["go", "stop"]


def test_detections_do_not_depend_on_the_blocks_of_the_stream():
    values = rows(*np.random.default_rng(0).random(500))
    whole, detector = detect(values), Detector(CONFIG)
    in_blocks = [detection for block in np.array_split(values, 60) for detection in detector.process(block)]
    assert whole == in_blocks and len(whole) > 10


def test_hits_misses_and_false_alarms_are_counted():
    events = [WordEvent(1.0, "go"), WordEvent(4.0, "stop"), WordEvent(8.0, "other"), WordEvent(12.0, "go")]
    detections = [
        Detection(1.4, "go", 0.9),
        Detection(4.1, "go", 0.9),
        Detection(8.0, "go", 0.8),
        Detection(12.9, "go", 1),
    ]
    counts = count_detections(detections, events, ("go", "stop"), 1800.0)
    assert counts.spoken == {"go": 2, "stop": 1} and counts.hits == {"go": 1, "stop": 0}
    assert counts.false_alarms == {"go": 3, "stop": 0}
    assert counts.miss_rate() == pytest.approx(2 / 3) and counts.false_alarms_per_hour() == 6


def test_a_synthetic_stream_contains_its_words_at_their_times():
    clips = [("go", sounds.whistle("rise", i)) for i in range(5)]
    stream = mix_stream(clips, [], np.full((4, RATE), 1e-4, np.float32), 60.0, RATE, seed=0)
    assert stream.samples.shape == (60 * RATE,) and 2 <= len(stream.events) <= 20
    for event in stream.events:
        middle = round(event.seconds * RATE)
        level = audio.level_db(stream.samples[middle - RATE // 2 : middle + RATE // 2])
        assert level == pytest.approx(-26, abs=5)


def alternating_stream(seed: int) -> ScoredStream:
    """Half an hour of "go" and another word in turn; the network is mostly more certain of the first."""
    random = np.random.default_rng(seed)
    events = tuple(WordEvent(3.0 * i + 1.5, "go" if i % 2 else "other") for i in range(600))
    probabilities = np.zeros((18_000, 3), np.float32)
    for event in events:
        row = round((event.seconds - 0.5) / 0.1)
        is_go = event.word == "go"
        probabilities[row - 2 : row + 3, 1] = random.beta(5, 2) if is_go else random.beta(2, 5)
    return ScoredStream(SyntheticStream(np.zeros(0, np.float32), events), probabilities, 1800.0)


def test_thresholds_keep_their_budget_with_other_speakers_and_a_larger_one_misses_less():
    points = fit_curve((alternating_stream(0), alternating_stream(1)), CONFIG, (1.0, 20.0, 100.0))
    false_alarms = [sum(point.counts.false_alarms.values()) for point in points]
    miss_rates = [point.counts.miss_rate() for point in points]
    assert false_alarms[0] <= 1 and false_alarms[1] <= 20 and false_alarms[2] <= 100
    assert miss_rates[0] > miss_rates[1] >= miss_rates[2]
    unseen = alternating_stream(2)
    for point in points[1:]:
        detections = detect_all(unseen.probabilities, replace(CONFIG, thresholds=point.thresholds))
        counts = count_detections(detections, unseen.stream.events, ("go", "stop"), 1800.0)
        assert counts.false_alarms_per_hour() < 2 * point.budget
    assert all(point.thresholds[0] == 1.0 for point in points)


def test_each_speaker_is_in_one_split_and_noise_is_split_in_time(tmp_path):
    sounds.folder(tmp_path, 40)
    examples = load_examples(tmp_path)
    assert examples.notes == ("24 one-second stretches of _background_noise_/ count as _silence_",)
    encoded, failures = TASK().encode(examples.inputs)
    assert not failures
    config = with_overrides(TASK.config(), {"validation_split": 0.2, "test_split": 0.2})
    splits = split_examples(examples, encoded["samples"], config)
    assert sorted(splits.train + splits.val + splits.test) == list(range(len(examples)))
    train, val, test = (
        {examples.inputs[i].speaker for i in indices} - {""}
        for indices in (splits.train, splits.val, splits.test)
    )
    assert train and val and test and not train & val and not (train | val) & test
    starts = [examples.inputs[i].start for i in splits.test if examples.labels[i] == "_silence_"]
    assert starts == [10.0, 11.0] * 2
    assert splits == split_examples(examples, encoded["samples"], config)


def write_index(path: Path, *rows: str) -> Path:
    (path / "index.csv").write_text("\n".join(["file,label,speaker,split", *rows]) + "\n")
    return path


def test_a_speaker_in_two_splits_of_the_data_is_refused(tmp_path):
    sounds.folder(tmp_path, 4)
    clips = [f"rise/{i % 1:04x}_nohash_{i}.wav,rise" for i in range(4)]
    examples = load_examples(write_index(tmp_path, f"{clips[0]},anna,train", f"{clips[1]},anna,test"))
    encoded, _ = TASK().encode(examples.inputs)
    with pytest.raises(DataError, match="speaker 'anna' is in test here and in train elsewhere"):
        split_examples(examples, encoded["samples"], TASK.config())


def test_a_clip_without_a_split_goes_to_that_of_its_speaker(tmp_path):
    sounds.folder(tmp_path, 4)
    clips = [f"rise/{i % 1:04x}_nohash_{i}.wav,rise" for i in range(4)]
    rows = [f"{clips[0]},anna,test", f"{clips[1]},ben,train", f"{clips[2]},cy,val", f"{clips[3]},anna,"]
    examples = load_examples(write_index(tmp_path, *rows))
    encoded, _ = TASK().encode(examples.inputs)
    splits = split_examples(examples, encoded["samples"], TASK.config())
    assert [i for i in splits.test if examples.labels[i] == "rise"] == [0, 3]


@pytest.mark.parametrize("words", ["_unknown_", "rise,_silence_"])
def test_silence_and_unknown_words_are_refused_as_commands(tmp_path, words):
    examples = load_examples(sounds.folder(tmp_path, 4))
    with pytest.raises(DataError, match=f"--words: {words.split(',')[-1]} is not a command"):
        TASK().adapt(examples, with_overrides(TASK.config(), {"words": words}))


def test_a_recording_of_noise_with_many_stretches_counts_as_one_file(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 4))
    assert len(examples) == 12 + 24 and examples.fingerprint()["files"] == 12 + 2


def test_an_index_gives_labels_speakers_and_splits(tmp_path):
    sounds.folder(tmp_path, 2)
    (tmp_path / "index.csv").write_text(
        "file,label,speaker,split\nrise/0000_nohash_0.wav,up,anna,train\nfall/0000_nohash_1.wav,down,,test\n"
    )
    examples = load_examples(tmp_path)
    assert examples.labels[:2] == ["up", "down"] and examples.splits[:2] == ["train", "test"]
    assert [clip.speaker for clip in examples.inputs[:2]] == ["anna", "0000"]
    assert examples.labels[2:] == ["_silence_"] * 24
    assert examples.splits[2:14] == ["train"] * 10 + ["val", "test"]


def test_words_outside_the_selection_are_unknown(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 4))
    task = SpeechTask().adapt(examples, with_overrides(TASK.config(), {"words": "rise"}))
    assert task.labels == ("_silence_", "_unknown_", "rise")
    assert task.label_indices(["rise", "fall", "_unknown_", "_silence_"]) == [2, 1, 1, 0]
    with pytest.raises(DataError, match="no clips of jump; available: .*fall"):
        SpeechTask().adapt(examples, with_overrides(TASK.config(), {"words": "jump"}))


def make_silent(path):
    for clip in path.glob("*.wav"):
        soundfile.write(clip, np.zeros(RATE), RATE)


def make_one_speaker(path):
    for word in ("rise", "fall", "_unknown_"):
        for number, clip in enumerate(sorted((path / word).glob("*.wav"))):
            clip.rename(clip.with_name(f"anna_nohash_{number}.wav"))


def remove_clips(path):
    for clip in path.glob("*/*"):
        clip.unlink()


@pytest.mark.parametrize(
    "corrupt, message",
    [
        (lambda path: make_silent(path / "rise"), "all 8 clips of 'rise' are silent (below -65 dBFS)"),
        (make_one_speaker, "clips from too few speakers"),
        (remove_clips, "no recordings in folders of their own"),
    ],
)
def test_training_on_a_bad_folder_is_refused_in_one_line(tmp_path, corrupt, message):
    data = sounds.folder(tmp_path / "data", 8)
    corrupt(data)
    result = dltasks("train", "speech", data, "--out", tmp_path / "out")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("dltasks: ") and message in last
    assert not (tmp_path / "out").exists()


def test_a_silent_clip_is_left_out_with_a_note(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 24))
    encoded, _ = TASK().encode(examples.inputs)
    samples = encoded["samples"].copy()
    samples[0] = 0
    splits = split_examples(examples, samples, TASK.config())
    assert 0 not in splits.train + splits.val + splits.test
    task = SpeechTask().adapt(examples, TASK.config())
    (note,) = task.notes(examples, {"samples": samples})
    assert "1 clip of a word is silent" in note and examples.source_names[0] in note


def test_a_length_that_the_network_cannot_take_is_refused_before_the_data_is_read(tmp_path):
    result = dltasks("train", "speech", tmp_path, "--out", tmp_path / "out", "--seconds", 0.51)
    assert (
        result.returncode == 1
        and "--seconds 0.51: expected a multiple of 0.02, at least 0.8" in result.stderr
    )


def test_augmentation_keeps_samples_in_range_and_targets_a_distribution():
    from dltasks.tasks.speech.augmentation import augmentation

    config = with_overrides(
        TASK.config(), {"mixup_alpha": 1.0, "noise_probability": 1.0, "silence_probability": 0.2}
    )
    labels = ("_silence_", "fall", "rise")
    clips = np.stack([sounds.whistle("rise", i) for i in range(16)])
    targets = np.eye(3, dtype=np.float32)[np.arange(16) % 3]
    model = augmentation(RATE, labels, config)
    augmented = model.predict_on_batch({"samples": clips, "probabilities": targets})
    assert augmented["samples"].shape == (16, RATE) and np.abs(augmented["samples"]).max() <= 1
    assert augmented["probabilities"].sum(axis=1) == pytest.approx(np.ones(16))


def test_noise_is_mixed_at_the_configured_signal_to_noise_ratio():
    from dltasks.tasks.speech.augmentation import BackgroundNoise

    clips = np.stack([sounds.whistle("rise", i) for i in range(31)] + [sounds.noise(1, 1)])
    targets = np.eye(2, dtype=np.float32)[[1] * 31 + [0]]
    noisy = np.asarray(BackgroundNoise(1.0, 6.0, 0, seed=0)(clips, clips, targets))
    ratios = (audio.level_db(clips) - audio.level_db(noisy - clips))[:31]
    assert 5.9 < ratios.min() < 12 and 24 < ratios.max() < 30.1
    assert np.array_equal(np.asarray(BackgroundNoise(0.0, 6.0, 0, seed=0)(clips, clips, targets)), clips)


def test_a_clip_without_changes_of_speed_shift_and_gain_stays_the_same():
    from dltasks.tasks.speech.augmentation import Gain, SpeedAndShift

    clips = np.stack([sounds.whistle("fall", i) for i in range(4)])
    augmented = np.asarray(Gain(0.0, seed=1)(SpeedAndShift(0.0, 0.0, seed=0)(clips)))
    assert np.abs(augmented[:, 1:-1] - clips[:, 1:-1]).max() < 1e-6


def test_log_mels_change_only_in_training_and_by_the_configured_amount():
    from dltasks.tasks.speech.spectrum import RandomEqualizer, VocalTractLength, spectrum_augmentation

    log_mel = np.random.default_rng(0).normal(-5, 2, (4, 20, 40)).astype(np.float32)
    for layer in spectrum_augmentation(TASK.config()):
        assert np.array_equal(np.asarray(layer(log_mel)), log_mel)
        assert not np.array_equal(np.asarray(layer(log_mel, training=True)), log_mel)
    assert np.allclose(np.asarray(VocalTractLength(0.0, seed=0)(log_mel, training=True)), log_mel)
    peak = np.eye(40, dtype=np.float32)[20] * np.ones((64, 1, 1), np.float32)
    positions = np.asarray(VocalTractLength(0.1, seed=0)(peak, training=True))[:, 0].argmax(axis=1)
    assert positions.min() in (18, 19) and positions.max() in (21, 22)
    gains = np.asarray(RandomEqualizer(6.0, seed=0)(log_mel, training=True)) - log_mel
    assert np.allclose(gains[:, :1], gains, atol=1e-5) and 1 < np.abs(gains).max() <= 1.382


def test_muon_makes_orthogonal_steps_for_convolutions():
    import keras

    from dltasks.tasks.speech.optimizer import Muon

    random = np.random.default_rng(0)
    kernel = keras.Variable(np.zeros((3, 3, 8, 16), np.float32))
    offset = keras.Variable(np.zeros(16, np.float32))
    optimizer = Muon.create(0.1, 0.0)
    optimizer.build([kernel, offset])
    gradient = random.normal(0, 1, (72, 16)) * np.geomspace(0.1, 10, 16)
    optimizer.apply([gradient.reshape(3, 3, 8, 16).astype(np.float32), np.ones(16, np.float32)])
    scales = np.linalg.svd(np.asarray(kernel).reshape(72, 16), compute_uv=False) / (0.1 * 0.2 * 72**0.5)
    assert scales.min() > 0.5 and scales.max() < 1.3
    assert np.asarray(offset) == pytest.approx(-0.1, rel=1e-3)


def test_evaluation_scores_words_without_silence_and_counts_false_alarms(trained_speech):
    result = dltasks("evaluate", trained_speech, trained_speech.with_name("data"), "--json")
    evaluation = json.loads(result.stdout)
    names = list(evaluation["scores"])
    assert names[:2] == ["accuracy", "accuracy_without_silence"]
    assert {"false_alarms_per_hour_of_background", "false_alarms_on_other_words"} <= set(names)
    assert evaluation["scores"]["accuracy_without_silence"]["count"] == 72
    assert set(evaluation["classes"]["rise"]) == {"recall", "precision", "f1", "equal_error_rate"}


@pytest.mark.parametrize("path", [YES, SENTENCE])
def test_a_sound_file_on_standard_input_is_not_taken_for_samples(path):
    result = dltasks("listen", "-", input=path.read_bytes())
    assert result.returncode == 1 and result.stdout == ""
    assert "-: a sound file; expected raw 16-bit samples" in result.stderr


def test_a_model_of_another_task_is_refused_by_name():
    result = dltasks("recognize", "--model", "objects", YES)
    assert result.returncode == 1
    assert result.stderr == "dltasks: objects: a model for image, not for speech; dltasks predict takes any\n"


def test_one_word_alone_is_refused(tmp_path):
    data = sounds.folder(tmp_path / "data", 8, ("rise",))
    with pytest.raises(DataError, match="only one word"):
        SpeechTask().adapt(load_examples(data), TASK.config())
    result = dltasks("train", "speech", data, "--out", tmp_path / "out", "--words", "")
    assert result.returncode == 2 and "words is ''" in result.stderr


def test_the_thresholds_of_another_budget_can_be_used():
    task = library.load("commands").task
    assert task.with_budget(0.5).thresholds != task.with_budget(50).thresholds
    result = dltasks("listen", SENTENCE, "--false-alarms-per-hour", 3)
    assert result.returncode == 2 and "this model has thresholds for 0.5, 1, 2, 5" in result.stderr


def test_the_operating_points_are_a_table_in_the_card_and_a_plot(trained_speech):
    from PIL import Image

    card = (trained_speech / "README.md").read_text()
    assert "| 20 (chosen) |" in card and "false_alarms.png" in card
    assert Image.open(trained_speech / "false_alarms.png").size == (720, 480)
    model = library.load(trained_speech)
    assert len(model.task.thresholds) == len(model.task.labels) == 4


def test_int8_leaves_the_log_mel_in_floats(trained_speech, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    out = tmp_path / "small.tflite"
    data = trained_speech.with_name("data")
    result = dltasks(
        "export", trained_speech, "--quantize", "int8", "--out", out, "--data", data, "--min-agreement", 0.9
    )
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(out) as archive:
        zipped = sum(member.file_size for member in archive.infolist())
    assert out.stat().st_size - zipped < 140_000
    model = schema.ModelT.InitFromPackedBuf(out.read_bytes(), 0)
    graph = model.subgraphs[0]
    input_types = {
        code.builtinCode: {graph.tensors[op.inputs[0]].type for op in graph.operators if op.opcodeIndex == i}
        for i, code in enumerate(model.operatorCodes)
    }
    assert input_types[schema.BuiltinOperator.CONV_2D] == {schema.TensorType.INT8}
    assert input_types[schema.BuiltinOperator.RFFT2D] == {schema.TensorType.FLOAT32}


DATASET = """
import numpy as np
import sounds
import tensorflow_datasets as tfds


class Whistles(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        names = ["rise", "fall", "_unknown_", "_silence_"]
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({
                "audio": tfds.features.Audio(sample_rate=16000),
                "label": tfds.features.ClassLabel(names=names),
            })
        )

    def _split_generators(self, _):
        sizes = {"train": (20, 0), "validation": (5, 50), "test": (5, 100)}
        return {name: self._generate_examples(*size) for name, size in sizes.items()}

    def _generate_examples(self, count, first):
        for seed in range(first, first + count):
            for word in sounds.WORDS:
                yield f"{word}{seed}", {"audio": self._to_int(sounds.whistle(word, seed)), "label": word}
            yield f"silence{seed}", {"audio": self._to_int(sounds.noise(seed, 1)), "label": "_silence_"}

    def _to_int(self, samples):
        return (32767 * samples).astype(np.int64)
"""

TRAIN = """
import sets.whistles
import dltasks

model = dltasks.train("speech", "tfds:whistles", out="out", epochs=1, calibration_minutes=1)
print(model.task.labels, model.manifest["training"]["examples"], model.evaluate("tfds:whistles").count)
"""


@pytest.mark.slow
def test_a_tensorflow_data_set_is_trained_on_by_name(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/__init__.py").touch()
    (tmp_path / "sets/whistles.py").write_text(DATASET)
    path = f"{tmp_path}:{ROOT}:{ROOT / 'tests'}"
    environment = ENVIRONMENT | {
        "PYTHONPATH": path,
        "TFDS_DATA_DIR": str(tmp_path / "tfds"),
        "NO_GCE_CHECK": "true",
    }
    result = subprocess.run(
        [sys.executable, "-c", TRAIN], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    counts = "{'train': 80, 'val': 20, 'test': 20} 20"
    assert result.stdout.splitlines()[-1] == f"('_silence_', '_unknown_', 'fall', 'rise') {counts}"
