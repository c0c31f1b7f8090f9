"""Samples from a microphone."""

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np

from dltasks.errors import DataError, MissingExtraError, first_line
from dltasks.progress import Progress
from dltasks.tasks.speech.audio import resample

TIMEOUT_SECONDS = 3.0
"""Silence of a device after which it counts as unplugged."""

MAX_DELAY_SECONDS = 30.0
"""Maximum duration of sound that waits for the detector; the rest is dropped."""


def read_samples(
    device: int | str | None, seconds: float, sample_rate: int, progress: Progress
) -> Iterator[np.ndarray]:
    """Blocks of `seconds`, float32 at `sample_rate`, from a microphone.

    device: its number or name; None for the default one. Dropped sound becomes silence and is logged.
    Raises DataError for a device that does not exist or is unplugged, and MissingExtraError.
    """
    sounddevice = _import_sounddevice()
    try:
        device_rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        blocks = BlockQueue(int(MAX_DELAY_SECONDS / seconds))
        stream = sounddevice.InputStream(
            samplerate=device_rate,
            blocksize=round(seconds * device_rate),
            device=device,
            channels=1,
            dtype="float32",
            callback=lambda block, *_: blocks.put(block[:, 0].copy()),
        )
        with stream:
            yield from resample(read_queue(blocks, device, device_rate, progress), device_rate, sample_rate)
    except (sounddevice.PortAudioError, ValueError) as error:
        reason = first_line(error)
        raise DataError(
            f"{_device_name(device)}: can't be opened ({reason}); list the microphones with --devices"
        ) from error


def list_devices() -> list[tuple[int, str]]:
    """Numbers and names of the microphones. Raises MissingExtraError."""
    devices = enumerate(_import_sounddevice().query_devices())
    return [(number, device["name"]) for number, device in devices if device["max_input_channels"]]


def _import_sounddevice() -> Any:
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


class BlockQueue:
    """Blocks of sound between the microphone and the detector; a full queue drops blocks and counts them."""

    def __init__(self, size: int):
        self._blocks: queue.Queue[tuple[int, np.ndarray]] = queue.Queue(size)
        self._dropped = 0

    def put(self, block: np.ndarray) -> None:
        """Add the block with the number of samples dropped before it, or drop it."""
        try:
            self._blocks.put_nowait((self._dropped, block))
            self._dropped = 0
        except queue.Full:
            self._dropped += len(block)

    def get(self) -> tuple[int, np.ndarray]:
        """The number of samples dropped before the next block, and the block.

        Raises queue.Empty after TIMEOUT_SECONDS.
        """
        return self._blocks.get(timeout=TIMEOUT_SECONDS)


def read_queue(
    blocks: BlockQueue, device: int | str | None, sample_rate: int, progress: Progress
) -> Iterator[np.ndarray]:
    """The blocks of the queue, with silence in place of dropped samples. Raises DataError."""
    while True:
        try:
            dropped, block = blocks.get()
        except queue.Empty:
            raise DataError(f"{_device_name(device)}: no more sound; is it still plugged in?") from None
        if dropped:
            seconds = dropped / sample_rate
            progress.log(f"{_device_name(device)}: {seconds:.1f} s dropped; the detector could not keep up")
            yield np.zeros(dropped, np.float32)
        yield block


def _device_name(device: int | str | None) -> str:
    return "the default microphone" if device is None else f"microphone {device}"
