"""Detection in streams of samples, as they come and in bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np

from dltasks.errors import DataError
from dltasks.litert.runtime import Runtime
from dltasks.tasks.speech.audio import sliding_windows
from dltasks.tasks.speech.detector import Detection, Detector

FILE_SIGNATURES = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd")
"""First bytes of sound files; raw samples hardly ever start like this."""

_NOT_PCM = (
    "-: a sound file; expected raw 16-bit samples. Name the file instead, or decode it: "
    "ffmpeg -i FILE -f s16le -ar 16000 -ac 1 - | dltasks listen -"
)


def listen(model: Any, blocks: Iterable[np.ndarray]) -> Iterator[Detection]:
    """Commands in a stream as soon as they are detected.

    model: a Model of a SpeechTask. blocks: float32 (samples,) at the task's sample rate. The stream is
    padded with silence, so that a word at either end is detected like any other.
    """
    task, runtime = model.task, model.streaming_runtime()
    silence = np.zeros(task.window_length - task.stream_chunk_size, np.float32)
    padded = chain([silence], blocks, [silence])
    rows = score_windows(model, padded) if runtime is None else score_chunks(task, runtime, padded)
    detector = Detector(task.detector_config)
    for probabilities in rows:
        for detection in detector.process(probabilities):
            time = detection.time_seconds - len(silence) / task.sample_rate
            yield replace(detection, time_seconds=max(0.0, time))


def score_windows(model: Any, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Probabilities (windows, classes) of the windows that each block completes."""
    task = model.task
    for windows in sliding_windows(blocks, task.window_length, task.stream_chunk_size):
        yield model.run({"samples": np.ascontiguousarray(windows)})["probabilities"]


def score_chunks(task: Any, runtime: Runtime, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Probabilities (1, classes) of the same windows, from a streaming file that takes chunks and a state."""
    size = int(runtime.inputs["samples"]["shape"][1])
    state = {
        name: np.zeros(tensor["shape"], np.float32)
        for name, tensor in runtime.inputs.items()
        if name != "samples"
    }
    # Samples before the first, so that a chunk ends where the first window does.
    lead = np.zeros(-task.window_length % size, np.float32)
    count = -len(lead)
    for chunks in sliding_windows(chain([lead], blocks), size, size):
        for chunk in chunks:
            state = runtime.run({"samples": chunk[None], **state})
            probabilities = state.pop("probabilities")
            count += size
            extra = count - task.window_length
            if extra >= 0 and extra % task.stream_chunk_size == 0:
                yield probabilities


def read_pcm(file: Any, seconds: float, sample_rate: int) -> Iterator[np.ndarray]:
    """Samples of a file of 16-bit little-endian mono PCM at `sample_rate`, in blocks of `seconds`.

    Raises DataError for a file that starts like a sound file.
    """
    size, pending, is_first = 2 * round(seconds * sample_rate), b"", True
    read = file.read1 if hasattr(file, "read1") else file.read
    while content := read(size - len(pending)):
        pending += content
        if len(pending) < size:
            continue
        if is_first and _is_sound_file(pending):
            raise DataError(_NOT_PCM)
        is_first = False
        yield _decode_pcm(pending)
        pending = b""
    if is_first and _is_sound_file(pending):
        raise DataError(_NOT_PCM)
    if len(pending) > 1:
        yield _decode_pcm(pending[: len(pending) // 2 * 2])


def _decode_pcm(content: bytes) -> np.ndarray:
    return np.frombuffer(content, "<i2").astype(np.float32) / 32768


def _is_sound_file(content: bytes) -> bool:
    """Whether these first bytes are those of a sound file.

    An MP3 without tags starts with eleven bits that samples may have too, so that one is parsed.
    """
    if content.startswith(FILE_SIGNATURES):
        return True
    if content[:1] != b"\xff" or content[1:2] not in (b"\xfb", b"\xfa", b"\xf3", b"\xf2"):
        return False
    import soundfile

    try:
        return soundfile.info(BytesIO(content)).format == "MP3"
    except soundfile.LibsndfileError:
        return False
