"""Listening: from a stream of samples to commands as they are spoken, in bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from itertools import chain

import numpy as np

from dltasks.errors import DataError
from dltasks.tasks.speech.detector import Detection, Listener
from dltasks.tasks.speech.sound import windows

HEADERS = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd")
"""How sound files begin; raw samples hardly ever do."""

_NOT_RAW = (
    "-: a sound file, where raw 16-bit samples were wanted; name the file instead, or decode it: "
    "ffmpeg -i FILE -f s16le -ar 16000 -ac 1 - | dltasks listen -"
)


def listen(bundle, pieces: Iterable[np.ndarray]) -> Iterator[Detection]:
    """What `bundle` hears in pieces, float32 (samples,) at the task's rate, of one stream; as soon as it is heard.

    Before the first sample and after the last lies silence, so that a word at either end is heard like any other.
    """
    task, stepwise = bundle.task, bundle.streaming_runtime()
    silence = np.zeros(task.length - round(task.hop_seconds * task.sample_rate), np.float32)
    framed = chain([silence], pieces, [silence])
    rows = in_windows(bundle, framed) if stepwise is None else in_steps(task, stepwise, framed)
    listener = Listener(task.hearing)
    for probabilities in rows:
        for found in listener.hear(probabilities):
            time = found.time_seconds - len(silence) / task.sample_rate
            yield replace(found, time_seconds=max(0.0, time))


def in_windows(bundle, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Probabilities (windows, classes) of the windows that each piece completes."""
    task = bundle.task
    hop = round(task.hop_seconds * task.sample_rate)
    for window in windows(pieces, task.length, hop):
        yield bundle.run({"samples": np.ascontiguousarray(window)})["probabilities"]


def in_steps(task, stepwise, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Probabilities (1, classes) at the same points, of a file that takes a step at a time and keeps its state."""
    step = int(stepwise.inputs["samples"]["shape"][1])
    state = {k: np.zeros(v["shape"], np.float32) for k, v in stepwise.inputs.items() if k != "samples"}
    # Samples before the first, so that a step ends where the first window does.
    lead = np.zeros(-task.length % step, np.float32)
    hop, taken = round(task.hop_seconds * task.sample_rate), -len(lead)
    for piece in windows(chain([lead], pieces), step, step):
        for row in piece:
            state = stepwise.run({"samples": row[None], **state})
            probabilities = state.pop("probabilities")
            taken += step
            if taken >= task.length and (taken - task.length) % hop == 0:
                yield probabilities


def raw(file, seconds: float, rate: int) -> Iterator[np.ndarray]:
    """Samples from a file of 16-bit little-endian mono PCM at `rate`, in pieces of so many seconds, until it ends.

    Raises DataError for what begins as a sound file does.
    """
    size, kept, first = 2 * round(seconds * rate), b"", True
    while block := file.read1(size - len(kept)) if hasattr(file, "read1") else file.read(size - len(kept)):
        kept += block
        if len(kept) < size:
            continue
        if first and _is_file(kept):
            raise DataError(_NOT_RAW)
        first = False
        yield np.frombuffer(kept, "<i2").astype(np.float32) / 32768
        kept = b""
    if first and _is_file(kept):
        raise DataError(_NOT_RAW)
    if len(kept) > 1:
        yield np.frombuffer(kept[: len(kept) // 2 * 2], "<i2").astype(np.float32) / 32768


def _is_file(begun: bytes) -> bool:
    """Whether a stream begins as a sound file. An MP3 without tags does with eleven bits that samples may have too."""
    if begun.startswith(HEADERS):
        return True
    if begun[:1] != b"\xff" or begun[1:2] not in (b"\xfb", b"\xfa", b"\xf3", b"\xf2"):
        return False
    import soundfile

    try:
        return soundfile.info(BytesIO(begun)).format == "MP3"
    except soundfile.LibsndfileError:
        return False
