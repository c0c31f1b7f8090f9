"""Samples from a microphone."""

import queue
from collections.abc import Iterator

import numpy as np

from dltasks.errors import DataError, MissingExtraError
from dltasks.tasks.speech.sound import resampled

LOST_SECONDS = 3.0
"""A device that gives nothing for so long is gone."""

BEHIND_SECONDS = 30.0
"""More sound than this is not kept where listening can't keep up."""


def samples(device: int | str | None, seconds: float, rate: int) -> Iterator[np.ndarray]:
    """Pieces of so many seconds, float32 at `rate`, of an input device by number or name; the default one if None.

    Raises DataError where there is none, or where it vanishes; MissingExtraError.
    """
    sounddevice = _library()
    try:
        own = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        heard: queue.Queue = queue.Queue(int(BEHIND_SECONDS / seconds))
        stream = sounddevice.InputStream(
            samplerate=own,
            blocksize=round(seconds * own),
            device=device,
            channels=1,
            dtype="float32",
            callback=lambda block, *_: _put(heard, block[:, 0].copy()),
        )
        with stream:
            yield from resampled(_pieces(heard, stream, device), own, rate)
    except (sounddevice.PortAudioError, ValueError) as error:
        text = str(error).splitlines()[0]
        raise DataError(
            f"{_name(device)}: can't be listened to ({text}); --devices lists what there is"
        ) from error


def devices() -> list[tuple[int, str]]:
    """Numbers and names of the input devices. Raises MissingExtraError."""
    found = enumerate(_library().query_devices())
    return [(number, each["name"]) for number, each in found if each["max_input_channels"]]


def _library():
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtraError(
            "a microphone needs sounddevice: pip install 'dltasks[microphone]'"
        ) from error
    except OSError as error:
        raise MissingExtraError(
            "a microphone needs the PortAudio library; on Debian and Ubuntu: apt install libportaudio2"
        ) from error
    return sounddevice


def _put(heard: queue.Queue, block: np.ndarray) -> None:
    """Keep the block; where listening falls behind the oldest is let go."""
    if heard.full():
        heard.get_nowait()
    heard.put_nowait(block)


def _pieces(heard: queue.Queue, stream, device) -> Iterator[np.ndarray]:
    while True:
        try:
            yield heard.get(timeout=LOST_SECONDS)
        except queue.Empty:
            raise DataError(f"{_name(device)}: gives no sound any more; is it still plugged in?") from None


def _name(device) -> str:
    return "the default microphone" if device is None else f"microphone {device}"
