"""Samples from a microphone."""

import queue
from collections.abc import Iterator

import numpy as np

from dltasks.errors import DataError, MissingExtraError
from dltasks.progress import Progress
from dltasks.tasks.speech.sound import resampled

LOST_SECONDS = 3.0
"""A device that gives nothing for so long is gone."""

BEHIND_SECONDS = 30.0
"""More sound than this is not kept where listening can't keep up."""


def samples(device: int | str | None, seconds: float, rate: int, progress: Progress) -> Iterator[np.ndarray]:
    """Pieces of so many seconds, float32 at `rate`, of an input device by number or name; the default one if None.

    In place of sound that could not be kept comes silence, and the report hears of it.
    Raises DataError where there is none, or where it vanishes; MissingExtraError.
    """
    sounddevice = _library()
    try:
        own = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        heard = _Heard(int(BEHIND_SECONDS / seconds))
        stream = sounddevice.InputStream(
            samplerate=own,
            blocksize=round(seconds * own),
            device=device,
            channels=1,
            dtype="float32",
            callback=lambda block, *_: heard.put(block[:, 0].copy()),
        )
        with stream:
            yield from resampled(_pieces(heard, device, own, progress), own, rate)
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


class _Heard:
    """Blocks of sound that wait to be listened to. Of those there is no room for, only the length is kept."""

    def __init__(self, most: int):
        self._blocks: queue.Queue = queue.Queue(most)
        self._lost = 0

    def put(self, block: np.ndarray) -> None:
        """Keep the block, and with it how many samples before it were lost."""
        try:
            self._blocks.put_nowait((self._lost, block))
            self._lost = 0
        except queue.Full:
            self._lost += len(block)

    def get(self) -> tuple[int, np.ndarray]:
        """The samples lost before the next block, and the block. Raises queue.Empty when none comes."""
        return self._blocks.get(timeout=LOST_SECONDS)


def _pieces(heard: _Heard, device, rate: int, progress: Progress) -> Iterator[np.ndarray]:
    while True:
        try:
            lost, block = heard.get()
        except queue.Empty:
            raise DataError(f"{_name(device)}: gives no sound any more; is it still plugged in?") from None
        if lost:
            progress.log(
                f"{_name(device)}: {lost / rate:.1f} s were not listened to, as listening could not keep up"
            )
            yield np.zeros(lost, np.float32)
        yield block


def _name(device) -> str:
    return "the default microphone" if device is None else f"microphone {device}"
