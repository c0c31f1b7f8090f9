"""Detect commands in a microphone, a long recording, or a stream."""

import json
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand, option

if TYPE_CHECKING:
    import numpy as np


@click.command(cls=GroupedCommand)
@click.argument("source", required=False, metavar="[FILE | -]", type=click.Path())
@option("--device", help="Number or name of the microphone (default: the system's).", group=options.INPUT)
@option("--devices", is_flag=True, help="List the microphones.", group=options.INPUT)
@options.model("commands")
@option(
    "--threshold",
    type=float,
    help="Minimum probability of every command, 0 to 1 (default: the model's own thresholds).",
    group="Detection",
)
@option(
    "--false-alarms-per-hour",
    "budget",
    type=float,
    help="Use the model's thresholds for another budget; its card lists the budgets.",
    group="Detection",
)
@options.json_output
def command(
    source: str | None,
    device: str | None,
    devices: bool,
    model: str | None,
    threshold: float | None,
    budget: float | None,
    as_json: bool,
) -> None:
    """Print each command as soon as it is detected, with its time in the stream.

    Listens to the microphone (pip install 'dltasks[microphone]'), a recording of any length, or with -
    standard input: 16-bit little-endian PCM, mono, 16 kHz.

    \b
    dltasks listen meeting.wav --json
    arecord -t raw -f S16_LE -r 16000 -c 1 | dltasks listen - -m runs/words
    """
    if devices:
        _print_devices()
        return
    if source and device:
        raise click.UsageError("expected a FILE or --device, not both")
    if threshold is not None and not 0 <= threshold <= 1:
        raise click.UsageError(f"--threshold {threshold}: expected 0 to 1")
    if threshold is not None and budget is not None:
        raise click.UsageError("expected --threshold or --false-alarms-per-hour, not both")
    _listen(source, device, _load_model(model or "commands", threshold, budget), as_json)


def _print_devices() -> None:
    from dltasks.tasks.speech import microphone

    for number, name in microphone.list_devices():
        click.echo(f"{number}\t{name}")


def _load_model(name: str, threshold: float | None, budget: float | None) -> Any:
    """The model with these thresholds. Raises ModelError, ConfigError."""
    import dltasks
    from dltasks.errors import ModelError
    from dltasks.tasks.speech.task import SpeechTask

    model = dltasks.load(name)
    if not isinstance(model.task, SpeechTask):
        raise ModelError(f"{name}: not a speech model")
    task = model.task
    if budget is not None:
        return replace(model, task=task.with_budget(budget))
    if threshold is not None:
        return replace(model, task=replace(task, thresholds=(threshold,) * len(task.labels)))
    return model


def _listen(source: str | None, device: str | None, model: Any, as_json: bool) -> None:
    from dltasks.errors import DataError
    from dltasks.tasks.speech import streams

    stream = _CountedStream(_read_blocks(source, device, model.task))
    with closing(stream.blocks):
        for detection in streams.listen(model, stream):
            time, probability = detection.time_seconds, detection.probability
            line = f"{time:9.2f}  {detection.command}  {probability:.1%}"
            print(json.dumps(detection.to_json()) if as_json else line, flush=True)
    if not stream.samples:
        raise DataError(f"{source}: contains no sound (0 samples)")
    click.echo(f"listened to {stream.samples / model.task.sample_rate:.1f} s", err=True)


class _CountedStream:
    """Blocks of a stream, and the number of samples so far."""

    def __init__(self, blocks: "Generator[np.ndarray, None, None]"):
        self.blocks, self.samples = blocks, 0

    def __iter__(self) -> "Iterator[np.ndarray]":
        for block in self.blocks:
            self.samples += len(block)
            yield block


def _read_blocks(source: str | None, device: str | None, task: Any) -> Any:
    """A generator of float32 samples at the task's sample rate."""
    if source == "-":
        from dltasks.tasks.speech.streams import read_pcm

        return read_pcm(sys.stdin.buffer, task.hop_seconds, task.sample_rate)
    if source:
        from dltasks.tasks.speech.audio import read_blocks

        return read_blocks(source, task.sample_rate)
    from dltasks.cli.progress import TerminalProgress
    from dltasks.tasks.speech.microphone import read_samples

    number = int(device) if device and device.isdigit() else device
    return read_samples(number, task.hop_seconds, task.sample_rate, TerminalProgress())
