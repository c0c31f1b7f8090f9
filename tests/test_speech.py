"""Speech: every sound format alike, speakers on one side, a stream heard as its clips, clear errors."""

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
from dltasks.bundle.load import Bundle
from dltasks.config import with_overrides
from dltasks.errors import DataError
from dltasks.export import convert
from dltasks.litert.runtime import Runtime
from dltasks.progress import Progress
from dltasks.tasks.speech import TASK, sound, streams
from dltasks.tasks.speech.data import load_examples
from dltasks.tasks.speech.detector import Detection, Hearing, Listener
from dltasks.tasks.speech.split import divide
from dltasks.tasks.speech.synthetic_stream import Mixture, Said, mixed, tally
from dltasks.tasks.speech.task import SpeechTask
from dltasks.tasks.speech.thresholds import Stream, curve, heard

YES = ROOT / "samples/speech/yes.flac"
SENTENCE = ROOT / "samples/speech/go-happy-right-no.flac"
RATE = 16_000


def near(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two recordings."""
    return float(np.corrcoef(one, other)[0, 1])


@pytest.mark.parametrize(
    "suffix, subtype, rate, channels, least",
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
def test_every_format_rate_and_number_of_channels_is_heard_alike(
    tmp_path, suffix, subtype, rate, channels, least
):
    import soxr

    clip = sounds.whistle("rise", 3)
    given = soxr.resample(clip, RATE, rate)
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, np.repeat(given[:, None], channels, axis=1), rate, subtype=subtype)
    heard = sound.load(path, RATE, RATE)
    assert heard.dtype == np.float32 and heard.shape == (RATE,)
    assert near(heard, clip) > least
    assert near(sound.load(path.read_bytes(), RATE, RATE), clip) > least


def test_channels_are_averaged(tmp_path):
    left, right = np.full(RATE, 0.5), np.full(RATE, -0.1)
    soundfile.write(tmp_path / "both.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    assert sound.load(tmp_path / "both.wav", RATE, RATE) == pytest.approx(0.2)


def test_integers_are_taken_as_16_bit():
    assert sound.load(np.full(RATE, 16384, np.int16), RATE, RATE) == pytest.approx(0.5)


def test_a_short_clip_stands_in_the_middle_and_of_a_long_one_the_loudest_part_is_taken():
    short = sound.fitted(np.ones(10, np.float32), 20)
    assert short.tolist() == [0] * 5 + [1] * 10 + [0] * 5
    long = np.zeros(100, np.float32)
    long[60:80] = 1
    assert sound.fitted(long, 20).tolist() == [1] * 20


def header(samples: int, claimed: int, rate: int = RATE) -> bytes:
    """A WAV file whose header claims another number of bytes of sound than there are, or another rate."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((8000 * sounds.whistle("fall", 1)[:samples]).astype("<i2").tobytes())
    content = file.getvalue()
    return content[:40] + claimed.to_bytes(4, "little") + content[44:]


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 64_000, 0x7FFFFFFF])
def test_a_header_that_claims_too_much_gives_what_is_there(claimed):
    assert sound.load(header(RATE, claimed), RATE, RATE).std() > 0.01


def test_chunks_after_the_sound_and_bytes_that_fill_a_sector_are_no_sound(tmp_path):
    for name, more in {"list.wav": b"LIST\4\0\0\0INFO", "filled.wav": bytes(2048)}.items():
        (tmp_path / name).write_bytes(header(RATE, 32_000) + more)
        assert len(np.concatenate(list(sound.blocks(tmp_path / name, RATE)))) == RATE


def test_a_pipe_is_read_as_a_file_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(YES.read_bytes(),))
    writer.start()
    assert near(sound.load(pipe, RATE, RATE), sound.load(YES, RATE, RATE)) > 0.999
    writer.join()


def test_samples_beyond_full_scale_are_cut_off(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.full(RATE, 1e20), RATE, subtype="DOUBLE")
    assert sound.load(tmp_path / "loud.wav", RATE, RATE).max() == 1
    said = dltasks("recognize", tmp_path / "loud.wav", "--json")
    assert 0 < json.loads(said.stdout)["probability"] <= 1


BAD = {
    "cut-off.wav": (header(RATE, 0), "less sound than there is (32,000 bytes more)"),
    "empty.wav": (b"", "the file is empty (0 bytes)"),
    "text.wav": (b"hello, this is not sound at all", "not a sound file"),
    "slow.wav": (header(RATE, 2 * RATE, rate=1), "1 samples a second; wanted 2,000 to 768,000"),
    "none.wav": (header(0, 0), "holds no sound (0 samples)"),
    "film.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200), "not a sound file"),
    "cut.flac": (YES.read_bytes()[:20], "not read"),
    "cut.wav": (header(RATE, 32_000)[:30], "damaged or of a kind that is not read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_is_named_with_its_reason(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(name)) as raised:
        sound.load(tmp_path / name, RATE, RATE)
    assert reason in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_refused(tmp_path, value):
    clip = sounds.whistle("rise", 1)
    clip[5000] = value
    soundfile.write(tmp_path / "odd.wav", clip, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match=r"odd.wav: holds samples that are not numbers"):
        sound.load(tmp_path / "odd.wav", RATE, RATE)


def test_the_log_mel_in_the_network_and_in_the_file_is_librosas():
    import keras
    import librosa

    from dltasks.tasks.speech.network import FFT, FLOOR, FRAME, HIGHEST, HOP, LOWEST, MELS, LogMel

    clip = sound.load(YES, RATE, RATE)
    heard = keras.Input((RATE,), dtype="float32", name="samples")
    network = keras.Model({"samples": heard}, {"log_mel": LogMel(RATE)(heard)})
    in_file = Runtime(convert.to_tflite(network, "none", {})).run({"samples": clip[None]})["log_mel"][0]
    in_network = network.predict_on_batch({"samples": clip[None]})["log_mel"][0]
    filters = librosa.filters.mel(
        sr=RATE, n_fft=FFT, n_mels=MELS, fmin=LOWEST, fmax=HIGHEST, htk=True, norm=None, dtype=np.float64
    )
    # librosa puts a frame shorter than its transform in the middle of it, which changes phases alone.
    padded = np.pad(clip.astype(np.float64), ((FFT - FRAME) // 2,))
    power = (
        np.abs(
            librosa.stft(
                padded,
                n_fft=FFT,
                hop_length=HOP,
                win_length=FRAME,
                window="hann",
                center=False,
                dtype=np.complex128,
            )
        )
        ** 2
    )
    theirs = np.log(filters @ power + FLOOR).T
    for ours in (in_network, in_file):
        assert ours.shape == theirs.shape == (98, 40)
        assert np.abs(ours - theirs).max() < 2e-3


def test_windows_do_not_depend_on_how_the_stream_is_cut():
    stream = sounds.noise(1, 5)
    whole = np.concatenate(list(sound.windows([stream], RATE, 1600)))
    cut = np.concatenate(list(sound.windows(np.array_split(stream, 37), RATE, 1600)))
    assert whole.shape == (41, RATE) and (whole == cut).all()


def test_a_clip_of_any_length_gets_one_answer(trained_speech):
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
    """A bundle of two made-up words that it can tell apart."""
    settings = {"epochs": 14, "listening_minutes": 10, "false_alarms_per_hour": 20}
    return train_once("speech", "words", tmp_path_factory, **settings).bundle


def stream(seed: int) -> tuple[np.ndarray, list[str]]:
    """Ten made-up words, two seconds each."""
    words = [list(sounds.WORDS)[i] for i in np.random.default_rng(seed).integers(0, 3, 10)]
    clips = [sounds.whistle(word, 900 + i, seconds=2.0) for i, word in enumerate(words)]
    return np.concatenate(clips), words


def test_a_recording_and_standard_input_are_heard_alike(trained_speech, tmp_path):
    samples, words = stream(1)
    soundfile.write(tmp_path / "long.wav", samples, RATE, subtype="PCM_16")
    listening = ("listen", "--model", trained_speech, "--json", "--threshold", 0.7)
    file = dltasks(*listening, tmp_path / "long.wav")
    piped = dltasks(*listening, "-", input=soundfile.read(tmp_path / "long.wav", dtype="int16")[0].tobytes())
    assert file.returncode == piped.returncode == 0, file.stderr
    assert file.stdout == piped.stdout and "listened to 20.0 s" in file.stderr
    heard = [json.loads(line) for line in file.stdout.splitlines()]
    assert all(set(each) == {"time_seconds", "command", "probability"} for each in heard)
    expected = [(2 * i + 1, word) for i, word in enumerate(words) if word != "_unknown_"]
    found = [(each["time_seconds"], each["command"]) for each in heard]
    right = [w for s, w in expected if any(abs(s - t) < 0.75 and c == w for t, c in found)]
    assert len(right) >= 0.7 * len(expected)


def test_a_streaming_file_hears_what_the_bundle_hears(trained_speech, tmp_path):
    out = tmp_path / "stream.tflite"
    data = trained_speech.with_name("data")
    said = dltasks(
        *("export", trained_speech, "--format", "streaming", "--quantize", "none", "--out", out),
        *("--data", data, "--json"),
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["agreement"] == 1.0 and found["max_difference"] < 1e-4
    samples, _ = stream(2)
    soundfile.write(tmp_path / "long.flac", samples, RATE)
    whole, steps = (
        [
            json.loads(line)
            for line in dltasks(
                "listen", "--model", model, "--json", tmp_path / "long.flac"
            ).stdout.splitlines()
        ]
        for model in (trained_speech, out)
    )
    assert len(whole) > 0 and [e["time_seconds"] for e in whole] == [e["time_seconds"] for e in steps]
    assert [e["command"] for e in whole] == [e["command"] for e in steps]
    refused = dltasks("recognize", "--model", out, YES)
    assert refused.returncode == 1 and "a step of a stream at a time" in refused.stderr


@pytest.mark.parametrize("length, step", [(13_120, 1600), (19_840, 4800)])
def test_a_stream_in_pieces_gets_what_its_windows_get(length, step):
    from dltasks.tasks.speech.network import build, streaming

    network = build(3, length, RATE)
    whole = convert.to_tflite(network, "none", {})
    pieces = convert.to_tflite(streaming(network, step), "none", {})
    task = TASK(labels=("_silence_", "fall", "rise"), seconds=length / RATE, hop_seconds=step / RATE)
    heard = np.split(stream(4)[0][: 6 * RATE], [777, 30_000])
    bundle = Bundle("x", Path("x"), task, {}, Runtime(whole))
    apart = np.concatenate(list(streams.in_windows(bundle, heard)))
    together = np.concatenate(list(streams.in_steps(task, Runtime(pieces), heard)))
    assert together.shape == apart.shape and np.abs(together - apart).max() < 1e-4


def test_a_word_at_either_end_of_a_recording_is_heard(tmp_path):
    listened = partial(dltasks, "listen", "--json", "--threshold", 0.5)
    clip = sound.load(YES, RATE, RATE)
    heard = [json.loads(line) for line in listened(YES).stdout.splitlines()]
    assert [each["command"] for each in heard] == ["yes"] and abs(heard[0]["time_seconds"] - 0.5) < 0.75
    late = np.concatenate([np.zeros(5 * RATE, np.float32), clip[: np.flatnonzero(np.abs(clip) > 0.003)[-1]]])
    soundfile.write(tmp_path / "late.wav", late, RATE)
    said = listened(tmp_path / "late.wav")
    assert [json.loads(line)["command"] for line in said.stdout.splitlines()] == ["yes"]


def test_a_listener_whose_reader_leaves_or_that_is_interrupted_says_nothing_more(tmp_path):
    samples = np.tile(sound.load(YES, RATE, RATE), 60)
    listening = [*COMMAND, "listen", "-", "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    content = (samples * 32767).astype("<i2").tobytes()
    left = subprocess.Popen(listening, env=ENVIRONMENT, **pipes)
    left.stdout.close()
    assert b"Traceback" not in left.communicate(content)[1]
    stopped = subprocess.Popen(listening, env=ENVIRONMENT, **pipes)
    stopped.stdin.write(content[: 20 * 2 * RATE])
    stopped.stdin.flush()
    assert json.loads(stopped.stdout.readline())["command"] == "yes"
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate()
    assert stopped.returncode == 130 and said.strip() == b"interrupted"


def test_what_a_microphone_could_not_keep_becomes_silence_and_is_told():
    from dltasks.tasks.speech.microphone import _Heard, _pieces

    class Lines(Progress):
        said: ClassVar[list[str]] = []

        def log(self, text):
            self.said.append(text)

    heard = _Heard(2)
    for value in range(1, 6):
        heard.put(np.full(RATE, value, np.float32))
    pieces = _pieces(heard, None, RATE, Lines())
    assert [float(next(pieces)[0]) for _ in range(2)] == [1, 2]
    heard.put(np.full(RATE, 6, np.float32))
    lost, after = next(pieces), next(pieces)
    assert len(lost) == 3 * RATE and not lost.any() and after[0] == 6
    assert Lines.said == [
        "the default microphone: 3.0 s were not listened to, as listening could not keep up"
    ]


def test_an_mp3_on_standard_input_is_told_from_samples_that_begin_like_one(tmp_path):
    from dltasks.tasks.speech.streams import raw

    soundfile.write(tmp_path / "clip.mp3", sound.load(YES, RATE, RATE), RATE, format="MP3")
    with pytest.raises(DataError, match="a sound file, where raw"):
        list(raw(BytesIO((tmp_path / "clip.mp3").read_bytes()), 0.1, RATE))
    samples = np.append(np.int16(-1025), np.zeros(RATE - 1, np.int16))
    assert sum(map(len, raw(BytesIO(samples.tobytes()), 0.1, RATE))) == RATE


def test_a_bundle_listens_in_pieces_and_its_single_file_in_windows(trained_speech, tmp_path):
    samples, _ = stream(2)
    bundle = library.load(trained_speech)
    record = {key: value for key, value in bundle.manifest.items() if key != "files"}
    assert (
        bundle.streaming_runtime() is not None
        and replace(bundle, manifest=record).streaming_runtime() is None
    )
    pieces, windows = (
        list(streams.listen(each, [samples])) for each in (bundle, replace(bundle, manifest=record))
    )
    assert len(pieces) > 0 and [e.time_seconds for e in pieces] == [e.time_seconds for e in windows]
    assert bundle.manifest["stream_parity"]["agreement"] == 1.0
    assert f"{bundle.manifest['stream_parity']['latency']:.2f} ms a piece" in (
        trained_speech / "README.md"
    ).read_text(encoding="utf-8")
    damaged = shutil.copytree(trained_speech, tmp_path / "damaged")
    (damaged / "stream.tflite").unlink()
    said = dltasks("listen", "--model", damaged, ROOT / "samples/speech/go-happy-right-no.flac")
    assert said.returncode == 1 and "stream.tflite is missing" in said.stderr


def test_a_scanned_recording_gets_what_its_windows_get(trained_speech):
    from dltasks.export.networks import load_network
    from dltasks.tasks.speech.network import scanner

    network = load_network(trained_speech)
    samples, _ = stream(3)
    windows = np.concatenate(list(sound.windows([samples], RATE, 1600)))
    apart = network.predict({"samples": windows}, verbose=0)["probabilities"]
    together = scanner(network, 1600).predict_on_batch(samples[None])[0]
    assert together.shape == apart.shape and np.abs(together - apart).max() < 1e-4


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        (["missing.wav"], "missing.wav: no such file"),
        (["-"], "holds no sound (0 samples)"),
        ([ROOT / "README.md"], "README.md: not a sound file"),
        ([YES, "--model", "objects"], "not a model of spoken commands"),
    ],
)
def test_listening_to_what_is_not_there_is_one_line(arguments, wanted):
    said = dltasks("listen", *arguments, input=b"")
    assert said.returncode == 1 and wanted in said.stderr and said.stderr.count("\n") == 1


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


def test_a_microphone_that_vanishes_or_is_not_there_is_one_line(tmp_path):
    (tmp_path / "sounddevice.py").write_text(MICROPHONE)
    environment = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def said(*arguments):
        return subprocess.run(
            [*COMMAND, "listen", *arguments], capture_output=True, text=True, env=environment
        )

    gone, missing = said(), said("--device", "7")
    assert gone.returncode == missing.returncode == 1
    assert (
        gone.stderr == "dltasks: the default microphone: gives no sound any more; is it still plugged in?\n"
    )
    assert "microphone 7: can't be listened to" in missing.stderr and missing.stderr.count("\n") == 1


HEARING = Hearing(("", "go", "stop"), (1.0, 0.6, 0.8), smoothing=2, refractory=1.0, hop=0.1, length=1.0)


def rows(*values: float, column: int = 1) -> np.ndarray:
    probabilities = np.zeros((len(values), 3), np.float32)
    probabilities[:, column] = values
    return probabilities


def test_a_command_counts_when_its_mean_passes_the_threshold_and_then_not_again_for_a_while():
    found = list(Listener(HEARING).hear(rows(0, 0.7, 0.7, *[0.9] * 5, 0, 0, 0.9, 0.9, *[0.0] * 5, 0.9, 0.9)))
    assert [round(each.time_seconds, 2) for each in found] == [0.85, 2.45]
    assert found[0].command == "go" and found[0].probability == pytest.approx(0.7)
    assert list(Listener(HEARING).hear(rows(0.7, 0.7, column=2))) == []


def test_a_command_that_goes_on_counts_once_and_another_in_its_wake_too():
    held = rows(*[0.9] * 30)
    assert len(list(Listener(HEARING).hear(held))) == 1
    both = np.concatenate([held, rows(*[0.95] * 5, column=2)])
    assert [each.command for each in Listener(HEARING).hear(both)] == ["go", "stop"]


def test_what_is_heard_does_not_depend_on_how_the_stream_is_cut():
    values = rows(*np.random.default_rng(0).random(500))
    whole = list(Listener(HEARING).hear(values))
    listener = Listener(HEARING)
    assert whole == [each for part in np.array_split(values, 60) for each in listener.hear(part)]
    assert len(whole) > 10


def test_a_tally_counts_hits_misses_and_false_alarms():
    said = [Said(1.0, "go"), Said(4.0, "stop"), Said(8.0, "other"), Said(12.0, "go")]
    heard = [
        Detection(1.4, "go", 0.9),
        Detection(4.1, "go", 0.9),
        Detection(8.0, "go", 0.8),
        Detection(12.9, "go", 1),
    ]
    found = tally(heard, said, ("go", "stop"), 1800.0)
    assert found.said == {"go": 2, "stop": 1} and found.hits == {"go": 1, "stop": 0}
    assert found.false == {"go": 3, "stop": 0}
    assert found.miss_rate() == pytest.approx(2 / 3) and found.false_per_hour() == 6


def test_a_mixture_holds_the_words_where_it_says():
    clips = [("go", sounds.whistle("rise", i)) for i in range(5)]
    mixture = mixed(clips, [], np.full((4, RATE), 1e-4, np.float32), 60.0, RATE, seed=0)
    assert mixture.samples.shape == (60 * RATE,) and 2 <= len(mixture.said) <= 20
    for each in mixture.said:
        middle = round(each.seconds * RATE)
        there = sound.level(mixture.samples[middle - RATE // 2 : middle + RATE // 2])
        assert there == pytest.approx(-26, abs=5)


def chatter(seed: int) -> Stream:
    """Half an hour of "go" and another word in turn; the network is surer of the first, most of the time."""
    random = np.random.default_rng(seed)
    said = tuple(Said(3.0 * i + 1.5, "go" if i % 2 else "other") for i in range(600))
    probabilities = np.zeros((18_000, 3), np.float32)
    for each in said:
        row = round((each.seconds - 0.5) / 0.1)
        probabilities[row - 2 : row + 3, 1] = random.beta(5, 2) if each.word == "go" else random.beta(2, 5)
    return Stream(Mixture(np.zeros(0, np.float32), said), probabilities, 1800.0)


def test_thresholds_keep_to_their_budget_with_other_speakers_and_a_larger_one_misses_less():
    points = curve((chatter(0), chatter(1)), HEARING, (1.0, 20.0, 100.0))
    false = [sum(each.tally.false.values()) for each in points]
    missed = [each.tally.miss_rate() for each in points]
    assert false[0] <= 1 and false[1] <= 20 and false[2] <= 100
    assert missed[0] > missed[1] >= missed[2]
    fresh = chatter(2)
    for point in points[1:]:
        found = heard(fresh.probabilities, replace(HEARING, thresholds=point.thresholds))
        alarms = tally(found, fresh.mixture.said, ("go", "stop"), 1800.0).false_per_hour()
        assert alarms < 2 * point.budget
    assert all(each.thresholds[0] == 1.0 for each in points)


def test_speakers_stand_on_one_side_and_noise_is_cut_in_time(tmp_path):
    sounds.folder(tmp_path, 40)
    examples = load_examples(tmp_path)
    assert examples.notes == ("24 stretches of a second from _background_noise_/ count as _silence_",)
    encoded, failures = TASK().encode(examples.inputs)
    assert not failures
    parts = divide(
        examples,
        encoded["samples"],
        with_overrides(TASK.config(), {"validation_split": 0.2, "test_split": 0.2}),
    )
    assert sorted(parts.train + parts.validation_split + parts.test) == list(range(len(examples)))
    speakers = [
        {examples.inputs[i].speaker for i in part} - {""}
        for part in (parts.train, parts.validation_split, parts.test)
    ]
    assert all(speakers) and not speakers[0] & speakers[1] and not (speakers[0] | speakers[1]) & speakers[2]
    late = [examples.inputs[i].start for i in parts.test if examples.labels[i] == "_silence_"]
    assert late == [10.0, 11.0] * 2
    assert parts == divide(
        examples,
        encoded["samples"],
        with_overrides(TASK.config(), {"validation_split": 0.2, "test_split": 0.2}),
    )


def indexed(path: Path, *rows: str) -> Path:
    (path / "index.csv").write_text("\n".join(["file,label,speaker,split", *rows]) + "\n")
    return path


def test_a_speaker_who_is_declared_to_stand_on_two_sides_is_refused(tmp_path):
    sounds.folder(tmp_path, 4)
    clips = [f"rise/{i % 1:04x}_nohash_{i}.wav,rise" for i in range(4)]
    examples = load_examples(indexed(tmp_path, f"{clips[0]},anna,train", f"{clips[1]},anna,test"))
    encoded, _ = TASK().encode(examples.inputs)
    with pytest.raises(DataError, match="speaker 'anna' stands in test here and in train elsewhere"):
        divide(examples, encoded["samples"], TASK.config())


def test_a_clip_without_a_part_goes_to_that_of_its_speaker(tmp_path):
    sounds.folder(tmp_path, 4)
    clips = [f"rise/{i % 1:04x}_nohash_{i}.wav,rise" for i in range(4)]
    rows = [f"{clips[0]},anna,test", f"{clips[1]},ben,train", f"{clips[2]},cy,val", f"{clips[3]},anna,"]
    examples = load_examples(indexed(tmp_path, *rows))
    encoded, _ = TASK().encode(examples.inputs)
    parts = divide(examples, encoded["samples"], TASK.config())
    assert [i for i in parts.test if examples.labels[i] == "rise"] == [0, 3]


@pytest.mark.parametrize("words", ["_unknown_", "rise,_silence_"])
def test_what_is_no_command_can_not_be_asked_for_as_one(tmp_path, words):
    examples = load_examples(sounds.folder(tmp_path, 4))
    with pytest.raises(DataError, match=f"--words: {words.split(',')[-1]} is no command"):
        TASK().adapt(examples, with_overrides(TASK.config(), {"words": words}))


def test_a_recording_of_noise_is_counted_once_though_it_gives_many_stretches(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 4))
    assert len(examples) == 12 + 24 and examples.fingerprint()["files"] == 12 + 2


def test_an_index_gives_labels_speakers_and_parts(tmp_path):
    sounds.folder(tmp_path, 2)
    (tmp_path / "index.csv").write_text(
        "file,label,speaker,split\nrise/0000_nohash_0.wav,up,anna,train\nfall/0000_nohash_1.wav,down,,test\n"
    )
    examples = load_examples(tmp_path)
    assert examples.labels[:2] == ["up", "down"] and examples.splits[:2] == ["train", "test"]
    assert [each.speaker for each in examples.inputs[:2]] == ["anna", "0000"]
    assert examples.labels[2:] == ["_silence_"] * 24
    assert examples.splits[2:14] == ["train"] * 10 + ["val", "test"]


def test_words_that_are_not_asked_for_are_unknown(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 4))
    task = SpeechTask().adapt(examples, with_overrides(TASK.config(), {"words": "rise"}))
    assert task.labels == ("_silence_", "_unknown_", "rise")
    assert task.places(["rise", "fall", "_unknown_", "_silence_"]) == [2, 1, 1, 0]
    with pytest.raises(DataError, match="no clips of jump; there are .*fall"):
        SpeechTask().adapt(examples, with_overrides(TASK.config(), {"words": "jump"}))


def silence(path):
    for each in path.glob("*.wav"):
        soundfile.write(each, np.zeros(RATE), RATE)


def one_speaker(path):
    for word in ("rise", "fall", "_unknown_"):
        for number, each in enumerate(sorted((path / word).glob("*.wav"))):
            each.rename(each.with_name(f"anna_nohash_{number}.wav"))


@pytest.mark.parametrize(
    "spoil, wanted",
    [
        (
            lambda path: silence(path / "rise"),
            "all 8 clips of 'rise' are silent (below -65 dB of full scale)",
        ),
        (one_speaker, "clips of too few speakers"),
        (lambda path: [each.unlink() for each in path.glob("*/*")], "no recordings in folders of their own"),
    ],
)
def test_training_on_a_bad_folder_is_refused_in_one_line(tmp_path, spoil, wanted):
    data = sounds.folder(tmp_path / "data", 8)
    spoil(data)
    said = dltasks("train", "speech", data, "--out", tmp_path / "out")
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("dltasks: ") and wanted in said.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_silent_clip_is_left_out_and_named(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 24))
    encoded, _ = TASK().encode(examples.inputs)
    samples = encoded["samples"].copy()
    samples[0] = 0
    parts = divide(examples, samples, TASK.config())
    assert 0 not in parts.train + parts.validation_split + parts.test
    task = SpeechTask().adapt(examples, TASK.config())
    (note,) = task.notes(examples, {"samples": samples})
    assert "1 clip of a word is silent" in note and examples.source_names[0] in note


def test_a_length_that_the_network_can_not_take_is_refused_before_the_data_is_read(tmp_path):
    said = dltasks("train", "speech", tmp_path, "--out", tmp_path / "out", "--seconds", 0.51)
    assert said.returncode == 1 and "--seconds 0.51: wanted a multiple of 0.02, at least 0.8" in said.stderr


def test_augmentation_keeps_samples_in_range_and_targets_a_distribution():
    from dltasks.tasks.speech.augmentation import augmentation

    config = with_overrides(TASK.config(), {"mixup_alpha": 1.0, "noise": 1.0, "silence_probability": 0.2})
    labels = ("_silence_", "fall", "rise")
    clips = np.stack([sounds.whistle("rise", i) for i in range(16)])
    targets = np.eye(3, dtype=np.float32)[np.arange(16) % 3]
    found = augmentation(RATE, labels, config).predict_on_batch({"samples": clips, "probabilities": targets})
    assert found["samples"].shape == (16, RATE) and np.abs(found["samples"]).max() <= 1
    assert found["probabilities"].sum(axis=1) == pytest.approx(np.ones(16))


def test_noise_lies_as_far_below_the_clip_as_the_plan_says():
    from dltasks.tasks.speech.augmentation import BackgroundNoise

    clips = np.stack([sounds.whistle("rise", i) for i in range(31)] + [sounds.noise(1, 1)])
    targets = np.eye(2, dtype=np.float32)[[1] * 31 + [0]]
    noisy = np.asarray(BackgroundNoise(1.0, 6.0, 0, seed=0)(clips, clips, targets))
    below = (sound.level(clips) - sound.level(noisy - clips))[:31]
    assert 5.9 < below.min() < 12 and 24 < below.max() < 30.1
    assert np.array_equal(np.asarray(BackgroundNoise(0.0, 6.0, 0, seed=0)(clips, clips, targets)), clips)


def test_a_clip_that_is_not_retimed_stays_as_it_is():
    from dltasks.tasks.speech.augmentation import Gain, SpeedAndShift

    clips = np.stack([sounds.whistle("fall", i) for i in range(4)])
    same = np.asarray(Gain(0.0, seed=1)(SpeedAndShift(0.0, 0.0, seed=0)(clips)))
    assert np.abs(same[:, 1:-1] - clips[:, 1:-1]).max() < 1e-6


def test_log_mels_change_in_training_only_and_by_what_the_plan_says():
    from dltasks.tasks.speech.spectrum import RandomEqualiser, VocalTractLength, changes

    log_mel = np.random.default_rng(0).normal(-5, 2, (4, 20, 40)).astype(np.float32)
    for layer in changes(TASK.config()):
        assert np.array_equal(np.asarray(layer(log_mel)), log_mel)
        assert not np.array_equal(np.asarray(layer(log_mel, training=True)), log_mel)
    assert np.allclose(np.asarray(VocalTractLength(0.0, seed=0)(log_mel, training=True)), log_mel)
    peak = np.eye(40, dtype=np.float32)[20] * np.ones((64, 1, 1), np.float32)
    moved = np.asarray(VocalTractLength(0.1, seed=0)(peak, training=True))[:, 0].argmax(axis=1)
    assert moved.min() in (18, 19) and moved.max() in (21, 22)
    louder = np.asarray(RandomEqualiser(6.0, seed=0)(log_mel, training=True)) - log_mel
    assert np.allclose(louder[:, :1], louder, atol=1e-5) and 1 < np.abs(louder).max() <= 1.382


def test_muon_turns_the_steps_of_convolutions_into_matrices_that_scale_no_direction_more_than_others():
    import keras

    from dltasks.tasks.speech.optimizer import Muon

    random = np.random.default_rng(0)
    kernel = keras.Variable(np.zeros((3, 3, 8, 16), np.float32))
    offset = keras.Variable(np.zeros(16, np.float32))
    optimizer = Muon.of(0.1, 0.0)
    optimizer.build([kernel, offset])
    gradient = random.normal(0, 1, (72, 16)) * np.geomspace(0.1, 10, 16)
    optimizer.apply([gradient.reshape(3, 3, 8, 16).astype(np.float32), np.ones(16, np.float32)])
    scales = np.linalg.svd(np.asarray(kernel).reshape(72, 16), compute_uv=False) / (0.1 * 0.2 * 72**0.5)
    assert 0.5 < scales.min() and scales.max() < 1.3
    assert np.asarray(offset) == pytest.approx(-0.1, rel=1e-3)


def test_evaluation_leaves_silence_apart_and_counts_false_accepts(trained_speech):
    said = dltasks("evaluate", trained_speech, trained_speech.with_name("data"), "--json")
    found = json.loads(said.stdout)
    names = list(found["scores"])
    assert names[:2] == ["accuracy", "accuracy_without_silence"]
    assert {"false_accepts_per_hour_of_background", "false_accepts_of_other_words"} <= set(names)
    assert found["scores"]["accuracy_without_silence"]["count"] == 72
    assert set(found["classes"]["rise"]) == {"recall", "precision", "f1", "equal_error_rate"}


@pytest.mark.parametrize("path", [YES, ROOT / "samples/speech/go-happy-right-no.flac"])
def test_a_sound_file_on_standard_input_is_not_taken_for_samples(path):
    said = dltasks("listen", "-", input=path.read_bytes())
    assert said.returncode == 1 and said.stdout == ""
    assert "-: a sound file, where raw 16-bit samples were wanted" in said.stderr


def test_a_model_of_another_task_is_refused_by_name():
    said = dltasks("recognize", "--model", "objects", YES)
    assert said.returncode == 1
    assert said.stderr == "dltasks: objects: a model for image, not for speech; dltasks predict takes any\n"


def test_one_word_alone_is_refused(tmp_path):
    data = sounds.folder(tmp_path / "data", 8, ("rise",))
    with pytest.raises(DataError, match="one word only"):
        SpeechTask().adapt(load_examples(data), TASK.config())
    said = dltasks("train", "speech", data, "--out", tmp_path / "out", "--words", "")
    assert said.returncode == 2 and "words is ''" in said.stderr


def test_a_listener_takes_the_thresholds_of_another_budget():
    task = library.load("commands").task
    assert task.at(0.5).thresholds != task.at(50).thresholds
    said = dltasks("listen", SENTENCE, "--false-alarms-per-hour", 3)
    assert said.returncode == 2 and "this model has thresholds for 0.5, 1, 2, 5" in said.stderr


def test_the_curve_is_a_table_in_the_card_and_a_drawing(trained_speech):
    from PIL import Image

    card = (trained_speech / "README.md").read_text()
    assert "| 20 (chosen) |" in card and "false_alarms.png" in card
    assert Image.open(trained_speech / "false_alarms.png").size == (720, 480)
    model = library.load(trained_speech)
    assert len(model.task.thresholds) == len(model.task.labels) == 4


def test_int8_keeps_the_log_mel_in_floats(trained_speech, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    out = tmp_path / "small.tflite"
    data = trained_speech.with_name("data")
    said = dltasks(
        "export", trained_speech, "--quantize", "int8", "--out", out, "--data", data, "--min-agreement", 0.9
    )
    assert said.returncode == 0, said.stderr
    with zipfile.ZipFile(out) as archive:
        inside = sum(each.file_size for each in archive.infolist())
    assert out.stat().st_size - inside < 140_000
    model = schema.ModelT.InitFromPackedBuf(out.read_bytes(), 0)
    graph = model.subgraphs[0]
    taken = {
        code.builtinCode: {graph.tensors[op.inputs[0]].type for op in graph.operators if op.opcodeIndex == i}
        for i, code in enumerate(model.operatorCodes)
    }
    assert taken[schema.BuiltinOperator.CONV_2D] == {schema.TensorType.INT8}
    assert taken[schema.BuiltinOperator.RFFT2D] == {schema.TensorType.FLOAT32}


SET = """
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
        return {"train": self._generate_examples(20, 0), "validation": self._generate_examples(5, 50), "test": self._generate_examples(5, 100)}

    def _generate_examples(self, count, first):
        for seed in range(first, first + count):
            for word in sounds.WORDS:
                yield f"{word}{seed}", {"audio": self._whole(sounds.whistle(word, seed)), "label": word}
            yield f"silence{seed}", {"audio": self._whole(sounds.noise(seed, 1)), "label": "_silence_"}

    def _whole(self, samples):
        return (32767 * samples).astype(np.int64)
"""

TRAIN = """
import sets.whistles
import dltasks

model = dltasks.train("speech", "tfds:whistles", out="out", epochs=1, listening_minutes=1)
print(model.task.labels, model.record["training"]["examples"], model.evaluate("tfds:whistles").count)
"""


def test_a_set_of_tensorflow_datasets_is_trained_on_by_its_name(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/__init__.py").touch()
    (tmp_path / "sets/whistles.py").write_text(SET)
    path = f"{tmp_path}:{ROOT}:{ROOT / 'tests'}"
    environment = ENVIRONMENT | {
        "PYTHONPATH": path,
        "TFDS_DATA_DIR": str(tmp_path / "tfds"),
        "NO_GCE_CHECK": "true",
    }
    ran = subprocess.run(
        [sys.executable, "-c", TRAIN], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert ran.returncode == 0, ran.stderr
    counts = "{'train': 80, 'val': 20, 'test': 20} 20"
    assert ran.stdout.splitlines()[-1] == f"('_silence_', '_unknown_', 'fall', 'rise') {counts}"
