"""Sound files: all formats give the same samples, and bad files clear errors."""

import json
import os
import re
import threading
import wave
from io import BytesIO

import numpy as np
import pytest
import soundfile
import sounds
from conftest import ROOT, dltasks

from dltasks.errors import DataError
from dltasks.tasks.speech import audio

YES = ROOT / "samples/speech/yes.flac"
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


def test_windows_do_not_depend_on_the_blocks_of_the_stream():
    samples = sounds.noise(1, 5)
    whole = np.concatenate(list(audio.sliding_windows([samples], RATE, 1600)))
    in_blocks = np.concatenate(list(audio.sliding_windows(np.array_split(samples, 37), RATE, 1600)))
    assert whole.shape == (41, RATE) and (whole == in_blocks).all()
